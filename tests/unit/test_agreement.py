"""Findings against the radiologist's report: every rule has a sentence on each side of it. All texts are invented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import codes
from cds.agreement import compare, terms, words
from cds.codes import SNOMED
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.identity import Identifier
from cds.domain.verification import Agreement, Comparison, FinalReport, Stated
from tests.unit.clinical import MRN, NOW, density, refusal
from tests.unit.test_codes import verhoeff

CODES = {
    "pneumothorax": Coding(SNOMED, "36118008"),
    "effusion": Coding(SNOMED, "60046008"),
    "consolidation": Coding(SNOMED, "95436008"),
    "emphysema": Coding(SNOMED, "87433001"),
    "bleed": Coding(SNOMED, "1386000"),
    "fracture": Coding(SNOMED, "125605004"),
    "nodule": Coding(SNOMED, "427359005"),
    "embolism": Coding(SNOMED, "59282003"),
    "oedema": Coding(SNOMED, "19242006"),
}
THERE, GONE, UNSURE = "there", "not there", "not comparable"
PRESENT, ABSENT = Presence.PRESENT, Presence.NOT_DETECTED

#: finding, the report's text, what it says of the finding
SENTENCES = [
    # said plainly
    ("pneumothorax", "Small left apical pneumothorax.", THERE),
    ("pneumothorax", "There is a large right pneumothorax.", THERE),
    ("pneumothorax", "Bilateral pneumothoraces are present.", THERE),
    ("pneumothorax", "Pneumothorax: present", THERE),
    ("effusion", "Moderate right pleural effusion is seen.", THERE),
    ("effusion", "Small bilateral pleural effusions, unchanged.", THERE),
    ("emphysema", "Severe centrilobular emphysema in the upper lobes.", THERE),
    ("emphysema", "Pulmonary emphysema is seen.", THERE),
    ("bleed", "Acute left frontal intracranial haemorrhage measuring 2.5 cm.", THERE),
    ("bleed", "Acute right subdural hematoma, 8 mm.", THERE),
    ("oedema", "Mild pulmonary edema.", THERE),
    # denied plainly
    ("pneumothorax", "No pneumothorax.", GONE),
    ("pneumothorax", "There is no pneumothorax.", GONE),
    ("pneumothorax", "No evidence of pneumothorax.", GONE),
    ("pneumothorax", "No pneumothorax is seen.", GONE),
    ("pneumothorax", "Pneumothorax is not seen.", GONE),
    ("pneumothorax", "Pneumothorax: none.", GONE),
    ("pneumothorax", "Negative for pneumothorax.", GONE),
    ("embolism", "Absence of pulmonary embolism.", GONE),
    ("effusion", "Lungs and pleura: No pleural effusion.", GONE),
    ("pneumothorax", "No evidence of\npneumothorax.", GONE),
    # lists of what is denied
    ("effusion", "No pneumothorax, pleural effusion, or consolidation.", GONE),
    ("consolidation", "No pneumothorax, pleural effusion, or consolidation.", GONE),
    ("effusion", "No pneumothorax or pleural effusion.", GONE),
    ("effusion", "No pneumothorax, small pleural effusion.", UNSURE),
    ("effusion", "No pneumothorax and pleural effusion.", UNSURE),
    ("effusion", "No pneumothorax or consolidation, pleural effusion.", UNSURE),
    ("consolidation", "No focal consolidation, pleural effusion or pneumothorax.", UNSURE),
    ("effusion", "No focal consolidation, pleural effusion or pneumothorax.", UNSURE),
    # a kind or a place at one item may speak of all of them
    ("bleed", "No new infarct or intracranial hemorrhage.", UNSURE),
    ("pneumothorax", "No large pleural effusion or pneumothorax.", UNSURE),
    ("pneumothorax", "No pneumothorax or pleural effusion on the left.", UNSURE),
    ("effusion", "No pneumothorax or pleural effusion on the left.", UNSURE),
    ("pneumothorax", "No fracture, pneumothorax or pleural effusion in the right lung.", UNSURE),
    ("effusion", "No large fracture, pneumothorax or pleural effusion.", UNSURE),
    ("pneumothorax", "There is no acute fracture, or pneumothorax.", UNSURE),
    ("bleed", "No intracranial hemorrhage or mass effect in the left hemisphere.", UNSURE),
    ("effusion", "No mediastinal or left pleural effusion.", UNSURE),
    ("pneumothorax", "No tension or pneumothorax.", UNSURE),
    ("fracture", "No orbital emphysema or fracture.", UNSURE),
    ("embolism", "No pulmonary embolism or pneumonia in the lower lobes is seen.", UNSURE),
    ("pneumothorax", "No pneumothorax, small pleural effusion.", UNSURE),
    ("consolidation", "Small left pneumothorax without large pleural effusion or consolidation.", UNSURE),
    ("pneumothorax", "Small left pneumothorax without large pleural effusion or consolidation.", THERE),
    # other things that stand there as a whole speak of nothing else
    ("bleed", "No mass effect, midline shift or intracranial hemorrhage.", GONE),
    ("bleed", "No infarct or intracranial hemorrhage.", GONE),
    ("pneumothorax", "No airspace disease, pleural effusion, or pneumothorax is seen.", GONE),
    # a denial of a part, and one behind the finding
    ("pneumothorax", "No left pneumothorax.", UNSURE),
    ("effusion", "No large pleural effusion.", UNSURE),
    ("bleed", "No acute intracranial hemorrhage.", UNSURE),
    ("bleed", "No subdural hematoma.", UNSURE),
    ("pneumothorax", "No pneumothorax in the left lung.", UNSURE),
    ("pneumothorax", "Small left pneumothorax without mediastinal shift.", THERE),
    ("effusion", "Small left pneumothorax without pleural effusion.", GONE),
    ("pneumothorax", "Small left pneumothorax without.", UNSURE),
    ("pneumothorax", "Small left pneumothorax, no tension.", UNSURE),
    ("pneumothorax", "No pneumothorax without effusion.", UNSURE),
    # doubt
    ("pneumothorax", "Possible small pneumothorax.", UNSURE),
    ("pneumothorax", "Small pneumothorax cannot be excluded.", UNSURE),
    ("pneumothorax", "Suspected left pneumothorax.", UNSURE),
    ("pneumothorax", "There may be a small pneumothorax.", UNSURE),
    ("pneumothorax", "Small left pneumothorax?", UNSURE),
    ("pneumothorax", "?Small left pneumothorax.", UNSURE),
    ("pneumothorax", "r/o pneumothorax.", UNSURE),
    ("effusion", "Pleural effusion versus consolidation.", UNSURE),
    # the past, and other people's words
    ("pneumothorax", "History of left pneumothorax.", UNSURE),
    ("pneumothorax", "The pneumothorax is no longer seen.", UNSURE),
    ("pneumothorax", "Resolved left pneumothorax.", UNSURE),
    ("pneumothorax", "Prior small left pneumothorax.", UNSURE),
    ("emphysema", "Patient with severe emphysema.", UNSURE),
    # other things with the same word
    ("emphysema", "Extensive subcutaneous emphysema.", UNSURE),
    ("fracture", "No vertebral compression fracture.", UNSURE),
    ("effusion", "Small pericardial effusion.", UNSURE),
    # abbreviations, lists without an end, names that stand alone
    ("pneumothorax", "V.a. Pneumothorax.", UNSURE),
    ("pneumothorax", "Poss. small pneumothorax.", UNSURE),
    ("pneumothorax", "Pneumothorax.", UNSURE),
    ("effusion", "The following are absent:\n- large pneumothorax.\n- small pleural effusion.", UNSURE),
    ("effusion", "No evidence of\n- small pleural effusion", UNSURE),
    ("effusion", "1. No pneumothorax\n2. Small left pleural effusion", THERE),
    # sections
    ("pneumothorax", "INDICATION: Small left pneumothorax.\nFINDINGS: No pneumothorax.", GONE),
    ("pneumothorax", "CLINICAL HISTORY: Small left pneumothorax.", UNSURE),
    ("pneumothorax", "COMPARISON\nSmall left pneumothorax.\nFINDINGS\nNo pleural effusion.", UNSURE),
    ("pneumothorax", "FINDINGS: Possible small pneumothorax.\nIMPRESSION: Small left pneumothorax.", THERE),
    ("pneumothorax", "FINDINGS: Small left pneumothorax.\nIMPRESSION: Possible pneumothorax.", UNSURE),
    ("pneumothorax", "FINDINGS: Small left pneumothorax.\nIMPRESSION: No pneumothorax.", UNSURE),
    ("pneumothorax", "No pneumothorax. Small right pneumothorax.", UNSURE),
    ("pneumothorax", "IMPRESSION: No pneumothorax.\nADDENDUM: Small left pneumothorax.", UNSURE),
    # other languages, and silence
    ("pneumothorax", "Kein Pneumothorax.", UNSURE),
    ("pneumothorax", "Kleiner Pneumothorax links.", UNSURE),
    ("pneumothorax", "Geen pneumothorax.", UNSURE),
    ("pneumothorax", "Pas de pneumothorax.", UNSURE),
    ("emphysema", "The lungs are clear.", UNSURE),
    ("emphysema", "", UNSURE),
]


def final(text: str = "", *stated: Stated) -> FinalReport:
    """A signed report."""
    return FinalReport(Identifier("A1", "RIS"), MRN, "final", NOW, "HL7 RIS|HOSPITAL", NOW, stated, text)


def model(
    code: Coding, presence: Presence, value: Quantity | None = None, threshold: Quantity | None = None
) -> Findings:
    """One finding of one model."""
    return Findings("m", "1", "1.2", (Finding("f", code, presence, value, threshold),))


def stance(text: str, code: Coding, presence: Presence, *stated: Stated) -> Comparison:
    """The one comparison."""
    (found,) = compare(final(text, *stated), [model(code, presence)])
    assert found.finding == "m.f"
    return found


@pytest.mark.parametrize(("finding", "text", "says"), SENTENCES)
def test_a_sentence_agrees_or_contradicts_only_where_it_is_certain(finding: str, text: str, says: str) -> None:
    wanted = {
        THERE: (Agreement.AGREES, Agreement.DISCORDANT),
        GONE: (Agreement.DISCORDANT, Agreement.AGREES),
        UNSURE: (Agreement.NOT_COMPARABLE, Agreement.NOT_COMPARABLE),
    }[says]
    assert tuple(stance(text, CODES[finding], presence).agreement for presence in (PRESENT, ABSENT)) == wanted


def test_the_table_has_many_sentences_of_each_kind() -> None:
    assert len(SENTENCES) >= 40
    assert min(sum(says == kind for *_, says in SENTENCES) for kind in (THERE, GONE, UNSURE)) >= 10


CERTAIN = [(finding, text) for finding, text, says in SENTENCES if says != UNSURE and "\n" not in text]


@given(st.sampled_from(CERTAIN), st.sampled_from(sorted(words.DOUBT | words.HISTORY)), st.data())
def test_a_word_of_doubt_or_history_anywhere_in_a_sentence_makes_it_not_comparable(
    sentence: tuple[str, str], word: str, data: st.DataObject
) -> None:
    finding, text = sentence
    spoken = text.rstrip(".").split(" ")
    at = data.draw(st.integers(0, len(spoken)))
    doubted = " ".join([*spoken[:at], word, *spoken[at:]]) + "."
    for presence in (PRESENT, ABSENT):
        assert stance(doubted, CODES[finding], presence).agreement is Agreement.NOT_COMPARABLE, doubted


@given(st.sampled_from(CERTAIN), st.text(st.characters(categories=["Ll", "Lu"]), min_size=4, max_size=12), st.data())
def test_a_word_that_is_not_known_makes_a_sentence_not_comparable(
    sentence: tuple[str, str], word: str, data: st.DataObject
) -> None:
    known = {part for phrase in terms.phrases() for part in phrase.words} | words.KNOWN | words.PARTS
    if word.lower() in known:
        return
    finding, text = sentence
    spoken = text.rstrip(".").split(" ")
    at = data.draw(st.integers(1, len(spoken)))
    strange = " ".join([*spoken[:at], word, *spoken[at:]]) + "."
    assert stance(strange, CODES[finding], PRESENT).agreement is Agreement.NOT_COMPARABLE, strange


@given(st.text())
def test_no_text_breaks_the_reader_and_no_reason_quotes_it(text: str) -> None:
    found = stance(text + "Quentina", CODES["pneumothorax"], PRESENT)
    assert "Quentina" not in found.reason


@pytest.mark.parametrize("ours", [PRESENT, ABSENT])
@pytest.mark.parametrize("theirs", [PRESENT, ABSENT])
def test_a_code_is_compared_with_the_finding(ours: Presence, theirs: Presence) -> None:
    found = stance("", CODES["pneumothorax"], ours, Stated(CODES["pneumothorax"], theirs))
    assert found.agreement is (Agreement.AGREES if ours is theirs else Agreement.DISCORDANT)


@pytest.mark.parametrize("system", [terms.RADLEX, "http://radlex.org"])
def test_a_code_of_another_system_that_means_the_same_is_compared(system: str) -> None:
    stated = Stated(Coding(system, "RID5352"), PRESENT)
    assert stance("", CODES["pneumothorax"], PRESENT, stated).agreement is Agreement.AGREES
    assert stance("", CODES["effusion"], PRESENT, stated).agreement is Agreement.NOT_COMPARABLE


def test_a_code_that_is_not_verified_says_nothing() -> None:
    stated = Stated(Coding(terms.RADLEX, "RID5350"), PRESENT)
    assert stance("", Coding(SNOMED, "233604007"), ABSENT, stated).agreement is Agreement.NOT_COMPARABLE


def test_the_very_code_of_a_finding_is_compared_though_no_table_knows_it() -> None:
    own = Coding("urn:sightline:observation", "something")
    assert stance("", own, PRESENT, Stated(own, ABSENT)).agreement is Agreement.DISCORDANT
    assert "no verified code" in stance("Small pneumothorax is seen.", own, PRESENT).reason


def test_codes_that_contradict_each_other_or_the_text_are_not_compared() -> None:
    code = CODES["pneumothorax"]
    both = stance("", code, PRESENT, Stated(code, PRESENT), Stated(code, ABSENT))
    text = stance("No pneumothorax.", code, PRESENT, Stated(code, PRESENT))
    assert {both.agreement, text.agreement} == {Agreement.NOT_COMPARABLE}
    assert "contradicts itself" in both.reason
    same = stance("Small left pneumothorax.", code, PRESENT, Stated(code, PRESENT))
    assert same.agreement is Agreement.AGREES


def test_a_code_without_presence_says_nothing() -> None:
    code = CODES["pneumothorax"]
    assert stance("", code, PRESENT, Stated(code, Presence.MEASURED)).agreement is Agreement.NOT_COMPARABLE


def test_silence_is_no_negative() -> None:
    found = stance("No pleural effusion.", CODES["pneumothorax"], ABSENT)
    assert found == Comparison("m.f", Agreement.NOT_COMPARABLE, "the report's text does not mention it")


@pytest.mark.parametrize(("percent", "agreement"), [(9.9, Agreement.DISCORDANT), (10.0, Agreement.AGREES)])
def test_a_measurement_with_a_threshold_of_its_own_is_there_from_the_threshold_on(
    percent: float, agreement: Agreement
) -> None:
    measured = model(CODES["emphysema"], Presence.MEASURED, value=Quantity(percent, "%"), threshold=Quantity(10.0, "%"))
    (found,) = compare(final("Mild emphysema is seen."), [measured])
    assert found.agreement is agreement


def test_a_measurement_without_a_threshold_or_in_another_unit_is_not_compared() -> None:
    other = model(CODES["emphysema"], Presence.MEASURED, value=Quantity(10.0, "%"), threshold=Quantity(0.1, "1"))
    found = compare(final("Mild emphysema is seen.", Stated(codes.LAA_950, PRESENT)), [density(), other])
    assert [one.agreement for one in found] == [Agreement.NOT_COMPARABLE] * 2
    assert [one.finding for one in found] == ["ct_lung_density.laa_950", "m.f"]


def test_what_was_not_evaluated_is_not_compared() -> None:
    silent = model(CODES["pneumothorax"], Presence.NOT_EVALUATED)
    outcomes: list[Findings | NotEvaluated] = [refusal(), silent]
    assert compare(final("Small left pneumothorax."), outcomes) == ()


def test_every_code_and_phrase_of_the_table_names_its_evidence() -> None:
    for term in terms.TABLE:
        assert all(code.evidence for code in term.codes)
        assert all(phrase.evidence for phrase in term.phrases)
        assert all(word == word.lower() and word.isalpha() for phrase in term.phrases for word in phrase.words)
    titles = [term.title for term in terms.loaded()]
    assert "pneumothorax" in titles
    assert "vertebral compression fracture" not in titles
    assert all(code.verified for term in terms.loaded() for code in term.codes)


def test_every_snomed_code_of_the_table_has_a_right_check_digit() -> None:
    snomed = [code.coding.code for term in terms.TABLE for code in term.codes if code.coding.system == SNOMED]
    assert len(snomed) >= len(terms.TABLE)
    assert all(verhoeff(code) for code in snomed)


def test_no_phrase_names_two_findings() -> None:
    phrases = [phrase.words for phrase in terms.phrases()]
    assert len(set(phrases)) == len(phrases)
    assert not set(phrases) & set(terms.OTHER_THINGS)

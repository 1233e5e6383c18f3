"""The second language, proved on two pathways: every sentence of theirs and of what they share is there in German."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import date
from functools import cache
from importlib import resources

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Finding, Presence
from cds.domain.identity import Sex
from cds.domain.recommendation import Case, CouldNotTell, PathwayOutcome
from cds.pathways import card, language
from cds.pathways._facts import NONE_FOUND
from cds.pathways.aorta import aorta
from cds.pathways.liver import liver
from cds.pathways.merging import merged
from tests.unit.clinical import TODAY
from tests.unit.pathway_records import advice, answer, changed, item, measured, record, study, value

#: The sentence is the first argument of `found.say`, the second of `say(language, …)`; a card names its sections.
FIRST = ("aorta", "_aorta_steps", "liver", "_liver_tests", "_liver_steps", "_aortic", "_sentences", "_guards")
SECOND = ("_reasoning", "card", "merging")
PLACEHOLDER = re.compile(r"\{\w+\}")
REFERRAL = actions.VASCULAR_SURGERY_REFERRAL
MALE = {"sex": Known(Sex.MALE, None, "patient demographics")}
LABS = {
    measurement_codes.AST: value(20, "U/L"),
    measurement_codes.ALT: value(25, "U/L"),
    measurement_codes.PLATELETS: value(100, "10*3/uL"),
}


@cache
def sentences(module: str) -> tuple[str, ...]:
    """What a file says, as Babel extracts it."""
    keywords = {"say": (1,)} if module in FIRST else {"say": (2,), "section": (1,)}
    with (resources.files("cds.pathways") / f"{module}.py").open("rb") as file:
        return tuple(str(message) for _, message, _, _ in extract("python", file, keywords))


@cache
def german() -> Catalog:
    """The German catalogue."""
    path = resources.files("cds.pathways") / "locale/de/LC_MESSAGES/pathways.po"
    with path.open("rb") as file:
        return read_po(file, locale="de")


def translated(english: str) -> str:
    """The German of a sentence, "" where there is none."""
    message = german().get(english)
    return str(message.string) if message else ""


@pytest.mark.parametrize("module", FIRST + SECOND)
def test_every_sentence_has_a_german_translation_with_the_same_placeholders(module: str) -> None:
    found = sentences(module)
    assert found
    for english in found:
        told = translated(english)
        assert told, english
        assert sorted(PLACEHOLDER.findall(told)) == sorted(PLACEHOLDER.findall(english)), english


@pytest.mark.parametrize("pathway", [aorta, liver])
def test_titles_and_limits_of_the_pathway_and_what_it_asks_are_there_in_german(pathway: object) -> None:
    asked = [one.title for one in pathway.asks if one.kind != "request"]
    steps = [one.display for one in actions.ACTIONS.values() if procedure_codes.ORDERED[one.code] in pathway.asks]
    for english in (pathway.title, *pathway.limits, *asked, *steps):
        assert translated(english), english


def test_what_every_card_says_without_a_literal_is_there_in_german() -> None:
    detail = card.detail(advice(aorta(replace(cases()["surgery"], language="en"))))
    disclaimer = detail.rpartition("\n\n")[2]
    for english in (disclaimer, NONE_FOUND, "Source"):
        assert english in detail
        assert translated(english), english


def test_no_translation_is_fuzzy_or_empty() -> None:
    assert [message.id for message in german() if message.id and (message.fuzzy or not message.string)] == []


def cases() -> dict[str, Case]:
    """Studies that between them make both pathways say most of what they can, in German."""
    pain = {condition_codes.BACK_PAIN: item(TODAY, "Lumbago")}
    repaired = {procedure_codes.AORTIC_REPAIR: Unknown("keine Quelle")}
    late = {measurement_codes.AST: value(20, "U/L", date(2026, 1, 1)), measurement_codes.ALT: value(20, "U/L", None)}
    stiff = {measurement_codes.LIVER_STIFFNESS: value(9, "kPa")}
    scanned = {procedure_codes.ELASTOGRAPHY: item(date(2026, 10, 1), "Elastographie")}
    return {
        "surgery": _aorta(56.0),
        "surveillance": _aorta(42.0, condition_codes.ABDOMINAL_AORTIC_ANEURYSM, months=9),
        "first": _aorta(31.0),
        "rescreen": _aorta(27.0),
        "six months": _aorta(52.0),
        "unsexed": _aorta(52.0, sex=Unknown("keine Angabe")),
        "painful": _aorta(52.0, facts=pain),
        "small and painful": _aorta(42.0, facts=pain),
        "palliative": _aorta(52.0, facts=pain | {condition_codes.PALLIATIVE_CARE: item(text="Hospiz")}),
        "repaired": _aorta(56.0, facts={procedure_codes.AORTIC_REPAIR: item(text="Prothese")}),
        "referred": _aorta(56.0, facts={procedure_codes.ORDERED[REFERRAL.code]: item(text="Überweisung")}),
        "overdue": replace(_aorta(42.0), today=date(2028, 3, 1)),
        "imaged early": _aorta(42.0, facts={procedure_codes.ABDOMINAL_AORTA_IMAGING: item(TODAY, "Sonographie")}),
        "may grow": _aorta(42.0, facts={}, months=9, millimetres=12.0, beyond=None),
        "unknown": _aorta(42.0, facts=repaired | {condition_codes.ABDOMINAL_PAIN: item(None)}),
        "growing": _aorta(42.0, months=11, millimetres=12.0),
        "unmeasured": _unmeasured(finding_codes.ABDOMINAL_AORTA),
        "blood tests": _liver({}),
        "late": _liver(LABS | late),
        "elastography": _liver(LABS),
        "scanned": _liver(LABS | scanned),
        "stiff": _liver(LABS | stiff),
        "young": _liver(LABS, birth_date=Known(date(1996, 1, 1), None, "Stammdaten")),
        "ageless": _liver(LABS, birth_date=Unknown("keine Angabe")),
        "acute": _liver(LABS | {measurement_codes.ALT: value(900, "U/L")}),
        "old stiffness": _liver(LABS | {measurement_codes.LIVER_STIFFNESS: value(15, "kPa", None)}),
        "no liver": _unmeasured(finding_codes.LIVER_ATTENUATION),
    }


def _aorta(mm: float, known: object = None, months: int = 0, millimetres: float = 1.0, **changes: object) -> Case:
    facts = changes.pop("facts", {}) | ({known: item(text="Aortenaneurysma")} if known else {})
    beyond = changes.pop("beyond", True if millimetres > 2 else None)
    grown = changed(millimetres, "mm", 30 * months, beyond) if months else None
    seen = measured(finding_codes.ABDOMINAL_AORTA, mm, "mm", change=grown)
    return _german(study(record(aorta.asks, facts, **(MALE | changes)), replace(seen, limits=())))


def _liver(facts: dict[object, object], **changes: object) -> Case:
    seen = measured(finding_codes.LIVER_ATTENUATION, 38.0, "[hnsf'U]")
    return _german(study(record(liver.asks, facts, **changes), replace(seen, limits=())))


def _unmeasured(code: object) -> Case:
    refused = answer(Finding("key", code, Presence.NOT_EVALUATED, reason="Kontrastmittel"))
    return _german(study(record((*aorta.asks, *liver.asks)), replace(refused, limits=())))


def _german(case: Case) -> Case:
    return replace(case, language="de")


def outcomes(name: str) -> tuple[PathwayOutcome, ...]:
    """What both pathways say of a case."""
    return merged((aorta(cases()[name]), liver(cases()[name])))


def texts(told: object) -> Iterator[str]:
    """Every text in an answer, but the display of codes: that is the word of the code system."""
    if isinstance(told, Coding):
        return
    if isinstance(told, str):
        yield told
    elif isinstance(told, tuple | list):
        for one in told:
            yield from texts(one)
    elif is_dataclass(told):
        for one in fields(told):
            yield from texts(getattr(told, one.name))


@pytest.mark.parametrize("name", list(cases()))
def test_an_answer_in_german_has_no_english_sentence_of_the_catalogue(name: str) -> None:
    spoken = [one for one in outcomes(name) if one.kind != "nothing"]
    assert spoken, name
    details = [card.detail(one) for one in spoken if one.kind == "advice"]
    said = [text for one in spoken for text in texts(replace(one, steps=()))]
    for module in FIRST + SECOND:
        for english in sentences(module):
            if translated(english) != english:
                pattern = re.compile(PLACEHOLDER.sub(".*", re.escape(english).replace(r"\{", "{").replace(r"\}", "}")))
                assert not [text for text in said if pattern.fullmatch(text)], english
                parts = [part for part in PLACEHOLDER.split(english) if len(part) >= 12]
                assert not [part for part in parts for detail in details if part in detail], english


def test_a_german_card_reads_as_one() -> None:
    detail = card.detail(advice(aorta(cases()["painful"])))
    assert "**Sofort die Gefäßchirurgie anrufen: schmerzhaftes Bauchaortenaneurysma** (bis 2026-11-22)." in detail
    assert "Die Bauchaorta misst 5.2 cm, und Schmerzen sind dokumentiert." in detail
    assert "**Zu erwägen**" in detail
    assert advice(liver(cases()["elastography"])).summary == "Fett in der Leber am 2026-11-02 (KI), FIB-4 2.52."


def test_what_merging_adds_is_german_too() -> None:
    one = advice(liver(cases()["stiff"]))
    other = advice(aorta(cases()["surgery"]))
    grown = replace(other, finding_keys=one.finding_keys, raises=one.finding_keys, recommendations=())
    (raised,) = (told for told in merged((one, grown)) if told.pathway == "liver")
    assert "Höher eingestuft wegen Veränderung" in raised.recommendations[0].because[-1]
    repeat = replace(other.recommendations[0], code=actions.REPEAT_FIB4)
    (against, _) = merged((one, replace(other, recommendations=(repeat,))))
    assert "ein Mensch entscheidet" in against.contradictions[0]


def test_an_unknown_language_is_english() -> None:
    for pathway in (aorta, liver):
        for case in cases().values():
            strange, english = (pathway(replace(case, language=code)) for code in ("tlh", "en"))
            if isinstance(english, CouldNotTell) or english.kind == "nothing":
                assert strange == english
            else:
                assert replace(advice(strange), language="en") == english


def test_the_languages_are_english_and_german() -> None:
    assert language.languages() == ("en", "de")
    assert language.say("de", "Remarks") == "Anmerkungen"
    assert language.say("de", "A sentence that no catalogue has.") == "A sentence that no catalogue has."

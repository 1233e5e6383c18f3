"""Whom the imaging-findings service answers, what it shows and what it keeps back (SAFETY sections 1, 4 and 6)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from cds.domain.coding import Quantity
from cds.domain.ehr import Unknown
from cds.domain.identity import Identifier, Sex
from cds.domain.recommendation import Case, NothingToSay, PathwayOutcome
from cds.domain.report import Audience, Release
from cds.domain.story import Withdrawn
from cds.domain.verification import FindingRef, Verdict, Verification
from tests.unit.clinical import (
    DAILY,
    MRN,
    NEVER,
    NOW,
    PACK_YEARS,
    SMOKING,
    STUDY_UID,
    density,
    ehr,
    patient,
    record,
    refusal,
    report,
    said,
    study,
)
from tests.unit.hook_desk import FAILED, PATIENT, Desk, only_emphysema

# --- who is asked about


def test_a_patient_who_cannot_be_mapped_gets_a_card_that_says_so() -> None:
    desk = Desk(who=patient(identifiers=()))
    (card,) = desk.call()
    assert "cannot match this patient" in card["summary"]
    assert "does not mean that there is none" in card["detail"]
    assert "suggestions" not in card
    assert desk.noted == ()


def test_a_mapped_patient_without_a_report_gets_no_card() -> None:
    desk = Desk(reports=())
    assert desk.call() == []
    assert desk.noted == ()
    stranger = Desk(who=patient(identifiers=(replace(MRN, value="4712"),)))
    assert stranger.call() == []
    assert stranger.calls[0].whose == "/Patient/1288992"


def test_identifiers_of_two_patients_show_no_result() -> None:
    other = report(of=study("1.2.3.4"), who=patient(id="patient-2"))
    (card,) = Desk(reports=(report(), other)).call()
    assert "more than one patient" in card["detail"]
    assert "emphysema" not in json.dumps(card).lower()


def test_a_contradicting_birth_date_shows_no_result() -> None:
    (card,) = Desk(who=patient(id=None, birth_date=date(1970, 1, 1))).call()
    assert "birth date contradicts" in card["detail"]
    assert "1970" not in json.dumps(card)


def test_identifiers_of_two_stored_patients_show_no_result_even_where_one_has_no_report() -> None:
    other = Identifier("X9", "CLINIC")
    desk = Desk(who=patient(id=None, identifiers=(MRN, other)), owner={MRN: "patient-1", other: "patient-2"})
    (card,) = desk.call()
    assert "more than one patient" in card["detail"]
    assert [note.cards for note in desk.noted] == [0]


def test_why_a_study_was_kept_back_from_a_patient_in_doubt_stands_on_its_timeline() -> None:
    desk = Desk(who=patient(id=None, birth_date=date(1963, 5, 2)))
    desk.call()
    [note] = desk.noted
    assert (note.study_instance_uid, note.patient_id, note.cards) == (STUDY_UID, "patient-1", 0)
    assert note.quiet == ("The birth date contradicts the one that came with the images; a person must decide.",)


def test_a_contradicting_sex_shows_no_result() -> None:
    (card,) = Desk(who=patient(id=None, sex=Sex.MALE)).call()
    assert "sex contradicts" in card["detail"]
    assert "suggestions" not in card


@pytest.mark.parametrize("sex", [Sex.FEMALE, Sex.OTHER, Sex.UNKNOWN])
def test_a_sex_that_is_not_stated_as_the_other_contradicts_nothing(sex: Sex) -> None:
    (card,) = Desk(who=patient(id=None, sex=sex)).call()
    assert "suggestions" in card


def test_two_identifiers_of_one_patient_give_each_study_once() -> None:
    desk = Desk(who=patient(id=None, identifiers=(MRN, MRN)))
    assert len(desk.call()) == 1


# --- what may be shown


def test_a_report_that_is_not_released_to_referral_makes_no_card_and_tells_the_timeline_why() -> None:
    withheld = Release(frozenset({Audience.RADIOLOGIST}), ("referral: waits for a radiologist's verification",))
    desk = Desk(reports=(report(withheld),))
    assert desk.call() == []
    assert [(s.study_instance_uid, s.cards, s.quiet) for s in desk.noted] == [(STUDY_UID, 0, withheld.withheld)]


def test_the_release_of_now_counts_and_not_the_one_that_was_stored() -> None:
    closed = Release(frozenset({Audience.RADIOLOGIST}), ("referral: the release matrix never lets it go there",))
    desk = Desk(release=lambda _: closed)
    assert desk.call() == []
    assert [(s.study_instance_uid, s.cards, s.quiet) for s in desk.noted] == [(STUDY_UID, 0, closed.withheld)]


def test_whoever_opens_a_patient_is_told_that_a_result_which_was_shown_there_is_another_patients() -> None:
    told = Withdrawn(STUDY_UID, date(2026, 11, 2), NOW - timedelta(days=1))
    [card] = Desk(reports=(), withdrawn=(told,)).call()
    assert card["summary"] == "Withdrawn: the AI result of images of 2026-11-02 that was shown here does not hold"
    assert card["indicator"] == "warning"
    assert Desk(reports=(), withdrawn=(replace(told, at=NOW - timedelta(days=91)),)).call() == []


def test_a_card_says_what_the_radiologist_said_of_the_finding() -> None:
    ref = FindingRef(STUDY_UID, 1, "ct_lung_density", "0.1.0", "laa_950")
    confirmed = Verification(ref, Verdict.CONFIRMED, "Dr Who", "radiologist", NOW)
    [card] = Desk(reports=(replace(report(), verifications=(confirmed,)),)).call()
    assert "confirmed by a radiologist on" in card["detail"]
    assert "Dr Who" not in card["detail"]


def test_a_card_knows_when_a_radiologist_last_said_that_its_finding_is_there() -> None:
    ref = FindingRef(STUDY_UID, 1, "ct_lung_density", "0.1.0", "laa_950")
    confirmed = Verification(ref, Verdict.CONFIRMED, "Dr Who", "radiologist", NOW)
    other = replace(confirmed, finding=replace(ref, key="other"), at=NOW + timedelta(days=1))
    for said_of_it, at in [((confirmed, other), NOW), ((other,), None), ((), None)]:
        desk = Desk(reports=(replace(report(), verifications=said_of_it),))
        desk.call()
        [shown] = desk.calls[-1].shown
        assert shown.about.confirmed_at == at


def test_pathways_rest_on_the_radiologists_value_and_not_on_a_rejected_finding() -> None:
    ref = FindingRef(STUDY_UID, 1, "ct_lung_density", "0.1.0", "laa_950")
    corrected = Verification(ref, Verdict.CORRECTED, "Dr Who", "radiologist", NOW, corrected=Quantity(2.0, "%"))
    desk = Desk(reports=(replace(report(), verifications=(corrected,)),))
    assert desk.call() == []
    rejected = Desk(reports=(replace(report(), verifications=(replace(corrected, verdict=Verdict.REJECTED),)),))
    assert rejected.call() == []


def test_a_study_that_no_model_could_evaluate_makes_no_card() -> None:
    desk = Desk(reports=(report(outcomes=(refusal(),)),))
    assert desk.call() == []
    assert desk.noted[0].quiet == ("no model could evaluate this study",)


def test_a_negative_makes_no_card() -> None:
    desk = Desk(reports=(report(outcomes=(density(2.0),)),))
    assert desk.call() == []
    assert "does not exclude" in desk.noted[0].quiet[0]


def test_what_failed_is_one_card_beside_the_advice() -> None:
    def some(case: Case) -> tuple[PathwayOutcome, ...]:
        return (*only_emphysema(case), FAILED, FAILED, NothingToSay("bone", "does not apply"))

    desk = Desk(evaluate=some)
    advice, untold = desk.call()
    assert "suggestions" in advice
    assert untold["summary"].startswith("Not evaluated (images of 2026-11-02): Lung nodule")
    assert "not a negative result" in untold["detail"]
    assert desk.noted[0].quiet == ("bone: does not apply",)
    assert desk.noted[0].cards == 2


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        ({"site": {}}, "emphysema: not evaluated: the site has set no cut-off"),
        (
            {"site": {"emphysema.laa_950_percent": "ten"}},
            "emphysema: the site option emphysema.laa_950_percent: want a number",
        ),
        ({"outcomes": (refusal(),)}, "emphysema: the density of the lung could not be measured"),
        ({"ehr": ehr(smoking_status=Unknown("Unmistakable"))}, "but the smoking status is not known"),
    ],
    ids=["no cut-off", "no number", "refused", "smoking status unknown"],
)
def test_without_its_trigger_inputs_a_pathway_makes_no_card_and_the_timeline_is_told_why(
    trigger: dict[str, Any], reason: str
) -> None:
    desk = Desk(evaluate=lambda case: only_emphysema(replace(case, **trigger)))
    assert desk.call() == []
    ((suppressed,),) = [noted.quiet for noted in desk.noted]
    assert reason in suppressed
    assert "Unmistakable" not in suppressed


def test_images_without_a_study_date_make_no_card() -> None:
    desk = Desk(reports=(report(of=study(study_date=None)),))
    assert desk.call() == []
    assert desk.noted[0].quiet == ("imaging-findings: the images carry no study date",)


# --- the record


def test_the_stored_record_and_the_prefetch_are_one_record() -> None:
    desk = Desk(held=record(said(SMOKING, DAILY)), prefetched=record(said(PACK_YEARS, Quantity(38, "{pack-years}"))))
    without = desk.call()
    with_prefetch = desk.call({"patient": PATIENT, "packYears": {"resourceType": "Bundle", "type": "searchset"}})
    labels = [[s["label"].split(";")[0] for s in cards[0]["suggestions"]] for cards in (without, with_prefetch)]
    assert "Lung cancer screening visit" not in labels[0]
    assert "Lung cancer screening visit" in labels[1]


def test_a_failed_search_of_the_client_is_not_taken_for_absence() -> None:
    desk = Desk(held=record(said(SMOKING, DAILY), searched=()))
    failed = {"patient": PATIENT, "spirometry": {"resourceType": "OperationOutcome"}}
    (card,) = desk.call(failed)
    assert "no source was asked for spirometry" in card["detail"]
    empty = {"patient": PATIENT, "spirometry": {"resourceType": "Bundle", "type": "searchset"}}
    (card,) = desk.call(empty)
    assert "no spirometry found in FHIR spirometry observations" in card["detail"]


def test_the_record_is_read_as_of_the_sites_day() -> None:
    """At 23:30 UTC a site in Auckland lives in the next day: what is dated there so is not in the future."""
    tomorrow = NOW.date() + timedelta(days=1)
    held = record(said(SMOKING, DAILY, NOW.date()), said(SMOKING, NEVER, tomorrow))
    assert Desk(held=held).call()[0]["suggestions"][-1]["label"].startswith("Help to stop smoking")
    east = Desk(held=held, day=tomorrow).call()
    assert not [s for s in east[0]["suggestions"] if s["label"].startswith("Help to stop smoking")]


def test_deceased_on_either_side_is_deceased() -> None:
    assert Desk(who=patient(id=None, deceased=True)).call() == []
    assert Desk(reports=(report(who=patient(deceased=True)),), who=patient(id=None, deceased=False)).call() == []


def test_demographics_that_the_client_lacks_come_from_the_store() -> None:
    (card,) = Desk(who=patient(id=None, birth_date=None)).call()
    assert "age: 63 years" in card["detail"]


def test_what_ends_a_doubt_is_told_with_it() -> None:
    (unmapped,) = Desk(who=patient(identifiers=())).call()
    (contradicted,) = Desk(who=patient(id=None, birth_date=date(1900, 1, 1))).call()
    assert "CDS_IDENTIFIER_SYSTEMS" in unmapped["detail"]
    assert "CDS_IDENTIFIER_SYSTEMS" not in contradicted["detail"]
    assert "have the wrong one corrected" in contradicted["detail"]

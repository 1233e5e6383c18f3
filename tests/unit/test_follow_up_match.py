"""What is the result that a follow-up asked for, what may be, and what is something else.

The codes stand here as their systems publish them (LOINC/RSNA Playbook, SNOMED CT), not as our tables have them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cds import action_codes as actions
from cds.domain.coding import Coding
from cds.domain.follow_up_match import Certainty, Evidence, Wanted
from cds.domain.identity import Identifier
from cds.domain.imaging_order import Exam
from cds.follow_up_match import Matcher

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
IMAGED, ASKED_FROM, LATER = date(2026, 1, 10), date(2026, 7, 10), date(2027, 1, 12)
A1, A2 = Identifier("A1", "RIS"), Identifier("A2", "RIS")
#: Fleischner 2017: CT again at 6 to 12 months (doi:10.1148/radiol.2017161659).
NODULE = Wanted(actions.CHEST_CT_FOLLOW_UP, IMAGED, ASKED_FROM, "1.2", A1)
MATCHER = Matcher()


def found(*codes: Coding, **more: object) -> Evidence:
    """A signed report of another exam, a year later."""
    given = Evidence("report:x", "Signed radiology report", "HL7 RIS", codes, performed=LATER, accession=A2)
    return replace(given, **more)


CT_CHEST = Coding(LOINC, "24627-2", "CT Chest")
CT_CHEST_WITHOUT = Coding(LOINC, "29252-4", "CT Chest WO contrast")
CT_CHEST_WITH = Coding(LOINC, "24628-0", "CT Chest W contrast IV")
CTA_CHEST = Coding(LOINC, "36266-5", "CTA Chest vessels")
CT_ABDOMEN = Coding(LOINC, "36424-0", "CT Abdomen WO contrast")
CT_HEAD = Coding(LOINC, "24725-4", "CT Head")
MR_CHEST = Coding(LOINC, "24629-8", "MR Chest")
XR_CHEST = Coding(LOINC, "30745-4", "XR Chest Views")


@pytest.mark.parametrize("code", [CT_CHEST, CT_CHEST_WITHOUT, CT_CHEST_WITH])
def test_a_later_exam_of_the_same_modality_and_region_is_it_whatever_its_code(code: Coding) -> None:
    verdict = MATCHER.judge(NODULE, found(code))
    assert verdict is not None
    assert verdict.certainty is Certainty.CLEAR
    assert verdict.said == "Signed radiology report of 2027-01-12 (HL7 RIS)"


@pytest.mark.parametrize("code", [CT_HEAD, MR_CHEST, XR_CHEST, Coding("urn:local", "CT1", "CT chest")])
def test_another_exam_or_a_code_that_nobody_knows_is_not(code: Coding) -> None:
    assert MATCHER.judge(NODULE, found(code)) is None


@pytest.mark.parametrize(
    ("result", "doubt"),
    [
        (found(CTA_CHEST), "angiography"),
        (found(CT_ABDOMEN), "of the abdomen, which may hold the chest"),
        (found(CT_CHEST, performed=None), "when it was made is not known"),
        (found(CT_CHEST, performed=IMAGED), "on the day of the images that it would follow"),
        (found(CT_CHEST, performed=date(2026, 3, 1)), "before 2026-07-10"),
        (found(modalities=("CT",), body_parts=("CHEST",)), "headers alone"),
        (found(modalities=("CT",)), "which part of the body was examined is not known"),
        (found(modalities=("CT", "PT"), body_parts=("Whole Body",)), "of the whole-body"),
    ],
)
def test_every_doubt_makes_a_proposal_that_says_it(result: Evidence, doubt: str) -> None:
    verdict = MATCHER.judge(NODULE, result)
    assert verdict is not None
    assert verdict.certainty is Certainty.DOUBTFUL
    assert doubt in verdict.said


@pytest.mark.parametrize(
    "result",
    [
        found(CT_CHEST, performed=date(2026, 1, 9)),
        found(CT_CHEST, accession=A1),
        found(CT_CHEST, study_instance_uid="1.2", accession=None),
        found(modalities=("MR",), body_parts=("CHEST",)),
        found(modalities=("CT",), body_parts=("HEAD",)),
        found(),
    ],
)
def test_the_exam_itself_an_earlier_one_and_another_kind_are_not_results_of_it(result: Evidence) -> None:
    assert MATCHER.judge(NODULE, result) is None


def test_where_the_day_of_the_first_images_is_not_known_nothing_is_sure() -> None:
    verdict = MATCHER.judge(replace(NODULE, since=None), found(CT_CHEST))
    assert verdict is not None
    assert verdict.certainty is Certainty.DOUBTFUL


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (actions.FOLLOW_UP_CHEST_X_RAY, XR_CHEST),
        (actions.DXA, Coding(LOINC, "38268-9", "DXA Skeletal system Views for bone density")),
        (actions.ECHOCARDIOGRAPHY, Coding(SNOMED, "433236007", "Transthoracic echocardiography")),
        (actions.NT_PROBNP, Coding(LOINC, "33762-6", "NT-proBNP")),
        (actions.PET_CT, Coding(SNOMED, "450436003", "PET CT")),
        (actions.ABDOMINAL_ULTRASOUND, Coding(LOINC, "24558-9", "US Abdomen")),
        (actions.CT_HEAD_UNENHANCED, Coding(LOINC, "30799-1", "CT Head WO contrast")),
        (actions.REPEAT_CALCIUM_SCORE, Coding(LOINC, "36934-8", "CT Heart for calcium scoring")),
    ],
)
def test_each_kind_of_exam_or_test_is_known_by_its_public_code(action: Coding, code: Coding) -> None:
    verdict = MATCHER.judge(Wanted(action, IMAGED), found(code))
    assert verdict is not None
    assert verdict.certainty is Certainty.CLEAR


@pytest.mark.parametrize(
    ("action", "code"),
    [
        (actions.BREAST_RECALL, Coding(LOINC, "24605-8", "MG Breast Diagnostic")),
        (actions.ADRENAL_WORK_UP, CT_ABDOMEN),
        (actions.LUMBAR_MRI, Coding(LOINC, "24968-0", "MR Lumbar spine")),
    ],
)
def test_a_work_up_that_several_exams_could_be_is_only_proposed(action: Coding, code: Coding) -> None:
    verdict = MATCHER.judge(Wanted(action, IMAGED), found(code))
    assert verdict is not None
    assert verdict.certainty is Certainty.DOUBTFUL
    assert "for other reasons" in verdict.said


@pytest.mark.parametrize("action", [actions.CARDIOLOGY_REFERRAL, actions.HEART_FAILURE_REFERRAL, actions.LIPID_VISIT])
def test_no_result_ends_a_referral_or_a_visit(action: Coding) -> None:
    """An echocardiogram asks for the same as the referral, and is not the specialist's assessment."""
    echo = Coding(SNOMED, "433236007", "Transthoracic echocardiography")
    assert MATCHER.judge(Wanted(action, IMAGED), found(echo)) is None
    assert MATCHER.judge(Wanted(action, IMAGED), found(action)) is None


def test_a_code_of_the_site_s_own_counts_where_the_site_says_what_it_is() -> None:
    own = Coding("urn:site", "THX", "Thorax")
    assert MATCHER.judge(NODULE, found(own)) is None
    verdict = Matcher(site={"urn:site|THX": Exam("CT", "chest")}).judge(NODULE, found(own))
    assert verdict is not None
    assert verdict.certainty is Certainty.CLEAR


def test_radiographs_are_radiographs_however_the_detector_works() -> None:
    wanted = Wanted(actions.FOLLOW_UP_CHEST_X_RAY, IMAGED)
    for modality in ("CR", "DX"):
        verdict = MATCHER.judge(wanted, found(modalities=(modality,), body_parts=("CHEST",)))
        assert verdict is not None
        assert verdict.certainty is Certainty.DOUBTFUL

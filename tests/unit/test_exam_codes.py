"""What the codes of imaging orders ask for, and what their reasons mean."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes, condition_codes
from cds import action_codes as actions
from cds.domain.coding import Coding
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.exam_codes import EXAMS, exam, indicated, of_pulmonary_arteries
from cds.ordering.duplicate_imaging import _KINDS, _Kind
from cds.value_sets import CPT, LOINC, SNOMED
from tests.unit.test_codes import mod10, verhoeff

ICD = "http://hl7.org/fhir/sid/icd-10"
#: LOINC's own names (release 2.7x), and the exam that each says.
NAMES = {
    "30799-1": ("CT Head WO contrast", Exam("CT", "head", Contrast.NONE, angiography=False)),
    "24727-0": ("CT Head W contrast IV", Exam("CT", "head", Contrast.IODINATED, angiography=False)),
    "24725-4": ("CT Head", Exam("CT", "head", None, angiography=False)),
    "36147-7": ("CTA Pulmonary arteries W contrast IV", Exam("CT", "chest", Contrast.IODINATED, angiography=True)),
    "24587-8": ("MR Brain WO and W contrast IV", Exam("MR", "head", Contrast.GADOLINIUM, angiography=False)),
    "30679-5": ("MR Lumbar spine WO contrast", Exam("MR", "spine", Contrast.NONE, angiography=False)),
    "24972-2": ("XR Lumbar spine Views", Exam("DX", "spine", Contrast.NONE, angiography=False)),
    "36813-4": ("CT Abdomen and Pelvis W contrast IV", Exam("CT", "abdomen", Contrast.IODINATED, angiography=False)),
    "24558-9": ("US Abdomen", Exam("US", "abdomen", Contrast.NONE, angiography=False)),
    "24606-6": ("MG Breast Screening", Exam("MG", "breast", Contrast.NONE, angiography=False)),
}


@pytest.mark.parametrize(("code", "said"), NAMES.items(), ids=list(NAMES))
def test_a_code_asks_for_what_its_name_says(code: str, said: tuple[str, Exam]) -> None:
    assert exam([Coding(LOINC, code, said[0])], {}) == said[1]
    assert exam([Coding("urn:oid:2.16.840.1.113883.6.1", code)], {}) == said[1]


def test_every_code_has_a_right_check_digit_and_evidence() -> None:
    for (system, code), (_, evidence) in EXAMS.items():
        assert evidence
        if system == SNOMED:
            assert verhoeff(code), code
        elif system == LOINC:
            assert mod10(code), code
        else:
            assert system == CPT
            assert code.isdigit()
            assert len(code) == 5


def test_radiation_is_known_of_every_exam_and_regions_are_those_of_the_domain() -> None:
    regions = {"head", "neck", "chest", "abdomen", "pelvis", "spine", "heart", "breast", "limb", "whole-body", None}
    for found, _ in EXAMS.values():
        assert found.ionising is not None
        assert found.region in regions
        assert not (found.angiography and found.contrast is Contrast.IODINATED and found.modality != "CT")
        assert found.contrast is not Contrast.GADOLINIUM or found.modality == "MR"
        assert found.contrast is not Contrast.IODINATED or found.modality == "CT"


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.done.name)
def test_the_codes_by_which_earlier_exams_are_found_are_known_too(kind: _Kind) -> None:
    for entry in (one for one in kind.done.entries if one.verified):
        found = exam([entry.coding], {})
        assert found, entry.coding
        assert found.modality == kind.modality
        assert found.region in (kind.region, None)


def test_what_the_checks_suggest_instead_is_what_its_code_says() -> None:
    for action, wanted in (
        (actions.ABDOMINAL_ULTRASOUND, ("US", "abdomen", Contrast.NONE)),
        (actions.PELVIC_ULTRASOUND, ("US", "pelvis", Contrast.NONE)),
        (actions.LUMBAR_MRI, ("MR", "spine", Contrast.NONE)),
        (actions.LUMBAR_MRI_WITH, ("MR", "spine", Contrast.GADOLINIUM)),
        (action_codes.CT_HEAD_UNENHANCED, ("CT", "head", Contrast.NONE)),
    ):
        found = exam([action], {})
        assert found
        assert (found.modality, found.region, found.contrast) == wanted


def test_the_site_s_own_codes_go_before_the_public_ones() -> None:
    own = Exam("MR", "limb", Contrast.NONE, angiography=False)
    codes = [Coding("urn:oid:1.2.3", "KNEE"), Coding(LOINC, "24627-2")]
    assert exam(codes, {"KNEE": own}) == own
    assert exam(codes, {"urn:oid:1.2.3|KNEE": own}) == own
    assert exam(codes, {"urn:oid:9.9|KNEE": own}) == EXAMS[(LOINC, "24627-2")][0]


def test_a_code_that_nobody_knows_asks_for_nothing_that_is_known() -> None:
    assert exam([Coding("urn:oid:1.2.3", "X1"), Coding(LOINC, "99999-9")], {}) is None
    assert exam([], {}) is None
    assert exam([Coding(CPT, "24627-2")], {}) is None


def test_several_codes_add_what_the_others_leave_open_and_a_contradiction_is_not_known() -> None:
    chest, without, with_ = Coding(LOINC, "24627-2"), Coding(CPT, "71250"), Coding(LOINC, "24628-0")
    assert exam([chest, without], {}) == Exam("CT", "chest", Contrast.NONE, angiography=False)
    assert exam([without, with_], {}) == Exam("CT", "chest", None, angiography=False)
    assert exam([chest, Coding(LOINC, "24590-2")], {}) is None
    assert exam([chest, Coding(LOINC, "24725-4")], {}) == Exam("CT", None, None, angiography=False)


def test_only_codes_of_the_pulmonary_arteries_say_so() -> None:
    assert of_pulmonary_arteries([Coding(LOINC, "36147-7")])
    assert of_pulmonary_arteries([Coding(SNOMED, "16332841000119106")])
    assert not of_pulmonary_arteries([Coding(LOINC, "36266-5"), Coding(CPT, "71275")])


def reasons(*codings: Coding) -> ImagingOrder:
    """A draft with these reasons."""
    return ImagingOrder("draft-1", (), None, reasons=codings)


def test_a_reason_is_recognised_by_the_value_sets_and_one_that_nobody_can_read_is_not_known() -> None:
    back, other = Coding(ICD, "M54.5"), Coding(ICD, "J18.9")
    own = Coding("urn:oid:1.2.3", "LBP")
    assert indicated(reasons(back), condition_codes.BACK_PAIN) is True
    assert indicated(reasons(own, back), condition_codes.BACK_PAIN) is True
    assert indicated(reasons(other), condition_codes.BACK_PAIN) is False
    assert indicated(reasons(other, own), condition_codes.BACK_PAIN) is None
    assert indicated(reasons(), condition_codes.BACK_PAIN) is None


@given(st.lists(st.sampled_from(sorted(EXAMS)), max_size=4), st.randoms())
def test_the_order_of_codes_does_not_matter(keys: list[tuple[str, str]], random: Random) -> None:
    codes = [Coding(*key) for key in keys]
    shuffled = list(codes)
    random.shuffle(shuffled)
    assert exam(codes, {}) == exam(shuffled, {})

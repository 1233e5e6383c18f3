"""An earlier reaction to contrast medium, rule by rule (SIRM-SIAAIC 2020; ACR manual)."""

from __future__ import annotations

import pytest

from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, EhrData, Known
from cds.domain.imaging_order import Exam
from cds.domain.recommendation import Indicator
from cds.measurement_codes import CONTRAST_ALLERGY
from cds.ordering.contrast_reaction import _CLASSES
from tests.unit.clinical import FOUND_ON, NOT_FOUND, SOURCE
from tests.unit.ordering_cases import (
    CT_CHEST,
    CT_CHEST_ANY,
    CT_CHEST_WITHOUT,
    ICD,
    MR_HEAD_WITH,
    X_RAY_SPINE,
    advises,
    chart,
    draft,
    ordered,
    says,
    silent,
    step,
    untold,
    urgency,
)

CHECK = "contrast_reaction"
CM = "http://hl7.org/fhir/sid/icd-10-cm"
IOHEXOL, GADOBUTROL, ANY = "109218004", "407976008", "293637006"


def allergic(code: str) -> EhrData:
    """An allergy that is on record."""
    item = Known(ClinicalItem(Coding("http://snomed.info/sct", code), "a contrast agent"), FOUND_ON, SOURCE)
    return chart(allergies={CONTRAST_ALLERGY.name: item})


def test_without_contrast_medium_the_check_of_reactions_is_silent() -> None:
    for exam in (CT_CHEST_WITHOUT, X_RAY_SPINE):
        assert silent(CHECK, ordered(draft(exam), allergic(IOHEXOL)))


def test_where_an_allergy_to_contrast_medium_was_searched_for_and_not_found_the_check_is_silent() -> None:
    assert silent(CHECK, ordered(draft(CT_CHEST), chart(allergies={CONTRAST_ALLERGY.name: NOT_FOUND})))


def test_where_nobody_could_be_asked_for_allergies_the_check_of_reactions_cannot_tell() -> None:
    assert "ask the patient" in untold(CHECK, ordered(draft(CT_CHEST), chart())).how_to_get[0]


@pytest.mark.parametrize(("exam", "code"), [(CT_CHEST, IOHEXOL), (MR_HEAD_WITH, GADOBUTROL)])
def test_after_a_reaction_to_the_class_that_is_ordered_another_test_or_another_agent_is_chosen_first(
    exam: Exam, code: str
) -> None:
    case = ordered(draft(exam), allergic(code))
    assert advises(CHECK, case).indicator is Indicator.WARNING
    assert step(CHECK, case).key == "alternative"
    assert any("severity" in one for one in advises(CHECK, case).missing)


@pytest.mark.parametrize("exam", [CT_CHEST, MR_HEAD_WITH])
def test_a_reaction_of_which_the_class_is_not_on_record_counts_for_every_class(exam: Exam) -> None:
    assert step(CHECK, ordered(draft(exam), allergic(ANY))).key == "alternative"


def test_a_reaction_to_another_class_is_told_and_whether_there_was_one_to_this_class_is_asked() -> None:
    advice = advises(CHECK, ordered(draft(CT_CHEST), allergic(GADOBUTROL)))
    assert advice.indicator is Indicator.INFO
    assert advice.recommendations == ()
    assert "allergy list" in advice.missing[0]


@pytest.mark.parametrize("reason", [Coding(CM, "Z91.041"), Coding(ICD, "T50.8"), Coding(CM, "T50.8X5A")])
@pytest.mark.parametrize("exam", [CT_CHEST, MR_HEAD_WITH, CT_CHEST_ANY])
def test_a_reaction_among_the_reasons_of_the_order_counts_whatever_the_record_says(exam: Exam, reason: Coding) -> None:
    searched = chart(allergies={CONTRAST_ALLERGY.name: NOT_FOUND})
    for data in (searched, chart(), allergic(GADOBUTROL), allergic(IOHEXOL)):
        case = ordered(draft(exam, reason), data)
        assert step(CHECK, case).key == "alternative"
        assert any(reason.code in one for one in step(CHECK, case).because)
    assert silent(CHECK, ordered(draft(exam, Coding(ICD, "T50.1")), searched))


def test_of_an_agent_of_the_order_and_one_of_the_record_the_one_of_the_ordered_class_counts() -> None:
    other = Coding("http://snomed.info/sct", GADOBUTROL)
    assert step(CHECK, ordered(draft(CT_CHEST, other), allergic(IOHEXOL))).key == "alternative"
    told = advises(CHECK, ordered(draft(CT_CHEST, other), allergic(GADOBUTROL)))
    assert told.indicator is Indicator.INFO


def test_where_the_order_does_not_say_whether_contrast_is_given_a_reaction_on_record_is_told() -> None:
    assert step(CHECK, ordered(draft(CT_CHEST_ANY), allergic(IOHEXOL))).key == "alternative"


def test_premedication_is_left_to_the_radiologist_for_the_sources_differ() -> None:
    assert "radiologist's decision" in advises(CHECK, ordered(draft(CT_CHEST), allergic(IOHEXOL))).meaning[0]


def test_every_agent_of_the_value_set_has_a_class_or_is_unspecific() -> None:
    agents = {entry.coding.code for entry in CONTRAST_ALLERGY.entries}
    assert set(_CLASSES) <= agents
    assert agents - set(_CLASSES) == {"293637006", "7140000"}


def test_a_reaction_is_never_milder_than_none_and_an_unspecific_one_never_milder_than_another_class() -> None:
    none = says(CHECK, ordered(draft(CT_CHEST), chart(allergies={CONTRAST_ALLERGY.name: NOT_FOUND})))
    other, any_, same = (says(CHECK, ordered(draft(CT_CHEST), allergic(one))) for one in (GADOBUTROL, ANY, IOHEXOL))
    assert urgency(none) < urgency(other) < urgency(any_) == urgency(same)

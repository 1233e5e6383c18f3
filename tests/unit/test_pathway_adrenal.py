"""The pathway for an adrenal mass, rule by rule (ACR 2017)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from cds import action_codes as actions
from cds import finding_codes
from cds.domain.coding import Quantity
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.recommendation import Advice, Case, CouldNotTell, NothingToSay, PathwayOutcome
from cds.pathways import evaluate
from tests.unit.clinical import NOT_FOUND, TODAY, case, ehr, known_item

NO_CANCER = ehr(conditions={"cancer": NOT_FOUND})


def mass(mm: float, hu: float | None = None, change: Change | None = None) -> Case:
    """A CT on which a site's model measured an adrenal mass, in a patient without cancer."""
    found = [Finding("mass", finding_codes.ADRENAL_MASS, Presence.MEASURED, Quantity(mm, "mm"), change=change)]
    if hu is not None:
        density = Quantity(hu, "[hnsf'U]")
        found.append(Finding("density", finding_codes.ADRENAL_ATTENUATION, Presence.MEASURED, density))
    return case(NO_CANCER, (Findings("site_adrenal", "1.0.0", "1.2.3", tuple(found)),))


def since(days: int, mm: float, *, beyond: bool | None) -> Change:
    """What became of it since a prior."""
    return Change("1.2.9", date(2025, 1, 1), days, Quantity(20, "mm"), mm, beyond_error=beyond)


def said(given: Case) -> PathwayOutcome:
    """What the pathway says."""
    (outcome,) = evaluate(given, {"adrenal"})
    return outcome


def step(given: Case) -> str:
    """The one step that it suggests."""
    advice = said(given)
    assert isinstance(advice, Advice), advice
    [only] = advice.recommendations
    return only.action


def test_an_adrenal_mass_below_1_cm_needs_no_follow_up() -> None:
    assert isinstance(said(mass(9.9, hu=30)), NothingToSay)
    assert "washout" in step(mass(25, hu=30)) or "12 months" in step(mass(15, hu=30))


def test_an_adrenal_mass_of_10_hu_or_less_without_contrast_is_an_adenoma_and_needs_no_follow_up() -> None:
    assert isinstance(said(mass(25, hu=10)), NothingToSay)
    assert "washout" in step(mass(25, hu=10.1))


def test_an_adrenal_mass_that_has_been_stable_for_a_year_or_more_needs_no_follow_up() -> None:
    assert isinstance(said(mass(25, hu=30, change=since(365, 0.2, beyond=False))), NothingToSay)
    assert "washout" in step(mass(25, hu=30, change=since(364, 0.2, beyond=False)))
    assert "washout" in step(mass(25, hu=30, change=since(365, 0.2, beyond=None)))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (mass(20, hu=30), "after 12 months"),
        (mass(20.1, hu=30), "washout"),
        (mass(39.9, hu=30), "washout"),
        (mass(40, hu=30), "resection"),
        (mass(25, hu=30, change=since(300, 6, beyond=True)), "12 months, or resection"),
    ],
)
def test_any_other_adrenal_mass_of_1_cm_or_more_is_worked_up(given: Case, wanted: str) -> None:
    assert wanted in step(given)


def test_where_a_work_up_of_the_adrenal_is_open_it_is_not_asked_for_again() -> None:
    request = {actions.request_of(actions.ADRENAL_WORK_UP): known_item(on=TODAY)}
    advice = said(replace(mass(25, hu=30), ehr=replace(NO_CANCER, requests=request)))
    assert isinstance(advice, Advice)
    assert advice.recommendations == ()
    assert "an open request is on record" in advice.notes[0]


def test_whether_the_patient_has_cancer_is_not_assumed() -> None:
    unknown = said(replace(mass(45, hu=30), ehr=ehr(conditions={})))
    assert isinstance(unknown, CouldNotTell)
    assert "look at the problem list" in unknown.how_to_get[0]
    known = replace(NO_CANCER, conditions={"cancer": known_item("363346000", "cancer")})
    assert "PET-CT" in step(replace(mass(45, hu=30), ehr=known))


def test_without_an_attenuation_a_mass_is_not_called_benign() -> None:
    assert not isinstance(said(mass(25)), NothingToSay)


def test_without_a_prior_the_step_stands_and_the_prior_is_asked_for() -> None:
    advice = said(mass(25, hu=30))
    assert isinstance(advice, Advice)
    assert "earlier images" in advice.missing[0]

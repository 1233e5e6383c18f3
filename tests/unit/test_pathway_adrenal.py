"""The pathway for an adrenal mass, rule by rule (ACR 2017)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import permutations

import pytest

from cds import action_codes as actions
from cds import finding_codes
from cds.domain.coding import Quantity
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, CouldNotTell, Indicator, NothingToSay, PathwayOutcome
from cds.pathways import evaluate, load
from tests.unit.clinical import NOT_FOUND, STUDY_DATE, TODAY, case, ehr, known_item

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


def advice(given: Case) -> Advice:
    """What the pathway says, where it says something."""
    told = said(given)
    assert isinstance(told, Advice), told
    return told


def step(given: Case) -> str:
    """The one step that it suggests."""
    [only] = advice(given).recommendations
    return only.action


def sized(mm: float, side: str = "", name: str = "") -> Finding:
    """A mass of one side."""
    code, size = finding_codes.ADRENAL_MASS, Quantity(mm, "mm")
    return Finding(f"mass-{side}-{name}", code, Presence.MEASURED, size, laterality=side, tracking_id=name)


def dense(hu: float, side: str = "", name: str = "") -> Finding:
    """The attenuation of a mass of one side."""
    code, density = finding_codes.ADRENAL_ATTENUATION, Quantity(hu, "[hnsf'U]")
    return Finding(f"hu-{side}-{name}", code, Presence.MEASURED, density, laterality=side, tracking_id=name)


def of(*findings: Finding) -> Case:
    """A CT on which these were found, in a patient without cancer."""
    return case(NO_CANCER, (Findings("site_adrenal", "1.0.0", "1.2.3", findings),))


def asked_on(given: Case, day: date) -> Case:
    """The same, with an open request for a work-up."""
    request = {actions.request_of(actions.ADRENAL_WORK_UP): known_item(on=day)}
    return replace(given, ehr=replace(given.ehr, requests=request))


def of_age(given: Case, years: int) -> Case:
    """The same in somebody of this age on the day of the images."""
    born = Known(date(STUDY_DATE.year - years, STUDY_DATE.month, STUDY_DATE.day), None, "patient demographics")
    return replace(given, ehr=replace(given.ehr, birth_date=born))


def with_cancer(given: Case) -> Case:
    """The same with a cancer on the problem list."""
    return replace(given, ehr=replace(given.ehr, conditions={"cancer": known_item("363346000", "cancer")}))


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


def test_a_work_up_that_was_asked_for_stops_another_one_if_it_was_after_these_images_and_no_paediatrician() -> None:
    after, before = (asked_on(mass(25, hu=30), day) for day in (TODAY, STUDY_DATE))
    assert advice(after).recommendations == ()
    assert "an open request is on record" in advice(after).notes[0]
    assert "washout" in step(before)
    assert "paediatrics" in step(asked_on(of_age(mass(25, hu=30), 5), TODAY))


def test_below_18_years_a_mass_of_the_adrenal_is_told_to_paediatrics_whatever_its_size() -> None:
    for given in (mass(25, hu=30), mass(25, hu=2), mass(8)):
        told = advice(of_age(given, 17))
        (only,) = told.recommendations
        assert (only.key, only.priority, only.acr_category) == ("paediatrics", Priority.URGENT, 3)
        assert told.indicator is Indicator.WARNING
    assert isinstance(said(of_age(mass(25, hu=2), 18)), NothingToSay)


def test_without_a_known_age_the_pathway_cannot_tell() -> None:
    unknown = said(replace(mass(25, hu=2), ehr=replace(NO_CANCER, birth_date=Unknown("not stated"))))
    assert isinstance(unknown, CouldNotTell)
    assert unknown.missing[0].startswith("age")


def test_of_several_masses_each_is_judged_for_itself_and_the_most_suspicious_one_counts() -> None:
    left = (sized(35, "left"), dense(35, "left"))
    right = (sized(12, "right"), dense(2, "right"))
    for order in permutations((*left, *right)):
        told = advice(of(*order))
        assert told.summary == "Adrenal mass of 3.5 cm on 2026-11-02 (AI)."
        assert told.seen == ("Adrenal mass: left 3.5 cm, 35 HU.", "Adrenal mass: right 1.2 cm, 2 HU.")
        assert "washout" in told.recommendations[0].action
    larger = (sized(35, "left"), dense(2, "left"), sized(12, "right"), dense(35, "right"))
    for order in permutations(larger):
        assert advice(of(*order)).summary == "Adrenal mass of 1.2 cm on 2026-11-02 (AI)."


def test_an_attenuation_that_may_be_that_of_another_mass_is_none_of_either() -> None:
    unnamed = of(sized(25, "left"), sized(30, "left"), dense(2, "left"))
    assert all("attenuation not known" in line for line in advice(unnamed).seen)
    named = of(sized(25, "left", "1"), sized(30, "left", "2"), dense(2, "left", "1"), dense(30, "left", "2"))
    assert advice(named).seen == ("Adrenal mass: left 3 cm, 30 HU.", "Adrenal mass: left 2.5 cm, 2 HU.")
    assert isinstance(said(of(sized(25, "left", "1"), dense(2))), NothingToSay)
    assert "attenuation not known" in advice(of(sized(25, "left"), dense(2, "right"))).seen[0]
    other = Findings("other", "1.0.0", "1.2.3", (dense(2),))
    two_models = replace(mass(25), outcomes=(*mass(25).outcomes, other))
    assert "attenuation not known" in advice(two_models).seen[0]


def test_where_the_attenuation_was_not_measured_ct_without_contrast_comes_first() -> None:
    for given in (mass(15), mass(25), mass(45)):
        told = advice(given)
        assert "CT of the adrenals without contrast first; then " in told.recommendations[0].action
        assert any(line.startswith("attenuation of the adrenal mass without contrast") for line in told.missing)
    assert "without contrast first" not in step(mass(25, hu=30))


def test_before_a_biopsy_or_a_resection_the_hormones_are_tested() -> None:
    for given in (mass(45, hu=30), with_cancer(mass(45, hu=30)), mass(25, hu=30, change=since(300, 6, beyond=True))):
        assert "hormone tests before any biopsy or resection (phaeochromocytoma); then " in step(given)
    assert "hormone" not in step(mass(25, hu=30))


def test_from_4_cm_on_or_with_a_cancer_on_record_the_work_up_is_urgent() -> None:
    for given in (mass(40, hu=30), with_cancer(mass(15, hu=30))):
        told = advice(given)
        (only,) = told.recommendations
        assert (only.priority, only.acr_category, told.indicator) == (Priority.URGENT, 3, Indicator.WARNING)
        assert any(line.startswith("adrenal mass: ") for line in only.because)
    told = advice(mass(39.9, hu=30))
    assert (told.recommendations[0].priority, told.recommendations[0].acr_category) == (Priority.ROUTINE, None)
    assert told.indicator is Indicator.INFO


def test_whether_the_patient_has_cancer_is_not_assumed() -> None:
    unknown = replace(mass(45, hu=30), ehr=ehr(conditions={}))
    assert "PET-CT or biopsy with a history of cancer, referral for resection without" in step(unknown)
    assert any("look at the problem list" in line for line in advice(unknown).missing)
    assert "PET-CT" in step(with_cancer(mass(45, hu=30)))


def test_a_mass_that_could_not_be_measured_is_no_mass_that_is_not_there() -> None:
    refused = Finding("mass", finding_codes.ADRENAL_MASS, Presence.NOT_EVALUATED, reason="motion")
    told = said(of(refused))
    assert isinstance(told, CouldNotTell)
    assert "motion" in told.missing[0]


def test_the_limits_of_the_model_and_of_the_pathway_stand_on_the_card() -> None:
    assert set(load()["adrenal"].limits) <= set(advice(mass(25, hu=30)).limits)


def test_without_a_prior_the_step_stands_and_the_prior_is_asked_for() -> None:
    assert "earlier images" in advice(mass(25, hu=30)).missing[0]

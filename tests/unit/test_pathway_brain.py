"""The pathway of brain atrophy and memory. NICE NG97; MoCA: doi:10.1111/j.1532-5415.2005.53221.x; MMSE:
doi:10.1002/14651858.CD011145.pub2; CAIDE: doi:10.1016/S1474-4422(06)70537-3."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Change, Finding, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways.brain import ATROPHY, brain
from tests.unit.clinical import NOT_FOUND, STUDY_DATE, TODAY
from tests.unit.pathway_records import (
    advice,
    answer,
    held,
    is_as_good,
    item,
    keys,
    missing,
    nothing,
    record,
    records,
    study,
    untold,
    urgency,
    value,
    with_fact,
    without,
)

COMPLAINT = condition_codes.MEMORY_COMPLAINT
MOCA, MMSE = measurement_codes.MOCA, measurement_codes.MMSE
RECENT = date(2026, 9, 1)
#: No complaint, a normal test, and too old for CAIDE.
CALM = {MOCA: value(28, "{score}", RECENT)}
BORN_1950 = Known(date(1950, 5, 1), None, "patient demographics")
#: At 63: age 4 points; below 7 years of education 3; over 140 mmHg 2: 9 points, 10 if inactive.
NINE = {
    measurement_codes.EDUCATION_YEARS: value(6, "a", date(2010, 1, 1)),
    measurement_codes.SYSTOLIC: value(141, "mm[Hg]", RECENT),
    measurement_codes.BODY_MASS_INDEX: value(30, "kg/m2", RECENT),
    measurement_codes.TOTAL_CHOLESTEROL: value(250, "mg/dL", RECENT),
}


def volume(
    code: Coding,
    number: float,
    unit: str,
    loss: float | None = None,
    *,
    beyond: bool | None = True,
    side: str = "",
    days: int = 365,
) -> Finding:
    """A volume, and by how much it changed, in a year unless said, where it was compared."""
    change = None
    if loss is not None:
        before = Quantity(number - loss, unit)
        percent = 100 * loss / before.value
        change = Change("1.2.3", STUDY_DATE - timedelta(days=days), days, before, loss, percent, loss, beyond)
    key = f"{code.code}-{side}" if side else code.code
    return Finding(key, code, Presence.MEASURED, Quantity(number, unit), laterality=side, change=change)


def hippocampus(loss: float | None = -0.3, *, beyond: bool | None = True) -> Finding:
    """The left hippocampus."""
    return volume(finding_codes.HIPPOCAMPAL_VOLUME, 3.0, "mL", loss, beyond=beyond, side="left")


def ventricles(growth: float, days: int, *, beyond: bool | None = True) -> Finding:
    """Both lateral ventricles, compared with those of so many days before."""
    return volume(finding_codes.LATERAL_VENTRICULAR_SHARE, 8.0, "%", growth, beyond=beyond, days=days)


def share(percent: float) -> Finding:
    """The share of the left hippocampus."""
    return volume(finding_codes.HIPPOCAMPAL_SHARE, percent, "%", side="left")


def atrophy(presence: Presence = Presence.PRESENT) -> Finding:
    """What a report says of atrophy."""
    return Finding("atrophy", ATROPHY, presence)


def asked(
    *seen: Finding, facts: dict[object, object] | None = None, site: dict[str, str] | None = None, **changes: object
) -> PathwayOutcome:
    """What the pathway says of a woman of 76 years."""
    data = record(brain.asks, facts, **({"birth_date": BORN_1950} | changes))
    return brain(study(data, answer(*(seen or (hippocampus(),))), site=site))


def at_63(facts: dict[object, object] | None = None, **changes: object) -> PathwayOutcome:
    """The same at 63, whose test was normal."""
    born = Known(date(1963, 5, 1), None, "patient demographics")
    return asked(facts=CALM | NINE | (facts or {}), **({"birth_date": born} | changes))


def test_loss_of_brain_or_hippocampal_volume_or_growth_of_the_ventricles_beyond_the_error_is_a_decline() -> None:
    facts = {COMPLAINT: item()}
    for seen in (
        hippocampus(-0.3),
        volume(finding_codes.HIPPOCAMPAL_SHARE, 0.3, "%", -0.03),
        volume(finding_codes.TOTAL_BRAIN_VOLUME, 1100, "mL", -30),
        volume(finding_codes.LATERAL_VENTRICULAR_SHARE, 4.0, "%", 0.5),
    ):
        assert "memory-assessment" in keys(asked(seen, facts=facts))
    for seen in (
        hippocampus(0.3),
        hippocampus(-0.3, beyond=False),
        volume(finding_codes.LATERAL_VENTRICULAR_SHARE, 4.0, "%", -0.5),
    ):
        assert held(nothing(asked(seen, facts=facts)), "decline") is False
    doubtful = untold(asked(hippocampus(-0.3, beyond=None), facts=facts))
    assert "change since an earlier study: its error is not known" in missing(doubtful)


def test_a_change_over_less_than_6_months_is_no_decline() -> None:
    facts = {COMPLAINT: item()}
    # From 2026-05-02 to 2026-11-02 are 184 days.
    for seen in (
        volume(finding_codes.HIPPOCAMPAL_VOLUME, 3.0, "mL", -0.3, days=183),
        volume(finding_codes.HIPPOCAMPAL_VOLUME, 3.0, "mL", -0.3, days=183, beyond=None),
        ventricles(4, 91),
        ventricles(4, 3, beyond=None),
    ):
        outcome = untold(asked(seen, facts=facts))
        assert held(outcome, "too-short")
        assert "less than 6 months lie between both" in missing(outcome)
    half_a_year = volume(finding_codes.HIPPOCAMPAL_VOLUME, 3.0, "mL", -0.3, days=184)
    assert "memory-assessment" in keys(asked(half_a_year, facts=facts))
    within_error = volume(finding_codes.HIPPOCAMPAL_VOLUME, 3.0, "mL", -0.3, days=30, beyond=False)
    assert nothing(asked(within_error, facts=facts))


def test_ventricles_that_grow_beyond_the_error_within_90_days_are_told_the_same_day_as_possible_hydrocephalus() -> None:
    child = Known(date(2020, 11, 3), None, "patient demographics")
    for changes in ({}, {"birth_date": child}, {"birth_date": Unknown("not stated")}):
        outcome = advice(asked(ventricles(4, 90), atrophy(), facts={COMPLAINT: item()}, **changes))
        assert outcome.indicator is Indicator.WARNING
        (step,) = outcome.recommendations
        assert (step.key, step.priority, step.acr_category) == ("hydrocephalus-today", Priority.ASAP, 2)
        assert step.by == TODAY
        assert "Radiologist and clinician today: acute hydrocephalus?" in step.action
        assert "+4 % (+100.0 %) in 90 days" in step.because[0]
    known = {condition_codes.DEMENTIA: item(), procedure_codes.ORDERED[actions.COMPARE_STUDIES.code]: item(TODAY)}
    assert keys(asked(ventricles(4, 3), facts=known)) == ("hydrocephalus-today",)
    for seen in (ventricles(4, 91), ventricles(4, 3, beyond=False), ventricles(-4, 3)):
        assert keys(asked(seen, atrophy(), facts={COMPLAINT: item()} | CALM)) == ("memory-assessment",)


def test_with_confusion_within_7_days_of_the_images_or_of_today_delirium_is_looked_for_and_memory_is_not_judged() -> (
    None
):
    def confused(fact: object) -> PathwayOutcome:
        return asked(atrophy(), facts={COMPLAINT: item(), condition_codes.CONFUSION: fact})

    for day in (date(2026, 10, 26), date(2026, 11, 9), date(2026, 11, 15), TODAY):
        outcome = advice(confused(item(day, "Disoriented")))
        assert outcome.recommendations == ()
        assert outcome.indicator is Indicator.WARNING
        assert "look for delirium" in outcome.summary
        assert "Disoriented" in " ".join(outcome.seen)
    for fact in (item(date(2026, 10, 25)), item(date(2026, 11, 12)), NOT_FOUND):
        assert "memory-assessment" in keys(confused(fact))
    for fact in (item(None), Unknown("nobody could be asked")):
        assert held(confused(fact), "confused") is None
        assert "confusion: " in missing(confused(fact))


def test_a_hippocampal_share_at_or_below_the_cut_off_that_the_site_set_counts_as_small() -> None:
    facts, site = {COMPLAINT: item()}, {"brain.hippocampal_share_percent": "0.25"}
    assert "memory-assessment" in keys(asked(share(0.25), facts=facts, site=site))
    assert nothing(asked(share(0.251), facts=facts, site=site))
    assert held(untold(asked(share(0.1), facts=facts)), "cut-off") is None
    with pytest.raises(InvalidInput):
        asked(share(0.2), site={"brain.hippocampal_share_percent": "0.7"})


def test_atrophy_of_the_brain_that_is_reported_counts() -> None:
    assert keys(asked(atrophy(), facts={COMPLAINT: item()} | CALM)) == ("memory-assessment",)
    assert nothing(asked(atrophy(Presence.NOT_DETECTED), facts={COMPLAINT: item()}))


def test_a_volume_without_an_earlier_one_a_cut_off_of_the_site_or_a_report_cannot_be_judged() -> None:
    outcome = untold(asked(hippocampus(None), facts={COMPLAINT: item()}))
    assert held(outcome, "alone")
    assert "no earlier study was compared" in missing(outcome)


def test_atrophy_or_decline_with_a_memory_complaint_leads_to_a_memory_assessment() -> None:
    outcome = advice(asked(facts=CALM | {COMPLAINT: item(RECENT, "Forgetful")}))
    assert keys(outcome) == ("memory-assessment",)
    assert outcome.indicator is Indicator.INFO
    assert outcome.summary == "Atrophy or decline of the brain on CT of 2026-11-02."
    assert "memory complaint: Forgetful (1) (2026-09-01" in "".join(outcome.recommendations[0].because)
    assert any("4.7 %" in line for line in outcome.meaning)
    assert "memory complaint" in missing(asked(facts={COMPLAINT: Unknown("nobody could be asked")}))


def test_atrophy_or_decline_with_a_moca_below_26_or_an_mmse_below_24_in_a_year_leads_to_a_memory_assessment() -> None:
    for one, cut_off in ((MOCA, 26), (MMSE, 24)):
        assert keys(asked(facts={one: value(cut_off - 1, "{score}", RECENT)})) == ("memory-assessment",)
        assert keys(asked(facts={one: value(cut_off, "{score}", RECENT)})) == ()
        old = asked(facts={one: value(cut_off - 1, "{score}", date(2025, 11, 21))})
        assert keys(old) == ("cognitive-test",)
        assert "older than 12 months" in missing(old)
    assert keys(asked(facts={MOCA: value(25, "{score}", TODAY), MMSE: value(29, "{score}", TODAY)})) == (
        "memory-assessment",
    )


def test_atrophy_or_decline_with_9_or_more_points_of_caide_leads_to_a_memory_assessment() -> None:
    assert keys(at_63()) == ("memory-assessment",)
    assert advice(at_63()).risks[0].value == "9 or 10 of 15 points"
    assert "physical activity" in missing(at_63())
    # A school of 9 years is 2 points: 8, or 9 if inactive; with 140 mmHg 6 or 7.
    eight = {measurement_codes.EDUCATION_YEARS: value(9, "a")}
    assert held(at_63(eight), "caide") is None
    assert keys(at_63(eight)) == ()
    assert "physical activity" in missing(at_63(eight))
    six = eight | {measurement_codes.SYSTOLIC: value(140, "mm[Hg]", RECENT)}
    assert held(nothing(at_63(six)), "caide") is False
    # Men have one point more, over 6.5 mmol/L (251.3 mg/dL) two.
    assert keys(at_63(eight, sex=Known(Sex.MALE, None, "registration"))) == ("memory-assessment",)
    assert keys(at_63(eight | {measurement_codes.TOTAL_CHOLESTEROL: value(252, "mg/dL", RECENT)})) == (
        "memory-assessment",
    )


@pytest.mark.parametrize("one", [*NINE])
def test_a_score_of_midlife_that_lacks_a_value_is_not_guessed(one: object) -> None:
    outcome = at_63({one: NOT_FOUND})
    assert held(outcome, "caide") is None
    assert one.title in missing(outcome)


def test_caide_is_computed_from_39_to_64_years_alone() -> None:
    def born(day: date) -> PathwayOutcome:
        return asked(facts=CALM | NINE, birth_date=Known(day, None, "patient demographics"))

    for day, inside in (
        (date(1961, 11, 3), True),
        (date(1961, 11, 2), False),
        (date(1987, 11, 2), True),
        (date(1987, 11, 3), False),
    ):
        assert held(born(day), "midlife") is inside
    assert "age" in missing(asked(facts=NINE, birth_date=Unknown("not stated")))


def test_atrophy_or_decline_without_a_cognitive_test_in_the_last_12_months_leads_to_one() -> None:
    outcome = asked()
    assert keys(outcome) == ("cognitive-test",)
    assert "Montreal Cognitive Assessment" in missing(outcome)
    assert keys(asked(facts={COMPLAINT: item()})) == ("memory-assessment", "cognitive-test")
    done = {procedure_codes.COGNITIVE_ASSESSMENT: item(RECENT), COMPLAINT: item()}
    assert keys(asked(facts=done)) == ("memory-assessment",)
    assert keys(asked(facts=done | {procedure_codes.COGNITIVE_ASSESSMENT: item(date(2025, 11, 21))})) == (
        "memory-assessment",
        "cognitive-test",
    )


def test_atrophy_or_decline_with_a_normal_test_no_complaint_and_no_high_caide_makes_no_card() -> None:
    outcome = nothing(asked(facts=CALM))
    assert held(outcome, "nothing-else")


def test_a_low_test_of_more_than_12_months_ago_or_of_no_date_is_told_and_a_new_one_is_suggested() -> None:
    done = {procedure_codes.COGNITIVE_ASSESSMENT: item(RECENT)}
    for day, said in ((date(2025, 9, 1), "2025-09-01"), (None, "no date")):
        outcome = advice(asked(atrophy(), facts=done | {MOCA: value(12, "{score}", day)}))
        assert keys(outcome) == ("cognitive-test",)
        assert f"Montreal Cognitive Assessment: 12 on {said} was low." in outcome.meaning
        assert "Montreal Cognitive Assessment: 12" in " ".join(outcome.recommendations[0].because)
    assert nothing(asked(atrophy(), facts={MMSE: value(28, "{score}", RECENT), MOCA: value(12, "{score}", None)}))
    normal = asked(atrophy(), facts=done | {MOCA: value(26, "{score}", date(2025, 9, 1))})
    assert "Montreal Cognitive Assessment: the newest is of 2025-09-01" in missing(untold(normal))


def test_where_nobody_could_be_asked_for_a_memory_complaint_the_step_is_to_ask_about_memory() -> None:
    unasked = {COMPLAINT: Unknown("nobody could be asked")}
    assert keys(asked(facts=CALM | unasked)) == ("ask-about-memory",)
    assert keys(asked(facts=unasked)) == ("cognitive-test",)
    assert keys(asked(facts=unasked | {MOCA: value(20, "{score}", RECENT)})) == ("memory-assessment",)


def test_what_is_missing_makes_no_card_without_a_step() -> None:
    outcome = untold(at_63({measurement_codes.EDUCATION_YEARS: NOT_FOUND}))
    assert held(outcome, "unclear")
    ordered = procedure_codes.ORDERED[actions.COGNITIVE_TEST.code]
    assert untold(asked(facts=CALM | {COMPLAINT: Unknown("nobody could be asked"), ordered: item(TODAY)}))


def test_without_a_known_age_nobody_can_tell_whether_the_pathway_is_for_the_patient() -> None:
    outcome = untold(asked(facts={COMPLAINT: item()}, birth_date=Unknown("not stated")))
    assert held(outcome, "age")
    assert "age: not stated" in missing(outcome)


def test_where_dementia_or_a_drug_for_it_is_on_record_the_pathway_is_silent() -> None:
    for one in (condition_codes.DEMENTIA, medication_codes.DEMENTIA_DRUG):
        assert held(nothing(asked(facts={COMPLAINT: item(), one: item()})), "dementia")
        unread = asked(facts={COMPLAINT: item(), one: Unknown("nobody could be asked")})
        assert "memory-assessment" in keys(unread)
        assert one.title in missing(unread)
    impaired = asked(facts={COMPLAINT: item(), condition_codes.MILD_COGNITIVE_IMPAIRMENT: item()})
    assert "tell who follows it" in " ".join(advice(impaired).meaning)


def test_below_18_years_the_pathway_is_silent() -> None:
    child = Known(date(2008, 11, 3), None, "patient demographics")
    assert held(nothing(asked(facts={COMPLAINT: item()}, birth_date=child)), "adults")
    adult = Known(date(2008, 11, 2), None, "patient demographics")
    assert advice(asked(facts={COMPLAINT: item()}, birth_date=adult))


def test_what_is_ordered_for_the_memory_already_is_not_asked_for_again() -> None:
    both = {
        procedure_codes.ORDERED[one.code]: item(TODAY) for one in (actions.MEMORY_ASSESSMENT, actions.COGNITIVE_TEST)
    }
    outcome = advice(asked(facts={COMPLAINT: item()} | both))
    assert outcome.recommendations == ()
    assert len([note for note in outcome.notes if "an open request is on record" in note]) == 2


def test_a_brain_that_could_not_be_measured_is_not_taken_for_normal() -> None:
    refused = Finding("hippocampus", finding_codes.HIPPOCAMPAL_VOLUME, Presence.NOT_EVALUATED, reason="motion")
    assert "motion" in missing(untold(asked(refused)))
    assert "no model looked" in nothing(brain(study(record(brain.asks)))).reason


NUMBERS = {
    "moca": (10, 30),
    "mmse": (10, 30),
    "education-years": (4, 20),
    "systolic-blood-pressure": (100, 190),
    "body-mass-index": (18, 45),
    "total-cholesterol": (120, 320),
}
AGES = st.sampled_from([date(1950, 5, 1), date(1970, 5, 1)]).map(lambda day: Known(day, None, "patient demographics"))
RANDOM = AGES.flatmap(lambda born: records(brain, NUMBERS, birth_date=born))
SEEN = st.lists(
    st.sampled_from(
        [
            hippocampus(),
            hippocampus(None),
            hippocampus(0.2),
            hippocampus(-0.1, beyond=None),
            share(0.2),
            atrophy(),
            ventricles(1, 30),
            ventricles(1, 120),
        ]
    ),
    min_size=1,
    max_size=3,
)
SILENCING = (
    condition_codes.DEMENTIA,
    medication_codes.DEMENTIA_DRUG,
    procedure_codes.ORDERED[actions.MEMORY_ASSESSMENT.code],
    procedure_codes.ORDERED[actions.COGNITIVE_TEST.code],
    procedure_codes.COGNITIVE_ASSESSMENT,
    condition_codes.CONFUSION,
)


@settings(max_examples=50, deadline=None)
@given(SEEN, RANDOM)
def test_what_is_known_or_ordered_of_the_memory_never_adds_a_step(seen: list[Finding], data: object) -> None:
    for one in SILENCING:
        base = brain(study(with_fact(data, one, NOT_FOUND), answer(*seen)))
        after = brain(study(with_fact(data, one, item(TODAY)), answer(*seen)))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))


@settings(max_examples=50, deadline=None)
@given(SEEN, RANDOM)
def test_what_nobody_could_be_asked_about_memory_never_reads_as_normal(seen: list[Finding], data: object) -> None:
    before = brain(study(data, answer(*seen)))
    for one in brain.asks:
        assert is_as_good(before, brain(study(without(data, one), answer(*seen))), one.title)


@settings(max_examples=40, deadline=None)
@given(SEEN, RANDOM, st.randoms(use_true_random=False))
def test_the_order_of_the_volumes_does_not_matter(seen: list[Finding], data: object, random: object) -> None:
    shuffled = random.sample(seen, len(seen))
    told = brain(study(data, *(answer(one) for one in seen)))
    assert told == brain(study(data, *(answer(one) for one in shuffled)))

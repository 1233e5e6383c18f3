"""The pathway of mammography. Density: 88 FR 15126; steps: ACR BI-RADS, 5th edition; 60 days: NBCCEDP,
doi:10.2105/AJPH.2009.160184; risk: doi:10.1093/jnci/81.24.1879 and USPSTF 2019, doi:10.1001/jama.2019.11885."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes, race
from cds.domain.coding import Coding
from cds.domain.ehr import Known, Unknown
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Sex
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.pathways.breast import breast
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

WHITE = Known(race.CATEGORIES["2106-3"], None, "patient demographics")
BORN_1966 = Known(date(1966, 5, 1), None, "patient demographics")
FAMILY = condition_codes.FAMILY_BREAST_CANCER
#: A white woman of 60 years: menarche at 11, first birth at 27, no biopsy.
STATED = {
    measurement_codes.MENARCHE_AGE: value(11, "a", date(2015, 1, 1)),
    measurement_codes.FIRST_BIRTH_AGE: value(27, "a", date(2015, 1, 1)),
    measurement_codes.BREAST_BIOPSIES: value(0, "1", date(2015, 1, 1)),
}


def density(category: str | None, key: str = "density") -> Finding:
    """A density as a model or a report gives it."""
    code = Coding(finding_codes.BIRADS, category, category) if category else None
    return Finding(key, finding_codes.BREAST_DENSITY, Presence.PRESENT, category=code)


def assessed(category: str | None, side: str = "left") -> Finding:
    """An assessment of one breast."""
    code = Coding(finding_codes.BIRADS, category, category) if category else None
    return Finding(
        f"assessment-{side}", finding_codes.BREAST_ASSESSMENT, Presence.PRESENT, category=code, laterality=side
    )


def asked(
    *seen: Finding,
    facts: dict[object, object] | None = None,
    site: dict[str, str] | None = None,
    today: date = STUDY_DATE,
    **changes: object,
) -> PathwayOutcome:
    """What the pathway says of a woman of 60 years whose race is stated and whose family has no breast cancer."""
    data = record(breast.asks, facts, **{"race": WHITE, "birth_date": BORN_1966, **changes})
    return breast(study(data, answer(*seen), site=site, today=today))


def step(outcome: PathwayOutcome, key: str) -> object:
    """One step; fails where there is none of this key."""
    return next(one for one in advice(outcome).recommendations if one.key == key)


def gail(outcome: PathwayOutcome) -> str | None:
    """What BCRAT says; "not computed" where it was not asked."""
    told = [one.value for one in advice(outcome).risks if one.score == "bcra_gail"]
    return told[0] if told else "not computed"


@pytest.mark.parametrize("category", ["c", "d", "C"])
def test_breasts_of_density_c_or_d_lead_to_the_dense_notice_and_a_visit_to_discuss_it(category: str) -> None:
    outcome = advice(asked(density(category)))
    assert keys(outcome) == ("density-visit",)
    assert outcome.indicator is Indicator.INFO
    assert "The notice that the breasts are dense is due to the patient." in outcome.meaning
    assert "density " + category.lower() in outcome.summary
    assert keys(asked(density("a", "one"), density("d", "two"))) == ("density-visit",)


@pytest.mark.parametrize("category", ["a", "b"])
def test_breasts_of_density_a_or_b_lead_to_no_visit(category: str) -> None:
    outcome = nothing(asked(density(category)))
    assert held(outcome, "not-dense")
    assert "not excluded" in outcome.reason


def test_where_the_site_is_not_under_the_mqsa_the_notice_is_left_out() -> None:
    abroad = advice(asked(density("c"), site={"breast.mqsa_notice": "no"}))
    assert "notice" not in " ".join(abroad.meaning)
    assert keys(abroad) == ("density-visit",)
    with pytest.raises(InvalidInput):
        asked(density("c"), site={"breast.mqsa_notice": "perhaps"})


def test_a_density_or_an_assessment_without_its_category_cannot_be_told() -> None:
    assert "density of the breast: its category was not told" in missing(untold(asked(density(None))))
    assert "BI-RADS assessment: its category was not told" in missing(untold(asked(density("b"), assessed(None))))
    assert "BI-RADS assessment: its category was not told" in missing(asked(density("c"), assessed("7")))
    foreign = Finding("x", finding_codes.BREAST_DENSITY, Presence.PRESENT, category=Coding("urn:other", "c"))
    assert untold(asked(foreign))


def test_a_bi_rads_assessment_of_0_is_recalled_within_60_days() -> None:
    outcome = advice(asked(assessed("0")))
    assert keys(outcome) == ("recall",)
    assert outcome.indicator is Indicator.WARNING
    assert step(outcome, "recall").by == date(2027, 1, 1)
    assert step(asked(assessed("0"), site={"breast.close_days": "30"}), "recall").by == date(2026, 12, 2)
    assert step(asked(assessed("0"), today=date(2027, 3, 1)), "recall").by == date(2027, 3, 1)


def test_a_bi_rads_assessment_of_3_is_imaged_again_after_6_months() -> None:
    outcome = advice(asked(assessed("3")))
    assert keys(outcome) == ("short-follow-up",)
    assert outcome.indicator is Indicator.INFO
    assert step(outcome, "short-follow-up").by == date(2027, 5, 2)
    assert step(outcome, "short-follow-up").action == "Breast imaging after 6 months (left)"


def test_the_imaging_after_6_months_is_planned_for_the_last_tenth_of_them() -> None:
    # From 2026-11-02 to 2027-05-02 are 181 days, a tenth of them 18.
    assert step(asked(assessed("3")), "short-follow-up").not_before == date(2027, 4, 14)
    assert step(asked(assessed("3"), today=date(2027, 4, 14)), "short-follow-up").not_before is None
    assert step(asked(assessed("0")), "recall").not_before is None


@pytest.mark.parametrize(
    ("category", "key", "due"),
    [("5", "biopsy", date(2027, 1, 1)), ("0", "recall", date(2027, 1, 1)), ("3", "short-follow-up", date(2027, 5, 2))],
)
def test_what_bi_rads_asks_for_and_is_not_known_to_be_done_by_its_day_is_overdue_since_then(
    category: str, key: str, due: date
) -> None:
    on_time, late = asked(assessed(category), today=due), asked(assessed(category), today=due + timedelta(days=1))
    assert "Overdue" not in step(on_time, key).reason
    assert f"Overdue since {due}, unless it was done." in step(late, key).reason
    assert step(late, key).by == due + timedelta(days=1)


def test_what_was_asked_for_is_told_as_overdue_too() -> None:
    ordered = procedure_codes.ORDERED[actions.BREAST_BIOPSY.code]
    after = advice(asked(assessed("5"), facts={ordered: item(STUDY_DATE)}, today=date(2027, 1, 2)))
    assert keys(after) == ()
    assert "overdue since 2027-01-01" in " ".join(after.notes)


def test_a_biopsy_that_was_asked_for_before_these_images_is_asked_for_again() -> None:
    ordered = procedure_codes.ORDERED[actions.BREAST_BIOPSY.code]
    before = advice(asked(assessed("5"), facts={ordered: item(date(2026, 11, 1))}))
    assert keys(before) == ("biopsy",)
    assert held(before, "asked-before")
    assert "a request of 2026-11-01" in before.notes[0]
    assert "older than these images" in before.notes[0]
    assert keys(asked(assessed("5"), facts={ordered: item(STUDY_DATE)})) == ()


def test_a_category_of_what_is_told_as_not_detected_is_a_contradiction_to_ask_about_and_leads_to_no_step() -> None:
    def denied(category: str, code: Coding) -> Finding:
        told = Coding(finding_codes.BIRADS, category, category)
        return Finding("denied", code, Presence.NOT_DETECTED, category=told, laterality="left")

    outcome = untold(asked(denied("5", finding_codes.BREAST_ASSESSMENT)))
    assert held(outcome, "contradiction")
    assert "not detected and as category 5 left: they contradict each other" in missing(outcome)
    assert untold(asked(denied("d", finding_codes.BREAST_DENSITY)))
    beside = asked(denied("5", finding_codes.BREAST_ASSESSMENT), assessed("4", "right"))
    assert keys(beside) == ("biopsy",)
    assert step(beside, "biopsy").action == "Breast biopsy (right)"
    assert "contradict each other" in missing(beside)


@pytest.mark.parametrize("category", ["4", "4A", "4c", "5"])
def test_a_bi_rads_assessment_of_4_or_5_is_biopsied_within_60_days(category: str) -> None:
    outcome = advice(asked(assessed(category)))
    assert keys(outcome) == ("biopsy",)
    assert outcome.indicator is Indicator.WARNING
    biopsy = step(outcome, "biopsy")
    assert (biopsy.priority, biopsy.by, biopsy.code) == (Priority.URGENT, date(2027, 1, 1), actions.BREAST_BIOPSY)
    assert biopsy.acr_category == 3


def test_both_breasts_have_their_steps_and_the_biopsy_comes_first() -> None:
    assert keys(asked(assessed("3", "right"), assessed("4B", "left"), density("c"))) == (
        "biopsy",
        "short-follow-up",
        "density-visit",
    )
    both = advice(asked(assessed("5", "right"), assessed("4", "left")))
    assert keys(both) == ("biopsy",)
    assert both.recommendations[0].reason == "BI-RADS 4 left, 5 right on 2026-11-02."
    assert both.recommendations[0].action == "Breast biopsy (left, right)"
    same = advice(asked(assessed("4A", "left"), assessed("4B", "right")))
    assert same.summary == "Mammography of 2026-11-02: BI-RADS 4A left, BI-RADS 4B right."
    assert same.recommendations[0].reason == "BI-RADS 4A left, 4B right on 2026-11-02."
    assert step(asked(assessed("4", "")), "biopsy").action == "Breast biopsy"
    many = [assessed(one, side) for one in ("0", "3", "4A", "5") for side in ("left", "right")]
    assert advice(asked(*many)).summary == "Mammography of 2026-11-02: BI-RADS 5 left, and 7 more."


@pytest.mark.parametrize("category", ["1", "2", "6"])
def test_a_bi_rads_assessment_of_1_2_or_6_asks_for_nothing(category: str) -> None:
    assert held(nothing(asked(assessed(category))), "routine")


def test_where_the_breast_was_imaged_again_since_a_recall_is_not_asked_for_again() -> None:
    later, earlier = item(date(2026, 11, 10)), item(STUDY_DATE)
    for done in (procedure_codes.MAMMOGRAPHY, procedure_codes.BREAST_MRI):
        assert keys(asked(assessed("0"), facts={done: later})) == ()
        assert keys(asked(assessed("0"), facts={done: earlier})) == ("recall",)
        assert keys(asked(assessed("4"), facts={done: later})) == ("biopsy",)


def test_imaging_from_3_months_on_stands_for_the_follow_up_after_6_months_earlier_imaging_is_told() -> None:
    for done in (procedure_codes.MAMMOGRAPHY, procedure_codes.BREAST_MRI):
        early = advice(asked(assessed("3"), facts={done: item(date(2027, 2, 1))}, today=date(2027, 3, 1)))
        assert keys(early) == ("short-follow-up",)
        assert "2027-02-01 came too early" in " ".join(early.notes)
        assert keys(asked(assessed("3"), facts={done: item(date(2027, 2, 2))}, today=date(2027, 3, 1))) == ()
        assert keys(asked(assessed("3"), facts={done: item(None)})) == ("short-follow-up",)


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        (assessed("0"), actions.BREAST_RECALL),
        (assessed("3"), actions.BREAST_SHORT_FOLLOW_UP),
        (assessed("5"), actions.BREAST_BIOPSY),
        (density("d"), actions.BREAST_DENSITY_VISIT),
    ],
)
def test_what_is_ordered_for_the_breast_already_is_not_asked_for_again(seen: Finding, action: Coding) -> None:
    ordered = procedure_codes.ORDERED[action.code]
    assert keys(asked(seen, facts={ordered: item(TODAY)}, today=TODAY)) == ()
    assert len(keys(asked(seen, facts={ordered: item(date(2025, 11, 21))}, today=TODAY))) == 1


def test_bcrat_is_for_women_from_35_years_on_without_breast_cancer_lcis_brca_or_chest_radiotherapy() -> None:
    assert gail(asked(density("c"))) == "at least 0.94 % in 5 years"
    for one in (condition_codes.BREAST_CANCER, condition_codes.BRCA, condition_codes.CHEST_RADIATION):
        known = advice(asked(density("c"), facts={one: item()}))
        assert gail(known) == "not computed"
        assert any("BCRAT" in note for note in known.notes)
        unknown = asked(density("c"), facts={one: Unknown("nobody could be asked")})
        assert gail(unknown) == "not computed"
        assert one.title in missing(unknown)

    def born(day: date) -> PathwayOutcome:
        return asked(density("c"), birth_date=Known(day, None, "patient demographics"))

    assert gail(born(date(1991, 11, 2))) == "at least 0.19 % in 5 years"
    assert gail(born(date(1991, 11, 3))) == "not computed"
    assert gail(asked(density("c"), sex=Known(Sex.MALE, None, "registration"))) == "not computed"
    assert "sex" in missing(asked(density("c"), sex=Unknown("not stated")))


def test_without_a_stated_race_bcrat_is_not_computed() -> None:
    for fact in (Unknown("not stated"), Known(race.CATEGORIES["2131-1"], None, "patient demographics")):
        outcome = asked(density("c"), race=fact, facts=STATED)
        assert held(outcome, "race")
        assert gail(outcome) == "not computed"
        assert "race or ethnicity, as the patient states it" in missing(outcome)


@pytest.mark.parametrize(
    ("code", "lowest"),
    # At 60, nothing else known, worked by hand from the printed rates of 60 to 64 years: 100 * h1/(h1 + h2) *
    # (1 - e^-(5 * (h1 + h2))), h1 = incidence * (1 - attributable risk) * relative risk.
    [
        ("2106-3", "0.94"),  # h1 0.003348*0.5788413, h2 0.009439
        ("2054-5", "1.11"),  # h1 0.00310127*0.74397137, h2 0.01471818
        ("2135-2", "0.46"),  # born elsewhere: h1 0.0020619*0.450352338746, h2 0.0058674
        ("2028-9", "0.41"),  # other Asian: h1 0.001646746198*0.50316401683903, h2 0.004324370426
        ("2076-8", "0.70"),  # other Pacific: h1 0.00284393307*0.50316401683903, h2 0.00863820289
    ],
)
def test_a_race_that_several_models_fit_gives_the_lowest_risk_of_them(code: str, lowest: str) -> None:
    fact = race.HISPANIC if code == race.HISPANIC.code else race.CATEGORIES[code]
    outcome = asked(density("c"), race=Known(fact, None, "patient demographics"))
    assert gail(outcome) == f"at least {lowest} % in 5 years"


def test_what_bcrat_asks_and_nobody_knows_counts_as_its_lowest_category_so_that_the_risk_is_at_least_what_is_told() -> (
    None
):
    outcome = asked(density("c"))
    assert held(outcome, "at-least")
    assert held(outcome, "risk") is None
    for what in ("age at menarche", "age at first birth", "number of breast biopsies", "first-degree relatives"):
        assert what in missing(outcome)
    assert "atypical hyperplasia" in missing(
        asked(density("c"), facts={measurement_codes.BREAST_BIOPSIES: value(1, "1")})
    )


def test_a_5_year_risk_of_1_67_or_more_leads_to_a_visit_on_lowering_it() -> None:
    # h1 as above times e^(2*0.0940103059 + 2*0.2186262218): 1.7529 %.
    outcome = asked(density("b"), facts=STATED)
    assert keys(outcome) == ("risk-visit",)
    assert gail(outcome) == "at least 1.75 % in 5 years"
    assert step(outcome, "risk-visit").strength == "grade B for women at increased risk"
    # One biopsy without atypia, menarche at 11, first birth at 22: 0.93 * e^(0.2412211256 + 0.1880206118
    # + 0.2186262218): 1.6682 %.
    below = STATED | {
        measurement_codes.BREAST_BIOPSIES: value(1, "1"),
        measurement_codes.FIRST_BIRTH_AGE: value(22, "a"),
    }
    assert keys(asked(density("b"), facts=below)) == ()
    assert keys(asked(density("b"), facts=STATED, site={"breast.risk_percent": "1.76"})) == ()
    ordered = procedure_codes.ORDERED[actions.BREAST_RISK_VISIT.code]
    assert keys(asked(density("b"), facts=STATED | {ordered: item(STUDY_DATE)})) == ()


def test_breast_cancer_in_the_family_leads_to_an_assessment_by_a_family_history_model() -> None:
    outcome = asked(density("b"), facts={FAMILY: item(text="mother, breast cancer at 44")})
    assert keys(outcome) == ("family-history",)
    assert "lifetime risk of 20 %" in step(outcome, "family-history").action
    assert gail(outcome) == "at least 0.94 % in 5 years"
    unknown = asked(density("c"), facts={FAMILY: Unknown("nobody could be asked")})
    assert "breast cancer in the family: nobody could be asked" in missing(unknown)
    ordered = procedure_codes.ORDERED[actions.BREAST_GENETICS_REFERRAL.code]
    assert keys(asked(density("b"), facts={FAMILY: item(), ordered: item(STUDY_DATE)})) == ()


def test_with_a_brca_mutation_on_record_the_family_history_is_not_asked_for_again() -> None:
    facts = {FAMILY: item(), condition_codes.BRCA: item()}
    assert keys(asked(density("c"), facts=facts)) == ("density-visit",)


def test_a_breast_that_could_not_be_read_is_not_taken_for_normal() -> None:
    refused = Finding("density", finding_codes.BREAST_DENSITY, Presence.NOT_EVALUATED, reason="motion")
    assert "motion" in missing(untold(asked(refused)))
    assert "motion" in missing(untold(asked(refused, assessed("1"))))
    assert nothing(breast(study(record(breast.asks))))


def test_a_contradiction_in_what_was_stated_gives_no_risk() -> None:
    odd = STATED | {measurement_codes.FIRST_BIRTH_AGE: value(10, "a")}
    assert gail(asked(density("c"), facts=odd)) is None


NUMBERS = {"menarche-age": (9, 16), "first-birth-age": (17, 40), "breast-biopsies": (0, 3)}
RANDOM = st.sampled_from([WHITE, Unknown("not stated"), Known(race.HISPANIC, None, "patient demographics")]).flatmap(
    lambda told: records(breast, NUMBERS, race=told, birth_date=BORN_1966)
)
SEEN = st.lists(
    st.sampled_from([density(one) for one in "abcd"] + [assessed(one) for one in ("0", "1", "2", "3", "4A", "5", "6")]),
    min_size=1,
    max_size=3,
    unique_by=lambda one: (one.code.code, one.key),
)
ORDERED = tuple(procedure_codes.ORDERED[action.code] for action in (actions.BREAST_RECALL, actions.BREAST_BIOPSY))


@settings(max_examples=50, deadline=None)
@given(SEEN, RANDOM)
def test_what_speaks_against_a_step_for_the_breast_never_adds_one(seen: list[Finding], data: object) -> None:
    for one in (condition_codes.BREAST_CANCER, condition_codes.BRCA, condition_codes.CHEST_RADIATION, *ORDERED):
        base = breast(study(with_fact(data, one, NOT_FOUND), answer(*seen)))
        after = breast(study(with_fact(data, one, item(TODAY)), answer(*seen)))
        assert urgency(after) <= urgency(base)
        assert set(keys(after)) <= set(keys(base))


@settings(max_examples=50, deadline=None)
@given(SEEN, RANDOM)
def test_what_nobody_could_be_asked_about_the_breast_never_reads_as_normal(seen: list[Finding], data: object) -> None:
    before = breast(study(data, answer(*seen)))
    for one in breast.asks:
        after = breast(study(without(data, one), answer(*seen)))
        nothing_left = not keys(after) and "not excluded" in getattr(after, "reason", "")
        assert is_as_good(before, after, one.title) or (nothing_left and set(keys(before)) <= RISKS)


#: Steps that rest on the record alone: where it cannot be read, the images ask for nothing, and that is what is said.
RISKS = {"risk-visit", "family-history"}


@settings(max_examples=40, deadline=None)
@given(SEEN, st.randoms(use_true_random=False))
def test_the_order_of_the_findings_of_the_breast_does_not_matter(seen: list[Finding], random: object) -> None:
    shuffled: list[Findings] = [answer(one) for one in random.sample(seen, len(seen))]
    data = record(breast.asks, race=WHITE)
    assert breast(study(data, *(answer(one) for one in seen))) == breast(study(data, *shuffled))

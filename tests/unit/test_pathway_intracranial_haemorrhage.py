"""The pathway of blood inside the skull. Numbers: AHA/ASA 2022, doi:10.1161/STR.0000000000000407, sections 5.2, 5.5,
6.1 and 7.1; ICH score: Hemphill 2001, doi:10.1161/01.STR.32.4.891."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, Known, Unknown
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Indicator, PathwayOutcome
from cds.errors import InvalidInput
from cds.hooks.answer import digest
from cds.pathways.intracranial_haemorrhage import BLOOD_ML, LARGE_ML, intracranial_haemorrhage
from tests.unit.clinical import NOT_FOUND, STUDY_DATE, TODAY
from tests.unit.pathway_records import (
    MODEL_LIMIT,
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

CALLS = ("tell-now", "neurosurgery-now", "reversal-now")
GCS = measurement_codes.GLASGOW_COMA_SCORE
AWAKE = {GCS: value(15, "{score}", STUDY_DATE)}


def found(key: str, code: object, ml: float | None, presence: Presence = Presence.MEASURED) -> Finding:
    """One finding of a head CT."""
    return Finding(key, code, presence, None if ml is None else Quantity(ml, "mL"))


def blood(within: float = 10, *, ventricles: float = 0, outside: float = 0, more: tuple[Finding, ...] = ()) -> Findings:
    """What a model says that sees blood."""
    total = within + ventricles + outside
    return answer(
        found("hemorrhage", finding_codes.INTRACRANIAL_HAEMORRHAGE, total, Presence.PRESENT),
        found("iph_volume", finding_codes.IPH_VOLUME, within),
        found("eah_volume", finding_codes.EAH_VOLUME, outside),
        found("ivh_volume", finding_codes.IVH_VOLUME, ventricles),
        *more,
    )


def cerebellar(ml: float | None) -> Finding:
    """Blood in the cerebellum."""
    return found("cerebellar", finding_codes.CEREBELLAR_HAEMORRHAGE, ml, Presence.PRESENT)


def hydrocephalus(presence: Presence = Presence.PRESENT) -> Finding:
    """Whether there is hydrocephalus."""
    return found("hydrocephalus", finding_codes.HYDROCEPHALUS, None, presence)


def asked(
    images: Findings | None = None,
    facts: dict[object, object] | None = None,
    *,
    site: dict[str, str] | None = None,
    today: date = STUDY_DATE,
    **changes: object,
) -> PathwayOutcome:
    """What the pathway says of a 63-year-old who is awake unless said."""
    data = record(intracranial_haemorrhage.asks, AWAKE | (facts or {}), **changes)
    return intracranial_haemorrhage(study(data, images or blood(), site=site, today=today))


def step(outcome: PathwayOutcome, key: str) -> object:
    """One step; fails where there is none of this key."""
    return next(one for one in advice(outcome).recommendations if one.key == key)


def score(outcome: PathwayOutcome) -> str | None:
    """What the ICH score says."""
    return next((one.value for one in advice(outcome).risks), "not shown")


def test_a_haemorrhage_inside_the_skull_is_told_by_word_of_mouth_within_minutes() -> None:
    said = advice(asked())
    assert said.indicator is Indicator.CRITICAL
    assert keys(said) == ("tell-now",)
    (call,) = said.recommendations
    assert (call.priority, call.acr_category, call.by) == (Priority.STAT, 1, STUDY_DATE)
    assert call.source.label.startswith("ACR")
    assert "blood within the brain: 10 mL" in "".join(call.because)
    assert len(said.summary) < 140
    assert "10 mL" in said.summary
    assert MODEL_LIMIT in said.limits


def test_a_haemorrhage_whose_volume_nobody_measured_is_told_too() -> None:
    said = advice(asked(answer(found("ich", finding_codes.INTRACRANIAL_HAEMORRHAGE, None, Presence.PRESENT))))
    assert keys(said) == ("tell-now",)
    assert "volume of the blood within the brain" in missing(said)


def test_where_a_model_only_measures_blood_the_volume_in_all_that_the_site_sets_counts_as_a_haemorrhage() -> None:
    def only(ml: float) -> Findings:
        return answer(found("iph", finding_codes.IPH_VOLUME, ml))

    assert keys(asked(only(0.5))) == ("tell-now",)
    assert held(asked(only(0.5)), "measured")
    assert keys(asked(only(0.49))) == ()
    assert keys(asked(only(0.49), site={"intracranial_haemorrhage.blood_ml": "0.1"})) == ("tell-now",)
    assert held(asked(), "measured") is False
    assert keys(asked(answer(found("abc2", finding_codes.IPH_ABC2, 31)))) == CALLS[:2]
    site = {"intracranial_haemorrhage.blood_ml": "2"}

    def three(each: float) -> Findings:
        codes = (finding_codes.IPH_VOLUME, finding_codes.EAH_VOLUME, finding_codes.IVH_VOLUME)
        return answer(*(found(code.code, code, each) for code in codes))

    assert keys(asked(three(1.9), site=site)) == ("tell-now",)
    assert "5.7 mL" in advice(asked(three(1.9), site=site)).summary
    assert keys(asked(three(0.6), site=site)) == ()


def test_less_blood_than_the_site_counts_is_not_called_undetected_and_makes_no_card() -> None:
    trace = nothing(asked(answer(found("iph", finding_codes.IPH_VOLUME, 0.4))))
    assert held(trace, "below")
    assert trace.reason == "the blood that was measured is below what the site counts, which excludes nothing"
    none = nothing(asked(answer(found("iph", finding_codes.IPH_VOLUME, 0))))
    assert held(none, "not-seen")


def test_a_volume_that_counts_is_told_even_where_its_own_model_detected_no_haemorrhage_with_the_contradiction() -> None:
    def denied(total: float | None, within: float | None, code: object = finding_codes.IPH_VOLUME) -> Findings:
        return answer(
            found("hemorrhage", finding_codes.INTRACRANIAL_HAEMORRHAGE, total, Presence.NOT_DETECTED),
            found("iph_volume", code, within),
        )

    for images in (denied(None, 0.5), denied(0.5, 0.5), denied(0.5, 0), denied(None, 31, finding_codes.IPH_ABC2)):
        outcome = advice(asked(images))
        assert keys(outcome)[0] == "tell-now"
        assert held(outcome, "denied")
        assert "contradict each other" in " ".join(outcome.meaning)
    assert keys(asked(denied(None, 31))) == CALLS[:2]
    assert nothing(asked(denied(0.49, 0.49)))
    unsure = Finding("h", finding_codes.INTRACRANIAL_HAEMORRHAGE, Presence.NOT_DETECTED, Quantity(30, "%"))
    assert nothing(asked(answer(unsure)))
    assert held(asked(), "denied") is False
    seen = answer(
        found("hemorrhage", finding_codes.INTRACRANIAL_HAEMORRHAGE, None, Presence.NOT_DETECTED), cerebellar(None)
    )
    assert keys(asked(seen)) == CALLS[:2]


def test_hydrocephalus_without_blood_is_told_by_word_of_mouth_within_minutes_and_to_neurosurgery() -> None:
    none = found("hemorrhage", finding_codes.INTRACRANIAL_HAEMORRHAGE, None, Presence.NOT_DETECTED)
    outcome = advice(asked(answer(none, hydrocephalus())))
    assert outcome.indicator is Indicator.CRITICAL
    (call,) = outcome.recommendations
    assert (call.priority, call.acr_category, call.by) == (Priority.STAT, 1, STUDY_DATE)
    assert "neurosurgery" in call.action
    assert outcome.finding_keys == ("hydrocephalus",)
    assert "not detected" in outcome.seen[1]
    assert advice(asked(answer(hydrocephalus()))).seen[1] == "Nobody could look for blood, or did."
    whole = NotEvaluated("head_ct_hemorrhage", "1.0.0", ("motion",), gate="motion")
    unread = intracranial_haemorrhage(study(record(intracranial_haemorrhage.asks), whole, answer(hydrocephalus())))
    assert keys(unread) == ("tell-now",)
    assert "blood inside the skull: head_ct_hemorrhage: motion" in missing(unread)
    assert nothing(asked(answer(none, hydrocephalus(Presence.NOT_DETECTED))))
    late = advice(asked(answer(none, hydrocephalus()), today=date(2026, 11, 5)))
    assert late.recommendations[0].priority is Priority.URGENT


@pytest.mark.parametrize(("ml", "unmeasured"), [(None, True), (14.9, False)])
def test_a_cerebellar_haemorrhage_whose_volume_was_not_measured_is_told_to_neurosurgery(
    ml: float | None, unmeasured: bool
) -> None:
    outcome = asked(blood(14.9, more=(cerebellar(ml),)))
    assert held(outcome, "cerebellar-unmeasured") is unmeasured
    assert keys(outcome) == (CALLS[:2] if unmeasured else CALLS[:1])
    told = "in the cerebellum, not measured" if unmeasured else "in the cerebellum 14.9 mL"
    assert told in advice(outcome).seen[0]


def test_blood_outside_the_brain_is_told_to_neurosurgery_as_what_calls_for_surgery_there_is_not_judged_here() -> None:
    outcome = asked(blood(0, outside=0.5))
    assert keys(outcome) == CALLS[:2]
    assert "ask neurosurgery" in step(outcome, "neurosurgery-now").reason
    assert step(outcome, "neurosurgery-now").source.label.startswith("ACR")
    both = step(asked(blood(31, outside=40)), "neurosurgery-now")
    assert both.source.label.startswith("AHA/ASA")
    assert "Blood outside the brain" in both.reason
    assert keys(asked(blood(5, outside=0.4))) == CALLS[:1]
    assert held(asked(blood(5, outside=0.4)), "outside") is None


def test_a_glasgow_coma_score_outside_3_to_15_cannot_be_one_and_is_missing() -> None:
    for number in (2, 16, 99):
        outcome = asked(blood(5, ventricles=2), {GCS: value(number, "{score}", STUDY_DATE)})
        assert keys(outcome) == CALLS[:2]
        assert f"Glasgow Coma Score: {number} of 2026-11-02 cannot be one" in missing(outcome)
        assert score(outcome) is None
    for number in (3, 15):
        assert "Glasgow Coma Score" not in missing(asked(facts={GCS: value(number, "{score}", STUDY_DATE)}))


def test_images_that_are_older_than_the_site_s_limit_are_told_with_their_age_as_urgent_instead_of_at_once() -> None:
    def on(day: date, **site: str) -> Advice:
        facts = {medication_codes.ANTICOAGULANT: item()}
        options = {f"intracranial_haemorrhage.{name}": text for name, text in site.items()}
        return advice(asked(blood(31), facts, today=day, site=options))

    for fresh in (on(date(2026, 11, 4)), on(date(2026, 11, 9), images_days="7"), on(date(2026, 11, 1))):
        assert {(one.priority, one.acr_category) for one in fresh.recommendations} == {(Priority.STAT, 1)}
    old = on(date(2026, 11, 5))
    assert keys(old) == CALLS
    assert old.indicator is Indicator.WARNING
    assert {(one.priority, one.acr_category, one.by) for one in old.recommendations} == {
        (Priority.URGENT, 2, date(2026, 11, 5))
    }
    assert "on images of 2026-11-02 (AI), not of today" in old.summary
    assert len(on(date(2046, 11, 5)).summary) < 140
    assert "The images are of 2026-11-02, not of today" in " ".join(old.seen)
    assert digest(old) == digest(on(date(2026, 11, 6))), "an answer to the card holds on the next day"
    assert on(date(2026, 11, 4), images_days="1").indicator is Indicator.WARNING
    with pytest.raises(InvalidInput):
        on(STUDY_DATE, images_days="8")


def test_a_haemorrhage_that_was_not_detected_makes_no_card_and_is_not_excluded() -> None:
    none = answer(
        found("hemorrhage", finding_codes.INTRACRANIAL_HAEMORRHAGE, 0.3, Presence.NOT_DETECTED),
        found("iph_volume", finding_codes.IPH_VOLUME, 0.3),
    )
    outcome = nothing(asked(none))
    assert held(outcome, "not-seen")
    assert outcome.reason == "no haemorrhage inside the skull was detected, which does not exclude one"
    assert keys(intracranial_haemorrhage(study(record(intracranial_haemorrhage.asks), none, blood()))) == ("tell-now",)


def test_a_haemorrhage_that_is_on_record_already_is_told_all_the_same() -> None:
    before, after = asked(), asked(facts={condition_codes.INTRACRANIAL_HAEMORRHAGE: item()})
    assert keys(after) == keys(before)
    assert advice(after).indicator is Indicator.CRITICAL
    assert "on record already" in " ".join(advice(after).meaning)
    assert "on record already" not in " ".join(advice(before).meaning)


def test_in_palliative_care_a_haemorrhage_is_told_all_the_same() -> None:
    outcome = asked(facts={condition_codes.PALLIATIVE_CARE: item()})
    assert keys(outcome) == ("tell-now",)
    assert "speak to who leads it" in " ".join(advice(outcome).meaning)


def test_a_cerebellar_haemorrhage_of_15_ml_or_more_is_told_to_neurosurgery() -> None:
    outcome = asked(blood(15, more=(cerebellar(15),)))
    assert keys(outcome) == CALLS[:2]
    call = step(outcome, "neurosurgery-now")
    assert (call.strength, call.priority, call.acr_category) == ("class 1, level B-NR", Priority.STAT, 1)
    assert keys(asked(blood(14.9, more=(cerebellar(14.9),)))) == CALLS[:1]
    assert held(asked(), "cerebellar") is None


def test_blood_in_the_ventricles_with_a_glasgow_coma_score_below_15_is_told_to_neurosurgery() -> None:
    drowsy = {GCS: value(14, "{score}", STUDY_DATE)}
    assert keys(asked(blood(5, ventricles=2), drowsy)) == CALLS[:2]
    assert keys(asked(blood(5, ventricles=2))) == CALLS[:1]
    assert keys(asked(blood(5, ventricles=0), drowsy)) == CALLS[:1]


def test_hydrocephalus_with_a_glasgow_coma_score_below_15_is_told_to_neurosurgery() -> None:
    drowsy = {GCS: value(14, "{score}", STUDY_DATE)}
    assert keys(asked(blood(5, more=(hydrocephalus(),)), drowsy)) == CALLS[:2]
    assert keys(asked(blood(5, more=(hydrocephalus(),)))) == CALLS[:1]
    assert keys(asked(blood(5, more=(hydrocephalus(Presence.NOT_DETECTED),)), drowsy)) == CALLS[:1]
    assert "hydrocephalus: no model tells" in missing(asked())
    assert "hydrocephalus: no model tells" not in missing(asked(blood(5, more=(hydrocephalus(),))))


@pytest.mark.parametrize("fact", [NOT_FOUND, Unknown("away"), value(15, "{score}", date(2026, 11, 1)), None])
def test_without_a_glasgow_coma_score_of_the_day_hydrocephalus_or_blood_in_the_ventricles_is_told_to_neurosurgery_too(
    fact: object,
) -> None:
    facts = {GCS: fact or value(15, "{score}", None)}
    for images in (blood(5, ventricles=2), blood(5, more=(hydrocephalus(),))):
        outcome = asked(images, facts)
        assert keys(outcome) == CALLS[:2]
        assert step(outcome, "neurosurgery-now").strength == ""
        assert "Glasgow Coma Score" in missing(outcome)
    assert keys(asked(blood(5), facts)) == CALLS[:1]


def test_a_haemorrhage_of_more_than_30_ml_within_the_brain_is_told_to_neurosurgery() -> None:
    assert keys(asked(blood(30.1))) == CALLS[:2]
    assert keys(asked(blood(30))) == CALLS[:1]
    assert held(asked(blood(30, outside=40)), "large") is False
    site = {"intracranial_haemorrhage.large_ml": "20"}
    assert keys(asked(blood(21), site=site)) == CALLS[:2]
    moderate = asked(blood(31), {GCS: value(12, "{score}", STUDY_DATE)})
    assert step(moderate, "neurosurgery-now").strength == "class 2a, level B-R"
    assert step(asked(blood(31)), "neurosurgery-now").strength == ""
    by_diameters = answer(
        found("hemorrhage", finding_codes.INTRACRANIAL_HAEMORRHAGE, 31, Presence.PRESENT),
        found("abc2", finding_codes.IPH_ABC2, 31),
    )
    assert keys(asked(by_diameters)) == CALLS[:2]
    both = blood(29, more=(found("abc2", finding_codes.IPH_ABC2, 31),))
    assert keys(asked(both)) == CALLS[:2]
    assert "within the brain 29 mL, within the brain by ABC/2 31 mL" in advice(asked(both)).seen[0]
    assert advice(asked(both)).summary.startswith("Blood inside the skull, 29 mL")


def test_a_haemorrhage_with_a_glasgow_coma_score_of_8_or_less_is_told_to_neurosurgery() -> None:
    assert keys(asked(facts={GCS: value(8, "{score}", STUDY_DATE)})) == CALLS[:2]
    assert keys(asked(facts={GCS: value(9, "{score}", STUDY_DATE)})) == CALLS[:1]


def test_with_an_anticoagulant_on_the_medication_list_stopping_and_reversing_it_is_considered_at_once() -> None:
    outcome = asked(facts={medication_codes.ANTICOAGULANT: item(text="apixaban 5 mg")})
    assert keys(outcome) == ("tell-now", "reversal-now")
    reversal = step(outcome, "reversal-now")
    assert (reversal.strength, reversal.priority) == ("class 1, level C-LD", Priority.STAT)
    assert "anticoagulant: apixaban 5 mg (1) (2025-05-06" in "".join(reversal.because)
    named = Known(ClinicalItem(Coding("urn:test", "B01AF02", "apixaban"), "5 mg twice a day"), STUDY_DATE, "FHIR ehr")
    dosed = step(asked(facts={medication_codes.ANTICOAGULANT: named}), "reversal-now")
    assert "anticoagulant: apixaban, 5 mg twice a day (B01AF02)" in "".join(dosed.because)
    unread = asked(facts={medication_codes.ANTICOAGULANT: Unknown("nobody could be asked")})
    assert "anticoagulant: nobody could be asked. How to get it: ask the patient, the family" in missing(unread)


def test_an_inr_of_2_0_or_more_counts_as_anticoagulation_whatever_the_medication_list_says() -> None:
    def inr(number: float, on: date = STUDY_DATE) -> PathwayOutcome:
        return asked(facts={measurement_codes.INR: value(number, "1", on)})

    assert keys(inr(2.0)) == ("tell-now", "reversal-now")
    assert step(inr(2.0), "reversal-now").strength == ""
    assert keys(inr(1.99)) == ("tell-now",)
    assert keys(inr(3.5, date(2026, 11, 1))) == ("tell-now", "reversal-now")
    assert "reversal-now" not in keys(inr(3.5, date(2026, 10, 31)))


def test_an_earlier_inr_of_2_0_or_more_without_an_anticoagulant_on_the_list_is_shown_and_measured_again_now() -> None:
    def earlier(number: float, on: date | None = date(2026, 10, 31), fact: object = NOT_FOUND) -> PathwayOutcome:
        return asked(facts={measurement_codes.INR: value(number, "1", on), medication_codes.ANTICOAGULANT: fact})

    for outcome in (earlier(2.0), earlier(2.0, None), earlier(2.0, fact=Unknown("away"))):
        assert keys(outcome) == ("tell-now", "inr-now")
        assert "The last INR was 2 (" in step(outcome, "inr-now").reason
        assert "INR: the newest, 2, is of" in missing(outcome)
    assert step(earlier(2.0), "inr-now").priority is Priority.STAT
    assert keys(earlier(1.99)) == ("tell-now",)
    assert keys(earlier(2.0, fact=item())) == ("tell-now", "reversal-now")


def test_an_antiplatelet_drug_is_shown_and_platelets_are_not_suggested() -> None:
    outcome = advice(asked(facts={medication_codes.ANTIPLATELET: item(text="aspirin 100 mg")}))
    assert keys(outcome) == ("tell-now",)
    assert "class 3: harm" in outcome.notes[0]
    assert "aspirin 100 mg" in str(outcome.inputs)
    assert advice(asked()).notes == ()


@pytest.mark.parametrize(
    ("gcs", "images", "wanted"),
    [
        # GCS 15, 10 mL, no blood in the ventricles, 63 years: 0 points, 1 below the tentorium.
        (15, blood(10), "0 or 1"),
        # GCS 12 is one point, 30 mL one, blood in the ventricles one.
        (12, blood(30, ventricles=2), "3 or 4"),
        # GCS 4 is two points; in the cerebellum one.
        (4, blood(16, more=(cerebellar(16),)), "3"),
    ],
)
def test_the_ich_score_is_shown_for_blood_within_the_brain_and_decides_nothing(
    gcs: float, images: Findings, wanted: str
) -> None:
    outcome = advice(asked(images, {GCS: value(gcs, "{score}", STUDY_DATE)}))
    assert f"ICH score {wanted} of 6" in " ".join(outcome.meaning)
    assert "never a reason to limit care" in " ".join(outcome.limits)
    assert "ICH" not in " ".join(one.reason for one in outcome.recommendations)
    assert advice(asked(blood(0, outside=12))).risks == ()


def test_a_score_that_lacks_the_coma_score_or_the_age_is_not_guessed() -> None:
    assert score(asked(facts={GCS: NOT_FOUND})) is None
    unborn = asked(birth_date=Unknown("not stated"))
    assert score(unborn) is None
    assert "age" in missing(unborn)
    trace = asked(blood(10, ventricles=0.2))
    assert score(trace) is None
    assert "whether there is blood in the ventricles" in missing(trace)


def test_after_a_head_injury_the_ich_score_is_not_shown() -> None:
    injured = asked(facts={condition_codes.HEAD_INJURY: item(STUDY_DATE)})
    assert score(injured) == "not shown"
    assert "not after a head injury" in advice(injured).notes[0]
    assert keys(injured) == keys(asked())
    assert score(asked(facts={condition_codes.HEAD_INJURY: item(date(2020, 1, 1))})) == "0 or 1"


@pytest.mark.parametrize("action", [actions.STROKE_TEAM_CALL, actions.NEUROSURGERY_CALL])
def test_an_open_request_is_told_and_stops_no_call(action: object) -> None:
    ordered = procedure_codes.ORDERED[action.code]
    outcome = asked(blood(31), {ordered: item(STUDY_DATE)})
    assert keys(outcome) == CALLS[:2]
    assert "call all the same" in str(advice(outcome).recommendations)
    assert "call all the same" not in str(advice(asked(blood(31))).recommendations)


def test_a_model_that_could_not_look_is_not_taken_for_no_blood() -> None:
    whole = NotEvaluated("head_ct_hemorrhage", "1.0.0", ("contrast medium",), gate="contrast")
    part = answer(Finding("ich", finding_codes.INTRACRANIAL_HAEMORRHAGE, Presence.NOT_EVALUATED, reason="motion"))
    data = record(intracranial_haemorrhage.asks)
    for outcome, why in ((whole, "contrast medium"), (part, "motion")):
        assert why in missing(untold(intracranial_haemorrhage(study(data, outcome))))
    for quiet in (NotEvaluated("head_ct_hemorrhage", "1.0.0", ("no CT",), gate="series"), answer()):
        assert "no model looked" in nothing(intracranial_haemorrhage(study(data, quiet))).reason
    other = NotEvaluated("ct_lung_density", "0.1.0", ("kernel",), gate="kernel")
    assert nothing(intracranial_haemorrhage(study(data, other)))


def test_a_deceased_patient_is_not_spoken_of() -> None:
    assert nothing(asked(deceased=Known(value=True, effective=None, source="patient demographics")))


def test_a_site_cannot_set_what_lies_out_of_bounds() -> None:
    for one, text in ((BLOOD_ML, "3"), (LARGE_ML, "31")):
        with pytest.raises(InvalidInput):
            asked(blood(31), site={f"intracranial_haemorrhage.{one.name}": text})


RANDOM = records(
    intracranial_haemorrhage,
    {GCS.name: (3, 15), measurement_codes.INR.name: (0.8, 6)},
)
IMAGES = st.builds(
    lambda within, ventricles, more: blood(within, ventricles=ventricles, more=more),
    st.floats(0, 80),
    st.sampled_from([0.0, 0.2, 3.0]),
    st.sampled_from([(), (cerebellar(16),), (hydrocephalus(),), (hydrocephalus(Presence.NOT_DETECTED),)]),
)


@settings(max_examples=60, deadline=None)
@given(IMAGES, RANDOM)
def test_blood_is_always_told_and_what_is_known_already_changes_no_step(images: Findings, data: object) -> None:
    base = intracranial_haemorrhage(study(data, images))
    assert isinstance(base, Advice)
    assert keys(base)[0] == "tell-now"
    for one in (condition_codes.INTRACRANIAL_HAEMORRHAGE, condition_codes.PALLIATIVE_CARE, condition_codes.HEAD_INJURY):
        for fact in (item(TODAY), NOT_FOUND):
            assert keys(intracranial_haemorrhage(study(with_fact(data, one, fact), images))) == keys(base)


@settings(max_examples=60, deadline=None)
@given(IMAGES, RANDOM)
def test_what_nobody_could_be_asked_of_a_bleed_never_reads_as_normal(images: Findings, data: object) -> None:
    before = intracranial_haemorrhage(study(data, images))
    for one in intracranial_haemorrhage.asks:
        after = intracranial_haemorrhage(study(without(data, one), images))
        assert is_as_good(before, after, one.title)
        assert urgency(after) == urgency(before)


@settings(max_examples=40, deadline=None)
@given(st.lists(IMAGES, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_of_the_answers_about_blood_does_not_matter(images: list[Findings], random: object) -> None:
    data = record(intracranial_haemorrhage.asks, AWAKE)
    shuffled = random.sample(images, len(images))
    assert intracranial_haemorrhage(study(data, *images)) == intracranial_haemorrhage(study(data, *shuffled))


_PLACES = (finding_codes.IPH_VOLUME, finding_codes.IPH_ABC2, finding_codes.EAH_VOLUME, finding_codes.IVH_VOLUME)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(_PLACES), st.floats(0, 3)), min_size=1, max_size=4, unique_by=lambda one: one[0]
    ),
    st.sampled_from([None, Presence.NOT_DETECTED, Presence.PRESENT]),
)
def test_no_answer_of_a_model_hides_a_volume_that_counts(
    volumes: list[tuple[Coding, float]], judged: Presence | None
) -> None:
    told = () if judged is None else (found("h", finding_codes.INTRACRANIAL_HAEMORRHAGE, None, judged),)
    outcome = asked(answer(*told, *(found(code.code, code, ml) for code, ml in volumes)))
    if judged is Presence.PRESENT or max(ml for _, ml in volumes) >= 0.5:
        assert keys(outcome)[0] == "tell-now"

"""Several pathways as one answer: nothing twice, the most urgent first, contradictions shown, no more than helps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import action_codes as actions
from cds import codes
from cds.domain.coding import Coding
from cds.domain.order import Priority
from cds.domain.recommendation import (
    Advice,
    CouldNotTell,
    Indicator,
    NothingToSay,
    PathwayOutcome,
    Recommendation,
    Source,
)
from cds.pathways.merging import first, merged
from cds.store.values import dump, parse

SOURCE = Source("guideline", "https://example.org")
SOON, LATER = date(2026, 12, 1), date(2027, 6, 1)


def step(code: Coding = actions.DXA, priority: Priority = Priority.ROUTINE, by: date | None = None) -> Recommendation:
    """One recommendation."""
    return Recommendation(code.code, code.display, code, "because", SOURCE, priority=priority, by=by)


def advice(
    pathway: str, *steps: Recommendation, indicator: Indicator = Indicator.INFO, keys: tuple[str, ...] = ("k",)
) -> Advice:
    """What one pathway says; its first step is the one that is meant first."""
    meant = tuple(replace(one, recommended=index == 0) for index, one in enumerate(steps))
    return Advice(pathway, pathway.title(), f"{pathway} speaks", indicator, SOURCE, meant, (), keys)


def advices(*said: Advice | NothingToSay | CouldNotTell) -> list[Advice]:
    """The advices of what was merged."""
    return [one for one in merged(said) if isinstance(one, Advice)]


def test_the_same_step_of_two_pathways_is_asked_for_once_and_names_both() -> None:
    one, other = advices(advice("bone", step(by=LATER)), advice("calcium", step(by=SOON), step(actions.LIPID_VISIT)))
    assert [r.code for r in (*one.recommendations, *other.recommendations)].count(actions.DXA) == 1
    kept = next(r for r in (*one.recommendations, *other.recommendations) if r.code == actions.DXA)
    assert kept.by == SOON
    assert kept.also == ("Bone",)
    assert any("asked for above" in note for said in (one, other) for note in said.notes)


def test_the_step_is_kept_where_it_is_most_urgent() -> None:
    urgent = step(priority=Priority.URGENT, by=LATER)
    said = {one.pathway: one for one in advices(advice("a", step(by=SOON)), advice("b", urgent))}
    assert said["a"].recommendations == ()
    assert said["b"].recommendations[0].priority is Priority.URGENT
    assert said["b"].recommendations[0].by == SOON


def test_the_most_urgent_advice_comes_first() -> None:
    said = advices(
        advice("a", step(actions.DXA)),
        advice("b", step(actions.LIPID_VISIT, by=LATER)),
        advice("c", step(actions.ECHOCARDIOGRAPHY, Priority.URGENT)),
        advice("d", step(actions.NEUROSURGERY_CALL), indicator=Indicator.CRITICAL),
        advice("e", step(actions.PET_CT), indicator=Indicator.WARNING),
        advice("f", step(actions.REPEAT_FIB4, by=SOON)),
    )
    assert [one.pathway for one in said] == ["d", "e", "c", "f", "b", "a"]


def test_change_since_the_prior_raises_what_rests_on_the_same_finding() -> None:
    change = replace(advice("change", keys=("nodule-1",), indicator=Indicator.WARNING), raises=("nodule-1",))
    follow_up = advice("lung_nodule", step(actions.CHEST_CT_FOLLOW_UP), keys=("nodule-1",))
    other = advice("bone", step(), keys=("l1_attenuation",))
    said = {one.pathway: one for one in advices(change, follow_up, other)}
    assert said["lung_nodule"].indicator is Indicator.WARNING
    assert said["lung_nodule"].recommendations[0].priority is Priority.URGENT
    assert "change speaks" in said["lung_nodule"].recommendations[0].because[-1]
    assert said["bone"].indicator is Indicator.INFO
    assert said["bone"].recommendations[0].priority is Priority.ROUTINE


@pytest.mark.parametrize(
    ("raises", "rests_on", "raised"),
    [
        ("nodules.k", (), True),
        ("nodules.k", ("nodules.k",), True),
        ("nodules.k", ("livers.k",), False),
        ("livers.k", ("nodules.k",), False),
        ("livers.k", ("livers.k", "nodules.k"), True),
        ("nodules.other", (), False),
        ("nodules.other-k", (), False),
        ("k", (), True),  # as decisions of before name it
        ("other", (), False),
    ],
)
def test_what_rests_on_a_finding_is_told_by_its_model_and_its_key(
    raises: str, rests_on: tuple[str, ...], raised: bool
) -> None:
    change = replace(advice("change", keys=("k",)), raises=(raises,), rests_on=(raises,))
    said = {one.pathway: one for one in advices(change, replace(advice("other", step()), rests_on=rests_on))}
    assert said["other"].recommendations[0].priority is (Priority.URGENT if raised else Priority.ROUTINE)


def test_a_decision_of_before_is_still_read() -> None:
    change = replace(advice("change", keys=("k",)), raises=("k",))
    stored = json.loads(dump(PathwayOutcome, change))
    assert stored.pop("rests_on") == []
    read = parse(PathwayOutcome, json.dumps(stored))
    assert read == change
    said = {one.pathway: one for one in advices(read, advice("other", step()))}
    assert said["other"].recommendations[0].priority is Priority.URGENT


def test_change_lowers_nothing_that_was_more_urgent_already() -> None:
    change = replace(advice("change"), raises=("k",))
    bleeding = advice("bleeding", step(actions.NEUROSURGERY_CALL, Priority.STAT), indicator=Indicator.CRITICAL)
    said = {one.pathway: one for one in advices(change, bleeding)}
    assert said["bleeding"].indicator is Indicator.CRITICAL
    assert said["bleeding"].recommendations[0].priority is Priority.STAT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (actions.HOME_CARE, actions.ADMISSION_ASSESSMENT),
        (actions.HOME_CARE, actions.ACUTE_ASSESSMENT),
        (actions.NO_IMAGING, actions.PET_CT),
        (actions.LOW_DOSE_SCREENING_CT, actions.NODULE_CLINIC_REFERRAL),
        (codes.SCREENING_VISIT_REQUEST, actions.PET_CT),
        (actions.REPEAT_FIB4, actions.HEPATOLOGY_REFERRAL),
    ],
)
def test_steps_that_cannot_both_be_right_are_shown_to_contradict_each_other(one: Coding, other: Coding) -> None:
    a, b = advices(advice("a", step(one)), advice("b", step(other)))
    for said in (a, b):
        assert len(said.contradictions) == 1
        assert one.display in said.contradictions[0]
        assert other.display in said.contradictions[0]


def test_a_united_step_keeps_the_sooner_day_and_the_stricter_category() -> None:
    late = replace(step(), not_before=LATER, by=date(2027, 12, 1), acr_category=3)
    [kept] = [one for said in advices(advice("a", late), advice("b", replace(step(by=SOON), acr_category=2)))
              for one in said.recommendations]  # fmt: skip
    assert (kept.by, kept.acr_category) == (SOON, 2)
    assert kept.not_before is None


def test_steps_that_go_together_contradict_nothing() -> None:
    assert all(not one.contradictions for one in advices(advice("a", step()), advice("b", step(actions.LIPID_VISIT))))


def test_what_is_no_advice_comes_after_the_advices_and_is_kept() -> None:
    quiet, untold = NothingToSay("q", "does not apply"), CouldNotTell("u", "U", "unknown")
    assert merged([quiet, untold, advice("a", step())])[1:] == (quiet, untold)


def test_no_more_steps_are_shown_than_a_reader_can_act_on() -> None:
    said = (advice("a", step(actions.DXA), step(actions.LIPID_VISIT)), advice("b", step(actions.PET_CT)))
    shown, left_out = first(said, 2)
    assert [len(one.recommendations) for one in shown] == [2]
    assert left_out == 1
    assert first(said, 3) == (said, 0)


def test_a_critical_advice_is_always_whole_and_takes_no_place_of_the_others() -> None:
    critical = advice("c", *(step(a) for a in (actions.NEUROSURGERY_CALL, actions.DXA)), indicator=Indicator.CRITICAL)
    shown, left_out = first((critical, advice("a", step(actions.LIPID_VISIT))), 1)
    assert [len(one.recommendations) for one in shown] == [2, 1]
    assert left_out == 0


def test_an_advice_that_suggests_nothing_is_shown() -> None:
    """What is missing, or has changed, is told although there is no step."""
    shown, left_out = first((advice("a"),), 1)
    assert len(shown) == 1
    assert left_out == 0


_CODES = st.sampled_from([actions.DXA, actions.PET_CT, actions.LIPID_VISIT, actions.REPEAT_FIB4])
_STEPS = st.builds(step, _CODES, st.sampled_from(list(Priority)), st.sampled_from([None, SOON, LATER]))
_ADVICES = st.lists(
    st.tuples(st.lists(_STEPS, max_size=3, unique_by=lambda one: one.code), st.sampled_from(list(Indicator))),
    max_size=4,
)


@given(_ADVICES)
def test_the_order_in_which_pathways_speak_does_not_matter(said: list[tuple[list[Recommendation], Indicator]]) -> None:
    spoken = [advice(f"p{number}", *steps, indicator=how) for number, (steps, how) in enumerate(said)]
    assert merged(spoken) == merged(reversed(spoken))


@given(_ADVICES)
def test_merging_loses_no_action_and_lowers_no_urgency(said: list[tuple[list[Recommendation], Indicator]]) -> None:
    spoken = [advice(f"p{number}", *steps, indicator=how) for number, (steps, how) in enumerate(said)]
    told = advices(*spoken)
    asked = {one.code.code for given_ in spoken for one in given_.recommendations}
    kept = [one for given_ in told for one in given_.recommendations]
    assert sorted(one.code.code for one in kept) == sorted(asked)
    ranks = [Priority.STAT, Priority.ASAP, Priority.URGENT, Priority.ROUTINE]
    for one in kept:
        wanted = [r for given_ in spoken for r in given_.recommendations if r.code == one.code]
        assert ranks.index(one.priority) <= min(ranks.index(r.priority) for r in wanted)
        days = [r.by for r in wanted if r.by]
        assert one.by == (min(days) if days else None)

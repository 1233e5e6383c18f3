"""What a reader is not told again, why, and that a critical card never waits (SAFETY section 5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import hooks
from cds.domain.coding import Coding
from cds.domain.hook import About, CardHistory, HeldBack, HookCall, Outcome, PastAnswer, Reader, Suppressed
from cds.domain.recommendation import Indicator
from cds.hook_peers import Fatigue
from cds.hooks import HookContext, parts
from cds.hooks.answer import Card, Suggestion
from cds.hooks.fatigue import choose
from tests.unit.clinical import NOW, STUDY_UID
from tests.unit.hook_desk import PATIENT, Desk

GP = Reader("general", "Practitioner/1")
PULMONOLOGIST = "http://nucc.org/provider-taxonomy|207RP1001X"
RADIOLOGIST = "http://nucc.org/provider-taxonomy|2085R0202X"
HOUR = timedelta(hours=1)


@dataclass
class Asked:
    """Counts how often it is asked what was."""

    past: CardHistory = field(default_factory=CardHistory)
    times: int = 0

    def history(self, reader: Reader, whose: str) -> CardHistory:
        """The same for everybody."""
        self.times += 1
        return self.past

    def keep(self, call: HookCall) -> None:
        """Not of interest here."""


def context(past: CardHistory | None = None, fatigue: Fatigue | None = None) -> HookContext:
    """A context whose past is this."""
    return replace(Desk().context(), log=Asked(past or CardHistory()), fatigue=fatigue or Fatigue())


def card(
    pathway: str = "nodule",
    indicator: Indicator = Indicator.INFO,
    *,
    digest: str = "d1",
    steps: Iterable[str] = ("ct",),
    key: str = "",
) -> Card:
    """An advice of a pathway, with one suggestion per step."""
    about = About(key or f"s/1/{pathway}", digest, pathway, indicator, STUDY_UID)
    offered = tuple(Suggestion(step, {"label": f"Order {step}", "actions": []}) for step in steps)
    body: dict[str, object] = {"summary": pathway, "detail": "Why.", "indicator": indicator.value}
    return Card(about, body, offered)


def order_check() -> Card:
    """A check of an order: it is about no study."""
    one = card("metformin", Indicator.WARNING)
    return replace(one, about=replace(one.about, study_instance_uid=None))


def told(one: Card, outcome: Outcome, ago: timedelta, *, by: Reader = GP, **more: Any) -> PastAnswer:
    """Somebody answered this card so long ago."""
    return PastAnswer(one.about.key, one.about.digest, outcome, NOW - ago, by, **more)


def accepted(one: Card, *steps: str, ago: timedelta = HOUR, by: Reader = GP) -> CardHistory:
    """Somebody accepted steps of the card."""
    return CardHistory((told(one, Outcome.ACCEPTED, ago, by=by, accepted=steps),))


def overridden(one: Card, reason: Coding | None, ago: timedelta = HOUR, by: Reader = GP) -> CardHistory:
    """Somebody overrode the card."""
    return CardHistory((told(one, Outcome.OVERRIDDEN, ago, by=by, reason=reason),))


def chosen(
    cards: Sequence[Card],
    past: CardHistory | None = None,
    fatigue: Fatigue | None = None,
    reader: Reader = GP,
    whose: str = "patient-1",
) -> tuple[tuple[Card, ...], list[tuple[str, HeldBack]]]:
    """The cards that are shown, and the pathways of those that are not."""
    kept, held = choose(cards, reader, context(past, fatigue), whose)
    return kept, [(one.about.pathway, one.why) for one in held]


# --- what never waits


def test_with_no_past_every_card_is_shown_in_its_order() -> None:
    cards = [card("a"), card("b", Indicator.WARNING), card("c")]
    assert chosen(cards) == (tuple(cards), [])


@pytest.mark.parametrize("reason", [parts.ALREADY_KNOWN, parts.LATER, parts.AI_FINDING_WRONG])
def test_a_critical_card_is_shown_whatever_was_answered_seen_or_configured(reason: Coding) -> None:
    one = card("bleed", Indicator.CRITICAL)
    answers = (*accepted(one, "ct").answers, *overridden(one, reason).answers)
    past = CardHistory(answers, {(one.about.key, one.about.digest): NOW}, frozenset({"x", "y"}))
    fatigue = Fatigue(daily_cap=1, info_again_h=24, roles={PULMONOLOGIST: frozenset()})
    assert chosen([one], past, fatigue, replace(GP, roles=(PULMONOLOGIST,))) == ((one,), [])


def test_a_card_that_gives_no_advice_is_always_shown() -> None:
    telling = Card(About("unidentified", ""), {"summary": "cannot match"})
    past = CardHistory((told(telling, Outcome.OVERRIDDEN, HOUR, reason=parts.ALREADY_KNOWN),), {}, frozenset("ab"))
    assert chosen([telling], past, Fatigue(daily_cap=1, roles={PULMONOLOGIST: frozenset()})) == ((telling,), [])


@pytest.mark.parametrize(
    ("cards", "times"),
    [
        ([], 0),
        ([card("bleed", Indicator.CRITICAL)], 0),
        ([Card(About("left-out", ""), {})], 0),
        ([card("a"), card("b"), card("bleed", Indicator.CRITICAL)], 1),
    ],
    ids=["nothing", "critical", "no advice", "advice"],
)
def test_what_was_is_asked_once_and_only_where_it_matters(cards: list[Card], times: int) -> None:
    log = Asked()
    choose(cards, GP, replace(context(), log=log), "patient-1")
    assert log.times == times


# --- role


def test_a_listed_role_is_told_what_the_lists_of_all_its_roles_name() -> None:
    fatigue = Fatigue(roles={PULMONOLOGIST: frozenset({"nodule"}), RADIOLOGIST: frozenset({"emphysema"})})
    cards = [card("nodule"), card("emphysema"), card("bone")]
    one = chosen(cards, fatigue=fatigue, reader=replace(GP, roles=(PULMONOLOGIST,)))
    assert one == ((cards[0],), [("emphysema", HeldBack.ROLE), ("bone", HeldBack.ROLE)])
    both = chosen(cards, fatigue=fatigue, reader=replace(GP, roles=(PULMONOLOGIST, RADIOLOGIST, "x|y")))
    assert both == (tuple(cards[:2]), [("bone", HeldBack.ROLE)])


@pytest.mark.parametrize("roles", [(), ("http://snomed.info/sct|309343006",)], ids=["unknown", "not listed"])
def test_a_reader_whose_role_is_unknown_or_not_listed_is_told_everything(roles: tuple[str, ...]) -> None:
    fatigue = Fatigue(roles={PULMONOLOGIST: frozenset({"nodule"})})
    assert chosen([card("bone")], fatigue=fatigue, reader=replace(GP, roles=roles)) == ((card("bone"),), [])


def test_the_role_is_the_first_reason() -> None:
    one = card("bone")
    fatigue = Fatigue(roles={PULMONOLOGIST: frozenset({"nodule"})})
    [(_, why)] = chosen([one], accepted(one, "ct"), fatigue, replace(GP, roles=(PULMONOLOGIST,)))[1]
    assert why is HeldBack.ROLE


# --- accepted


def test_a_step_that_anybody_accepted_is_not_offered_again_and_its_card_waits() -> None:
    one = card(steps=("ct",))
    past = accepted(one, "ct", by=Reader("other", "Practitioner/9"))
    assert chosen([one], past) == ((), [("nodule", HeldBack.ACCEPTED)])


def test_a_card_with_another_step_left_says_which_was_accepted_and_when() -> None:
    one = card(steps=("ct", "visit"))
    [kept], held = chosen([one], accepted(one, "ct"))
    assert [step.key for step in kept.suggestions] == ["visit"]
    assert kept.body["detail"] == "Why.\n\nAccepted on 2026-11-22, and not offered again: Order ct"
    assert kept.about == one.about
    assert held == []


def test_who_draws_up_an_order_again_is_told_again_what_should_take_its_place() -> None:
    one = replace(order_check(), selection="at-most-one")
    assert chosen([one], accepted(one, "ct")) == ((one,), [])


def test_what_was_answered_to_the_check_of_an_order_counts_for_the_same_reader_and_for_the_sites_hours() -> None:
    one, fatigue, other = order_check(), Fatigue(accepted_h=72), Reader("general", "Practitioner/2")
    assert chosen([one], accepted(one, "ct"), fatigue)[1] == [("metformin", HeldBack.ACCEPTED)]
    assert chosen([one], overridden(one, parts.ALREADY_KNOWN), fatigue)[1] == [("metformin", HeldBack.OVERRIDDEN)]
    assert chosen([one], accepted(one, "ct", by=other), fatigue) == ((one,), [])
    assert chosen([one], accepted(one, "ct", ago=72 * HOUR), fatigue) == ((one,), [])
    assert chosen([one], overridden(one, parts.ALREADY_KNOWN, ago=72 * HOUR), fatigue) == ((one,), [])


def test_after_the_sites_hours_the_step_is_offered_again_and_says_that_no_order_is_known() -> None:
    one, fatigue = card(), Fatigue(accepted_h=72)
    assert chosen([one], accepted(one, "ct", ago=72 * HOUR - timedelta(seconds=1)), fatigue)[0] == ()
    [again], held = chosen([one], accepted(one, "ct", ago=72 * HOUR), fatigue)
    assert again.suggestions == one.suggestions
    assert again.body["detail"] == "Why.\n\nAccepted on 2026-11-19, and no order is known since: Order ct"
    assert held == []


def test_the_newest_accept_of_a_step_counts() -> None:
    one = card()
    twice = (*accepted(one, "ct", ago=HOUR).answers, *accepted(one, "ct", ago=90 * HOUR).answers)
    assert chosen([one], CardHistory(twice))[1] == [("nodule", HeldBack.ACCEPTED)]


def test_the_label_of_an_accepted_step_is_shown_as_text() -> None:
    one = card(steps=("<b>[x](y)", "visit"))
    [kept], _ = chosen([one], accepted(one, "<b>[x](y)"))
    assert str(kept.body["detail"]).endswith(r"Order &lt;b&gt;\[x\](y)")


# --- overridden, snoozed


@pytest.mark.parametrize("reason", [r for r in parts.FINDING_REASONS if r != parts.LATER], ids=lambda r: str(r.code))
def test_who_gave_a_reason_is_not_told_the_same_again(reason: Coding) -> None:
    one = card()
    assert chosen([one], overridden(one, reason, ago=2000 * HOUR)) == ((), [("nodule", HeldBack.OVERRIDDEN)])


def test_who_called_a_finding_wrong_is_told_again_once_a_radiologist_says_that_it_is_there() -> None:
    one = card()
    confirmed = replace(one, about=replace(one.about, confirmed_at=NOW - HOUR))
    for reason, ago, shown in [
        (parts.AI_FINDING_WRONG, 2 * HOUR, (confirmed,)),
        (parts.AI_FINDING_WRONG, HOUR / 2, ()),
        (parts.ALREADY_KNOWN, 2 * HOUR, ()),
    ]:
        assert chosen([confirmed], overridden(one, reason, ago))[0] == shown


def test_an_override_without_a_reason_holds_nothing_back() -> None:
    one = card()
    assert chosen([one], overridden(one, None)) == ((one,), [])


@pytest.mark.parametrize(
    "by", [Reader("general", "Practitioner/2"), Reader("other", "Practitioner/1")], ids=["user", "client"]
)
def test_somebody_elses_override_holds_nothing_back(by: Reader) -> None:
    one = card()
    assert chosen([one], overridden(one, parts.ALREADY_KNOWN, by=by)) == ((one,), [])


def test_without_a_user_nobody_overrode_anything() -> None:
    one, nobody = card(), Reader("general", "")
    assert chosen([one], overridden(one, parts.ALREADY_KNOWN, by=nobody), reader=nobody) == ((one,), [])


def test_an_override_counts_under_another_role_of_the_same_person() -> None:
    one = card()
    past = overridden(one, parts.ALREADY_KNOWN, by=replace(GP, roles=(RADIOLOGIST,)))
    assert chosen([one], past)[1] == [("nodule", HeldBack.OVERRIDDEN)]


def test_remind_me_later_is_for_the_sites_hours() -> None:
    one, fatigue = card(), Fatigue(snooze_h=24)
    assert chosen([one], overridden(one, parts.LATER, 23 * HOUR), fatigue)[1] == [("nodule", HeldBack.SNOOZED)]
    assert chosen([one], overridden(one, parts.LATER, 24 * HOUR), fatigue) == ((one,), [])


def test_an_answer_from_the_future_holds_nothing_back_and_a_fast_clock_does() -> None:
    one = card()
    assert chosen([one], overridden(one, parts.ALREADY_KNOWN, -HOUR)) == ((one,), [])
    fast = overridden(one, parts.ALREADY_KNOWN, -timedelta(minutes=4))
    assert chosen([one], fast)[1] == [("nodule", HeldBack.OVERRIDDEN)]


def test_what_was_answered_of_no_patient_in_particular_holds_nothing_back() -> None:
    one = card()
    assert chosen([one], overridden(one, parts.ALREADY_KNOWN), whose="") == ((one,), [])


# --- seen


def test_what_is_good_to_know_is_not_repeated_to_who_saw_it_where_the_site_wants_that() -> None:
    one, fatigue = card(), Fatigue(info_again_h=24)
    seen = CardHistory(seen={("s/1/nodule", "d1"): NOW - 23 * HOUR})
    assert chosen([one], seen, fatigue) == ((), [("nodule", HeldBack.SEEN)])
    assert chosen([one], seen, Fatigue(info_again_h=23)) == ((one,), [])
    assert chosen([one], seen, Fatigue(info_again_h=0)) == ((one,), [])
    warning = card(indicator=Indicator.WARNING)
    assert chosen([warning], seen, fatigue) == ((warning,), [])
    assert chosen([one], seen, fatigue, Reader("general")) == ((one,), [])


def test_what_was_seen_of_an_order_when_it_was_selected_is_shown_again_when_it_is_signed() -> None:
    one = card("metformin")
    check = replace(one, about=replace(one.about, study_instance_uid=None))
    seen = CardHistory(seen={(check.about.key, check.about.digest): NOW})
    assert chosen([check], seen, Fatigue(info_again_h=24)) == ((check,), [])


# --- cap


def test_beyond_the_cap_new_advice_waits_the_least_urgent_first_and_a_card_says_so() -> None:
    cards = [card("a"), card("b"), card("c", Indicator.WARNING), card("bleed", Indicator.CRITICAL)]
    past = CardHistory(today=frozenset({"of another patient"}))
    kept, held = chosen(cards, past, Fatigue(daily_cap=2))
    assert [one.about.pathway for one in kept] == ["c", "bleed", ""]
    assert held == [("a", HeldBack.CAP), ("b", HeldBack.CAP)]
    assert kept[-1].body["summary"] == "2 suggestions are held back today"
    assert "not a negative result" in str(kept[-1].body["detail"])
    assert not kept[-1].is_advice


def test_what_was_shown_today_already_is_shown_again_under_the_cap() -> None:
    one = card()
    past = CardHistory(today=frozenset({one.about.key, "x", "y"}))
    assert chosen([one], past, Fatigue(daily_cap=1)) == ((one,), [])


def test_a_capped_reader_is_led_to_the_report_of_each_study_once() -> None:
    link = {"label": "AI report", "url": "https://sightline.example/r/1", "type": "absolute"}
    guideline = {"label": "Guideline", "url": "https://doi.org/10.1148/radiol.2017161659", "type": "absolute"}
    cards = [replace(one, body=one.body | {"links": [link, guideline]}) for one in (card("a"), card("b"), card("c"))]
    kept, _ = chosen(cards, CardHistory(today=frozenset({"x"})), Fatigue(daily_cap=1))
    assert kept[-1].body["links"] == [link]
    without, _ = chosen([card("a")], CardHistory(today=frozenset({"x"})), Fatigue(daily_cap=1))
    assert without[-1].body["summary"] == "1 suggestion is held back today"
    assert "links" not in without[-1].body


def test_a_card_that_is_held_back_for_another_reason_takes_no_room() -> None:
    cards = [card("a"), card("b")]
    kept, held = chosen(cards, overridden(cards[0], parts.ALREADY_KNOWN), Fatigue(daily_cap=1))
    assert kept == (cards[1],)
    assert held == [("a", HeldBack.OVERRIDDEN)]


def test_whom_the_hook_does_not_name_has_no_cap() -> None:
    cards = (card("a"), card("b"))
    assert chosen(cards, None, Fatigue(daily_cap=1), Reader("general")) == (cards, [])


# --- whatever the cards and the past are

_PATHWAYS = ("a", "b", "c", "d")
_READERS = st.sampled_from([GP, Reader("general", "Practitioner/2"), Reader("other", "Practitioner/1"), Reader()])
_REASONS = st.sampled_from([None, parts.LATER, parts.ALREADY_KNOWN, parts.AI_FINDING_WRONG])


def _any_card(is_check: bool, *given_: Any, **more: Any) -> Card:
    one = card(*given_, **more)
    return replace(one, about=replace(one.about, study_instance_uid=None)) if is_check else one


_CARDS = st.lists(
    st.builds(
        _any_card,
        st.booleans(),
        st.sampled_from(_PATHWAYS),
        st.sampled_from(list(Indicator)),
        digest=st.sampled_from(["d1", "d2"]),
        steps=st.sets(st.sampled_from(["ct", "visit"])).map(sorted),
    ),
    unique_by=lambda one: one.about.key,
    max_size=4,
)
_TIMES: st.SearchStrategy[datetime] = st.integers(-30, 300).map(lambda hours: NOW - hours * HOUR)
_KEYS = st.sampled_from([f"s/1/{one}" for one in _PATHWAYS])
_ANSWERS = st.lists(
    st.builds(
        PastAnswer,
        _KEYS,
        st.sampled_from(["d1", "d2"]),
        st.sampled_from(list(Outcome)),
        _TIMES,
        _READERS,
        st.sets(st.sampled_from(["ct", "visit"])).map(tuple),
        _REASONS,
    ),
    max_size=6,
).map(tuple)
_SEEN = st.dictionaries(st.tuples(_KEYS, st.sampled_from(["d1", "d2"])), _TIMES, max_size=3)
_PASTS = st.builds(CardHistory, _ANSWERS, _SEEN, st.frozensets(st.sampled_from(["s/1/a", "s/1/b", "x", "y"])))
_FATIGUE = st.builds(
    Fatigue,
    accepted_h=st.sampled_from([0, 72]),
    snooze_h=st.sampled_from([0, 24]),
    info_again_h=st.sampled_from([0, 24]),
    daily_cap=st.integers(1, 4),
    roles=st.sampled_from([{}, {PULMONOLOGIST: frozenset({"a", "b"})}]),
)
_WIDE = st.builds(Fatigue, info_again_h=st.sampled_from([0, 24]), daily_cap=st.just(1000))


def _abouts(found: Iterable[Card | Suppressed]) -> list[About]:
    return [one.about for one in found]


@given(_CARDS, _PASTS, _FATIGUE, st.booleans())
def test_every_card_is_shown_or_held_back_once_in_its_order_and_critical_ones_are_as_they_were(
    cards: list[Card], past: CardHistory, fatigue: Fatigue, has_role: bool
) -> None:
    reader = replace(GP, roles=(PULMONOLOGIST,)) if has_role else GP
    kept, held = choose(cards, reader, context(past, fatigue), "patient-1")
    said = [one for one in kept if one.is_advice]
    places = {one.about: place for place, one in enumerate(cards)}
    assert sorted(places[about] for about in _abouts([*said, *held])) == list(range(len(cards)))
    assert [places[about] for about in _abouts(said)] == sorted(places[about] for about in _abouts(said))
    assert [one for one in kept if one.about.indicator is Indicator.CRITICAL] == [
        one for one in cards if one.about.indicator is Indicator.CRITICAL
    ]
    assert len(kept) - len(said) == any(one.why is HeldBack.CAP for one in held)
    assert choose(cards, reader, context(past, fatigue), "patient-1") == (kept, held)


@given(_CARDS, _PASTS, _PASTS, _WIDE)
def test_below_the_cap_more_past_never_shows_more(
    cards: list[Card], past: CardHistory, more: CardHistory, fatigue: Fatigue
) -> None:
    seen = {key: max(found) for key in {**past.seen, **more.seen} if (found := _seen_at(key, past, more))}
    both = CardHistory((*past.answers, *more.answers), seen, past.today | more.today)
    before, _ = choose(cards, GP, context(past, fatigue), "patient-1")
    after, _ = choose(cards, GP, context(both, fatigue), "patient-1")
    assert set(_abouts(after)) <= set(_abouts(before))
    offered = {one.about: {step.key for step in one.suggestions} for one in before}
    assert all({step.key for step in one.suggestions} <= offered[one.about] for one in after)


def _seen_at(key: tuple[str, str], *pasts: CardHistory) -> list[datetime]:
    return [one.seen[key] for one in pasts if key in one.seen]


@given(_CARDS, _PASTS, _WIDE)
def test_what_says_something_new_is_shown_whatever_was_answered_before(
    cards: list[Card], past: CardHistory, fatigue: Fatigue
) -> None:
    changed = tuple(replace(one, about=replace(one.about, digest="new")) for one in cards)
    assert choose(changed, GP, context(past, fatigue), "patient-1") == (changed, ())


# --- through a call


def called(desk: Desk, *, user: str = "Practitioner/123", fatigue: Fatigue | None = None, **prefetch: Any) -> list[Any]:
    """The cards of one call of a user."""
    body = {
        "hook": "patient-view",
        "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
        "context": {"userId": user, "patientId": "1288992"},
        "prefetch": {"patient": PATIENT} | prefetch,
    }
    given_context = replace(desk.context(), fatigue=fatigue or Fatigue())
    return cast("list[Any]", hooks.call("imaging-findings", body, given_context, client="general")["cards"])


def shown_before(desk: Desk) -> About:
    """What the card is about that the desk has just shown."""
    [shown] = desk.calls[-1].shown
    return shown.about


def test_a_card_that_was_overridden_is_not_in_the_next_answer_and_the_call_remembers_why() -> None:
    desk = Desk()
    assert len(called(desk)) == 1
    about = shown_before(desk)
    who = Reader("general", "Practitioner/123")
    answer = PastAnswer(about.key, about.digest, Outcome.OVERRIDDEN, NOW, who, reason=parts.AI_FINDING_WRONG)
    desk.past = CardHistory((answer,))
    assert called(desk) == []
    assert desk.calls[-1].shown == ()
    assert desk.calls[-1].suppressed == (Suppressed(about, HeldBack.OVERRIDDEN),)
    assert len(called(desk, user="Practitioner/124")) == 1


def test_steps_that_are_left_have_their_uuids_and_the_accepted_one_has_none() -> None:
    desk = Desk()
    [before] = called(desk)
    about, steps = shown_before(desk), list(desk.calls[-1].shown[0].suggestions.values())
    assert len(steps) > 1
    desk.past = CardHistory((PastAnswer(about.key, about.digest, Outcome.ACCEPTED, NOW, Reader(), (steps[0],)),))
    [after] = called(desk)
    assert [one["label"] for one in after["suggestions"]] == [one["label"] for one in before["suggestions"][1:]]
    assert {one["uuid"] for one in after["suggestions"]} == set(desk.calls[-1].shown[0].suggestions)
    assert "Accepted on 2026-11-22" in after["detail"]


def test_the_role_is_that_of_the_prefetched_practitioner_role() -> None:
    system, code = PULMONOLOGIST.split("|")
    role = {"resourceType": "PractitionerRole", "specialty": [{"coding": [{"system": system, "code": code}]}]}
    fatigue = Fatigue(roles={PULMONOLOGIST: frozenset({"nodule"})})
    desk = Desk()
    assert called(desk, fatigue=fatigue, role=role) == []
    assert [one.why for one in desk.calls[-1].suppressed] == [HeldBack.ROLE]
    assert len(called(desk, fatigue=fatigue)) == 1


@pytest.mark.parametrize("user", ["Patient/1288992", "RelatedPerson/9"])
def test_a_patient_or_relative_is_told_that_results_go_to_the_care_team_and_nothing_else(user: str) -> None:
    desk, empty = Desk(), Desk(reports=(), owner={})
    [with_result], [without] = called(desk, user=user), called(empty, user=user)
    assert with_result["summary"] == "Results are released to the care team"
    assert {**with_result, "uuid": ""} == {**without, "uuid": ""}
    assert not {"suggestions", "links", "overrideReasons"} & with_result.keys()
    assert desk.calls[-1].studies == ()
    assert desk.calls[-1].suppressed == ()


@pytest.mark.parametrize("service", ["imaging-order-advice", "imaging-discharge-check", "imaging-order-routing"])
def test_no_service_answers_a_patient(service: str) -> None:
    [found, *_] = [one for one in hooks.services() if one.id == service]
    body = {
        "hook": found.hook,
        "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
        "context": {"userId": "Patient/1288992", "patientId": "1288992"},
    }
    [told_card] = cast("list[Any]", hooks.call(service, body, Desk().context())["cards"])
    assert told_card["summary"] == "Results are released to the care team"

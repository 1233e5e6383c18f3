"""Follow-ups until they are done: results that close them, reminders, and what is alarming (SAFETY sections 3 and 5).

A result that surely is what was asked for closes a follow-up; one that may be is proposed to a person. What closed it
and does not hold any more opens it again. Everything may be repeated, and several workers may do it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Protocol

from cds import metrics, release
from cds.domain.follow_up import Acceptance, Answer, FollowUp, ReminderStep
from cds.domain.follow_up_care import Figures, Remind, ReminderDue, ReminderNotice, Withdrawal
from cds.domain.follow_up_match import (
    AUTOMATIC,
    Evidence,
    FollowUpMatch,
    Looked,
    MatchState,
    Verdict,
    Wanted,
)
from cds.domain.switch import SwitchKind
from cds.errors import Conflict, NotFound, SightlineError, Unavailable
from cds.logs import get_logger
from cds.ports import Switches
from cds.settings import Settings

log = get_logger(__name__)

FOLLOW_UPS = metrics.Gauge(
    "sightline_follow_ups", "Follow-ups: open, overdue, without an owner; due in the window, closed on time", ("state",)
)
MATCHES = metrics.Counter("sightline_follow_up_matches_total", "Results matched with follow-ups", ("outcome",))
REMINDERS = metrics.Counter("sightline_follow_up_reminders_total", "Reminders of follow-ups, by step", ("step",))

#: Messages are applied a little after they came; what is late for longer is found by the whole look.
_OVERLAP, _WHOLE = timedelta(minutes=2), timedelta(hours=1)
_ROLE = "automatic match"


class Cares(Protocol):
    """What is kept of follow-ups and of the results that came since."""

    def with_news(self, since: datetime | None) -> frozenset[str]:
        """Patients of whom something came since then; of all with follow-ups where no moment is named."""
        ...

    def look(self, patient_id: str) -> tuple[Looked, ...]:
        """The follow-ups of a patient that wait, or that a result closed, with what came since."""
        ...

    def match(self, follow_up: str, found: Evidence, verdict: Verdict, now: datetime) -> bool:
        """Keep that a result may be what was asked for; False where that is known."""
        ...

    def clear(self) -> tuple[FollowUpMatch, ...]:
        """Clear matches of follow-ups that wait all the same."""
        ...

    def decide(self, match_id: int, state: MatchState, by: str, now: datetime) -> FollowUpMatch:
        """Say what becomes of a match."""
        ...

    def matches(self, follow_up: str, state: MatchState) -> tuple[FollowUpMatch, ...]:
        """The matches of a follow-up in a state."""
        ...

    def find(self, short: str) -> FollowUp:
        """The follow-up of an id, or of how it begins."""
        ...

    def episode(self, found: FollowUp) -> int:
        """Under whom a follow-up stands; raise Conflict where its study is reported for somebody else by now."""
        ...


class Answers(Protocol):
    """What becomes of recommendations."""

    def accept(self, acceptance: Acceptance, now: datetime, *, overrule: bool = False) -> bool:
        """Record what was done with a recommendation."""
        ...

    def reopen(self, acceptance: Acceptance, now: datetime) -> bool:
        """Take back what ended a follow-up."""
        ...


class Reminders(Protocol):
    """What somebody is to be reminded of."""

    def to_give(self, today: date) -> Sequence[ReminderDue]:
        """The follow-ups whose step of today was not given for their due day."""
        ...

    def give(self, due: ReminderDue, recipient: str, route: str, payload: bytes, now: datetime) -> bool:
        """Put it on its way and record it; False where that was done."""
        ...

    def to_withdraw(self) -> Sequence[Withdrawal]:
        """The follow-ups that do not hold any more, of which somebody was reminded and does not know it yet."""
        ...

    def withdraw(self, void: Withdrawal, recipients: str, payloads: dict[str, bytes], now: datetime) -> bool:
        """Tell them, route by route, once; False where somebody did."""
        ...


@dataclass(frozen=True, slots=True)
class CareLine:
    """What the care for follow-ups needs. `judge` is `Matcher.judge`; `tell` encodes for a route, by its name."""

    settings: Settings
    cares: Cares
    answers: Answers
    reminders: Reminders
    switches: Switches
    judge: Callable[[Wanted, Evidence], Verdict | None]
    tell: Mapping[str, Remind]
    #: Tells the people who run the site something once: (key, text without PHI).
    alarm: Callable[[str, str], None]
    #: (today) → the figures, and where follow-ups have no owner, as "<site>/<pathway>".
    figures: Callable[[date], tuple[Figures, tuple[str, ...]]]


@dataclass(slots=True)
class Looking:
    """The timer that matches: what came since the last look, and everything once an hour."""

    line: CareLine
    _last: datetime | None = field(default=None)
    _whole: datetime | None = field(default=None)

    def run(self, now: datetime) -> int:
        """Answers how many follow-ups were closed or opened again."""
        whole = self._whole is None or now - self._whole >= _WHOLE
        since = None if whole or self._last is None else self._last - _OVERLAP
        moved = match(self.line, since, now)
        self._last, self._whole = now, now if whole else self._whole
        return moved


def match(line: CareLine, since: datetime | None, now: datetime) -> int:
    """Match what came since then with the follow-ups of its patients; answers how many were closed or reopened."""
    moved = 0
    for patient_id in sorted(line.cares.with_news(since)):
        for looked in line.cares.look(patient_id):
            moved += _compare(line, looked, now)
    return moved + sum(_close(line, one, now) for one in line.cares.clear())


def _compare(line: CareLine, looked: Looked, now: datetime) -> int:
    """Keep new matches; answers 1 where the result that closed it was taken back and it waits again."""
    standing = {one.key: one for one in looked.evidence}
    if gone := {key for key, state in looked.matched.items() if state is MatchState.CLOSED} - standing.keys():
        return int(_reopen(line, looked.follow_up, gone, now))
    known = {key for key, state in looked.matched.items() if state is not MatchState.UNDONE}
    for key, found in standing.items():
        verdict = None if key in known else line.judge(looked.wanted, found)
        if verdict is not None and line.cares.match(looked.follow_up.id, found, verdict, now):
            MATCHES.inc(outcome=verdict.certainty.value)
    return 0


def _close(line: CareLine, found: FollowUpMatch, now: datetime) -> bool:
    """A clear match: what was recommended is done. Where it cannot be said now, it is a person's."""
    try:
        one = line.cares.find(found.follow_up_id)
        line.answers.accept(_said(line, one, Answer.COMPLETED, found.said, now), now)
        line.cares.decide(found.id, MatchState.CLOSED, AUTOMATIC, now)
    except (Conflict, NotFound) as error:
        log.warning("a follow-up could not be closed by its result", error=type(error).__name__)
        return False
    MATCHES.inc(outcome="closed")
    return True


def _reopen(line: CareLine, one: FollowUp, gone: set[str], now: datetime) -> bool:
    """The result that closed it was withdrawn, rejected, or is another patient's."""
    reason = "the result that closed it was taken back"
    try:
        line.answers.reopen(_said(line, one, Answer.REOPENED, reason, now), now)
        for found in line.cares.matches(one.id, MatchState.CLOSED):
            line.cares.decide(found.id, MatchState.UNDONE, AUTOMATIC, now)
    except (Conflict, NotFound) as error:
        log.warning("a follow-up could not be opened again", error=type(error).__name__, count=len(gone))
        return False
    MATCHES.inc(outcome="reopened")
    return True


def _said(line: CareLine, one: FollowUp, answer: Answer, reason: str, now: datetime) -> Acceptance:
    episode = line.cares.episode(one)
    return Acceptance(
        one.study_instance_uid, episode, one.pathway, one.recommendation, answer, AUTOMATIC, _ROLE, now, reason
    )


def remind(line: CareLine, now: datetime, today: date) -> int:
    """Give the reminders of today, and take back those of what does not hold, each by itself; answers how many."""
    if not line.settings.follow_ups.routes:
        return 0
    void = sum(_withdraw(line, one, now) for one in line.reminders.to_withdraw())
    return void + sum(_remind(line, due, now) for due in line.reminders.to_give(today))


def _remind(line: CareLine, due: ReminderDue, now: datetime) -> bool:
    care, one = line.settings.follow_ups, due.follow_up
    escalated = due.step is ReminderStep.ESCALATED
    route = (care.escalate_to if escalated else "") or care.remind
    to = care.routes.get(route)
    if to is None or to.takes_tests is not due.patient.test or line.switches.off(SwitchKind.PATHWAY, one.pathway):
        return False
    owned = replace(due, owner=due.owner or care.owner(one.pathway, release.site(line.settings, due.study)))
    payload = _payload(line, owned, route, due.delivery_id, now)
    given = payload is not None and line.reminders.give(owned, to.recipient, route, payload, now)
    if given:
        REMINDERS.inc(step=due.step.value)
    return given


def _withdraw(line: CareLine, void: Withdrawal, now: datetime) -> bool:
    """Tell everybody who was reminded that it does not hold, under the patient of then."""
    due, routes = void.due, line.settings.follow_ups.routes
    made = {
        route: _payload(line, due, route, due.delivery_over(route), now, takes_back=told)
        for route, told in void.told.items()
        if route in routes
    }
    payloads = {route: payload for route, payload in made.items() if payload is not None}
    recipients = ", ".join(routes[route].recipient for route in payloads)
    done = bool(payloads) and line.reminders.withdraw(void, recipients, payloads, now)
    if done:
        REMINDERS.inc(step=due.step.value)
    return done


def _payload(
    line: CareLine, due: ReminderDue, route: str, delivery_id: str, now: datetime, *, takes_back: tuple[str, ...] = ()
) -> bytes | None:
    """What a route says; None where it cannot be written, which the people who run the site are told."""
    site = release.site(line.settings, due.study) or line.settings.site_name
    link = f"{line.settings.ui_address}/follow-ups/{due.follow_up.id}"
    recipient = line.settings.follow_ups.routes[route].recipient
    try:
        return line.tell[route](ReminderNotice(due, recipient, site, link, now, takes_back), delivery_id)
    except Unavailable:
        raise
    except SightlineError as error:
        text = f"a reminder of follow-up {due.follow_up.id} cannot be written for route {route}: {error}"
        line.alarm(f"follow-up-reminder:{delivery_id}", text)
        return None


def count(line: CareLine, today: date) -> None:
    """Say the figures to the metrics, and where follow-ups have no owner to the people who run the site."""
    figures, unowned = line.figures(today)
    for name, value in figures.by_name().items():
        FOLLOW_UPS.set(value, state=name)
    for place in unowned:
        site, _, pathway = place.rpartition("/")
        where = f" at {site}" if site else ""
        text = f"follow-ups of {pathway}{where} have no owner: set owners in CDS_FOLLOW_UPS, or assign them"
        line.alarm(f"follow-up-owner:{place}", text)

"""Critical results: the step that tells somebody, and the timer that tells the next (SAFETY section 5).

A critical finding is told whatever the match: it names the patient only where the match does, and says where that is
in doubt. Nothing here counts, snoozes or waits for verification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cds import critical, metrics, release
from cds.domain.critical import (
    CriticalFinding,
    CriticalNotice,
    CriticalResult,
    Criticals,
    MakePayload,
    Opened,
    Opening,
    Tell,
)
from cds.domain.finding import ModelOutcome
from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.lifecycle import Effect, Event, row
from cds.domain.matching import Match, MatchState
from cds.domain.order import ServiceRequest
from cds.domain.report import Mode
from cds.domain.revision import Work
from cds.domain.switch import SwitchKind
from cds.errors import NotFound, SightlineError, Unavailable
from cds.line import Orders, Studies, Works
from cds.logs import get_logger
from cds.ports import Clock, Opinions, Switches
from cds.settings import Settings

log = get_logger(__name__)

CRITICALS = metrics.Counter("sightline_critical_results_total", "What became of critical results", ("event",))
#: Whose images they are is known, whether or not the order still stands.
_NAMED = (MatchState.MATCHED, MatchState.DETACHED)


class AlertLine(Protocol):
    """What critical results need of the pipeline's line. `tell` encodes for a route, by the route's name."""

    @property
    def settings(self) -> Settings:
        """Routes, categories and the age limit."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def studies(self) -> Studies:
        """The image index."""
        ...

    @property
    def record(self) -> Orders:
        """Orders and patients."""
        ...

    @property
    def works(self) -> Works:
        """What the steps found."""
        ...

    @property
    def switches(self) -> Switches:
        """What is switched off."""
        ...

    @property
    def opinions(self) -> Opinions:
        """What radiologists said of findings."""
        ...

    @property
    def criticals(self) -> Criticals:
        """The critical results."""
        ...

    @property
    def tell(self) -> Mapping[str, Tell]:
        """How each route says it."""
        ...


#: What the timer does with one result; answers whether it moved.
_Move = Callable[[AlertLine, CriticalResult, datetime], bool]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A work and what it is about; its order says whether it is a test (MSH-11)."""

    work: Work
    study: Study
    match: Match
    order: ServiceRequest | None
    #: None where it is not sure whose images these are.
    patient: Patient | None

    @property
    def test(self) -> bool:
        return self.order is not None and self.order.test


def alert(line: AlertLine, work_id: str) -> list[str]:
    """The step: every critical finding of a work's advisory models is open and on its way, once.

    Answers the ids of the critical results. Repeated, it changes nothing.
    """
    now, seen = line.clock.now(), _see(line, work_id)
    loud, quiet = _found(line, seen)
    opened = [(found, *_open(line, seen, found, now)) for found in loud]
    detail = (*(f"{found.finding}: {what.value}" for found, what, _ in opened), *quiet)
    ids = tuple(critical_id for _, _, critical_id in opened if critical_id)
    if detail:
        outcome = "told" if ids else "nobody is told"
        line.works.save_step(seen.work, "alert", tuple[str, ...], ids, now, outcome=outcome, detail=detail)
    return list(ids)


def escalate(line: AlertLine, now: datetime) -> int:
    """The timer: overdue and refused results go to the next recipient, closed ones are withdrawn; answers how many.

    Each by itself: one that breaks waits for a person, and the others go on.
    """
    moved = sum(_by_itself(line, one, now, (_escalate, _alarm)) for one in line.criticals.due(now))
    closed = line.criticals.to_withdraw()
    return moved + sum(_by_itself(line, one, now, (_withdraw, _hold_withdrawal)) for one in closed)


def _by_itself(line: AlertLine, one: CriticalResult, now: datetime, moves: tuple[_Move, ...]) -> bool:
    """Make the first of these moves that does not break; answers whether one moved it."""
    for move in moves:
        try:
            return move(line, one, now)
        except Unavailable as error:
            log.warning("a critical result waits", work_id=one.work_id, error=type(error).__name__)
            return False
        except Exception as error:  # noqa: BLE001 - SAFETY section 5: one result that breaks holds up no other
            log.error("a critical result broke", work_id=one.work_id, error=type(error).__name__)
    return False


def _see(line: AlertLine, work_id: str) -> _Seen:
    work = line.works.work(work_id)
    match: Match | None = line.works.step(work_id, "match", Match)
    if match is None:
        raise Unavailable("the match of this work is not there yet")
    order = line.record.order(match.order_id) if match.order_id else None
    named = match.patient_id if match.state in _NAMED else None
    patient = line.record.patient_by_id(named) if named else None
    return _Seen(work, line.studies.study(work.study_instance_uid), match, order, patient)


def _found(line: AlertLine, seen: _Seen) -> tuple[tuple[CriticalFinding, ...], tuple[str, ...]]:
    """What has to be told, without what a radiologist rejected; and in words what is not told, and why."""
    where = release.site(line.settings, seen.study)
    verified = line.opinions.verifications(seen.study.study_instance_uid, seen.work.revision.image)
    loud: list[ModelOutcome] = []
    quiet: list[str] = []
    for outcome in release.believed(line.works.outcomes(seen.work), verified):
        reason = _why_quiet(line, seen, outcome.model, where)
        if not reason:
            loud.append(outcome)
        else:
            found = critical.find(line.settings, (outcome,))
            quiet += [
                f"would have alerted: {one.finding}, ACR category {one.category.value}: {reason}" for one in found
            ]
    return critical.find(line.settings, loud), tuple(quiet)


def _why_quiet(line: AlertLine, seen: _Seen, model: str, where: str) -> str:
    """Why nothing of a model leaves the house; empty where it may."""
    mode = line.settings.model_mode(model, where)
    if mode is not Mode.ADVISORY:
        return f"the model is in {mode.value} mode at this site"
    if line.switches.off(SwitchKind.MODEL, model):
        return "the model is switched off"
    if seen.test and not _first_route(line, test=True):
        return "it comes from a test message, and no route takes tests"
    return ""


def _open(line: AlertLine, seen: _Seen, found: CriticalFinding, now: datetime) -> tuple[Opened, str]:
    route = _first_route(line, test=seen.test)
    made = seen.study.started_at
    old = made is not None and now - made > timedelta(minutes=line.settings.critical_age_limit_minutes)
    opening = Opening(
        study_instance_uid=seen.study.study_instance_uid,
        work_id=seen.work.id,
        found=found,
        route=route,
        due_at=_due_at(line, route, found, now),
        patient_id=seen.match.patient_id if seen.patient else None,
        images_at=made,
        late=old and row(Event.OLD_RESULT).does(Effect.NO_ALERT_AS_NEW),
    )
    what, critical_id = line.criticals.open(opening, _payload(line, seen, route, now), now)
    if what is not Opened.KNOWN:
        CRITICALS.inc(event=what.name.lower())
    return what, critical_id


def _escalate(line: AlertLine, due: CriticalResult, now: datetime) -> bool:
    """Tell the next recipient who can be told; after the last one it is an alarm."""
    seen = _see(line, due.work_id)
    route = critical.following(line.settings, due.route, test=seen.test)
    while route and _is_off(line, route):
        route = critical.following(line.settings, route, test=seen.test)
    due_at = _due_at(line, route, CriticalFinding(due.finding, due.title, due.category), now)
    state = line.criticals.escalate(due, route, due_at, _payload(line, seen, route, now), now)
    if state is not None:
        CRITICALS.inc(event=state.value)
    return state is not None


def _alarm(line: AlertLine, due: CriticalResult, now: datetime) -> bool:
    """Tell anybody: what is known of the result is not enough to tell the next recipient."""
    return line.criticals.escalate(due, "", now, _cannot_be_told, now) is not None


def _hold_withdrawal(line: AlertLine, closed: CriticalResult, now: datetime) -> bool:
    """A person tells whoever was told: what is known of the result is not enough to do it."""
    return line.criticals.withdraw(closed, dict.fromkeys(line.criticals.told(closed.id), _cannot_be_told), now)


def _cannot_be_told(result: CriticalResult, delivery_id: str) -> bytes:
    raise SightlineError("what is known of it cannot be read; see the log")


def _withdraw(line: AlertLine, closed: CriticalResult, now: datetime) -> bool:
    """Tell everybody who was told that it does not hold, as what was told: under the patient of then."""
    seen = _see(line, closed.work_id)
    reason = next((event.detail for event in reversed(closed.log) if event.what == "closed"), "it is void")
    routes = [route for route in line.criticals.told(closed.id) if route in line.settings.critical_routes]
    make = {route: _payload(line, seen, route, now, withdrawn=reason) for route in routes}
    done = line.criticals.withdraw(closed, make, now)
    if done:
        CRITICALS.inc(event="withdrawn")
    return done


def _first_route(line: AlertLine, *, test: bool) -> str:
    """The first route that is not switched off; empty where there is none."""
    return next((name for name in critical.routes(line.settings, test=test) if not _is_off(line, name)), "")


def _is_off(line: AlertLine, route: str) -> bool:
    return line.switches.off(SwitchKind.DESTINATION, f"critical:{route}")


def _due_at(line: AlertLine, route: str, found: CriticalFinding, now: datetime) -> datetime:
    """When the recipient of a route has had their minutes; at once where there is no recipient."""
    if not route:
        return now
    return now + timedelta(minutes=line.settings.critical_routes[route].minutes[found.category - 1])


def _payload(line: AlertLine, seen: _Seen, route: str, now: datetime, *, withdrawn: str = "") -> MakePayload:
    """What a route says of a result that is about this work."""

    def make(result: CriticalResult, delivery_id: str) -> bytes:
        if route not in line.tell:
            raise NotFound("the route is not configured any more")
        to = line.settings.critical_routes[route]
        notice = CriticalNotice(
            result=result,
            recipient=to.recipient,
            site=release.site(line.settings, seen.study) or line.settings.site_name,
            link=f"{line.settings.public_url}/critical/{result.token}",
            time_zone=line.settings.time_zone,
            sent_at=now,
            study=seen.study,
            patient=seen.patient,
            order=seen.order if seen.match.state is MatchState.MATCHED else None,
            doubt="; ".join(seen.match.reasons) if seen.match.state is MatchState.HELD else "",
            withdrawn=withdrawn,
        )
        try:
            return line.tell[route](notice, delivery_id)
        except SightlineError:
            raise
        except Exception as error:  # noqa: BLE001 - SAFETY section 5: what one route cannot say, the next one does
            log.error("a critical result cannot be written", work_id=seen.work.id, route=route,
                      error=type(error).__name__)  # fmt: skip
            raise SightlineError("its message cannot be written for this route; see the log") from None

    return make

"""An urgent finding raises its study in the worklists that the site names, once, until somebody has looked.

A priority that the RIS set is never lowered, and a negative never changes one (SAFETY section 6). The raise ends with
the radiologist's final report, with the rejection of what it rests on, or when the exam turns out to be another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from cds import alerting, critical, release
from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.order import QUEUE_PRIORITY, OrderStatus, Priority, ServiceRequest
from cds.domain.priority import Move, Priorities, PriorityNotice, Raiser, Told, delivery_id
from cds.domain.report import Delivery, DeliveryState, Mode
from cds.domain.revision import Work
from cds.domain.switch import SwitchKind
from cds.errors import NotFound, SightlineError, Unavailable

_CANCELLED = "the order is cancelled"
_NEVER_LEFT = (DeliveryState.WITHHELD, DeliveryState.SUPERSEDED)


class PriorityLine(alerting.AlertLine, Protocol):
    """What raising needs of the pipeline's line, beside what critical results need."""

    @property
    def priorities(self) -> Priorities:
        """What worklists were told."""
        ...

    @property
    def raisers(self) -> Mapping[str, Raiser]:
        """How each worklist is told, by its name in the settings."""
        ...


@dataclass(frozen=True, slots=True)
class _Exam:
    """A work and the exam that its images belong to; why it is raised or, in words, why it is not."""

    work: Work
    study: Study
    order: ServiceRequest | None
    patient: Patient | None
    not_wanted: str = ""


def alert(line: PriorityLine, work_id: str) -> list[str]:
    """The step "alert": whoever must know is told, and worklists are asked to look sooner."""
    return [*alerting.alert(line, work_id), *prioritise(line, work_id)]


def prioritise(line: PriorityLine, work_id: str) -> list[str]:
    """Raise the study of a work, or end its raise, at each destination. Answers the deliveries; repeated, the same."""
    if not line.raisers:
        return []
    now = line.clock.now()
    exam = _exam(line, work_id, now)
    made = [(name, *move) for name in sorted(line.raisers) for move in _moves(line, name, exam, now)]
    told = tuple(f"{name}: {why}" for name, _, why in made if why)
    ids = tuple(delivery for _, delivery, _ in made if delivery)
    if told:
        outcome = "told" if ids else "left as it is"
        line.works.save_step(exam.work, "prioritise", tuple[str, ...], ids, now, outcome=outcome, detail=told)
    return list(ids)


def overtaken(line: PriorityLine, delivery: Delivery) -> str:
    """Why a message that waits may not go any more, since it would undo what the RIS set meanwhile; empty where it may.

    A raise that was tried may have arrived and come back as the order's priority: that is no word of the RIS.
    """
    last = line.priorities.told(delivery.study_instance_uid or "", delivery.destination)
    raiser = line.raisers.get(delivery.destination)
    if last is None or raiser is None or last.state is not DeliveryState.PENDING:
        return ""
    own = line.record.order(last.order_id).priority
    if last.move is Move.END:
        return "" if own in (last.own, raiser.level) else "the RIS has set a priority of its own since"
    tried = delivery.attempts > 0 and own is raiser.level
    return "the RIS made it as urgent meanwhile" if _is_as_urgent(own, raiser.level) and not tried else ""


def _exam(line: PriorityLine, work_id: str, now: datetime) -> _Exam:
    work = line.works.work(work_id)
    match: Match | None = line.works.step(work_id, "match", Match)
    if match is None:
        raise Unavailable("the match of this work is not there yet")
    study = line.studies.study(work.study_instance_uid)
    if match.state is not MatchState.MATCHED or match.order_id is None or match.patient_id is None:
        return _Exam(work, study, None, None, "the images belong to no order")
    order, patient = line.record.order(match.order_id), line.record.patient_by_id(match.patient_id)
    exam = _Exam(work, study, order, patient)
    return replace(exam, not_wanted=_not_wanted(line, exam, order, patient.id or "", now))


def _not_wanted(line: PriorityLine, exam: _Exam, order: ServiceRequest, patient_id: str, now: datetime) -> str:
    """Why nobody has to look sooner; empty where somebody has."""
    if order.status is OrderStatus.REVOKED:
        return _CANCELLED
    if not _urgent(line, exam.work, exam.study):
        return "nothing urgent was found"
    made = exam.study.started_at
    number = order.accession or exam.study.accession
    if number and line.opinions.final_report(number, patient_id, made=made or exam.study.study_date):
        return "the radiologist's report is there"
    if made is not None and now - made > timedelta(minutes=line.settings.critical_age_limit_minutes):
        return "the images are too old to be urgent as new"
    return ""


def _urgent(line: PriorityLine, work: Work, study: Study) -> bool:
    """True where an advisory model found something critical that no radiologist rejected."""
    where = release.site(line.settings, study)
    said = line.opinions.verifications(study.study_instance_uid, work.revision.image)
    loud = [
        outcome
        for outcome in release.believed(line.works.outcomes(work), said)
        if line.settings.model_mode(outcome.model, where) is Mode.ADVISORY
        and not line.switches.off(SwitchKind.MODEL, outcome.model)
    ]
    return bool(critical.find(line.settings, loud))


def _moves(line: PriorityLine, name: str, exam: _Exam, now: datetime) -> Iterator[tuple[str, str]]:
    """What one destination gets: a raise, an end, or an end and a raise where the images went to another order.

    What cannot be written is said: it holds up neither the report nor the other destinations.
    """
    try:
        first = _move(line, name, exam, now)
        yield first
        if first[0] and not exam.not_wanted and exam.order is not None:
            yield _move(line, name, exam, now)
    except Unavailable:
        raise
    except SightlineError as error:
        yield "", f"cannot be written: {error}"


def _move(line: PriorityLine, name: str, exam: _Exam, now: datetime) -> tuple[str, str]:
    """The delivery that one destination gets next, and why; both empty where there is nothing to say."""
    last = line.priorities.told(exam.study.study_instance_uid, name)
    raised = last if last is not None and last.move is Move.RAISE and last.state not in _NEVER_LEFT else None
    order = exam.order
    if raised is not None and (exam.not_wanted or order is None or order.id != raised.order_id):
        return _end(line, name, exam, raised, now)
    if raised is not None or order is None or exam.patient is None or exam.not_wanted:
        return "", ""
    raiser = line.raisers[name]
    if order.test is raiser.production:
        return "", "test and production are kept apart"
    if _is_as_urgent(order.priority, raiser.level):
        return "", "the RIS has it as urgent already"
    told = Told(last.ordinal + 1 if last else 1, Move.RAISE, order.id or "", order.priority, DeliveryState.PENDING)
    notice = PriorityNotice(Move.RAISE, exam.study, exam.patient, order, now)
    return _tell(line, name, exam, told, notice), "raised"


def _end(line: PriorityLine, name: str, exam: _Exam, raised: Told, now: datetime) -> tuple[str, str]:
    """Give the order its own priority back, unless the RIS has set another one since: then that one stands."""
    try:
        order, patient = line.record.order_with_patient(raised.order_id)
    except NotFound:
        return "", "the order of the raise is not there any more"
    if order.status is OrderStatus.REVOKED:
        return "", f"the raise is left: {_CANCELLED}"
    why = exam.not_wanted or "the images belong to another order"
    if order.priority not in (raised.own, line.raisers[name].level):
        return "", f"{why}; the RIS has set a priority of its own since"
    told = Told(raised.ordinal + 1, Move.END, raised.order_id, raised.own, DeliveryState.PENDING)
    notice = PriorityNotice(Move.END, exam.study, patient, order, now, raised.own or Priority.ROUTINE, raised.answer)
    return _tell(line, name, exam, told, notice), f"ended: {why}"


def _tell(line: PriorityLine, name: str, exam: _Exam, told: Told, notice: PriorityNotice) -> str:
    uid = exam.study.study_instance_uid
    payload = line.raisers[name].encode(notice, delivery_id(name, uid, told.ordinal))
    at = notice.sent_at
    return line.priorities.tell(told, payload, at, study_uid=uid, destination=name, work_id=exam.work.id)


def _is_as_urgent(own: Priority | None, level: Priority) -> bool:
    """True where the order is at least as urgent as it would be made."""
    return own is not None and QUEUE_PRIORITY[own] <= QUEUE_PRIORITY[level]

"""What people do with recommendations, and the follow-ups that wait until somebody has.

An answer counts for the patient under whom it was given, and for whoever they are merged into. A doubt about whose
images these are ends it: what is recommended after that is answered anew (SAFETY section 3).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.follow_up import Acceptance, Answer, FollowUp, FollowUpState
from cds.domain.recommendation import Advice, Recommendation
from cds.domain.report import Audience, Report
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store import audit, timeline
from cds.store.engine import Database
from cds.store.fhir_tables import AcceptanceRow
from cds.store.follow_up_reminders import end_reminders
from cds.store.follow_up_rows import follow_up_of, moved_days
from cds.store.identity import canonical
from cds.store.revisions import locked, rematch
from cds.store.safety_tables import FollowUpRow
from cds.store.tables import ReportRow
from cds.store.values import dump, parse

#: States in which somebody still has something to do.
WAITING = (FollowUpState.OPEN.value, FollowUpState.ACCEPTED.value)
_ANSWERED = (FollowUpState.ACCEPTED.value, FollowUpState.DECLINED.value, FollowUpState.COMPLETED.value)
_SEE = "cds follow-ups list --study shows it"
_IN_DOUBT = "whose images these are is in doubt: a person decides that first (cds holds list)"
#: Where an answer leaves a follow-up.
_STATES = {
    Answer.ACCEPTED: FollowUpState.ACCEPTED,
    Answer.DECLINED: FollowUpState.DECLINED,
    Answer.COMPLETED: FollowUpState.COMPLETED,
    Answer.REOPENED: FollowUpState.OPEN,
}
#: How the reason of a follow-up begins that a report put an end to: the next one, or a card, may resume it.
BY_VERSION = "version "


class AcceptanceStore:
    """Answers to recommendations, and follow-ups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, acceptance: Acceptance, now: datetime, *, overrule: bool = False) -> bool:
        """Record what a person does with a recommendation; False where it was answered so before.

        The study is decided again, so that a new version of its report tells it. `overrule` lets one person say
        otherwise than another did. What was recommended to that person alone, by data that only their EHR has, begins
        a follow-up where the acceptance says what it is `about`. InvalidInput where nobody is named, NotFound where
        there is no such follow-up, Conflict where it is closed, of another patient by now, or answered otherwise by
        somebody else.
        """
        _check(acceptance)
        uid = acceptance.study_instance_uid
        with self._database.writing() as session:
            study = locked(session, uid)
            if study.stopped:
                raise Conflict(_IN_DOUBT)
            report, row = _asked(session, acceptance, now)
            last = {one.name: one for one in counting(session, uid, row.patient_id)}.get(acceptance.name)
            if last is not None and last.answer is acceptance.answer:
                return False
            if last is not None and not overrule:
                _check_other(last, acceptance)
            about = _recommended(report, acceptance) or acceptance.about or (last.about if last else None)
            _record(session, replace(acceptance, about=about, accepted=_ended(last, acceptance)), row, now)
            rematch(session, uid, f"a recommendation was {acceptance.answer.value} by a person", now)
        return True

    def reopen(self, acceptance: Acceptance, now: datetime) -> bool:
        """Take back what ended a follow-up: it is as before that answer; False where it waits for somebody anyhow.

        What had been accepted is accepted again, by whoever reopens it. Raises as `accept` does.
        """
        _check(acceptance)
        uid = acceptance.study_instance_uid
        with self._database.writing() as session:
            if locked(session, uid).stopped:
                raise Conflict(_IN_DOUBT)
            _report, row = _asked(session, acceptance, now)
            last = {one.name: one for one in counting(session, uid, row.patient_id)}.get(acceptance.name)
            if last is None or last.answer is Answer.ACCEPTED:
                return False
            before = Answer.ACCEPTED if last.accepted is not None else Answer.REOPENED
            _record(session, replace(acceptance, answer=before, about=last.about), row, now)
            rematch(session, uid, "a follow-up was reopened", now)
        return True

    def of_study(self, study_uid: str, episode: int) -> tuple[Acceptance, ...]:
        """The newest answer to each recommendation of a study under one patient, in the order in which they came."""
        with self._database.reading() as session:
            owner = session.exec(
                select(ReportRow.patient_id).where(
                    ReportRow.study_uid == study_uid,
                    ReportRow.episode == episode,
                    col(ReportRow.patient_id).is_not(None),
                )
            ).first()
            return counting(session, study_uid, owner, until=episode) if owner else ()

    def episode(self, study_uid: str) -> int:
        """The episode of a study's newest report, which an answer names; raise NotFound where it is not reported."""
        with self._database.reading() as session:
            return _newest(session, study_uid).episode

    def follow_ups(self, *, study_uid: str = "", overdue_on: date | None = None) -> Sequence[FollowUp]:
        """All of a study; else those in which somebody still has something to do. The first that are due come first.

        `overdue_on` leaves those that were due before that day and are not done.
        """
        asked = select(FollowUpRow)
        if study_uid:
            asked = asked.where(FollowUpRow.study_uid == study_uid)
        if not study_uid or overdue_on is not None:
            asked = asked.where(col(FollowUpRow.state).in_(WAITING))
        with self._database.reading() as session:
            found = _told(session, session.exec(asked).all())
        late = [one for one in found if overdue_on is None or (one.due is not None and one.due < overdue_on)]
        return tuple(sorted(late, key=lambda one: (one.due or date.max, one.created_at, one.id)))


def follow_up_id(study_uid: str, episode: int, pathway: str, recommendation: str) -> str:
    """The id of a follow-up: one for each recommendation of a study under one patient."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{study_uid}/{episode}/{pathway}/{recommendation}"))


def counting(
    session: Session, study_uid: str, patient_id: str, *, until: int | None = None
) -> tuple[Acceptance, ...]:  # fmt: skip
    """The answers that count for a patient, the newest to each recommendation; up to an episode if one is named."""
    said = ever_said(session, study_uid)
    theirs = _theirs(session, study_uid, patient_id, until) if said else frozenset[int]()
    newest = {one.name: one for one in said if one.episode in theirs}
    return tuple(one for one in newest.values() if one.answer is not Answer.REOPENED)


def ever_said(session: Session, study_uid: str) -> list[Acceptance]:
    """Every answer to a recommendation of a study, oldest first, whoever its patient was then."""
    rows = session.exec(
        select(AcceptanceRow).where(AcceptanceRow.study_uid == study_uid).order_by(col(AcceptanceRow.id))
    ).all()
    return [parse(Acceptance, row.body) for row in rows]


def _theirs(session: Session, study_uid: str, patient_id: str, until: int | None) -> frozenset[int]:
    """The episodes of this patient, and of whoever was merged into them, since the last doubt about who it is.

    An episode that begins without a patient was opened by a doubt (SAFETY section 3, wrong patient found).
    """
    told = session.exec(
        select(ReportRow.episode, ReportRow.patient_id)
        .where(ReportRow.study_uid == study_uid)
        .order_by(col(ReportRow.version))
    ).all()
    first: dict[int, str | None] = {}
    owners: dict[int, str] = {}
    for episode, owner in told:
        if until is None or episode <= until:
            first.setdefault(episode, owner)
            owners |= {episode: owner} if owner else {}
    since = max((episode for episode, owner in first.items() if owner is None), default=0)
    survivor = canonical(session, patient_id)
    return frozenset(e for e, owner in owners.items() if e >= since and canonical(session, owner) == survivor)


def _check(acceptance: Acceptance) -> None:
    if not acceptance.by.strip():
        raise InvalidInput("want the name of the person who answers the recommendation")
    if not acceptance.role.strip():
        raise InvalidInput("want the role of the person who answers the recommendation, such as physician")


def _asked(session: Session, acceptance: Acceptance, now: datetime) -> tuple[Report, FollowUpRow]:
    """The newest report and the follow-up that an answer is about."""
    report = _newest(session, acceptance.study_instance_uid)
    if report.episode != acceptance.episode:
        raise Conflict("the study was taken back, or is reported for another patient since: look at it again")
    key = follow_up_id(acceptance.study_instance_uid, acceptance.episode, acceptance.pathway, acceptance.recommendation)
    row = session.get(FollowUpRow, key, populate_existing=True)
    ended = row is not None and row.state == FollowUpState.CLOSED.value
    if acceptance.about is not None and (row is None or (ended and row.reason.startswith(BY_VERSION))):
        return report, _begun_by_a_card(session, report, acceptance.pathway, acceptance.about, now)
    if row is None:
        raise NotFound(f"want a follow-up of this study as <pathway>.<recommendation>: {_SEE}")
    if ended:
        raise Conflict(f"the follow-up is closed ({row.reason}): {_SEE}")
    return report, row


def _begun_by_a_card(
    session: Session, report: Report, pathway: str, step: Recommendation, now: datetime
) -> FollowUpRow:  # fmt: skip
    """A follow-up of what the report itself does not recommend: somebody's EHR knew more, and they were shown it."""
    if report.patient is None or report.patient.id is None or not report.decision.release.allows(Audience.REFERRAL):
        raise Conflict(f"it may not be told any more what this study shows: {_SEE}")
    row = session.merge(follow_up_row(report, pathway, step, now))
    detail = (f"{pathway}.{step.key}", "as a card recommended it")
    timeline.write(session, now, "follow-up", row.state, study_uid=row.study_uid, work_id=row.work_id, detail=detail)
    return row


def follow_up_row(report: Report, pathway: str, step: Recommendation, at: datetime) -> FollowUpRow:
    """An open follow-up of a step under the patient of a report."""
    uid = report.work.study_instance_uid
    return FollowUpRow(
        id=follow_up_id(uid, report.episode, pathway, step.key),
        study_uid=uid,
        patient_id=(report.patient and report.patient.id) or "",
        work_id=report.work.id,
        pathway=pathway,
        recommendation=step.key,
        action=step.action,
        due=step.by,
        state=FollowUpState.OPEN.value,
        created_at=at,
        updated_at=at,
    )


def _check_other(last: Acceptance, acceptance: Acceptance) -> None:
    """Whoever accepted may decline after all, and anybody may say that it is done."""
    done = (last.answer, acceptance.answer) == (Answer.ACCEPTED, Answer.COMPLETED)
    if last.by != acceptance.by and not done:
        text = f"another person has {last.answer.value} it on {last.at.date()}: {_SEE}"
        raise Conflict(f"{text}; --overrule says otherwise all the same")


def _ended(last: Acceptance | None, acceptance: Acceptance) -> Acceptance | None:
    """The acceptance that made a draft order, where this answer ends it."""
    if last is None or acceptance.answer is Answer.ACCEPTED:
        return None
    return replace(last, accepted=None) if last.answer is Answer.ACCEPTED else last.accepted


def _recommended(report: Report, acceptance: Acceptance) -> Recommendation | None:
    """What the newest report says under this name."""
    for said in report.decision.outcomes:
        for step in said.recommendations if isinstance(said, Advice) else ():
            if (said.pathway, step.key) == (acceptance.pathway, acceptance.recommendation):
                return step
    return None


def _record(session: Session, said: Acceptance, row: FollowUpRow, now: datetime) -> None:
    """The row, the state of the follow-up, and the lines that tell of it."""
    uid = said.study_instance_uid
    body = dump(Acceptance, said)
    session.add(
        AcceptanceRow(study_uid=uid, pathway=said.pathway, recommendation=said.recommendation, at=said.at, body=body)
    )
    row.state, row.reason, row.updated_at = _STATES[said.answer].value, "", now
    session.add(row)
    if row.state not in WAITING:
        end_reminders(session, row.id, f"the follow-up is {row.state}", now)
    session.flush()
    detail = (said.name, f"episode {said.episode}")
    timeline.write(session, now, "follow-up", said.answer.value, study_uid=uid, detail=detail)
    audit.append(session, AuditEvent(now, said.by, f"follow-up {said.answer.value}", uid, row.patient_id, detail))


def _newest(session: Session, study_uid: str) -> Report:
    row = session.exec(
        select(ReportRow).where(ReportRow.study_uid == study_uid).order_by(col(ReportRow.version).desc()).limit(1)
    ).first()
    if row is None:
        raise NotFound("the study is not reported yet: nothing is recommended")
    report: Report = parse(Report, row.body)
    return replace(report, episode=row.episode)


def _told(session: Session, rows: Sequence[FollowUpRow]) -> tuple[FollowUp, ...]:
    said: dict[tuple[str, str], dict[str, Acceptance]] = {}
    moved = moved_days(session, [row.id for row in rows])
    found = []
    for row in rows:
        whose = (row.study_uid, row.patient_id)
        if row.state in _ANSWERED and whose not in said:
            said[whose] = {one.name: one for one in counting(session, *whose)}
        answer = said.get(whose, {}).get(f"{row.pathway}.{row.recommendation}") if row.state in _ANSWERED else None
        found.append(follow_up_of(row, answer.by if answer else "", moved.get(row.id)))
    return tuple(found)

"""What people set of a follow-up, which results were matched with it, and the log of both (SAFETY section 3).

Whether somebody has done it is kept by `cds.store.acceptances`: here stands who owns it, until when, and why it closed.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.follow_up import FollowUp, FollowUpState
from cds.domain.follow_up_match import AUTOMATIC, Certainty, Evidence, FollowUpMatch, Looked, MatchState, Verdict
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store import audit, follow_up_evidence, timeline
from cds.store.acceptances import follow_up_id
from cds.store.batch import rows_with
from cds.store.engine import Database, lock
from cds.store.follow_up_rows import follow_up_of
from cds.store.follow_up_tables import FollowUpCareRow, FollowUpEventRow, FollowUpMatchRow
from cds.store.identity import members
from cds.store.safety_tables import FinalReportRow, FollowUpRow, IdentityChangeRow
from cds.store.tables import PatientIdentifierRow, ReportRow, StatementRow, StudyEventRow, StudyRow

WAITING = (FollowUpState.OPEN.value, FollowUpState.ACCEPTED.value)
_LONGEST = 500
#: From where a match comes to a state: what closed a follow-up may be taken back, or be refused by who reopens it.
_BEFORE = {
    MatchState.PROPOSED: frozenset[MatchState](),
    MatchState.CLOSED: frozenset({MatchState.PROPOSED}),
    MatchState.REFUSED: frozenset({MatchState.PROPOSED, MatchState.CLOSED}),
    MatchState.UNDONE: frozenset({MatchState.CLOSED}),
}


class FollowUpCareStore:
    """Owners, days, matches and the log of follow-ups."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, short: str) -> FollowUp:
        """The follow-up whose id begins so; raise NotFound, or Conflict where several do."""
        with self._database.reading() as session:
            return follow_up_of(_find(session, short))

    def episode(self, found: FollowUp) -> int:
        """Under whom a follow-up stands; raise Conflict where its study is reported for somebody else by now."""
        with self._database.reading() as session:
            row = session.exec(
                select(ReportRow.episode)
                .where(ReportRow.study_uid == found.study_instance_uid)
                .order_by(col(ReportRow.version).desc())
                .limit(1)
            ).first()
        episode = row or 1
        if follow_up_id(found.study_instance_uid, episode, found.pathway, found.recommendation) != found.id:
            raise Conflict("the study was taken back, or is reported for another patient since")
        return episode

    def assign(self, follow_up: str, owner: str, by: str, reason: str, now: datetime) -> None:
        """Make somebody its owner; empty: the site's default owner again."""
        with self._database.writing() as session:
            row, care = _changed(session, follow_up, owner, by, reason)
            care.owner = owner.strip()
            session.add(care)
            _tell(session, row, now, by, "assigned", detail=care.owner or "the default owner", reason=reason)

    def reschedule(self, follow_up: str, due: date, by: str, reason: str, now: datetime) -> None:
        """Move its day; the reminders begin anew. Raise InvalidInput without a reason."""
        if not reason.strip():
            raise InvalidInput("want a reason for another day")
        with self._database.writing() as session:
            row, care = _changed(session, follow_up, by, reason)
            before = care.due or row.due
            care.due = due
            session.add(care)
            said = f"from {before.isoformat() if before else 'no day'} to {due.isoformat()}"
            _tell(session, row, now, by, "rescheduled", detail=said, reason=reason)

    def with_news(self, since: datetime | None) -> frozenset[str]:
        """The patients of whom something came since then that may be a result; of all with follow-ups without one."""
        with self._database.reading() as session:
            if since is None:
                return frozenset(
                    session.exec(select(FollowUpRow.patient_id).where(col(FollowUpRow.state).in_(WAITING)).distinct())
                )
            found = {
                *session.exec(select(FinalReportRow.patient_id).where(FinalReportRow.received_at >= since).distinct()),
                *session.exec(select(StatementRow.patient_id).where(StatementRow.received_at >= since).distinct()),
                *session.exec(select(StudyEventRow.patient_id).where(StudyEventRow.received_at >= since).distinct()),
                *_imaged(session, since),
                *_united(session, since),
            }
            return frozenset(filter(None, found))

    def look(self, patient_id: str) -> tuple[Looked, ...]:
        """The follow-ups of a patient that wait, or that a result closed, with what came since."""
        with self._database.reading() as session:
            tree = members(session, patient_id)
            moves = col(FollowUpRow.state).in_((*WAITING, FollowUpState.COMPLETED.value))
            rows = list(rows_with(session, FollowUpRow, FollowUpRow.patient_id, tree, moves))
            matched = _matched(session, {row.id for row in rows})
            rows = [row for row in rows if row.state in WAITING or MatchState.CLOSED in matched[row.id].values()]
            if not rows:
                return ()
            came = follow_up_evidence.evidence(session, tree, min(row.created_at for row in rows))
            asked = ((row, follow_up_evidence.wanted(session, row)) for row in rows)
            return tuple(Looked(follow_up_of(row), one, came, matched[row.id]) for row, one in asked if one is not None)

    def match(self, follow_up: str, found: Evidence, verdict: Verdict, now: datetime) -> bool:
        """Keep that a result may be what was asked for; False where that is known."""
        with self._database.writing() as session:
            lock(session, "follow-up", follow_up)
            asked = select(FollowUpMatchRow).where(
                FollowUpMatchRow.follow_up_id == follow_up, FollowUpMatchRow.evidence == found.key
            )
            row = session.exec(asked).first()
            if row is not None and row.state != MatchState.UNDONE.value:
                return False
            row = row or FollowUpMatchRow(
                follow_up_id=follow_up, evidence=found.key, certainty="", said="", state="", at=now
            )
            row.certainty, row.said, row.performed = verdict.certainty.value, verdict.said, found.performed
            row.state, row.at, row.decided_by, row.decided_at = MatchState.PROPOSED.value, now, "", None
            session.add(row)
            one = session.get_one(FollowUpRow, follow_up)
            _tell(session, one, now, AUTOMATIC, f"a {verdict.certainty.value} match was found", detail=verdict.said)
        return True

    def decide(self, match_id: int, state: MatchState, by: str, now: datetime) -> FollowUpMatch:
        """Say what becomes of a match; raise NotFound, or Conflict where that was said already."""
        with self._database.writing() as session:
            row = session.get(FollowUpMatchRow, match_id, populate_existing=True, with_for_update=True)
            if row is None:
                raise NotFound("there is no such proposal")
            if MatchState(row.state) not in _BEFORE[state]:
                raise Conflict(f"this was decided already: {row.state}")
            row.state, row.decided_by, row.decided_at = state.value, by, now
            session.add(row)
            follow_up = session.get_one(FollowUpRow, row.follow_up_id)
            care = _care(session, row.follow_up_id)
            care.done_on = row.performed if state is MatchState.CLOSED else None
            session.add(care)
            _tell(session, follow_up, now, by, f"match {state.value}", detail=row.said)
            return match_of(row)

    def matches(self, follow_up: str, state: MatchState) -> tuple[FollowUpMatch, ...]:
        """The matches of a follow-up in a state, oldest first."""
        with self._database.reading() as session:
            asked = select(FollowUpMatchRow).where(
                FollowUpMatchRow.follow_up_id == follow_up, FollowUpMatchRow.state == state.value
            )
            return tuple(map(match_of, session.exec(asked.order_by(col(FollowUpMatchRow.id))).all()))

    def proposal(self, match_id: int) -> FollowUpMatch:
        """One match; raise NotFound."""
        with self._database.reading() as session:
            row = session.get(FollowUpMatchRow, match_id)
            if row is None:
                raise NotFound("there is no such proposal")
            return match_of(row)

    def clear(self) -> tuple[FollowUpMatch, ...]:
        """Clear matches of follow-ups that wait all the same: they close them, also after a crash in between."""
        asked = (
            select(FollowUpMatchRow)
            .join(FollowUpRow, col(FollowUpRow.id) == col(FollowUpMatchRow.follow_up_id))
            .where(
                FollowUpMatchRow.state == MatchState.PROPOSED.value,
                FollowUpMatchRow.certainty == Certainty.CLEAR.value,
                col(FollowUpRow.state).in_(WAITING),
            )
        )
        with self._database.reading() as session:
            return tuple(map(match_of, session.exec(asked.order_by(col(FollowUpMatchRow.id))).all()))


def match_of(row: FollowUpMatchRow) -> FollowUpMatch:
    """A match for the reader."""
    return FollowUpMatch(
        row.id or 0, row.follow_up_id, Certainty(row.certainty), row.said, row.performed, MatchState(row.state), row.at
    )


def _find(session: Session, short: str) -> FollowUpRow:
    digits = short.strip().lower()
    if not digits or not digits.replace("-", "").isalnum():
        raise NotFound("want the id of a follow-up, or how it begins: cds follow-ups list shows them")
    rows = session.exec(select(FollowUpRow).where(col(FollowUpRow.id).startswith(digits)).limit(2)).all()
    if not rows:
        raise NotFound("no follow-up has this id: cds follow-ups list shows them")
    if len(rows) > 1:
        raise Conflict("several follow-ups begin so: give more of the id")
    return rows[0]


def _changed(session: Session, follow_up: str, *said: str) -> tuple[FollowUpRow, FollowUpCareRow]:
    """A follow-up that waits, and what people set of it; `said` is what somebody typed."""
    if any(len(text) > _LONGEST or not text.isprintable() for text in said):
        raise InvalidInput(f"want at most {_LONGEST} printable characters")
    row = _find(session, follow_up)
    lock(session, "follow-up", row.id)
    session.refresh(row)
    if row.state not in WAITING:
        raise Conflict(f"the follow-up is {row.state}: reopen it first")
    return row, _care(session, row.id)


def _care(session: Session, follow_up: str) -> FollowUpCareRow:
    return session.get(FollowUpCareRow, follow_up, populate_existing=True) or FollowUpCareRow(follow_up_id=follow_up)


def _tell(
    session: Session, row: FollowUpRow, now: datetime, by: str, what: str, *, detail: str = "", reason: str = ""
) -> None:
    """The follow-up's log, the study's timeline and the audit log; what people wrote stands in the first alone."""
    session.add(FollowUpEventRow(follow_up_id=row.id, at=now, by=by, what=what, detail=detail, reason=reason))
    name = f"{row.pathway}.{row.recommendation}"
    timeline.write(session, now, "follow-up", what, study_uid=row.study_uid, detail=(name,))
    audit.append(session, AuditEvent(now, by, f"follow-up {what}", row.study_uid, row.patient_id, (name, detail)))


def _matched(session: Session, follow_ups: set[str]) -> dict[str, dict[str, MatchState]]:
    found: dict[str, dict[str, MatchState]] = {one: {} for one in follow_ups}
    for row in rows_with(session, FollowUpMatchRow, FollowUpMatchRow.follow_up_id, follow_ups):
        found[row.follow_up_id][row.evidence] = MatchState(row.state)
    return found


def _imaged(session: Session, since: datetime) -> set[str]:
    """Whose images came, or were matched anew: by the patient of the report, else by the identifier of the images."""
    named = select(PatientIdentifierRow.patient_id).join(
        StudyRow,
        (col(StudyRow.patient_value) == col(PatientIdentifierRow.value))
        & (col(StudyRow.patient_assigner) == col(PatientIdentifierRow.assigner)),
    )
    told = select(ReportRow.patient_id).where(ReportRow.issued >= since)
    return {
        *session.exec(named.where(StudyRow.last_instance_at >= since).distinct()),
        *(one for one in session.exec(told.distinct()) if one),
    }


def _united(session: Session, since: datetime) -> set[str]:
    """Who was merged with whom, or is not any more."""
    changed = select(IdentityChangeRow).where(IdentityChangeRow.at >= since)
    undone = select(IdentityChangeRow).where(col(IdentityChangeRow.undone_at) >= since)
    rows = (*session.exec(changed).all(), *session.exec(undone).all())
    return {one for row in rows for one in (row.survivor_id, row.prior_id) if one}

"""Follow-ups: what a report recommends to primary care, from the version that says it until it is done or withdrawn.

Kept in the commit's transaction; `cds.store.acceptances` has what people do with them.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, select

from cds.domain.follow_up import FollowUpState
from cds.domain.matching import MatchState
from cds.domain.recommendation import Advice
from cds.domain.report import Audience, Report
from cds.store import timeline
from cds.store.acceptances import BY_VERSION, counting, follow_up_id, follow_up_row
from cds.store.follow_up_reminders import end_reminders
from cds.store.safety_tables import FollowUpRow


def follow_up(session: Session, report: Report, now: datetime) -> None:
    """Recommendations that primary care may see are follow-ups; those that do not hold any more are closed.

    What a person answered stays as it is, and says so where it is not recommended any more; it is closed only where
    the report is another patient's, or nobody's.
    """
    wanted = _recommended(report)
    waiting = select(FollowUpRow).where(
        FollowUpRow.study_uid == report.work.study_instance_uid, FollowUpRow.state != FollowUpState.CLOSED.value
    )
    for row in session.exec(waiting).all():
        if row.id not in wanted:
            _not_recommended(session, report, row, now)
    answers = _answers(session, report) if wanted else {}
    for key, fresh in wanted.items():
        known = session.get(FollowUpRow, key)
        state = answers.get(f"{fresh.pathway}.{fresh.recommendation}", FollowUpState.OPEN.value)
        if known is None:
            _begin(session, report, fresh, state, now)
        elif known.reason.startswith(BY_VERSION):
            _resume(session, report, known, state, now)


def _begin(session: Session, report: Report, row: FollowUpRow, state: str, now: datetime) -> None:
    """A follow-up that is new; after a merge it stands as under the patient before."""
    if report.match.state is MatchState.DETACHED:  # what was told stays told, and nothing is added
        return
    row.state, row.created_at, row.updated_at = state, now, now
    session.add(row)
    _tell(session, report, row, now, f"due {row.due}" if row.due else "no date")


def _resume(session: Session, report: Report, row: FollowUpRow, state: str, now: datetime) -> None:
    """A follow-up that is recommended again."""
    if row.state == FollowUpState.CLOSED.value:
        if report.match.state is MatchState.DETACHED:
            return
        row.state = state
    row.reason, row.updated_at = "", now
    session.add(row)
    _tell(session, report, row, now, "it is recommended again")


def _not_recommended(session: Session, report: Report, row: FollowUpRow, now: datetime) -> None:
    theirs = report.patient is not None and row.id == follow_up_id(
        row.study_uid, report.episode, row.pathway, row.recommendation
    )
    if theirs and row.state != FollowUpState.OPEN.value:
        if row.reason or row.state != FollowUpState.ACCEPTED.value:
            return  # it is told already, or nobody has anything to do
    else:
        row.state = FollowUpState.CLOSED.value
        end_reminders(session, row.id, "the follow-up does not hold any more", now)
    row.reason, row.updated_at = f"{BY_VERSION}{report.version}: {_why_void(report, theirs)}", now
    session.add(row)
    _tell(session, report, row, now, row.reason)


def _tell(session: Session, report: Report, row: FollowUpRow, now: datetime, said: str) -> None:
    detail = (f"{row.pathway}.{row.recommendation}", said)
    uid, work_id = report.work.study_instance_uid, report.work.id
    timeline.write(session, now, "follow-up", row.state, study_uid=uid, work_id=work_id, detail=detail)


def _answers(session: Session, report: Report) -> dict[str, str]:
    """The states in which people have put the report's recommendations, by their names."""
    if report.patient is None or report.patient.id is None:
        return {}
    said = counting(session, report.work.study_instance_uid, report.patient.id)
    return {one.name: one.answer.value for one in said}


def _recommended(report: Report) -> dict[str, FollowUpRow]:
    """What the report recommends to primary care, by follow-up id; nothing of it where it is not released to them.

    After its order was cancelled a report is released to nobody anew, and what was told of it stays told.
    """
    stands = report.match.state is MatchState.DETACHED or report.decision.release.allows(Audience.REFERRAL)
    if report.patient is None or report.patient.id is None or not stands:
        return {}
    found = {}
    for advice in report.decision.outcomes:
        for step in advice.recommendations if isinstance(advice, Advice) else ():
            row = follow_up_row(report, advice.pathway, step, report.issued)
            found[row.id] = row
    return found


def _why_void(report: Report, theirs: bool) -> str:
    if report.match.state is MatchState.MATCHED and not theirs:
        return "it was recommended for another patient, or under a patient identifier that is not used any more"
    if report.match.state in (MatchState.UNMATCHED, MatchState.HELD):
        return "; ".join(report.match.reasons)
    if report.match.state is MatchState.DETACHED or report.decision.release.allows(Audience.REFERRAL):
        return "it is not recommended any more"
    return "; ".join(report.decision.release.withheld) or "it may not be told any more"

"""Follow-ups as the page lists them: overdue first, by site, pathway, owner and state; and the figures on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.follow_up import FollowUpState, ReminderStep
from cds.domain.follow_up_care import Figures
from cds.domain.follow_up_match import MatchState
from cds.domain.identity import Identifier, Patient
from cds.domain.recommendation import Advice, Recommendation
from cds.domain.report import Report
from cds.errors import NotFound
from cds.settings import Settings
from cds.store import patients
from cds.store.acceptances import counting
from cds.store.batch import rows_with
from cds.store.engine import Database
from cds.store.follow_up_care import WAITING, match_of
from cds.store.follow_up_evidence import recommended
from cds.store.follow_up_rows import follow_up_of
from cds.store.follow_up_tables import FollowUpCareRow, FollowUpEventRow, FollowUpMatchRow, FollowUpReminderRow
from cds.store.safety_tables import FollowUpRow
from cds.store.tables import DeliveryRow, PatientIdentifierRow, ReportRow, StudyRow
from cds.store.values import parse
from cds.ui.follow_ups import PAGE_ROWS, Asked, Detail, Given, Listed, LogLine, Sheet, Show

#: How the authority of identifiers ends that only tests use.
_TEST = Identifier("-", "-").in_test().assigner.removeprefix("-")
_STATES = {
    Show.COMPLETED: (FollowUpState.COMPLETED.value,),
    Show.DECLINED: (FollowUpState.DECLINED.value,),
    Show.CLOSED: (FollowUpState.CLOSED.value,),
    Show.ALL: tuple(state.value for state in FollowUpState),
}

#: What of a follow-up, of what people set of it and of its study makes a `_Brief`.
_COLUMNS: tuple[Any, ...] = (
    *(FollowUpRow.id, FollowUpRow.patient_id, FollowUpRow.pathway, FollowUpRow.state, FollowUpRow.due),
    *(FollowUpRow.updated_at, FollowUpCareRow.due, FollowUpCareRow.owner, FollowUpCareRow.done_on),
    *(StudyRow.accession_issuer, StudyRow.patient_assigner),
)


@dataclass(frozen=True, slots=True)
class _Brief:
    """What of a follow-up decides whether and where it is listed."""

    id: str
    patient_id: str
    pathway: str
    state: str
    due: date | None
    is_moved: bool
    done_on: date
    owner: str
    chosen: str
    site: str
    updated_at: datetime

    @property
    def waits(self) -> bool:
        return self.state in WAITING

    def is_late(self, today: date) -> bool:
        return self.waits and self.due is not None and self.due < today


class FollowUpList:
    """The list, one follow-up with all that is told of it, and the figures."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._zone = ZoneInfo(settings.time_zone)

    def sheet(self, asked: Asked, today: date) -> Sheet:
        """One page of those that are asked for, the first that are due first."""
        with self._database.reading() as session:
            every = self._briefs(session, _STATES.get(asked.show, WAITING))
            proposed = _proposed(session) if asked.show is Show.PROPOSED else frozenset()
            found = [one for one in every if _is_asked(one, asked, today, proposed)]
            found.sort(key=_place)
            pages = max(-(-len(found) // PAGE_ROWS), 1)
            page = min(max(asked.page, 1), pages)
            shown = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
            return Sheet(
                rows=tuple(self._listed(session, shown, today)),
                total=len(found),
                page=page,
                pages=pages,
                sites=tuple(sorted(self._settings.sites)),
                pathways=tuple(sorted(session.exec(select(FollowUpRow.pathway).distinct()).all())),
                owners=tuple(sorted({one.owner for one in every if one.owner})),
            )

    def detail(self, follow_up: str, today: date) -> Detail:
        """One follow-up; raise NotFound."""
        with self._database.reading() as session:
            row = session.get(FollowUpRow, follow_up)
            if row is None:
                raise NotFound("There is no such follow-up.")
            brief = next(one for one in self._briefs(session, (row.state,), follow_up))
            [listed] = self._listed(session, [brief], today)
            step = recommended(session, row, session.get(ReportRow, row.work_id))
            because = step.because if step else ()
            return Detail(listed, step.reason if step else "", because, _log(session, row), _given(session, row.id))

    def figures(self, today: date) -> tuple[Figures, tuple[str, ...]]:
        """How the follow-ups stand, and where they have no owner, as "<site>/<pathway>"."""
        since = today - timedelta(days=self._settings.follow_ups.on_time_days)
        with self._database.reading() as session:
            tests = _tests(session)
            every = self._briefs(session, (*WAITING, FollowUpState.COMPLETED.value))
        real = [one for one in every if one.patient_id not in tests]
        waiting = [one for one in real if one.waits]
        fell_due = [one for one in real if one.due is not None and since <= one.due < today]
        unowned = [one for one in waiting if not one.owner]
        figures = Figures(
            open=len(waiting),
            overdue=sum(one.is_late(today) for one in waiting),
            unowned=len(unowned),
            fell_due=len(fell_due),
            on_time=sum(not one.waits and one.due is not None and one.done_on <= one.due for one in fell_due),
            moved=sum(one.is_moved for one in fell_due),
        )
        return figures, tuple(sorted({f"{one.site}/{one.pathway}" for one in unowned}))

    def _briefs(self, session: Session, states: Sequence[str], follow_up: str = "") -> list[_Brief]:
        asked = (
            sa.select(*_COLUMNS)
            .select_from(FollowUpRow)
            .outerjoin(FollowUpCareRow, col(FollowUpCareRow.follow_up_id) == col(FollowUpRow.id))
            .outerjoin(StudyRow, col(StudyRow.uid) == col(FollowUpRow.study_uid))
            .where(col(FollowUpRow.state).in_(states))
        )
        if follow_up:
            asked = asked.where(col(FollowUpRow.id) == follow_up)
        return [self._brief(row) for row in session.execute(asked)]

    def _brief(self, row: Sequence[Any]) -> _Brief:
        """A row of `_COLUMNS`."""
        follow_up, patient_id, pathway, state, due, updated_at, moved, chosen, done_on, *issuers = row
        site = self._settings.site_of(*filter(None, issuers))
        return _Brief(
            id=follow_up,
            patient_id=patient_id,
            pathway=pathway,
            state=state,
            due=moved or due,
            is_moved=moved is not None,
            done_on=done_on or updated_at.astimezone(self._zone).date(),
            owner=chosen or self._settings.follow_ups.owner(pathway, site),
            chosen=chosen or "",
            site=site,
            updated_at=updated_at,
        )

    def _listed(self, session: Session, shown: Sequence[_Brief], today: date) -> Iterable[Listed]:
        ids = {one.id for one in shown}
        rows = {row.id: row for row in rows_with(session, FollowUpRow, FollowUpRow.id, ids)}
        proposed = FollowUpMatchRow.state == MatchState.PROPOSED.value
        matches = list(rows_with(session, FollowUpMatchRow, FollowUpMatchRow.follow_up_id, ids, proposed))
        for one in shown:
            row = rows[one.id]
            study, made = session.get(StudyRow, row.study_uid), session.get(ReportRow, row.work_id)
            step, title = recommended(session, row, made), _title(made, row.pathway)
            said = {answer.name: answer for answer in counting(session, row.study_uid, row.patient_id)}
            answer = said.get(f"{row.pathway}.{row.recommendation}")
            yield Listed(
                follow_up=follow_up_of(row, answer.by if answer else ""),
                due=one.due,
                days_late=(today - one.due).days if one.due and one.is_late(today) else 0,
                owner=one.owner,
                is_default=not one.chosen,
                site=one.site,
                patient=_patient(session, row.patient_id),
                study_public_id=study.public_id if study else "",
                study_date=study.study_date if study else None,
                title=title or row.pathway,
                source=step.source if isinstance(step, Recommendation) else None,
                proposals=tuple(match_of(match) for match in matches if match.follow_up_id == row.id),
            )


def _is_asked(one: _Brief, asked: Asked, today: date, proposed: frozenset[str]) -> bool:
    if (asked.site and one.site != asked.site) or (asked.pathway and one.pathway != asked.pathway):
        return False
    if asked.owner and one.owner != asked.owner:
        return False
    if asked.show is Show.OVERDUE:
        return one.is_late(today)
    if asked.show is Show.UNOWNED:
        return not one.owner
    return asked.show is not Show.PROPOSED or one.id in proposed


def _place(one: _Brief) -> tuple[object, ...]:
    """What waits, by its day, before what ended, the newest first."""
    if one.waits:
        return (0, one.due or date.max, one.updated_at.timestamp(), one.id)
    return (1, date.max, -one.updated_at.timestamp(), one.id)


def _proposed(session: Session) -> frozenset[str]:
    asked = select(FollowUpMatchRow.follow_up_id).where(FollowUpMatchRow.state == MatchState.PROPOSED.value)
    return frozenset(session.exec(asked.distinct()).all())


def _tests(session: Session) -> frozenset[str]:
    """The patients that only test and training messages know."""
    asked = select(PatientIdentifierRow.patient_id).where(col(PatientIdentifierRow.assigner).endswith(_TEST))
    return frozenset(session.exec(asked.distinct()).all())


def _patient(session: Session, patient_id: str) -> Patient | None:
    try:
        return patients.load(session, patient_id)
    except KeyError:
        return None


def _title(made: ReportRow | None, pathway: str) -> str:
    """What a pathway is called, as its report says it."""
    said: Report | None = parse(Report, made.body) if made else None
    advices = (one for one in said.decision.outcomes if isinstance(one, Advice)) if said else ()
    return next((one.title for one in advices if one.pathway == pathway), "")


def _log(session: Session, row: FollowUpRow) -> tuple[LogLine, ...]:
    """What people and matches did, and every answer, oldest first."""
    kept = session.exec(select(FollowUpEventRow).where(FollowUpEventRow.follow_up_id == row.id)).all()
    lines = [LogLine(one.at, one.by, one.what, one.detail, one.reason) for one in kept]
    name = f"{row.pathway}.{row.recommendation}"
    answers = counting(session, row.study_uid, row.patient_id)
    lines += [LogLine(one.at, one.by, one.answer.value, one.role, one.reason) for one in answers if one.name == name]
    lines.append(LogLine(row.created_at, "Sightline", "recommended", "", ""))
    return tuple(sorted(lines, key=lambda line: line.at))


def _given(session: Session, follow_up: str) -> tuple[Given, ...]:
    rows = session.exec(
        select(FollowUpReminderRow)
        .where(FollowUpReminderRow.follow_up_id == follow_up)
        .order_by(col(FollowUpReminderRow.at))
    ).all()
    states = {
        row.id: row.state for row in rows_with(session, DeliveryRow, DeliveryRow.id, {r.delivery_id for r in rows})
    }
    return tuple(
        Given(ReminderStep(row.step), row.due, row.recipient, row.at, states.get(row.delivery_id, "not known"))
        for row in rows
    )

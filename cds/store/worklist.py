"""The worklist: a row for each study, made anew after anything that it rests on has changed.

Whoever asks for the list first has the newest changes made good, a bounded number of them; more than that, after a
restore say, are worked off by and by, and the list says that it is behind. A row that was made under other settings or
before a model was switched off is never shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.imaging import Study
from cds.domain.retrieval import Purpose
from cds.errors import Unavailable
from cds.store import audit, patients, worklist_marks
from cds.store.engine import Database, lock
from cds.store.rejections import emptied
from cds.store.tables import OrderRow, StudyRow
from cds.store.values import dump, parse
from cds.store.worklist_facts import gather
from cds.store.worklist_tables import WorklistChoiceRow, WorklistRow
from cds.ui.worklist import PAGE_ROWS, Choice, Choices, Entry, Listed, Wanted, in_order, values
from cds.ui.worklist_rows import Facts

#: Things that changed which one look makes good before it answers.
AT_ONCE = 20
#: (text, part) → where the part begins, 0 where it is not there: a pattern takes SQLite twice as long.
_HOLDS = {"sqlite": sa.func.instr, "postgresql": sa.func.strpos}
#: Studies that one search shows.
_FOUND = 100


@dataclass(frozen=True, slots=True)
class Making:
    """How rows are made. `rules` names the settings and the release under which `enter` judges; `study` reads one."""

    enter: Callable[[Facts], Entry]
    study: Callable[[str], Study]
    rules: str


class WorklistStore:
    """The rows of the worklist, how they are kept, and what is asked of them."""

    def __init__(self, database: Database, making: Making) -> None:
        self._database = database
        self._making = making
        self._offered: set[tuple[str, str, str]] = set()

    def keep(self, limit: int = AT_ONCE) -> int:
        """Make the rows of what changed last anew; answers how many changes, or rows, wait after that."""
        with self._database.reading() as session:
            behind = self._behind(session, limit)
        return self._make_good(behind, limit) if behind is not None else 0

    def fresh(self, wanted: Wanted, sites: Sequence[str] = ()) -> Listed:
        """`listed` after `keep`. A database that takes no writes now still shows its rows, and says what they lack."""
        with self._database.reading() as session:
            behind = self._behind(session, AT_ONCE)
            if behind is None:
                return self._listed(session, wanted, sites)
        with suppress(Unavailable):
            self._make_good(behind, AT_ONCE)
        return self.listed(wanted, sites)

    def listed(self, wanted: Wanted, sites: Sequence[str] = ()) -> Listed:
        """One page of what is wanted as the rows stand, and what the filters offer at these sites."""
        with self._database.reading() as session:
            return self._listed(session, wanted, sites)

    def search(self, asked: str) -> tuple[Entry, ...]:
        """The studies with this accession number or patient identifier, whoever they were merged with."""
        number = asked.strip()
        if not number:
            return ()
        with self._database.reading() as session:
            return tuple(in_order(self._entries(session, _with_number(session, number)[:_FOUND])))

    def write_seen(self, user: str, entries: Iterable[Entry], action: str, now: datetime) -> None:
        """Tell the audit log whose studies somebody saw, in one transaction."""
        with self._database.writing() as session:
            for one in entries:
                audit.append(session, AuditEvent(now, user, action, one.study_instance_uid, one.patient_id))

    def _behind(self, session: Session, limit: int) -> Sequence[str] | None:
        """Studies whose rows lack something that no mark tells of; None where nothing is lacking at all."""
        found = (*worklist_marks.growing(session), *worklist_marks.outdated(session, self._making.rules, limit))
        return found if found or worklist_marks.any_waits(session) else None

    def _make_good(self, behind: Sequence[str], limit: int) -> int:
        with self._database.writing() as session:
            lock(session, "worklist")
            for uid in dict.fromkeys((*worklist_marks.take(session, limit), *behind)):
                self._renew(session, uid)
            session.flush()
            return worklist_marks.pending(session) + len(worklist_marks.outdated(session, self._making.rules, limit))

    def _listed(self, session: Session, wanted: Wanted, sites: Sequence[str]) -> Listed:
        uids = session.exec(_page(wanted, _HOLDS[session.get_bind().dialect.name])).all()
        entries = tuple(self._entries(session, uids[:PAGE_ROWS]))
        return Listed(entries, len(uids) > PAGE_ROWS, worklist_marks.pending(session), _choices(session, sites))

    def _entries(self, session: Session, uids: Sequence[str]) -> list[Entry]:
        """In their order. What was made under other rules is made anew for this answer alone."""
        rows = {row.study_uid: row for row in session.exec(_rows(uids))} if uids else {}
        found = (self._entry(session, rows[uid]) for uid in uids if uid in rows)
        return [one for one in found if one is not None]

    def _entry(self, session: Session, row: WorklistRow) -> Entry | None:
        if row.rules == self._making.rules:
            entry: Entry = parse(Entry, row.body)
            return entry
        study = session.get(StudyRow, row.study_uid)
        return self._made(session, study) if study is not None else None

    def _made(self, session: Session, row: StudyRow) -> Entry:
        return self._making.enter(gather(session, row, self._making.study(row.uid)))

    def _renew(self, session: Session, uid: str) -> None:
        before, row = session.get(WorklistRow, uid), session.get(StudyRow, uid)
        if row is not None and before is None:
            worklist_marks.outdate_of_same_patient(session, row)
        if row is None or row.purpose == Purpose.PRIOR.value or emptied(row):
            if before is not None:
                session.delete(before)
            return
        entry = self._made(session, row)
        session.merge(_row(entry, row.instances, self._making.rules))
        for one in values((entry,)) - self._offered:
            session.merge(WorklistChoiceRow(filter=one[0], name=one[1], title=one[2]))
            self._offered.add(one)


def _choices(session: Session, sites: Sequence[str]) -> Choices:
    """Every value that some row had."""
    offered: dict[str, list[Choice]] = {}
    for row in session.exec(select(WorklistChoiceRow).order_by(col(WorklistChoiceRow.title))):
        offered.setdefault(row.filter, []).append(Choice(row.name, row.title))
    modalities, findings = (tuple(offered.get(name, ())) for name in ("modality", "finding"))
    return Choices(modalities, tuple(Choice(site, site) for site in sites), findings)


def _row(entry: Entry, instances: int, rules: str) -> WorklistRow:
    return WorklistRow(
        study_uid=entry.study_instance_uid,
        is_open=entry.status.is_open,
        urgency=int(entry.urgency),
        since=entry.since,
        status=entry.status.value,
        site=entry.site,
        modalities=_between_bars(entry.modalities),
        findings=_between_bars(name for name, _ in entry.found),
        patient_id=entry.patient_id,
        instances=instances,
        rules=rules,
        body=dump(Entry, entry),
    )


def _between_bars(names: Iterable[str]) -> str:
    told = "|".join(names)
    return f"|{told}|" if told else ""


def _page(wanted: Wanted, place: Any) -> Any:
    """The UIDs of a page and of one row more, from an index alone. What is finished is asked for by its status."""
    is_open = wanted.status.is_open if wanted.status else True
    asked = select(WorklistRow.study_uid).where(col(WorklistRow.is_open).is_(is_open))
    if wanted.status:
        asked = asked.where(WorklistRow.status == wanted.status.value)
    if wanted.site:
        asked = asked.where(WorklistRow.site == wanted.site)
    for column, name in ((WorklistRow.modalities, wanted.modality), (WorklistRow.findings, wanted.finding)):
        if name:
            asked = asked.where(place(column, f"|{name}|") > 0)
    since, uid = col(WorklistRow.since), col(WorklistRow.study_uid)
    ordered = asked.order_by(col(WorklistRow.urgency), since, uid) if is_open else asked.order_by(since.desc(), uid)
    return ordered.offset((wanted.page - 1) * PAGE_ROWS).limit(PAGE_ROWS + 1)


def _rows(uids: Sequence[str]) -> Any:
    return select(WorklistRow).where(col(WorklistRow.study_uid).in_(uids))


def _with_number(session: Session, number: str) -> list[str]:
    ordered = select(OrderRow.id).where(OrderRow.accession_number == number)
    asked = select(StudyRow.uid).where(
        sa.or_(
            col(StudyRow.accession_number) == number,
            col(StudyRow.patient_value) == number,
            col(StudyRow.decided_order_id).in_(ordered),
        )
    )
    found = dict.fromkeys(session.exec(asked.order_by(col(StudyRow.first_instance_at).desc()).limit(_FOUND)))
    for patient_id in patients.with_number(session, number):
        found |= dict.fromkeys(worklist_marks.with_patient(session, patient_id))
    return list(found)

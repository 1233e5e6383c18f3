"""What the quality page rests on: numbers of what models were given, times, and what each run computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session, col, select

from cds.domain.critical import WAITING
from cds.domain.quality import Crossed, InputNumbers, QualityDay, QualityRun, Reading
from cds.domain.revision import Work
from cds.errors import NotFound
from cds.store.engine import Database, lock
from cds.store.quality_readings import Asked, Heard, readings, versions
from cds.store.quality_tables import QualityInputRow, QualityRunRow
from cds.store.safety_tables import CriticalResultRow
from cds.store.tables import ReportRow, StudyRow
from cds.store.values import dump, parse

_Crossed = tuple[Crossed, ...]


@dataclass(frozen=True, slots=True)
class Took:
    """Minutes that were needed, and how many still wait."""

    minutes: tuple[float, ...]
    open: int


@dataclass(frozen=True, slots=True)
class _OfReport:
    test: bool = False


class QualityStore:
    """Runs are only ever added: the newest of a day counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def saw(self, work: Work, model: str, version: str, seen: InputNumbers, now: datetime) -> None:
        """Keep what a model was given; the last input of a run on these images stands, for it is what it answered."""
        key = (work.study_instance_uid, work.revision.image, work.revision.analysis, model, version)
        with self._database.writing() as session:
            row = session.get(QualityInputRow, key) or QualityInputRow(
                study_uid=key[0],
                image_revision=key[1],
                analysis_run=key[2],
                model=model,
                version=version,
                scanner="",
                numbers="",
                at=now,
            )
            row.scanner, row.numbers, row.at = seen.scanner, dump(dict[str, float], dict(seen.numbers)), now
            session.add(row)

    @contextmanager
    def looking(self, site_of: Callable[[str, str], str]) -> Iterator[Look]:
        """One snapshot of what was read, for one run."""
        with self._database.reading() as session:
            yield Look(session, site_of)

    def add(self, day: QualityDay, now: datetime, *, once: bool = False) -> bool:
        """Keep what was computed; `once`: not where the day has a run of the same method already. False where not."""
        with self._database.writing() as session:
            lock(session, "quality")
            if once and _has(session, day.day, day.method):
                return False
            crossed = dump(_Crossed, day.crossed)
            body = dump(QualityDay, day)
            session.add(QualityRunRow(day=day.day, method=day.method, computed_at=now, crossed=crossed, body=body))
        return True

    def has(self, day: date, method: str) -> bool:
        """Whether a run of this method told of the day."""
        with self._database.reading() as session:
            return _has(session, day, method)

    def newest(self, day: date | None = None) -> QualityRun:
        """The newest run of a day, of the last day where none is named; raise NotFound."""
        with self._database.reading() as session:
            wanted = select(QualityRunRow) if day is None else select(QualityRunRow).where(QualityRunRow.day == day)
            row = session.exec(wanted.order_by(*_NEWEST).limit(1)).first()
            if row is None:
                raise NotFound("no quality figures are computed" + ("" if day is None else " for this day") + " yet")
            return _run(row)

    def run(self, run_id: int) -> QualityRun:
        """One run; raise NotFound."""
        with self._database.reading() as session:
            row = session.get(QualityRunRow, run_id)
            if row is None:
                raise NotFound("there is no such run of the quality figures")
            return _run(row)

    def days(self) -> Sequence[date]:
        """The days that have figures, the last first."""
        with self._database.reading() as session:
            day = col(QualityRunRow.day)
            return session.exec(select(day).distinct().order_by(day.desc())).all()


@dataclass(frozen=True, slots=True)
class Look:
    """What one run reads."""

    session: Session
    site_of: Callable[[str, str], str]

    def versions(self) -> Sequence[Heard]:
        """Every version of every model that ever read."""
        return versions(self.session)

    def readings(self, asked: Asked) -> Sequence[Reading]:
        """What a version came to, study by study."""
        return tuple(readings(self.session, asked, self.site_of))

    def reported(self, after: datetime, before: datetime) -> Took:
        """From a study's first instance to our first report, of studies that began to arrive between these times."""
        studies = select(StudyRow.uid, StudyRow.first_instance_at).where(
            StudyRow.first_instance_at >= after, StudyRow.first_instance_at < before, StudyRow.purpose == ""
        )
        began = dict(self.session.exec(studies).all())
        first = (
            select(ReportRow.study_uid, ReportRow.issued, ReportRow.body)
            .join(StudyRow, col(StudyRow.uid) == col(ReportRow.study_uid))
            .where(StudyRow.first_instance_at >= after, StudyRow.first_instance_at < before, StudyRow.purpose == "")
            .order_by(col(ReportRow.version).desc())
        )
        issued = {uid: (at, parse(_OfReport, body).test) for uid, at, body in self.session.exec(first)}
        minutes = (_minutes(began[uid], at) for uid, (at, test) in issued.items() if not test)
        return Took(tuple(minutes), len(began.keys() - issued.keys()))

    def acknowledged(self, after: datetime, before: datetime) -> Took:
        """From a critical result to its acknowledgment, of those that were found between these times."""
        rows = self.session.exec(
            select(CriticalResultRow).where(
                CriticalResultRow.created_at >= after, CriticalResultRow.created_at < before
            )
        ).all()
        minutes = tuple(_minutes(row.created_at, row.acknowledged_at) for row in rows if row.acknowledged_at)
        waiting = {state.value for state in WAITING}
        return Took(minutes, sum(row.acknowledged_at is None and row.state in waiting for row in rows))


_NEWEST = (col(QualityRunRow.day).desc(), col(QualityRunRow.id).desc())


def crossed(session: Session) -> tuple[Crossed, ...]:
    """The bounds that were crossed on the last day that was computed; for the watch, which asks often."""
    text = session.exec(select(QualityRunRow.crossed).order_by(*_NEWEST).limit(1)).first()
    found: tuple[Crossed, ...] = parse(_Crossed, text) if text else ()
    return found


def _has(session: Session, day: date, method: str) -> bool:
    asked = select(QualityRunRow.id).where(QualityRunRow.day == day, QualityRunRow.method == method)
    return session.exec(asked).first() is not None


def _run(row: QualityRunRow) -> QualityRun:
    return QualityRun(row.id or 0, row.computed_at, parse(QualityDay, row.body))


def _minutes(begun: datetime, done: datetime) -> float:
    return max((done - begun).total_seconds(), 0.0) / 60

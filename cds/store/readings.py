"""Second reading: own readings, comparisons, arbitrations and results. Rows are added, never changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.finding import NO_SERIES, Findings, ModelOutcome
from cds.domain.second_reading import (
    About,
    Arbitration,
    Compared,
    OwnReading,
    PartRead,
    Readings,
    ReadingState,
    ScreeningResult,
    compare,
)
from cds.errors import Conflict, InvalidInput, NotFound
from cds.store import audit, timeline
from cds.store.engine import Database
from cds.store.reading_tables import SecondReadingRow
from cds.store.revisions import locked, rematch
from cds.store.safety_tables import FinalReportRow
from cds.store.tables import ModelOutcomeRow, ReportRow, StudyRow
from cds.store.values import dump, parse

OWN, COMPARED, ARBITRATION, _RESULT = "reading", "compared", "arbitration", "result"
Said = OwnReading | Compared | Arbitration | ScreeningResult
_KINDS: Mapping[type[Said], str] = {
    OwnReading: OWN,
    Compared: COMPARED,
    Arbitration: ARBITRATION,
    ScreeningResult: _RESULT,
}
_READER = "radiologist"
_MODEL = "Sightline"
#: How `dump` writes the answer of a model that reads no images like these.
REFUSED = f'"gate":"{NO_SERIES}"'


class ReadingStore:
    """What was said of screening exams."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, reading: OwnReading, now: datetime) -> int:
        """Record a radiologist's own reading, and show the model's from now on; answers its id.

        The first one of these images is blind. Another one is a correction of it by the same person, with a reason.
        InvalidInput, NotFound, or Conflict where the images have changed or somebody else has read them.
        """
        _check(reading.by, reading.parts)
        about = reading.about
        with self._database.writing() as session:
            _current(session, about)
            before = _readings(session, about)
            blind = replace(reading, is_blind=_is_blind(session, before))
            _check_order(blind, before)
            number = _add(session, about, blind, reading.by, now=now)
            _compare(session, about, now)
            what = "own reading corrected" if before.own else "own reading recorded"
            _tell(session, about, reading.by, what, now)
            if not before.own:
                rematch(session, about.study_instance_uid, "a radiologist's own reading was recorded", now)
        return number

    def arbitrate(self, said: Arbitration, now: datetime) -> int:
        """Record what a third person decides; InvalidInput, Conflict where nothing differs or they have read it."""
        _check(said.by, said.parts)
        if not said.reason.strip():
            raise InvalidInput("want the reason of the decision")
        with self._database.writing() as session:
            _current(session, said.about)
            _compare(session, said.about, now)
            readings = _readings(session, said.about)
            _check_arbitration(said, readings)
            number = _add(session, said.about, said, said.by, now=now)
            _tell(session, said.about, said.by, "arbitration recorded", now)
        return number

    def result(self, said: ScreeningResult, now: datetime) -> int:
        """Record what became of a screened person; the newest counts."""
        if not said.by.strip() or not said.source.strip():
            raise InvalidInput("want a person, and the source of the result")
        with self._database.writing() as session:
            study = locked(session, said.study_instance_uid)
            about = About(study.uid, study.image_revision, "")
            number = _add(session, about, said, said.by, now=now)
            _tell(session, about, said.by, "screening result recorded", now)
        return number

    def of(self, about: About) -> Readings:
        """All that was recorded of one model on one image revision."""
        with self._database.reading() as session:
            return _readings(session, about)

    def read_models(self, study_uid: str, image_revision: int) -> frozenset[str]:
        """The models beside which a radiologist's own reading of these images is recorded."""
        with self._database.reading() as session:
            return read_models(session, study_uid, image_revision)

    def results(self, studies: Collection[str]) -> dict[str, ScreeningResult]:
        """The newest result of each study that has one."""
        with self._database.reading() as session:
            return _results(session, studies)

    def settle(self, now: datetime) -> int:
        """Compare the readings whose model has answered since; answers how many."""
        with self._database.reading() as session:
            open_ = list(_uncompared(session))
        settled = 0
        for about in open_:
            with self._database.writing() as session:
                locked(session, about.study_instance_uid)
                settled += _compare(session, about, now)
        return settled

    def unread(
        self, models: Collection[str], *, limit: int, offset: int = 0, reported: bool = True
    ) -> Sequence[tuple[str, str]]:
        """Study and model where these models answered on current images that no radiologist has read, oldest first.

        `reported` False leaves out what a radiologist's signed report is there of.
        """
        with self._database.reading() as session:
            asked = _unread(models) if reported else _unread(models).where(~_reported())
            return [(uid, model) for uid, model in session.exec(asked.limit(limit).offset(offset)).all()]

    def differing(self, limit: int) -> Sequence[tuple[StudyRow, Readings]]:
        """What waits for a third person, oldest disagreement first."""
        with self._database.reading() as session:
            rows = session.exec(_differing().limit(limit)).all()
            return [(study, _readings(session, _about(row))) for row, study in rows]

    def period(self, since: datetime, until: datetime) -> Sequence[Readings]:
        """All whose first own reading was recorded in a period, oldest first."""
        with self._database.reading() as session:
            rows = session.exec(
                select(SecondReadingRow)
                .where(
                    SecondReadingRow.kind == OWN,
                    SecondReadingRow.at >= since,
                    SecondReadingRow.at < until,
                )
                .order_by(col(SecondReadingRow.id))
            ).all()
            found = dict.fromkeys(map(_about, rows))
            told = _many(session, {about.study_instance_uid for about in found})
        return [said for about in found if (said := told[about]).own and since <= said.own[0].at < until]


def read_models(session: Session, study_uid: str, image_revision: int) -> frozenset[str]:
    """As `ReadingStore.read_models`, in a session."""
    rows = session.exec(
        select(SecondReadingRow.model).where(
            SecondReadingRow.study_uid == study_uid,
            SecondReadingRow.image_revision == image_revision,
            SecondReadingRow.kind == OWN,
        )
    ).all()
    return frozenset(rows)


def _check(by: str, parts: Sequence[PartRead]) -> None:
    if not by.strip():
        raise InvalidInput("want the name of the radiologist who reads")
    if not any(one.recall is not None for one in parts):
        raise InvalidInput("want an answer for at least one part: what nobody read is no reading")


def _check_order(reading: OwnReading, before: Readings) -> None:
    if not before.own:
        if reading.corrects is not None:
            raise NotFound("there is no reading to correct")
        return
    if reading.by not in before.readers:
        raise Conflict("somebody else has read these images; a disagreement is for arbitration")
    if reading.corrects != before.own[-1].id or not reading.reason.strip():
        raise InvalidInput("these images are read: want what is corrected, and the reason")
    if [one.part for one in reading.parts] != [one.part for one in before.own[0].parts]:
        raise InvalidInput("want the same parts as in the reading that is corrected")


def _check_arbitration(said: Arbitration, readings: Readings) -> None:
    if readings.state not in (ReadingState.ARBITRATION, ReadingState.DECIDED) or readings.compared is None:
        raise Conflict("the two readings do not differ: there is nothing to decide")
    if said.by in readings.readers:
        raise InvalidInput("want a third person: you have read these images yourself")
    if readings.decision is not None and readings.decision.by != said.by:
        raise Conflict("somebody else has decided; only they can correct it")
    decided = {one.part for one in said.parts if one.recall is not None}
    if missing := [part for part in readings.compared.differs if part not in decided]:
        raise InvalidInput(f"want a decision for: {', '.join(missing)}")


def _is_blind(session: Session, before: Readings) -> bool:
    """The first reading is; a correction while the model has not answered, too."""
    return not before.own or (before.compared is None and _answer(session, before.about) is None)


def _current(session: Session, about: About) -> StudyRow:
    study = locked(session, about.study_instance_uid)
    if study.image_revision != about.image_revision:
        text = f"the images have changed since: the study is at image revision {study.image_revision} now"
        raise Conflict(f"{text}; look at it again")
    return study


def _compare(session: Session, about: About, now: datetime) -> bool:
    """Put both readings side by side once both are there; what was compared once stands."""
    readings = _readings(session, about)
    answer = _answer(session, about)
    if readings.blind is None or readings.compared is not None or answer is None:
        return False
    compared = compare(readings.blind, answer, now)
    _add(session, about, compared, _MODEL, now=now, role="model")
    outcome = "the readings differ" if compared.differs else "the readings were compared"
    timeline.write(session, now, "second reading", outcome, study_uid=about.study_instance_uid, detail=(about.model,))
    return True


def _answer(session: Session, about: About) -> ModelOutcome | None:
    """The model's first findings on these images, else its first refusal."""
    rows = session.exec(
        select(ModelOutcomeRow)
        .where(
            ModelOutcomeRow.study_uid == about.study_instance_uid,
            ModelOutcomeRow.image_revision == about.image_revision,
            ModelOutcomeRow.model == about.model,
        )
        .order_by(col(ModelOutcomeRow.at), col(ModelOutcomeRow.analysis_run))
    ).all()
    said: list[ModelOutcome] = [parse(ModelOutcome, row.body) for row in rows]
    return next((one for one in said if isinstance(one, Findings)), said[0] if said else None)


def _readings(session: Session, about: About) -> Readings:
    return _many(session, {about.study_instance_uid}).get(about, Readings(about))


def _many(session: Session, studies: Collection[str]) -> dict[About, Readings]:
    found: dict[About, list[SecondReadingRow]] = {}
    for some in _chunks(sorted(studies)):
        rows = session.exec(
            select(SecondReadingRow)
            .where(col(SecondReadingRow.study_uid).in_(some), SecondReadingRow.kind != _RESULT)
            .order_by(col(SecondReadingRow.id))
        ).all()
        for row in rows:
            found.setdefault(_about(row), []).append(row)
    return {about: _together(about, rows) for about, rows in found.items()}


def _together(about: About, rows: Sequence[SecondReadingRow]) -> Readings:
    of: Mapping[str, list[Any]] = {OWN: [], COMPARED: [], ARBITRATION: []}
    kinds = {OWN: OwnReading, COMPARED: Compared, ARBITRATION: Arbitration}
    for row in rows:
        of[row.kind].append(_numbered(row, parse(kinds[row.kind], row.body)))
    return Readings(about, tuple(of[OWN]), next(iter(of[COMPARED]), None), tuple(of[ARBITRATION]))


def _numbered(row: SecondReadingRow, value: Any) -> Any:
    return value if row.kind == COMPARED else replace(value, id=row.id)


def _results(session: Session, studies: Collection[str]) -> dict[str, ScreeningResult]:
    found: dict[str, ScreeningResult] = {}
    for some in _chunks(sorted(studies)):
        rows = session.exec(
            select(SecondReadingRow)
            .where(col(SecondReadingRow.study_uid).in_(some), SecondReadingRow.kind == _RESULT)
            .order_by(col(SecondReadingRow.id))
        ).all()
        found |= {row.study_uid: _numbered(row, parse(ScreeningResult, row.body)) for row in rows}
    return found


def _uncompared(session: Session) -> Iterator[About]:
    """Readings beside which the model has answered since."""
    own = SecondReadingRow
    answered = sa.exists().where(
        col(ModelOutcomeRow.study_uid) == col(own.study_uid),
        col(ModelOutcomeRow.image_revision) == col(own.image_revision),
        col(ModelOutcomeRow.model) == col(own.model),
    )
    rows = session.exec(select(own).where(own.kind == OWN, ~_beside(COMPARED), answered).order_by(col(own.id))).all()
    yield from dict.fromkeys(map(_about, rows))


def _unread(models: Collection[str]) -> Any:
    own = sa.exists().where(
        col(SecondReadingRow.study_uid) == col(StudyRow.uid),
        col(SecondReadingRow.image_revision) == col(StudyRow.image_revision),
        col(SecondReadingRow.model) == col(ModelOutcomeRow.model),
        col(SecondReadingRow.kind) == OWN,
    )
    return (
        select(StudyRow.uid, ModelOutcomeRow.model)
        .where(
            ModelOutcomeRow.study_uid == StudyRow.uid,
            ModelOutcomeRow.image_revision == StudyRow.image_revision,
            col(ModelOutcomeRow.model).in_(models),
            ~col(ModelOutcomeRow.body).contains(REFUSED),
            StudyRow.purpose == "",
            ~own,
        )
        .order_by(col(StudyRow.first_instance_at), col(StudyRow.uid), col(ModelOutcomeRow.at))
    )


def _reported() -> sa.Exists:
    return sa.exists().where(
        col(StudyRow.accession_number) != "",
        col(FinalReportRow.accession_number) == col(StudyRow.accession_number),
        col(FinalReportRow.accession_issuer) == col(StudyRow.accession_issuer),
    )


def _differing() -> Any:
    return (
        select(SecondReadingRow, StudyRow)
        .where(
            SecondReadingRow.kind == COMPARED,
            SecondReadingRow.state == ReadingState.ARBITRATION.value,
            StudyRow.uid == SecondReadingRow.study_uid,
            StudyRow.image_revision == SecondReadingRow.image_revision,
            ~_beside(ARBITRATION),
        )
        .order_by(col(SecondReadingRow.at), col(SecondReadingRow.id))
    )


def _beside(kind: str) -> sa.Exists:
    """Whether there is a row of this kind about the same."""
    other = orm.aliased(SecondReadingRow)
    return sa.exists().where(
        col(other.study_uid) == col(SecondReadingRow.study_uid),
        col(other.image_revision) == col(SecondReadingRow.image_revision),
        col(other.model) == col(SecondReadingRow.model),
        col(other.kind) == kind,
    )


def _add(session: Session, about: About, said: Said, by: str, *, now: datetime, role: str = _READER) -> int:
    row = SecondReadingRow(
        study_uid=about.study_instance_uid,
        image_revision=about.image_revision,
        model=about.model,
        kind=_KINDS[type(said)],
        state=said.state.value if isinstance(said, Compared) else "",
        actor=by,
        role=role,
        at=now,
        body=dump(type(said), said),
    )
    session.add(row)
    session.flush()
    return row.id or 0


def _tell(session: Session, about: About, by: str, what: str, now: datetime) -> None:
    """Who did it stands in the audit log, what they said in neither."""
    uid, detail = about.study_instance_uid, tuple(filter(None, (about.model,)))
    timeline.write(session, now, "second reading", what, study_uid=uid, detail=detail)
    owner = session.exec(
        select(ReportRow.patient_id).where(ReportRow.study_uid == uid).order_by(col(ReportRow.version).desc())
    ).first()
    audit.append(session, AuditEvent(now, by, what, uid, owner, detail))


def _about(row: SecondReadingRow) -> About:
    return About(row.study_uid, row.image_revision, row.model)


def _chunks(names: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))

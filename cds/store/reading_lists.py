"""The exams that second reading is about: what is known of each, and which wait for whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.finding import ModelOutcome
from cds.domain.imaging import InstanceHeader, Study
from cds.domain.order import QUEUE_PRIORITY, OrderStatus, Priority, ServiceRequest
from cds.domain.second_reading import Readings, ReadingState
from cds.store.engine import Database
from cds.store.reading_tables import SecondReadingRow
from cds.store.readings import ARBITRATION, COMPARED, OWN, REFUSED, ReadingStore, read_models
from cds.store.safety_tables import FinalReportRow
from cds.store.studies import StudyStore
from cds.store.tables import InstanceRow, ModelOutcomeRow, OrderRow, StudyRow
from cds.store.values import parse

_PIECE, _MOST_LOOKED_AT = 100, 5_000


@dataclass(frozen=True, slots=True)
class Exam:
    """A study with what models answered on its current images, and the models beside which a person has read them."""

    study: Study
    received_at: datetime
    answers: Mapping[str, ModelOutcome] = field(default_factory=dict)
    read: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    #: The most urgent order's; None where nobody stated one.
    priority: Priority | None = None
    #: Whether a radiologist's signed report with its accession number is here.
    is_reported: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the reading of a study beside a model has come; `issuers` tell the site that it belongs to."""

    study_instance_uid: str
    model: str
    issuers: tuple[str, str]
    state: ReadingState


class ReadingLists:
    """Exams by their UID, and the lists of what waits."""

    def __init__(self, database: Database, studies: StudyStore) -> None:
        self._database = database
        self._studies = studies
        self._readings = ReadingStore(database)

    def exams(self, studies: Collection[str]) -> list[Exam]:
        """These studies, those that are not known left out."""
        with self._database.reading() as session:
            rows = session.exec(select(StudyRow).where(col(StudyRow.uid).in_(studies))).all()
            return [self._exam(session, row) for row in rows]

    def unread(self, models: Collection[str], *, reported: bool = True) -> Iterator[tuple[Exam, str]]:
        """Exams that these models have answered on and that nobody has read beside them, oldest first.

        `reported` False leaves out what a radiologist's signed report is there of. Read in pieces, as far as wanted.
        """
        for offset in range(0, _MOST_LOOKED_AT, _PIECE) if models else ():
            pairs = self._readings.unread(models, limit=_PIECE, offset=offset, reported=reported)
            exams = {one.study.study_instance_uid: one for one in self.exams({uid for uid, _ in pairs})}
            yield from ((exams[uid], model) for uid, model in dict.fromkeys(pairs))
            if len(pairs) < _PIECE:
                return

    def differing(self, limit: int) -> Iterator[tuple[Exam, Readings]]:
        """Exams whose two readings differ and wait for a third person, oldest first."""
        found = self._readings.differing(limit)
        exams = {one.study.study_instance_uid: one for one in self.exams({row.uid for row, _ in found})}
        return ((exams[row.uid], readings) for row, readings in found)

    def states(self, studies: Collection[str], models: Collection[str]) -> Sequence[Standing]:
        """How far the reading of these studies beside these models has come, where a model answered or a person read.

        Three queries, however many studies: a page of a list asks it.
        """
        with self._database.reading() as session:
            rows = session.exec(select(StudyRow).where(col(StudyRow.uid).in_(studies))).all()
            current = {row.uid: row.image_revision for row in rows}
            said = _kinds(session, current, models)
            answered = _answered(session, current, models)
        issuers = {row.uid: (row.accession_issuer, row.patient_assigner) for row in rows}
        pairs = sorted({*answered, *said})
        return [Standing(uid, model, issuers[uid], _state(said.get((uid, model), {}))) for uid, model in pairs]

    def modalities(self, study_uid: str) -> tuple[str, ...]:
        """The modalities of a study's images, each once."""
        with self._database.reading() as session:
            return tuple(sorted(set(_modalities(session, study_uid))))

    def _exam(self, session: Session, row: StudyRow) -> Exam:
        return Exam(
            study=self._studies.study(row.uid),
            received_at=row.first_instance_at,
            answers=_answers(session, row),
            read=read_models(session, row.uid, row.image_revision),
            modalities=frozenset(_modalities(session, row.uid)),
            priority=_priority(_orders(session, row)),
            is_reported=_is_reported(session, row),
        )


def _answers(session: Session, study: StudyRow) -> dict[str, ModelOutcome]:
    """The newest answer of each model."""
    rows = session.exec(
        select(ModelOutcomeRow)
        .where(ModelOutcomeRow.study_uid == study.uid, ModelOutcomeRow.image_revision == study.image_revision)
        .order_by(col(ModelOutcomeRow.analysis_run), col(ModelOutcomeRow.at))
    ).all()
    return {row.model: parse(ModelOutcome, row.body) for row in rows}


def _modalities(session: Session, uid: str) -> Iterable[str]:
    """Of one instance of each series."""
    first = (
        select(sa.func.min(col(InstanceRow.sop_instance_uid)))
        .where(InstanceRow.study_uid == uid)
        .group_by(col(InstanceRow.series_uid))
    )
    headers = session.exec(select(InstanceRow.header).where(col(InstanceRow.sop_instance_uid).in_(first))).all()
    return (parse(InstanceHeader, header).modality for header in headers)


def _orders(session: Session, study: StudyRow) -> Sequence[ServiceRequest]:
    named: list[Any] = [OrderRow.id == study.decided_order_id]
    if study.accession_number:
        named.append(OrderRow.accession_number == study.accession_number)
    rows = session.exec(select(OrderRow).where(sa.or_(*named))).all()
    return [parse(ServiceRequest, row.body) for row in rows]


def _priority(orders: Iterable[ServiceRequest]) -> Priority | None:
    stated = [one.priority for one in orders if one.priority and one.status is not OrderStatus.REVOKED]
    return min(stated, key=lambda priority: QUEUE_PRIORITY[priority], default=None)


def _is_reported(session: Session, study: StudyRow) -> bool:
    if not study.accession_number:
        return False
    named = select(FinalReportRow.id).where(
        FinalReportRow.accession_number == study.accession_number,
        FinalReportRow.accession_issuer == study.accession_issuer,
    )
    return session.exec(named.limit(1)).first() is not None


def _kinds(
    session: Session, current: Mapping[str, int], models: Collection[str]
) -> dict[tuple[str, str], dict[str, str]]:  # fmt: skip
    """What was recorded of each study and model on the current images: kind → state."""
    rows = session.exec(
        select(SecondReadingRow).where(
            col(SecondReadingRow.study_uid).in_(current), col(SecondReadingRow.model).in_(models)
        )
    ).all()
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        if row.image_revision == current[row.study_uid]:
            found.setdefault((row.study_uid, row.model), {})[row.kind] = row.state
    return found


def _answered(session: Session, current: Mapping[str, int], models: Collection[str]) -> set[tuple[str, str]]:
    """Study and model where a model answered on the current images, and reads images like these."""
    rows = session.exec(
        select(ModelOutcomeRow.study_uid, ModelOutcomeRow.model, ModelOutcomeRow.image_revision).where(
            col(ModelOutcomeRow.study_uid).in_(current),
            col(ModelOutcomeRow.model).in_(models),
            ~col(ModelOutcomeRow.body).contains(REFUSED),
        )
    ).all()
    return {(uid, model) for uid, model, revision in rows if revision == current[uid]}


def _state(kinds: Mapping[str, str]) -> ReadingState:
    """As `Readings.state`, from what kinds of rows there are."""
    if OWN not in kinds:
        return ReadingState.WAITING
    if COMPARED not in kinds:
        return ReadingState.MODEL_PENDING
    return ReadingState.DECIDED if ARBITRATION in kinds else ReadingState(kinds[COMPARED])

"""The earlier studies that a study is compared with, as a model that compares may have them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import Session, col, select

from cds.domain.finding import ModelOutcome
from cds.domain.identity import Identifier
from cds.domain.imaging import Study
from cds.domain.prior import PriorStudy
from cds.errors import NotFound
from cds.store import patients
from cds.store.engine import Database
from cds.store.identity import canonical, members
from cds.store.retrievals import RetrievalStore
from cds.store.studies import StudyStore
from cds.store.tables import ModelOutcomeRow, StudyRow
from cds.store.values import parse

#: So many earlier studies of a patient are looked at, the newest.
_LOOKED_AT = 20


class PriorStore:
    """Looks up what retrieval linked and what is here anyway. Whose an image is may change: it is looked at again."""

    def __init__(self, database: Database, studies: StudyStore) -> None:
        self._database = database
        self._studies = studies
        self._retrievals = RetrievalStore(database)

    def of_study(self, study_uid: str) -> Sequence[PriorStudy]:
        """The priors of a study of which images are here, newest first; raise NotFound where it is not here.

        Only those of an earlier day and of the same patient (merges followed), and none where it is in doubt whose
        either of them is (SAFETY section 1).
        """
        study = self._studies.study(study_uid)
        known = dict.fromkeys((*self._retrievals.priors(study_uid), *self._here(study)))
        found = (self._prior(study, uid) for uid in known)
        offered = [one for one in found if one is not None]
        return sorted(offered, key=lambda one: str(one.study.study_date), reverse=True)

    def _here(self, study: Study) -> Sequence[str]:
        """Earlier studies under an identifier of this patient, newest first."""
        if study.patient is None or study.study_date is None:
            return ()
        with self._database.reading() as session:
            known = patients.leaf(session, study.patient)
            rows = patients.identifiers_of(session, members(session, canonical(session, known))) if known else []
            values = {study.patient.value, *(row.value for row in rows)}
            asked = select(StudyRow.uid).where(
                col(StudyRow.patient_value).in_(values), col(StudyRow.study_date) < study.study_date
            )
            return session.exec(asked.order_by(col(StudyRow.study_date).desc(), StudyRow.uid).limit(_LOOKED_AT)).all()

    def _prior(self, study: Study, uid: str) -> PriorStudy | None:
        try:
            prior = self._studies.study(uid)
        except NotFound:  # nothing of it came
            return None
        series = tuple(self._studies.series(uid, prior.image_revision))
        if not series or not _is_earlier(prior, study):
            return None
        with self._database.reading() as session:
            if not _same_patient(session, prior, study):
                return None
            row = session.get(StudyRow, uid)
            if row is None or row.stopped:
                return None
            return PriorStudy(prior, series, row.revision_open, _outcomes(session, row))


def _is_earlier(prior: Study, study: Study) -> bool:
    return prior.study_date is not None and study.study_date is not None and prior.study_date < study.study_date


def _same_patient(session: Session, prior: Study, study: Study) -> bool:
    if prior.patient is None or study.patient is None or prior.contradiction or study.contradiction:
        return False
    return prior.patient == study.patient or bool(
        (owner := _owner(session, prior.patient)) and owner == _owner(session, study.patient)
    )


def _owner(session: Session, identifier: Identifier) -> str | None:
    known = patients.leaf(session, identifier)
    return canonical(session, known) if known else None


def _outcomes(session: Session, row: StudyRow) -> tuple[ModelOutcome, ...]:
    """What models said of its newest images, the newest run of each version first."""
    asked = (
        select(ModelOutcomeRow)
        .where(ModelOutcomeRow.study_uid == row.uid, ModelOutcomeRow.image_revision == row.image_revision)
        .order_by(col(ModelOutcomeRow.analysis_run).desc(), col(ModelOutcomeRow.model), col(ModelOutcomeRow.version))
    )
    return tuple(parse(ModelOutcome, one.body) for one in session.exec(asked))

"""The earlier studies that a study is compared with, as a model that compares may have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session

from cds.domain.identity import Identifier
from cds.domain.imaging import SeriesSummary, Study
from cds.errors import NotFound
from cds.store import patients
from cds.store.engine import Database
from cds.store.identity import canonical
from cds.store.retrievals import RetrievalStore
from cds.store.studies import StudyStore
from cds.store.tables import StudyRow


@dataclass(frozen=True, slots=True)
class PriorStudy:
    """An earlier study with its series; `coming` while more of its images may come."""

    study: Study
    series: tuple[SeriesSummary, ...]
    coming: bool


class PriorStore:
    """Looks up what retrieval linked. Whose an image is may change after that: it is looked at again here."""

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
        found = (self._prior(study, uid) for uid in self._retrievals.priors(study_uid))
        offered = [one for one in found if one is not None]
        return sorted(offered, key=lambda one: str(one.study.study_date), reverse=True)

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
            return PriorStudy(prior, series, row is not None and row.revision_open)


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

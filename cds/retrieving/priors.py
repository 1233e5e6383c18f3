"""Earlier studies of the same patient and body part, for models that compare (step 4 of a retrieval)."""

from __future__ import annotations

from collections.abc import Sequence

from cds.domain.identity import Identifier
from cds.domain.imaging import Study
from cds.domain.retrieval import Purpose, RemoteStudy, Retrieval, StatedSeries, StudyQuery
from cds.errors import NotFound
from cds.ports import Archive
from cds.retrieving import asking
from cds.retrieving.parts import Reader, Retrieving

#: So many earlier studies are looked at for the body part, the newest.
_LOOKED_AT = 20


def priors(line: Retrieving, retrieval_id: str, source: str) -> int:
    """Step 4: want the newest earlier studies for each model that compares; answers how many there are.

    Never for a study whose images name no patient: a name and a birth date find somebody else's, too.
    """
    retrieval = line.retrievals.retrieval(retrieval_id)
    study_uid = retrieval.study_instance_uid
    comparing = [] if retrieval.purpose is Purpose.PRIOR else _comparing(line, line.retrievals.stated(study_uid))
    study = _study(line, study_uid) if comparing else None
    if study is None:
        return 0
    if study.patient is None or study.study_date is None or study.contradiction:
        doubt = "the images name no patient, or no date" if not study.contradiction else "it is in doubt whose they are"
        line.retrievals.tell(retrieval_id, "no priors", line.clock.now(), doubt)
        return 0
    pacs = asking.archive(line, source)
    found = {one.study_instance_uid: one for reader in comparing for one in _earlier(line, pacs, reader, study)}
    for prior in found.values():
        _want(line, retrieval, prior, source)
    dates = [f"of {prior.study_date:%Y-%m-%d}" for prior in found.values() if prior.study_date]
    line.retrievals.tell(retrieval_id, f"priors in {source}: {len(found)}", line.clock.now(), *dates)
    return len(found)


def _comparing(line: Retrieving, stated: Sequence[StatedSeries]) -> list[Reader]:
    """The models that compare and that may read a series of this study."""
    wanted = [one.series for one in stated if one.wanted]
    readers = asking.readers(line, Purpose.PRIOR)
    return [reader for reader in readers if any(reader.why_not(series, ()) is None for series in wanted)]


def _study(line: Retrieving, study_uid: str) -> Study | None:
    try:
        return line.study(study_uid)
    except NotFound:  # all that it has was refused here
        return None


def _earlier(line: Retrieving, pacs: Archive, reader: Reader, study: Study) -> list[RemoteStudy]:
    """The newest studies of earlier days that show what the model reads, as many as it and the site want."""
    most = min(reader.priors, line.sources[pacs.name].priors)
    if not most or study.patient is None:
        return []
    whose = study.patient.as_sent()
    query = StudyQuery(
        patient_id=whose.value,
        issuer_of_patient_id=whose.assigner,
        modality=reader.modality,
        before=study.study_date,
    )
    found: list[RemoteStudy] = []
    for candidate in pacs.studies(query)[:_LOOKED_AT]:
        if len(found) == most:
            break
        if _is_of(line, candidate, whose) and _shows(pacs, reader, candidate):
            found.append(candidate)
    return found


def _is_of(line: Retrieving, candidate: RemoteStudy, whose: Identifier) -> bool:
    return asking.patient(line, candidate) == whose


def _shows(pacs: Archive, reader: Reader, candidate: RemoteStudy) -> bool:
    return any(reader.compares(candidate, series) for series in pacs.series(candidate.study_instance_uid))


def _want(line: Retrieving, retrieval: Retrieval, prior: RemoteStudy, source: str) -> None:
    """Linked first: who looks at the study sees what it is to be compared with, arrived or not."""
    now = line.clock.now()
    line.retrievals.link_prior(retrieval.study_instance_uid, prior.study_instance_uid, source, now)
    line.retrievals.want(
        prior.study_instance_uid,
        purpose=Purpose.PRIOR,
        priority=retrieval.priority,
        now=now,
    )

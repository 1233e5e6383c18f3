"""What a DICOMweb server says that it has: QIDO-RS (PS3.18 section 10.6). Nothing in an answer is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from adapters.dicom.dicom_json import Item, day, number, text, texts, uid
from adapters.dicom.dicomweb import Dicomweb
from adapters.dicom.header import check_uid
from cds.domain.retrieval import RemoteInstance, RemoteSeries, RemoteStudy, StudyQuery
from cds.errors import PeerFailed, PeerRefused
from cds.imaging_peers import DicomwebServer

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = "00080016", "00080018", "0020000D", "0020000E"
_STUDY_DATE, _STUDY_TIME, _ACCESSION, _MODALITY, _MODALITIES = (
    "00080020",
    "00080030",
    "00080050",
    "00080060",
    "00080061",
)
_PATIENT, _ISSUER, _BODY_PART, _NUMBER = "00100020", "00100021", "00180015", "00200011"
_STUDY_DESCRIPTION, _SERIES_DESCRIPTION = "00081030", "0008103E"
_SERIES_COUNT, _INSTANCE_COUNT, _SERIES_INSTANCES = "00201206", "00201208", "00201209"

_OF_STUDY = (_MODALITIES, _ISSUER, _STUDY_DESCRIPTION, _SERIES_COUNT, _INSTANCE_COUNT)
_OF_SERIES = (_BODY_PART, _SERIES_DESCRIPTION, _SERIES_INSTANCES)
#: One page, and the most that is read of studies, of the series of one study, of the instances of one series.
_PAGE = 500
_MOST_STUDIES, _MOST_SERIES, _MOST_INSTANCES = 1000, 2000, 50_000


class QidoAsker:
    """Looks at a DICOMweb server, with one connection for each question; thread-safe."""

    def __init__(self, server: DicomwebServer, timeout_s: float) -> None:
        self._server = server
        self._timeout_s = timeout_s

    def studies(self, query: StudyQuery) -> Sequence[RemoteStudy]:
        """The studies that match, newest first. Raise Unavailable, or PeerRefused where the query is too wide.

        What a server finds beyond the query (wildcards in an identifier, upper and lower case) is left out here.
        """
        asked = list(_keys(query))
        if not asked:
            raise ValueError("want a query with at least one key")
        items = self._items("/studies", asked, _OF_STUDY, _STUDY, _MOST_STUDIES)
        found = [study for item in items if _fits(study := _study(item), query)]
        return sorted(found, key=lambda one: (one.study_date or date.min, one.study_time), reverse=True)

    def series(self, study_instance_uid: str) -> Sequence[RemoteSeries]:
        """The series of a study; () where the server has none or does not know it."""
        check_uid(study_instance_uid)
        path = f"/studies/{study_instance_uid}/series"
        items = self._items(path, (), _OF_SERIES, _SERIES, _MOST_SERIES)
        return [_series(item, study_instance_uid) for item in items]

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> Sequence[RemoteInstance]:
        """The instances of a series; () where the server has none or does not know it."""
        check_uid(study_instance_uid)
        check_uid(series_instance_uid)
        path = f"/studies/{study_instance_uid}/series/{series_instance_uid}/instances"
        items = self._items(path, (), (), _SOP_INSTANCE, _MOST_INSTANCES)
        return [
            RemoteInstance(study_instance_uid, series_instance_uid, uid(item, _SOP_INSTANCE), text(item, _SOP_CLASS))
            for item in items
        ]

    def _items(
        self, path: str, keys: Sequence[tuple[str, str]], fields: Sequence[str], identity: str, most: int
    ) -> list[Item]:
        """All pages, each thing once: a server that ignores `offset` says the same again, and so ends it."""
        found: dict[str, Item] = {}
        wanted = [*keys, *(("includefield", field) for field in fields)]
        offset = 0
        with Dicomweb(self._server, self._timeout_s) as web:
            while True:
                page, more = web.search(path, [*wanted, ("limit", str(_PAGE)), ("offset", str(offset))])
                before = len(found)
                found.update({uid(item, identity): item for item in page})
                if len(found) > most:
                    raise PeerRefused(f"want a question that the DICOMweb server answers with at most {most} entries")
                if len(found) == before or (len(page) < _PAGE and not more):
                    return list(found.values())
                offset += len(page)


def _keys(query: StudyQuery) -> Iterator[tuple[str, str]]:
    if query.study_instance_uid:
        check_uid(query.study_instance_uid)
        yield _STUDY, query.study_instance_uid
    if query.accession_number:
        yield _ACCESSION, query.accession_number
    if query.patient_id:
        yield _PATIENT, query.patient_id
    if query.modality:
        yield _MODALITIES, query.modality
    if query.before is not None:
        yield _STUDY_DATE, f"-{query.before - timedelta(days=1):%Y%m%d}"


def _fits(study: RemoteStudy, query: StudyQuery) -> bool:
    """Whether it is what was asked for. An issuer or modalities that the server leaves out exclude nothing."""
    exact = (
        (query.study_instance_uid, study.study_instance_uid),
        (query.accession_number, study.accession_number),
        (query.patient_id, study.patient_id),
        (study.issuer_of_patient_id and query.issuer_of_patient_id, study.issuer_of_patient_id),
    )
    if any(wanted and wanted.strip() != said for wanted, said in exact):
        return False
    if query.modality and study.modalities and query.modality not in study.modalities:
        return False
    return query.before is None or (study.study_date is not None and study.study_date < query.before)


def _study(item: Item) -> RemoteStudy:
    return RemoteStudy(
        study_instance_uid=uid(item, _STUDY),
        patient_id=text(item, _PATIENT),
        issuer_of_patient_id=text(item, _ISSUER),
        accession_number=text(item, _ACCESSION),
        study_date=day(item, _STUDY_DATE),
        study_time=text(item, _STUDY_TIME),
        description=text(item, _STUDY_DESCRIPTION),
        modalities=tuple(texts(item, _MODALITIES)),
        series=number(item, _SERIES_COUNT),
        instances=number(item, _INSTANCE_COUNT),
    )


def _series(item: Item, study_instance_uid: str) -> RemoteSeries:
    if text(item, _STUDY) not in ("", study_instance_uid):
        raise PeerFailed("the DICOMweb server answers with a series of another study")
    return RemoteSeries(
        study_instance_uid=study_instance_uid,
        series_instance_uid=uid(item, _SERIES),
        modality=text(item, _MODALITY),
        body_part=text(item, _BODY_PART),
        description=text(item, _SERIES_DESCRIPTION),
        number=number(item, _NUMBER),
        instances=number(item, _SERIES_INSTANCES),
    )

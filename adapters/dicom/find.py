"""C-FIND as SCU: what a PACS has, by the Study Root Query/Retrieve Information Model (PS3.4 annex C)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from adapters.dicom import dimse
from adapters.dicom.association import Association, Context, Proposal, associated
from adapters.dicom.dimse import Message
from adapters.dicom.header import UNREADABLE, check_uid
from adapters.dicom.query_retrieve import (
    IDENTIFIER_SYNTAXES,
    STUDY_ROOT_FIND,
    checked_uid,
    encoded_identifier,
    offered,
    require_done,
)
from adapters.dicom.scan import parse, scan
from cds.domain.retrieval import RemoteInstance, RemoteSeries, RemoteStudy, StudyQuery
from cds.errors import InvalidInput, InvalidInstance, PeerFailed, PeerRefused, Unavailable
from cds.imaging_peers import DicomNode
from cds.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

#: Bounds of one answer: more matches than this mean that a key was not matched at all.
_MOST_STUDIES, _MOST_SERIES, _MOST_INSTANCES = 1_000, 2_000, 50_000
#: An answer as a whole takes at most so many times the timeout of its parts.
_PATIENCE = 10
_CANCEL_TIMEOUT_S = 5.0
#: VR LO; accession numbers (SH, 16) are longer than that in too many sites to be refused here.
_LONGEST_VALUE = 64
#: Wild cards, the value separator and the range separator of UIDs and dates are not ours to send (PS3.4 C.2.2.2).
_NOT_IN_A_VALUE = frozenset("*?\\")
_LONGEST_TEXT = 1024

_STUDY_KEYS = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyDate", "StudyTime",
               "StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedSeries",
               "NumberOfStudyRelatedInstances")  # fmt: skip
_SERIES_KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription",
                "SeriesNumber", "NumberOfSeriesRelatedInstances")  # fmt: skip
_INSTANCE_KEYS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_CHARACTER_SET = 0x00080005


class FindAsker:
    """Asks one PACS. Each question is an association of its own.

    Raise InvalidInput for a value that cannot be matched exactly, Unavailable where the PACS cannot be reached or
    fails, PeerRefused where it does not offer C-FIND or has more matches than anybody can have meant.
    """

    def __init__(self, node: DicomNode, timeout_s: float) -> None:
        self._node = node
        self._timeout_s = timeout_s

    def studies(self, query: StudyQuery) -> Sequence[RemoteStudy]:
        """The studies that match, newest first. A PACS that ignores a key answers too much: that is left out here."""
        found = []
        for match in self._find("STUDY", _keys(_STUDY_KEYS, _matching(query)), _MOST_STUDIES):
            try:
                study = _study(match)
            except InvalidInstance:
                log.warning("study left out", outcome="unreadable")
                continue
            if _is_meant(study, query):
                found.append(study)
        return sorted(found, key=lambda study: (study.study_date or date.min, study.study_time), reverse=True)

    def series(self, study_instance_uid: str) -> Sequence[RemoteSeries]:
        """The series of a study; () where the PACS does not know it."""
        wanted = {"StudyInstanceUID": checked_uid(study_instance_uid)}
        matches = self._find("SERIES", _keys(_SERIES_KEYS, wanted), _MOST_SERIES)
        return _unique(matches, lambda match: _series(match, study_instance_uid))

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> Sequence[RemoteInstance]:
        """The instances of a series; () where the PACS does not know it."""
        wanted = {
            "StudyInstanceUID": checked_uid(study_instance_uid),
            "SeriesInstanceUID": checked_uid(series_instance_uid),
        }
        matches = self._find("IMAGE", _keys(_INSTANCE_KEYS, wanted), _MOST_INSTANCES)
        return _unique(matches, lambda match: _instance(match, study_instance_uid, series_instance_uid))

    def _find(self, level: str, identifier: Dataset, most: int) -> list[Dataset]:
        identifier.QueryRetrieveLevel = level
        proposals = [Proposal(STUDY_ROOT_FIND, IDENTIFIER_SYNTAXES)]
        with associated(self._node, proposals, timeout_s=self._timeout_s) as association:
            context = offered(association, STUDY_ROOT_FIND, "C-FIND")
            request = dimse.request(dimse.C_FIND, STUDY_ROOT_FIND, association.next_message_id(), data=True)
            association.send(context.id, request, encoded_identifier(identifier, context))
            matches: list[Dataset] = []
            for answer in _pending(association, time.monotonic() + _PATIENCE * self._timeout_s):
                if len(matches) == most:
                    _cancel(association, context, int(request[dimse.MESSAGE_ID]))
                    raise PeerRefused(f"want at most {most} matches of a C-FIND")
                matches.append(_match(answer, context))
            return matches


def _pending(association: Association, deadline: float) -> Iterator[Message]:
    """The matches, until the final response; raise what that says."""
    while time.monotonic() < deadline:
        answer = association.receive()
        if answer.number(dimse.COMMAND_FIELD) != dimse.C_FIND | dimse.RESPONSE:
            raise PeerFailed("want C-FIND answered with C-FIND responses")
        status = answer.number(dimse.STATUS)
        if status not in dimse.PENDING:
            require_done(status, "C-FIND")
            return
        yield answer
    raise Unavailable("want a C-FIND that ends within its time")


def _cancel(association: Association, context: Context, message_id: int) -> None:
    """C-CANCEL, and the rest of the answer for a moment: a peer that does not stop is aborted by our leaving."""
    association.send(context.id, dimse.cancel(message_id))
    deadline = time.monotonic() + _CANCEL_TIMEOUT_S
    while time.monotonic() < deadline and association.is_readable(deadline - time.monotonic()):
        if association.receive().number(dimse.STATUS) not in dimse.PENDING:
            return


def _match(answer: Message, context: Context) -> Dataset:
    wanted = {_CHARACTER_SET, *map(tag_for_keyword, (*_STUDY_KEYS, *_SERIES_KEYS, *_INSTANCE_KEYS))}
    data = bytes(answer.data)
    try:
        if answer.is_too_long:
            raise InvalidInstance("want shorter identifiers")
        found = scan(data, context.syntax, {tag for tag in wanted if tag is not None}, digest=False)
        return parse(data, context.syntax, found)
    except InvalidInstance as error:
        raise PeerFailed("want matches of a C-FIND that can be read") from error


def _keys(keys: Sequence[str], matching: dict[str, str]) -> Dataset:
    """An identifier: what is matched has its value, what is only asked for is empty."""
    identifier = Dataset()
    if any(not value.isascii() for value in matching.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword in keys:
        setattr(identifier, keyword, matching.get(keyword, ""))
    return identifier


def _matching(query: StudyQuery) -> dict[str, str]:
    wanted = {
        "PatientID": _value(query.patient_id),
        "IssuerOfPatientID": _value(query.issuer_of_patient_id),
        "AccessionNumber": _value(query.accession_number),
        "ModalitiesInStudy": _value(query.modality),
    }
    if query.study_instance_uid:
        wanted["StudyInstanceUID"] = checked_uid(query.study_instance_uid)
    if not any(wanted.values()):
        raise InvalidInput("want a study, a patient or an accession number to ask for")
    if query.before is not None:
        wanted["StudyDate"] = f"-{query.before - timedelta(days=1):%Y%m%d}"
    return {keyword: value for keyword, value in wanted.items() if value}


def _value(text: str) -> str:
    """A value that matches itself alone (PS3.4 section C.2.2.2.1)."""
    clean = text.strip()
    if len(clean) > _LONGEST_VALUE or not clean.isprintable() or _NOT_IN_A_VALUE & set(clean):
        raise InvalidInput(f"want values of at most {_LONGEST_VALUE} characters without wild cards or backslash")
    return clean


def _is_meant(study: RemoteStudy, query: StudyQuery) -> bool:
    """True where the match says itself what was asked for: keys may be ignored, and a study be somebody else's."""
    asked = (
        (query.study_instance_uid, study.study_instance_uid),
        (query.patient_id.strip(), study.patient_id),
        (query.accession_number.strip(), study.accession_number),
    )
    if any(wanted and wanted != has for wanted, has in asked):
        return False
    issuer = query.issuer_of_patient_id.strip()
    if issuer and study.issuer_of_patient_id and issuer != study.issuer_of_patient_id:
        return False
    if query.modality and study.modalities and query.modality not in study.modalities:
        return False
    return query.before is None or (study.study_date is not None and study.study_date < query.before)


def _study(match: Dataset) -> RemoteStudy:
    return RemoteStudy(
        study_instance_uid=_uid(match, "StudyInstanceUID"),
        patient_id=_text(match, "PatientID"),
        issuer_of_patient_id=_text(match, "IssuerOfPatientID"),
        accession_number=_text(match, "AccessionNumber"),
        study_date=_day(match, "StudyDate"),
        study_time=_text(match, "StudyTime"),
        description=_text(match, "StudyDescription"),
        modalities=tuple(part for part in _text(match, "ModalitiesInStudy").split("\\") if part),
        series=_count(match, "NumberOfStudyRelatedSeries"),
        instances=_count(match, "NumberOfStudyRelatedInstances"),
    )


def _series(match: Dataset, study_instance_uid: str) -> RemoteSeries | None:
    if not _is_below(match, "StudyInstanceUID", study_instance_uid):
        return None
    return RemoteSeries(
        study_instance_uid=study_instance_uid,
        series_instance_uid=_uid(match, "SeriesInstanceUID"),
        modality=_text(match, "Modality"),
        body_part=_text(match, "BodyPartExamined"),
        description=_text(match, "SeriesDescription"),
        number=_number(match, "SeriesNumber"),
        instances=_count(match, "NumberOfSeriesRelatedInstances"),
    )


def _instance(match: Dataset, study_instance_uid: str, series_instance_uid: str) -> RemoteInstance | None:
    above = (("StudyInstanceUID", study_instance_uid), ("SeriesInstanceUID", series_instance_uid))
    if not all(_is_below(match, keyword, uid) for keyword, uid in above):
        return None
    sop_class = _uid(match, "SOPClassUID") if _text(match, "SOPClassUID") else ""
    return RemoteInstance(study_instance_uid, series_instance_uid, _uid(match, "SOPInstanceUID"), sop_class)


def _unique(matches: Sequence[Dataset], read: Callable[[Dataset], T | None]) -> list[T]:
    """Each once, in the order of the answer. One that cannot be read is not left out: the count would look right."""
    try:
        return list(dict.fromkeys(found for found in map(read, matches) if found is not None))
    except InvalidInstance as error:
        raise PeerRefused("want matches of a C-FIND with UIDs of PS3.5 section 9.1") from error


def _is_below(match: Dataset, keyword: str, uid: str) -> bool:
    """A match of another study or series was not asked for; a PACS that leaves the UID out means the one asked for."""
    return _text(match, keyword) in ("", uid)


def _uid(match: Dataset, keyword: str) -> str:
    uid = _text(match, keyword)
    check_uid(uid)
    return uid


def _text(match: Dataset, keyword: str) -> str:
    """Decoded by its Specific Character Set, without what would travel into logs and pages."""
    try:
        value = match.get(keyword)
        several = [value] if value is None or isinstance(value, str) or not hasattr(value, "__iter__") else value
        text = "\\".join("" if one is None else str(one) for one in several)
    except UNREADABLE:
        return ""
    return "".join(one if one.isprintable() else " " for one in text[:_LONGEST_TEXT]).strip()


def _day(match: Dataset, keyword: str) -> date | None:
    """VR DA, and its form before 1993, 1999.12.31."""
    try:
        return datetime.strptime(_text(match, keyword).replace(".", "").replace("-", ""), "%Y%m%d").date()
    except ValueError:
        return None


def _number(match: Dataset, keyword: str) -> int | None:
    try:
        return int(_text(match, keyword))
    except ValueError:
        return None


def _count(match: Dataset, keyword: str) -> int | None:
    number = _number(match, keyword)
    return number if number is not None and number >= 0 else None

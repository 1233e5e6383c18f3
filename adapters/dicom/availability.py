"""Instance Availability Notification (PS3.4 annex R): a PACS says which images of a study can be fetched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset

from adapters.dicom.header import UNREADABLE, check_uid
from adapters.dicom.scan import parse, scan
from cds.domain.event import StudyEvent, StudyEventKind
from cds.errors import InvalidInstance, OutOfResources

_STUDY, _SERIES = 0x0020000D, 0x00081115
#: A notice of 20,000 instances needs some 5 MB.
LARGEST_NOTICE = 16 * 1024 * 1024
#: Instance Availability (0008,0056): OFFLINE has to be asked for by a person, UNAVAILABLE is not there.
_FETCHABLE = frozenset({"ONLINE", "NEARLINE"})
_AVAILABILITY = _FETCHABLE | {"OFFLINE", "UNAVAILABLE"}


class InvalidAttribute(InvalidInstance):
    """PS3.7 annex C.5.9: invalid attribute value."""

    dimse_status = 0x0106


class MissingAttribute(InvalidInstance):
    """PS3.7 annex C.5.16: missing attribute."""

    dimse_status = 0x0120


class MissingValue(InvalidInstance):
    """PS3.7 annex C.5.17: missing attribute value."""

    dimse_status = 0x0121


def read_availability(encoded: bytes, syntax: str, *, source: str) -> StudyEvent | None:
    """The announcement in an attribute list (PS3.4 table R.3.2-1); None where nothing of it can be fetched yet.

    Raise InvalidInstance with the status of PS3.7, OutOfResources where the list is too long.
    """
    dataset = read_notice(encoded, syntax, (_STUDY, _SERIES))
    try:
        study = _uid(dataset, "StudyInstanceUID")
        series = tuple(_series(item) for item in _items(dataset, "ReferencedSeriesSequence"))
    except UNREADABLE as error:
        raise InvalidAttribute("want an attribute list whose values can be read") from error
    available = tuple((uid, count) for uid, count in series if count)
    if not available:
        return None
    return StudyEvent(StudyEventKind.IMAGES_AVAILABLE, source, study_instance_uid=study, series=available)


def read_notice(encoded: bytes, syntax: str, wanted: Iterable[int]) -> Dataset:
    """The wanted elements of a short data set of DIMSE-N; raise InvalidAttribute where it cannot be followed."""
    if len(encoded) > LARGEST_NOTICE:
        raise OutOfResources(f"want at most {LARGEST_NOTICE} bytes of attributes")
    try:
        return parse(encoded, syntax, scan(encoded, syntax, frozenset(wanted), digest=False))
    except InvalidInstance as error:
        raise InvalidAttribute(str(error)) from error


def _series(item: Dataset) -> tuple[str, int]:
    """Its UID, and how many of its instances can be fetched."""
    uid = _uid(item, "SeriesInstanceUID")
    available = set()
    for instance in _items(item, "ReferencedSOPSequence"):
        availability = str(_value(instance, "InstanceAvailability")).strip()
        if availability not in _AVAILABILITY:
            raise InvalidAttribute("want an Instance Availability of PS3.3 section C.4.23.1.1")
        if availability in _FETCHABLE:
            available.add(_uid(instance, "ReferencedSOPInstanceUID"))
    return uid, len(available)


def _items(dataset: Dataset, keyword: str) -> Iterable[Dataset]:
    items: Iterable[Dataset] = _value(dataset, keyword)
    return items


def _value(dataset: Dataset, keyword: str) -> Any:
    """A value of type 1; the texts name the attribute, never its value."""
    if keyword not in dataset:
        raise MissingAttribute(f"want {keyword}")
    value = dataset.get(keyword)
    if value is None or not len(value):
        raise MissingValue(f"want a value of {keyword}")
    return value


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = str(_value(dataset, keyword)).strip(" \0")
    try:
        check_uid(uid)
    except InvalidInstance as error:
        raise InvalidAttribute(str(error)) from error
    return uid

"""What identifies an instance, read from its data set: hostile or sloppy values become flags, never exceptions."""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any, TypeVar

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import UID

from adapters.dicom.quiet import quiet
from adapters.dicom.terms import VIEWS, contrast
from cds.domain.identity import HumanName, Sex
from cds.domain.imaging import InstanceHeader
from cds.errors import InvalidInstance

T = TypeVar("T")

#: The elements that `read_header` looks at; an instance's scan needs to find no others.
HEADER_TAGS = frozenset(
    {
        0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080020, 0x00080030, 0x00080050, 0x00080051, 0x00080060,
        0x00080070, 0x00080080, 0x00081030, 0x0008103E, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040,
        0x00101010, 0x00180010, 0x00180012, 0x00180015, 0x00180050, 0x00181030, 0x00181210, 0x00185101, 0x0020000D,
        0x0020000E, 0x00200011, 0x00200012, 0x00200013, 0x00200032, 0x00200037, 0x00200060, 0x00200062, 0x00280008,
        0x00540220, 0x52009229, 0x52009230,
    }
)  # fmt: skip

_UID_CHARACTERS = re.compile(r"[0-9.]{1,64}")
_LEADING_ZERO = re.compile(r"(?:^|\.)0[0-9]")
_LONGEST_TEXT = 1024
_OWN = frozenset({0x00080018, 0x00200013, 0x00200032})
_MOST_FRAMES = 2**31 - 1
#: Outside of these a date is a way to say "none" (00010101, 99991231), and no zone or interval can be reckoned with it.
_EARLIEST, _LATEST = date(1800, 1, 1), date(2199, 12, 31)
_SEX = {"F": Sex.FEMALE, "M": Sex.MALE, "O": Sex.OTHER, "": Sex.UNKNOWN}
#: What pydicom raises when a value does not fit its VR or character set; OSError is "no tag to read" in a sequence.
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError, IndexError, EOFError, OverflowError, LookupError,
              NotImplementedError, RecursionError, ArithmeticError, OSError, struct.error,
              BytesLengthException)  # fmt: skip


def check_uid(text: str) -> list[str]:
    """Flags of a UID (PS3.5 section 9.1); raise InvalidInstance for what must not be stored under any name.

    A component with a leading zero is against the standard but common and harmless: it is only flagged.
    """
    if not _UID_CHARACTERS.fullmatch(text) or text.startswith(".") or text.endswith(".") or ".." in text:
        raise InvalidInstance("want UIDs of 1 to 64 digits and single dots (PS3.5 section 9.1)")
    return ["leading zero in UID"] if _LEADING_ZERO.search(text) else []


def read_header(dataset: Dataset) -> InstanceHeader:
    """The header of a data set, whose transfer syntax is taken from its file meta information where it has one.

    Raise InvalidInstance where SOP, series or study cannot be identified; any other bad value is empty and flagged.
    """
    quiet()
    reader = _Reader(dataset)
    return _acquired(reader, _identified(reader, dataset))


def _identified(reader: _Reader, dataset: Dataset) -> InstanceHeader:
    uids = [reader.uid(k) for k in ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")]
    return InstanceHeader(
        sop_instance_uid=uids[0],
        sop_class_uid=uids[1],
        series_instance_uid=uids[2],
        study_instance_uid=uids[3],
        transfer_syntax_uid=_Reader(getattr(dataset, "file_meta", None) or Dataset()).text("TransferSyntaxUID"),
        modality=reader.text("Modality"),
        patient_id=reader.text("PatientID"),
        issuer_of_patient_id=reader.text("IssuerOfPatientID"),
        patient_name=reader.read("PatientName", _name, HumanName()),
        patient_birth_date=reader.day("PatientBirthDate"),
        patient_sex=reader.sex(),
        accession_number=reader.text("AccessionNumber"),
        issuer_of_accession_number=reader.read("IssuerOfAccessionNumberSequence", _issuer, ""),
        study_date=reader.day("StudyDate"),
        study_time=reader.text("StudyTime"),
        study_description=reader.text("StudyDescription"),
        series_description=reader.text("SeriesDescription"),
        series_number=reader.number("SeriesNumber"),
        instance_number=reader.number("InstanceNumber"),
        body_part=reader.text("BodyPartExamined"),
        image_type=reader.read("ImageType", _values, ()),
        manufacturer=reader.text("Manufacturer"),
        institution=reader.text("InstitutionName"),
    )


def _acquired(reader: _Reader, header: InstanceHeader) -> InstanceHeader:
    """With how the images were made, and the flags of all that was read."""
    return replace(
        header,
        frames=reader.read("NumberOfFrames", _count, 1),
        image_position=reader.plane("ImagePositionPatient", "PlanePositionSequence", 3),
        image_orientation=reader.plane("ImageOrientationPatient", "PlaneOrientationSequence", 6),
        acquisition_number=reader.number("AcquisitionNumber"),
        view_position=reader.text("ViewPosition") or reader.read("ViewCodeSequence", _view, ""),
        laterality=reader.text("ImageLaterality") or reader.text("Laterality"),
        protocol_name=reader.text("ProtocolName"),
        patient_age=reader.text("PatientAge"),
        kernel=reader.text("ConvolutionKernel"),
        slice_thickness_mm=reader.read("SliceThickness", _length, None),
        contrast=contrast(reader.text("ContrastBolusAgent"), reader.read("ContrastBolusAgentSequence", len, 0)),
        flags=tuple(dict.fromkeys(reader.flags)),
    )


class HeaderReader:
    """`read_header` for instances of a series that follow one another: what they share is converted once."""

    def __init__(self) -> None:
        self._last: tuple[object, InstanceHeader] | None = None

    def __call__(self, dataset: Dataset) -> InstanceHeader:
        """As `read_header`; thread-safe."""
        shared = _shared(dataset)
        last = self._last
        if shared and last is not None and last[0] == shared:
            reader = _Reader(dataset)
            return replace(
                last[1],
                sop_instance_uid=reader.uid("SOPInstanceUID"),
                instance_number=reader.number("InstanceNumber"),
                image_position=reader.plane("ImagePositionPatient", "PlanePositionSequence", 3),
                flags=tuple(dict.fromkeys(reader.flags)),
            )
        header = read_header(dataset)
        if shared and not header.flags:
            self._last = (shared, header)
        return header


def _shared(dataset: Dataset) -> tuple[object, ...]:
    """The encoded elements that the instances of a series have in common; () where they cannot be compared."""
    try:
        elements = [dataset.get_item(tag) for tag in dataset.keys() if tag not in _OWN]  # noqa: SIM118  iterating a Dataset converts its elements
    except UNREADABLE:  # an ambiguous VR is looked up at once
        return ()
    if not all(isinstance(one, RawDataElement) for one in elements):
        return ()
    syntax = dataset.file_meta.get_item(0x00020010)
    return (syntax.value, *((one.tag, one.VR, one.value) for one in elements))


class _Reader:
    """Reads elements and collects flags; a flag names the element, never its value."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.flags: list[str] = []

    def read(self, keyword: str, convert: Callable[[Any], T], default: T) -> T:
        try:
            value = self.dataset.get(keyword)
            return default if value is None or value == "" else convert(value)
        except UNREADABLE:
            self.flags.append(f"unreadable {keyword}")
            return default

    def uid(self, keyword: str) -> str:
        value = self.read(keyword, _single, "").strip(" \0")
        self.flags += check_uid(value)
        return value

    def text(self, keyword: str) -> str:
        return self.read(keyword, _text, "")

    def day(self, keyword: str) -> date | None:
        return self.read(keyword, _day, None)

    def number(self, keyword: str) -> int | None:
        return self.read(keyword, _integer, None)

    def plane(self, keyword: str, macro: str, count: int) -> tuple[float, ...]:
        """Numbers of the image plane of the first frame; of a multi-frame image they stand in a functional group."""
        found: tuple[float, ...] = ()
        if keyword in self.dataset:
            return self.read(keyword, lambda value: _numbers(value, count), found)
        for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
            found = found or self.read(groups, lambda value: _of_first(value, macro, keyword, count), found)
        return found

    def sex(self) -> Sex:
        return self.read("PatientSex", lambda value: _SEX[_text(value).upper()], Sex.UNKNOWN)


def _single(value: object) -> str:
    if not isinstance(value, str | UID):
        raise ValueError("want one value")
    return str(value)


def _text(value: Any) -> str:
    """Control characters do not belong into a short text: they would travel into logs, HL7 and pages."""
    text = "\\".join(_values(value)) if not isinstance(value, str) else value
    if text.isprintable() and len(text) <= _LONGEST_TEXT:
        return text.strip()
    clean = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text[:_LONGEST_TEXT])
    return clean.strip()


def _values(value: Any) -> tuple[str, ...]:
    several = value if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
    if isinstance(value, bytes):
        raise ValueError("want text")
    return tuple(_text(str(item)) for item in several)


def _name(value: Any) -> HumanName:
    return HumanName(_text(str(value.family_name)), _text(str(value.given_name)))


def _day(value: Any) -> date | None:
    """VR DA, and its form before 1993, 1999.12.31."""
    text = _text(str(value)).replace(".", "").replace("-", "")
    if not text:
        return None
    day = datetime.strptime(text, "%Y%m%d").date()
    if not _EARLIEST <= day <= _LATEST:
        raise ValueError("want a date on which somebody may have been imaged")
    return day


def _integer(value: Any) -> int | None:
    text = _text(str(value))
    return int(text) if text else None


def _count(value: Any) -> int:
    """VR IS; a number of frames below one or above the VR's range is none."""
    number = _integer(value)
    if number is None or not 0 < number <= _MOST_FRAMES:
        raise ValueError("want a number of frames")
    return number


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    """As many finite numbers as wanted, or none where the element is empty."""
    numbers = tuple(float(item) for item in value)
    if numbers and (len(numbers) != count or not all(math.isfinite(number) for number in numbers)):
        raise ValueError(f"want {count} numbers")
    return numbers


def _of_first(groups: Any, macro: str, keyword: str, count: int) -> tuple[float, ...]:
    """Functional groups (PS3.3 C.7.6.16): first item, macro, its one item."""
    for group in _first(groups):
        for item in _first(group.get(macro)):
            return _numbers(item.get(keyword) or (), count)
    return ()


def _first(items: Any) -> Iterator[Dataset]:
    if items:
        yield items[0]


def _length(value: Any) -> float | None:
    """VR DS; a thickness that is none (0, as some makers send for scouts) is not stated."""
    number = float(value)
    return number if math.isfinite(number) and number > 0 else None


def _view(value: Any) -> str:
    """The first item as View Position names it; the meaning (0008,0104) of a code that is not known here."""
    item = value[0]
    return VIEWS.get(_text(item.get("CodeValue") or ""), "") or _text(item.get("CodeMeaning") or "")


def _issuer(value: Any) -> str:
    """HL7v2 Hierarchic Designator (PS3.3 table 10-17): the local namespace if there is one, else the universal id."""
    item = value[0] if value else Dataset()
    return _text(item.get("LocalNamespaceEntityID") or item.get("UniversalEntityID") or "")

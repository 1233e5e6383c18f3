"""A DICOM file as somebody may have it: whole, deflated, without preamble, without meta information, cut off.

The receiver takes none of the odd ones; a person who asks about a file gets an answer all the same. Every doubt is
kept in words. Runs in the pool: what is read here was written by strangers.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance
from adapters.dicom.quiet import quiet
from adapters.dicom.scan import PIXEL_DATA, Span, parse, scan
from cds.errors import InvalidInstance, Unavailable

_PREFIX_AT, _PREFIX_END = 128, 132
_META_GROUP, _IMAGE_GROUP = 0x0002, 0x0028
#: Bytes of an element's tag, VR and length, the shortest there is (PS3.5 section 7.1).
_HEADER = 8
#: (0002,0000)
_GROUP_LENGTH = b"\x02\x00\x00\x00"
#: Pixel Data of undefined length, without and with its VR.
_FRAGMENTS = b"\xe0\x7f\x10\x00\xff\xff\xff\xff"
_EXPLICIT_FRAGMENTS = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_LARGEST_META = 64 * 1024
_LONG_VRS = (b"OB", b"UN", b"OW", b"SQ", b"UT")
#: What a broken data set is looked at, from its beginning, to tell whose it is.
_LOOKED_AT = 1 << 20
#: Deflate makes at most 1032 of 1; images come to 200 where they are nearly empty. Small ones may be all background.
_MOST_RATIO, _ALWAYS = 250, 64 * 1024 * 1024
#: Groups that a data set may begin with: file set (DICOMDIR), identifying.
_FIRST_GROUPS = (0x0004, 0x0008)
#: One of them is in every data set; without a prefix nothing else tells DICOM, or ACR-NEMA by its Recognition Code.
_TELLING = ("SOPClassUID", "Modality", "StudyInstanceUID", "Rows", "RecognitionCode")
_NO_DICOM = "no DICOM file: neither a DICM prefix nor an element at its beginning"


@dataclass(slots=True)
class Opened:
    """A file that is DICOM: its instance, or why the data set cannot be followed and what its beginning says.

    `syntax` is what the file states or, where it states none, what its first element looks like.
    """

    syntax: str
    meta: Dataset
    instance: Instance | None = None
    broken: str = ""
    beginning: Dataset = field(default_factory=Dataset)
    problems: list[str] = field(default_factory=list)

    @property
    def dataset(self) -> Dataset:
        """What is known of it."""
        return self.beginning if self.instance is None else self.instance.dataset


def open_file(path: Path, wanted: Collection[int], max_bytes: int) -> Opened:
    """Read a file; raise InvalidInstance where it is no DICOM or too large, Unavailable where it cannot be read."""
    quiet()
    data = _mapped(path, max_bytes)
    opened, body = _container(data)
    encoding = opened.syntax
    try:
        if encoding == DeflatedExplicitVRLittleEndian:
            opened.problems.append("deflated: the receiver refuses it, since it may grow a thousandfold")
            body, encoding = memoryview(_inflated(body, max_bytes)), str(ExplicitVRLittleEndian)
        opened.instance = _instance(path, body, encoding, opened, wanted)
    except InvalidInstance as error:
        opened.broken = str(error)
        opened.beginning = _beginning(body, encoding)
    if not len(opened.meta) and not any(keyword in opened.dataset for keyword in _TELLING):
        raise InvalidInstance(_NO_DICOM)
    return opened


def _mapped(path: Path, max_bytes: int) -> memoryview:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:
                raise InvalidInstance("want a file that is not empty")
            if size > max_bytes + _LARGEST_META:
                raise InvalidInstance("want a DICOM file within the size limit")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise Unavailable("want a file that can be read") from error


def _container(data: memoryview) -> tuple[Opened, memoryview]:
    """Where the data set begins and how it is coded; raise InvalidInstance where it does not look like DICOM."""
    prefixed = bytes(data[_PREFIX_AT:_PREFIX_END]) == b"DICM"
    start = _PREFIX_END if prefixed else 0
    body = _meta_end(data, start)
    meta = _parsed(data[start:body])
    opened = Opened(_text(meta, "TransferSyntaxUID"), meta)
    if not prefixed:
        opened.problems.append(
            "without preamble and DICM prefix (PS3.10 section 7.1): the receiver never sees such a file"
        )
    if body == start:
        opened.problems.append("without file meta information (PS3.10 section 7.1)")
    elif bytes(data[start : start + 4]) != _GROUP_LENGTH:
        opened.problems.append("the file meta information does not begin with its length")
    if not opened.syntax:
        opened.syntax = _guessed(data[body:], known=body > start)
        if body > start:
            opened.problems.append("the file meta information names no transfer syntax")
        opened.problems.append("the transfer syntax is guessed from the first element")
    return opened, data[body:]


def _meta_end(data: memoryview, at: int) -> int:
    """The end of group 0002, element by element; its group length is not believed."""
    while len(data) - at >= _HEADER and int.from_bytes(data[at : at + 2], "little") == _META_GROUP:
        vr = bytes(data[at + 4 : at + 6])
        long = vr in _LONG_VRS
        length = int.from_bytes(data[at + 8 : at + 12] if long else data[at + 6 : at + 8], "little")
        end = at + (12 if long else 8) + length
        if not vr.isalpha() or end > min(len(data), _LARGEST_META):
            break
        at = end
    return at


def _guessed(body: memoryview, *, known: bool) -> str:
    """By the first element: letters where a VR would stand, and the byte order of its group.

    Behind file meta information (`known`) any group will do; otherwise one that a data set begins with.
    """
    little, big = (int.from_bytes(body[:2], order) for order in ("little", "big"))
    vr = bytes(body[4:6])
    explicit = vr.isalpha() and vr.isupper()
    if explicit and big in _FIRST_GROUPS and little not in _FIRST_GROUPS:
        return str(ExplicitVRBigEndian)
    if (little in _FIRST_GROUPS and len(body) > _HEADER) or known:
        return str(ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian)
    raise InvalidInstance(_NO_DICOM)


def _inflated(body: memoryview, max_bytes: int) -> bytes:
    """PS3.5 annex A.5: raw deflate. The bound holds before memory is taken."""
    most = min(max_bytes, max(_ALWAYS, _MOST_RATIO * len(body)))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = inflater.decompress(body, most)
    except zlib.error as error:
        raise InvalidInstance("want a deflated data set that can be inflated") from error
    if inflater.unconsumed_tail or not inflater.eof:
        bomb = bool(inflater.unconsumed_tail)
        raise InvalidInstance("want a deflated data set that stays within the limit" if bomb else
                              "want a whole data set: it ends inside its deflated bytes")  # fmt: skip
    return found


def _instance(path: Path, body: memoryview, syntax: str, opened: Opened, wanted: Collection[int]) -> Instance:
    tags = {*wanted, PIXEL_DATA}
    if syntax not in (ImplicitVRLittleEndian, ExplicitVRBigEndian) and _looks_implicit(body):
        opened.problems.append(
            "a data set in implicit VR, though its transfer syntax says explicit: the receiver refuses it"
        )
        body, dataset, pixels = _without_vrs(body, tags)
    else:
        found = scan(body, syntax, tags, digest=False)
        dataset, pixels = parse(body, syntax, found), found.spans.get(PIXEL_DATA)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(_text(opened.meta, "MediaStorageSOPInstanceUID"))
    dataset.file_meta.MediaStorageSOPClassUID = UID(_text(opened.meta, "MediaStorageSOPClassUID"))
    vr = "" if pixels is None or syntax == ImplicitVRLittleEndian else _vr(body[pixels.start + 4 : pixels.start + 6])
    return Instance(path, syntax, dataset, body[pixels.value : pixels.end] if pixels else None, pixel_vr=vr)


def _looks_implicit(body: memoryview) -> bool:
    """PS3.5 section A.4 wants explicit VR around compressed pixels; some writers forget."""
    return len(body) >= _HEADER and bytes(body[:2]) in (b"\x08\x00", b"\x02\x00") and not bytes(body[4:6]).isalpha()


def _without_vrs(body: memoryview, tags: Collection[int]) -> tuple[memoryview, Dataset, Span | None]:
    """The elements before the pixels in implicit VR, and the pixels' fragments as if they had their VR."""
    at = bytes(body).find(_FRAGMENTS)
    head = body[:at] if at >= 0 else body
    dataset = parse(head, ImplicitVRLittleEndian, scan(head, ImplicitVRLittleEndian, tags, digest=False))
    if at < 0:
        return body, dataset, None
    tail = memoryview(_EXPLICIT_FRAGMENTS + bytes(body[at + len(_FRAGMENTS) :]))
    return tail, dataset, scan(tail, ExplicitVRLittleEndian, {PIXEL_DATA}, digest=False).spans.get(PIXEL_DATA)


def _vr(two: memoryview) -> str:
    return bytes(two).decode("ascii", "replace")


def _beginning(body: memoryview, syntax: str) -> Dataset:
    """What pydicom makes of the first bytes of a data set that is broken somewhere: whose it is, if it says so."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return Dataset()
    try:
        return read_dataset(
            BytesIO(bytes(body[:_LOOKED_AT])),
            syntax == ImplicitVRLittleEndian,
            syntax != ExplicitVRBigEndian,
            stop_when=lambda tag, _vr, _length: tag.group > _IMAGE_GROUP,
        )
    except (*UNREADABLE, OSError):
        return Dataset()


def _parsed(data: memoryview) -> Dataset:
    try:
        return read_dataset(BytesIO(bytes(data)), is_implicit_VR=False, is_little_endian=True)
    except (*UNREADABLE, OSError):
        return Dataset()


def _text(meta: Dataset, keyword: str) -> str:
    try:
        return str(meta.get(keyword, "") or "").strip(" \0")
    except UNREADABLE:
        return ""

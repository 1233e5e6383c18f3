"""An instance as it lies on disk: its parsed elements, and its pixel data untouched until a frame is decoded."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from adapters.dicom.header import UNREADABLE
from adapters.dicom.quiet import quiet
from adapters.dicom.scan import PIXEL_DATA, Span, parse, scan
from cds.errors import InvalidInstance, Unavailable

_PREFIX_END = 132
_META_HEADER = struct.Struct("<HH2sH")
_LONG_META_VRS = (b"OB", b"UN")
_META_GROUP = 0x0002
_LARGEST_META = 64 * 1024


@dataclass(frozen=True, slots=True)
class Instance:
    """`dataset` has the wanted elements and the file meta information; `pixels` is the value of Pixel Data.

    The digests are those of `scan`, empty where nobody asked for them. `pixel_vr` is the VR of Pixel Data, which in
    big endian says whether bytes are swapped; "" in implicit VR. `pixels_at` is where that value begins in the file.
    """

    path: Path
    syntax: str
    dataset: Dataset
    pixels: memoryview | None
    sha256: str = ""
    pixels_sha256: str = ""
    pixel_vr: str = ""
    pixels_at: int = 0


def read_instance(path: Path, wanted: Collection[int], *, max_bytes: int, digest: bool = False) -> Instance:
    """Map a DICOM file (PS3.10), parse the wanted elements and, where asked, make the digests.

    Raise InvalidInstance where it is no such file, cut off or above `max_bytes`; Unavailable where it cannot be read.
    """
    quiet()
    data = _mapped(path, max_bytes)
    meta, start = file_meta(data)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if not syntax:
        raise InvalidInstance("want a file that names its transfer syntax")
    body = data[start:]
    found = scan(body, syntax, {*wanted, PIXEL_DATA}, digest=digest)
    dataset = parse(body, syntax, found)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta.MediaStorageSOPInstanceUID = meta.get("MediaStorageSOPInstanceUID", "")
    dataset.file_meta.MediaStorageSOPClassUID = meta.get("MediaStorageSOPClassUID", "")
    pixels = found.spans.get(PIXEL_DATA)
    value = body[pixels.value : pixels.end] if pixels else None
    at = start + pixels.value if pixels else 0
    return Instance(path, syntax, dataset, value, found.sha256, found.pixels_sha256, _vr(body, pixels, syntax), at)


def _vr(body: memoryview, pixels: Span | None, syntax: str) -> str:
    if pixels is None or syntax == ImplicitVRLittleEndian:
        return ""
    return bytes(body[pixels.start + 4 : pixels.start + 6]).decode("ascii", "replace")


def _mapped(path: Path, max_bytes: int) -> memoryview:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if not _PREFIX_END < size <= max_bytes + _LARGEST_META:
                raise InvalidInstance("want a DICOM file within the size limit")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise Unavailable("want the images on a disk that can be read") from error


def file_meta(data: memoryview) -> tuple[Dataset, int]:
    """The file meta information and where the data set begins; raise InvalidInstance where there is none.

    Group 0002 is explicit VR little endian, whatever follows; its group length is not believed.
    """
    if bytes(data[128:_PREFIX_END]) != b"DICM":
        raise InvalidInstance("want a file with the DICM prefix (PS3.10 section 7.1)")
    at = _PREFIX_END
    while (end := _meta_element_end(data, at)) > at:
        at = end
    return _parsed_meta(data[_PREFIX_END:at]), at


def _meta_element_end(data: memoryview, at: int) -> int:
    if len(data) - at < _META_HEADER.size:
        return at
    group, _element, vr, length = _META_HEADER.unpack_from(data, at)
    if group != _META_GROUP or at > _LARGEST_META:
        return at
    value = at + _META_HEADER.size
    if vr in _LONG_META_VRS:
        length, value = int.from_bytes(data[value : value + 4], "little"), value + 4
    if value + length > len(data):
        raise InvalidInstance("want a whole file: it ends inside its meta information")
    return int(value + length)


def _parsed_meta(data: memoryview) -> Dataset:
    try:
        meta = read_dataset(BytesIO(data), is_implicit_VR=False, is_little_endian=True)
        for keyword in ("TransferSyntaxUID", "MediaStorageSOPInstanceUID", "MediaStorageSOPClassUID"):
            meta.get(keyword)  # decoded here, where a bad value has its answer
    except (*UNREADABLE, OSError, struct.error, BytesLengthException) as error:
        raise InvalidInstance("want readable file meta information") from error
    return meta

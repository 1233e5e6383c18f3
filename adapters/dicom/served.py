"""Stored instances as WADO-RS hands them out (PS3.18 section 10.4). Runs in the decoding processes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from adapters.dicom.codecs import BROKEN, encapsulated_frame, undecodable
from adapters.dicom.colour import rgb_values
from adapters.dicom.decode import stored_values
from adapters.dicom.encodings import UNCOMPRESSED
from adapters.dicom.frames import require_size
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.rendering_headers import RENDERING_TAGS
from adapters.dicom.scan import PIXEL_DATA
from adapters.dicom.values import integer
from cds.errors import InvalidInstance, NotEvaluable, NotFound

Json = dict[str, Any]

#: Values of these kinds are bulk data where they are longer than `_INLINE` bytes (PS3.18 section 8.7.3).
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "UT"})
_INLINE = 1024
_LITTLE = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})
_UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
_BIT, _BYTE = 1, 8
_UNREADABLE = (*BROKEN, InvalidDicomError)
_PIXELS = f"{PIXEL_DATA:08X}"
_TAG = Tag(PIXEL_DATA)
_SWAPPED = frozenset({"OD", "OF", "OL", "OV", "OW"})


class FrameBytes(NamedTuple):
    """A frame as its transfer syntax has it."""

    body: bytes
    syntax: str


def metadata(paths: tuple[Path, ...], addresses: tuple[str, ...]) -> list[Json | None]:
    """Data sets in DICOM JSON (PS3.18 annex F), bulk data by address below that of the instance; None: unreadable."""
    return [_metadata(path, address) for path, address in zip(paths, addresses, strict=True)]


def _metadata(path: Path, address: str) -> Json | None:
    try:
        return _attributes(pydicom.dcmread(path, stop_before_pixels=True), address)
    except _UNREADABLE:
        return None


def _attributes(dataset: Dataset, address: str) -> Json:
    bulk: list[tuple[tuple[str | int, ...], str]] = []
    _part(dataset, (), bulk)
    found: Json = dataset.to_json_dict(bulk_data_threshold=2 * _INLINE, suppress_invalid_tags=True)
    for at, vr in bulk:
        _item(found, at)[str(at[-1])] = {"vr": vr, "BulkDataURI": f"{address}/bulkdata/{'/'.join(map(str, at))}"}
    if "BitsAllocated" in dataset:
        vr = "OW" if integer(dataset, "BitsAllocated", _BYTE) > _BYTE else "OB"
        found[_PIXELS] = {"vr": vr, "BulkDataURI": f"{address}/bulkdata/{_PIXELS}"}
    found["00080005"] = _UTF_8
    found["00083002"] = {"vr": "UI", "Value": [str(dataset.file_meta.TransferSyntaxUID)]}
    return dict(sorted(found.items()))


def _part(dataset: Dataset, at: tuple[str | int, ...], bulk: list[tuple[tuple[str | int, ...], str]]) -> None:
    """Take bulk data out, and remember where it was."""
    for element in list(dataset):
        here = (*at, f"{int(element.tag):08X}")
        if element.VR == "SQ":
            for number, item in enumerate(element.value or ()):
                _part(item, (*here, number), bulk)
        elif element.VR in _BULK and len(element.value or b"") > _INLINE:
            bulk.append((here, element.VR))
            del dataset[element.tag]


def _item(found: Json, at: tuple[str | int, ...]) -> Json:
    """The item of DICOM JSON that an element lies in."""
    item = found
    for tag, number in zip(at[:-1:2], at[1::2], strict=True):
        item = item[str(tag)]["Value"][int(number)]
    return item


def bulk(path: Path, at: str, max_bytes: int) -> bytes:
    """The value at a path of tags and item numbers, pixel data decoded; raise NotFound where there is none."""
    if at.upper() == _PIXELS:
        instance = _instance(path, max_bytes)
        count = max(integer(instance.dataset, "NumberOfFrames", 1), 1)
        return b"".join(one.body for one in frames(path, tuple(range(count)), False, max_bytes))
    try:
        found: Any = pydicom.dcmread(path, stop_before_pixels=True)
        *items, tag = at.split("/")
        for sequence, number in zip(items[::2], items[1::2], strict=True):
            found = found[int(sequence, 16)].value[int(number)]
        value = found[int(tag, 16)].value
    except _UNREADABLE:
        raise NotFound("The image has no such value.") from None
    return value.encode() if isinstance(value, str) else bytes(value)


def plain(path: Path, max_bytes: int) -> bytes:
    """The whole instance in explicit VR little endian, uncompressed, under the same UID: no pixel of it changes.

    Colour that was compressed becomes RGB by pixel. Raise NotEvaluable where it cannot be decoded.
    """
    instance = _instance(path, max_bytes)
    require_size(instance.dataset, max_bytes)
    try:
        dataset = pydicom.dcmread(path)
        if instance.syntax not in _LITTLE and "PixelData" in dataset:
            _uncompress(dataset, path, max_bytes)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        written = io.BytesIO()
        pydicom.dcmwrite(written, dataset, implicit_vr=False, little_endian=True, force_encoding=True)
    except (*_UNREADABLE, MemoryError) as error:
        raise undecodable("it cannot be written uncompressed") from error
    return written.getvalue()


def _uncompress(dataset: Dataset, path: Path, max_bytes: int) -> None:
    """Pixel data as `frames` gives it. Of big endian, other numbers in bytes would stay as they are: refused."""
    if not dataset.original_encoding[1] and any(element.VR in _SWAPPED for element in dataset if element.tag != _TAG):
        raise undecodable("it has numbers in big endian beside its pixels")
    count = max(integer(dataset, "NumberOfFrames", 1), 1)
    pixels = b"".join(one.body for one in frames(path, tuple(range(count)), False, max_bytes))
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        dataset.pop(keyword, None)
    if integer(dataset, "SamplesPerPixel", 1) > 1:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.HighBit = integer(dataset, "BitsStored", _BYTE) - 1
    vr = "OB" if integer(dataset, "BitsAllocated", _BYTE) <= _BYTE else "OW"
    dataset.add_new(_TAG, vr, pixels + bytes(len(pixels) % 2))


def frames(path: Path, indices: tuple[int, ...], as_stored: bool, max_bytes: int) -> list[FrameBytes]:
    """Frames (from 0) as they are stored, or decoded: little endian, colour as RGB by pixel.

    Raise NotFound where there is no such frame, NotEvaluable where it cannot be decoded.
    """
    instance = _instance(path, max_bytes)
    require_size(instance.dataset, max_bytes)
    count = max(integer(instance.dataset, "NumberOfFrames", 1), 1)
    if instance.pixels is None or any(not 0 <= index < count for index in indices):
        raise NotFound("The image has no such frame.")
    read = _way(instance, as_stored=as_stored)
    try:
        return [FrameBytes(*read(instance, index)) for index in indices]
    except (*BROKEN, MemoryError) as error:
        raise undecodable("it is cut off or broken") from error


def _way(instance: Instance, *, as_stored: bool) -> Callable[[Instance, int], tuple[bytes, str]]:
    if instance.syntax in _LITTLE:
        return _native
    return _encapsulated if as_stored and instance.syntax not in UNCOMPRESSED else _decoded


def _encapsulated(instance: Instance, index: int) -> tuple[bytes, str]:
    return encapsulated_frame(instance, index), instance.syntax


def _native(instance: Instance, index: int) -> tuple[bytes, str]:
    """Bytes as they lie there; frames of single bits need not begin at a byte, so they are packed anew."""
    header = instance.dataset
    if integer(header, "BitsAllocated", _BYTE) == _BIT:
        return _decoded(instance, index)
    samples = integer(header, "SamplesPerPixel", 1)
    size = integer(header, "Rows", 0) * integer(header, "Columns", 0) * samples * int(header.BitsAllocated) // _BYTE
    if samples > 1 and header.get("PhotometricInterpretation") == "YBR_FULL_422":
        size = size // 3 * 2
    pixels = instance.pixels
    if pixels is None or size < 1 or len(pixels) < (index + 1) * size:
        raise undecodable("it is cut off or broken")
    return bytes(pixels[index * size : (index + 1) * size]), ExplicitVRLittleEndian


def _decoded(instance: Instance, index: int) -> tuple[bytes, str]:
    colour = integer(instance.dataset, "SamplesPerPixel", 1) > 1
    values = rgb_values(instance, index) if colour else stored_values(instance, index)
    if integer(instance.dataset, "BitsAllocated", _BYTE) == _BIT:
        return np.packbits(values, bitorder="little").tobytes(), ExplicitVRLittleEndian
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.tobytes(), ExplicitVRLittleEndian


def _instance(path: Path, max_bytes: int) -> Instance:
    try:
        return read_instance(path, RENDERING_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"its file cannot be read: {error}", gate="decode") from error


#: Transfer syntaxes whose frames are handed out decoded.
PLAIN = frozenset({*_LITTLE, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian})

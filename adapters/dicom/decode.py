"""Stored values of one frame, and Hounsfield units made of them. Native codecs are behind pydicom's plug-ins."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adapters.dicom.codestream import declared_size, is_whole
from adapters.dicom.frames import Frame
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance
from adapters.dicom.scan import PIXEL_DATA
from adapters.dicom.syntaxes import UNCOMPRESSED, name_of
from cds.errors import NotEvaluable

Pixels = npt.NDArray[Any]

#: What pydicom and its plug-ins raise for broken pixel data.
_BROKEN = (*UNREADABLE, RuntimeError, MemoryError, OSError, struct.error)
_PLAIN = frozenset({ImplicitVRLittleEndian, ExplicitVRLittleEndian})
_BYTE = 8
_ALLOCATED = (_BYTE, 16, 32)
_INT16 = np.iinfo(np.int16)


def stored_values(instance: Instance, index: int) -> Pixels:
    """Frame `index` (from 0) as integers (rows, columns), sign and unused bits put right.

    Raise NotEvaluable (gate "decode") where the pixel data is cut off, broken or in a syntax that nothing here decodes.
    """
    header = instance.dataset
    try:
        allocated, stored = int(header.BitsAllocated), int(header.BitsStored)
        high, signed = int(header.get("HighBit", stored - 1)), int(header.PixelRepresentation) == 1
        if allocated not in _ALLOCATED or not 0 < stored <= allocated or not stored - 1 <= high < allocated:
            raise _undecodable("its pixels are described in a way that contradicts itself")
        plain = instance.syntax in _PLAIN and allocated > _BYTE
        raw = _plain(instance, index, allocated // _BYTE) if plain else _decoded(instance, index)
    except _BROKEN as error:
        raise _undecodable("it is cut off or broken") from error
    if raw.shape != (int(header.Rows), int(header.Columns)):
        raise _undecodable("it has another size than its header says")
    shifts = allocated - 1 - high if instance.syntax in UNCOMPRESSED else allocated - stored, allocated - stored
    return _aligned(raw, allocated, signed=signed, left=shifts[0], right=shifts[1])


def hounsfield(stored: Pixels, frame: Frame, header: Dataset) -> Pixels:
    """slope · stored + intercept (PS3.3 C.11.1.1.2); int16 where exact, else float32. Padding becomes the minimum.

    Padding (PS3.3 C.7.5.1.1.2) is no measurement: those pixels get the smallest value of the frame's other pixels.
    """
    slope, intercept = frame.slope, frame.intercept
    if slope is None or intercept is None:
        slope, intercept = 1.0, 0.0
    padding = _padding(stored, header)
    if padding is not None and not padding.all():
        stored = np.where(padding, stored[~padding].min() if slope > 0 else stored[~padding].max(), stored)
    return _rescaled(stored, slope, intercept)


def _rescaled(stored: Pixels, slope: float, intercept: float) -> Pixels:
    whole = float(slope).is_integer() and float(intercept).is_integer()
    lowest, highest = sorted((float(stored.min()) * slope + intercept, float(stored.max()) * slope + intercept))
    fits = lowest >= _INT16.min and highest <= _INT16.max
    if whole and fits and max(abs(slope), abs(intercept)) < 2**15:
        return (stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)).astype(np.int16)
    exact = stored.astype(np.float64) * slope + intercept
    if fits and bool((exact == np.rint(exact)).all()):
        return exact.astype(np.int16)
    return exact.astype(np.float32)


def _padding(stored: Pixels, header: Dataset) -> npt.NDArray[np.bool_] | None:
    first, last = (_pixel(header, keyword, stored.dtype) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    if first is None:
        return None
    low, high = sorted((first, first if last is None else last))
    padding = np.asarray((stored >= low) & (stored <= high), dtype=np.bool_)
    return padding if padding.any() else None


def _pixel(header: Dataset, keyword: str, dtype: np.dtype[Any]) -> int | None:
    """US or SS: which one depends on Pixel Representation, and some writers get it wrong; the bits are meant."""
    value = header.get(keyword)
    if isinstance(value, bytes) and len(value) == 2:  # noqa: PLR2004  bytes of a short
        value = int.from_bytes(value, "little")
    if not isinstance(value, int):
        return None
    bits = dtype.itemsize * 8
    value &= (1 << bits) - 1
    return value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value


def _plain(instance: Instance, index: int, size: int) -> Pixels:
    rows, columns = int(instance.dataset.Rows), int(instance.dataset.Columns)
    count = rows * columns
    if instance.pixels is None or len(instance.pixels) < (index + 1) * count * size:
        raise _undecodable("it is cut off or broken")
    flat = np.frombuffer(instance.pixels, dtype=f"<u{size}", count=count, offset=index * count * size)
    return flat.reshape(rows, columns)


def _decoded(instance: Instance, index: int) -> Pixels:
    try:
        decoder = get_decoder(UID(instance.syntax))
    except NotImplementedError:
        raise _undecodable(f"there is no decoder for {name_of(instance.syntax)}") from None
    if not decoder.is_available:
        raise _undecodable(f"no decoder for {name_of(instance.syntax)} is installed")
    pixels = bytes(instance.pixels or b"")
    compressed = instance.syntax not in UNCOMPRESSED
    if compressed:
        _check_codestream(instance.dataset, pixels, index)
    whole = Dataset()
    whole.update(instance.dataset)
    whole.file_meta = instance.dataset.file_meta
    whole.set_original_encoding(*instance.dataset.original_encoding)
    whole.add_new(PIXEL_DATA, "OB" if compressed or whole.BitsAllocated == _BYTE else "OW", pixels)
    whole[PIXEL_DATA].is_undefined_length = compressed
    decoded: Pixels = decoder.as_array(whole, index=index, raw=True)[0]
    return decoded


def _check_codestream(header: Dataset, pixels: bytes, index: int) -> None:
    frames = int(header.get("NumberOfFrames") or 1)
    offsets = (
        (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths) if "ExtendedOffsetTable" in header else None
    )
    frame = get_frame(pixels, index, number_of_frames=frames, extended_offsets=offsets)
    if not is_whole(frame):
        raise _undecodable("it is cut off or broken")
    if declared_size(frame) not in (None, (int(header.Rows), int(header.Columns))):
        raise _undecodable("it has another size than its header says")


def _aligned(raw: Pixels, allocated: int, *, signed: bool, left: int, right: int) -> Pixels:
    """Move the sign bit to the top and back: clears bits above High Bit (old overlays) and extends the sign."""
    dtype = np.dtype(f"{'i' if signed else 'u'}{allocated // _BYTE}")
    values = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    if values.dtype.itemsize != dtype.itemsize:
        return values.astype(dtype)
    values = values.view(dtype)
    return values if left == right == 0 else np.right_shift(np.left_shift(values, left), right)


def _undecodable(why: str) -> NotEvaluable:
    return NotEvaluable(f"an image of the series cannot be decoded: {why}", gate="decode")

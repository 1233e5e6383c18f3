"""Stored values of one frame, and Hounsfield units made of them. What is compressed goes through `codecs`."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from adapters.dicom.codecs import BROKEN, Pixels, decoded_frame, native_bytes, undecodable
from adapters.dicom.encodings import UNCOMPRESSED
from adapters.dicom.frames import Frame
from adapters.dicom.instance import Instance
from adapters.dicom.lut import padded

_BIT, _BYTE = 1, 8
_ALLOCATED = (_BIT, _BYTE, 16, 32)
_INT16 = np.iinfo(np.int16)


def stored_values(instance: Instance, index: int) -> Pixels:
    """Frame `index` (from 0) as integers (rows, columns), sign and unused bits put right; of one bit as 0 and 1.

    The sign is the header's, also where a codestream says otherwise (JPEG 2000) or cannot say (JPEG-LS). Raise
    NotEvaluable (gate "decode") where the pixel data is cut off, broken, of floating point numbers or in a syntax that
    nothing here decodes.
    """
    header = instance.dataset
    if instance.pixels is None:
        raise undecodable("it has no pixels of whole numbers (PS3.3 C.7.6.3)")
    try:
        allocated, stored = int(header.BitsAllocated), int(header.BitsStored)
        high, signed = int(header.get("HighBit", stored - 1)), int(header.PixelRepresentation) == 1
        if allocated not in _ALLOCATED or not 0 < stored <= allocated or not stored - 1 <= high < allocated:
            raise undecodable("its pixels are described in a way that contradicts itself")
        raw = _plain(instance, index, allocated) if is_plain(instance) else decoded_frame(instance, index)[0]
    except MemoryError:
        raise undecodable("it wants more memory than one image may have") from None
    except BROKEN as error:
        raise undecodable("it is cut off or broken") from error
    if raw.shape != (int(header.Rows), int(header.Columns)):
        raise undecodable("it has another size than its header says")
    if allocated == _BIT:
        return raw
    shifts = allocated - 1 - high if instance.syntax in UNCOMPRESSED else allocated - stored, allocated - stored
    return _aligned(raw, allocated, signed=signed, left=shifts[0], right=shifts[1])


def is_plain(instance: Instance) -> bool:
    """True where its pixels are whole numbers that lie there as they are: no codec and no library is needed."""
    return instance.syntax in UNCOMPRESSED and instance.pixels is not None


def hounsfield(stored: Pixels, frame: Frame, header: Dataset) -> Pixels:
    """slope · stored + intercept (PS3.3 C.11.1.1.2); int16 where exact, else float32. Padding becomes the minimum.

    Padding (PS3.3 C.7.5.1.1.2) is no measurement: those pixels get the smallest value of the frame's other pixels.
    """
    slope, intercept = frame.slope, frame.intercept
    if slope is None or intercept is None:
        slope, intercept = 1.0, 0.0
    padding = padded(stored, header)
    if padding is not None and not padding.all():
        stored = np.where(padding, stored[~padding].min() if slope > 0 else stored[~padding].max(), stored)
    return _rescaled(stored, slope, intercept)


def _rescaled(stored: Pixels, slope: float, intercept: float) -> Pixels:
    whole = float(slope).is_integer() and float(intercept).is_integer()
    lowest, highest = sorted((float(stored.min()) * slope + intercept, float(stored.max()) * slope + intercept))
    fits = lowest >= _INT16.min and highest <= _INT16.max
    if whole and fits and max(abs(slope), abs(intercept)) < 2**15:
        if slope == 1 and stored.dtype.itemsize == _INT16.bits // _BYTE:
            return stored.view(np.int16) + np.int16(intercept)  # wraps, also from unsigned, to what fits
        return (stored.astype(np.int32) * np.int32(slope) + np.int32(intercept)).astype(np.int16)
    exact = stored.astype(np.float64) * slope + intercept
    if fits and bool((exact == np.rint(exact)).all()):
        return exact.astype(np.int16)
    return exact.astype(np.float32)


def _plain(instance: Instance, index: int, allocated: int) -> Pixels:
    """Whole numbers as they lie in the mapped file (PS3.5 section 8.1.1), checked to be there; not copied."""
    rows, columns, pixels = int(instance.dataset.Rows), int(instance.dataset.Columns), instance.pixels
    count = rows * columns
    first, last = index * count * allocated, (index + 1) * count * allocated
    if pixels is None or min(rows, columns) < 1 or len(pixels) * _BYTE < last:
        raise undecodable("it is cut off or broken")
    if int(instance.dataset.get("SamplesPerPixel", 1)) != 1:
        raise undecodable("it is in colour")
    if allocated == _BIT:
        bits = np.frombuffer(native_bytes(instance, first // _BYTE, -(-last // _BYTE)), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little")[first % _BYTE :][:count].reshape(rows, columns)
    if allocated == _BYTE:
        return np.frombuffer(native_bytes(instance, first // _BYTE, last // _BYTE), np.uint8).reshape(rows, columns)
    order = ">" if instance.syntax == ExplicitVRBigEndian else "<"
    dtype = np.dtype(f"{order}u{allocated // _BYTE}")
    return np.frombuffer(pixels, dtype=dtype, count=count, offset=first // _BYTE).reshape(rows, columns)


def _aligned(raw: Pixels, allocated: int, *, signed: bool, left: int, right: int) -> Pixels:
    """Move the sign bit to the top and back: clears bits above High Bit (old overlays) and extends the sign."""
    dtype = np.dtype(f"{'i' if signed else 'u'}{allocated // _BYTE}")
    values = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    if values.dtype.itemsize != dtype.itemsize:
        return values.astype(dtype)
    values = values.view(dtype)
    return values if left == right == 0 else np.right_shift(np.left_shift(values, left), right)

"""One frame decoded for a screen. Imports no more than that needs: it runs in the processes of the decoding pool."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from adapters.dicom.codecs import BROKEN, Pixels, undecodable
from adapters.dicom.colour import rgb_values
from adapters.dicom.decode import stored_values
from adapters.dicom.frames import require_size
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import Instance, read_instance
from adapters.dicom.lut import modality_transform, padded
from adapters.dicom.rendering_headers import RENDERING_TAGS, flat_frame, is_colour, windows_of
from adapters.dicom.values import first_item, integer, items, text, value
from cds.errors import InvalidInstance, NotEvaluable
from cds.ui.pictures import Window

#: (first value, entries from 0 to 255)
Table = tuple[int, npt.NDArray[np.uint8]]

_BYTE = 8
_MOST_ENTRIES = 65536
_WIDEST = 16


class Grey(NamedTuple):
    """Stored values (rows, columns), padding as the darkest, and what makes them values that a window is told in.

    `table` is the VOI LUT of the image, None where it has none or its values after rescale are no whole numbers.
    """

    values: Pixels
    slope: float
    intercept: float
    is_inverted: bool
    windows: tuple[Window, ...] = ()
    table: Table | None = None


def decoded(path: Path, index: int, max_bytes: int) -> Grey | npt.NDArray[np.uint8]:
    """Frame `index` (from 0) of a file, in grey, or in colour as RGB of 8 bits (rows, columns, 3).

    Raise NotEvaluable (gates "decode", "size") where it cannot be decoded, Unavailable where the file is gone.
    """
    try:
        instance = read_instance(path, RENDERING_TAGS, max_bytes=max_bytes)
    except InvalidInstance as error:
        raise NotEvaluable(f"its file cannot be read: {error}", gate="decode") from error
    header = instance.dataset
    if instance.pixels is None:
        raise NotEvaluable("it has no pixels of whole numbers", gate="decode")
    require_size(header, max_bytes)
    if not 0 <= index < max(integer(header, "NumberOfFrames", 1), 1):
        raise NotEvaluable("it has no such frame", gate="decode")
    try:
        return _eight_bits(rgb_values(instance, index), header) if is_colour(header) else _grey(instance, index)
    except (*UNREADABLE, MemoryError) as error:
        raise undecodable("its header contradicts itself") from error


def _eight_bits(colour: Pixels, header: Dataset) -> npt.NDArray[np.uint8]:
    bits = integer(header, "BitsStored", colour.dtype.itemsize * _BYTE)
    return np.asarray(colour >> (bits - _BYTE) if bits > _BYTE else colour, dtype=np.uint8)


def _grey(instance: Instance, index: int) -> Grey:
    header = instance.dataset
    flat = _flat(header, index)
    stored = stored_values(instance, index)
    inverted = text(header, "PhotometricInterpretation").upper() == "MONOCHROME1"
    transform = modality_transform(flat if not items(header, "ModalityLUTSequence") else header, stored.dtype)
    values, slope, intercept = stored, transform.slope, transform.intercept
    if transform.table is not None:
        values, slope, intercept = transform.apply(stored), 1.0, 0.0
    values = _unpadded(values, padded(stored, header), dark_is_low=(slope > 0) is not inverted)
    return Grey(np.ascontiguousarray(values), slope, intercept, inverted, windows_of(flat), _voi_table(flat, header))


def _flat(header: Dataset, index: int) -> Dataset:
    """The header as frame `index` has it; what says how its pixels are coded is always the header's own."""
    per_frame = items(header, "PerFrameFunctionalGroupsSequence")[index : index + 1]
    flat = flat_frame(header, [first_item(header, "SharedFunctionalGroupsSequence"), *per_frame])
    if flat is not header:
        for keyword in ("VOILUTSequence",):
            if keyword in header and keyword not in flat:
                flat[keyword] = header[keyword]
        flat.set_original_encoding(*header.original_encoding)
    return flat


def _unpadded(values: Pixels, padding: npt.NDArray[np.bool_] | None, *, dark_is_low: bool) -> Pixels:
    """Padding is no measurement (PS3.3 C.7.5.1.1.2): it looks like the darkest that was measured."""
    if padding is None or padding.all():
        return values
    measured = values[~padding]
    return np.where(padding, measured.min() if dark_is_low else measured.max(), values)


def _voi_table(flat: Dataset, header: Dataset) -> Table | None:
    """The first VOI LUT as shades of 8 bits; None where there is none or where it is broken: windows stand then."""
    if not items(flat, "VOILUTSequence"):
        return None
    item = first_item(flat, "VOILUTSequence")
    try:
        count, first, bits = (int(number) for number in value(item, "LUTDescriptor"))
        count = count or _MOST_ENTRIES
        first = first - _MOST_ENTRIES if first >= _MOST_ENTRIES // 2 and _is_signed(header) else first
        entries = _entries(value(item, "LUTData"), header, count)[:count]
    except BROKEN:
        return None
    if len(entries) < count or not _BYTE <= bits <= _WIDEST:
        return None
    return first, (entries.astype(np.float64) * (255 / ((1 << bits) - 1))).clip(0, 255).astype(np.uint8)


def _is_signed(header: Dataset) -> bool:
    """LUT Descriptor's second value is signed where values after rescale may be negative (PS3.3 C.11.2.1.1)."""
    return integer(header, "PixelRepresentation", 0) == 1 or float(value(header, "RescaleIntercept") or 0) < 0


def _entries(data: object, header: Dataset, count: int) -> npt.NDArray[np.int64]:
    """Entries lie as bytes where there are just as many bytes, else as shorts."""
    if isinstance(data, bytes) and len(data) in (count, count + count % 2):
        return np.frombuffer(data, dtype=np.uint8).astype(np.int64)
    if isinstance(data, bytes):
        order = ">" if header.original_encoding[1] is False else "<"
        return np.frombuffer(data[: len(data) // 2 * 2], dtype=f"{order}u2").astype(np.int64)
    numbers = np.asarray(data, dtype=np.int64).reshape(-1)
    return numbers & (_MOST_ENTRIES - 1)

"""Lookup tables of an image: modality LUT or rescale (PS3.3 C.11.1), and palettes (C.7.9).

No VOI window is applied anywhere: models see what was measured, not what somebody looked at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from adapters.dicom.codecs import BROKEN, Pixels, undecodable
from adapters.dicom.values import first_item, integer, items, one, text, value

_MOST_ENTRIES = 65536
_WIDEST_ENTRY = 16
_BYTE = 8
_SHORT = 2
_LONGEST_DATA = 2 * _MOST_ENTRIES


class Transform(NamedTuple):
    """Stored values → output: a table from `first` on, else slope and intercept. `span` are the outputs that can be.

    `low` and `high` bound the stored values by Bits Stored.
    """

    table: npt.NDArray[np.uint16] | None
    first: int
    slope: float
    intercept: float
    span: tuple[float, float]

    def apply(self, stored: Pixels) -> Pixels:
        """Integers as they are where nothing changes them, uint16 of a table, else float32."""
        if self.table is not None:
            place = np.clip(stored.astype(np.int64) - self.first, 0, len(self.table) - 1)
            return np.asarray(self.table[place])
        if (self.slope, self.intercept) == (1.0, 0.0):
            return stored
        return (stored.astype(np.float64) * self.slope + self.intercept).astype(np.float32)


def modality_transform(header: Dataset, dtype: np.dtype[Any]) -> Transform:
    """What the Modality LUT module says (PS3.3 C.11.1.1); nothing where it is absent.

    Raise NotEvaluable (gate "decode") where its table contradicts its descriptor.
    """
    bits = max(1, min(integer(header, "BitsStored", dtype.itemsize * 8), dtype.itemsize * 8))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.kind == "i" else (0, (1 << bits) - 1)
    if items(header, "ModalityLUTSequence"):
        item = first_item(header, "ModalityLUTSequence")
        return _table(item, _order(header), signed=dtype.kind == "i")
    slope, intercept = one(header, "RescaleSlope"), one(header, "RescaleIntercept")
    if slope is None or intercept is None:
        slope, intercept = 1.0, 0.0
    if slope == 0:
        raise undecodable("its rescale slope is zero")
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return Transform(None, 0, slope, intercept, (ends[0], ends[1]))


def padded(stored: Pixels, header: Dataset) -> npt.NDArray[np.bool_] | None:
    """Where a frame is padding (PS3.3 C.7.5.1.1.2), no measurement; None where nowhere.

    US or SS: which one depends on Pixel Representation, and some writers get it wrong; the bits are meant.
    """
    ends = [_bits(value(header, keyword), stored.dtype) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    first, last = ends
    if first is None:
        return None
    low, high = sorted((first, first if last is None else last))
    found = np.asarray((stored >= low) & (stored <= high), dtype=np.bool_)
    return found if found.any() else None


def _bits(told: Any, dtype: np.dtype[Any]) -> int | None:
    if isinstance(told, bytes) and len(told) == _SHORT:
        told = int.from_bytes(told, "little")
    if not isinstance(told, int):
        return None
    bits = dtype.itemsize * _BYTE
    number = told & ((1 << bits) - 1)
    return number - (1 << bits) if dtype.kind == "i" and number >> (bits - 1) else number


def palette_rgb(indices: Pixels, header: Dataset) -> Pixels:
    """RGB of uint8 (rows, columns, 3) of a PALETTE COLOR image, also with segmented tables (PS3.3 C.7.9.2).

    Of entries of 16 bits the upper 8 count: what a screen shows. Raise NotEvaluable where the tables are no tables.
    """
    try:
        channels = [_channel(header, colour, indices) for colour in ("Red", "Green", "Blue")]
    except BROKEN as error:
        raise undecodable("its palette is incomplete or broken") from error
    return np.stack(channels, axis=-1)


def is_palette(header: Dataset) -> bool:
    """True where stored values are indices into a palette."""
    return text(header, "PhotometricInterpretation").upper() == "PALETTE COLOR"


def _channel(header: Dataset, colour: str, indices: Pixels) -> Pixels:
    count, first, bits = _descriptor(value(header, f"{colour}PaletteColorLookupTableDescriptor"))
    if bits not in (_BYTE, _WIDEST_ENTRY):
        raise ValueError("want entries of 8 or 16 bits")
    plain = value(header, f"{colour}PaletteColorLookupTableData")
    order = _order(header)
    if plain:
        table = _numbers(plain, count, order)
    else:
        table = _expanded(_numbers(value(header, f"Segmented{colour}PaletteColorLookupTableData"), 0, order, bits))
    if len(table) < count:
        raise ValueError("want as many entries as the descriptor says")
    if bits == _WIDEST_ENTRY or table.max() > np.iinfo(np.uint8).max:
        table = table >> _BYTE
    place = np.clip(indices.astype(np.int64) - first, 0, count - 1)
    return np.asarray(table[place], dtype=np.uint8)


def _order(header: Dataset) -> str:
    """The byte order that the data set was read in: OW is in it too."""
    return ">" if header.original_encoding[1] is False else "<"


def _descriptor(told: Any) -> tuple[int, int, int]:
    """Entries, the first value mapped, bits of an entry; 0 entries are 65536 (PS3.3 C.11.1.1)."""
    count, first, bits = (int(number) for number in told)
    return count % _MOST_ENTRIES or _MOST_ENTRIES, first, bits


def _numbers(data: Any, count: int, order: str, bits: int = 0) -> npt.NDArray[np.int64]:
    """Entries lie as bytes where there are just as many bytes, or where `bits` says so; else as shorts."""
    if len(data) > _LONGEST_DATA:
        raise ValueError("want a table of at most 65536 entries")
    narrow = bits == _BYTE or (not bits and len(data) in (count, count + count % 2))
    whole = data if narrow else data[: len(data) // 2 * 2]
    return np.frombuffer(whole, dtype=np.uint8 if narrow else f"{order}u2").astype(np.int64)


def _expanded(segments: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """PS3.3 C.7.9.2: 0 copies, 1 draws a line to a value. 2, a reference back, is refused: it can grow without end."""
    parts: list[npt.NDArray[np.int64]] = []
    at, last, entries = 0, 0, 0
    while at + 1 < len(segments):
        opcode, length = int(segments[at]), int(segments[at + 1])
        entries += length
        if opcode > 1 or entries > _MOST_ENTRIES:
            raise ValueError("want a table of at most 65536 entries in copied or linear segments")
        if opcode == 0:
            parts.append(segments[at + 2 : at + 2 + length])
        else:
            line = np.linspace(last, int(segments[at + 2]), length + 1)[1:]
            parts.append(np.rint(line).astype(np.int64))
        at += 2 + length if opcode == 0 else 3
        last = int(parts[-1][-1]) if len(parts[-1]) else last
    return np.concatenate(parts)


def _table(item: Dataset, order: str, *, signed: bool) -> Transform:
    """LUT Descriptor (0028,3002): entries (0 is 65536), the first value mapped, bits of an entry."""
    try:
        count, first, bits = _descriptor(value(item, "LUTDescriptor"))
        table = _entries(value(item, "LUTData"), order)
    except BROKEN as error:
        raise undecodable("its modality lookup table is incomplete or broken") from error
    first = first - _MOST_ENTRIES if signed and first >= _MOST_ENTRIES // 2 else first
    if len(table) < count or not 1 <= bits <= _WIDEST_ENTRY:
        raise undecodable("its modality lookup table is incomplete or broken")
    return Transform(table[:count], first, 1.0, 0.0, (0.0, float((1 << bits) - 1)))


def _entries(data: Any, order: str) -> npt.NDArray[np.uint16]:
    """LUT Data as US, SS or OW: shorts, which pydicom gives as a list, or as bytes where it does not know."""
    if isinstance(data, bytes):
        return np.frombuffer(data[: len(data) // 2 * 2], dtype=f"{order}u2").astype(np.uint16)
    numbers = np.asarray([data] if isinstance(data, int) else list(data), dtype=np.int64)
    return (numbers & (_MOST_ENTRIES - 1)).astype(np.uint16)

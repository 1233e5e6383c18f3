"""A bounded walk over an encoded data set (PS3.5 section 7), before any library builds objects of it.

It finds out whether the data set is whole, where the wanted elements lie, and digests of the content and of the pixels
that do not depend on implicit or explicit VR or on how sequences are delimited. It copies nothing and makes no object
per element, so 8-byte items by the million, deep nesting and lengths beyond the end cost neither memory nor the stack.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from adapters.dicom.quiet import quiet
from cds.errors import InvalidInstance

PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00008, 0x7FE00009
_PIXELS = frozenset({PIXEL_DATA, _FLOAT_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA})

#: What makes a measurement of the stored values, and so is one with them: how they are coded (group 0028), how they
#: become HU (0028,1052 ...), where and how large a pixel is (PS3.3 C.7.6.2), the functional groups that say both per
#: frame (C.7.6.16), and the acquisition that a model's gates look at: contrast, kVp, kernel, thickness, diameter, tilt.
#: A sender that changes one of them sends other pixels: what was measured before may not hold.
MEASURED_TAGS = frozenset(
    {
        0x00180010, 0x00180012, 0x00180022, 0x00180050, 0x00180060, 0x00180088, 0x00181100, 0x00181120, 0x00181164,
        0x00181210, 0x00185100, 0x00200032, 0x00200037, 0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010,
        0x00280011, 0x00280030, 0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280120, 0x00280121, 0x00281052,
        0x00281053, 0x00281054, 0x00283000, 0x52009229, 0x52009230,
    }
)  # fmt: skip

#: What is parsed at most of one element, pixel data apart: the functional groups of 5,000 frames need some 10 MB.
_MAX_PARSED_BYTES = 32 * 1024 * 1024
_MAX_PARSED_ELEMENTS = 400_000
#: pydicom makes an object of each item, which costs 30 microseconds even where the item is empty.
_MAX_PARSED_ITEMS = 20_000

#: What pydicom raises for elements whose bytes or VR make no sense.
_UNPARSABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError, OSError, struct.error,
               RecursionError, NotImplementedError, BytesLengthException)  # fmt: skip

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TRAILING_PADDING = 0xFFFCFFFC
_MAX_DEPTH = 32
#: Bytes of an element's tag, VR and length, without and with the two reserved ones.
_SHORT, _LONG = 8, 12
_MAX_ELEMENTS = 1_000_000
#: PS3.5 table 7.1-1: VRs with two reserved bytes and a 32-bit length.
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_FRAGMENT_VRS = frozenset({b"OB", b"OW"})


class Span(NamedTuple):
    """Where an element lies: its tag, its value, its end."""

    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Where the wanted top-level elements lie (those too large to parse are absent), and the digests."""

    spans: dict[int, Span]
    sha256: str
    pixels_sha256: str


def scan(data: bytes | memoryview, syntax: str, wanted: Collection[int], *, digest: bool = True) -> Scan:
    """Walk the whole data set; raise InvalidInstance where it is cut off, nests too deep or cannot be followed.

    `sha256` is empty without `digest`; with it, it covers tags and values in order, group lengths and padding left out:
    the same in both little endian transfer syntaxes, different for other content and for other pixel compression.
    `pixels_sha256` covers in the same way the pixel data and what is measured with it (`MEASURED_TAGS`), of compressed
    pixels the fragments without their offset table and boundaries; it is empty where there is no pixel data. What
    is measured is in the first by the second.
    """
    if syntax == DeflatedExplicitVRLittleEndian:
        raise InvalidInstance("want a data set that is not deflated: it can grow a thousandfold")
    digests = [hashlib.sha256(), hashlib.sha256()] if digest else []
    walk = _Walk(memoryview(data), frozenset(wanted), digests, _order(syntax))
    walk.data_set(0, len(data), implicit=syntax == ImplicitVRLittleEndian, depth=0)
    if walk.digests:
        walk.digests[0].update(walk.digests[1].digest())
    whole, pixels = [one.hexdigest() for one in walk.digests] or ["", ""]
    return Scan(walk.spans, whole, pixels if walk.has_pixels else "")


def parse(data: bytes | memoryview, syntax: str, found: Scan) -> Dataset:
    """A pydicom Dataset of the elements that a scan found, pixel data left out."""
    quiet()
    parts = [data[span.start : span.end] for tag, span in sorted(found.spans.items()) if tag != PIXEL_DATA]
    try:
        return read_dataset(BytesIO(b"".join(parts)), syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    except _UNPARSABLE as error:
        raise InvalidInstance("want a data set whose elements can be read") from error


def _order(syntax: str) -> str:
    return ">" if syntax == ExplicitVRBigEndian else "<"


@dataclass(slots=True)
class _Walk:
    data: memoryview
    wanted: frozenset[int]
    #: Of the whole content, and of what is measured; none where nobody asked.
    digests: list[hashlib._Hash]
    order: str
    spans: dict[int, Span] = field(default_factory=dict)
    elements: int = 0
    #: Of the top-level sequences alone: what they nest is not parsed before somebody looks.
    items: int = 0
    has_pixels: bool = False
    #: True inside the top-level elements that belong to the pixels.
    measured: bool = False

    def data_set(self, at: int, end: int, *, implicit: bool, depth: int, until_delimiter: bool = False) -> int:
        if depth > _MAX_DEPTH:
            raise InvalidInstance(f"want sequences that nest at most {_MAX_DEPTH} deep")
        while at < end:
            if end - at < _SHORT or (depth == 0 and self._tag(at) == 0):
                at = self._only_padding(at, end)
                continue
            tag = self._tag(at)
            if until_delimiter and tag == _ITEM_END:
                return at + 8
            start, before, items = at, self.elements, self.items
            if depth == 0:
                self.measured = tag in MEASURED_TAGS or tag in _PIXELS
                self.has_pixels = self.has_pixels or tag in _PIXELS
            at = self._element(tag, at, end, implicit=implicit, depth=depth)
            if depth == 0 and tag in self.wanted and self.items - items <= _MAX_PARSED_ITEMS:
                self._note(tag, start, at, elements=self.elements - before, implicit=implicit)
        if until_delimiter:
            raise _cut_off()
        return at

    def _element(self, tag: int, at: int, end: int, *, implicit: bool, depth: int) -> int:
        self._count()
        vr, length, value = self._header(tag, at, end, implicit=implicit)
        if length == _UNDEFINED:
            self._feed(tag, None)
            return self._undefined(vr, value, end, implicit=implicit, depth=depth)
        stop = value + length
        if stop > end:
            raise _cut_off()
        if vr != b"SQ" or not self._readable_items(tag, value, stop, implicit=implicit, depth=depth):
            self._feed(tag, self.data[value:stop])
        return stop

    def _readable_items(self, tag: int, at: int, stop: int, *, implicit: bool, depth: int) -> bool:
        """A sequence whose length is known can be stepped over: vendors do write odd ones, and nothing is lost."""
        before, measured = [one.copy() for one in self.digests], self.measured
        try:
            self._feed(tag, None)
            self._items(at, stop, implicit=implicit, depth=depth, until_delimiter=False)
        except InvalidInstance:
            self.digests, self.measured = before, measured
            return False
        return True

    def _note(self, tag: int, start: int, end: int, *, elements: int, implicit: bool) -> None:
        small = end - start <= _MAX_PARSED_BYTES and elements <= _MAX_PARSED_ELEMENTS
        if small or tag == PIXEL_DATA:
            value = self._header(tag, start, end, implicit=implicit)[2]
            self.spans[tag] = Span(start, value, end)

    def _header(self, tag: int, at: int, end: int, *, implicit: bool) -> tuple[bytes, int, int]:
        vr = bytes(self.data[at + 4 : at + 6])
        if implicit or not (vr.isalpha() and vr.isupper()):
            return self._implicit_vr(tag), self._number("I", at + 4), at + 8
        if vr not in _LONG_VRS:
            return vr, self._number("H", at + 6), at + 8
        if end - at < _LONG:
            raise _cut_off()
        return vr, self._number("I", at + 8), at + 12

    def _undefined(self, vr: bytes, at: int, end: int, *, implicit: bool, depth: int) -> int:
        if vr in _FRAGMENT_VRS:
            return self._fragments(at, end)
        # PS3.5 section 6.2.2, note 4: UN of undefined length is a sequence in implicit VR little endian
        inside_implicit = implicit or vr == b"UN"
        return self._items(at, end, implicit=inside_implicit, depth=depth, until_delimiter=True)

    def _items(self, at: int, end: int, *, implicit: bool, depth: int, until_delimiter: bool) -> int:
        while at < end:
            tag, length = self._item(at, end)
            at += 8
            if tag == _SEQUENCE_END:
                self._feed(tag, None)
                return at
            self.items += not depth
            self._feed(tag, None)
            stop = end if length == _UNDEFINED else at + length
            if stop > end:
                raise _cut_off()
            at = self.data_set(at, stop, implicit=implicit, depth=depth + 1, until_delimiter=length == _UNDEFINED)
        if until_delimiter:
            raise _cut_off()
        self._feed(_SEQUENCE_END, None)
        return at

    def _fragments(self, at: int, end: int) -> int:
        """PS3.5 annex A.4: the first item is the offset table, which is no pixel; nor are a fragment's boundaries."""
        measured, self.measured = self.measured, False
        start = at
        while at < end:
            tag, length = self._item(at, end)
            at += 8
            if tag == _SEQUENCE_END:
                self._feed(tag, None)
                self.measured = measured
                return at
            if at + length > end:
                raise _cut_off()
            self._feed(tag, self.data[at : at + length])
            if measured and at > start + 8:
                for pixels in self.digests[1:]:
                    pixels.update(self.data[at : at + length])
            at += length
        raise _cut_off()

    def _item(self, at: int, end: int) -> tuple[int, int]:
        self._count()
        if end - at < _SHORT:
            raise _cut_off()
        tag = self._tag(at)
        if tag not in (_ITEM, _SEQUENCE_END):
            raise InvalidInstance("want sequences that consist of items (PS3.5 section 7.5)")
        return tag, self._number("I", at + 4)

    def _tag(self, at: int) -> int:
        group, element = struct.unpack_from(self.order + "HH", self.data, at)
        return int(group) << 16 | int(element)

    def _number(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(self.order + kind, self.data, at)[0])

    def _implicit_vr(self, tag: int) -> bytes:
        try:
            return b"SQ" if dictionary_VR(tag) == "SQ" else b"UN"
        except KeyError:
            return b"UN"

    def _feed(self, tag: int, value: memoryview | bytes | None) -> None:
        """What is measured goes into one digest, and that into the other at the end: pixels are read once."""
        if not self.digests or not tag & 0xFFFF or tag == _TRAILING_PADDING:
            return
        whole, pixels = self.digests
        head = struct.pack("<II", tag, _UNDEFINED if value is None else len(value))
        whole.update(head)
        if self.measured:
            pixels.update(head)
        if value is not None:
            (pixels if self.measured else whole).update(value)

    def _count(self) -> None:
        self.elements += 1
        if self.elements > _MAX_ELEMENTS:
            raise InvalidInstance(f"want at most {_MAX_ELEMENTS} elements and items in an instance")

    def _only_padding(self, at: int, end: int) -> int:
        if any(self.data[at : min(end, at + 4096)]):
            raise _cut_off()
        return end


def _cut_off() -> InvalidInstance:
    return InvalidInstance("want a whole data set: it ends inside an element")

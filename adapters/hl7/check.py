"""The bounded check before a message is committed: what must be there, looked up in the bytes, nothing parsed.

A missing or unknown field is AE with 101 to 103; what can never be taken is AR (HL7 table 0357). A block that is
refused is kept all the same, with what could be read of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from adapters.hl7.delimiters import Delimiters
from adapters.hl7.events import ORDER_TYPES, PATIENT_TYPES, WITHOUT_PATIENT, may_name_several
from adapters.hl7.header import MANNERS, Header, Manner, manner, read_header
from adapters.hl7.text import codec, decode, without_controls
from cds.domain.message import RawMessage
from cds.errors import InvalidMessage

#: HL7 table 0119, through 2.9.
_TABLE_0119 = (
    "AF CA CH CN CP CR DC DE DF DR FU HD HR LI MC NA NR NW OC OD OE OF OH OK OP OR PA PR PY RC RE RF RL RO RP RQ RR RU"
    " SC SN SQ SR SS UA UC UD UF UH UM UN UR UX XO XR XX"
)
_CONTROL_CODES = frozenset(_TABLE_0119.encode().split())

_LONGEST_CONTROL_ID = 199
_MOST_ORDERS = 1000
_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}")
_VERSION = re.compile(r"2(\.\d+)*")
#: More are no message: they would only cost memory.
_MOST_LINES = 100_000
_PLACER_AND_FILLER = (2, 3)
#: The fields that a rule is about are among the first of their segment.
_READ = 4
_NUMBERS = frozenset({"ORC-2", "ORC-3", "OBR-2", "OBR-3"})
_NO_VALUES = (b"", b'""')


class Stated(NamedTuple):
    """What MSH says that the log has too, beside MSH-10: MSH-3, 4, 9.1, 9.2, 12.1, 11.1, 18."""

    application: str
    facility: str
    kind: str
    event: str
    version: str
    processing: str
    characters: str


_NOTHING = Stated("", "", "", "", "", "", "")


@dataclass(frozen=True, slots=True)
class Known:
    """MSH as the check needs it: `stated` byte for byte, `texts` in its characters without control characters.

    What fits no character set is empty in `texts` and `control_id`, and `unreadable` says so.
    """

    header: Header
    stated: Stated
    texts: Stated
    control_id: str
    unreadable: InvalidMessage | None = None


def check(block: bytes, peer: str, received_at: datetime, header: Header | None = None) -> RawMessage:
    """The message with what the log needs to know of it; InvalidMessage says what was wanted and where."""
    known = know(header or read_header(block))
    require(block, known)
    return kept(block, known, peer, received_at)


def know(header: Header) -> Known:
    """Read what the log has of MSH, once."""
    stated, is_plain = _stated(manner(header))
    control_id = header.field(10)
    if is_plain and control_id.isascii() and control_id.isprintable():
        return Known(header, stated, stated, control_id)
    declared, unreadable = codec(stated.characters, header.delimiters.repetition), None
    texts: list[str] = []
    for value in (*stated, control_id):
        try:
            texts.append(without_controls(decode(value.encode("latin-1"), declared)[0]))
        except InvalidMessage as error:
            texts.append("")
            unreadable = error
    return Known(header, stated, Stated(*texts[:-1]), texts[-1], unreadable)


@lru_cache(maxsize=MANNERS)
def _stated(known: Manner) -> tuple[Stated, bool]:
    """What MSH says, and whether all of it is plain ASCII."""
    field, component = known.header.field, known.header.component
    kind, event, version, processing = component(9), component(9, 2), component(12), component(11)
    stated = Stated(field(3), field(4), kind, event, version, processing, field(18))
    together = "".join(stated)
    return stated, together.isascii() and together.isprintable()


def require(block: bytes, known: Known, mapped: Collection[str] = ()) -> None:
    """Raise InvalidMessage where a rule is broken.

    `mapped` are fields such as "PID-3" that the sender's profile fills from elsewhere or translates: their rules are
    left to the reader, who knows the profile.
    """
    if b"\x00" in block:
        raise InvalidMessage("want text, found a byte that is zero", condition="102")
    stated, control_id = known.stated, known.header.field(10)
    if not (_is_complete(stated) and control_id.strip() and _is_control_id(control_id)):
        _check_header(stated, control_id, mapped)
    wire = _wire(known.header.delimiters)
    found = _segments(block, known.header, wire)
    names_patient, several, orders = _expected(stated.kind, stated.event)
    if names_patient:
        _check_patient(found.patients, wire, mapped, several=several)
    if orders:
        _check_orders(found.orders, wire, mapped)
    if known.unreadable is not None:
        raise known.unreadable


def kept(
    block: bytes,
    known: Known | None,
    peer: str,
    received_at: datetime,
    *,
    answered: str = "",
    refusal: str = "",
    wants_result: str = "",
) -> RawMessage:
    """The block as the log keeps it, refused or not; what cannot be read of its MSH is empty."""
    texts = known.texts if known else _NOTHING
    return RawMessage(
        raw=block,
        sha256=hashlib.sha256(block).hexdigest(),
        sending_application=texts.application,
        sending_facility=texts.facility,
        control_id=known.control_id if known and _is_control_id(known.header.field(10)) else "",
        message_type=texts.kind,
        trigger_event=texts.event,
        version=texts.version,
        processing_id=texts.processing,
        character_set=texts.characters,
        peer=peer,
        received_at=received_at,
        answered=answered,
        refusal=refusal,
        wants_result=wants_result,
    )


@lru_cache(maxsize=MANNERS)
def _is_complete(stated: Stated) -> bool:
    """True where `_check_header` finds nothing wrong, but for MSH-10."""
    try:
        _check_header(stated, "1", ())
    except InvalidMessage:
        return False
    return True


def _check_header(stated: Stated, control_id: str, mapped: Collection[str]) -> None:
    required = (
        ("MSH-9", "a message type", stated.kind),
        ("MSH-10", "a message control id", control_id.strip()),
        ("MSH-11", "a processing id", stated.processing),
        ("MSH-12", "a version", stated.version),
    )
    for name, what, value in required:
        if not value and name not in mapped:
            raise _missing(f"want {what} in {name}", name.replace("-", "^1^"))
    if "MSH-9" not in mapped and not _is_type(stated.kind):
        raise InvalidMessage("want three letters or digits in MSH-9.1", location="MSH^1^9", condition="200")
    if not _is_control_id(control_id):
        text = f"want a message control id of at most {_LONGEST_CONTROL_ID} characters without control characters"
        raise InvalidMessage(text, location="MSH^1^10", condition="102")
    if "MSH-11" not in mapped and stated.processing not in ("P", "D", "T"):
        raise InvalidMessage("want P, D or T in MSH-11", location="MSH^1^11", condition="202")
    if "MSH-12" not in mapped and not _is_version(stated.version):
        raise InvalidMessage("want a version 2 of HL7 in MSH-12", location="MSH^1^12", condition="203")


def _is_type(kind: str) -> bool:
    return _TYPE.fullmatch(kind) is not None


def _is_version(version: str) -> bool:
    return _VERSION.fullmatch(version) is not None


@lru_cache(maxsize=256)
def _expected(kind: str, event: str) -> tuple[bool, bool, bool]:
    """Whether a message names a patient, may name several, and has orders."""
    return kind in PATIENT_TYPES and event not in WITHOUT_PATIENT, may_name_several(kind, event), kind in ORDER_TYPES


def _is_control_id(text: str) -> bool:
    printable = text.isprintable() or all(character >= " " for character in text)
    return printable and len(text) <= _LONGEST_CONTROL_ID


@dataclass(frozen=True, slots=True)
class _Wire:
    """The delimiters of a message as bytes, and how the segments begin that rules are about."""

    field: bytes
    component: bytes
    repetition: bytes
    starts: frozenset[bytes]

    def any_value(self, line: bytes, numbers: tuple[int, ...]) -> bool:
        """True where the first component of a repetition of one of these fields says something; `""` deletes."""
        fields = line.split(self.field, _READ)
        for number in numbers:
            field = fields[number] if number < len(fields) else b""
            for repetition in field.split(self.repetition) if self.repetition else (field,):
                first = repetition.split(self.component, 1)[0] if self.component else repetition
                if first.strip() not in _NO_VALUES:
                    return True
        return False


@lru_cache(maxsize=64)
def _wire(delimiters: Delimiters) -> _Wire:
    field, component, repetition = (
        text.encode("latin-1") for text in (delimiters.field, delimiters.component, delimiters.repetition)
    )
    return _Wire(field, component, repetition, frozenset(name + field for name in (b"MSH", b"PID", b"ORC", b"OBR")))


@dataclass(slots=True)
class _Segments:
    """The segments that rules are about: those that name patients, and each ORC with the OBR of its group."""

    patients: list[bytes] = field(default_factory=list)
    orders: list[list[bytes]] = field(default_factory=list)


def _segments(block: bytes, header: Header, wire: _Wire) -> _Segments:
    """A second MSH and too many lines are an InvalidMessage."""
    found = _Segments()
    starts = wire.starts
    for line in [line for line in _lines(block, header) if line[:4] in starts]:
        if line.startswith(b"MSH"):
            raise InvalidMessage("want one message in a block, found a second MSH", location="MSH^2", condition="100")
        if line.startswith(b"PID"):
            found.patients.append(line)
        elif line.startswith(b"ORC"):
            found.orders.append([line])
        elif found.orders:
            found.orders[-1].append(line)
    return found


def _lines(block: bytes, header: Header) -> list[bytes]:
    """The lines behind MSH, whatever ends them."""
    if b"\n" in block:
        block = block.replace(b"\n", b"\r")
    lines = block.split(b"\r", _MOST_LINES)
    if len(lines) > _MOST_LINES:
        raise InvalidMessage(f"want at most {_MOST_LINES} segments in a message", condition="100")
    del lines[: block.count(b"\r", 0, header.end) + 1]
    return lines


def _check_patient(patients: list[bytes], wire: _Wire, mapped: Collection[str], *, several: bool) -> None:
    if "PID-3" not in mapped and not any(wire.any_value(patient, (3,)) for patient in patients):
        raise _missing("want a patient identifier in PID-3", "PID^1^3")
    if not several and len(patients) > 1:
        raise InvalidMessage("want one patient in a message", location="PID^2", condition="100")


def _check_orders(orders: list[list[bytes]], wire: _Wire, mapped: Collection[str]) -> None:
    if not orders:
        raise _missing("want an order in ORC", "ORC^1^1")
    _check_count("ORC", len(orders))
    _check_count("OBR", sum(map(len, orders)) - len(orders))
    numbered = not _NUMBERS.isdisjoint(mapped)
    for number, group in enumerate(orders, 1):
        if "ORC-1" not in mapped:
            _check_control(group[0].split(wire.field, 2), number)
        if not numbered and not any(wire.any_value(line, _PLACER_AND_FILLER) for line in group):
            raise _missing("want a placer or filler order number in ORC or OBR", f"ORC^{number}^2")


def _check_count(name: str, count: int) -> None:
    if count > _MOST_ORDERS:
        text = f"want at most {_MOST_ORDERS} segments {name} in a message"
        raise InvalidMessage(text, location=f"{name}^{_MOST_ORDERS + 1}", condition="100")


def _check_control(fields: list[bytes], number: int) -> None:
    control = fields[1].strip()
    if not control:
        raise _missing("want an order control code in ORC-1", f"ORC^{number}^1")
    if control not in _CONTROL_CODES:
        text = "want an order control code of table 0119 in ORC-1"
        raise InvalidMessage(text, location=f"ORC^{number}^1", condition="103", permanent=False)


def _missing(text: str, location: str) -> InvalidMessage:
    return InvalidMessage(text, location=location, condition="101", permanent=False)

"""The bounded check before a message is committed: what must be there, looked up in the bytes, nothing parsed.

A missing or unknown field is AE with 101 to 103; what can never be taken is AR (HL7 table 0357).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from adapters.hl7.events import ORDER_TYPES, PATIENT_TYPES, WITHOUT_PATIENT, may_name_several
from adapters.hl7.header import Header, read_header
from adapters.hl7.text import codec, decode, without_controls
from cds.domain.message import RawMessage
from cds.errors import InvalidMessage

#: HL7 table 0119, through 2.9.
_TABLE_0119 = (
    "AF CA CH CN CP CR DC DE DF DR FU HD HR LI MC NA NR NW OC OD OE OF OH OK OP OR PA PR PY RC RE RF RL RO RP RQ RR RU"
    " SC SN SQ SR SS UA UC UD UF UH UM UN UR UX XO XR XX"
)
CONTROL_CODES = frozenset(_TABLE_0119.split())

_LONGEST_CONTROL_ID = 199
_MOST_ORDERS = 1000
_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}")
_VERSION = re.compile(r"2(\.\d+)*")
_LINE = re.compile(rb"[^\r\n]*")
_REQUIRED = {9: "a message type", 10: "a message control id", 11: "a processing id", 12: "a version"}


def check(block: bytes, peer: str, received_at: datetime, header: Header | None = None) -> RawMessage:
    """The message with what the log needs to know of it; InvalidMessage says what was wanted and where."""
    header = header or read_header(block)
    if b"\x00" in block:
        raise InvalidMessage("want text, found a byte that is zero", condition="102")
    _check_header(header)
    if any(True for _ in _segments(block, "MSH", header)):
        raise InvalidMessage("want one message in a block, found a second MSH", location="MSH^2", condition="100")
    kind, event = header.component(9), header.component(9, 2)
    if kind in PATIENT_TYPES and event not in WITHOUT_PATIENT:
        _check_patient(block, header, several=may_name_several(kind, event))
    if kind in ORDER_TYPES:
        _check_orders(block, header)
    return _raw_message(block, header, peer, received_at)


def has_value(field: str, component: str) -> bool:
    """True where the first component says something; `""` deletes and is no value."""
    first = field.split(component, 1)[0] if component else field
    return first.strip() not in ("", '""')


def _check_header(header: Header) -> None:
    for number, what in _REQUIRED.items():
        if not header.component(number):
            raise _missing(f"want {what} in MSH-{number}", f"MSH^1^{number}")
    if not _TYPE.fullmatch(header.component(9)):
        raise InvalidMessage("want three letters or digits in MSH-9.1", location="MSH^1^9", condition="200")
    control_id = header.field(10)
    if len(control_id) > _LONGEST_CONTROL_ID or any(ord(character) < ord(" ") for character in control_id):
        text = f"want a message control id of at most {_LONGEST_CONTROL_ID} characters without control characters"
        raise InvalidMessage(text, location="MSH^1^10", condition="102")
    if header.component(11) not in ("P", "D", "T"):
        raise InvalidMessage("want P, D or T in MSH-11", location="MSH^1^11", condition="202")
    if not _VERSION.fullmatch(header.component(12)):
        raise InvalidMessage("want a version 2 of HL7 in MSH-12", location="MSH^1^12", condition="203")


def _check_patient(block: bytes, header: Header, *, several: bool) -> None:
    if not any(_any_value(fields, (3,), header) for _, fields in _segments(block, "PID", header)):
        raise _missing("want a patient identifier in PID-3", "PID^1^3")
    if not several and len(list(islice(_segments(block, "PID", header), 2))) > 1:
        raise InvalidMessage("want one patient in a message", location="PID^2", condition="100")


def _check_orders(block: bytes, header: Header) -> None:
    found = [(at, True, fields) for at, fields in _segments(block, "ORC", header, most=_MOST_ORDERS)]
    if not found:
        raise _missing("want an order in ORC", "ORC^1^1")
    found += [(at, False, fields) for at, fields in _segments(block, "OBR", header, most=_MOST_ORDERS)]
    groups: list[list[list[str]]] = []
    for _, common, fields in sorted(found):
        if common:
            groups.append([])
        if groups:
            groups[-1].append(fields)
    for number, group in enumerate(groups, 1):
        _check_order(group, number, header)


def _check_order(group: list[list[str]], number: int, header: Header) -> None:
    common = group[0]
    control = common[1].strip() if len(common) > 1 else ""
    if not control:
        raise _missing("want an order control code in ORC-1", f"ORC^{number}^1")
    if control not in CONTROL_CODES:
        text = "want an order control code of table 0119 in ORC-1"
        raise InvalidMessage(text, location=f"ORC^{number}^1", condition="103", permanent=False)
    if not any(_any_value(fields, (2, 3), header) for fields in group):
        raise _missing("want a placer or filler order number in ORC or OBR", f"ORC^{number}^2")


def _any_value(fields: list[str], numbers: tuple[int, ...], header: Header) -> bool:
    delimiters = header.delimiters
    return any(
        has_value(repetition, delimiters.component)
        for number in numbers
        if number < len(fields)
        for repetition in (fields[number].split(delimiters.repetition) if delimiters.repetition else [fields[number]])
    )


def _segments(block: bytes, name: str, header: Header, most: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Where segments of this name begin, behind the first line, with their fields; too many is an InvalidMessage."""
    wanted = (name + header.delimiters.field).encode("latin-1")
    at, count = block.find(wanted, header.end), 0
    while at >= 0:
        if block[at - 1] in b"\r\n":
            count += 1
            if most and count > most:
                text = f"want at most {most} segments {name} in a message"
                raise InvalidMessage(text, location=f"{name}^{count}", condition="100")
            line = _LINE.match(block, at)
            yield at, (line.group() if line else b"").decode("latin-1").split(header.delimiters.field)
        at = block.find(wanted, at + len(wanted))


def _missing(text: str, location: str) -> InvalidMessage:
    return InvalidMessage(text, location=location, condition="101", permanent=False)


def _raw_message(block: bytes, header: Header, peer: str, received_at: datetime) -> RawMessage:
    declared = codec(header.field(18), header.delimiters.repetition)

    def text(value: str) -> str:
        plain = value.isascii() and value.isprintable()
        return value if plain else without_controls(decode(value.encode("latin-1"), declared)[0])

    return RawMessage(
        raw=block,
        sha256=hashlib.sha256(block).hexdigest(),
        sending_application=text(header.field(3)),
        sending_facility=text(header.field(4)),
        control_id=text(header.field(10)),
        message_type=text(header.component(9)),
        trigger_event=text(header.component(9, 2)),
        version=text(header.component(12)),
        processing_id=text(header.component(11)),
        character_set=text(header.field(18)),
        peer=peer,
        received_at=received_at,
    )

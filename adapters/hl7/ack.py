"""Acknowledgments in original mode: AA, AE, AR (HL7 v2.5.1 sections 2.9.2 and 2.14).

A sender that asks for enhanced mode (MSH-15, MSH-16) gets the same one application acknowledgment; engines take it.
The caller says AA only once the message is committed.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from adapters.hl7.delimiters import STANDARD
from adapters.hl7.encode import field
from adapters.hl7.header import Header
from cds.errors import InvalidMessage, SightlineError, Unavailable

#: HL7 table 0357, the conditions that are said here.
CONDITIONS = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "207": "Application internal error",
}
_OUR_NAME = "SIGHTLINE"
#: What answers a block whose own header cannot be read.
_UNREADABLE = Header(STANDARD, ("MSH", "|", "^~\\&", *[""] * 8, "P", "2.5.1"))
#: ISO 2022 shifts between character sets with ESC (0x1B); no other control character is echoed.
_NO_CONTROLS = dict.fromkeys([*range(0x1B), *range(0x1C, 0x20)])


def accept(header: Header, at: datetime) -> bytes:
    """AA: the message is committed. `at` is the moment of the answer, MSH-7."""
    return _answer(header, "AA", "", at)


def reject(header: Header | None, error: SightlineError, at: datetime) -> bytes:
    """AR for a permanent fault, which engines do not send again; AE for what is to be corrected or tried again.

    `header` is None where none could be read: MSA-2 stays empty.
    """
    location, condition = "", error.hl7_error
    if isinstance(error, InvalidMessage):
        location, condition = error.location, error.condition
    text = str(error)
    if isinstance(error, Unavailable) and "try again" not in text:
        text = f"{text}; try again"
    known = header or _UNREADABLE
    return _answer(known, code(error), text, at, _error(known, location, condition, text))


def code(error: SightlineError) -> str:
    """MSA-1 for an error, HL7 table 0008."""
    if isinstance(error, InvalidMessage) and not error.permanent:
        return "AE"
    return error.ack_code


def _answer(header: Header, said: str, text: str, at: datetime, error: str = "") -> bytes:
    separator = header.delimiters.field
    acknowledgment = separator.join(["MSA", said, header.field(10), field(text, header.delimiters)]).rstrip(separator)
    lines = [_message_header(header, at), acknowledgment, *([error] if error else [])]
    return "".join(line.translate(_NO_CONTROLS) + "\r" for line in lines).encode("latin-1", "replace")


def _message_header(header: Header, at: datetime) -> str:
    delimiters, event = header.delimiters, header.component(9, 2)
    kind = delimiters.component.join(["ACK", event, "ACK"]) if event else "ACK"
    fields = ["MSH", header.field(2), header.field(5) or _OUR_NAME, header.field(6), header.field(3), header.field(4)]
    fields += [at.strftime("%Y%m%d%H%M%S%z"), "", kind, secrets.token_hex(10), header.field(11), header.field(12)]
    fields += [*[""] * 5, header.field(18)]
    return delimiters.field.join(fields).rstrip(delimiters.field)


def _error(header: Header, location: str, condition: str, text: str) -> str:
    """ERR in the form of the sender's version: three components in ERR-1 before 2.5, fields of their own since."""
    delimiters = header.delimiters
    place = delimiters.component.join(location.split("^")) if location else ""
    coded = [condition, CONDITIONS.get(condition, ""), "HL70357"]
    if (2,) <= header.version < (2, 5):
        said = delimiters.subcomponent.join(coded) if delimiters.subcomponent else condition
        parts = [*location.split("^"), "", "", ""][:3]
        return delimiters.field.join(["ERR", delimiters.component.join([*parts, said])])
    said = delimiters.component.join(coded)
    return delimiters.field.join(["ERR", "", place, said, "E", "", "", "", field(text, delimiters)])

"""Acknowledgments, encoded (HL7 v2.5.1 sections 2.9.2, 2.9.3 and 2.14).

Whether one is sent, and with which code, says `adapters.hl7.mode`. The caller says AA or CA only once the message is
committed.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count

from adapters.hl7.delimiters import STANDARD
from adapters.hl7.encode import field
from adapters.hl7.header import MANNERS, Header, Manner, manner, read_header
from cds.domain.message import MessageState, RawMessage
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
    "204": "Unknown key identifier",
    "207": "Application internal error",
}
_OUR_NAME = "SIGHTLINE"
#: What answers a block whose own header cannot be read.
_UNREADABLE = Header(STANDARD, ("MSH", "|", "^~\\&", *[""] * 8, "P", "2.5.1"))
#: ISO 2022 shifts between character sets with ESC (0x1B); no other control character is echoed.
_NO_CONTROLS = dict.fromkeys([*range(0x1B), *range(0x1C, 0x20)])
#: MSH-10 of our own, at most 20 characters (section 2.14.9.10); two processes do not begin at the same number.
_NUMBERS = count(secrets.randbits(78))


def accept(header: Header, at: datetime, said: str = "AA") -> bytes:
    """AA or CA: the message is committed. `at` is the moment of the answer, MSH-7."""
    return _answer(header, said, "", at)


def reject(header: Header | None, error: SightlineError, at: datetime, said: str = "") -> bytes:
    """AR, CR for a permanent fault, which engines do not send again; AE, CE for what is to be corrected or tried again.

    `header` is None where none could be read: MSA-2 stays empty. `said` is MSA-1, of the error itself unless given.
    """
    location, condition = "", error.hl7_error
    if isinstance(error, InvalidMessage):
        location, condition = error.location, error.condition
    text = str(error)
    if isinstance(error, Unavailable) and "try again" not in text:
        text = f"{text}; try again"
    known = header or _UNREADABLE
    return _answer(known, said or code(error), text, at, _error(known, location, condition, text))


def result(message: RawMessage, state: MessageState, reason: str, error: InvalidMessage | None, at: datetime) -> bytes:
    """The application acknowledgment of enhanced mode as a message of its own, for where the sender takes it.

    It asks to be accepted itself (MSH-15 AL), and for nothing more (MSH-16 NE).
    """
    return applied(read_header(message.raw), state, reason, at, error, asks=("AL", "NE"))


def applied(
    header: Header,
    state: MessageState,
    reason: str,
    at: datetime,
    error: InvalidMessage | None = None,
    *,
    asks: tuple[str, str] = ("", ""),
) -> bytes:
    """The application acknowledgment of enhanced mode: AA, or AE with what a person looks at.

    `asks` are MSH-15 and MSH-16; over the sender's own connection both are empty, so that nobody answers it.
    """
    if state in (MessageState.APPLIED, MessageState.IGNORED):
        return _answer(header, "AA", "", at, asks=asks)
    doubtful = "204" if state is MessageState.QUARANTINED else "207"
    location, condition = (error.location, error.condition) if error else ("", doubtful)
    return _answer(header, "AE", reason, at, _error(header, location, condition, reason), asks)


def code(error: SightlineError) -> str:
    """MSA-1 of original mode for an error, HL7 table 0008."""
    if isinstance(error, InvalidMessage) and not error.permanent:
        return "AE"
    return error.ack_code


def _answer(  # noqa: PLR0917 - the fields of one message, in their order
    header: Header, said: str, text: str, at: datetime, error: str = "", asks: tuple[str, str] = ("", "")
) -> bytes:
    separator = header.delimiters.field
    acknowledgment = f"MSA{separator}{said}{separator}{header.field(10)}"
    if text:
        acknowledgment += separator + field(text, header.delimiters)
    lines = [_message_header(header, at, asks), acknowledgment.rstrip(separator)]
    if error:
        lines.append(error)
    if not all(map(str.isprintable, lines)):
        lines = [line.translate(_NO_CONTROLS) for line in lines]
    return ("\r".join(lines) + "\r").encode("latin-1", "replace")


def _message_header(header: Header, at: datetime, asks: tuple[str, str]) -> str:
    before, kind, behind = _around(manner(header), asks)
    return f"{before}{_time(at)}{kind}{next(_NUMBERS):020x}{behind}"


@lru_cache(maxsize=MANNERS)
def _around(known: Manner, asks: tuple[str, str]) -> tuple[str, str, str]:
    """What stands before the time of an answer, between it and MSH-10, and behind that."""
    header = known.header
    delimiters, event, of = header.delimiters, header.component(9, 2), header.field
    separator = delimiters.field
    kind = f"ACK{delimiters.component}{event}{delimiters.component}ACK" if event else "ACK"
    before = ("MSH", of(2), of(5) or _OUR_NAME, of(6), of(3), of(4), "")
    behind = separator.join(("", of(11), of(12), "", "", *asks, "", of(18))).rstrip(separator)
    return separator.join(before), separator.join(("", "", kind, "")), behind


def _time(at: datetime) -> str:
    """DTM to the second with its offset (section 2.A.22); `strftime` takes three times as long."""
    offset = "+0000" if at.tzinfo is UTC else at.strftime("%z")
    return f"{at.year:04d}{at.month:02d}{at.day:02d}{at.hour:02d}{at.minute:02d}{at.second:02d}{offset}"


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

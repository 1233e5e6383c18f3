"""DIMSE messages (PS3.7): command sets in implicit VR little endian, and how they become PDUs (PS3.8 annex E)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cds.errors import PeerFailed

#: Element numbers of the command set (PS3.7 annex E.1); UI, AE and LO are text here, US numbers.
AFFECTED_SOP_CLASS_UID, REQUESTED_SOP_CLASS_UID = 0x0002, 0x0003
COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO = 0x0100, 0x0110, 0x0120
MOVE_DESTINATION, PRIORITY, DATA_SET_TYPE = 0x0600, 0x0700, 0x0800
STATUS, ERROR_COMMENT = 0x0900, 0x0902
AFFECTED_SOP_INSTANCE_UID, REQUESTED_SOP_INSTANCE_UID = 0x1000, 0x1001
EVENT_TYPE_ID, ACTION_TYPE_ID = 0x1002, 0x1008
REMAINING, COMPLETED, FAILED, WARNING = 0x1020, 0x1021, 0x1022, 0x1023

#: Command Field (PS3.7 annex E.1); a response has the highest bit set.
C_STORE, C_GET, C_FIND, C_MOVE, C_ECHO = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030
N_EVENT_REPORT, N_ACTION, C_CANCEL = 0x0100, 0x0130, 0x0FFF
RESPONSE = 0x8000

SUCCESS = 0x0000
#: More answers follow; the second says that not every key was matched (PS3.4 table C.4-1).
PENDING = frozenset({0xFF00, 0xFF01})

_NO_DATA_SET, _HAS_DATA_SET = 0x0101, 0x0001
_UIDS = frozenset({AFFECTED_SOP_CLASS_UID, REQUESTED_SOP_CLASS_UID, AFFECTED_SOP_INSTANCE_UID,
                   REQUESTED_SOP_INSTANCE_UID})  # fmt: skip
_TEXTS = frozenset({MOVE_DESTINATION, ERROR_COMMENT})
_NUMBERS = frozenset({COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO, PRIORITY, DATA_SET_TYPE, STATUS, EVENT_TYPE_ID,
                      ACTION_TYPE_ID, REMAINING, COMPLETED, FAILED, WARNING})  # fmt: skip

_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")
#: P-DATA-TF header with one presentation data value: type, reserved, length; item length, context, control header.
_P_DATA = struct.Struct(">BxIIBB")
_COMMAND_BIT, _LAST_BIT = 1, 2
#: Length of a PDV item beside its fragment, as the maximum length counts it (PS3.8 annex D.1.1).
_PDV_HEAD = 6

Command = Mapping[int, int | str]


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message as received; `data` is its data set, and `is_too_long` where that was above the bound."""

    context_id: int
    command: Command
    data: bytes | bytearray = b""
    is_too_long: bool = False

    def number(self, element: int) -> int | None:
        """The value of a US element; None where it is absent."""
        value = self.command.get(element)
        return value if isinstance(value, int) else None

    def text(self, element: int) -> str:
        """The value of a UI, AE or LO element; empty where it is absent."""
        value = self.command.get(element)
        return value if isinstance(value, str) else ""


def request(field: int, sop_class: str, message_id: int, *, data: bool) -> dict[int, int | str]:
    """A request of the composite services (DIMSE-C) with medium priority."""
    return {
        AFFECTED_SOP_CLASS_UID: sop_class,
        COMMAND_FIELD: field,
        MESSAGE_ID: message_id,
        PRIORITY: 0,
        DATA_SET_TYPE: _HAS_DATA_SET if data else _NO_DATA_SET,
    }


def response(to: Message, status: int, comment: str = "") -> dict[int, int | str]:
    """The response to a request, without a data set."""
    answer: dict[int, int | str] = {
        AFFECTED_SOP_CLASS_UID: to.text(AFFECTED_SOP_CLASS_UID),
        COMMAND_FIELD: (to.number(COMMAND_FIELD) or 0) | RESPONSE,
        RESPONDED_TO: to.number(MESSAGE_ID) or 0,
        DATA_SET_TYPE: _NO_DATA_SET,
        STATUS: status,
        AFFECTED_SOP_INSTANCE_UID: to.text(AFFECTED_SOP_INSTANCE_UID),
    }
    if comment:
        answer[ERROR_COMMENT] = comment[:64]
    return answer


def cancel(message_id: int) -> dict[int, int | str]:
    """C-CANCEL of an operation."""
    return {COMMAND_FIELD: C_CANCEL, RESPONDED_TO: message_id, DATA_SET_TYPE: _NO_DATA_SET}


def has_data_set(command: Command) -> bool:
    """True where a data set follows the command set."""
    return command.get(DATA_SET_TYPE, _NO_DATA_SET) != _NO_DATA_SET


def encode_command(command: Command) -> bytes:
    """A command set with its group length."""
    body = b"".join(
        _ELEMENT.pack(0, element, len(value)) + value
        for element, value in ((element, _encoded(element, command[element])) for element in sorted(command))
    )
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def decode_command(data: bytes | bytearray) -> Command:
    """The elements that we know of a command set; raise PeerFailed where it is none."""
    found: dict[int, int | str] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _ELEMENT.size:
            raise _unreadable()
        group, element, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group or length > len(data) - at:
            raise _unreadable()
        value = _decoded(element, bytes(data[at : at + length]))
        if value is not None:
            found[element] = value
        at += length
    if COMMAND_FIELD not in found:
        raise _unreadable()
    return found


def pieces(
    context_id: int, command: Command, data: bytes | memoryview, max_pdu_bytes: int
) -> Iterator[bytes | memoryview]:
    """A message as P-DATA-TF PDUs of one fragment each: headers and fragments in turn, nothing copied."""
    fragment = max_pdu_bytes - _PDV_HEAD
    yield from _fragments(context_id, _COMMAND_BIT, memoryview(encode_command(command)), fragment)
    if has_data_set(command):
        yield from _fragments(context_id, 0, memoryview(data), fragment)


def _fragments(context_id: int, kind: int, data: memoryview, size: int) -> Iterator[bytes | memoryview]:
    for start in range(0, max(len(data), 1), size):
        part = data[start : start + size]
        control = kind | (_LAST_BIT if start + size >= len(data) else 0)
        yield _P_DATA.pack(4, len(part) + _PDV_HEAD, len(part) + 2, context_id, control)
        yield part


def _encoded(element: int, value: int | str) -> bytes:
    if isinstance(value, int):
        return _US.pack(value)
    encoded = value.encode("ascii", "replace")
    if len(encoded) % 2:
        encoded += b"\0" if element in _UIDS else b" "
    return encoded


def _decoded(element: int, value: bytes) -> int | str | None:
    if element in _NUMBERS and len(value) == _US.size:
        return int(_US.unpack(value)[0])
    if element in _UIDS or element in _TEXTS:
        return value.decode("ascii", "replace").strip(" \0")
    return None


def _unreadable() -> PeerFailed:
    return PeerFailed("want DIMSE command sets that can be read (PS3.7 annex E)")

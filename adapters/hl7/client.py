"""The sending side of MLLP: one block, one connection, and an acknowledgment that is read before it is believed."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.hl7.delimiters import split
from adapters.hl7.header import read_header
from adapters.hl7.message import Message, Value
from adapters.hl7.mllp import Framer, frame
from cds.destinations import MllpDestination
from cds.errors import InvalidMessage, PeerFailed, PeerRefused, Unavailable

_LONGEST_ACKNOWLEDGMENT = 1024 * 1024
_CHUNK = 65536
_CONDITION = re.compile(r"[A-Za-z0-9]{1,20}")
#: A segment and numbers: nothing else of what a peer says is ever told.
_PLACE = re.compile(r"[A-Z][A-Z0-9]{2}(\^\d{1,3}){1,4}", re.ASCII)
#: How many components of ERR-2 (ERL, without the subcomponent) and of ERR-1 (ELD) name a place.
_ERL, _ELD = 5, 3
#: HL7 table 0357: the content is wrong, and the same bytes stay wrong. 206, a locked record, and 207, a failure of the
#: application, pass.
_CONTENT = frozenset({"100", "101", "102", "103", "200", "201", "202", "203", "204", "205"})


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """What the peer said: MSA-1, MSA-2 and MSA-3. The text may hold anything, it is for the store alone."""

    code: str
    control_id: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Fault:
    """What went wrong (HL7 table 0357) and where, as `segment^sequence^field`; empty where the peer does not say."""

    condition: str
    place: str = ""

    def __str__(self) -> str:
        said = f", condition {self.condition}" if self.condition else ","
        return f"{said} at {self.place}" if self.place else said


class Peer:
    """A destination over MLLP; its CA is read once."""

    def __init__(self, destination: MllpDestination) -> None:
        self._to = destination
        file = destination.tls_ca_file
        self._ssl_context = ssl.create_default_context(cafile=file) if file else None

    def send(self, payload: bytes) -> str:
        """Send and return the acknowledgment in words, see `send`."""
        answer = send(self._to.host, self._to.port, payload, self._to.timeout_s, self._ssl_context)
        return f"{answer.code} for message {answer.control_id}"


def send(
    host: str, port: int, block: bytes, timeout_s: float, ssl_context: ssl.SSLContext | None = None
) -> Acknowledgment:
    """Send and wait, `timeout_s` for all of it; AA or CA is returned.

    Unavailable where the peer cannot be reached, is silent, or answers with no acknowledgment of this message, and
    PeerFailed where it says AE or CE: send again with the same MSH-10. PeerRefused where it says AR or CR, or AE or CE
    with a condition that lies in the content: it will say so again. An application acknowledgment that follows a CA is
    not waited for: CA says that the peer has the message (section 2.9.3).
    """
    control_id = read_header(block).field(10)
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            if ssl_context is None:
                answer = _exchange(plain, block, deadline)
            else:
                with ssl_context.wrap_socket(plain, server_hostname=host) as secure:
                    answer = _exchange(secure, block, deadline)
    except OSError as error:
        raise Unavailable(f"the HL7 destination does not answer: {type(error).__name__}") from error
    return _judge(answer, control_id)


def _exchange(connection: socket.socket, block: bytes, deadline: float) -> bytes:
    _wait_until(connection, deadline)
    connection.sendall(frame(block))
    framer = Framer(_LONGEST_ACKNOWLEDGMENT)
    while True:
        _wait_until(connection, deadline)
        data = connection.recv(_CHUNK)
        if not data:
            raise Unavailable("the HL7 destination closed the connection without an acknowledgment")
        try:
            blocks = framer.feed(data)
        except InvalidMessage as error:
            raise Unavailable("the HL7 destination answers with too many bytes") from error
        if blocks:
            return blocks[0]


def _wait_until(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    connection.settimeout(left)


def _judge(answer: bytes, control_id: str) -> Acknowledgment:
    try:
        message = Message(answer)
    except InvalidMessage as error:
        raise Unavailable("the HL7 destination answers with something that is no HL7 v2 message") from error
    msa = message.first("MSA")
    if not msa.name:
        raise Unavailable("the HL7 destination answers with something that is no acknowledgment")
    if msa.raw(2).strip() != control_id:
        raise Unavailable("the HL7 destination acknowledges another message")
    said = Acknowledgment(msa.text(1), control_id, msa.text(3))
    if said.code in ("AA", "CA"):
        return said
    faults = sorted(_faults(message), key=lambda fault: not fault.condition)
    detail = str(faults[0]) if faults else ""
    if said.code in ("AR", "CR"):
        raise PeerRefused(f"the HL7 destination refuses the message with {said.code}{detail}")
    if said.code not in ("AE", "CE"):
        raise Unavailable("the HL7 destination answers without an acknowledgment code")
    if wrong := [fault for fault in faults if fault.condition in _CONTENT]:
        raise PeerRefused(f"the HL7 destination finds fault with the message: {said.code}{wrong[0]}")
    raise PeerFailed(f"the HL7 destination could not take the message: {said.code}{detail}")


def _faults(message: Message) -> Iterator[_Fault]:
    """What the peer says went wrong: ERR-3 at ERR-2 from 2.5 on, ERR-1 before, or MSA-6. Warnings are none."""
    found = []
    for err in message.all("ERR"):
        if err.text(4).upper() not in ("W", "I"):
            found.append((err.text(3), _place(err.value(2), _ERL) or _place(err.value(1), _ELD)))
            found += [(value.text(4, 1), _place(value, _ELD)) for value in err.values(1)]
    for said, place in (*found, (message.first("MSA").text(6), "")):
        condition = said if _CONDITION.fullmatch(said) else ""
        if condition or place:
            yield _Fault(condition, place)


def _place(value: Value, components: int) -> str:
    """Where it went wrong (HL7 v2.5.1 sections 2.A.21, 2.A.28); empty for whatever is no segment with numbers."""
    parts = split(value.raw, value.syntax.delimiters.component)[:components]
    place = "^".join(parts).rstrip("^")
    return place if _PLACE.fullmatch(place) else ""

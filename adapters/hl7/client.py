"""The sending side of MLLP: one block, one connection, and an acknowledgment that is read before it is believed."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass

from adapters.hl7.header import read_header
from adapters.hl7.message import Message
from adapters.hl7.mllp import Framer, frame
from cds.errors import InvalidMessage, PeerFailed, PeerRefused, Unavailable

_LONGEST_ACKNOWLEDGMENT = 1024 * 1024
_CHUNK = 65536
_CONDITION = re.compile(r"[A-Za-z0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """What the peer said: MSA-1, MSA-2 and MSA-3. The text may hold anything, it is for the store alone."""

    code: str
    control_id: str
    text: str = ""


def send(
    host: str, port: int, block: bytes, timeout_s: float, ssl_context: ssl.SSLContext | None = None
) -> Acknowledgment:
    """Send and wait, `timeout_s` for all of it; AA or CA is returned.

    Unavailable where the peer cannot be reached, is silent, says AE or CE, or answers another message: send again with
    the same MSH-10. PeerRefused where it says AR or CR: it will say so again.
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
        raise Unavailable("the HL7 destination answers with something that is not HL7 v2") from error
    msa, err = message.first("MSA"), message.first("ERR")
    if msa.raw(2).strip() != control_id:
        raise Unavailable("the HL7 destination acknowledges another message")
    said = Acknowledgment(msa.text(1), control_id, msa.text(3))
    if said.code in ("AA", "CA"):
        return said
    condition = _CONDITION.fullmatch(err.text(3))
    detail = f", condition {condition.group()}" if condition else ""
    if said.code in ("AR", "CR"):
        raise PeerRefused(f"the HL7 destination refuses the message with {said.code}{detail}")
    if said.code in ("AE", "CE"):
        raise PeerFailed(f"the HL7 destination could not take the message: {said.code}{detail}")
    raise Unavailable("the HL7 destination answers without an acknowledgment code")

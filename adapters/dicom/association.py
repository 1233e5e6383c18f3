"""An association as its requestor (PS3.8), for every service that Sightline uses of a PACS.

It writes a whole message at once and reads in the caller's own thread: pynetdicom's reactor, which polls every
millisecond and makes objects of each PDU, takes longer than the peer does. pynetdicom still encodes the negotiation.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from adapters.dicom import dimse
from adapters.dicom.dimse import Command, Message
from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adapters.dicom.header import UNREADABLE
from adapters.dicom.quiet import quiet
from cds import tls
from cds.errors import PeerFailed, PeerRefused, Unavailable
from cds.imaging_peers import DicomNode

#: Presentation contexts per association (PS3.8 section 9.3.2.2: odd numbers of one byte).
MOST_CONTEXTS = 128
#: DICOM Application Context Name (PS3.7 annex A.2.1).
_APPLICATION_CONTEXT = UID("1.2.840.10008.3.1.1.1")
_ACCEPTANCE = 0
#: Result of A-ASSOCIATE-RJ (PS3.8 section 9.3.4).
_REJECTED_FOR_NOW = 2

#: The longest PDU that we take (PS3.8 annex D.1); fewer, larger ones cost less.
_MAX_PDU_BYTES = 131072
_LARGEST_NEGOTIATION = 1024 * 1024
_LARGEST_COMMAND = 64 * 1024
#: A matching or answering data set; a service that receives instances says how large those may be.
_LARGEST_ANSWER = 4 * 1024 * 1024
_LEAST_PEER_PDU_BYTES = 128
_UNLIMITED_PDU_BYTES = 1024 * 1024
_WRITE_BYTES = 1024 * 1024
#: A peer that is slower than this for a whole message is gone.
_SLOWEST_BYTES_PER_S = 16 * 1024
#: A data set above the bound is read to its end, so that it can be answered; so many times the bound is no data set.
_MOST_PASSED_OVER = 8
_RELEASE_TIMEOUT_S = 5.0

_AC, _RJ, _P_DATA_TF, _RELEASE_RQ, _RELEASE_RP, _ABORT = 2, 3, 4, 5, 6, 7
_PDU = struct.Struct(">BxI")
_PDV = struct.Struct(">IBB")
_FOUR_ZEROS = bytes(4)
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)


class Proposal(NamedTuple):
    """A presentation context to ask for; with `as_scp` the peer shall send us instances of this class (C-GET)."""

    sop_class: str
    syntaxes: tuple[str, ...]
    as_scp: bool = False


class Context(NamedTuple):
    """A presentation context that the peer accepted."""

    id: int
    sop_class: str
    syntax: str


class Association:
    """An established association. Every method raises Unavailable where the peer is gone, silent or breaks it off."""

    def __init__(self, connection: socket.socket, timeout_s: float, max_message_bytes: int) -> None:
        self.contexts: Mapping[int, Context] = {}
        self._connection = connection
        self._timeout_s = timeout_s
        self._max_message_bytes = max_message_bytes
        self._peer_pdu_bytes = _MAX_PDU_BYTES
        self._message_id = 0
        self._is_over = False

    def context(self, sop_class: str, syntax: str = "") -> Context | None:
        """An accepted context for this class, in this transfer syntax where one is named."""
        return next((c for c in self.contexts.values() if c.sop_class == sop_class and syntax in ("", c.syntax)), None)

    def next_message_id(self) -> int:
        """Unique among the outstanding messages of this association."""
        self._message_id = self._message_id % 0xFFFE + 1
        return self._message_id

    def send(self, context_id: int, command: Command, data: bytes | memoryview = b"") -> None:
        """Send a message; what fits is written at once, so that neither side's TCP waits for an acknowledgment."""
        self._write(dimse.pieces(context_id, command, data, self._peer_pdu_bytes))

    def is_readable(self, timeout_s: float) -> bool:
        """True where the peer said something within this time."""
        pending = getattr(self._connection, "pending", None)  # TLS may hold what was decrypted already
        if pending is not None and pending():
            return True
        poll = select.poll()  # select() knows no descriptors above 1023
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(max(timeout_s, 0) * 1000))

    def receive(self) -> Message:
        """The next message; PeerFailed where it breaks the protocol. A data set above the bound is not kept."""
        started, received = time.monotonic(), 0
        incoming = _Incoming(self._max_message_bytes)
        while not incoming.is_complete:
            pdu = self._read_pdu(started + self._timeout_s + received / _SLOWEST_BYTES_PER_S)
            received += len(pdu)
            if received > _MOST_PASSED_OVER * self._max_message_bytes + _LARGEST_NEGOTIATION:
                raise PeerFailed("want messages that end")
            incoming.take(pdu)
        return incoming.message()

    def ask(self, context_id: int, command: Command, data: bytes | memoryview = b"") -> Message:
        """Send a request and return its one response."""
        self.send(context_id, command, data)
        answer = self.receive()
        if answer.number(dimse.RESPONDED_TO) != command[dimse.MESSAGE_ID]:
            raise PeerFailed("want a response to the request that was sent (PS3.7)")
        return answer

    def release(self) -> None:
        """Release in order, where it did not end before; a peer that does not answer is left all the same."""
        if self._is_over:
            return
        with contextlib.suppress(Unavailable):
            self._write([_PDU.pack(_RELEASE_RQ, 4), _FOUR_ZEROS])
            deadline = time.monotonic() + min(self._timeout_s, _RELEASE_TIMEOUT_S)
            self._read_pdu(deadline, wanted=_RELEASE_RP)

    def abort(self) -> None:
        """A-ABORT: the peer need not go on."""
        with contextlib.suppress(Unavailable):
            self._write([_PDU.pack(_ABORT, 4), _FOUR_ZEROS])

    def negotiate(self, node: DicomNode, proposals: Sequence[Proposal]) -> None:
        """A-ASSOCIATE; raise Unavailable or PeerRefused where the peer rejects it for now or for good."""
        self._write([_association_request(node, proposals)])
        primitive = _accepted(self._read_pdu(time.monotonic() + self._timeout_s, wanted=_AC))
        length = primitive.maximum_length_received
        if length is not None and 0 < length < _LEAST_PEER_PDU_BYTES:
            raise PeerRefused(f"want a peer that takes PDUs of {_LEAST_PEER_PDU_BYTES} bytes")
        self._peer_pdu_bytes = min(length or _UNLIMITED_PDU_BYTES, _UNLIMITED_PDU_BYTES)
        self.contexts = _contexts(primitive, proposals)
        if not self.contexts:
            raise PeerRefused(
                "want a peer that takes instances of these SOP classes: it accepts no presentation context"
            )

    def _write(self, pieces: Iterator[bytes | memoryview] | Sequence[bytes | memoryview]) -> None:
        waiting: list[bytes | memoryview] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= _WRITE_BYTES:
                self._write_now(b"".join(waiting))
                waiting, size = [], 0
        self._write_now(b"".join(waiting))

    def _write_now(self, data: bytes) -> None:
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(data)
        except OSError as error:
            raise self._over(f"the DICOM peer ended the association: {type(error).__name__}") from error

    def _read_pdu(self, deadline: float, wanted: int = _P_DATA_TF) -> bytearray:
        """The body of the next PDU of the wanted type; while an association is released others are passed over."""
        while True:
            kind, length = _PDU.unpack(self._read(_PDU.size, deadline))
            if length > (_MAX_PDU_BYTES if kind == _P_DATA_TF else _LARGEST_NEGOTIATION):
                raise PeerFailed("want PDUs that are no longer than negotiated")
            body = self._read(length, deadline)
            if kind == wanted:
                return body
            if wanted != _RELEASE_RP or kind != _P_DATA_TF:
                self._end(kind, body)

    def _end(self, kind: int, body: bytearray) -> None:
        """What ends an association: always raises."""
        if kind == _RJ:
            if body[1:2] == bytes([_REJECTED_FOR_NOW]):
                raise Unavailable("want an association, the peer rejected it for now")
            raise PeerRefused("want an association, the peer rejected it (called or calling AE title)")
        if kind == _RELEASE_RQ:
            self._write([_PDU.pack(_RELEASE_RP, 4), _FOUR_ZEROS])
        if kind in (_RELEASE_RQ, _ABORT):
            raise self._over("the DICOM peer ended the association")
        raise PeerFailed("want PDUs in the order of PS3.8")

    def _read(self, size: int, deadline: float) -> bytearray:
        buffer = bytearray(size)
        at = 0
        with memoryview(buffer) as view:
            while at < size:
                count = self._read_some(view[at:], deadline)
                if not count:
                    raise self._over("the DICOM peer closed the connection")
                at += count
        return buffer

    def _read_some(self, view: memoryview, deadline: float) -> int:
        """Acknowledge at once: a peer with Nagle's algorithm holds the second half of its answer back until then."""
        try:
            if _QUICK_ACK is not None:
                self._connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
            self._connection.settimeout(max(deadline - time.monotonic(), 0.001))
            return self._connection.recv_into(view)
        except TimeoutError as error:
            raise self._over("want a DICOM peer that answers within its timeout") from error
        except OSError as error:
            raise self._over(f"the DICOM peer ended the association: {type(error).__name__}") from error

    def _over(self, text: str) -> Unavailable:
        """Nothing more is said or waited for."""
        self._is_over = True
        return Unavailable(text)


class _Incoming:
    """A message that is being put together of its fragments."""

    def __init__(self, max_bytes: int) -> None:
        self.is_complete = False
        self._max_bytes = max_bytes
        self._context_id = 0
        self._encoded = bytearray()
        self._command: Command | None = None
        self._data = bytearray()
        self._is_too_long = False

    def take(self, pdu: bytearray) -> None:
        """The presentation data values of one PDU (PS3.8 section 9.3.5)."""
        at = 0
        with memoryview(pdu) as view:
            while at < len(view):
                if self.is_complete or len(view) - at < _PDV.size:
                    raise PeerFailed("want presentation data values that fill their PDU (PS3.8 section 9.3.5)")
                length, context_id, control = _PDV.unpack_from(view, at)
                end = at + length + 4
                if length < 2 or end > len(view):  # noqa: PLR2004  context ID and control header
                    raise PeerFailed("want presentation data values that fill their PDU (PS3.8 section 9.3.5)")
                self._fragment(context_id, control, view[at + _PDV.size : end])
                at = end

    def message(self) -> Message:
        """The message, once it is complete."""
        return Message(self._context_id, self._command or {}, self._data, self._is_too_long)

    def _fragment(self, context_id: int, control: int, part: memoryview) -> None:
        is_last = bool(control & 2)
        if bool(control & 1) != (self._command is None):
            raise PeerFailed("want a command set and then its data set (PS3.8 annex E)")
        if self._command is None:
            self._encoded += part
            if len(self._encoded) > _LARGEST_COMMAND:
                raise PeerFailed("want shorter command sets")
            if is_last:
                self._context_id, self._command = context_id, dimse.decode_command(self._encoded)
                self.is_complete = not dimse.has_data_set(self._command)
            return
        self._is_too_long = self._is_too_long or len(self._data) + len(part) > self._max_bytes
        if self._is_too_long:
            self._data = bytearray()
        else:
            self._data += part
        self.is_complete = is_last


@contextmanager
def associated(
    node: DicomNode, proposals: Sequence[Proposal], *, timeout_s: float, max_message_bytes: int = _LARGEST_ANSWER
) -> Iterator[Association]:
    """An association for these contexts; released at the end, aborted where the block raises.

    Raise Unavailable where nobody answers, its certificate is not of the named CA, or the association is rejected for
    now; PeerRefused where it is rejected for good or none of the contexts is accepted.
    """
    quiet()
    with _connected(node, timeout_s) as connection:
        association = Association(connection, timeout_s, max_message_bytes)
        end = association.abort
        try:
            association.negotiate(node, proposals)
            yield association
            end = association.release
        finally:
            end()


@contextmanager
def _connected(node: DicomNode, timeout_s: float) -> Iterator[socket.socket]:
    """TCP_NODELAY: Nagle's algorithm and delayed acknowledgment together cost 40 ms per message."""
    try:
        context = tls.peer(node.tls)
    except OSError as error:  # ssl.SSLError is one
        raise Unavailable("want TLS files of this DICOM peer that can be read") from error
    try:
        plain = socket.create_connection((node.host, node.port), timeout=timeout_s)
    except OSError as error:
        raise Unavailable("want a DICOM peer that answers at the configured host and port") from error
    with contextlib.ExitStack() as stack:
        stack.callback(plain.close)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is None:
            yield plain
            return
        try:
            secure = context.wrap_socket(plain, server_hostname=node.host)
        except OSError as error:
            said = type(error).__name__
            raise Unavailable(
                f"want a DICOM peer that speaks TLS with a certificate of the named CA: {said}"
            ) from error
        stack.callback(secure.close)
        yield secure


def _association_request(node: DicomNode, proposals: Sequence[Proposal]) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title = node.calling_ae_title
    primitive.called_ae_title = node.ae_title
    contexts = []
    for number, proposal in enumerate(proposals[:MOST_CONTEXTS]):
        context = build_context(proposal.sop_class, list(proposal.syntaxes))
        context.context_id = 2 * number + 1
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = _MAX_PDU_BYTES
    uid, version = ImplementationClassUIDNotification(), ImplementationVersionNameNotification()
    uid.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, uid, version, *_roles(proposals)]
    return bytes(A_ASSOCIATE_RQ(primitive).encode())


def _roles(proposals: Sequence[Proposal]) -> list[SCP_SCU_RoleSelectionNegotiation]:
    """SCP/SCU Role Selection (PS3.7 annex D.3.3.4): we shall be sent instances of these classes."""
    roles = []
    for sop_class in dict.fromkeys(proposal.sop_class for proposal in proposals if proposal.as_scp):
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = UID(sop_class), False, True
        roles.append(role)
    return roles


def _accepted(body: bytearray) -> A_ASSOCIATE:
    pdu = A_ASSOCIATE_AC()
    try:
        pdu.decode(_PDU.pack(_AC, len(body)) + bytes(body))
        return pdu.to_primitive()
    except (*UNREADABLE, struct.error, AssertionError) as error:
        raise PeerFailed("want an A-ASSOCIATE-AC that can be read (PS3.8 section 9.3.3)") from error


def _contexts(primitive: A_ASSOCIATE, proposals: Sequence[Proposal]) -> dict[int, Context]:
    """The accepted ones, in our order; one whose syntax was never proposed is none."""
    proposed = {2 * number + 1: proposal for number, proposal in enumerate(proposals)}
    found = {}
    for result in primitive.presentation_context_definition_results_list:
        proposal = proposed.get(result.context_id or 0)
        syntax = str(result.transfer_syntax[0]) if result.transfer_syntax else ""
        if proposal is not None and result.result == _ACCEPTANCE and syntax in proposal.syntaxes:
            found[result.context_id or 0] = Context(result.context_id or 0, proposal.sop_class, syntax)
    return dict(sorted(found.items()))

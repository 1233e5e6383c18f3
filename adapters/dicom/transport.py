"""The listener's sockets with the bounds that pynetdicom leaves open: PDU, message, backlog, handshake, connections."""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Sequence
from io import BytesIO
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cds import metrics
from cds.limits import DicomLimits
from cds.logs import get_logger

if TYPE_CHECKING:
    from pynetdicom.events import Event

log = get_logger(__name__)

#: A-ASSOCIATE-RQ is not held to the maximum PDU length (PS3.8 annex D.1); 128 contexts of 45 syntaxes need 0.2 MB.
_LARGEST_NEGOTIATION = 1024 * 1024
_LARGEST_COMMAND = 64 * 1024
#: Without asynchronous operations (PS3.7 annex D.3.3.3) one request is outstanding; a C-CANCEL may overtake it.
_LARGEST_BACKLOG = 2
#: Connections that did not yet ask for an association count as well; those above this multiple are closed at once.
_CONNECTIONS_PER_ASSOCIATION = 2

#: Who is slower than this within one PDU holds a connection for nothing; bytes per second.
_SLOWEST = 16 * 1024
#: How long a reading thread waits for data, and how long it sleeps between; what we send by ourselves waits so long.
_PATIENCE_S = 0.01
_POLL_S = 0.0001
#: How long an association's own thread waits for news before it looks at its timers.
_ROUND_S = 0.02
#: The upper layer's machine (PS3.8 section 9.2): awaiting a request, associated; transport connection closed.
_WAITING, _CLOSED = frozenset({"Sta2", "Sta6"}), "Evt17"


class SharedContexts(list[PresentationContext]):
    """The supported contexts, which negotiation only reads: copying 170 of them took 60 ms per connection."""

    def __deepcopy__(self, memo: object) -> SharedContexts:
        """pynetdicom copies them for each association."""
        return SharedContexts(self)


class Overflow(BytesIO):
    """Stands in for a data set above the limit: takes the rest of it without keeping it, so that we can answer."""

    def write(self, data: Any, /) -> int:
        """Forget the data."""
        return len(data)


class BoundedSocket(AssociationSocket):
    """Reads whole PDUs into one buffer, and refuses what would fill the memory before anybody looked at it."""

    limits = DicomLimits()

    def recv(self, nr_bytes: int) -> bytearray:
        """As pynetdicom wants it: all the bytes, or fewer where the peer left, or OSError, which ends the association.

        Raise OSError for a PDU that is longer than negotiated, and for a message or a backlog above the bounds.
        """
        connection = self.socket
        if connection is None or nr_bytes > max(self.limits.max_pdu_bytes, _LARGEST_NEGOTIATION):
            raise OSError("the peer's PDU is longer than negotiated")
        self._bound_message()
        buffer = bytearray(nr_bytes)
        view = memoryview(buffer)
        read = 0
        deadline = time.monotonic() + self.limits.network_timeout_s + nr_bytes / _SLOWEST
        while read < nr_bytes:
            _acknowledge(connection)
            count = connection.recv_into(view[read:])
            if not count:
                break
            read += count
            if read < nr_bytes and time.monotonic() > deadline:
                raise OSError("the peer sends too slowly")
        view.release()
        del buffer[read:]
        return buffer

    @property
    def ready(self) -> bool:
        """Is there something to read? Waits a little for it while data may come: a poll finds it late."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        patience = _PATIENCE_S if self.assoc.dul.state_machine.current_state in _WAITING else 0
        try:
            return bool(select.select([connection], [], [], patience)[0])
        except (OSError, ValueError):
            self.event_queue.put(_CLOSED)
            return False

    def _shutdown_socket(self) -> None:
        """Closes also where the peer was first and `shutdown` fails; pynetdicom's own leaves that socket open."""
        connection = self.socket
        if connection is None:
            return
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _bound_message(self) -> None:
        dimse = self.assoc.dimse
        if dimse.msg_queue.qsize() > _LARGEST_BACKLOG:
            raise OSError("the peer sends requests without waiting for answers")
        message = dimse.message
        if message is None:
            return
        if message.encoded_command_set.tell() > _LARGEST_COMMAND:
            raise OSError("the peer's command set is too long")
        if message.data_set is not None and message.data_set.tell() > self.limits.max_instance_bytes:
            message.data_set = Overflow()


class PromptAssociation(Association):
    """Serves a request in the thread that read it, so that neither the request nor its answer waits for a poll."""

    def _abort_blocking(self, block: bool = True) -> None:
        """Waiting for the thread that reads, in that thread, would wait for ever."""
        super()._abort_blocking(block and threading.current_thread() is not self.dul)


class PromptQueue(queue.Queue[Any]):
    """Takes DIMSE messages as they are read. What comes before the association stands waits for its own thread."""

    def __init__(self, association: PromptAssociation) -> None:
        super().__init__()
        self._association = association

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Serve a request; the peer may not send another before it has the answer (PS3.7 annex D.3.3.3)."""
        context_id, message = item
        if message is None or not self._association.is_established or self.qsize():
            super().put(item, block, timeout)
        else:
            self._association._serve_request(message, context_id)


class Unhurried(threading.Event):
    """What an association's own thread waits for in each round. It has releases and aborts to look for, which wake it;
    a round each millisecond takes the interpreter from those that receive.
    """

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._told = association.dul.to_user_queue
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the upper layer to say something, a little; then as the event does."""
        with self._told.not_empty:
            if not self._told.queue:
                self._told.not_empty.wait(_ROUND_S)
        return super().wait(timeout)


class BoundedHandler(RequestHandler):
    """Gives each association a `BoundedSocket`."""

    socket_class = BoundedSocket

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.__class__ = PromptAssociation
        association.dimse.msg_queue = PromptQueue(cast("PromptAssociation", association))
        association.dul._run_loop_delay = _POLL_S
        association._reactor_checkpoint = Unhurried(association)
        association.dul.event_queue.get_nowait()  # Evt5 of the socket that is replaced: the new one announces itself
        association.dul.socket = self.socket_class(association, client_socket=cast("socket.socket", self.request))
        return association


class BoundedServer(ThreadedAssociationServer):
    """Accepts without ever waiting for one peer: handshake and reads happen in the association's own thread."""

    daemon_threads = True
    limits = DicomLimits()
    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """TCP_NODELAY, because answers are small and the peer waits for each; the TLS handshake is left to the read."""
        connection, address = cast("socket.socket", self.socket).accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(self.limits.network_timeout_s)
        if self.ssl_context is not None:
            connection = _wrapped(self.ssl_context, connection)
        return connection, address

    def shutdown(self) -> None:
        """Stop accepting; associations go on. pynetdicom's own wants the entity to have made the server."""
        socketserver.BaseServer.shutdown(self)

    def _bind_defaults(self) -> None:
        """Without the handlers that write each PDU into pynetdicom's log, which nobody reads."""
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def process_request(self, request: Any, client_address: Any) -> None:
        """In this thread: it only starts the association's own, and who connects next finds this one counted."""
        self.process_request_thread(request, client_address)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """False closes the connection: it is of nobody who may connect, or there are far too many already."""
        host = str(client_address[0])
        outcome = self._unwanted(host)
        metrics.DICOM_CONNECTIONS.inc(outcome=outcome or "accepted")
        if outcome:
            log.warning("connection closed at once", peer=host, outcome=outcome)
        return not outcome

    def _unwanted(self, host: str) -> str:
        """Why this address gets no connection now; empty where it does."""
        if self.allowed and not is_in(host, self.allowed):
            return "not-allowed"
        here = self.active_associations
        if len(here) >= self.limits.max_associations * _CONNECTIONS_PER_ASSOCIATION:
            return "too-many"
        if sum(one.requestor.address == host for one in here) >= self.limits.max_connections_per_peer:
            return "too-many-of-peer"
        return ""


def _acknowledge(connection: socket.socket) -> None:
    """Say now what has come: a sender with Nagle's algorithm holds the end of its image back until it knows, and the
    kernel would wait 40 ms to tell. It lasts for one turn.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def on_closed(event: Event) -> None:
    """A peer that connects and goes (a health check, a port scan) must not hold its thread until the ACSE timeout."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(cast("Any", None))


def _wrapped(context: ssl.SSLContext, connection: socket.socket) -> socket.socket:
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def is_in(host: str, networks: Sequence[str | IPv4Network | IPv6Network]) -> bool:
    """Is this address in one of the networks? An IPv4 address that comes by IPv6 (::ffff:10.0.0.1) is one of IPv4."""
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ip_network(network) for network in networks)


def bounded(limits: DicomLimits, allowed_peers: Sequence[str] = ()) -> tuple[type[BoundedServer], type[BoundedHandler]]:
    """Server and handler classes for these limits and networks; pynetdicom makes their objects itself."""
    allowed = tuple(map(ip_network, allowed_peers))
    sockets = type("LimitedSocket", (BoundedSocket,), {"limits": limits})
    handler = type("LimitedHandler", (BoundedHandler,), {"socket_class": sockets})
    server = type("LimitedServer", (BoundedServer,), {"limits": limits, "allowed": allowed})
    return server, handler

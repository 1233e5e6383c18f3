"""The listener's sockets with the bounds that pynetdicom leaves open: PDU, message, backlog, handshake, connections."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from cds.settings import DicomLimits

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

#: A-ASSOCIATE-RQ is not held to the maximum PDU length (PS3.8 annex D.1); 128 contexts of 45 syntaxes need 0.2 MB.
_LARGEST_NEGOTIATION = 1024 * 1024
_LARGEST_COMMAND = 64 * 1024
#: Without asynchronous operations (PS3.7 annex D.3.3.3) one request is outstanding; a C-CANCEL may overtake it.
_LARGEST_BACKLOG = 2
#: Connections that did not yet ask for an association count as well; those above this multiple are closed at once.
_CONNECTIONS_PER_ASSOCIATION = 2


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
        while read < nr_bytes:
            count = connection.recv_into(view[read:])
            if not count:
                break
            read += count
        view.release()
        del buffer[read:]
        return buffer

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


class BoundedHandler(RequestHandler):
    """Gives each association a `BoundedSocket`."""

    socket_class = BoundedSocket

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # Evt5 of the socket that is replaced: the new one announces itself
        association.dul.socket = self.socket_class(association, client_socket=cast("socket.socket", self.request))
        return association


class BoundedServer(ThreadedAssociationServer):
    """Accepts without ever waiting for one peer: handshake and reads happen in the association's own thread."""

    daemon_threads = True
    limits = DicomLimits()

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

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """False closes the connection: there are far too many already."""
        return len(self.active_associations) < self.limits.max_associations * _CONNECTIONS_PER_ASSOCIATION


def on_closed(event: Event) -> None:
    """A peer that connects and goes (a health check, a port scan) must not hold its thread until the ACSE timeout."""
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(cast("Any", None))


def _wrapped(context: ssl.SSLContext, connection: socket.socket) -> socket.socket:
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def bounded(limits: DicomLimits) -> tuple[type[BoundedServer], type[BoundedHandler]]:
    """Server and handler classes for these limits; pynetdicom makes their objects itself."""
    sockets = type("LimitedSocket", (BoundedSocket,), {"limits": limits})
    handler = type("LimitedHandler", (BoundedHandler,), {"socket_class": sockets})
    server = type("LimitedServer", (BoundedServer,), {"limits": limits})
    return server, handler

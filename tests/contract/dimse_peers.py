"""PACS for the tests of the DIMSE client: pynetdicom's SCPs, and a socket that says whatever a test wants."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, DEFAULT_TRANSFER_SYNTAXES, evt
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.presentation import PresentationContext

from adapters.dicom.quiet import quiet
from cds.destinations import PeerTls
from cds.imaging_peers import DicomNode

PACS = "PACS"
#: Study Root Query/Retrieve: FIND, MOVE, GET.
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))


def node_at(port: int, host: str = "127.0.0.1", ae_title: str = PACS, tls: PeerTls | None = None) -> DicomNode:
    return DicomNode(host=host, port=port, ae_title=ae_title, tls=tls)


@contextmanager
def pacs(
    handlers: Sequence[Any],
    contexts: Sequence[str],
    *,
    syntaxes: Sequence[str] = DEFAULT_TRANSFER_SYNTAXES,
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[DicomNode]:
    """A pynetdicom application entity that serves while the block runs; `options` are attributes of its AE."""
    quiet()
    entity = AE(PACS)
    entity.require_called_aet = True
    for name, value in options.items():
        setattr(entity, name, value)
    for context in contexts:
        entity.add_supported_context(context, list(syntaxes), scu_role=True, scp_role=True)
    server = entity.make_server(("127.0.0.1", 0), evt_handlers=list(handlers), ssl_context=ssl_context)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield node_at(server.server_address[1])
    finally:
        socketserver.BaseServer.shutdown(server)
        thread.join()
        server.server_close()


def finding(answers: Callable[[Dataset], Iterator[tuple[int, Dataset | None]]]) -> list[Any]:
    """The handler of a C-FIND SCP."""
    return [(evt.EVT_C_FIND, lambda event: answers(event.identifier))]


def match(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


@contextmanager
def saying(script: Callable[[socket.socket], None]) -> Iterator[DicomNode]:
    """A peer that accepts one connection and does what a test wants with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):  # the other side may go first
                connection.settimeout(10)
                script(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield node_at(listener.getsockname()[1])
        finally:
            thread.join()


def read_pdu(connection: socket.socket) -> bytes:
    """The next PDU, whole; empty where the other side is gone."""
    head = _exactly(connection, 6)
    return head + _exactly(connection, int.from_bytes(head[2:], "big")) if head else b""


def accept(connection: socket.socket) -> None:
    """Accept every presentation context in its first syntax, with PDUs of 16 kB."""
    request = A_ASSOCIATE_RQ()
    request.decode(read_pdu(connection))
    primitive = request.to_primitive()
    primitive.presentation_context_definition_results_list = [
        _accepted(context) for context in primitive.presentation_context_definition_list
    ]
    primitive.result, primitive.result_source = 0, 1
    connection.sendall(A_ASSOCIATE_AC(primitive).encode())


def p_data(context_id: int, control: int, fragment: bytes) -> bytes:
    """A P-DATA-TF PDU with one presentation data value (PS3.8 section 9.3.5)."""
    value = (len(fragment) + 2).to_bytes(4, "big") + bytes([context_id, control]) + fragment
    return b"\x04\0" + len(value).to_bytes(4, "big") + value


def _accepted(context: PresentationContext) -> PresentationContext:
    result = PresentationContext()
    result.context_id = context.context_id
    result.transfer_syntax = [str(context.transfer_syntax[0])]
    result.result = 0
    return result


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data

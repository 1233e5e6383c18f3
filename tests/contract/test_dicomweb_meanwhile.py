"""What a retrieval does while its server is silent: it checks what came, and else the network comes first."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from adapters.dicom.arrival import Arrivals
from adapters.dicom.dicomweb import Dicomweb
from adapters.dicom.files import InstanceFiles
from adapters.dicom.wado import WadoFetcher
from cds.domain.imaging import InstanceHeader
from cds.domain.retrieval import Fetched, RemoteSeries
from cds.imaging_peers import DicomwebServer
from cds.limits import DicomLimits
from tests.contract.dicomweb_peer import RELATED, multipart
from tests.peers.dicom_peers import FixedClock, MemoryIndex, files_below, write_series

_PATIENCE_S = 5


@contextmanager
def halting(body: bytes, at: int, go_on: threading.Event) -> Iterator[DicomwebServer]:
    """Answers one request with so many bytes of a body, and with the rest once it may go on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer, args=(listener, body, at, go_on))
        thread.start()
        try:
            yield DicomwebServer(url=f"http://127.0.0.1:{listener.getsockname()[1]}/dicom-web")
        finally:
            go_on.set()
            thread.join()


def _answer(listener: socket.socket, body: bytes, at: int, go_on: threading.Event) -> None:
    connection, _ = listener.accept()
    with connection:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += connection.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RELATED}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:at])
        if go_on.wait(_PATIENCE_S):
            connection.sendall(body[at:])


def test_work_is_done_while_the_server_is_silent_and_its_answer_comes_whole() -> None:
    body, go_on = bytes(range(256)) * 64, threading.Event()
    done: list[int] = []

    def meanwhile() -> bool:
        done.append(len(done))
        if len(done) == 3:
            go_on.set()
        return len(done) < 3

    with (
        halting(body, 5000, go_on) as server,
        Dicomweb(server, _PATIENCE_S) as web,
        web.send("GET", "/x", {}) as answer,
    ):
        assert b"".join(answer.chunks(meanwhile)) == body
    assert len(done) >= 3


@pytest.mark.parametrize("parts_first", [1, 2])
def test_instances_are_checked_while_their_successors_are_on_their_way(parts_first: int, tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in write_series(tmp_path / "ct")]
    one = pydicom.dcmread(tmp_path / "ct" / sorted(p.name for p in (tmp_path / "ct").iterdir())[0])
    series = RemoteSeries(str(one.StudyInstanceUID), str(one.SeriesInstanceUID), instances=len(contents))
    checked, go_on = 0, threading.Event()

    def consumes(header: InstanceHeader) -> bool:
        nonlocal checked
        checked += 1
        if checked == parts_first:
            go_on.set()
        return header.modality == "CT"

    index, limits = MemoryIndex(), DicomLimits()
    files = InstanceFiles(tmp_path / "data", 0)
    arrivals = Arrivals(files=files, index=index, clock=FixedClock(), consumes=consumes, limits=limits)
    body = multipart(*contents)
    at = len(multipart(*contents[:parts_first])) + 100
    with halting(body, at, go_on) as server:
        fetcher = WadoFetcher(server, arrivals, source="pacs:test", timeout_s=_PATIENCE_S, parallel=1, limits=limits)
        assert fetcher.fetch(series, ()) == Fetched(arrived=len(contents))
    assert len(files_below(tmp_path / "data")) == len(index.instances) == len(contents)

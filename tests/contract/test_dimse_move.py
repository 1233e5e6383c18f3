"""C-MOVE against an SCP on loopback that sends to our receiver, which is as far away as another process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import build_context, evt
from pynetdicom.events import Event

from adapters.dicom.find import FindAsker
from adapters.dicom.move import MoveFetcher
from adapters.dicom.sender import send
from cds.domain.retrieval import RemoteSeries
from cds.errors import PeerFailed, PeerRefused
from tests.contract.dimse_peers import FIND, MOVE, match, node_at, pacs
from tests.contract.test_dimse_get import remote
from tests.peers.dicom_peers import AE_TITLE, MemoryIndex, receiving, write_series


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series")


def moving(paths: list[Path], port: int, asked: list[Any] | None = None) -> list[Any]:
    """The handler of a C-MOVE SCP that knows one destination."""
    images = [pydicom.dcmread(path) for path in paths]

    def on_move(event: Event) -> Iterator[Any]:
        if asked is not None:
            asked.append(event.identifier)
        if event.move_destination != AE_TITLE:
            yield None, None
            return
        yield "127.0.0.1", port, {"contexts": [build_context(CTImageStorage)]}
        uids = event.identifier.get("SOPInstanceUID")
        wanted = [one for one in images if uids is None or one.SOPInstanceUID in uids]
        yield len(wanted)
        for image in wanted:
            yield 0xFF00, image

    return [(evt.EVT_C_MOVE, on_move)]


def test_a_series_is_moved_to_our_receiver_and_found_in_the_index(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    index = MemoryIndex()
    asked: list[Any] = []
    with (
        receiving(tmp_path / "data", index) as receiver,
        pacs(moving(paths, receiver.port, asked), [MOVE], ae_title=AE_TITLE) as node,
    ):
        mover = MoveFetcher(node_at(node.port, ae_title=AE_TITLE), AE_TITLE, index, timeout_s=5)
        assert mover.fetch(series, instances[:2]).arrived == 2
        fetched = mover.fetch(series, instances)
    assert (fetched.arrived, fetched.failed, fetched.reasons) == (6, 0, ())
    assert [one.QueryRetrieveLevel for one in asked] == ["IMAGE", "SERIES"]


def test_without_a_list_of_instances_the_pacs_is_believed(paths: list[Path], tmp_path: Path) -> None:
    series, _ = remote(paths)
    index = MemoryIndex()
    with receiving(tmp_path / "data", index) as receiver, pacs(moving(paths, receiver.port), [MOVE]) as node:
        assert MoveFetcher(node, AE_TITLE, index, timeout_s=5).fetch(series).arrived == 6


def test_what_was_sent_elsewhere_did_not_arrive(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    here, elsewhere = MemoryIndex(), MemoryIndex()
    with receiving(tmp_path / "data", elsewhere) as receiver, pacs(moving(paths, receiver.port), [MOVE]) as node:
        fetched = MoveFetcher(node, AE_TITLE, here, timeout_s=0.5).fetch(series, instances)
    assert (fetched.arrived, fetched.failed) == (0, 6)
    assert fetched.reasons


def test_an_unknown_destination_says_which_ae_title_the_pacs_must_know(paths: list[Path]) -> None:
    series, instances = remote(paths)
    with pacs(moving(paths, 1), [MOVE]) as node, pytest.raises(PeerRefused, match="move destination NOBODY"):
        MoveFetcher(node, "NOBODY", MemoryIndex(), timeout_s=5).fetch(series, instances)


def test_a_receiver_that_cannot_be_reached_is_told_by_the_status_of_the_pacs(paths: list[Path]) -> None:
    series, instances = remote(paths)
    with pacs(moving(paths, 1), [MOVE]) as node, pytest.raises((PeerFailed, PeerRefused)):
        MoveFetcher(node, AE_TITLE, MemoryIndex(), timeout_s=5).fetch(series, instances)


def test_a_pacs_without_c_move_is_refused(paths: list[Path]) -> None:
    series, instances = remote(paths)
    with pacs([], [FIND]) as node, pytest.raises(PeerRefused):
        MoveFetcher(node, AE_TITLE, MemoryIndex(), timeout_s=5).fetch(series, instances)


def silent(paths: list[Path], port: int, pause_s: float) -> list[Any]:
    """A PACS that says nothing while it sends, one instance after the other, over associations of its own."""

    def on_move(_: Event) -> Iterator[Any]:
        yield "127.0.0.1", port, {"contexts": [build_context(CTImageStorage)]}
        yield 1
        for path in paths:
            send([path], node_at(port, ae_title=AE_TITLE), timeout_s=5)
            time.sleep(pause_s)
        yield 0xFF00, pydicom.dcmread(paths[0])

    return [(evt.EVT_C_MOVE, on_move)]


def test_a_pacs_that_is_silent_while_its_instances_arrive_is_waited_for(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    index = MemoryIndex()
    with receiving(tmp_path / "data", index) as receiver, pacs(silent(paths, receiver.port, 0.15), [MOVE]) as node:
        assert MoveFetcher(node, AE_TITLE, index, timeout_s=0.4).fetch(series, instances).arrived == 6


def test_a_pacs_that_is_silent_and_sends_nothing_is_not_waited_for(paths: list[Path]) -> None:
    series, instances = remote(paths)
    go = threading.Event()

    def on_move(_: Event) -> Iterator[Any]:
        go.wait(5)
        yield None, None

    started = time.monotonic()
    with pacs([(evt.EVT_C_MOVE, on_move)], [MOVE]) as node:
        with pytest.raises(PeerFailed):
            MoveFetcher(node, AE_TITLE, MemoryIndex(), timeout_s=0.3).fetch(series, instances)
        go.set()
    assert time.monotonic() - started < 2


def test_a_series_nobody_named_the_instances_of_is_asked_for_them(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    index = MemoryIndex()

    def on_find(_: Event) -> Iterator[Any]:
        for one in instances:
            yield 0xFF00, match(SOPInstanceUID=one.sop_instance_uid, SOPClassUID=one.sop_class_uid)

    with receiving(tmp_path / "data", index) as receiver:
        handlers = [*moving(paths[:5], receiver.port), (evt.EVT_C_FIND, on_find)]
        with pacs(handlers, [MOVE, FIND]) as node:
            mover = MoveFetcher(node, AE_TITLE, index, timeout_s=0.5, asker=FindAsker(node, 5))
            fetched = mover.fetch(RemoteSeries(series.study_instance_uid, series.series_instance_uid))
    assert (fetched.arrived, fetched.failed) == (5, 1)

"""C-GET against an SCP on loopback: what arrives is committed before it is answered, and stays when the PACS leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, RLELossless
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import StoragePresentationContexts

from adapters.dicom.find import FindAsker
from adapters.dicom.get import GetFetcher, _storage
from adapters.dicom.syntaxes import ACCEPTED_SYNTAXES
from cds.domain.imaging import StoredInstance
from cds.domain.retrieval import RemoteInstance, RemoteSeries
from cds.errors import OutOfResources, PeerFailed, PeerRefused, Unavailable
from cds.imaging_peers import DicomNode
from cds.limits import DicomLimits
from tests.contract.dimse_peers import FIND, GET, match, pacs
from tests.peers.dicom_peers import MemoryIndex, arrivals_into, edited, files_below, noise, write_series


class Pacs:
    """A C-GET SCP that has these files, and what it was asked and told."""

    def __init__(self, paths: list[Path]) -> None:
        self.images = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, paths)}
        self.asked: list[Dataset] = []
        self.answers: list[int] = []
        #: After so many instances it aborts.
        self.leaves_after = 10_000

    def on_get(self, event: Event) -> Iterator[Any]:
        self.asked.append(event.identifier)
        uids = event.identifier.get("SOPInstanceUID") or list(self.images)
        wanted = [self.images[uid] for uid in ([uids] if isinstance(uids, str) else uids)]
        yield len(wanted)
        for number, image in enumerate(wanted):
            if number == self.leaves_after:
                event.assoc.abort()
                return
            yield 0xFF00, image

    def on_message(self, event: Event) -> None:
        command = event.message.command_set
        if command.CommandField == 0x8001:
            self.answers.append(command.Status)

    def handlers(self) -> list[Any]:
        return [(evt.EVT_C_GET, self.on_get), (evt.EVT_DIMSE_RECV, self.on_message)]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "series")


def remote(paths: list[Path]) -> tuple[RemoteSeries, list[RemoteInstance]]:
    images = [pydicom.dcmread(path) for path in paths]
    first = images[0]
    series = RemoteSeries(str(first.StudyInstanceUID), str(first.SeriesInstanceUID), instances=len(paths))
    return series, [
        RemoteInstance(
            series.study_instance_uid, series.series_instance_uid, str(one.SOPInstanceUID), str(one.SOPClassUID)
        )
        for one in images
    ]


def fetcher(
    node: DicomNode, data_dir: Path, index: MemoryIndex, limits: DicomLimits | None = None, **more: Any
) -> GetFetcher:
    limits = limits or DicomLimits()
    return GetFetcher(
        node, arrivals_into(data_dir, index, limits), source="pacs:one", timeout_s=5, limits=limits, **more
    )


def test_a_whole_series_is_fetched_and_committed(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        fetched = fetcher(node, tmp_path / "data", index).fetch(series, instances)
    assert (fetched.arrived, fetched.failed, fetched.reasons) == (6, 0, ())
    assert index.outcomes == ["new"] * 6
    assert [asked.QueryRetrieveLevel for asked in peer.asked] == ["SERIES"]
    assert peer.answers == [0] * 6
    stored = [tmp_path / "data" / instance.path for instance in index.instances]
    assert files_below(tmp_path / "data") == sorted(stored)
    assert [pydicom.dcmread(file) for file in stored] == [pydicom.dcmread(path) for path in paths]


def test_a_few_missing_instances_are_asked_for_by_their_uids(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        fetched = fetcher(node, tmp_path / "data", index).fetch(series, instances[1:3])
    assert fetched.arrived == 2
    [asked] = peer.asked
    assert asked.QueryRetrieveLevel == "IMAGE"
    assert list(asked.SOPInstanceUID) == [one.sop_instance_uid for one in instances[1:3]]


def test_many_missing_instances_are_asked_for_in_several_requests(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    unknown = RemoteSeries(series.study_instance_uid, series.series_instance_uid, instances=1000)
    peer, index = Pacs(paths), MemoryIndex()
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        fetched = fetcher(node, tmp_path / "data", index).fetch(unknown, instances * 12)
    assert [len(asked.SOPInstanceUID) for asked in peer.asked] == [64, 8]
    assert fetched.arrived == 72
    assert index.outcomes.count("new") == 6


def test_what_arrived_before_the_pacs_broke_off_stays_and_the_rest_is_fetched_then(
    paths: list[Path], tmp_path: Path
) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()
    peer.leaves_after = 4
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        getting = fetcher(node, tmp_path / "data", index)
        with pytest.raises(Unavailable):
            getting.fetch(series, instances)
        here = index.known(series.study_instance_uid)
        missing = [one for one in instances if one.sop_instance_uid not in here]
        assert len(missing) == 2
        assert getting.fetch(series, missing).arrived == 2
    assert index.known(series.study_instance_uid) == {one.sop_instance_uid for one in instances}
    assert len(files_below(tmp_path / "data")) == 6


def test_compressed_instances_come_as_the_pacs_has_them(paths: list[Path], tmp_path: Path) -> None:
    for path in paths[:3]:
        with edited(path) as dataset:
            dataset.compress(RLELossless, generate_instance_uid=False)
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()
    with pacs(peer.handlers(), [GET, CTImageStorage], syntaxes=[ExplicitVRLittleEndian, RLELossless]) as node:
        assert fetcher(node, tmp_path / "data", index).fetch(series, instances).arrived == 6
    syntaxes = [instance.header.transfer_syntax_uid for instance in index.instances]
    assert syntaxes == [RLELossless] * 3 + [ExplicitVRLittleEndian] * 3


def test_the_asker_says_which_classes_a_series_has(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()

    def on_find(_: Event) -> Iterator[Any]:
        for one in instances:
            yield 0xFF00, match(SOPInstanceUID=one.sop_instance_uid, SOPClassUID=one.sop_class_uid)

    requested: list[int] = []

    def on_requested(event: Event) -> None:
        requested.append(len(event.assoc.requestor.requested_contexts))

    handlers = [*peer.handlers(), (evt.EVT_C_FIND, on_find), (evt.EVT_REQUESTED, on_requested)]
    with pacs(handlers, [GET, FIND, CTImageStorage]) as node:
        getting = fetcher(node, tmp_path / "data", index, asker=FindAsker(node, 5))
        assert getting.fetch(series).arrived == 6
        assert fetcher(node, tmp_path / "data", index).fetch(series).arrived == 6
    assert requested[0] == 1
    assert requested[2] == 1 + len(StoragePresentationContexts)
    assert index.outcomes == ["new"] * 6 + ["duplicate"] * 6


@pytest.mark.parametrize("count", [1, 2, 3, 10, 60, 127])
def test_every_class_has_a_context_and_every_syntax_is_offered(count: int) -> None:
    proposals = _storage([f"1.2.{number}" for number in range(count)])
    assert len(proposals) <= 127
    for number in range(count):
        offered = [syntax for one in proposals if one.sop_class == f"1.2.{number}" for syntax in one.syntaxes]
        assert sorted(offered) == sorted(ACCEPTED_SYNTAXES)


def test_an_instance_that_we_refuse_is_counted_once_and_the_rest_arrives(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()
    peer.images[instances[2].sop_instance_uid].Rows = 60_000
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        fetched = fetcher(node, tmp_path / "data", index).fetch(series, instances)
    assert (fetched.arrived, fetched.failed) == (5, 1)
    assert len(fetched.reasons) == 1
    assert sorted(set(peer.answers)) == [0, 0xC000]
    assert len(files_below(tmp_path / "data")) == 5


def test_what_the_pacs_cannot_send_is_counted(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), MemoryIndex()
    peer.images[instances[2].sop_instance_uid].SOPClassUID = MRImageStorage
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        fetched = fetcher(node, tmp_path / "data", index).fetch(series, instances)
    assert (fetched.arrived, fetched.failed) == (5, 1)
    assert fetched.reasons == ("the PACS could not send all of the instances",)


def test_an_instance_above_the_limit_is_refused_and_not_kept_in_memory(paths: list[Path], tmp_path: Path) -> None:
    [large] = write_series(tmp_path / "large", noise(1, 400, 400))
    series, instances = remote([large])
    peer, index = Pacs([large]), MemoryIndex()
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node:
        limits = DicomLimits(max_instance_bytes=100_000)
        fetched = fetcher(node, tmp_path / "data", index, limits).fetch(series, instances)
    assert (fetched.arrived, fetched.failed) == (0, 1)
    assert peer.answers == [0xA700]
    assert files_below(tmp_path / "data") == []


class FullIndex(MemoryIndex):
    """It has room for two."""

    def add(self, instance: StoredInstance, **more: Any) -> str:
        if len(self.instances) == 2:
            raise OutOfResources("want more room for the index")
        return super().add(instance, **more)


def test_no_room_here_ends_the_retrieval_and_is_no_fault_of_the_pacs(paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    peer, index = Pacs(paths), FullIndex()
    with pacs(peer.handlers(), [GET, CTImageStorage]) as node, pytest.raises(OutOfResources):
        fetcher(node, tmp_path / "data", index).fetch(series, instances)
    assert len(files_below(tmp_path / "data")) == 2


@pytest.mark.parametrize(
    ("status", "error"), [(0xA701, PeerFailed), (0xA702, PeerFailed), (0xA900, PeerRefused), (0xC001, PeerFailed)]
)
def test_a_failure_is_told_by_its_status(
    status: int, error: type[Exception], paths: list[Path], tmp_path: Path
) -> None:
    series, instances = remote(paths)

    def on_get(_: Event) -> Iterator[Any]:
        yield 1
        yield status, None

    with pacs([(evt.EVT_C_GET, on_get)], [GET, CTImageStorage]) as node, pytest.raises(error, match=f"0x{status:04X}"):
        fetcher(node, tmp_path / "data", MemoryIndex()).fetch(series, instances)


@pytest.mark.parametrize("contexts", [[FIND, CTImageStorage], [GET]], ids=["no C-GET", "no images"])
def test_a_pacs_that_cannot_is_refused(contexts: list[str], paths: list[Path], tmp_path: Path) -> None:
    series, instances = remote(paths)
    with pacs([], contexts) as node, pytest.raises(PeerRefused):
        fetcher(node, tmp_path / "data", MemoryIndex()).fetch(series, instances)

"""WADO-RS over real HTTP, to files on disk and an index: whole, single, cut off, refused, not what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from adapters.dicom.arrival import Arrivals
from adapters.dicom.files import InstanceFiles
from adapters.dicom.wado import WadoFetcher
from cds.domain.retrieval import Fetched, RemoteInstance, RemoteSeries
from cds.errors import OutOfResources, PeerFailed, PeerRefused, Unavailable
from cds.limits import DicomLimits
from tests.contract.dicomweb_peer import RELATED, Peer, Reply, Request, multipart, serving
from tests.peers.dicom_peers import FixedClock, MemoryIndex, consumes_ct, edited, files_below, noise, write_series


class Site:
    """A series at a PACS, and an index that it is fetched into."""

    def __init__(self, folder: Path, slices: int = 6) -> None:
        self.paths = write_series(folder / "ct", noise(slices))
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in self.paths]
        self.uids = [str(header.SOPInstanceUID) for header in headers]
        self.series = RemoteSeries(str(headers[0].StudyInstanceUID), str(headers[0].SeriesInstanceUID), "CT")
        self.series = replace(self.series, instances=slices)
        self.data_dir = folder / "data"
        self.index = MemoryIndex()

    @property
    def contents(self) -> list[bytes]:
        return [path.read_bytes() for path in self.paths]

    @property
    def stored(self) -> list[str]:
        return [one.header.sop_instance_uid for one in self.index.instances]

    def remote(self, *numbers: int) -> list[RemoteInstance]:
        study, series = self.series.study_instance_uid, self.series.series_instance_uid
        return [RemoteInstance(study, series, self.uids[number]) for number in numbers]

    def fetch(
        self,
        peer: Peer,
        missing: Sequence[RemoteInstance] = (),
        *,
        parallel: int = 1,
        free: int = 0,
        largest: int = 1024 * 1024,
    ) -> Fetched:
        limits = DicomLimits(max_instance_bytes=largest)
        arrivals = Arrivals(
            files=InstanceFiles(self.data_dir, free),
            index=self.index,
            clock=FixedClock(),
            consumes=consumes_ct,
            limits=limits,
        )
        fetcher = WadoFetcher(peer.server, arrivals, source="pacs:test", timeout_s=5, parallel=parallel, limits=limits)
        return fetcher.fetch(self.series, missing)

    def single(self, change: Callable[[str], Reply | None] = lambda uid: None) -> Callable[[Request], Reply]:
        """Serves one instance for each request, or what `change` makes of its UID."""
        contents = dict(zip(self.uids, self.contents, strict=True))

        def answer(request: Request) -> Reply:
            uid = request.path.rpartition("/")[2]
            return change(uid) or Reply(body=multipart(contents[uid]), content_type=RELATED)

        return answer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def whole(body: bytes, **more: object) -> Callable[[Request], Reply]:
    return lambda request: Reply(body=body, content_type=RELATED, **more)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_whole_series_comes_in_one_answer_and_lies_on_disk(site: Site, chunked: bool) -> None:
    with serving(whole(multipart(*site.contents), chunked=chunked)) as peer:
        assert site.fetch(peer) == Fetched(arrived=6)
    [asked] = peer.asked
    assert asked.path == f"/studies/{site.series.study_instance_uid}/series/{site.series.series_instance_uid}"
    assert asked.headers["accept"] == 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert asked.headers["accept-encoding"] == "identity"
    assert sorted(site.stored) == sorted(site.uids)
    assert sorted(path.read_bytes() for path in files_below(site.data_dir)) == sorted(site.contents)


def test_a_series_that_is_fetched_again_is_known_already(site: Site) -> None:
    with serving(whole(multipart(*site.contents))) as peer:
        site.fetch(peer)
        assert site.fetch(peer) == Fetched(arrived=6)
    assert len(files_below(site.data_dir)) == 6


def test_what_arrived_before_the_peer_broke_off_stays_and_the_rest_is_fetched_alone(site: Site) -> None:
    body = multipart(*site.contents)
    with serving(whole(body, cut=len(body) * 3 // 4)) as peer, pytest.raises(Unavailable, match="too early"):
        site.fetch(peer)
    assert len(site.stored) == len(files_below(site.data_dir)) == 4
    with serving(site.single()) as peer:
        missing = site.remote(*(number for number, uid in enumerate(site.uids) if uid not in site.stored))
        assert site.fetch(peer, missing) == Fetched(arrived=2)
    assert [path.rpartition("/")[2] for path in peer.paths] == sorted(one.sop_instance_uid for one in missing)
    assert peer.connections == 1
    assert sorted(site.stored) == sorted(site.uids)


def test_a_chunked_answer_that_breaks_off_leaves_what_came(site: Site) -> None:
    body = multipart(*site.contents)
    with serving(whole(body, cut=len(body) // 2, chunked=True)) as peer, pytest.raises(Unavailable):
        site.fetch(peer)
    assert len(site.stored) == len(files_below(site.data_dir)) > 0


def test_an_answer_that_ends_well_between_parts_and_too_early_is_unavailable(site: Site) -> None:
    body = multipart(*site.contents).removesuffix(b"--the-end--\r\n")
    with serving(whole(body)) as peer, pytest.raises(Unavailable, match="closing boundary"):
        site.fetch(peer)
    assert len(site.stored) >= 5


def test_single_instances_come_over_parallel_connections(site: Site) -> None:
    with serving(site.single()) as peer:
        assert site.fetch(peer, site.remote(0, 1, 2), parallel=3) == Fetched(arrived=3)
    assert sorted(site.stored) == sorted(site.uids[:3])
    assert peer.connections <= 3


def test_most_of_a_series_comes_in_one_answer(site: Site) -> None:
    with serving(whole(multipart(*site.contents))) as peer:
        assert site.fetch(peer, site.remote(0, 1, 2, 3)) == Fetched(arrived=6)
    assert len(peer.asked) == 1


def test_an_instance_that_is_not_there_does_not_stop_the_others(site: Site) -> None:
    gone = {site.uids[0]: Reply(404), site.uids[1]: Reply(500), site.uids[2]: Reply(410)}
    site.series = replace(site.series, instances=100)
    with serving(site.single(gone.get)) as peer:
        fetched = site.fetch(peer, site.remote(0, 1, 2, 3, 4))
    assert (fetched.arrived, fetched.failed) == (2, 3)
    assert set(fetched.reasons) == {
        "not there any more",
        "the DICOMweb server failed: 500",
        "the DICOMweb server refuses the request: 410",
    }


@pytest.mark.parametrize(("reply", "kind"), [(Reply(401), PeerRefused), (Reply(503), Unavailable)])
def test_a_server_that_lets_nobody_in_or_is_busy_is_not_asked_for_every_instance(
    site: Site, reply: Reply, kind: type[Exception]
) -> None:
    site.series = replace(site.series, instances=100)
    with serving(site.single(lambda uid: reply)) as peer, pytest.raises(kind):
        site.fetch(peer, site.remote(0, 1, 2, 3, 4, 5), parallel=2)
    assert len(peer.asked) <= 2


def test_an_instance_of_another_series_is_refused(site: Site) -> None:
    with edited(site.paths[2]) as dataset:
        dataset.SeriesInstanceUID = "1.2.3"
    with edited(site.paths[3]) as dataset:
        dataset.StudyInstanceUID = "1.2.3"
    with serving(whole(multipart(*site.contents))) as peer:
        assert site.fetch(peer) == Fetched(4, 2, ("another instance than asked for",))
    assert len(files_below(site.data_dir)) == 4


def test_another_instance_than_the_one_asked_for_is_refused(site: Site) -> None:
    other = Reply(body=multipart(site.contents[5]), content_type=RELATED)
    with serving(lambda request: other) as peer:
        fetched = site.fetch(peer, site.remote(0))
    assert (fetched.arrived, site.stored, files_below(site.data_dir)) == (0, [], [])
    assert "another instance than asked for" in fetched.reasons


def test_a_part_that_is_no_instance_is_refused_and_the_others_stay(site: Site) -> None:
    body = multipart(b"\xff\xd8 no DICOM", *site.contents, site.contents[0][:-10])
    with serving(whole(body)) as peer:
        fetched = site.fetch(peer)
    assert (fetched.arrived, fetched.failed) == (6, 2)
    assert len(files_below(site.data_dir)) == 6


@pytest.mark.parametrize("broken", [b"no DICOM", b"\0" * 128 + b"DICM"])
def test_an_instance_that_cannot_be_used_is_counted_once(site: Site, broken: bytes) -> None:
    with serving(whole(multipart(*site.contents[:5], broken))) as peer:
        fetched = site.fetch(peer, site.remote(0, 1, 2, 3, 4, 5))
    assert (fetched.arrived, fetched.failed) == (5, 1)
    with serving(whole(multipart(*site.contents[:5], site.contents[5][:-10]))) as peer:
        fetched = site.fetch(peer, site.remote(0, 1, 2, 3, 4, 5))
    assert (fetched.arrived, fetched.failed) == (5, 1)


def test_a_part_of_another_kind_is_refused(site: Site) -> None:
    body = multipart(*site.contents[:2]).replace(b"application/dicom", b"image/jpeg", 1)
    with serving(whole(body)) as peer:
        assert site.fetch(peer) == Fetched(1, 1, ("a part that is no application/dicom",))


def test_an_instance_above_the_limit_is_refused_and_the_others_stay(site: Site) -> None:
    with serving(whole(multipart(site.contents[0], bytes(2_000_000), site.contents[1]))) as peer:
        assert site.fetch(peer, largest=100_000) == Fetched(2, 1, ("larger than the limit for an instance",))
    assert len(files_below(site.data_dir)) == 2


def test_instances_that_the_answer_lacks_are_counted(site: Site) -> None:
    with serving(whole(multipart(*site.contents[:5]), status=206)) as peer:
        assert site.fetch(peer, site.remote(0, 1, 2, 3, 4, 5)) == Fetched(5, 1, ("not in the answer",))


def test_a_series_that_is_gone_is_counted(site: Site) -> None:
    with serving(lambda request: Reply(404)) as peer:
        assert site.fetch(peer, site.remote(0, 1, 2, 3)) == Fetched(0, 4, ("not there any more",))


def test_a_server_that_knows_no_transfer_syntax_of_any_kind_is_asked_without(site: Site) -> None:
    def answer(request: Request) -> Reply:
        known = "transfer-syntax" not in request.headers["accept"]
        return Reply(body=multipart(*site.contents), content_type=RELATED) if known else Reply(406)

    with serving(answer) as peer:
        assert site.fetch(peer) == Fetched(6)


def test_an_instance_without_a_multipart_body_around_it_is_taken(site: Site) -> None:
    with serving(lambda request: Reply(body=site.contents[0], content_type="application/dicom")) as peer:
        assert site.fetch(peer, site.remote(0)) == Fetched(1)


@pytest.mark.parametrize(
    ("content_type", "body"), [("text/html", b"<p>"), (RELATED, b"x" * 10_000), ("multipart/related", b"")]
)
def test_an_answer_that_is_no_multipart_body_is_an_error(site: Site, content_type: str, body: bytes) -> None:
    reply = Reply(body=body, content_type=content_type)
    with serving(lambda request: reply) as peer, pytest.raises(PeerFailed, match="want a multipart"):
        site.fetch(peer)


def test_a_full_disk_ends_the_retrieval_and_leaves_no_file(site: Site) -> None:
    with serving(whole(multipart(*site.contents))) as peer, pytest.raises(OutOfResources):
        site.fetch(peer, free=1 << 62)
    assert files_below(site.data_dir) == []


def test_an_index_that_fails_ends_the_retrieval(tmp_path: Path) -> None:
    class Broken(MemoryIndex):
        def add_all(self, *arguments: object, **named: object) -> list[str]:
            raise Unavailable("want a database that answers")

    site = Site(tmp_path, slices=150)
    site.index = Broken()
    with serving(whole(multipart(*site.contents))) as peer, pytest.raises(Unavailable, match="want a database"):
        site.fetch(peer)

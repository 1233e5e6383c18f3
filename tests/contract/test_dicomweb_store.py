"""STOW-RS over real HTTP: what is sent, and what each answer means."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from adapters.dicom.multipart import boundary_of
from adapters.dicom.sender import Answer
from adapters.dicom.stow import StowClient
from cds.errors import InvalidInstance, PeerFailed, PeerRefused, SightlineError, Unavailable
from tests.contract.dicomweb_peer import Reply, serving
from tests.peers.dicom_peers import write_series


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return write_series(tmp_path / "ct")[:2]


def uids(paths: list[Path]) -> list[str]:
    return [str(pydicom.dcmread(path).SOPInstanceUID) for path in paths]


def store(paths: list[Path], reply: Reply) -> list[Answer]:
    with serving(lambda request: reply) as peer:
        return StowClient(peer.server, 5).store([path.read_bytes() for path in paths])


def said(**sequences: list[dict[str, object]]) -> bytes:
    """A store instances response: `x00081199=[{...}]` are sequences of the tags and values of their items."""
    value = {
        tag[1:]: {"vr": "SQ", "Value": [{k: {"vr": "UI", "Value": [v]} for k, v in item.items()} for item in items]}
        for tag, items in sequences.items()
    }
    return json.dumps(value).encode()


def test_instances_go_out_whole_in_one_request(two: list[Path]) -> None:
    with serving(lambda request: Reply(200, b"{}")) as peer:
        assert StowClient(peer.server, 5).store([path.read_bytes() for path in two]) == [Answer(0), Answer(0)]
    [asked] = peer.asked
    assert (asked.method, asked.path) == ("POST", "/studies")
    boundary = boundary_of(asked.headers["content-type"])
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    parts = asked.body.removesuffix(b"--" + boundary + b"--\r\n").split(head)
    assert parts == [b"", *(path.read_bytes() + b"\r\n" for path in two)]


def test_each_instance_has_its_own_answer(two: list[Path]) -> None:
    first, second = uids(two)
    body = said(
        x00081199=[{"00081155": first, "00081196": 0xB000}], x00081198=[{"00081155": second, "00081197": 0xC122}]
    )
    answers = store(two, Reply(202, body))
    assert [one.status for one in answers] == [0xB000, 0xC122]
    assert [one.stored for one in answers] == [True, False]


@pytest.mark.parametrize(("status", "silent"), [(200, 0), (202, None), (409, 0x0110)])
def test_an_instance_that_the_answer_does_not_name_is_judged_by_the_status(
    two: list[Path], status: int, silent: int | None
) -> None:
    body = said(x00081199=[{"00081155": uids(two)[0]}])
    assert store(two, Reply(status, body)) == [Answer(0), Answer(silent)]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(400), PeerRefused),
        (Reply(401), PeerRefused),
        (Reply(415), PeerRefused),
        (Reply(503), Unavailable),
        (Reply(500), PeerFailed),
        (Reply(201), PeerFailed),
        (Reply(200, b"<NativeDicomModel/>"), PeerFailed),
    ],
)
def test_other_answers_are_errors(two: list[Path], reply: Reply, kind: type[SightlineError]) -> None:
    with pytest.raises(kind):
        store(two, reply)


def test_what_is_no_dicom_file_is_not_sent() -> None:
    with serving(lambda request: Reply()) as peer, pytest.raises(InvalidInstance):
        StowClient(peer.server, 5).store([b"no DICOM"])
    assert peer.asked == []

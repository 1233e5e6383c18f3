"""The PACS sink against a real SCP on loopback: what it stores, and each way in which it may refuse."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from adapters.dicom.commitment import STORAGE_COMMITMENT
from adapters.dicom.commitment_answer import PUSH_MODEL_INSTANCE
from cds.domain.report import Audience
from cds.errors import PeerFailed, PeerRefused, Unavailable
from tests.contract.dicomweb_peer import Reply, serving
from tests.e2e.site import free_port
from tests.unit.pacs_reports import Images, images, report, sink
from tests.unit.test_dicom_sr import instances

SC, PR = str(SecondaryCaptureImageStorage), str(GrayscaleSoftcopyPresentationStateStorage)
SR, SEG, KO = str(ComprehensiveSRStorage), str(SegmentationStorage), str(KeyObjectSelectionDocumentStorage)


@dataclass
class Pacs:
    """An SCP that answers per SOP class as it is told, and remembers what it was sent."""

    port: int
    answers: dict[str, int] = field(default_factory=dict)
    stored: list[Dataset] = field(default_factory=list)
    associations: int = 0

    def store(self, event: evt.Event) -> int:
        """C-STORE."""
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.stored.append(dataset)
        return self.answers.get(str(dataset.SOPClassUID), 0x0000)

    def commit(self, event: evt.Event) -> tuple[int, None]:
        """N-ACTION: all of it is kept, and said so over the same association."""
        request, association = event.action_information, event.assoc
        threading.Thread(
            target=association.send_n_event_report, args=(request, 1, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE)
        ).start()
        return 0x0000, None

    def opened(self, _event: evt.Event) -> None:
        """An association was accepted."""
        self.associations += 1


@dataclass
class Asked:
    """Commitments in memory."""

    asked_for: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    answers: list[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def asked(self, transaction_uid: str, delivery_id: str, sop_instance_uids: Sequence[str], now: datetime) -> None:
        self.asked_for.append((transaction_uid, delivery_id, tuple(sop_instance_uids)))

    def answered(
        self, transaction_uid: str, committed: Sequence[str], failed: Sequence[tuple[str, str]], now: datetime
    ) -> bool:
        self.answers.append((transaction_uid, tuple(committed), tuple(failed)))
        return transaction_uid in {one for one, _, _ in self.asked_for}


@contextmanager
def pacs(
    classes: Sequence[str] = (SR, SEG, KO),
    syntaxes: Sequence[str] = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)),
    store: Callable[[evt.Event], int] | None = None,
    *,
    commits: bool = False,
) -> Iterator[Pacs]:
    """A PACS that takes these classes in these transfer syntaxes, and promises to keep what it is asked to."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    found = Pacs(free_port())
    entity = AE("PACS")
    entity.require_called_aet = True
    for one in classes:
        entity.add_supported_context(one, list(syntaxes))
    handlers: list[Any] = [(evt.EVT_C_STORE, store or found.store), (evt.EVT_ACCEPTED, found.opened)]
    if commits:
        entity.add_supported_context(STORAGE_COMMITMENT, list(syntaxes))
        handlers.append((evt.EVT_N_ACTION, found.commit))
    server = entity.start_server(("127.0.0.1", found.port), block=False, evt_handlers=handlers)
    try:
        yield found
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
def shared() -> Iterator[Pacs]:
    """A PACS that takes everything; to end one costs half a second."""
    with pacs() as found:
        yield found


@pytest.fixture
def peer(shared: Pacs) -> Pacs:
    """The same PACS as if it were new."""
    shared.stored.clear()
    shared.answers.clear()
    shared.associations = 0
    return shared


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def payload(of: Images) -> bytes:
    return sink(of).encode(report(of), "d1")


@pytest.fixture(scope="module")
def retraction(of: Images) -> bytes:
    return sink(of).retract(report(of), "r1", "it was reported for another patient")


def test_report_and_segmentation_are_stored_as_they_are_over_one_association(
    of: Images, payload: bytes, peer: Pacs
) -> None:
    assert sink(of, peer.port).send(payload) == "0x0000 for 2 instances"
    assert [str(one.SOPClassUID) for one in peer.stored] == [SR, SEG]
    assert peer.associations == 1
    for sent, stored in zip(instances(payload), peer.stored, strict=True):
        assert stored.to_json() == sent.to_json()


def test_the_same_delivery_twice_is_the_same_instances(of: Images, payload: bytes, peer: Pacs) -> None:
    for _ in range(2):
        sink(of, peer.port).send(payload)
    uids = [str(one.SOPInstanceUID) for one in peer.stored]
    assert uids[:2] == uids[2:]
    assert uids[:2] == [one.sop_instance_uid for one in sink(of).made(payload)]


def test_a_retraction_is_stored_as_withdrawal_and_rejection_note(of: Images, retraction: bytes, peer: Pacs) -> None:
    assert sink(of, peer.port).send(retraction) == "0x0000 for 2 instances"
    assert [str(one.SOPClassUID) for one in peer.stored] == [SR, KO]


def test_a_pacs_that_knows_implicit_vr_alone_gets_it(of: Images, payload: bytes) -> None:
    with pacs(syntaxes=[str(ImplicitVRLittleEndian)]) as peer:
        assert sink(of, peer.port).send(payload) == "0x0000 for 2 instances"
    assert peer.stored[0].file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert peer.stored[0].PatientName == instances(payload)[0].PatientName


def test_a_pacs_that_takes_no_segmentations_gets_the_report_and_it_is_said(of: Images, payload: bytes) -> None:
    with pacs(classes=[SR]) as peer:
        said = sink(of, peer.port).send(payload)
    assert said == "0x0000 for 1 instances, segmentation not accepted by the PACS (no presentation context)"
    assert [str(one.SOPClassUID) for one in peer.stored] == [SR]


@pytest.mark.parametrize("status", [0x0122, 0xA900, 0xC123])
def test_a_segmentation_that_is_refused_for_good_does_not_hold_up_the_report(
    of: Images, payload: bytes, peer: Pacs, status: int
) -> None:
    peer.answers[SEG] = status
    said = sink(of, peer.port).send(payload)
    assert said == f"0x0000 for 1 instances, segmentation not accepted by the PACS (0x{status:04X})"


def test_a_pacs_that_takes_no_rejection_notes_gets_the_withdrawal(of: Images, retraction: bytes) -> None:
    with pacs(classes=[SR]) as peer:
        said = sink(of, peer.port).send(retraction)
    assert said == "0x0000 for 1 instances, rejection note not accepted by the PACS (no presentation context)"
    assert "WITHDRAWN" in peer.stored[0].SeriesDescription


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_and_a_duplicate_are_stored(of: Images, payload: bytes, peer: Pacs, status: int) -> None:
    peer.answers[SR] = status
    said = sink(of, peer.port).send(payload)
    assert said == f"0x0000 for 2 instances, structured report with 0x{status:04X}"


@pytest.mark.parametrize("status", [0x0122, 0x0124, 0xA900, 0xA9FF, 0xC000, 0xCFFF])
def test_a_report_that_is_refused_for_good_is_for_a_person(of: Images, payload: bytes, peer: Pacs, status: int) -> None:
    peer.answers[SR] = status
    with pytest.raises(PeerRefused, match=f"0x{status:04X}"):
        sink(of, peer.port).send(payload)


@pytest.mark.parametrize("kind", [SR, SEG])
@pytest.mark.parametrize("status", [0xA700, 0xA7FF])
def test_a_pacs_without_room_is_asked_again(of: Images, payload: bytes, peer: Pacs, kind: str, status: int) -> None:
    peer.answers[kind] = status
    with pytest.raises(Unavailable, match="out of resources") as raised:
        sink(of, peer.port).send(payload)
    assert not isinstance(raised.value, PeerFailed)


def test_a_pacs_that_fails_is_asked_again_but_not_for_ever(of: Images, payload: bytes, peer: Pacs) -> None:
    peer.answers[SR] = 0x0110
    with pytest.raises(PeerFailed, match="0x0110"):
        sink(of, peer.port).send(payload)


def test_a_pacs_that_takes_no_report_at_all_is_for_a_person(of: Images, payload: bytes) -> None:
    with pacs(classes=[SEG]) as peer, pytest.raises(PeerRefused, match="no presentation context"):
        sink(of, peer.port).send(payload)
    with pacs(classes=["1.2.840.10008.5.1.4.1.1.2"]) as peer, pytest.raises(PeerRefused, match="presentation context"):
        sink(of, peer.port).send(payload)


def test_an_association_that_is_rejected_for_good_is_for_a_person(of: Images, payload: bytes, peer: Pacs) -> None:
    with pytest.raises(PeerRefused, match="rejected"):
        sink(of, peer.port, ae_title="SOMEONE").send(payload)


def test_a_pacs_that_is_busy_rejects_for_now_and_is_asked_again(of: Images, payload: bytes) -> None:
    """A-ASSOCIATE-RJ: result 2 (transient), source 3, reason 2 (local limit exceeded), PS3.8 table 9-21."""
    with one_answer(bytes([3, 0, 0, 0, 0, 4, 0, 2, 3, 2])) as port, pytest.raises(Unavailable, match="for now"):
        sink(of, port).send(payload)


def test_a_pacs_that_aborts_in_the_middle_is_asked_again(of: Images, payload: bytes) -> None:
    def abort(event: evt.Event) -> int:
        event.assoc.abort()
        return 0x0000

    with pacs(store=abort) as peer, pytest.raises(Unavailable, match="without an answer"):
        sink(of, peer.port, timeout_s=0.5).send(payload)


def test_a_pacs_that_is_not_there_is_asked_again(of: Images, payload: bytes) -> None:
    with pytest.raises(Unavailable, match="answers at the configured host"):
        sink(of, free_port(), timeout_s=1.0).send(payload)


def test_key_images_that_a_pacs_does_not_take_do_not_hold_up_the_report(of: Images) -> None:
    one = sink(of, key_images="secondary-capture")
    with pacs(classes=[SR, SEG]) as peer:
        said = sink(of, peer.port, key_images="secondary-capture").send(one.encode(report(of), "d1"))
    assert said == "0x0000 for 2 instances, key image not accepted by the PACS (no presentation context)"


@pytest.mark.parametrize(("kind", "word"), [("secondary-capture", SC), ("presentation-state", PR)])
def test_key_images_are_stored_beside_the_report(of: Images, kind: str, word: str) -> None:
    one = sink(of, key_images=kind)
    with pacs(classes=[SR, SEG, word]) as peer:
        said = sink(of, peer.port, key_images=kind).send(one.encode(report(of), "d1"))
    assert said == "0x0000 for 3 instances"
    assert [str(stored.SOPClassUID) for stored in peer.stored] == [SR, SEG, word]


class TestStorageCommitment:
    """PS3.4 annex J: what was stored is asked about, before anything is promised, and the answer is kept."""

    def test_what_was_stored_is_asked_about_and_the_answer_is_kept(self, of: Images, payload: bytes) -> None:
        kept = Asked()
        with pacs(commits=True) as peer:
            said = sink(of, peer.port, kept, commitment=True).send(payload)
        assert said == "0x0000 for 2 instances; storage commitment answered"
        uids = tuple(one.sop_instance_uid for one in sink(of).made(payload))
        [(transaction, delivery, asked)] = kept.asked_for
        assert (delivery, asked) == ("d1", uids)
        assert kept.answers == [(transaction, uids, ())]

    def test_only_what_the_pacs_took_is_asked_about(self, of: Images, payload: bytes) -> None:
        kept = Asked()
        with pacs(classes=[SR], commits=True) as peer:
            sink(of, peer.port, kept, commitment=True).send(payload)
        assert [len(asked) for _, _, asked in kept.asked_for] == [1]

    def test_a_pacs_that_does_not_offer_it_has_the_report_and_it_is_said(self, of: Images, payload: bytes) -> None:
        kept = Asked()
        with pacs() as peer:
            said = sink(of, peer.port, kept, commitment=True).send(payload)
        assert said.startswith("0x0000 for 2 instances; storage commitment could not be asked for: ")
        assert len(kept.asked_for) == 1  # it stands there without an answer
        assert kept.answers == []

    def test_a_report_that_was_refused_is_not_asked_about(self, of: Images, payload: bytes) -> None:
        kept = Asked()
        with pacs(commits=True) as peer:
            peer.answers[SR] = 0xA900
            with pytest.raises(PeerRefused):
                sink(of, peer.port, kept, commitment=True).send(payload)
        assert kept.asked_for == []

    def test_a_destination_that_is_not_to_be_asked_is_not(self, of: Images, payload: bytes, peer: Pacs) -> None:
        kept = Asked()
        assert sink(of, peer.port, kept).send(payload) == "0x0000 for 2 instances"
        assert kept.asked_for == []


def answer(payload: bytes, failed: dict[int, int]) -> bytes:
    """A store instances response: the instances by number that failed with these reasons, and the others."""
    uids = [str(one.SOPInstanceUID) for one in instances(payload)]
    item = {n: {"00081155": {"vr": "UI", "Value": [uid]}} for n, uid in enumerate(uids)}
    lost = [{**item[n], "00081197": {"vr": "US", "Value": [reason]}} for n, reason in failed.items()]
    kept = [one for n, one in item.items() if n not in failed]
    return json.dumps({"00081199": {"vr": "SQ", "Value": kept}, "00081198": {"vr": "SQ", "Value": lost}}).encode()


class TestStow:
    """The same over STOW-RS (PS3.18 section 10.5), to a real HTTP server."""

    def stored(self, of: Images, payload: bytes, status: int, failed: dict[int, int]) -> str:
        with serving(lambda _request: Reply(status, answer(payload, failed))) as peer:
            one = sink(of, host="", port=None, ae_title=None, dicomweb=peer.server)
            try:
                return one.send(payload)
            finally:
                [request] = peer.asked
                assert request.body.count(b"DICM") == 2

    def test_everything_goes_in_one_request(self, of: Images, payload: bytes) -> None:
        assert self.stored(of, payload, 200, {}) == "0x0000 for 2 instances"

    def test_a_segmentation_that_is_refused_does_not_hold_up_the_report(self, of: Images, payload: bytes) -> None:
        said = self.stored(of, payload, 202, {1: 0x0122})
        assert said == "0x0000 for 1 instances, segmentation not accepted by the PACS (0x0122)"

    def test_a_report_that_is_refused_is_for_a_person(self, of: Images, payload: bytes) -> None:
        with pytest.raises(PeerRefused, match="0xA900"):
            self.stored(of, payload, 409, {0: 0xA900, 1: 0xA900})

    def test_a_server_that_is_busy_is_asked_again(self, of: Images, payload: bytes) -> None:
        with pytest.raises(Unavailable):
            self.stored(of, payload, 503, {})

    def test_commitment_is_asked_of_the_application_entity_that_stands_beside_it(
        self, of: Images, payload: bytes
    ) -> None:
        kept = Asked()
        with pacs(commits=True) as peer, serving(lambda _request: Reply(200, answer(payload, {}))) as web:
            one = sink(of, peer.port, kept, commitment=True, dicomweb=web.server)
            assert one.send(payload) == "0x0000 for 2 instances; storage commitment answered"
        assert peer.stored == []
        assert len(kept.answers) == 1


def test_it_says_whose_eyes_it_has_and_whether_it_takes_test_results(of: Images) -> None:
    assert (sink(of).audience, sink(of).production, sink(of).name) == (Audience.RADIOLOGIST, True, "pacs")
    assert not sink(of, processing="T").production


@contextmanager
def one_answer(pdu: bytes) -> Iterator[int]:
    """A listener that answers one association request with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(pdu)
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)

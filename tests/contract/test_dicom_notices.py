"""Who may connect to the DICOM listener, and what a PACS tells it: images are there, images are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from socket import create_connection, socket
from typing import Any

import pynetdicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (
    InstanceAvailabilityNotification,
    StorageCommitmentPushModel,
    Verification,
)

from adapters.dicom.quiet import quiet
from adapters.dicom.receiver import Receiver
from adapters.dicom.sender import send
from adapters.dicom.transport import is_in
from cds.domain.event import StudyEvent, StudyEventKind
from cds.errors import OutOfResources
from cds.limits import DicomLimits
from tests.peers.dicom_peers import AE_TITLE, MemoryIndex, node_at, receiving, write_series
from tests.pynetdicom_requestor import attentive

REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"


@dataclass
class Announced:
    """StudyEvents as its port says."""

    events: list[StudyEvent] = field(default_factory=list)

    def announce(self, event: StudyEvent, now: datetime) -> bool:
        new = event not in self.events
        if new:
            self.events.append(event)
        return new


class FullEvents(Announced):
    """The disk of the events is full."""

    def announce(self, event: StudyEvent, now: datetime) -> bool:
        raise OutOfResources("want more free space for the database")


@dataclass
class Promises:
    """Commitments as its port says."""

    open: set[str] = field(default_factory=set)
    answers: list[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def asked(self, transaction_uid: str, delivery_id: str, sop_instance_uids: Sequence[str], now: datetime) -> None:
        self.open.add(transaction_uid)

    def answered(
        self, transaction_uid: str, committed: Sequence[str], failed: Sequence[tuple[str, str]], now: datetime
    ) -> bool:
        if transaction_uid not in self.open:
            return False
        self.answers.append((transaction_uid, tuple(committed), tuple(failed)))
        return True


@contextmanager
def associated(
    receiver: Receiver,
    sop_class: str = Verification,
    syntax: str = ExplicitVRLittleEndian,
    ae_title: str = "PACS",
    **options: Any,
) -> Iterator[Association]:
    entity = pynetdicom.AE(ae_title)
    entity.add_requested_context(sop_class, syntax)
    entity.dimse_timeout = entity.acse_timeout = 10
    opened: list[socket] = []

    def remember(event: evt.Event) -> None:
        wrapper = event.assoc.dul.socket
        if wrapper is not None and wrapper.socket is not None:
            opened.append(wrapper.socket)

    handlers: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, remember)]
    association = attentive(
        entity.associate("127.0.0.1", receiver.port, ae_title=AE_TITLE, evt_handlers=handlers, **options)
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        for connection in opened:  # pynetdicom leaves it open where the peer was first to go
            connection.close()


def reaches(receiver: Receiver, ae_title: str = "PACS") -> bool:
    with associated(receiver, ae_title=ae_title) as association:
        return bool(association.is_established and association.send_c_echo().Status == 0)


def test_only_the_networks_that_are_allowed_reach_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with receiving(tmp_path, MemoryIndex(), allowed_peers=("127.0.0.0/8", "10.1.0.0/16")) as receiver:
        assert reaches(receiver)
    with receiving(tmp_path, MemoryIndex(), allowed_peers=("10.1.0.0/16",)) as receiver:
        assert not reaches(receiver)
    output = "".join(capfd.readouterr())
    assert '"peer": "127.0.0.1"' in output
    assert '"outcome": "not-allowed"' in output


@pytest.mark.parametrize(
    ("host", "inside"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False), ("fe80::1%eth0", True), ("fe81::1", False)],
)
def test_an_address_is_compared_as_the_network_wrote_it(host: str, inside: bool) -> None:
    assert is_in(host, ("10.1.0.0/16", "fe80::/16")) is inside


def test_only_the_calling_ae_titles_that_are_allowed_get_an_association(tmp_path: Path) -> None:
    with receiving(tmp_path, MemoryIndex(), allowed_ae_titles=("PACS", "CT1")) as receiver:
        assert reaches(receiver)
        assert reaches(receiver, "CT1")
        with associated(receiver, ae_title="SOMEONE") as association:
            assert association.is_rejected
            rejection = association.acceptor.primitive
    assert rejection is not None
    assert (rejection.result, rejection.result_source, rejection.diagnostic) == (1, 1, 3)


def test_one_peer_has_its_share_of_connections_and_no_more(tmp_path: Path) -> None:
    limits = DicomLimits(max_connections_per_peer=2, network_timeout_s=5)
    with receiving(tmp_path, MemoryIndex(), limits) as receiver:
        with associated(receiver) as one, associated(receiver) as other:
            assert one.is_established
            assert other.is_established
            with create_connection(("127.0.0.1", receiver.port), timeout=5) as third:
                assert third.recv(1) == b""
        deadline = time.monotonic() + 5
        while receiver._server.active_associations and time.monotonic() < deadline:
            time.sleep(0.01)
        assert reaches(receiver)


def test_an_answer_does_not_wait_for_polls(tmp_path: Path) -> None:
    """A request is served as soon as it is read: 200 echoes in polls of a millisecond on our side took 0.4 s more."""
    with receiving(tmp_path, MemoryIndex()) as receiver, associated(receiver) as association:
        assert {association.send_c_echo().Status for _ in range(200)} == {0}
        [here] = receiver._server.active_associations
        assert here.dimse.msg_queue.empty()


def test_an_association_that_is_aborted_ends(tmp_path: Path) -> None:
    with receiving(tmp_path, MemoryIndex()) as receiver:
        with associated(receiver) as association:
            association.send_c_echo()
            association.abort()
        deadline = time.monotonic() + 5
        while receiver._server.active_associations and time.monotonic() < deadline:
            time.sleep(0.01)
        assert receiver._server.active_associations == []


def item(**values: Any) -> Dataset:
    quiet()
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def notice(*availability: str, series: int = 1) -> Dataset:
    """Instances of a study, one for each word, in each of so many series."""
    return item(
        ReferencedPerformedProcedureStepSequence=[],
        StudyInstanceUID="1.2.3",
        ReferencedSeriesSequence=[
            item(
                SeriesInstanceUID=f"1.2.3.{number}",
                ReferencedSOPSequence=[
                    item(
                        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2",
                        ReferencedSOPInstanceUID=f"1.2.3.{number}.{instance}",
                        InstanceAvailability=word,
                        RetrieveAETitle="PACS",
                    )
                    for instance, word in enumerate(availability)
                ],
            )
            for number in range(1, series + 1)
        ],
    )


def announce(receiver: Receiver, dataset: Dataset, uid: str | None = "1.2.9", **options: Any) -> Dataset:
    with associated(receiver, InstanceAvailabilityNotification, **options) as association:
        status, _ = association.send_n_create(dataset, InstanceAvailabilityNotification, uid)
    return status


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_notice_announces_the_images_of_each_series(syntax: str, tmp_path: Path) -> None:
    events = Announced()
    with receiving(tmp_path, MemoryIndex(), events=events) as receiver:
        assert announce(receiver, notice("ONLINE", "NEARLINE", "OFFLINE", series=2), syntax=syntax).Status == 0
    assert events.events == [
        StudyEvent(
            StudyEventKind.IMAGES_AVAILABLE,
            "DICOM PACS",
            study_instance_uid="1.2.3",
            series=(("1.2.3.1", 2), ("1.2.3.2", 2)),
        )
    ]


def test_the_same_notice_again_and_one_without_a_uid_are_successes(tmp_path: Path) -> None:
    events = Announced()
    with receiving(tmp_path, MemoryIndex(), events=events) as receiver:
        statuses = [announce(receiver, notice("ONLINE"), uid).Status for uid in ("1.2.9", "1.2.9", None)]
    assert (statuses, len(events.events)) == ([0, 0, 0], 1)


def test_images_that_only_a_person_can_mount_are_not_announced(tmp_path: Path) -> None:
    events = Announced()
    with receiving(tmp_path, MemoryIndex(), events=events) as receiver:
        assert announce(receiver, notice("OFFLINE", "UNAVAILABLE")).Status == 0
    assert events.events == []


def without(dataset: Dataset, keyword: str) -> Dataset:
    delattr(dataset, keyword)
    return dataset


def emptied(dataset: Dataset, keyword: str) -> Dataset:
    setattr(dataset, keyword, None)
    return dataset


@pytest.mark.parametrize(
    ("dataset", "status", "comment"),
    [
        (without(notice("ONLINE"), "StudyInstanceUID"), 0x0120, "want StudyInstanceUID"),
        (emptied(notice("ONLINE"), "StudyInstanceUID"), 0x0121, "want a value of StudyInstanceUID"),
        (without(notice("ONLINE"), "ReferencedSeriesSequence"), 0x0120, "want ReferencedSeriesSequence"),
        (notice("ONLINE", series=0), 0x0121, "want a value of ReferencedSeriesSequence"),
        (notice("SOMEWHERE"), 0x0106, "Instance Availability"),
        (item(StudyInstanceUID="../../x", ReferencedSeriesSequence=[item()]), 0x0106, "UIDs"),
        (item(StudyInstanceUID="1.2.3", ReferencedSeriesSequence=[item()]), 0x0120, "want SeriesInstanceUID"),
    ],
)
def test_a_notice_that_says_too_little_has_its_status(
    dataset: Dataset, status: int, comment: str, tmp_path: Path
) -> None:
    events = Announced()
    with receiving(tmp_path, MemoryIndex(), events=events) as receiver:
        answer = announce(receiver, dataset)
    assert (answer.Status, comment in answer.ErrorComment) == (status, True)
    assert "1.2.3" not in answer.ErrorComment
    assert events.events == []


def test_a_notice_that_cannot_be_kept_is_a_resource_limitation(tmp_path: Path) -> None:
    with receiving(tmp_path, MemoryIndex(), events=FullEvents()) as receiver:
        assert announce(receiver, notice("ONLINE")).Status == 0x0213


def test_without_anybody_who_wants_notices_they_are_not_negotiated(tmp_path: Path) -> None:
    with receiving(tmp_path, MemoryIndex()) as receiver:
        for sop_class in (InstanceAvailabilityNotification, StorageCommitmentPushModel):
            with associated(receiver, sop_class) as association:
                assert [context.result for context in association.rejected_contexts] == [3]


def answer(transaction: str, kept: Sequence[str] = (), failed: Sequence[tuple[str, int]] = ()) -> Dataset:
    dataset = item(TransactionUID=transaction)
    if kept:
        dataset.ReferencedSOPSequence = [
            item(ReferencedSOPClassUID=REPORT, ReferencedSOPInstanceUID=uid) for uid in kept
        ]
    if failed:
        dataset.FailedSOPSequence = [
            item(
                ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
                ReferencedSOPInstanceUID=uid,
                FailureReason=reason,
            )
            for uid, reason in failed
        ]
    return dataset


def report(
    receiver: Receiver,
    information: Dataset,
    event_type: int = 1,
    instance: str = PUSH_MODEL_INSTANCE,
    role: bool = True,
) -> Dataset:
    """As a PACS reports on an association of its own: it is the SCP there."""
    roles = [build_role(StorageCommitmentPushModel, scp_role=True)] if role else []
    with associated(receiver, StorageCommitmentPushModel, ext_neg=roles) as association:
        assert association.is_established
        assert [context.as_scp for context in association.accepted_contexts] == [role]
        context = association.accepted_contexts[0]
        context._as_scu = True  # a PACS that negotiates no role reports all the same
        status, _ = association.send_n_event_report(information, event_type, StorageCommitmentPushModel, instance)
    return status


@pytest.mark.parametrize("role", [True, False])
def test_a_promise_is_kept_with_and_without_role_negotiation(role: bool, tmp_path: Path) -> None:
    promises = Promises({"1.2.77"})
    with receiving(tmp_path, MemoryIndex(), commitments=promises) as receiver:
        assert report(receiver, answer("1.2.77", ["1.2.1", "1.2.2"]), role=role).Status == 0
    assert promises.answers == [("1.2.77", ("1.2.1", "1.2.2"), ())]


def test_what_a_pacs_does_not_keep_is_told_with_its_reason(tmp_path: Path) -> None:
    promises = Promises({"1.2.77"})
    failed = [("1.2.2", 0x0112), ("1.2.3", 0x0122), ("1.2.4", 0x1234)]
    with receiving(tmp_path, MemoryIndex(), commitments=promises) as receiver:
        assert report(receiver, answer("1.2.77", ["1.2.1"], failed), 2).Status == 0
    [(_, kept, told)] = promises.answers
    assert kept == ("1.2.1",)
    assert told == (
        ("1.2.2", "no such object instance"),
        ("1.2.3", "referenced SOP class not supported"),
        ("1.2.4", "failure reason 1234H"),
    )


@pytest.mark.parametrize(
    ("information", "event_type", "instance", "status"),
    [
        (answer("1.2.78", ["1.2.1"]), 1, PUSH_MODEL_INSTANCE, 0x0112),
        (answer("1.2.77", ["1.2.1"]), 1, "1.2.3.4", 0x0112),
        (answer("1.2.77", ["1.2.1"]), 3, PUSH_MODEL_INSTANCE, 0x0113),
        (answer("1.2.77"), 1, PUSH_MODEL_INSTANCE, 0x0115),
        (answer("1.2.77", ["1.2.1"], [("1.2.1", 0x0110)]), 2, PUSH_MODEL_INSTANCE, 0x0115),
        (answer("1.2.77", ["1.2.1"], [("1.2.2", 0x0110)]), 1, PUSH_MODEL_INSTANCE, 0x0115),
        (answer("1.2.77", ["../x"]), 1, PUSH_MODEL_INSTANCE, 0x0115),
        (answer("", ["1.2.1"]), 1, PUSH_MODEL_INSTANCE, 0x0115),
    ],
)
def test_an_answer_that_nobody_waits_for_or_understands_has_its_status(
    information: Dataset, event_type: int, instance: str, status: int, tmp_path: Path
) -> None:
    promises = Promises({"1.2.77"})
    with receiving(tmp_path, MemoryIndex(), commitments=promises) as receiver:
        assert report(receiver, information, event_type, instance).Status == status
    assert promises.answers == []


def test_nobody_gets_a_promise_from_sightline(tmp_path: Path) -> None:
    with (
        receiving(tmp_path, MemoryIndex(), commitments=Promises()) as receiver,
        associated(receiver, StorageCommitmentPushModel) as association,
    ):
        status, _ = association.send_n_action(
            answer("1.2.77", ["1.2.1"]), 1, StorageCommitmentPushModel, PUSH_MODEL_INSTANCE
        )
    assert status.Status == 0x0211


def test_images_and_notices_share_a_listener(tmp_path: Path) -> None:
    index, events = MemoryIndex(), Announced()
    paths = write_series(tmp_path / "series")
    with receiving(tmp_path / "data", index, events=events, commitments=Promises()) as receiver:
        assert announce(receiver, notice("ONLINE")).Status == 0
        results = send(paths, node_at(receiver.port, called=AE_TITLE, calling="PACS"), timeout_s=10)
    assert [result.status for result in results] == [0] * len(paths)
    assert (len(index.instances), len(events.events)) == (6, 1)

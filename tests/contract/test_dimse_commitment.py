"""Storage commitment as SCU, against an SCP on loopback that reports at once, later, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ComprehensiveSRStorage, SegmentationStorage
from pynetdicom import evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.events import Event

from adapters.dicom.commitment import STORAGE_COMMITMENT, ask
from adapters.dicom.commitment_answer import PUSH_MODEL_INSTANCE
from adapters.dicom.sender import VERIFICATION
from cds.errors import InvalidInput, PeerFailed, PeerRefused
from tests.contract.dimse_peers import pacs

TRANSACTION = "2.25.1"
SENT = [(ComprehensiveSRStorage, "1.2.3.1"), (SegmentationStorage, "1.2.3.2")]
Failed = Sequence[tuple[str, str]]


class Desk:
    """Where answers go."""

    def __init__(self, *asked: str) -> None:
        self.asked = asked or (TRANSACTION,)
        self.answers: list[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]] = []

    def answered(self, transaction_uid: str, committed: Sequence[str], failed: Failed) -> bool:
        self.answers.append((transaction_uid, tuple(committed), tuple(failed)))
        return transaction_uid in self.asked


class Scp:
    """A Storage Commitment SCP that reports what a test says."""

    def __init__(self, failed: dict[str, int] | None = None, status: int = 0, reports: bool = True) -> None:
        self.failed = failed or {}
        self.status = status
        self.reports = reports
        self.transaction = ""
        self.requests: list[Dataset] = []
        self.answers: list[int] = []
        self.threads: list[threading.Thread] = []

    def on_action(self, event: Event) -> tuple[int, None]:
        assert isinstance(event.request, N_ACTION)
        assert event.request.RequestedSOPInstanceUID == PUSH_MODEL_INSTANCE
        self.requests.append(event.action_information)
        if self.reports and not self.status:
            thread = threading.Thread(target=self._report, args=(event.assoc, event.action_information))
            thread.start()
            self.threads.append(thread)
        return self.status, None

    def _report(self, association: Any, request: Dataset) -> None:
        report = Dataset()
        report.TransactionUID = self.transaction or request.TransactionUID
        kept = [one for one in request.ReferencedSOPSequence if one.ReferencedSOPInstanceUID not in self.failed]
        report.ReferencedSOPSequence = DicomSequence(kept)
        lost = [one for one in request.ReferencedSOPSequence if one.ReferencedSOPInstanceUID in self.failed]
        for one in lost:
            one.FailureReason = self.failed[one.ReferencedSOPInstanceUID]
        if lost:
            report.FailedSOPSequence = DicomSequence(lost)
        status, _ = association.send_n_event_report(report, 2 if lost else 1, STORAGE_COMMITMENT, PUSH_MODEL_INSTANCE)
        self.answers.append(status.Status)

    def serving(self) -> Any:
        return pacs([(evt.EVT_N_ACTION, self.on_action)], [STORAGE_COMMITMENT])

    def join(self) -> None:
        for thread in self.threads:
            thread.join()


def test_what_the_pacs_keeps_is_told_over_the_same_association() -> None:
    scp, desk = Scp(), Desk()
    with scp.serving() as node:
        assert ask(node, SENT, TRANSACTION, timeout_s=5, answered=desk.answered, wait_s=5)
        scp.join()
    assert desk.answers == [(TRANSACTION, ("1.2.3.1", "1.2.3.2"), ())]
    [request] = scp.requests
    assert request.TransactionUID == TRANSACTION
    references = [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in request.ReferencedSOPSequence]
    assert references == SENT
    assert scp.answers == [0]


def test_what_the_pacs_does_not_keep_has_its_reason() -> None:
    scp, desk = Scp(failed={"1.2.3.2": 0x0112}), Desk()
    with scp.serving() as node:
        assert ask(node, SENT, TRANSACTION, timeout_s=5, answered=desk.answered, wait_s=5)
        scp.join()
    assert desk.answers == [(TRANSACTION, ("1.2.3.1",), (("1.2.3.2", "no such object instance"),))]


def test_a_report_that_comes_later_is_not_waited_for() -> None:
    scp, desk = Scp(reports=False), Desk()
    with scp.serving() as node:
        assert not ask(node, SENT, TRANSACTION, timeout_s=5, answered=desk.answered, wait_s=0.1)
    assert desk.answers == []


def test_a_report_of_something_that_nobody_asked_is_answered_so() -> None:
    scp, desk = Scp(), Desk()
    scp.transaction = "2.25.9"
    with scp.serving() as node:
        assert not ask(node, SENT, TRANSACTION, timeout_s=5, answered=desk.answered, wait_s=0.5)
        scp.join()
    assert scp.answers == [0x0112]


def test_a_peer_without_storage_commitment_is_refused_in_words() -> None:
    with pacs([], [VERIFICATION]) as node, pytest.raises(PeerRefused):
        ask(node, SENT, TRANSACTION, timeout_s=5, answered=Desk().answered)


@pytest.mark.parametrize(("status", "error"), [(0x0110, PeerFailed), (0x0213, PeerFailed), (0x0124, PeerRefused)])
def test_a_refused_request_is_told_by_its_status(status: int, error: type[Exception]) -> None:
    with Scp(status=status).serving() as node, pytest.raises(error, match=f"0x{status:04X}"):
        ask(node, SENT, TRANSACTION, timeout_s=5, answered=Desk().answered)


def test_a_uid_that_is_none_is_not_sent() -> None:
    with Scp().serving() as node, pytest.raises(InvalidInput):
        ask(node, [(ComprehensiveSRStorage, "x")], TRANSACTION, timeout_s=5, answered=Desk().answered)

"""The answer to a request for storage commitment (PS3.4 section J.3.3): what a PACS promises to keep of what it got."""

from __future__ import annotations

from typing import NamedTuple

from pydicom.dataset import Dataset

from adapters.dicom.availability import read_notice
from adapters.dicom.header import UNREADABLE, check_uid
from cds.errors import InvalidInput, InvalidInstance

#: Storage Commitment Push Model SOP Instance (PS3.4 section J.3.5).
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
_TRANSACTION, _FAILED, _REFERENCED = 0x00081195, 0x00081198, 0x00081199
#: Event Type ID (PS3.4 section J.3.3.1): all are kept; some are not.
_ALL_KEPT, _SOME_FAILED = 1, 2
_MOST_INSTANCES = 50_000
#: Failure Reason (0008,1197), PS3.3 section C.14.1.1.
REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "referenced SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}


class InvalidArgument(InvalidInput):
    """PS3.7 annex C.5.10: an event whose information is out of range or otherwise inappropriate."""

    dimse_status = 0x0115


class NoSuchEventType(InvalidInput):
    """PS3.7 annex C.5.13: no such event type."""

    dimse_status = 0x0113


class NoSuchInstance(InvalidInput):
    """PS3.7 annex C.5.12: no such SOP instance; nobody here asked for this transaction."""

    dimse_status = 0x0112


class CommitmentAnswer(NamedTuple):
    """Which instances the PACS keeps, and (SOP Instance UID, reason in words) of those that it does not."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]

    def require_asked(self, known: bool) -> None:
        """Raise NoSuchInstance where nobody asked."""
        if not known:
            raise NoSuchInstance("want a transaction that was asked for here")


def require_push_model(sop_instance_uid: str) -> None:
    """Raise NoSuchInstance where the event is not of the one instance of the push model."""
    if sop_instance_uid != PUSH_MODEL_INSTANCE:
        raise NoSuchInstance("want an event of the Storage Commitment Push Model SOP Instance")


def read_answer(encoded: bytes, syntax: str, *, event_type: int) -> CommitmentAnswer:
    """The answer in the information of an event (PS3.4 table J.3.3-1).

    Raise NoSuchEventType, or InvalidArgument where it cannot be read or names an instance as kept and as failed.
    """
    if event_type not in (_ALL_KEPT, _SOME_FAILED):
        raise NoSuchEventType("want event type 1 or 2 (PS3.4 section J.3.3.1)")
    try:
        dataset = read_notice(encoded, syntax, (_TRANSACTION, _FAILED, _REFERENCED))
        committed = [_uid(item, "ReferencedSOPInstanceUID") for item in dataset.get("ReferencedSOPSequence") or []]
        failed = {
            _uid(item, "ReferencedSOPInstanceUID"): reason(item.get("FailureReason"))
            for item in dataset.get("FailedSOPSequence") or []
        }
        answer = CommitmentAnswer(
            _uid(dataset, "TransactionUID"), tuple(dict.fromkeys(committed)), tuple(failed.items())
        )
    except (InvalidInstance, *UNREADABLE) as error:
        raise InvalidArgument("want event information that can be read (PS3.4 table J.3.3-1)") from error
    _require_sense(answer, event_type)
    return answer


def reason(code: object) -> str:
    """A Failure Reason in words; a code that the standard does not have is told as its number."""
    if not isinstance(code, int):
        return "no reason given"
    return REASONS.get(code, f"failure reason {code & 0xFFFF:04X}H")


def _require_sense(answer: CommitmentAnswer, event_type: int) -> None:
    """Failure Reason decides, not the event's number; but success that names nothing, or failures, is none."""
    if not answer.committed and not answer.failed:
        raise InvalidArgument("want an answer that names instances")
    if event_type == _ALL_KEPT and answer.failed:
        raise InvalidArgument("want no failed instances in an event that says that all are kept")
    if len(answer.committed) + len(answer.failed) > _MOST_INSTANCES:
        raise InvalidArgument(f"want an answer of at most {_MOST_INSTANCES} instances")
    if {uid for uid, _ in answer.failed} & set(answer.committed):
        raise InvalidArgument("want each instance either kept or failed")


def _uid(item: Dataset, keyword: str) -> str:
    uid = str(item.get(keyword, "")).strip(" \0")
    check_uid(uid)
    return uid

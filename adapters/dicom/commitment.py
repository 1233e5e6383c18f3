"""Storage Commitment Push Model as SCU (PS3.4 annex J): asking a PACS to promise that it keeps what it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from adapters.dicom import dimse
from adapters.dicom.association import Association, Context, Proposal, associated
from adapters.dicom.commitment_answer import (
    PUSH_MODEL_INSTANCE,
    InvalidArgument,
    read_answer,
    require_push_model,
)
from adapters.dicom.dimse import Message
from adapters.dicom.query_retrieve import IDENTIFIER_SYNTAXES, checked_uid, encoded_identifier, offered
from adapters.dicom.quiet import quiet
from cds.errors import InvalidInput, PeerFailed, PeerRefused
from cds.imaging_peers import DicomNode

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
_REQUEST_STORAGE_COMMITMENT = 1
#: No such SOP class, not supported, not authorized, no such action: asking again gets the same answer (PS3.7 annex C).
_REFUSALS = frozenset({0x0118, 0x0122, 0x0123, 0x0124, 0x0211, 0x0212})


#: Takes the transaction UID, what is kept and (UID, reason) of what is not; False where nobody asked for it.
Answered = Callable[[str, Sequence[str], Sequence[tuple[str, str]]], bool]


def ask(
    node: DicomNode,
    instances: Sequence[tuple[str, str]],
    transaction_uid: str,
    *,
    timeout_s: float,
    answered: Answered,
    wait_s: float = 1.0,
) -> bool:
    """N-ACTION for (SOP class, SOP instance) pairs. True where the report came within `wait_s` and was taken.

    Otherwise it comes later, to our listener. Raise PeerRefused where the peer does not offer storage commitment or
    refuses for good, Unavailable where it cannot be reached or fails.
    """
    quiet()
    information = _action_information(instances, checked_uid(transaction_uid))
    with associated(node, [Proposal(STORAGE_COMMITMENT, IDENTIFIER_SYNTAXES)], timeout_s=timeout_s) as association:
        context = offered(association, STORAGE_COMMITMENT, "storage commitment")
        message_id = association.next_message_id()
        association.send(context.id, _request(message_id), encoded_identifier(information, context))
        waiting = _Waiting(association, context, transaction_uid, answered)
        waiting.for_action(message_id)
        return waiting.for_report(wait_s)


class _Waiting:
    """What comes over the association once storage commitment was requested."""

    def __init__(self, association: Association, context: Context, transaction_uid: str, answered: Answered) -> None:
        self._association = association
        self._context = context
        self._transaction_uid = transaction_uid
        self._answered = answered
        self._is_answered = False

    def for_action(self, message_id: int) -> None:
        """The N-ACTION response; the report may overtake it."""
        while True:
            message = self._association.receive()
            if message.number(dimse.COMMAND_FIELD) == dimse.N_EVENT_REPORT:
                self._take(message)
            elif message.number(dimse.RESPONDED_TO) == message_id:
                _require_accepted(message.number(dimse.STATUS))
                return
            else:
                raise PeerFailed("want N-ACTION answered with its response")

    def for_report(self, wait_s: float) -> bool:
        """True once the report of our transaction was taken; False where it does not come now."""
        deadline = time.monotonic() + wait_s
        while not self._is_answered:
            left = deadline - time.monotonic()
            if left <= 0 or not self._association.is_readable(left):
                return False
            message = self._association.receive()
            if message.number(dimse.COMMAND_FIELD) != dimse.N_EVENT_REPORT:
                raise PeerFailed("want N-EVENT-REPORT after N-ACTION")
            self._take(message)
        return True

    def _take(self, message: Message) -> None:
        response = dimse.response(message, self._status(message))
        response[dimse.EVENT_TYPE_ID] = message.number(dimse.EVENT_TYPE_ID) or 0
        self._association.send(message.context_id, response)

    def _status(self, message: Message) -> int:
        try:
            if message.is_too_long or message.context_id != self._context.id:
                raise InvalidArgument("want event information of this request")
            require_push_model(message.text(dimse.AFFECTED_SOP_INSTANCE_UID))
            event_type = message.number(dimse.EVENT_TYPE_ID) or 0
            answer = read_answer(bytes(message.data), self._context.syntax, event_type=event_type)
            answer.require_asked(self._answered(answer.transaction_uid, answer.committed, answer.failed))
        except InvalidInput as error:
            return error.dimse_status
        self._is_answered = self._is_answered or answer.transaction_uid == self._transaction_uid
        return dimse.SUCCESS


def _request(message_id: int) -> dict[int, int | str]:
    return {
        dimse.REQUESTED_SOP_CLASS_UID: STORAGE_COMMITMENT,
        dimse.REQUESTED_SOP_INSTANCE_UID: PUSH_MODEL_INSTANCE,
        dimse.COMMAND_FIELD: dimse.N_ACTION,
        dimse.MESSAGE_ID: message_id,
        dimse.DATA_SET_TYPE: 1,
        dimse.ACTION_TYPE_ID: _REQUEST_STORAGE_COMMITMENT,
    }


def _action_information(instances: Sequence[tuple[str, str]], transaction_uid: str) -> Dataset:
    """PS3.4 table J.3-1."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = DicomSequence(list(_references(instances)))
    return information


def _references(instances: Sequence[tuple[str, str]]) -> Iterator[Dataset]:
    for sop_class, sop_instance in instances:
        reference = Dataset()
        reference.ReferencedSOPClassUID = checked_uid(sop_class)
        reference.ReferencedSOPInstanceUID = checked_uid(sop_instance)
        yield reference


def _require_accepted(status: int | None) -> None:
    if status == dimse.SUCCESS:
        return
    said = "no status" if status is None else f"0x{status:04X}"
    if status in _REFUSALS:
        raise PeerRefused(f"the PACS refuses storage commitment: {said}")
    raise PeerFailed(f"the PACS could not take a storage commitment request: {said}")

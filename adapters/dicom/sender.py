"""C-ECHO and C-STORE as SCU (PS3.4 annexes A and B): for the demo, for checks, and for tests over the real wire."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pynetdicom._config
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time from its table

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adapters.dicom.header import UNREADABLE
from adapters.dicom.quiet import quiet
from cds.errors import PeerRefused, Unavailable

#: Presentation contexts per association (PS3.8 section 9.3.2.2: odd numbers of one byte).
_MOST_CONTEXTS = 128
_SUCCESS = 0x0000
#: Result of A-ASSOCIATE-RJ (PS3.8 section 9.3.4).
_REJECTED_FOR_NOW = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """The peer's answer for one instance; `status` is None where it was never asked or did not answer.

    `accepted` is False where the peer takes no instances of this class in this transfer syntax at all.
    """

    status: int | None
    comment: str = ""
    accepted: bool = True

    @property
    def stored(self) -> bool:
        """True for success and for the warnings that store nevertheless (PS3.4 table B.2-1: 0xBxxx)."""
        return self.status is not None and (self.status == _SUCCESS or self.status >> 12 == 0xB)  # noqa: PLR2004  0xBxxx


@dataclass(frozen=True, slots=True)
class StoreResult:
    """The peer's answer for one file; `status` is None where it was never asked or did not answer."""

    path: Path
    status: int | None
    comment: str = ""

    @property
    def stored(self) -> bool:
        """See Answer."""
        return Answer(self.status).stored


class _Kind(NamedTuple):
    sop_class: str
    syntax: str


def send(
    paths: Sequence[Path],
    host: str,
    port: int,
    *,
    calling_ae: str,
    called_ae: str,
    timeout_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[StoreResult]:
    """Send DICOM files as they are, each in its own transfer syntax; `progress` is told (done, all) after each.

    Raise Unavailable where nobody answers, PeerRefused where the association is rejected.
    """
    quiet()
    pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True  # send the file's bytes, do not encode them anew
    results: list[StoreResult] = []
    for batch in _batches(paths):
        kinds = {kind for _, kind in batch if kind is not None}
        with _association(_entity(calling_ae, kinds, timeout_s), host, port, called_ae) as association:
            for path, kind in batch:
                answer = _store(association, path, kind, len(results) + 1)
                results.append(StoreResult(path, answer.status, answer.comment))
                if progress is not None:
                    progress(len(results), len(paths))
    return results


def store(
    datasets: Sequence[Dataset], host: str, port: int, *, calling_ae: str, called_ae: str, timeout_s: float
) -> list[Answer]:
    """Send uncompressed instances from memory over one association, in the transfer syntax that the peer prefers.

    Raise Unavailable where nobody answers or all contexts are busy, PeerRefused where the association is rejected for
    good or the peer takes no instance of any of the classes.
    """
    quiet()
    entity = _entity(calling_ae, set(), timeout_s)
    for sop_class in sorted({str(dataset.SOPClassUID) for dataset in datasets}):
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    with _association(entity, host, port, called_ae) as association:
        return [
            _store(association, dataset, _Kind(str(dataset.SOPClassUID), ""), number)
            for number, dataset in enumerate(datasets, 1)
        ]


def echo(host: str, port: int, *, calling_ae: str, called_ae: str, timeout_s: float) -> None:
    """C-ECHO; return where the peer answers with success, raise Unavailable or PeerRefused where it does not."""
    quiet()
    entity = _entity(calling_ae, set(), timeout_s)
    entity.add_requested_context(Verification)
    with _association(entity, host, port, called_ae) as association:
        status = association.send_c_echo()
    if "Status" not in status:
        raise Unavailable("want an answer to C-ECHO")
    if status.Status != _SUCCESS:
        raise PeerRefused("want C-ECHO answered with success")


def _batches(paths: Sequence[Path]) -> Iterator[list[tuple[Path, _Kind | None]]]:
    batch: list[tuple[Path, _Kind | None]] = []
    kinds: set[_Kind | None] = set()
    for path in paths:
        kind = _kind(path)
        if len(kinds | {kind}) > _MOST_CONTEXTS:
            yield batch
            batch, kinds = [], set()
        batch.append((path, kind))
        kinds.add(kind)
    if batch:
        yield batch


def _kind(path: Path) -> _Kind | None:
    try:
        meta, _ = split_dataset(path)
        kind = _Kind(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
    except (*UNREADABLE, OSError, InvalidDicomError):
        return None
    return kind if "MediaStorageSOPInstanceUID" in meta else None


def _store(association: Association, what: Path | Dataset, kind: _Kind | None, message_id: int) -> Answer:
    if kind is None:
        return Answer(None, "no DICOM file with meta information (PS3.10)")
    if not association.is_established:
        return Answer(None, "the association ended")
    try:
        answer = association.send_c_store(what, msg_id=message_id % 0xFFFF)
    except ValueError:
        return Answer(None, "the peer does not take this SOP class in this transfer syntax", accepted=False)
    return _answer(answer)


def _answer(answer: Dataset) -> Answer:
    if "Status" not in answer:
        return Answer(None, "no answer")
    return Answer(int(answer.Status), str(answer.get("ErrorComment", "")))


def _entity(calling_ae: str, kinds: set[_Kind], timeout_s: float) -> AE:
    entity = AE(calling_ae)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = entity.acse_timeout = timeout_s
    entity.dimse_timeout = entity.network_timeout = timeout_s
    entity.requested_contexts = [build_context(kind.sop_class, kind.syntax) for kind in sorted(kinds)]
    return entity


@contextmanager
def _association(entity: AE, host: str, port: int, called_ae: str) -> Iterator[Association]:
    if not entity.requested_contexts:
        entity.add_requested_context(Verification)
    opened: list[socket.socket] = []
    handlers: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, _no_delay, [opened])]
    association = entity.associate(host, port, ae_title=called_ae, evt_handlers=handlers)
    try:
        _require_accepted(association)
        if not association.is_established:
            raise Unavailable("want a DICOM peer that answers at the configured host and port")
        yield association
    finally:
        if association.is_established:
            association.release()
        for connection in opened:  # pynetdicom leaves it open where the peer was first to go
            connection.close()


def _require_accepted(association: Association) -> None:
    """Tell a rejection for good from one for now, and an association that would carry nothing."""
    if association.is_rejected:
        primitive = association.acceptor.primitive
        if primitive is not None and primitive.result == _REJECTED_FOR_NOW:
            raise Unavailable("want an association, the peer rejected it for now")
        raise PeerRefused("want an association, the peer rejected it (called or calling AE title)")
    if association.rejected_contexts and not association.accepted_contexts:
        raise PeerRefused("want a peer that takes instances of these SOP classes: it accepts no presentation context")


def _no_delay(event: Event, opened: list[socket.socket]) -> None:
    """Nagle's algorithm and delayed acknowledgment together cost 40 ms per instance."""
    wrapper = event.assoc.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        wrapper.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.append(wrapper.socket)

"""C-ECHO and C-STORE as SCU (PS3.4 annexes A and B): to give results back, for the demo, and for checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode, split_dataset

from adapters.dicom import dimse
from adapters.dicom.association import MOST_CONTEXTS, Association, Proposal, associated
from adapters.dicom.header import UNREADABLE, check_uid
from adapters.dicom.quiet import quiet
from cds.errors import InvalidInstance, PeerRefused, Unavailable
from cds.imaging_peers import DicomNode

#: Verification SOP Class (PS3.4 annex A).
VERIFICATION = "1.2.840.10008.1.1"
#: What a data set from memory is offered in: the first that the peer accepts is used.
_UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


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
        return self.status is not None and (self.status == dimse.SUCCESS or self.status >> 12 == 0xB)  # noqa: PLR2004  0xBxxx


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


class _File(NamedTuple):
    """What the file meta information of a DICOM file says, and where its data set begins."""

    sop_class: str
    sop_instance: str
    syntax: str
    offset: int

    @property
    def kind(self) -> tuple[str, str]:
        return self.sop_class, self.syntax


def send(
    paths: Sequence[Path],
    node: DicomNode,
    *,
    timeout_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[StoreResult]:
    """Send DICOM files as they are, each in its own transfer syntax; `progress` is told (done, all) after each.

    Raise Unavailable where nobody answers, PeerRefused where the association is rejected.
    """
    quiet()
    results: list[StoreResult] = []
    for batch in _batches(paths):
        proposals = [Proposal(*kind_of) for kind_of in _proposed(batch)]
        with associated(node, proposals, timeout_s=timeout_s) as association:
            sending = _Sending(association)
            for path, file in batch:
                answer = sending.file(path, file)
                results.append(StoreResult(path, answer.status, answer.comment))
                if progress is not None:
                    progress(len(results), len(paths))
    return results


def store(
    datasets: Sequence[Dataset],
    node: DicomNode,
    *,
    timeout_s: float,
) -> list[Answer]:
    """Send uncompressed instances from memory over one association, in the transfer syntax that the peer accepts.

    Raise Unavailable where nobody answers or all contexts are busy, PeerRefused where the association is rejected for
    good or the peer takes no instance of any of the classes.
    """
    quiet()
    classes = sorted({str(dataset.SOPClassUID) for dataset in datasets})
    proposals = [Proposal(sop_class, _UNCOMPRESSED) for sop_class in classes]
    with associated(node, proposals or [Proposal(VERIFICATION, _UNCOMPRESSED)], timeout_s=timeout_s) as association:
        sending = _Sending(association)
        return [sending.dataset(dataset) for dataset in datasets]


def echo(node: DicomNode, *, timeout_s: float) -> None:
    """C-ECHO; return where the peer answers with success, raise Unavailable or PeerRefused where it does not."""
    quiet()
    with associated(node, [Proposal(VERIFICATION, _UNCOMPRESSED)], timeout_s=timeout_s) as association:
        [context] = association.contexts
        request = dimse.request(dimse.C_ECHO, VERIFICATION, association.next_message_id(), data=False)
        del request[dimse.PRIORITY]
        answer = association.ask(context, request)
    if answer.number(dimse.STATUS) != dimse.SUCCESS:
        raise PeerRefused("want C-ECHO answered with success")


class _Sending:
    """C-STORE after C-STORE over one association, until it ends."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._ended = False

    def file(self, path: Path, file: _File | None) -> Answer:
        """A file's data set, byte for byte."""
        if file is None:
            return Answer(None, "no DICOM file with meta information (PS3.10)")
        try:
            data = memoryview(path.read_bytes())[file.offset :]
        except OSError:
            return Answer(None, "the file cannot be read")
        context = self._association.context(file.sop_class, file.syntax)
        return self._store(context.id if context else None, file.sop_class, file.sop_instance, data)

    def dataset(self, dataset: Dataset) -> Answer:
        """A data set, encoded as the peer accepts it."""
        sop_class = str(dataset.SOPClassUID)
        context = self._association.context(sop_class)
        if context is None:
            return self._store(None, sop_class, "", b"")
        syntax = UID(context.syntax)
        encoded = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian)
        if encoded is None:
            return Answer(None, "this data set cannot be encoded", accepted=False)
        return self._store(context.id, sop_class, str(dataset.SOPInstanceUID), encoded)

    def _store(self, context_id: int | None, sop_class: str, sop_instance: str, data: bytes | memoryview) -> Answer:
        if self._ended:
            return Answer(None, "the association ended")
        if context_id is None:
            return Answer(None, "the peer does not take this SOP class in this transfer syntax", accepted=False)
        request = dimse.request(dimse.C_STORE, sop_class, self._association.next_message_id(), data=True)
        request[dimse.AFFECTED_SOP_INSTANCE_UID] = sop_instance
        try:
            answer = self._association.ask(context_id, request, data)
        except Unavailable:
            self._ended = True
            return Answer(None, "no answer")
        return Answer(answer.number(dimse.STATUS), answer.text(dimse.ERROR_COMMENT))


def _proposed(batch: Sequence[tuple[Path, _File | None]]) -> list[tuple[str, tuple[str, ...]]]:
    """One context per class and syntax; without any the peer is greeted all the same, so that its absence is known."""
    kinds = sorted({file.kind for _, file in batch if file is not None})
    return [(sop_class, (syntax,)) for sop_class, syntax in kinds] or [(VERIFICATION, _UNCOMPRESSED)]


def _batches(paths: Sequence[Path]) -> Iterator[list[tuple[Path, _File | None]]]:
    """As many files as the contexts of one association allow."""
    batch: list[tuple[Path, _File | None]] = []
    kinds: set[tuple[str, str]] = set()
    for path in paths:
        file = _file(path)
        more = {file.kind} if file is not None else set()
        if len(kinds | more) > MOST_CONTEXTS:
            yield batch
            batch, kinds = [], set()
        batch.append((path, file))
        kinds |= more
    if batch:
        yield batch


def _file(path: Path) -> _File | None:
    try:
        meta, offset = split_dataset(path)
        file = _File(
            str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID), offset
        )
        for uid in (file.sop_class, file.sop_instance, file.syntax):
            check_uid(uid)  # they travel in the negotiation: a bad one would stop all the others too
    except (*UNREADABLE, OSError, InvalidDicomError, InvalidInstance):
        return None
    return file

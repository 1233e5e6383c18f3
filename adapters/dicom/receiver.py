"""The DICOM listener: C-ECHO and C-STORE (PS3.4 annexes A and B). Status 0x0000 means: on disk and in the index."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time from its table

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, InstanceFiles
from adapters.dicom.header import HEADER_TAGS, UNREADABLE, check_uid, read_header
from adapters.dicom.quiet import quiet
from adapters.dicom.rejection_note import NOTE_CLASS, NOTE_TAGS, rejection_notes
from adapters.dicom.scan import PIXEL_DATA, parse, scan
from adapters.dicom.syntaxes import ACCEPTED_SYNTAXES, UNCOMPRESSED
from adapters.dicom.transport import Overflow, SharedContexts, bounded, on_closed
from cds import metrics
from cds.domain.imaging import InstanceHeader, RejectionNote, StoredInstance
from cds.errors import InvalidInstance, OutOfResources, SightlineError
from cds.logs import get_logger, study_ref
from cds.ports import Clock, InstanceIndex
from cds.settings import DicomLimits

log = get_logger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
#: VR LO: (0000,0902) Error Comment holds 64 characters (PS3.7 annex C).
_LONGEST_COMMENT = 64
_POLL_S = 0.1

#: Samples per Pixel, Number of Frames, Rows, Columns, Bits Allocated.
_SIZE_TAGS = (0x00280002, 0x00280008, 0x00280010, 0x00280011, 0x00280100)
#: What the index has already, or does not want: the file is not needed.
_NOT_NEEDED = ("duplicate", "own")


class MismatchedInstance(InvalidInstance):
    """The request names another instance than its data set (PS3.4 table B.2-1: data set does not match SOP class)."""

    dimse_status = 0xA900


class Received(NamedTuple):
    """An instance as it came: its header, the data set as received, its digests, and what it rejects."""

    header: InstanceHeader
    encoded: bytes
    sha256: str
    pixels_sha256: str
    notes: tuple[RejectionNote, ...]


class Receiver:
    """A storage SCP on one port. It accepts every storage SOP class in every syntax that `syntaxes` calls harmless."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        ae_title: str,
        limits: DicomLimits,
        files: InstanceFiles,
        index: InstanceIndex,
        clock: Clock,
        consumes: Callable[[InstanceHeader], bool],
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        quiet()
        self._files = files
        self._index = index
        self._clock = clock
        self._consumes = consumes
        self._limits = limits
        server, handler = bounded(limits)
        entity = _entity(ae_title, limits)
        self._server = server(
            entity,
            (host, port),
            ae_title,
            SharedContexts(entity.supported_contexts),
            ssl_context,
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_REJECTED, _on_rejected),
                (evt.EVT_CONN_CLOSE, on_closed),
            ],
            request_handler=handler,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)

    @property
    def port(self) -> int:
        """The TCP port that is bound, also where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in the background; what a crash left half written is removed first."""
        removed = self._files.discard_partial()
        self._thread.start()
        log.info("DICOM listener ready", port=self.port, count=removed)

    def drain(self, timeout_s: float) -> None:
        """Take no new associations, let the present ones end, and abort those that are left after `timeout_s`."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        deadline = time.monotonic() + timeout_s
        while self._server.active_associations and time.monotonic() < deadline:
            time.sleep(_POLL_S / 2)
        for association in self._server.active_associations:
            association.abort()

    def _on_store(self, event: Event) -> Dataset:
        quiet()
        try:
            self._store(event)
        except SightlineError as error:
            metrics.DICOM_INSTANCES.inc(outcome="refused")
            log.warning("instance refused", dimse_status=error.dimse_status, peer=_peer(event), exc_info=error)
            return _status(error.dimse_status, str(error))
        except Exception as error:  # the outer loop of the SCP: the peer gets an answer, the log the error
            metrics.DICOM_INSTANCES.inc(outcome="failed")
            log.error("instance failed", dimse_status=PROCESSING_FAILURE, peer=_peer(event), exc_info=error)
            return _status(PROCESSING_FAILURE, "an internal error, please send again")
        metrics.DICOM_INSTANCES.inc(outcome="stored")
        return _status(SUCCESS)

    def _store(self, event: Event) -> None:
        started = time.monotonic()
        received = _understand(event, self._limits)
        if received.notes:
            self._reject(received.notes, event)
            return
        header = received.header
        file = self._files.write(
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            dataset=received.encoded,
        )
        instance = StoredInstance(header, file.path, received.sha256, file.size, received.pixels_sha256)
        outcome = self._commit(instance, consumed=self._consumes(header))
        if outcome in _NOT_NEEDED:
            self._files.remove(file.path)
        tell = log.warning if outcome == "conflict" or header.flags else log.info
        tell(
            "instance stored",
            outcome=outcome,
            study_ref=study_ref(header.study_instance_uid),
            size=file.size,
            count=len(header.flags),
            peer=_peer(event),
            duration_ms=round((time.monotonic() - started) * 1000, 1),
        )

    def _reject(self, notes: tuple[RejectionNote, ...], event: Event) -> None:
        """The index keeps what a note says; the note itself would name the wrong patient on, and is not kept."""
        for note in notes:
            count = self._index.reject(note, received_at=self._clock.now())
            uid = study_ref(note.study_instance_uid)
            log.info("rejection note applied", outcome=note.code, study_ref=uid, count=count, peer=_peer(event))

    def _commit(self, instance: StoredInstance, *, consumed: bool) -> str:
        """Only where surely nothing was committed may the file go: a lost answer could leave a row that needs it."""
        try:
            return self._index.add(instance, received_at=self._clock.now(), consumed=consumed, source="dicom")
        except OutOfResources:
            self._files.remove(instance.path)
            raise


def _understand(event: Event, limits: DicomLimits) -> Received:
    """What a request says, read once and bounded."""
    buffer = event.request.DataSet  # type: ignore[union-attr]  # C-STORE alone comes here
    encoded = buffer.getvalue() if isinstance(buffer, BytesIO) else b""
    if isinstance(buffer, Overflow) or len(encoded) > limits.max_instance_bytes:
        raise OutOfResources("want an instance below this receiver's size limit")
    request: C_STORE = event.request  # type: ignore[assignment]  # C-STORE alone comes here
    instance, sop_class = str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID)
    check_uid(instance)
    check_uid(sop_class)
    syntax = str(event.context.transfer_syntax)
    note_tags = NOTE_TAGS if sop_class == NOTE_CLASS else ()
    found = scan(encoded, syntax, {*HEADER_TAGS, *_SIZE_TAGS, *note_tags, PIXEL_DATA})
    dataset = parse(encoded, syntax, found)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    header = read_header(dataset)
    if (header.sop_instance_uid, header.sop_class_uid) != (instance, sop_class):
        raise MismatchedInstance("want a data set with the request's SOP UIDs")
    pixels = found.spans.get(PIXEL_DATA)
    if pixels is not None and syntax in UNCOMPRESSED and pixels.end - pixels.value < _stated_size(dataset):
        raise InvalidInstance("want as much pixel data as rows, columns and bits state")
    notes = rejection_notes(dataset) if sop_class == NOTE_CLASS else ()
    return Received(header, encoded, found.sha256, found.pixels_sha256, notes)


def _stated_size(dataset: Dataset) -> int:
    """Bytes of uncompressed pixel data by its own header (PS3.3 C.7.6.3.1); 0 where the header does not say."""
    try:
        rows, columns, bits = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
        samples, frames = int(dataset.get("SamplesPerPixel") or 1), int(dataset.get("NumberOfFrames") or 1)
    except (*UNREADABLE, TypeError):
        return 0
    return rows * columns * samples * frames * bits // 8


def _entity(ae_title: str, limits: DicomLimits) -> AE:
    entity = AE(ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = limits.max_pdu_bytes
    entity.maximum_associations = limits.max_associations
    entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = limits.network_timeout_s
    entity.require_called_aet = limits.require_called_ae_title
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), list(ACCEPTED_SYNTAXES))
    entity.add_supported_context(Verification)
    return entity


def _on_rejected(event: Event) -> None:
    log.warning("association rejected", peer=_peer(event))


def _peer(event: Event) -> str:
    return f"{event.assoc.requestor.ae_title}@{event.assoc.requestor.address}"


def _status(code: int, comment: str = "") -> Dataset:
    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment[:_LONGEST_COMMENT]
    return status

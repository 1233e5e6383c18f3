"""The DICOM listener: C-ECHO and C-STORE (PS3.4 annexes A and B), and what a PACS tells by DIMSE: that images are there
(annex R), and that it keeps what it was sent (annex J). Status 0x0000 means: on disk and in the index.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE, N_CREATE, N_EVENT_REPORT
from pynetdicom.events import Event
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time from its table
    InstanceAvailabilityNotification,
    StorageCommitmentPushModel,
    Verification,
)

from adapters.dicom.arrival import Arrivals
from adapters.dicom.availability import read_availability
from adapters.dicom.commitment_answer import read_answer, require_push_model
from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from adapters.dicom.quiet import quiet
from adapters.dicom.syntaxes import ACCEPTED_SYNTAXES
from adapters.dicom.transport import Overflow, SharedContexts, bounded, on_closed
from cds import metrics
from cds.errors import OutOfResources, SightlineError
from cds.limits import DicomLimits
from cds.logs import get_logger
from cds.ports import Clock, Commitments, StudyEvents

log = get_logger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
#: PS3.7 annex C.4.14 and C.4.15: for the services of normalized operations.
RESOURCE_LIMITATION = 0x0213
UNRECOGNIZED_OPERATION = 0x0211
#: VR LO: (0000,0902) Error Comment holds 64 characters (PS3.7 annex C).
_LONGEST_COMMENT = 64
_POLL_S = 0.1


class Receiver:
    """An SCP on one port. It accepts every storage SOP class in every syntax that `syntaxes` calls harmless.

    `allowed_peers` are the networks and `allowed_ae_titles` the calling AE titles that may connect; without any, all.
    Instance Availability is accepted with `events`, answers to storage commitment with `commitments`.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        ae_title: str,
        limits: DicomLimits,
        arrivals: Arrivals,
        clock: Clock,
        ssl_context: ssl.SSLContext | None = None,
        allowed_peers: Sequence[str] = (),
        allowed_ae_titles: Sequence[str] = (),
        events: StudyEvents | None = None,
        commitments: Commitments | None = None,
    ) -> None:
        quiet()
        self._arrivals = arrivals
        self._clock = clock
        self._events = events
        self._commitments = commitments
        server, handler = bounded(limits, allowed_peers)
        entity = _entity(ae_title, limits, allowed_ae_titles)
        if events is not None:
            entity.add_supported_context(InstanceAvailabilityNotification)
        if commitments is not None:  # PS3.4 section J.3.3: the PACS comes as the SCP that it is
            entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        self._server = server(
            entity,
            (host, port),
            ae_title,
            SharedContexts(entity.supported_contexts),
            ssl_context,
            evt_handlers=self._handlers(),
            request_handler=handler,
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)

    def _handlers(self) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_N_CREATE, self._on_create),
            (evt.EVT_N_EVENT_REPORT, self._on_event_report),
            (evt.EVT_N_ACTION, _on_action),
            (evt.EVT_REJECTED, _on_rejected),
            (evt.EVT_CONN_CLOSE, on_closed),
        ]

    @property
    def port(self) -> int:
        """The TCP port that is bound, also where 0 was asked for."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in the background; what a crash left half written is removed first."""
        removed = self._arrivals.discard_partial()
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
        status, outcome = _answer(event, self._store)
        if outcome:  # what is stored is counted where it is committed
            metrics.DICOM_INSTANCES.inc(outcome=outcome)
        return status

    def _store(self, event: Event) -> None:
        request: C_STORE = event.request  # type: ignore[assignment]  # C-STORE alone comes here
        pending = self._arrivals.prepare(
            _received(request.DataSet),
            str(event.context.transfer_syntax),
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
        )
        self._arrivals.commit([pending], source="dicom", peer=_peer(event))

    def _on_create(self, event: Event) -> tuple[Dataset, Dataset | None]:
        status, _ = _answer(event, self._announce)
        return _normalized(status), _named(event)

    def _announce(self, event: Event) -> None:
        request: N_CREATE = event.request  # type: ignore[assignment]  # N-CREATE alone comes here
        encoded, syntax = _received(request.AttributeList), str(event.context.transfer_syntax)
        found = read_availability(encoded, syntax, source=f"DICOM {_title(event)}")
        if found is None or self._events is None:
            log.info("no images are available yet", peer=_peer(event))
            return
        new = self._events.announce(found, self._clock.now())
        outcome = "announced" if new else "duplicate"
        log.info("images announced", outcome=outcome, series=len(found.series), peer=_peer(event))

    def _on_event_report(self, event: Event) -> tuple[Dataset, None]:
        status, _ = _answer(event, self._committed)
        return _normalized(status), None

    def _committed(self, event: Event) -> None:
        request: N_EVENT_REPORT = event.request  # type: ignore[assignment]  # N-EVENT-REPORT alone comes here
        require_push_model(str(request.AffectedSOPInstanceUID))
        found = read_answer(
            _received(request.EventInformation), str(event.context.transfer_syntax), event_type=request.EventTypeID or 0
        )
        if self._commitments is None:
            return
        found.require_asked(
            self._commitments.answered(found.transaction_uid, found.committed, found.failed, self._clock.now())
        )
        outcome = "failed" if found.failed else "committed"
        count = len(found.committed) + len(found.failed)
        log.info("storage commitment answered", outcome=outcome, count=count, peer=_peer(event))


def _answer(event: Event, work: Callable[[Event], None]) -> tuple[Dataset, str]:
    """The status of what was done, and the outcome where it failed."""
    quiet()
    try:
        work(event)
    except SightlineError as error:
        log.warning("instance refused", dimse_status=error.dimse_status, peer=_peer(event), exc_info=error)
        return _status(error.dimse_status, str(error)), "refused"
    except Exception as error:  # the outer loop of the SCP: the peer gets an answer, the log the error
        log.error("instance failed", dimse_status=PROCESSING_FAILURE, peer=_peer(event), exc_info=error)
        return _status(PROCESSING_FAILURE, "an internal error, please send again"), "failed"
    return _status(SUCCESS), ""


def _received(buffer: BytesIO | None) -> bytes:
    """The data set of a request; raise OutOfResources where it was above the limit and is not here."""
    if isinstance(buffer, Overflow):
        raise OutOfResources("want an instance below this receiver's size limit")
    return buffer.getvalue() if buffer is not None else b""


def _normalized(status: Dataset) -> Dataset:
    """DIMSE-N has its own word for a lack of room (PS3.7 annex C)."""
    if status.Status == OutOfResources.dimse_status:
        status.Status = RESOURCE_LIMITATION
    return status


def _named(event: Event) -> Dataset | None:
    """Who creates without a UID is told one (PS3.7 section 10.1.5.1.4)."""
    if getattr(event.request, "AffectedSOPInstanceUID", None) is not None:
        return None
    named = Dataset()
    named.AffectedSOPInstanceUID = generate_uid(prefix=None)
    return named


def _on_action(event: Event) -> tuple[Dataset, None]:
    """Nobody may ask us to keep images: Sightline is no archive."""
    log.warning("instance refused", dimse_status=UNRECOGNIZED_OPERATION, peer=_peer(event))
    return _status(UNRECOGNIZED_OPERATION, "want no storage commitment from Sightline"), None


class _Entity(AE):
    """Connections that never ask for an association have bounds of their own: they take no other peer's place."""

    @property
    def active_associations(self) -> list[Association]:
        """Those that asked."""
        return [one for one in super().active_associations if one.requestor.primitive is not None]


def _entity(ae_title: str, limits: DicomLimits, allowed_ae_titles: Sequence[str]) -> AE:
    entity = _Entity(ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = limits.max_pdu_bytes
    entity.maximum_associations = limits.max_associations
    entity.acse_timeout = entity.network_timeout = entity.dimse_timeout = limits.network_timeout_s
    entity.require_called_aet = limits.require_called_ae_title
    entity.require_calling_aet = list(allowed_ae_titles)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), list(ACCEPTED_SYNTAXES))
    entity.add_supported_context(Verification)
    return entity


def _on_rejected(event: Event) -> None:
    metrics.DICOM_CONNECTIONS.inc(outcome="rejected")
    log.warning("association rejected", peer=_peer(event))


def _title(event: Event) -> str:
    """The calling AE title: a peer's text, so that nothing but its printable characters travels on."""
    return "".join(c for c in str(event.assoc.requestor.ae_title) if c.isascii() and c.isprintable()).strip()


def _peer(event: Event) -> str:
    return f"{_title(event)}@{event.assoc.requestor.address}"


def _status(code: int, comment: str = "") -> Dataset:
    status = Dataset()
    status.Status = code
    if comment:
        status.ErrorComment = comment[:_LONGEST_COMMENT]
    return status

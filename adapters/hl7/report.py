"""A report as ORU^R01 of HL7 v2.5.1: preliminary, under our own filler number and code, linked to the exam's order.

So it can neither complete the exam's order nor touch the radiologist's report (SAFETY section 3). It says all that the
FHIR resources of the same report say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from adapters.hl7 import encode
from adapters.hl7.client import Peer
from adapters.hl7.encode import NOTHING, Encoded, components, field, segment
from adapters.hl7.proof import prove
from adapters.hl7.result import observations, withdrawn
from adapters.hl7.segments import (
    OUR_CODES,
    OUR_NAME,
    Envelope,
    day_of,
    exam,
    header,
    images_made,
    notes,
    patient_id,
    request,
    software,
)
from adapters.hl7.statement import Observation
from adapters.hl7.timestamp import written
from cds.clock import SystemClock
from cds.destinations import MllpDestination
from cds.domain import conclusion
from cds.domain.ids import report_number
from cds.domain.imaging import OwnInstance
from cds.domain.matching import MatchState
from cds.domain.report import Audience, Report
from cds.errors import ConfigurationError, InvalidInput
from cds.ports import Clock

DISCLAIMER = (
    "Advisory software output for a clinician, not a radiology report. Research software, not a cleared medical device."
)
_GONE = "a later version of the report does not say this any more"
_CONTROL_ID_DIGITS = 20  # MSH-10 had 20 characters before 2.7

#: A report → the same as a PDF, the same bytes each time.
Document = Callable[[Report], bytes]


class OruSink:
    """A destination of ORU^R01 over MLLP, port ReportSink. `facility` names the site in MSH-4.

    `document` makes the PDF that goes along where the destination wants one.
    """

    def __init__(
        self,
        name: str,
        destination: MllpDestination,
        *,
        facility: str,
        time_zone: str,
        application: str = OUR_NAME,
        clock: Clock | None = None,
        document: Document | None = None,
    ) -> None:
        if destination.pdf and document is None:
            raise ConfigurationError([f"{name} wants a PDF, and nothing here makes one"])
        self._name = name
        self._destination = destination
        self._sender = (application, facility)
        self._time_zone = time_zone
        self._clock = clock or SystemClock(time_zone)
        self._document = document if destination.pdf else None
        self._peer = Peer(destination)

    @property
    def name(self) -> str:
        """The destination's name in the settings."""
        return self._name

    @property
    def audience(self) -> Audience:
        """Whose eyes it has."""
        return self._destination.audience

    @property
    def production(self) -> bool:
        """True where it takes production results alone."""
        return self._destination.processing == "P"

    def prepare(self, report: Report) -> None:
        """Nothing of it takes long: a document is drawn in some 20 ms, and only a commit knows its version."""

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The block, proven readable; MSH-10 is a hash of the delivery, so that a repeat can be recognised.

        `earlier` is what the destination has, of the same episode: what it said and this does not is withdrawn.
        """
        envelope = self._envelope(report, delivery_id)
        document = self._document(report) if self._document else None
        return prove(oru(report, envelope, earlier=earlier, document=document))

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """The block that takes an earlier report back under its own filler number.

        The document too, whether the destination wants one now or not: it may have had one when it was sent.
        """
        envelope = self._envelope(report, delivery_id)
        return prove(retraction(report, envelope, reason=reason, at=self._clock.now(), document=b""))

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        """No DICOM instance leaves this way."""
        return ()

    def send(self, payload: bytes) -> str:
        """Send and return the acknowledgment in words; Unavailable means again, PeerRefused never."""
        return self._peer.send(payload)

    def _envelope(self, report: Report, delivery_id: str) -> Envelope:
        if report.test is self.production:
            raise InvalidInput("want test results at test destinations alone, and no others there")
        return Envelope(
            message_control_id=hashlib.sha256(delivery_id.encode()).hexdigest()[:_CONTROL_ID_DIGITS].upper(),
            sending_application=self._sender[0],
            sending_facility=self._sender[1],
            receiving_application=self._destination.application,
            receiving_facility=self._destination.facility,
            time_zone=self._time_zone,
            processing_id=self._destination.processing,
        )


def oru(report: Report, envelope: Envelope, *, earlier: Report | None = None, document: bytes | None = None) -> bytes:
    """The block. InvalidInput where the report has no patient: an ORU without one reaches somebody else's chart."""
    said = list(observations(report, document))
    if earlier is not None and earlier.episode == report.episode:
        renewed = {one.identity for one in said}
        said += [withdrawn(one, _GONE) for one in observations(earlier, document) if one.identity not in renewed]
    more = _exam(report) | {25: field("P")}
    return _message(report, envelope, at=report.issued, more=more, remarks=_remarks(report), said=said)


def retraction(
    report: Report, envelope: Envelope, *, reason: str, at: datetime, document: bytes | None = None
) -> bytes:
    """What takes `report` back, to the patient whom it named: the same OBR-3, and every OBX of it as wrong.

    OBX-11 is W, "post original as wrong, e.g., transmitted for wrong patient" (HL7 table 0085); D would leave no trace.
    OBR-25 is X, "no results available; order canceled" (table 0123, which has no W): C would correct something that was
    final, P would say that a result stands. What is cancelled is our own filler number: the message has neither
    placer number nor accession number nor parent, so that no receiver can cancel the exam's order by it.
    """
    said = [withdrawn(one, reason) for one in observations(report, document)]
    remark = f"Withdrawn: {reason.rstrip('.')}. Disregard the earlier AI analysis under this number."
    return _message(report, envelope, at=at, more={25: field("X")}, remarks=[remark], said=said)


def _message(
    report: Report,
    envelope: Envelope,
    *,
    at: datetime,
    more: dict[int, Encoded],
    remarks: Iterable[str],
    said: Sequence[Observation],
) -> bytes:
    zone, study = envelope.zone, report.study
    patient = report.patient
    if patient is None or report.match.state not in (MatchState.MATCHED, MatchState.DETACHED):
        raise InvalidInput("want a patient in a report that is sent as ORU^R01")
    made = images_made(study.started_at, study.study_date, zone)
    number = report_number(study, report.episode)
    segments = [
        header(envelope, at),
        software(),
        patient_id(patient, report.order),
        request(number, at, zone, {7: made, **more}),
        *notes(remarks),
    ]
    shared = {14: made, 19: field(written(at, zone)), 23: components(envelope.sending_facility)}
    for place, observation in enumerate(said, 1):
        segments += _observation(place, observation, shared)
    return encode.message(segments)


def _exam(report: Report) -> dict[int, Encoded]:
    """Which exam it belongs to; an order that was cancelled after the images came is not named."""
    if report.match.state is not MatchState.MATCHED:
        return {}
    order = report.order
    return exam(order, order.accession if order and order.accession else report.study.accession)


def _remarks(report: Report) -> Iterator[str]:
    yield DISCLAIMER
    if report.replaces is not None:
        yield f"This is version {report.version}; it replaces version {report.replaces}."
    yield from conclusion.incomplete(report)
    if report.match.state is MatchState.MATCHED and report.order and report.order.accession:
        yield f"The accession number was issued by {report.order.accession.as_sent().assigner}."
    if report.final_report is not None:
        day = (report.final_report.issued or report.final_report.received_at).date()
        yield f"A radiology report of {day.isoformat()} was known."


def _observation(place: int, said: Observation, shared: Mapping[int, Encoded]) -> Iterator[Encoded]:
    model = f"{said.model} {said.version}".strip()
    fields = {
        1: field(str(place)),
        2: field(said.value_type),
        3: said.code,
        4: field(said.sub_id),
        5: said.value,
        6: said.unit,
        8: field(said.flag),
        11: field(said.status),
        17: components(said.model, model, OUR_CODES) if said.model else NOTHING,
        18: components(model, OUR_NAME) if model else NOTHING,
    }
    yield segment("OBX", {**shared, **fields, **({14: day_of(said.day)} if said.day else {})})
    yield from notes(said.notes)

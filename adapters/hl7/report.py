"""A report as ORU^R01 of HL7 v2.5.1: preliminary, under our own filler number and code, linked to the exam's order.

So it can neither complete the exam's order nor touch the radiologist's report (SAFETY section 3): OBR-2 stays empty,
because receivers file a result under the placer's order that it names, and complete that order.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.hl7 import client, encode
from adapters.hl7.encode import NOTHING, Encoded, components, field, joined, repetitions, segment, subcomponents
from adapters.hl7.proof import prove
from adapters.hl7.result import Observation, observations, withdrawn
from adapters.hl7.timestamp import written
from cds.clock import SystemClock
from cds.destinations import MllpDestination
from cds.domain.identity import Identifier, Sex
from cds.domain.ids import report_number
from cds.domain.imaging import OwnInstance
from cds.domain.matching import MatchState
from cds.domain.report import Audience, Report
from cds.errors import InvalidInput
from cds.ports import Clock

OUR_NAME = "SIGHTLINE"
OUR_CODES = "99SIGHTLINE"
DISCLAIMER = (
    "Advisory software output for a clinician, not a radiology report. Research software, not a cleared medical device."
)
_SEXES = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: "U"}
_GONE = "a later version of the report does not say this any more"
_CONTROL_ID_DIGITS = 20  # MSH-10 had 20 characters before 2.7


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom under which number, and whether it is production, training or a test (HL7 table 0103)."""

    message_control_id: str
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    time_zone: str
    processing_id: str = "P"

    @property
    def zone(self) -> ZoneInfo:
        """The zone that times are written in."""
        return ZoneInfo(self.time_zone)


class OruSink:
    """A destination of ORU^R01 over MLLP, port ReportSink. `facility` names the site in MSH-4."""

    def __init__(
        self,
        name: str,
        destination: MllpDestination,
        *,
        facility: str,
        time_zone: str,
        application: str = OUR_NAME,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._destination = destination
        self._sender = (application, facility)
        self._time_zone = time_zone
        self._clock = clock or SystemClock(time_zone)
        file = destination.tls_ca_file
        self._ssl_context = ssl.create_default_context(cafile=file) if file else None

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
        """Nothing of it takes long."""

    def encode(self, report: Report, delivery_id: str, earlier: Report | None = None) -> bytes:
        """The block, proven readable; MSH-10 is a hash of the delivery, so that a repeat can be recognised.

        `earlier` is what the destination has, of the same episode: what it said and this does not is withdrawn.
        """
        return prove(oru(report, self._envelope(report, delivery_id), earlier=earlier))

    def retract(self, report: Report, delivery_id: str, reason: str) -> bytes:
        """The block that takes an earlier report back under its own filler number."""
        envelope = self._envelope(report, delivery_id)
        return prove(retraction(report, envelope, reason=reason, at=self._clock.now()))

    def made(self, payload: bytes) -> Sequence[OwnInstance]:
        """No DICOM instance leaves this way."""
        return ()

    def send(self, payload: bytes) -> str:
        """Send and return the acknowledgment in words; Unavailable means again, PeerRefused never."""
        to = self._destination
        answer = client.send(to.host, to.port, payload, to.timeout_s, self._ssl_context)
        return f"{answer.code} for message {answer.control_id}"

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


def oru(report: Report, envelope: Envelope, *, earlier: Report | None = None) -> bytes:
    """The block. InvalidInput where the report has no patient: an ORU without one reaches somebody else's chart."""
    zone = envelope.zone
    said = list(observations(report))
    if earlier is not None and earlier.episode == report.episode:
        renewed = {one.identity for one in said}
        said += [withdrawn(one, _GONE) for one in observations(earlier) if one.identity not in renewed]
    segments = [
        _header(envelope, report.issued),
        _patient(report),
        _request(report, report.issued, zone, _exam(report)),
        *_notes(report),
    ]
    for number, observation in enumerate(said, 1):
        segments += _observation(number, observation, report, report.issued, zone)
    return encode.message(segments)


def retraction(report: Report, envelope: Envelope, *, reason: str, at: datetime) -> bytes:
    """What takes `report` back, to the patient whom it named: the same OBR-3, and every OBX of it as wrong.

    OBX-11 is W, "post original as wrong, e.g., transmitted for wrong patient" (HL7 table 0085); D would leave no trace.
    OBR-25 is X, "no results available; order canceled" (table 0123, which has no W): C would correct something that was
    final, P would say that a result stands. What is cancelled is our own filler number: the message has neither
    placer number nor accession number nor parent, so that no receiver can cancel the exam's order by it.
    """
    zone = envelope.zone
    segments = [
        _header(envelope, at),
        _patient(report),
        _request(report, at, zone, {25: field("X")}),
        _note(1, f"Withdrawn: {reason.rstrip('.')}. Disregard the earlier AI analysis under this number."),
    ]
    for number, observation in enumerate(observations(report), 1):
        segments += _observation(number, withdrawn(observation, reason), report, at, zone)
    return encode.message(segments)


def _header(envelope: Envelope, at: datetime) -> Encoded:
    return segment(
        "MSH",
        {
            3: field(envelope.sending_application),
            4: field(envelope.sending_facility),
            5: field(envelope.receiving_application),
            6: field(envelope.receiving_facility),
            7: field(written(at, envelope.zone)),
            9: components("ORU", "R01", "ORU_R01"),
            10: field(envelope.message_control_id),
            11: field(envelope.processing_id),
            12: field("2.5.1"),
            18: field("UNICODE UTF-8"),
        },
    )


def _patient(report: Report) -> Encoded:
    """PID; the identifier that the order came under stands first, for receivers that read no further."""
    patient = report.patient
    if patient is None or report.match.state not in (MatchState.MATCHED, MatchState.DETACHED):
        raise InvalidInput("want a patient in a report that is sent as ORU^R01")
    filed_under = report.order.patient if report.order else None
    identifiers = [one.as_sent() for one in sorted(patient.identifiers, key=lambda one: one != filed_under)]
    return segment(
        "PID",
        {
            1: field("1"),
            3: repetitions(components(identifier.value, "", "", identifier.assigner) for identifier in identifiers),
            5: components(patient.name.family, patient.name.given),
            7: field(patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""),
            8: field(_SEXES[patient.sex]),
        },
    )


def _request(report: Report, at: datetime, zone: ZoneInfo, more: Mapping[int, Encoded]) -> Encoded:
    return segment(
        "OBR",
        {
            1: field("1"),
            3: components(f"SL-{report_number(report.study, report.episode)}", OUR_NAME),
            4: components("AI-ANALYSIS", "AI analysis of imaging study", OUR_CODES),
            7: _study_time(report, zone),
            22: field(written(at, zone)),
            **more,
        },
    )


def _exam(report: Report) -> dict[int, Encoded]:
    """Preliminary, and which exam it belongs to; an order that was cancelled after the images came is not named."""
    if report.match.state is not MatchState.MATCHED:
        return {25: field("P")}
    order = report.order
    placer, filler = (order.placer_order_number, order.filler_order_number) if order else (None, None)
    accession = order.accession if order and order.accession else report.study.accession
    return {
        18: field(accession.as_sent().value if accession else ""),
        25: field("P"),
        29: joined(_parent(placer), _parent(filler)),
    }


def _notes(report: Report) -> Iterator[Encoded]:
    texts = [DISCLAIMER]
    if report.replaces is not None:
        texts.append(f"This is version {report.version}; it replaces version {report.replaces}.")
    yield from (_note(number, text) for number, text in enumerate(texts, 1))


def _observation(
    number: int, observation: Observation, report: Report, at: datetime, zone: ZoneInfo
) -> Iterator[Encoded]:
    model = f"{observation.model} {observation.version}".strip()
    yield segment(
        "OBX",
        {
            1: field(str(number)),
            2: field(observation.value_type),
            3: observation.code,
            4: field(observation.sub_id),
            5: observation.value,
            6: observation.unit,
            11: field(observation.status),
            14: _study_time(report, zone),
            17: components(observation.model, model, OUR_CODES) if observation.model else NOTHING,
            18: components(model, OUR_NAME) if model else NOTHING,
            19: field(written(at, zone)),
        },
    )
    yield from (_note(place, text) for place, text in enumerate(observation.notes, 1))


def _note(number: int, text: str) -> Encoded:
    return segment("NTE", {1: field(str(number)), 2: field("L"), 3: field(text)})


def _parent(identifier: Identifier | None) -> Encoded:
    sent = identifier.as_sent() if identifier else None
    return subcomponents(sent.value, sent.assigner) if sent else NOTHING


def _study_time(report: Report, zone: ZoneInfo) -> Encoded:
    study = report.study
    if study.started_at is not None:
        return field(written(study.started_at, zone))
    return field(study.study_date.strftime("%Y%m%d") if study.study_date else "")

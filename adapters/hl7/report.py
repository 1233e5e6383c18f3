"""A report as ORU^R01 of HL7 v2.5.1: preliminary, under our own filler number and code, linked to the exam's order.

So it can neither complete the exam's order nor touch the radiologist's report (SAFETY section 3): OBR-2 stays empty,
because receivers file a result under the placer's order that it names, and complete that order.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from adapters.hl7 import client, encode
from adapters.hl7.encode import NOTHING, Encoded, components, field, joined, repetitions, segment, subcomponents
from adapters.hl7.proof import prove
from adapters.hl7.result import Observation, observations
from adapters.hl7.timestamp import written
from cds.domain.identity import Identifier, Patient, Sex
from cds.domain.order import ServiceRequest
from cds.domain.report import Report
from cds.errors import InvalidInput
from cds.settings import MllpDestination

OUR_NAME = "SIGHTLINE"
OUR_CODES = "99SIGHTLINE"
DISCLAIMER = (
    "Advisory software output for a clinician, not a radiology report. Research software, not a cleared medical device."
)
_SEXES = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: "U"}
_CONTROL_ID_DIGITS = 20  # MSH-10 had 20 characters before 2.7


class OruSink:
    """A destination of ORU^R01 over MLLP, port ReportSink. `facility` names the site in MSH-4."""

    def __init__(
        self, name: str, destination: MllpDestination, *, facility: str, time_zone: str, application: str = OUR_NAME
    ) -> None:
        self._name = name
        self._destination = destination
        self._sender = (application, facility)
        self._time_zone = time_zone
        file = destination.tls_ca_file
        self._ssl_context = ssl.create_default_context(cafile=file) if file else None

    @property
    def name(self) -> str:
        """The destination's name in the settings."""
        return self._name

    def encode(self, report: Report, delivery_id: str) -> bytes:
        """The block, proven readable; MSH-10 is a hash of the delivery, so that a repeat can be recognised."""
        block = oru(
            report,
            message_control_id=hashlib.sha256(delivery_id.encode()).hexdigest()[:_CONTROL_ID_DIGITS].upper(),
            sending_application=self._sender[0],
            sending_facility=self._sender[1],
            receiving_application=self._destination.application,
            receiving_facility=self._destination.facility,
            time_zone=self._time_zone,
        )
        return prove(block)

    def send(self, payload: bytes) -> str:
        """Send and return the acknowledgment in words; Unavailable means again, PeerRefused never."""
        to = self._destination
        answer = client.send(to.host, to.port, payload, to.timeout_s, self._ssl_context)
        return f"{answer.code} for message {answer.control_id}"


def oru(
    report: Report,
    *,
    message_control_id: str,
    sending_application: str,
    sending_facility: str,
    receiving_application: str,
    receiving_facility: str,
    processing_id: str = "P",
    time_zone: str,
) -> bytes:
    """The block. InvalidInput where the report has no patient: an ORU without one reaches somebody else's chart."""
    if report.patient is None:
        raise InvalidInput("want a patient in a report that is sent as ORU^R01")
    zone = ZoneInfo(time_zone)
    header = {
        3: field(sending_application),
        4: field(sending_facility),
        5: field(receiving_application),
        6: field(receiving_facility),
        7: field(written(report.issued, zone)),
        9: components("ORU", "R01", "ORU_R01"),
        10: field(message_control_id),
        11: field(processing_id),
        12: field("2.5.1"),
        18: field("UNICODE UTF-8"),
    }
    segments = [segment("MSH", header), _patient(report.patient, report.order), _request(report, zone), *_notes(report)]
    for number, observation in enumerate(observations(report), 1):
        segments += _observation(number, observation, report, zone)
    return encode.message(segments)


def _patient(patient: Patient, order: ServiceRequest | None) -> Encoded:
    """PID; the identifier that the order came under stands first, for receivers that read no further."""
    filed_under = order.patient if order else None
    identifiers = sorted(patient.identifiers, key=lambda identifier: identifier != filed_under)
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


def _request(report: Report, zone: ZoneInfo) -> Encoded:
    order = report.order
    placer, filler = (order.placer_order_number, order.filler_order_number) if order else (None, None)
    accession = order.accession if order and order.accession else report.study.accession
    return segment(
        "OBR",
        {
            1: field("1"),
            3: components(f"SL-{report.study.public_id}", OUR_NAME),
            4: components("AI-ANALYSIS", "AI analysis of imaging study", OUR_CODES),
            7: _study_time(report, zone),
            18: field(accession.value if accession else ""),
            22: field(written(report.issued, zone)),
            25: field("P"),
            29: joined(_parent(placer), _parent(filler)),
        },
    )


def _notes(report: Report) -> Iterator[Encoded]:
    texts = [DISCLAIMER]
    if report.replaces is not None:
        texts.append(f"This is version {report.version}; it replaces version {report.replaces}.")
    yield from (_note(number, text) for number, text in enumerate(texts, 1))


def _observation(number: int, observation: Observation, report: Report, zone: ZoneInfo) -> Iterator[Encoded]:
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
            11: field("P" if observation.evaluated else "X"),
            14: _study_time(report, zone),
            17: components(observation.model, model, OUR_CODES) if observation.model else NOTHING,
            18: components(model, OUR_NAME) if model else NOTHING,
            19: field(written(report.issued, zone)),
        },
    )
    yield from (_note(place, text) for place, text in enumerate(observation.notes, 1))


def _note(number: int, text: str) -> Encoded:
    return segment("NTE", {1: field(str(number)), 2: field("L"), 3: field(text)})


def _parent(identifier: Identifier | None) -> Encoded:
    return subcomponents(identifier.value, identifier.assigner) if identifier else NOTHING


def _study_time(report: Report, zone: ZoneInfo) -> Encoded:
    study = report.study
    if study.started_at is not None:
        return field(written(study.started_at, zone))
    return field(study.study_date.strftime("%Y%m%d") if study.study_date else "")

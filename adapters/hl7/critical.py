"""Critical results as ORU^R01 of HL7 v2.5.1.

The message is preliminary, under a number of its own, so that withdrawing it leaves the AI report standing, and that
report never replaces it. Where whose images they are is in doubt there is no PID, no accession number in OBR-18 and no
parent, so that nobody can file it to somebody else's chart; a note says how to find the study.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from adapters.hl7 import client, encode
from adapters.hl7.encode import Encoded, components, field, joined, repetitions, segment, subcomponents
from adapters.hl7.proof import prove
from adapters.hl7.report import OUR_CODES, OUR_NAME
from adapters.hl7.timestamp import written
from cds.destinations import MllpDestination
from cds.domain.critical import CriticalNotice, message_number
from cds.domain.identity import Identifier, Patient, Sex
from cds.domain.ids import report_number

_SEXES = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: "U"}
_VERY_ABNORMAL = "AA"  # HL7 table 0078: analogous to panic limits
_STAT = "S"  # OBR-5 and TQ.6
_SUB_ID_DIGITS = 20


class CriticalOru:
    """Port Channel over MLLP. `facility` names the site in MSH-4; times are written in `time_zone`."""

    def __init__(self, name: str, destination: MllpDestination, *, facility: str, time_zone: str) -> None:
        self._name = name
        self._destination = destination
        self._facility = facility
        self._zone = ZoneInfo(time_zone)
        file = destination.tls_ca_file
        self._ssl_context = ssl.create_default_context(cafile=file) if file else None

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def encode(self, notice: CriticalNotice, delivery_id: str) -> bytes:
        """The block, proven readable; MSH-10 numbers the delivery, so that a person's answer can name it."""
        to = self._destination
        header = {
            3: field(OUR_NAME),
            4: field(self._facility),
            5: field(to.application),
            6: field(to.facility),
            7: field(written(notice.sent_at, self._zone)),
            9: components("ORU", "R01", "ORU_R01"),
            10: field(message_number(delivery_id)),
            11: field(to.processing),
            12: field("2.5.1"),
            18: field("UNICODE UTF-8"),
        }
        return prove(encode.message([segment("MSH", header), *_result(notice, self._zone)]))

    def send(self, payload: bytes) -> str:
        """See ReportSink.send. The peer's AA says that its system has the message, not that a person does."""
        to = self._destination
        answer = client.send(to.host, to.port, payload, to.timeout_s, self._ssl_context)
        return f"{answer.code} for message {answer.control_id}"


def _result(notice: CriticalNotice, zone: ZoneInfo) -> Iterator[Encoded]:
    if notice.patient is not None:
        yield _patient(notice.patient, notice.order.patient if notice.order else None)
    yield _request(notice, zone)
    texts = filter(None, (*notice.lines, notice.found_by))
    yield from (segment("NTE", {1: field(str(n)), 2: field("L"), 3: field(text)}) for n, text in enumerate(texts, 1))
    result = notice.result
    finding = {
        1: field("1"),
        2: field("ST"),
        3: components("AI-CRITICAL-FINDING", "Critical AI finding", OUR_CODES),
        4: field(hashlib.sha256(result.finding.encode()).hexdigest()[:_SUB_ID_DIGITS]),
        5: field(result.title),
        8: field(_VERY_ABNORMAL),
        11: field("W" if notice.withdrawn else "P"),
        14: _study_time(notice, zone),
        17: components(result.finding.partition(".")[0], "", OUR_CODES),
        19: field(written(result.created_at, zone)),
    }
    yield segment("OBX", finding)


def _patient(patient: Patient, filed_under: Identifier | None) -> Encoded:
    """PID; the identifier that the order came under stands first, for receivers that read no further."""
    identifiers = [one.as_sent() for one in sorted(patient.identifiers, key=lambda one: one != filed_under)]
    return segment(
        "PID",
        {
            1: field("1"),
            3: repetitions(components(one.value, "", "", one.assigner) for one in identifiers),
            5: components(patient.name.family, patient.name.given),
            7: field(patient.birth_date.strftime("%Y%m%d") if patient.birth_date else ""),
            8: field(_SEXES[patient.sex]),
        },
    )


def _request(notice: CriticalNotice, zone: ZoneInfo) -> Encoded:
    """OBR-25 is P, or X for a withdrawal (HL7 table 0123 has no W); that one names no exam that it could cancel."""
    result, order = notice.result, notice.order
    number = f"SL-{report_number(notice.study, result.episode)}-{result.id.partition('-')[0]}"
    exam = {25: field("X" if notice.withdrawn else "P")}
    if order is not None and not notice.withdrawn:
        exam[18] = field(order.accession.as_sent().value if order.accession else "")
        exam[29] = joined(_parent(order.placer_order_number), _parent(order.filler_order_number))
    return segment(
        "OBR",
        {
            1: field("1"),
            3: components(number, OUR_NAME),
            4: components("AI-ANALYSIS", "AI analysis of imaging study", OUR_CODES),
            5: field(_STAT),
            7: _study_time(notice, zone),
            22: field(written(notice.sent_at, zone)),
            27: components("", "", "", "", "", _STAT),
            **exam,
        },
    )


def _parent(identifier: Identifier | None) -> Encoded:
    sent = identifier.as_sent() if identifier else None
    return subcomponents(sent.value, sent.assigner) if sent else Encoded("")


def _study_time(notice: CriticalNotice, zone: ZoneInfo) -> Encoded:
    made, study = notice.result.images_at, notice.study
    if made is not None:
        return field(written(made, zone))
    return field(study.study_date.strftime("%Y%m%d") if study.study_date else "")

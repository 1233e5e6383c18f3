"""The segments that all our ORU^R01 share: header, software, patient, request, notes (HL7 v2.5.1, ORU_R01).

A message of ours can neither complete the exam's order nor touch the radiologist's report (SAFETY section 3): OBR-2
stays empty, because receivers file a result under the placer's order that it names, and complete that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from adapters.hl7.encode import NOTHING, Encoded, components, field, joined, repetitions, segment, subcomponents
from adapters.hl7.timestamp import written
from cds import __version__
from cds.domain.identity import Identifier, Patient, Sex
from cds.domain.order import ServiceRequest

#: MSH-3, and the namespace of our filler numbers: what of ours comes back is known by it.
OUR_NAME = "SIGHTLINE"
#: HL7 table 0396: 99 and letters name a local code system.
OUR_CODES = "99SIGHTLINE"
_PRODUCT = "Sightline"
#: PID-5 is required: a name of type "unspecified" (table 0200) for who has none.
_NAMELESS = components("", "", "", "", "", "", "U")
_SEXES = {Sex.FEMALE: "F", Sex.MALE: "M", Sex.OTHER: "O", Sex.UNKNOWN: "U"}


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


def header(envelope: Envelope, at: datetime, message: Encoded | None = None) -> Encoded:
    """MSH of a message made at a moment, of an ORU^R01 where no other is named."""
    return segment(
        "MSH",
        {
            3: field(envelope.sending_application),
            4: field(envelope.sending_facility),
            5: field(envelope.receiving_application),
            6: field(envelope.receiving_facility),
            7: field(written(at, envelope.zone)),
            9: message or components("ORU", "R01", "ORU_R01"),
            10: field(envelope.message_control_id),
            11: field(envelope.processing_id),
            12: field("2.5.1"),
            18: field("UNICODE UTF-8"),
        },
    )


def software() -> Encoded:
    """SFT: which software put the message together (section 2.15.12)."""
    return segment("SFT", {1: field(_PRODUCT), 2: field(__version__), 3: field(_PRODUCT), 4: field(__version__)})


def patient_id(patient: Patient, order: ServiceRequest | None) -> Encoded:
    """PID; the identifier that the order came under stands first, for receivers that read no further.

    That somebody is alive is not said: what is old here would overwrite what a chart knows.
    """
    filed_under = order.patient if order else None
    identifiers = [one.as_sent() for one in sorted(patient.identifiers, key=lambda one: one != filed_under)]
    return segment(
        "PID",
        {
            1: field("1"),
            3: repetitions(components(identifier.value, "", "", identifier.assigner) for identifier in identifiers),
            5: components(patient.name.family, patient.name.given) or _NAMELESS,
            7: day_of(patient.birth_date),
            8: field(_SEXES[patient.sex]),
            30: field("Y" if patient.deceased else ""),
        },
    )


def request(number: str, at: datetime, zone: ZoneInfo, more: Mapping[int, Encoded]) -> Encoded:
    """OBR of an AI analysis under a filler number of ours; `more` has its status, and what else belongs to it."""
    return segment(
        "OBR",
        {
            1: field("1"),
            3: components(f"SL-{number}", OUR_NAME),
            4: components("AI-ANALYSIS", "AI analysis of imaging study", OUR_CODES),
            22: field(written(at, zone)),
            **more,
        },
    )


def exam(order: ServiceRequest | None, accession: Identifier | None) -> dict[int, Encoded]:
    """The fields of OBR that say which exam it is about: the accession number, and its order as parent."""
    placer, filler = (order.placer_order_number, order.filler_order_number) if order else (None, None)
    return {
        18: field(accession.as_sent().value if accession else ""),
        29: joined(_parent(placer), _parent(filler)),
    }


def notes(texts: Iterable[str]) -> Iterator[Encoded]:
    """One NTE for each text that says something."""
    encoded = [part for part in (field(text) for text in texts) if part]
    yield from (
        segment("NTE", {1: field(str(number)), 2: field("L"), 3: part}) for number, part in enumerate(encoded, 1)
    )


def images_made(at: datetime | None, day: date | None, zone: ZoneInfo) -> Encoded:
    """When the images were made: the moment, else the day."""
    return field(written(at, zone)) if at is not None else day_of(day)


def day_of(day: date | None) -> Encoded:
    """A day as TS, nothing where it is not known."""
    return field(day.isoformat().replace("-", "") if day else "")


def _parent(identifier: Identifier | None) -> Encoded:
    sent = identifier.as_sent() if identifier else None
    return subcomponents(sent.value, sent.assigner) if sent else NOTHING

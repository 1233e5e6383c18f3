"""An urgent finding to a worklist by HL7 v2.5.1: the priority of the exam's order, in the field that the site names.

ORM^O01 and OMI^O23 have ORC-1 XO, "change order/service request" (table 0119, section 4.5.1.1): what a placer asks of
the filler, who decides. SC, XX and XR would speak as the filler of the exam, which Sightline never is (SAFETY section
1), and NW, RO or RP would make another order. ORC-5 (status) stays empty: nothing is said of how far the exam is.
ORU^R01 has no ORC: a preliminary observation under our own filler number, with the exam as parent as in every other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from adapters.hl7 import encode
from adapters.hl7.client import Peer
from adapters.hl7.coded import SYSTEMS
from adapters.hl7.encode import NOTHING, Encoded, components, field, segment
from adapters.hl7.field_path import Path
from adapters.hl7.proof import prove, read_back
from adapters.hl7.segments import (
    OUR_CODES,
    OUR_NAME,
    Envelope,
    exam,
    header,
    images_made,
    notes,
    patient_id,
    request,
    software,
)
from adapters.hl7.timestamp import written
from cds.destinations import MllpDestination
from cds.domain.coding import Coding
from cds.domain.identity import Identifier
from cds.domain.order import Priority
from cds.domain.priority import Move, PriorityNotice
from cds.errors import ConfigurationError, InvalidInput
from cds.imaging_peers import PriorityDestination

_CHANGE = "XO"
_LETTERS = {Priority.STAT: "S", Priority.ASAP: "A", Priority.URGENT: "U", Priority.ROUTINE: "R"}
_LEVELS = {letter: level for level, letter in _LETTERS.items()} | {level.value.upper(): level for level in Priority}
_CONTROL_ID_DIGITS, _NUMBER_DIGITS = 20, 8  # MSH-10 had 20 characters before 2.7
#: What the messages write themselves; a priority there would overwrite what says which exam it is.
_TAKEN = {"ORC": {1, 2, 3, 5, 9}, "OBR": {1, 2, 3, 4, 7, 18, 22, 25, 29}, "TQ1": {1}}
#: Where each message may have it; TQ1 is not in ORM_O01 of 2.5.1.
_PLACES = {"ORM^O01": ("ORC", "OBR"), "OMI^O23": ("ORC", "TQ1", "OBR"), "ORU^R01": ("OBR",)}
_SAID = {
    Move.RAISE: "AI triage asks that this study is looked at sooner. Preliminary; see the AI report.",
    Move.END: "AI triage does not ask any more that this study is looked at sooner.",
}


class PriorityMessage:
    """A worklist over MLLP, ports Channel and Raiser. `facility` names the site in MSH-4."""

    def __init__(self, name: str, destination: PriorityDestination, *, facility: str, time_zone: str) -> None:
        if destination.hl7 is None:
            raise ConfigurationError([f"{name} wants hl7"])
        self._name = name
        self._message = destination.message
        self._urgent = destination.urgent
        self._field = _place(name, destination)
        self._to: MllpDestination = destination.hl7
        self._processing = destination.processing
        self._facility = facility
        self._time_zone = time_zone
        self._peer = Peer(destination.hl7)

    @property
    def name(self) -> str:
        """The destination's name in the settings."""
        return self._name

    @property
    def level(self) -> Priority:
        """What `urgent` means in table 0485; a value of the site's own is as urgent as can be."""
        return _LEVELS.get(self._urgent.upper(), Priority.STAT)

    @property
    def production(self) -> bool:
        """True where it takes production messages alone."""
        return self._processing == "P"

    def encode(self, notice: PriorityNotice, delivery_id: str) -> bytes:
        """The block, proven readable. InvalidInput where nothing says which order of the RIS it is."""
        value = self._urgent if notice.priority is None else _LETTERS[notice.priority]
        fields = {self._field.field: _at(self._field, value)}
        envelope = self._envelope(delivery_id)
        if self._message == "ORU^R01":
            return prove(encode.message(_observation(notice, envelope, fields, value)))
        return read_back(encode.message(_order(notice, envelope, self._message, self._field.segment, fields)))

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        return self._peer.send(payload)

    def _envelope(self, delivery_id: str) -> Envelope:
        return Envelope(
            message_control_id=hashlib.sha256(delivery_id.encode()).hexdigest()[:_CONTROL_ID_DIGITS].upper(),
            sending_application=OUR_NAME,
            sending_facility=self._facility,
            receiving_application=self._to.application,
            receiving_facility=self._to.facility,
            time_zone=self._time_zone,
            processing_id=self._processing,
        )


def _place(name: str, destination: PriorityDestination) -> Path:
    path = Path.parse(destination.field)
    places = _PLACES[destination.message]
    own = path.segment.startswith("Z") and destination.message != "ORU^R01"
    if (path.segment not in places and not own) or path.field in _TAKEN.get(path.segment, ()):
        raise ConfigurationError(
            [f"{name}: {destination.message} has no priority at {path}; want a field of {', '.join(places)}"]
        )
    return path


def _at(path: Path, value: str) -> Encoded:
    """A value as the component or subcomponent that the path names."""
    inner = "&" * (max(path.subcomponent, 1) - 1) + field(value)
    return Encoded("^" * (max(path.component, 1) - 1) + inner)


def _order(
    notice: PriorityNotice, envelope: Envelope, message: str, segment_name: str, fields: Mapping[int, Encoded]
) -> Iterator[Encoded]:
    """ORM_O01 and OMI_O23 (sections 4.4.1 and 4.4.13), as far as we fill them."""
    order = notice.order
    if order.placer_order_number is None and order.filler_order_number is None:
        raise InvalidInput("want an order with a placer or filler number")
    numbers = {2: _entity(order.placer_order_number), 3: _entity(order.filler_order_number)}
    of = {segment_name: fields}
    code, _, event = message.partition("^")
    yield header(envelope, notice.sent_at, components(code, event, f"{code}_{event}"))
    if message == "OMI^O23":
        yield software()
    yield patient_id(notice.patient, order)
    at = field(written(notice.sent_at, envelope.zone))
    yield segment("ORC", {1: field(_CHANGE), **numbers, 9: at, **of.get("ORC", {})})
    if "TQ1" in of:
        yield segment("TQ1", {1: field("1"), **of["TQ1"]})
    accession = order.accession or notice.study.accession
    number = accession.as_sent().value if accession else ""
    exam_fields = {1: field("1"), **numbers, 4: _procedure(order.procedure), 18: field(number)}
    yield segment("OBR", {**exam_fields, **of.get("OBR", {})})
    yield from notes([_SAID[notice.move]])
    if message == "OMI^O23":
        yield segment("IPC", {1: _entity(accession), 3: field(notice.study.study_instance_uid)})
    if segment_name.startswith("Z"):
        yield segment(segment_name, fields)


def _observation(
    notice: PriorityNotice, envelope: Envelope, fields: Mapping[int, Encoded], value: str
) -> Iterator[Encoded]:
    """ORU_R01 (section 7.3.1)."""
    zone, study, order = envelope.zone, notice.study, notice.order
    made = images_made(study.started_at, study.study_date, zone)
    about = exam(order, order.accession or study.accession)
    yield header(envelope, notice.sent_at)
    yield software()
    yield patient_id(notice.patient, order)
    yield request(_number(notice), notice.sent_at, zone, {7: made, **about, 25: field("P"), **fields})
    yield from notes([_SAID[notice.move]])
    said = {
        1: field("1"),
        2: field("ST"),
        3: components("AI-PRIORITY", "Priority that AI triage asks for", OUR_CODES),
        5: field(value),
        11: field("P"),
        14: made,
    }
    yield segment("OBX", said)


def _number(notice: PriorityNotice) -> str:
    """The same for a raise and its end, and another one where the images went to another order."""
    of = hashlib.sha256((notice.order.id or "").encode()).hexdigest()[:_NUMBER_DIGITS]
    return f"{notice.study.public_id}-{of}"


def _entity(identifier: Identifier | None) -> Encoded:
    sent = identifier.as_sent() if identifier else None
    return components(sent.value, sent.assigner) if sent else NOTHING


def _procedure(code: Coding | None) -> Encoded:
    """OBR-4 is required: the order's own, as far as it is known."""
    if code is None:
        return components("", "Imaging study")
    named = next((name for name, system in SYSTEMS.items() if system == code.system), "L")
    return components(code.code, code.display, named)

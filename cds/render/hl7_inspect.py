"""What was understood of HL7 v2 messages as text and JSON, for `cds hl7 inspect`. It shows what the messages say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime

from cds.domain.coding import Coding, Quantity
from cds.domain.identity import Identifier, IdentityChange, Patient
from cds.domain.inspection import InspectedFile, InspectedOrder, Inspection
from cds.domain.message import MessageContent, RecordValue
from cds.domain.order import ServiceRequest

#: What stands beside an order's number, with its field of the entry.
_NUMBERS = (("placer", "placer"), ("filler", "filler"), ("accession", "accession"), ("study", "study_uid"))


def as_json(files: Sequence[InspectedFile]) -> str:
    """One array over all files: an object for each exam of an order group, or for a message without one."""
    return json.dumps([asdict(order) for file in files for order in file.orders], indent=2)


def as_text(files: Sequence[InspectedFile]) -> str:
    """A paragraph for each message."""
    paragraphs = [paragraph for file in files for paragraph in _file(file)]
    return "\n\n".join(paragraphs)


def _file(file: InspectedFile) -> Iterator[str]:
    if file.problems or not file.messages:
        lines = [f"{file.name}: {_count(len(file.messages), 'message')}"]
        yield "\n".join([*lines, *_labelled("doubts", file.problems)])
    for number, message in enumerate(file.messages, 1):
        yield "\n".join([_title(file, number, message), *_message(message)])


def _title(file: InspectedFile, number: int, message: Inspection) -> str:
    first = message.orders[0]
    named = [first.msg_type, first.version and f"version {first.version}", first.control_id]
    of = f", message {number} of {len(file.messages)}" if len(file.messages) > 1 else ""
    return _line(f"{file.name}{of}: {' '.join(filter(None, named)) or 'no message that can be read'}")


def _message(message: Inspection) -> Iterator[str]:
    first, content = message.orders[0], message.content
    detail = [f"processing {message.processing_id}", f"{message.size} bytes", first.charset]
    yield from _labelled("from", [", ".join(filter(None, [message.sender, *detail]))])
    yield from _labelled("answer", [message.answer])
    yield from _labelled("becomes", [message.outcome])
    yield from _labelled("patient", [_patient(first, content.patient if content else None)])
    if message.has_orders:
        for order in message.orders:
            yield from _labelled("order", [*_order(order), *_asked(order, content)])
    if content:
        yield from _content(content)
    yield from _labelled("doubts", _doubts(message))


def _doubts(message: Inspection) -> Iterator[str]:
    """Each once; where the message has several orders, with the number of the one that it is about."""
    several = len(message.orders) > 1
    for doubt in message.doubts:
        about = [number for number, order in enumerate(message.orders, 1) if doubt in order.problems]
        which = f"order {', '.join(map(str, about))}: " if several and len(about) < len(message.orders) else ""
        yield f"{which}{doubt}"


def _order(order: InspectedOrder) -> Iterator[str]:
    numbers = [f"{label} {value}" for label, name in _NUMBERS if (value := getattr(order, name))]
    state = f"({order.order_status})" if order.order_status else ""
    yield "  ".join(filter(None, [order.order_control, state, *numbers])) or "no numbers"
    also = f"({order.alt_code})" if order.alt_code else ""
    asked = [order.modality, order.procedure, order.procedure_text, also]
    yield "  ".join(filter(None, [" ".join(filter(None, asked)), order.priority and f"priority {order.priority}"]))
    yield order.reason and f"reason: {order.reason}"
    yield order.clinical_info and f"clinical information: {order.clinical_info}"


def _asked(order: InspectedOrder, content: MessageContent | None) -> Iterator[str]:
    """Who asked and for when, which the JSON does not have."""
    asked = next((one.order for one in (content.orders if content else ()) if _is_one(one.order, order)), None)
    if asked is not None:
        yield asked.requester and f"requested by {asked.requester}"
        yield f"scheduled {_moment(asked.scheduled_at)}" if asked.scheduled_at else ""


def _is_one(read: ServiceRequest, shown: InspectedOrder) -> bool:
    """True where both are the same exam: by the accession number, else by the numbers of the order."""
    numbers = ((read.placer_order_number, shown.placer), (read.filler_order_number, shown.filler))
    pairs = ((read.accession, shown.accession),) if shown.accession else numbers
    return all((number.value if number else "") == text for number, text in pairs)


def _value(value: RecordValue) -> str:
    """Kind, code, value with its unit, and day."""
    code = " ".join(filter(None, [value.code.code, value.code.display]))
    state = "" if value.status == "final" else f"({value.status})"
    day = _moment(value.effective) if value.effective else ""
    return "  ".join(filter(None, [value.category, code, _stated(value.value), day, state]))


def _stated(value: Quantity | Coding | date | str | None) -> str:
    if isinstance(value, Quantity):
        return f"{value.digits} {value.unit}".rstrip()
    if isinstance(value, Coding):
        return " ".join(filter(None, [value.code, value.display]))
    return _moment(value) if isinstance(value, date) else value or ""


def _moment(day: date) -> str:
    return f"{day:%Y-%m-%d %H:%M %z}".rstrip() if isinstance(day, datetime) else day.isoformat()


def _patient(order: InspectedOrder, patient: Patient | None) -> str:
    number = f"{order.patient_id} of {order.assigner or 'nobody'}" if order.patient_id else ""
    name = ", ".join(filter(None, [order.family, order.given]))
    born = f"born {patient.birth_date}" if patient and patient.birth_date else ""
    also = [one for one in (patient.identifiers if patient else ()) if one.value != order.patient_id]
    known = f"also {_identifiers(also)}" if also else ""
    return "  ".join(filter(None, [number, name, born, patient.sex.value if patient else "", known]))


def _content(content: MessageContent) -> Iterator[str]:
    for change in content.identity:
        yield from _labelled("identity", [_identity(change)])
    for report in content.final_reports:
        yield from _labelled("report", [f"{report.status}, accession {report.accession.value}"])
    for event in content.events:
        named = [event.study_instance_uid, event.accession.value if event.accession else None]
        yield from _labelled("event", [" ".join([event.kind.value, *filter(None, named)])])
    if content.acknowledges:
        yield from _labelled("confirms", [f"critical result {content.acknowledges} by {content.acknowledged_by}"])
    for value in content.values:
        yield from _labelled("value", [_value(value)])
    yield from _labelled("note", ["a test message: it never reaches a production sink"] if content.test else [])


def _identity(change: IdentityChange) -> str:
    told = f"{change.event.value} ({change.trigger}):"
    number = change.account or change.visit
    parts = [told, f"number {number.value}" if number else "", _identifiers(change.prior)]
    return " ".join(filter(None, [*parts, "to" if change.prior else "", _identifiers(change.survivor)]))


def _identifiers(identifiers: Iterable[Identifier]) -> str:
    return ", ".join(f"{one.value} of {one.assigner}" for one in identifiers)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    """Lines under one label; a text with line breaks goes on below itself."""
    for text in filter(None, texts):
        for line in text.splitlines():
            yield f"  {label:<10}{_line(line)}"
            label = ""


def _line(text: str) -> str:
    """A terminal obeys control characters: none of a message reaches it."""
    return "".join(character if character.isprintable() else " " for character in text)

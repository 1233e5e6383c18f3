"""What happens to exams elsewhere: appointments (SIU, HL7 v2.5.1 chapter 10) and images that are there.

Of images a PACS or archive says so with an OBX of DCM 110180, Study Instance UID (ORU^R01), and a RIS with an order
whose status became complete (ORC-1 SC, ORC-5 CM).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import zip_longest

from adapters.hl7.context import Context
from adapters.hl7.events import SCHEDULE_EVENTS
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment
from adapters.hl7.order import read_accession, states_study, study_uid
from adapters.hl7.order_terms import STATUS_CHANGED
from adapters.hl7.own import is_own, is_own_result
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.identity import Identifier
from cds.domain.order import OrderChange, OrderStatus

#: HL7 table 0085 (OBX-11): taken back, or not there yet.
_NOT_THERE = frozenset({"W", "D", "X", "I", "N", "O", "S"})


def read_study_events(message: Message, context: Context, source: str) -> tuple[StudyEvent, ...]:
    """What an SIU or ORU says of exams, in its order; () for all others, and for what Sightline itself sent.

    `source` names wire and sender. InvalidMessage where one result names two studies.
    """
    header = message.first("MSH")
    kind, event = header.text(9), header.text(9, 2) or message.first("EVN").text(1)
    if kind == "SIU" and event in SCHEDULE_EVENTS:
        return tuple(_appointments(message, SCHEDULE_EVENTS[event], context, source))
    if kind != "ORU" or is_own(message):
        return ()
    announced = (_images(group, context, source) for group in read_groups(message))
    return tuple(dict.fromkeys(one for one in announced if one))


def completed_exams(orders: Iterable[OrderChange], source: str) -> tuple[StudyEvent, ...]:
    """The exams whose status a RIS changed to complete: their images are at the PACS, or about to be."""
    return tuple(
        StudyEvent(
            kind=StudyEventKind.IMAGES_AVAILABLE,
            source=source,
            occurred_at=change.order.changed_at,
            study_instance_uid=change.order.study_instance_uid,
            accession=change.order.accession,
            placer_order_number=change.order.placer_order_number,
            filler_order_number=change.order.filler_order_number,
        )
        for change in orders
        if change.control == STATUS_CHANGED and change.order.status is OrderStatus.COMPLETED
    )


def _appointments(message: Message, kind: StudyEventKind, context: Context, source: str) -> Iterator[StudyEvent]:
    """One event for each order of the appointment (SCH-26, SCH-27), one of the patient alone where it names none.

    SCH-1 and SCH-2 number the appointment, not an order.
    """
    schedule = message.first("SCH")
    placers, fillers = (
        [number for value in schedule.values(at) if (number := context.number(value))] for at in (26, 27)
    )
    pairs: list[tuple[Identifier | None, Identifier | None]] = [*zip_longest(placers, fillers)]
    if not pairs and any(pid.values(3) for pid in message.all("PID")):
        pairs = [(None, None)]
    group = Group(Segment("", message.syntax), Segment("", message.syntax), message.all("ZDS"))
    uid = study_uid(group, group.orc, context) if len(pairs) == 1 else None
    scheduled_at = _start(message, schedule, context)
    for placer, filler in pairs:
        yield StudyEvent(
            kind=kind,
            source=source,
            occurred_at=context.sent_at,
            study_instance_uid=uid,
            placer_order_number=placer,
            filler_order_number=filler,
            scheduled_at=scheduled_at,
        )


def _start(message: Message, schedule: Segment, context: Context) -> datetime | None:
    """AIS-4, SCH-11.4, TQ1-7: the first that is a time."""
    places = [(service, 4, 1) for service in message.all("AIS")]
    places += [(schedule, 11, 4), *((timing, 7, 1) for timing in message.all("TQ1"))]
    return next(filter(None, (context.moment(*place) for place in places)), None)


def _images(group: Group, context: Context, source: str) -> StudyEvent | None:
    stated = [obx for obx in group.all("OBX") if states_study(obx)]
    there = [obx for obx in stated if obx.text(11).upper() not in _NOT_THERE]
    if not there or is_own_result(group.obr):
        return None
    uid = study_uid(group, group.steps[0], context)
    if uid is None:
        return None
    return StudyEvent(
        kind=StudyEventKind.IMAGES_AVAILABLE,
        source=source,
        occurred_at=context.moment(there[0], 14) or context.moment(group.obr, 22) or context.sent_at,
        study_instance_uid=uid,
        accession=read_accession(group, group.steps[0], context),
        placer_order_number=group.number(2, context),
        filler_order_number=group.number(3, context),
    )

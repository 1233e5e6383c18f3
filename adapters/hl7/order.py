"""Orders: ORM^O01, OMG^O19, OMI^O23 to ServiceRequests (IHE RAD TF-2 4.4; v2-to-fhir ORC, OBR[ServiceRequest])."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from adapters.hl7.coded import coding
from adapters.hl7.context import Context, stated_assigner
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment, Value
from cds.domain.coding import Coding
from cds.domain.identity import Identifier
from cds.domain.message import OrderChange
from cds.domain.order import OrderStatus, Priority, ServiceRequest
from cds.errors import InvalidMessage

#: HL7 table 0119. CA is a request, but what was asked to be cancelled is no longer to be worked on.
_CONTROL = {
    **dict.fromkeys(("CA", "DC", "OC", "OD", "CR", "DR", "RP", "RQ", "RU"), OrderStatus.REVOKED),
    **dict.fromkeys(("HD", "OH", "HR"), OrderStatus.ON_HOLD),
}
#: HL7 table 0038, for a control code that says nothing itself. ER says nothing of the order.
_STATUS = {
    **dict.fromkeys(("CA", "DC", "RP"), OrderStatus.REVOKED),
    **dict.fromkeys(("A", "IP", "SC"), OrderStatus.ACTIVE),
    "CM": OrderStatus.COMPLETED,
    "HD": OrderStatus.ON_HOLD,
}
#: HL7 table 0119: these end a hold.
_RELEASED = frozenset({"RL", "OE", "OR"})
#: HL7 table 0485 and words that senders use.
_PRIORITIES = {
    "S": Priority.STAT,
    "STAT": Priority.STAT,
    "A": Priority.ASAP,
    "ASAP": Priority.ASAP,
    "R": Priority.ROUTINE,
    "ROUTINE": Priority.ROUTINE,
    "U": Priority.URGENT,
    "URGENT": Priority.URGENT,
}
#: HL7 table 0074 where it names a modality otherwise than DICOM PS3.3 C.7.3.1.1.1.
_SECTIONS = {"NMR": "MR", "RUS": "US", "OUS": "US", "VUS": "US", "NMS": "NM"}
_MODALITIES = frozenset(
    {"CR", "CT", "DX", "ES", "IO", "MG", "MR", "NM", "OP", "OPT", "PT", "PX", "RF", "RG", "US", "XA", "XC"}
)
#: What an ORC is followed by where it orders something else.
_NOT_IMAGING = frozenset({"RXO", "RXE", "RQD", "ODS", "ODT"})
#: HL7 table 0074, the sections of a laboratory. SR (serology) is left out: in imaging it is a structured report.
_LABORATORY = frozenset(
    {"BG", "BLB", "CG", "CH", "CP", "GE", "HM", "IMM", "LAB", "MB", "MCB", "MYC", "OSL", "PAR", "PAT", "SP", "TX"}
    | {"URN", "VR"}
)
_NEW = frozenset({"NW", "SN", "RO", "PA", "CH"})
#: PS3.5 section 9.1.
_UID = re.compile(r"(?=.{1,64}$)(0|[1-9]\d*)(\.(0|[1-9]\d*))*")


def read_orders(message: Message, patient: Identifier, context: Context) -> tuple[OrderChange, ...]:
    """One change for each exam: per OBR, and per IPC where accession number or study differ.

    InvalidMessage where an order has no number, no control code, or two Study Instance UIDs.
    """
    groups = read_groups(message)
    common = [segment for segment in message if segment.name == "DG1" and not _in_groups(segment, groups)]
    changes: dict[OrderChange, None] = {}
    for group in groups:
        if _is_something_else(group):
            context.note("an order that is no imaging order was left out")
            continue
        control = group.orc.text(1)
        if not control:
            raise InvalidMessage("want an order control code in ORC-1", location="ORC^1^1", condition="101")
        procedures = group.all("IPC") or [Segment("", message.syntax)]
        orders = (_order(group, procedure, patient, context, common) for procedure in procedures)
        states = stated_status(control, group.orc.text(5)) is not None
        changes |= dict.fromkeys(OrderChange(order, control, states) for order in _exams(orders))
    return tuple(_with_shared_study(list(changes), message, context))


def priority(group: Group, context: Context) -> Priority | None:
    """TQ1-9, ORC-7.6, OBR-27.6, OBR-5, the first that says something; an unknown code is routine, with a warning.

    None where none says anything: a status message must not slow an urgent order down.
    """
    timing = [segment.text(9) for segment in group.all("TQ1")]
    codes = [*timing, group.orc.text(7, 6), group.obr.text(27, 6), group.obr.text(5)]
    code = next(filter(None, codes), "").upper()
    if code.startswith("T") and code[1:2] in ("", "S", "M", "H", "D", "W", "L"):
        return Priority.URGENT
    if code and code not in _PRIORITIES:
        context.note("the priority is no code of table 0485: it is read as routine")
    return _PRIORITIES.get(code, Priority.ROUTINE) if code else None


def stated_status(control: str, state: str) -> OrderStatus | None:
    """ORC-1 where it closes or holds the order, else ORC-5, else the end of a hold; None where nothing is said."""
    released = OrderStatus.ACTIVE if control in _RELEASED else None
    return _CONTROL.get(control) or _STATUS.get(state) or released


def _is_something_else(group: Group) -> bool:
    """An order of drugs, goods or diet, or one of a laboratory's section that speaks of no images."""
    names = {segment.name for segment in group.rest}
    laboratory = group.obr.text(24).upper() in _LABORATORY
    return bool(_NOT_IMAGING & names) or (laboratory and not names & {"IPC", "ZDS"})


def _order(
    group: Group, procedure: Segment, patient: Identifier, context: Context, common: list[Segment]
) -> ServiceRequest:
    orc, obr = group.orc, group.obr
    placer, filler = group.number(2, context), group.number(3, context)
    if placer is None and filler is None:
        text = "want a placer or filler order number in ORC or OBR"
        raise InvalidMessage(text, location="ORC^1^2", condition="101", permanent=False)
    transaction = context.moment(orc, 9)
    control = orc.text(1)
    return ServiceRequest(
        placer_order_number=placer,
        filler_order_number=filler,
        accession=read_accession(group, procedure, context),
        patient=patient,
        status=stated_status(control, orc.text(5)) or OrderStatus.ACTIVE,
        priority=priority(group, context),
        procedure=_procedure(group, procedure, context),
        modality=_modality(procedure.text(5) or obr.text(24), context),
        study_instance_uid=_study(group, procedure, context),
        reasons=_reasons(group, common, context),
        reason_text="; ".join(text for value in obr.values(31) if not value.text(1) and (text := value.text(2))),
        requester=_person(orc.value(12)) or _person(obr.value(16)),
        requested_at=transaction if control in _NEW else None,
        scheduled_at=_scheduled(group, context),
        changed_at=transaction or context.sent_at,
    )


def _exams(orders: Iterable[ServiceRequest]) -> list[ServiceRequest]:
    """Several steps (IPC) of one exam are one order: the first stands for them."""
    exams: dict[tuple[Identifier | None, str | None], ServiceRequest] = {}
    for order in orders:
        exams.setdefault((order.accession, order.study_instance_uid), order)
    return list(exams.values())


def read_accession(group: Group, procedure: Segment, context: Context) -> Identifier | None:
    """IPC-1, OBR-18, else the number that the site's setting names; None where there is none, or it has no issuer."""
    for value in (procedure.value(1), group.obr.value(18)):
        if text := context.identifying(value):
            return _issued(text, stated_assigner(value), context)
    number = {"none": 0, "ORC-2": 2, "ORC-3": 3}[context.site.accession_fallback]
    found = group.number(number, context) if number else None
    return _issued(found.value, group.assigner(number, context), context) if found else None


def _issued(value: str, stated: str, context: Context) -> Identifier | None:
    """An accession number is its issuer's own: what the number states, and only without it the site's."""
    issuer = stated or context.site.accession_issuer
    if not issuer:
        context.note("the accession number has no issuer, and none is configured: the order cannot match images")
        return None
    return Identifier(value, issuer)


def _study(group: Group, procedure: Segment, context: Context) -> str | None:
    stated = [procedure.text(3), *(segment.text(1) for segment in group.all("ZDS"))]
    return _one_study([uid for uid in stated if uid], context)


def _one_study(stated: list[str], context: Context) -> str | None:
    valid = {uid for uid in stated if _UID.fullmatch(uid)}
    if len(valid) < len(set(stated)):
        context.note("a Study Instance UID that is none (PS3.5 section 9.1) was dropped")
    if len(valid) > 1:
        raise InvalidMessage("an order names two different Study Instance UIDs: a conflict", location="ZDS^1^1")
    return next(iter(valid), None)


def _with_shared_study(changes: list[OrderChange], message: Message, context: Context) -> list[OrderChange]:
    """IHE RAD-4: the one ZDS at the end is the study of all orders of its accession number, not of the last alone."""
    stated = [segment.text(1) for segment in message.all("ZDS")]
    uid = _one_study(stated, context) if len(stated) == 1 else None
    named = {change.order.accession for change in changes if change.order.study_instance_uid == uid}
    if uid is None or None in named:
        return changes
    return [
        replace(change, order=replace(change.order, study_instance_uid=uid))
        if change.order.accession in named and change.order.study_instance_uid is None
        else change
        for change in changes
    ]


def _procedure(group: Group, procedure: Segment, context: Context) -> Coding | None:
    for value in (group.obr.value(4), group.obr.value(44), procedure.value(6)):
        if found := coding(value, context):
            return found
    return None


def _modality(code: str, context: Context) -> str | None:
    modality = _SECTIONS.get(code.upper(), code.upper())
    if modality in _MODALITIES:
        return modality
    if code:
        context.note("the modality of the order is not known")
    return None


def _reasons(group: Group, common: list[Segment], context: Context) -> tuple[Coding, ...]:
    stated = [coding(value, context) for value in group.obr.values(31)]
    diagnoses = [coding(segment.value(3), context) for segment in (*group.all("DG1"), *common)]
    return tuple(dict.fromkeys(code for code in (*stated, *diagnoses) if code))


def _person(value: Value) -> str:
    """XCN: given and family name, the number where there is no name."""
    name = " ".join(part for part in (value.text(3), value.text(2, 1)) if part)
    return name or value.text(1)


def _scheduled(group: Group, context: Context) -> datetime | None:
    stated = [(group.obr, 36, 1), (group.obr, 6, 1), *((segment, 7, 1) for segment in group.all("TQ1"))]
    stated += [(group.orc, 7, 4), (group.orc, 15, 1)]
    moments = (context.moment(segment, number, component) for segment, number, component in stated)
    return next(filter(None, moments), None)


def _in_groups(segment: Segment, groups: list[Group]) -> bool:
    return any(segment is other for group in groups for other in group.rest)

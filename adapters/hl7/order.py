"""Orders: ORM^O01, OMG^O19, OMI^O23 to ServiceRequests (IHE RAD TF-2 4.4; v2-to-fhir ORC, OBR[ServiceRequest])."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from adapters.hl7 import order_terms
from adapters.hl7.coded import coding
from adapters.hl7.context import Context, stated_assigner
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.message import Message, Segment, Value
from adapters.hl7.order_terms import LABORATORY
from cds.domain.coding import Coding
from cds.domain.identity import Identifier
from cds.domain.message import OrderChange
from cds.domain.order import OrderStatus, Priority, ServiceRequest
from cds.errors import InvalidMessage

#: The version that brought a type of message (HL7 v2.4 section 4.4.4, v2.5 section 4.4.8).
_SINCE = {"OMG": (2, 4), "OMI": (2, 5)}
#: What an ORC is followed by where it orders something else.
_NOT_IMAGING = frozenset({"RXO", "RXE", "RQD", "ODS", "ODT"})
#: PS3.16 annex D: an OBX whose value is the Study Instance UID.
_STUDY_UID = "110180"
#: As many as the door takes of ORC and of OBR.
MOST_STEPS = 1000
#: PS3.5 section 9.1.
_UID = re.compile(r"(?=.{1,64}$)(0|[1-9]\d*)(\.(0|[1-9]\d*))*", re.ASCII)


def read_orders(message: Message, patient: Identifier, context: Context) -> tuple[OrderChange, ...]:
    """One change for each exam: per OBR, and per IPC where accession number or study differ.

    InvalidMessage where an order has no number, no control code, or two Study Instance UIDs.
    """
    if len(message.all("IPC")) > MOST_STEPS:
        raise InvalidMessage(f"want at most {MOST_STEPS} segments IPC in a message", location="IPC", condition="100")
    _note_version(message.first("MSH"), context)
    groups = read_groups(message)
    common = _common_diagnoses(message, groups, context)
    changes: list[OrderChange] = []
    for group in _in_their_order(groups, context):
        control, states = group.orc.text(1), _status(group, context) is not None
        orders = [read_exam(group, step, patient, context, common) for step in group.steps]
        changes += [OrderChange(order, control, states) for order in _exams(orders)]
    if len(changes) > 1:
        changes = _with_shared_study(list(dict.fromkeys(changes)), message, context)
        _note_alike([change.order for change in changes], context)
    return tuple(changes)


def read_exam(
    group: Group, step: Segment, patient: Identifier, context: Context, common: Sequence[Coding] = ()
) -> ServiceRequest:
    """One step (IPC) of a group as an order; `common` are diagnoses of all orders of the message.

    InvalidMessage where it has neither a placer nor a filler number, or names two studies.
    """
    orc, obr = group.orc, group.obr
    placer, filler = _numbers(group, context)
    if placer is None and filler is None:
        text = "want a placer or filler order number in ORC or OBR"
        raise InvalidMessage(text, location="ORC^1^2", condition="101", permanent=False)
    transaction = context.moment(orc, 9) if orc.raw(9) else None
    return ServiceRequest(
        placer_order_number=placer,
        filler_order_number=filler,
        accession=_accession(group, step, context),
        patient=patient,
        status=_status(group, context) or OrderStatus.ACTIVE,
        priority=priority(group, context)[1],
        procedure=_procedure(group, step, context),
        modality=modality(group, step, context),
        study_instance_uid=study_uid(group, step, context),
        reasons=_reasons(group, common, context),
        reason_text="; ".join(text for value in obr.values(31) if not value.text(1) and (text := value.text(2))),
        clinical_information=clinical_information(group),
        requester=_person(orc.value(12)) or _person(obr.value(16)),
        requested_at=transaction if transaction and orc.text(1) in order_terms.BEGINS else None,
        scheduled_at=_scheduled(group, context),
        changed_at=transaction or context.sent_at,
    )


def why_left_out(group: Group) -> str:
    """Why a group states no imaging order; empty where it does.

    It orders drugs, goods or diet, is of a laboratory's section and speaks of no images, or ORC-1 says so.
    """
    names = {segment.name for segment in group.rest}
    laboratory = group.obr.text(24).upper() in LABORATORY
    if _NOT_IMAGING & names or (laboratory and not names & {"IPC", "ZDS"}):
        return "an order that is no imaging order was left out"
    return order_terms.why_no_order(group.orc.text(1), _state(group))


def priority(group: Group, context: Context) -> tuple[str, Priority | None]:
    """TQ1-9, ORC-7.6, OBR-27.6, OBR-5: HL7's letter and what it means, see `order_terms.stated_priority`.

    None where none says anything: a status message must not slow an urgent order down.
    """
    codes = [segment.text(9) for segment in group.all("TQ1")]
    codes += [
        value.text(6) for segment, number in ((group.orc, 7), (group.obr, 27)) for value in segment.values(number)
    ]
    return order_terms.stated_priority([*codes, group.obr.text(5)], context)


def read_accession(group: Group, step: Segment, context: Context) -> Identifier | None:
    """IPC-1, OBR-18, else the number that the site's setting names; None where there is none, or it has no issuer."""
    value, stated = accession_number(group, step, context)
    if not value:
        return None
    issuer = stated or context.site.accession_issuer
    if not issuer:
        context.note("the accession number has no issuer, and none is configured: the order cannot match images")
        return None
    return Identifier(value, issuer)


def accession_number(group: Group, step: Segment, context: Context) -> tuple[str, str]:
    """The accession number as `read_accession` finds it, and whose it says that it is; both may be empty.

    An accession number is its issuer's own: what the number states, and only without it the site's.
    """
    for segment, number in ((step, 1), (group.obr, 18)):
        if segment.raw(number) and (text := context.identifying(value := segment.value(number))):
            return text, stated_assigner(value)
    fallback = {"none": 0, "ORC-2": 2, "ORC-3": 3}[context.site.accession_fallback]
    found = group.number(fallback, context) if fallback else None
    return (found.value, group.assigner(fallback, context)) if found else ("", "")


def study_uid(group: Group, step: Segment, context: Context) -> str | None:
    """IPC-3, ZDS-1, the OBX of DCM 110180; InvalidMessage where they name different studies.

    What a group says of all of its steps may be the study of another step; steps of one requested procedure (IPC-2)
    have one study.
    """
    own = step.text(3)
    stated = [segment.text(1) for segment in group.all("ZDS")]
    stated += [_stated_by(obx) for obx in group.all("OBX") if states_study(obx)]
    if step.name and len(group.steps) > 1:
        procedure = step.text(2)
        others = group.studies() if own else set()
        stated = [uid for uid in stated if uid not in others]
        stated += sorted(group.studies(procedure)) if procedure else ()
    return _one_study([uid for uid in (own, *stated) if uid], context)


def shared_study(message: Message, context: Context) -> str | None:
    """IHE RAD-4: the one ZDS at the end is the study of all orders of its accession number, not of the last alone."""
    stated = [segment.text(1) for segment in message.all("ZDS")]
    return _one_study(stated, context) if len(stated) == 1 else None


def clinical_information(group: Group) -> str:
    """OBR-13, its repetitions and line breaks as lines. Notes (NTE) may speak of anything: none is taken for it."""
    return "\n".join(filter(None, map(_free_text, group.obr.values(13))))


def modality(group: Group, step: Segment, context: Context) -> str | None:
    """IPC-5, OBR-24."""
    return order_terms.modality(step.text(5) or group.obr.text(24), context)


def _common_diagnoses(message: Message, groups: Sequence[Group], context: Context) -> Sequence[Coding]:
    """The DG1 that stand before the first order: reasons of all of them."""
    found = message.all("DG1")
    inside = {id(segment) for group in groups for segment in group.rest} if found else set()
    return _diagnoses([segment for segment in found if id(segment) not in inside], context)


def _diagnoses(found: Sequence[Segment], context: Context) -> list[Coding]:
    return list(dict.fromkeys(code for segment in found if (code := coding(segment.value(3), context))))


def _note_version(header: Segment, context: Context) -> None:
    since = _SINCE.get(header.text(9))
    if since is None:
        return
    parts = header.text(12).split(".")
    if all(part.isdecimal() for part in parts) and tuple(map(int, parts)) < since:
        context.note(f"{header.text(9)} exists from version {since[0]}.{since[1]} on: the message states an older one")


def _in_their_order(groups: Sequence[Group], context: Context) -> list[Group]:
    """The groups that state an exam: what replaces another stands before it, so that nobody is asked about its images.

    A replacement under the same numbers is a change of the order. A parent that comes with its children states no exam
    of its own, and they do not change it (HL7 v2.5.1 section 4.5.1.1).
    """
    wanted: list[Group] = []
    for group in groups:
        if reason := why_left_out(group):
            context.note(reason)
        elif not group.orc.text(1):
            raise InvalidMessage("want an order control code in ORC-1", location="ORC^1^1", condition="101")
        else:
            wanted.append(group)
    controls = {group.orc.text(1) for group in wanted} if len(wanted) > 1 else set()
    if order_terms.REPLACEMENT in controls and controls & order_terms.REPLACED:
        wanted = list(_replacing(wanted, context))
    if {order_terms.PARENT, order_terms.CHILD} <= controls:
        context.note("a parent order that comes with its children was left out: the children are the exams")
        wanted = [group for group in wanted if group.orc.text(1) != order_terms.PARENT]
    return wanted


def _replacing(groups: Sequence[Group], context: Context) -> Iterator[Group]:
    """What is found under the same number and accession number is one order: ending it would end what replaces it."""
    new = [group for group in groups if group.orc.text(1) == order_terms.REPLACEMENT]
    yield from new
    found_under = [_found_under(group, context) for group in new]
    for group in groups:
        control = group.orc.text(1)
        if control in order_terms.REPLACED and _found_under(group, context) in found_under:
            context.note("an order is replaced under its own numbers: it is read as changed")
        elif control != order_terms.REPLACEMENT:
            yield group


def _found_under(group: Group, context: Context) -> tuple[Identifier | None, Identifier | None]:
    placer, filler = _numbers(group, context)
    return placer or filler, read_accession(group, group.steps[0], context)


def _numbers(group: Group, context: Context) -> tuple[Identifier | None, Identifier | None]:
    return group.number(2, context), group.number(3, context)


def _state(group: Group) -> str:
    return group.orc.text(5).upper()


def _status(group: Group, context: Context) -> OrderStatus | None:
    state = _state(group)
    if state and not order_terms.is_state(state):
        context.note("ORC-5 is no code of table 0038: it says nothing of the status")
    return order_terms.stated_status(group.orc.text(1), state)


def _accession(group: Group, step: Segment, context: Context) -> Identifier | None:
    """The accession number, with a warning where OBR-18 names one that no IPC-1 has."""
    if step.name and (stated := group.obr.text(18)):
        steps = {other.text(1) for other in group.steps} - {""}
        if steps and stated not in steps:
            context.note("IPC-1 and OBR-18 name different accession numbers: IPC-1 is taken")
    return read_accession(group, step, context)


def _exams(orders: Sequence[ServiceRequest]) -> Iterable[ServiceRequest]:
    """Several steps (IPC) of one exam are one order: the first stands for them."""
    if len(orders) == 1:
        return orders
    exams: dict[tuple[Identifier | None, str | None], ServiceRequest] = {}
    for order in orders:
        exams.setdefault((order.accession, order.study_instance_uid), order)
    return exams.values()


def _note_alike(orders: Sequence[ServiceRequest], context: Context) -> None:
    """Say where two exams of a message would be one: they ask for different things under the same numbers."""
    asked: dict[tuple[object, ...], Coding | None] = {}
    for order in orders:
        numbers = order.placer_order_number, order.filler_order_number, order.accession, order.study_instance_uid
        if asked.setdefault(numbers, order.procedure) != order.procedure:
            context.note("several exams have the same numbers: the last of them is what the order is")


def _stated_by(obx: Segment) -> str:
    """The UID of such an OBX, as text or as HD."""
    return obx.text(5) or obx.text(5, 2)


def states_study(obx: Segment) -> bool:
    """True for an OBX whose value is the Study Instance UID: it is no value of the patient's record."""
    if _STUDY_UID not in obx.raw(3):
        return False
    code = obx.value(3)
    return any((code.text(at), code.text(at + 2).upper()) == (_STUDY_UID, "DCM") for at in (1, 4))


def _one_study(stated: Sequence[str], context: Context) -> str | None:
    if not stated:
        return None
    valid = {uid for uid in stated if _UID.fullmatch(uid)}
    if len(valid) < len(set(stated)):
        context.note("a Study Instance UID that is none (PS3.5 section 9.1) was dropped")
    if len(valid) > 1:
        raise InvalidMessage("an order names two different Study Instance UIDs: a conflict", location="ZDS^1^1")
    return next(iter(valid), None)


def _with_shared_study(changes: list[OrderChange], message: Message, context: Context) -> list[OrderChange]:
    uid = shared_study(message, context)
    named = {change.order.accession for change in changes if change.order.study_instance_uid == uid}
    if uid is None or None in named:
        return changes
    return [
        replace(change, order=replace(change.order, study_instance_uid=uid))
        if change.order.accession in named and change.order.study_instance_uid is None
        else change
        for change in changes
    ]


def _procedure(group: Group, step: Segment, context: Context) -> Coding | None:
    for value in (group.obr.value(4), group.obr.value(44), step.value(6)):
        if found := coding(value, context):
            return found
    return None


def _reasons(group: Group, common: Sequence[Coding], context: Context) -> tuple[Coding, ...]:
    stated = [code for value in group.obr.values(31) if (code := coding(value, context))]
    return tuple(dict.fromkeys((*stated, *_diagnoses(group.all("DG1"), context), *common)))


def _free_text(value: Value) -> str:
    """ST as it stands; of a CWE (2.9) without a code the original text or the text."""
    return value.whole() if value.text(1) else value.text(9) or value.text(2) or value.whole()


def _person(value: Value) -> str:
    """XCN: given and family name, the number where there is no name."""
    name = " ".join(part for part in (value.text(3), value.text(2, 1)) if part)
    return name or value.text(1)


def _scheduled(group: Group, context: Context) -> datetime | None:
    """OBR-36, OBR-6, TQ1-7, ORC-7.4, ORC-15: the first that is a time."""
    for segment, number, component in (
        (group.obr, 36, 1),
        (group.obr, 6, 1),
        *((segment, 7, 1) for segment in group.all("TQ1")),
        (group.orc, 7, 4),
        (group.orc, 15, 1),
    ):
        if segment.raw(number) and (found := context.moment(segment, number, component)):
            return found
    return None

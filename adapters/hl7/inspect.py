"""What Sightline understood of a message, and every doubt: the check, the reader and the fields of each order group.

It reads with what the edge itself reads with; nothing is stored. A message that is refused or cannot be read shows what
can be read of it all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from adapters.hl7 import ack, order
from adapters.hl7.check import Known, kept, know, require
from adapters.hl7.coded import described
from adapters.hl7.context import AccessionFallback, Context, Site
from adapters.hl7.events import NOBODY, ORDER_TYPES
from adapters.hl7.groups import Group, read_groups
from adapters.hl7.header import read_header
from adapters.hl7.layout import Layout, layout
from adapters.hl7.message import Message, Segment
from adapters.hl7.mode import ORIGINAL, Mode, mode_of
from adapters.hl7.patient import read_patient
from adapters.hl7.read import Reader
from cds.destinations import Sender, sender_of
from cds.domain.identity import Identifier
from cds.domain.inspection import InspectedFile, InspectedOrder, Inspection, with_problems
from cds.domain.message import MessageContent, RawMessage
from cds.errors import InvalidMessage

_NOBODY = Identifier("-", "-")
_NO_ANSWER = "no answer"
_BATCH = ("FHS", "BHS", "BTS", "FTS")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A message that is shown. `orders`: its groups are read as orders."""

    message: Message
    context: Context
    orders: bool

    def aside(self, *, fallback: bool = True) -> Context:
        """A context with a place of its own for warnings; `fallback`: an order number may be the accession number."""
        site = self.context.site
        return replace(self.context, notes=[], site=site if fallback else replace(site, accession_fallback="none"))


def inspect_file(name: str, data: bytes, reader: Reader, at: datetime) -> InspectedFile:
    """All messages of a file: framed, in batches, or one after the other. It never raises for its content."""
    found = layout(data)
    spoilt = _spoilt(found)
    seen = [inspect(data[start:end], reader, at) for start, end in found.spans]
    told = [_with_its_batch(one, found.problems) if number in spoilt else one for number, one in enumerate(seen)]
    return InspectedFile(name, tuple(told), tuple(map(str, found.problems)))


def _spoilt(found: Layout) -> Collection[int]:
    """The messages that are refused because something is wrong with a batch of their file, numbered from 0."""
    if not found.problems:
        return ()
    inside = {first + place for first, envelope in found.envelopes for place in range(envelope.count)}
    is_of_batch = any(problem.location.startswith(_BATCH) for problem in found.problems)
    return inside or (range(len(found.spans)) if is_of_batch else ())


def _with_its_batch(seen: Inspection, problems: Sequence[InvalidMessage]) -> Inspection:
    first, told = problems[0], tuple(map(str, problems))
    orders = tuple(with_problems(entry, told) for entry in seen.orders)
    answer = _answer(first, ORIGINAL)
    return replace(seen, answer=answer, outcome="refused with its batch", taken=False, orders=orders)


def inspect(block: bytes, reader: Reader, at: datetime) -> Inspection:
    """One message; `at` is the moment at which it is looked at."""
    try:
        known = know(read_header(block))
    except InvalidMessage as error:
        entry, answer = InspectedOrder(problems=(str(error),)), _answer(error, ORIGINAL)
        return Inspection(answer, f"refused with {answer}", False, (entry,), len(block))
    raw = kept(block, known, "", at)
    mode = _mode(raw, known, reader)
    content = _read(raw, known, mode, reader)
    answer, outcome, told = _verdict(content, mode)
    entries, doubts, has_orders = _entries(raw, reader)
    return Inspection(
        answer,
        outcome,
        isinstance(content, MessageContent),
        _told(entries, (*told, *doubts)),
        len(block),
        raw.sender,
        raw.processing_id,
        has_orders,
        content if isinstance(content, MessageContent) else None,
    )


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What the door says no with."""

    answer: str
    text: str


def _mode(raw: RawMessage, known: Known, reader: Reader) -> Mode:
    """How its sender is answered."""
    sender = sender_of(reader.senders, raw.sending_application, raw.sending_facility) or Sender()
    return mode_of(known.header, sender.acknowledgment, replies=sender.reply_to is not None)


def _read(raw: RawMessage, known: Known, mode: Mode, reader: Reader) -> MessageContent | InvalidMessage | _Refusal:
    try:
        require(raw.raw, known, reader.mapped(raw))
    except InvalidMessage as error:
        return _Refusal(_answer(error, mode), str(error))
    try:
        return reader(raw)
    except InvalidMessage as error:
        return error


def _open(raw: RawMessage, reader: Reader) -> tuple[Message, Context]:
    """As the reader opens it; a message that it cannot open as it stands, without its sender's profile."""
    try:
        opened = reader.opened(raw)
    except InvalidMessage:
        fallback = cast("AccessionFallback", reader.accession_fallback)
        zone = ZoneInfo(reader.time_zone)
        site = Site(reader.assigning_authority, reader.accession_issuer, fallback, zone)
        return Message(raw.raw), Context(site, "")
    return opened.message, opened.context


def _told(entries: Sequence[InspectedOrder], told: Sequence[str]) -> tuple[InspectedOrder, ...]:
    """What is told of the message as a whole stands with each entry, what is told of one exam with that one alone."""
    of_one = {problem for entry in entries for problem in entry.problems}
    common = tuple(text for text in told if text not in of_one)
    return tuple(with_problems(entry, common) for entry in entries)


def _verdict(content: MessageContent | InvalidMessage | _Refusal, mode: Mode) -> tuple[str, str, tuple[str, ...]]:
    """What the sender is told, what becomes of the message, and what is to be said of it as a whole."""
    if isinstance(content, _Refusal):
        return content.answer, f"refused with {content.answer}", (content.text,)
    if isinstance(content, InvalidMessage):
        return mode.says("AA") or _NO_ANSWER, f"quarantined: {content}", (str(content),)
    return mode.says("AA") or _NO_ANSWER, _outcome(content), content.warnings


def _answer(error: InvalidMessage, mode: Mode) -> str:
    return f"{mode.says(ack.code(error)) or _NO_ANSWER} {error.condition}: {error}"


def _outcome(content: MessageContent) -> str:
    if content.ignored:
        return f"ignored: {content.ignored}"
    said = content.patient or content.identity or content.acknowledges or content.events
    return "applied" if said else f"ignored: {NOBODY}"


def _entries(raw: RawMessage, reader: Reader) -> tuple[list[InspectedOrder], Sequence[str], bool]:
    """The entries of a message, the doubts of its characters and lines, and whether it has order groups."""
    try:
        message, context = _open(raw, reader)
    except InvalidMessage:
        stated = raw.message_type, raw.trigger_event
        entry = InspectedOrder("_".join(filter(None, stated)), raw.version, raw.control_id)
        return [entry], (), False
    groups = read_groups(message)
    is_order = message.first("MSH").text(9) in ORDER_TYPES
    opened = _Opened(message, context, is_order)
    common = _of_message(opened)
    if not groups:
        return [common], message.warnings, False
    entries = [entry for group in groups for entry in _of_group(group, common, opened)]
    return _with_shared_study(entries, opened), message.warnings, True


def _of_message(opened: _Opened) -> InspectedOrder:
    msh, pid = opened.message.first("MSH"), opened.message.first("PID")
    event = msh.text(9, 2) or opened.message.first("EVN").text(1)
    try:
        patient, filed_under = read_patient(pid, opened.aside())
        number, assigner = filed_under.value, filed_under.assigner
        family, given = patient.name.family, patient.name.given
    except InvalidMessage:  # the reader says so where it matters
        number, assigner = pid.text(3), pid.text(3, 4, 1) or pid.text(3, 4, 2)
        family, given = pid.text(5, 1, 1), pid.text(5, 2)
    return InspectedOrder(
        msg_type="_".join(filter(None, (msh.text(9), event))),
        version=msh.text(12),
        control_id=msh.text(10),
        patient_id=number,
        assigner=assigner,
        family=family,
        given=given,
        charset=opened.message.syntax.codec,
    )


def _of_group(group: Group, common: InspectedOrder, opened: _Opened) -> list[InspectedOrder]:
    """One entry, or one for each exam where the accession numbers or studies of its steps (IPC) differ."""
    found: dict[tuple[str, str], InspectedOrder] = {}
    for step in group.steps[: order.MOST_STEPS]:
        entry = _of_step(group, step, common, opened)
        known = found.get((entry.accession, entry.study_uid))
        found[entry.accession, entry.study_uid] = with_problems(entry, known.problems) if known else entry
    return list(found.values())


def _of_step(group: Group, step: Segment, common: InspectedOrder, opened: _Opened) -> InspectedOrder:
    orc, obr, alternate = group.orc, group.obr, group.obr.text(4, 4) or group.obr.text(44)
    asked = obr.value(4) if obr.raw(4) or alternate else step.value(6)
    left_out = order.why_left_out(group) if opened.orders else ""
    is_exam = opened.orders and not left_out
    context = opened.aside(fallback=is_exam)
    return replace(
        common,
        order_control=orc.text(1),
        order_status=orc.text(5),
        placer=_number(group, 2, context),
        filler=_number(group, 3, context),
        accession=order.accession_number(group, step, context)[0],
        study_uid=_study(group, step, context),
        procedure=asked.text(1),
        procedure_text=asked.text(2) or asked.text(5),
        alt_code=alternate,
        modality=order.modality(group, step, context) or "",
        priority=order.priority(group, context)[0],
        reason="; ".join(filter(None, map(described, obr.values(31)))),
        clinical_info=order.clinical_information(group),
        problems=_doubts(group, step, opened) if is_exam else tuple(filter(None, [left_out])),
    )


def _number(group: Group, number: int, context: Context) -> str:
    found = group.number(number, context)
    return found.value if found else ""


def _study(group: Group, step: Segment, context: Context) -> str:
    """Empty where the group contradicts itself: that is told as a problem."""
    try:
        return order.study_uid(group, step, context) or ""
    except InvalidMessage:
        return ""


def _doubts(group: Group, step: Segment, opened: _Opened) -> tuple[str, ...]:
    """What the reader says of this exam alone."""
    context = opened.aside()
    try:
        order.read_exam(group, step, _NOBODY, context)
    except InvalidMessage as error:
        return (str(error), *context.notes)
    return tuple(context.notes)


def _with_shared_study(entries: list[InspectedOrder], opened: _Opened) -> list[InspectedOrder]:
    """See `order.shared_study`."""
    uid = order.shared_study(opened.message, opened.aside()) if opened.orders else None
    named = {entry.accession for entry in entries if entry.study_uid == uid} - {""}
    return [
        replace(entry, study_uid=uid) if uid and entry.accession in named and not entry.study_uid else entry
        for entry in entries
    ]

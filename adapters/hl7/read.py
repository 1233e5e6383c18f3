"""A raw message to what it says: the one entry of the reader, port MessageReader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from adapters.hl7.acknowledgment import read_acknowledgment
from adapters.hl7.context import AccessionFallback, Context, Site
from adapters.hl7.diagnosis import read_diagnoses
from adapters.hl7.events import ACKNOWLEDGMENT_TYPES, ORDER_TYPES, ignored
from adapters.hl7.final_report import read_final_reports
from adapters.hl7.identity import read_identity
from adapters.hl7.message import Message
from adapters.hl7.observation import read_observations
from adapters.hl7.order import read_orders
from adapters.hl7.patient import case_number, read_patient
from cds.destinations import Sender
from cds.domain.identity import IdentityChange, IdentityEvent
from cds.domain.message import MessageContent, OrderChange, RawMessage
from cds.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads ADT, orders (ORM, OMG, OMI), ORU^R01, problems (PPR) and ORA; says of others why they are ignored.

    The arguments are the site's settings of the same names; times without an offset are read in the zone of their
    sender ("MSH-3|MSH-4" in `senders`), else in the site's. Patient fields that a message leaves empty, or deletes
    (`""`), are unknown in the Patient: the domain has no third state for them.
    """

    assigning_authority: str
    accession_issuer: str
    accession_fallback: str
    time_zone: str
    senders: Mapping[str, Sender] = field(default_factory=dict)

    def __call__(self, message: RawMessage) -> MessageContent:
        """Raise InvalidMessage where it cannot be read: no patient, no order number, two studies for one order."""
        parsed = Message(message.raw)
        header = parsed.first("MSH")
        context = self._context(message, parsed)
        context.notes.extend(dict.fromkeys(parsed.warnings))
        test = header.text(11) in ("T", "D")
        event = header.text(9, 2) or parsed.first("EVN").text(1)
        if reason := ignored(header.text(9), event):
            return MessageContent(None, ignored=reason, test=test, warnings=tuple(context.notes))
        if header.text(9) in ACKNOWLEDGMENT_TYPES:
            return _of_acknowledgment(parsed, context, test=test)
        if identity := read_identity(parsed, event, context):
            return _of_identity(parsed, identity, context, test=test)
        return _of_patient(parsed, context, message, test=test)

    def _context(self, message: RawMessage, parsed: Message) -> Context:
        header = parsed.first("MSH")
        fallback = cast("AccessionFallback", self.accession_fallback)
        known = self.senders.get(message.sender)
        zone = ZoneInfo((known and known.time_zone) or self.time_zone)
        site = Site(self.assigning_authority, self.accession_issuer, fallback, zone)
        sender = header.text(4) or header.text(4, 2) or header.text(3) or header.text(3, 2)
        context = Context(site, sender)
        return Context(site, sender, context.moment(header, 7), context.notes)


def _of_acknowledgment(message: Message, context: Context, *, test: bool) -> MessageContent:
    """Which critical result a person has; one of a test system ends no wait for a person."""
    number, by = read_acknowledgment(message, context)
    ignored = "it acknowledges nothing" if test or not number else ""
    number, by = ("", "") if ignored else (number, by)
    warnings = tuple(context.notes)
    return MessageContent(None, test=test, ignored=ignored, warnings=warnings, acknowledges=number, acknowledged_by=by)


def _of_patient(message: Message, context: Context, raw: RawMessage, *, test: bool) -> MessageContent:
    """What a message says of its one patient."""
    kind = message.first("MSH").text(9)
    pid = message.all("PID")
    if len(pid) != 1:
        raise InvalidMessage("want one patient in a message", location="PID^1", condition="100")
    patient, filed_under = read_patient(pid[0], context)
    orders: tuple[OrderChange, ...] = ()
    if kind in ORDER_TYPES:
        orders = read_orders(message, filed_under, context)
    values = (*read_observations(message, context), *read_diagnoses(message, context))
    final_reports = read_final_reports(message, filed_under, context, raw)
    return MessageContent(
        patient,
        orders,
        values,
        test=test,
        occurred_at=_occurred_at(message, context),
        final_reports=final_reports,
        account=case_number(pid[0].value(18), context),
        visit=case_number(message.first("PV1").value(19), context),
        warnings=tuple(context.notes),
    )


def _of_identity(
    message: Message, changes: tuple[IdentityChange, ...], context: Context, *, test: bool
) -> MessageContent:
    """What a message says of who is who; the demographics of the one patient in PID are hers afterwards."""
    pid = message.all("PID")
    deleted = any(change.event is IdentityEvent.DELETE for change in changes)
    patient = read_patient(pid[0], context)[0] if len(pid) == 1 and not deleted else None
    return MessageContent(
        patient,
        test=test,
        occurred_at=_occurred_at(message, context),
        identity=changes,
        warnings=tuple(context.notes),
    )


def _occurred_at(message: Message, context: Context) -> datetime | None:
    evn = message.first("EVN")
    return context.moment(evn, 6) or context.moment(evn, 2) or context.sent_at

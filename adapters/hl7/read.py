"""A raw message to what it says: the one entry of the reader, port MessageReader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from zoneinfo import ZoneInfo

from adapters.hl7.context import AccessionFallback, Context, Site
from adapters.hl7.diagnosis import read_diagnoses
from adapters.hl7.events import ORDER_TYPES, ignored
from adapters.hl7.message import Message, Segment
from adapters.hl7.observation import read_observations
from adapters.hl7.order import read_orders
from adapters.hl7.patient import read_patient
from cds.domain.message import MessageContent, OrderChange, RawMessage
from cds.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads ADT, orders (ORM, OMG, OMI), ORU^R01 and problems (PPR); says of others why they are ignored.

    The arguments are the site's settings of the same names. Patient fields that a message leaves empty, or deletes
    (`""`), are unknown in the Patient: the domain has no third state for them.
    """

    assigning_authority: str
    accession_issuer: str
    accession_fallback: str
    time_zone: str

    def __call__(self, message: RawMessage) -> MessageContent:
        """Raise InvalidMessage where it cannot be read: no patient, no order number, two studies for one order."""
        parsed = Message(message.raw)
        header = parsed.first("MSH")
        context = self._context(header)
        context.notes.extend(dict.fromkeys(parsed.warnings))
        test = header.text(11) in ("T", "D")
        event = header.text(9, 2) or parsed.first("EVN").text(1)
        if reason := ignored(header.text(9), event):
            return MessageContent(None, ignored=reason, test=test, warnings=tuple(context.notes))
        return self._content(parsed, context, test=test)

    def _content(self, message: Message, context: Context, *, test: bool) -> MessageContent:
        kind = message.first("MSH").text(9)
        pid = message.all("PID")
        if len(pid) != 1:
            raise InvalidMessage("want one patient in a message", location="PID^1", condition="100")
        patient, filed_under = read_patient(pid[0], context)
        orders: tuple[OrderChange, ...] = ()
        if kind in ORDER_TYPES:
            orders = read_orders(message, filed_under, context)
        values = (*read_observations(message, context), *read_diagnoses(message, context))
        occurred = context.moment(message.first("EVN"), 6) or context.moment(message.first("EVN"), 2)
        return MessageContent(
            patient, orders, values, warnings=tuple(context.notes), test=test, occurred_at=occurred or context.sent_at
        )

    def _context(self, header: Segment) -> Context:
        fallback = cast("AccessionFallback", self.accession_fallback)
        site = Site(self.assigning_authority, self.accession_issuer, fallback, ZoneInfo(self.time_zone))
        sender = header.text(4) or header.text(4, 2) or header.text(3) or header.text(3, 2)
        context = Context(site, sender)
        return Context(site, sender, context.moment(header, 7), context.notes)

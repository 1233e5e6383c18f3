"""A raw message to what it says: the one entry of the reader, port MessageReader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from adapters.hl7.acknowledgment import read_acknowledgment
from adapters.hl7.context import AccessionFallback, Context, Site
from adapters.hl7.deletion import note_deletions
from adapters.hl7.events import ACKNOWLEDGMENT_TYPES, NOBODY, ORDER_TYPES, ignored, need_not_name
from adapters.hl7.final_report import read_final_reports
from adapters.hl7.identity import SAME_TWICE, apart, read_identity
from adapters.hl7.message import Message, Segment, Trace
from adapters.hl7.order import read_orders
from adapters.hl7.patient import case_number, read_deletes, read_patient
from adapters.hl7.profile import Profile
from adapters.hl7.profile_setup import compile_profiles
from adapters.hl7.record_values import read_values
from adapters.hl7.schedule import completed_exams, read_study_events
from cds.destinations import Sender, sender_name
from cds.domain.identity import IdentityChange, IdentityEvent
from cds.domain.message import MessageContent, OrderChange, RawMessage
from cds.domain.profile import FieldChange
from cds.errors import InvalidMessage

_NO_PROFILE = Profile()


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that is being read: as its sender's profile has it, with what every part of the reader needs.

    `changes` is what the profile made of it. What is noted in the context while it is read are its warnings.
    """

    message: Message
    context: Context
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """What the reader goes by for one sender."""

    profile: Profile
    site: Site


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads ADT, orders (ORM, OMG, OMI), ORU^R01, PPR, VXU, RDE, SIU and ORA; says of others why they are ignored.

    The arguments are the site's settings of the same names; what the profile of a sender says (`senders`) comes before
    them. Raise ConfigurationError where a profile or one of its files is wrong. `trace`, where there is one, gets every
    field that is looked at.
    """

    assigning_authority: str
    accession_issuer: str
    accession_fallback: str
    time_zone: str
    senders: Mapping[str, Sender] = field(default_factory=dict)
    trace: Trace | None = field(default=None, compare=False)
    _known: dict[str | None, _Known] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the profiles once."""
        profiles = compile_profiles(self.senders)
        known: dict[str | None, _Known] = {None: _Known(_NO_PROFILE, self._site(Sender()))}
        known |= {name: _Known(profiles[name], self._site(sender)) for name, sender in self.senders.items()}
        object.__setattr__(self, "_known", known)

    @property
    def profiles(self) -> dict[str, Profile]:
        """The senders' profiles by their names."""
        return {name: known.profile for name, known in self._known.items() if name is not None}

    def __call__(self, message: RawMessage) -> MessageContent:
        """Raise InvalidMessage where it cannot be read: no patient, no order number, two studies for one order."""
        return self.read(self.opened(message), message)

    def opened(self, message: RawMessage) -> Opened:
        """The message in its character set and with its sender's profile applied; raise InvalidMessage."""
        known = self._of(message)
        profile = known.profile
        parsed = Message(message.raw, profile.default_charset, charset=profile.charset, trace=self.trace)
        changes = profile.apply(parsed) if profile is not _NO_PROFILE else ()
        header = parsed.first("MSH")
        if header.text(11) not in ("P", "D", "T"):
            raise InvalidMessage("want P, D or T in MSH-11", location="MSH^1^11", condition="202")
        sender = header.text(4) or header.text(4, 2) or header.text(3) or header.text(3, 2)
        context = Context(known.site, sender, notes=list(dict.fromkeys(parsed.warnings)))
        sent_at = context.moment(header, 7)
        return Opened(parsed, Context(known.site, sender, sent_at, context.notes), changes)

    def read(self, opened: Opened, raw: RawMessage) -> MessageContent:
        """What an opened message says; raise InvalidMessage."""
        message, context = opened.message, opened.context
        header = message.first("MSH")
        test = header.text(11) in ("T", "D")
        event = header.text(9, 2) or message.first("EVN").text(1)
        if reason := ignored(header.text(9), event):
            return MessageContent(None, ignored=reason, test=test, warnings=tuple(context.notes))
        if header.text(9) in ACKNOWLEDGMENT_TYPES:
            return _of_acknowledgment(message, context, test=test)
        if identity := read_identity(message, event, context):
            return _of_identity(message, identity, context, test=test)
        if _names_nobody(message):
            return _of_nobody(message, context, raw, test=test)
        return _of_patient(message, context, raw, test=test)

    def mapped(self, message: RawMessage) -> frozenset[str]:
        """The fields, such as PID-3, that the sender's profile fills from elsewhere or translates."""
        return self._of(message).profile.mapped

    def sender(self, message: RawMessage) -> str | None:
        """The name of the profile that holds for the sender of a message; None where none does."""
        if not self.senders:
            return None
        return sender_name(self.senders, message.sending_application, message.sending_facility)

    def _of(self, message: RawMessage) -> _Known:
        return self._known[self.sender(message)]

    def _site(self, sender: Sender) -> Site:
        """The site's rules as they hold for a sender."""
        authority, issuer = sender.assigning_authority, sender.accession_issuer
        return Site(
            self.assigning_authority if authority is None else authority,
            self.accession_issuer if issuer is None else issuer,
            cast("AccessionFallback", sender.accession_fallback or self.accession_fallback),
            ZoneInfo(sender.time_zone or self.time_zone),
        )


def _of_acknowledgment(message: Message, context: Context, *, test: bool) -> MessageContent:
    """Which critical result a person has; one of a test system ends no wait for a person."""
    number, by = read_acknowledgment(message, context)
    ignored = "it acknowledges nothing" if test or not number else ""
    number, by = ("", "") if ignored else (number, by)
    warnings = tuple(context.notes)
    return MessageContent(None, test=test, ignored=ignored, warnings=warnings, acknowledges=number, acknowledged_by=by)


def _names_nobody(message: Message) -> bool:
    return need_not_name(message.first("MSH").text(9)) and not any(pid.values(3) for pid in message.all("PID"))


def _of_nobody(message: Message, context: Context, raw: RawMessage, *, test: bool) -> MessageContent:
    """An appointment may name its orders and no patient."""
    events = read_study_events(message, context, f"HL7 {raw.sender}")
    return MessageContent(
        None,
        ignored="" if events else NOBODY,
        test=test,
        occurred_at=_occurred_at(message, context),
        warnings=tuple(context.notes),
        events=events,
    )


def _of_patient(message: Message, context: Context, raw: RawMessage, *, test: bool) -> MessageContent:
    """What a message says of its one patient."""
    pid = message.all("PID")
    if len(pid) != 1:
        raise InvalidMessage("want one patient in a message", location="PID^1", condition="100")
    patient, filed_under = read_patient(pid[0], context)
    orders: tuple[OrderChange, ...] = ()
    if message.first("MSH").text(9) in ORDER_TYPES:
        orders = read_orders(message, filed_under, context)
    return MessageContent(
        patient,
        orders,
        read_values(message, context),
        test=test,
        occurred_at=_occurred_at(message, context),
        final_reports=read_final_reports(message, filed_under, context, raw),
        account=case_number(pid[0].value(18), context),
        visit=case_number(message.first("PV1").value(19), context),
        events=(
            *read_study_events(message, context, f"HL7 {raw.sender}"),
            *completed_exams(orders, f"HL7 {raw.sender}"),
        ),
        deletes=_deletes(message, pid[0], context),
        warnings=tuple(context.notes),
    )


def _of_identity(
    message: Message, changes: tuple[IdentityChange, ...], context: Context, *, test: bool
) -> MessageContent:
    """What a message says of who is who; the demographics of the one patient in PID are hers afterwards."""
    changes = apart(changes)
    if not changes:
        return MessageContent(None, ignored=SAME_TWICE, test=test, warnings=tuple(context.notes))
    pid = message.all("PID")
    deleted = any(change.event is IdentityEvent.DELETE for change in changes)
    told = len(pid) == 1 and not deleted
    patient = read_patient(pid[0], context)[0] if told else None
    deletes = _deletes(message, pid[0], context) if told else frozenset()
    return MessageContent(
        patient,
        test=test,
        occurred_at=_occurred_at(message, context),
        identity=changes,
        warnings=tuple(context.notes),
        deletes=deletes,
    )


def _deletes(message: Message, pid: Segment, context: Context) -> frozenset[str]:
    """What of the patient is deleted; of an order it is only said."""
    if not message.deletes:
        return frozenset()
    if message.first("MSH").text(9) in ORDER_TYPES:
        note_deletions(message, context)
    return read_deletes(pid, context)


def _occurred_at(message: Message, context: Context) -> datetime | None:
    evn = message.first("EVN")
    return context.moment(evn, 6) or context.moment(evn, 2) or context.sent_at

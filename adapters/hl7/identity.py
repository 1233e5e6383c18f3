"""Who is who: merges, links, moves, cancels and deletions of ADT (HL7 v2.5.1 sections 3.3 and 3.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from adapters.hl7.context import Context
from adapters.hl7.events import identity_event
from adapters.hl7.message import Message, Segment
from adapters.hl7.patient import case_number, typed_identifiers
from cds.domain.identity import Identifier, IdentityChange, IdentityEvent
from cds.errors import InvalidMessage

SAME_TWICE = "names the same patient twice"
#: Moves of a whole patient's identifiers, of an account (MRG-3), and of a visit (MRG-5).
_OF_IDENTIFIERS = frozenset({"A43"})
_OF_VISITS = frozenset({"A42", "A45", "A50"})
#: Moves within one patient, which need not repeat her identifiers in MRG-1.
_WITHIN_ONE = frozenset({"A35", "A41", "A42", "A49", "A50"})


@dataclass(frozen=True, slots=True)
class _Group:
    """A PID, one MRG behind it, and the PV1 that goes with it; a segment that is not there has no values."""

    pid: Segment
    mrg: Segment
    pv1: Segment


def read_identity(message: Message, event: str, context: Context) -> tuple[IdentityChange, ...]:
    """The changes of identity in their order; () for events that change none.

    InvalidMessage, naming the field, where MRG lacks or an identifier has no authority.
    """
    kind = identity_event(message.first("MSH").text(9), event)
    if kind is None:
        return ()
    if kind in (IdentityEvent.LINK, IdentityEvent.UNLINK):
        return _linked(kind, event, message, context)
    if kind in (IdentityEvent.CANCEL_VISIT, IdentityEvent.DELETE):
        return (_ended(kind, event, message, context),)
    changes: list[IdentityChange] = []
    for group in _groups(message):
        if kind is IdentityEvent.MERGE:
            changes.append(_merge(event, group, context))
        if kind is IdentityEvent.MOVE or event == "A36":
            changes.append(_move(event, group, context))
    return tuple(changes)


def apart(changes: tuple[IdentityChange, ...]) -> tuple[IdentityChange, ...]:
    """The changes without those that merge or link a patient with herself: what ends is no other than what is kept."""
    uniting = (IdentityEvent.MERGE, IdentityEvent.LINK, IdentityEvent.UNLINK)
    return tuple(one for one in changes if one.event not in uniting or set(one.prior) - set(one.survivor))


def _merge(event: str, group: _Group, context: Context) -> IdentityChange:
    """MRG-1, or MRG-4 of a merge of external identifiers, lives on as PID-3, which may repeat it."""
    prior = _identifiers(group.mrg, 4 if event == "A39" and not group.mrg.values(1) else 1, context)
    survivor = _identifiers(group.pid, 3, context)
    return IdentityChange(IdentityEvent.MERGE, event, _beside(survivor, prior) or survivor, prior)


def _move(event: str, group: _Group, context: Context) -> IdentityChange:
    survivor = _identifiers(group.pid, 3, context)
    within = event in _WITHIN_ONE and not group.mrg.values(1)
    prior = survivor if within else _identifiers(group.mrg, 1, context)
    if event in _OF_IDENTIFIERS:
        return IdentityChange(IdentityEvent.MOVE, event, _target(group.pid, survivor, prior, context), prior)
    into_account = case_number(group.pid.value(18), context)
    if event not in _OF_VISITS:
        account = case_number(group.mrg.value(3), context)
        if account is None:
            raise _missing("an account number", "MRG", 3)
        return IdentityChange(IdentityEvent.MOVE, event, survivor, prior, account=account, into_account=into_account)
    visit = case_number(group.mrg.value(5), context)
    if visit is None:
        raise _missing("a visit number", "MRG", 5)
    into_visit = case_number(group.pv1.value(19), context)
    return IdentityChange(
        IdentityEvent.MOVE, event, survivor, prior, visit=visit, into_account=into_account, into_visit=into_visit
    )


def _target(
    pid: Segment, stated: tuple[Identifier, ...], moved: tuple[Identifier, ...], context: Context
) -> tuple[Identifier, ...]:
    """To whom identifiers move: PID-3 beside them; where it only repeats them, PID-2 names the person (A43)."""
    target = _beside(stated, moved)
    if target:
        return target
    if not pid.values(2):
        raise _missing("the patient to whom the identifiers move, beside them in PID-3 or", "PID", 2)
    return _identifiers(pid, 2, context)


def _linked(kind: IdentityEvent, event: str, message: Message, context: Context) -> tuple[IdentityChange, ...]:
    """Each further PID against the first, which the link keeps."""
    first, *others = [_identifiers(pid, 3, context) for pid in message.all("PID")] or [()]
    if not others:
        raise InvalidMessage("want two patients, each in a PID", location="PID^2", condition="100", permanent=False)
    return tuple(IdentityChange(kind, event, first, other) for other in others)


def _ended(kind: IdentityEvent, event: str, message: Message, context: Context) -> IdentityChange:
    """A visit that did not take place, or a record that is deleted; A23 deletes the visit that it names, if any."""
    patient = _identifiers(message.first("PID"), 3, context)
    visit = case_number(message.first("PV1").value(19), context)
    if event == "A23" and visit:
        kind = IdentityEvent.CANCEL_VISIT
    return IdentityChange(
        kind, event, patient, visit=visit, account=case_number(message.first("PID").value(18), context)
    )


def _groups(message: Message) -> Iterator[_Group]:
    """Each MRG with the PID before it; its PV1 stands behind it, in older versions before. Every PID wants its MRG."""
    absent = Segment("", message.syntax)
    segments = [segment for segment in message if segment.name in ("PID", "MRG", "PV1")]
    pid, before, merged = absent, absent, True
    for segment, following in pairwise([*segments, absent]):
        if segment.name == "PID":
            if not merged:
                break
            pid, before, merged = segment, absent, False
        elif segment.name == "PV1":
            before = segment
        elif not pid.name:
            break
        else:
            merged = True
            yield _Group(pid, segment, following if following.name == "PV1" else before)
    if not merged or not pid.name:
        raise InvalidMessage("want the prior patient in an MRG behind each PID", location="MRG^1", condition="100")


def _identifiers(segment: Segment, number: int, context: Context) -> tuple[Identifier, ...]:
    return tuple(dict.fromkeys(identifier for identifier, _ in typed_identifiers(segment, number, context)))


def _beside(stated: tuple[Identifier, ...], others: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    return tuple(identifier for identifier in stated if identifier not in others)


def _missing(what: str, segment: str, number: int) -> InvalidMessage:
    text = f"want {what} in {segment}-{number}"
    return InvalidMessage(text, location=f"{segment}^1^{number}", condition="101", permanent=False)

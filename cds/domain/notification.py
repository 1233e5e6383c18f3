"""Notifications of FHIR Subscriptions (R5 backport, and R4's own) as values, and what each of them changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from cds.domain.subscription import Notice, NoticeKind, Subscription, SubscriptionState


class NotificationType(StrEnum):
    """http://hl7.org/fhir/subscription-notification-type; PING is a rest-hook of R4's own, which has no numbers."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENTS = "event-notification"
    QUERY_STATUS = "query-status"
    QUERY_EVENT = "query-event"
    PING = "ping"


@dataclass(frozen=True, slots=True)
class Told:
    """One event: its number, and what it is about.

    `reference` is "Type/id" at the same server, with "/_history/version" where `body`, the resource, came along; ""
    where nothing was named that the server itself has.
    """

    number: int | None = None
    reference: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Notification:
    """`subscription` is the server's id of it, `count` its events since its start; None and "" where not said."""

    type: NotificationType
    subscription: str = ""
    state: SubscriptionState | None = None
    count: int | None = None
    events: tuple[Told, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """The subscription after a notification, and what is to be done about it (notices without an id)."""

    subscription: Subscription
    notices: tuple[Notice, ...] = ()


def judge(subscription: Subscription, said: Notification, now: datetime) -> Judged:
    """What a notification, or an answer of $status, changes.

    Event numbers that were told before are repeats; those that are missing are asked for. What another subscription
    than ours says by its numbers means nothing: all news is looked for.
    """
    if said.subscription and subscription.remote_id not in ("", said.subscription):
        return Judged(subscription, (look(subscription),))
    notices, last_event = _numbered(subscription, said)
    state = _state(subscription, said)
    if state is SubscriptionState.ACTIVE and subscription.state is not state:  # what came while it did not work
        notices = (look(subscription), *(one for one in notices if one.kind is NoticeKind.RESOURCE))
    changed = replace(
        subscription.moved(state, now),
        remote_id=subscription.remote_id or said.subscription,
        last_event=last_event,
        heard_at=subscription.heard_at if _is_answer(said) else now,
        error=said.error if state in _BROKEN else "",
        failures=0 if state is SubscriptionState.ACTIVE else subscription.failures,
        due_at=now if state in _BROKEN and state is not subscription.state else subscription.due_at,
    )
    return Judged(changed, notices)


def look(subscription: Subscription) -> Notice:
    """Look for everything that changed."""
    return _notice(subscription, NoticeKind.LOOK)


def answered(subscription: Subscription, said: Notification, first: int, last: int) -> tuple[Notice, ...]:
    """What an answer of $events about a gap leaves to be done: to look, where it does not fill it."""
    wanted = set(range(first, last + 1))
    told = [event for event in said.events if event.number in wanted]
    if {event.number for event in told} != wanted:
        return (look(subscription),)
    return _told(subscription, told)


_BROKEN = (SubscriptionState.ERROR, SubscriptionState.OFF)
#: A wider gap is not asked for event by event.
_WIDEST_GAP = 200


def _is_answer(said: Notification) -> bool:
    """We asked: that it answers does not show that its notifications reach us."""
    return said.type in (NotificationType.QUERY_STATUS, NotificationType.QUERY_EVENT)


def _state(subscription: Subscription, said: Notification) -> SubscriptionState:
    if said.state in _BROKEN:
        return said.state
    if not _is_answer(said):
        return SubscriptionState.ACTIVE
    return subscription.state


def _numbered(subscription: Subscription, said: Notification) -> tuple[tuple[Notice, ...], int]:
    """What is to be done, and the highest event number afterwards."""
    last = subscription.last_event
    if said.type is NotificationType.PING:
        return _told(subscription, said.events or (Told(),)), last
    if said.type is NotificationType.QUERY_EVENT:
        return (), last
    if said.type is not NotificationType.EVENTS:
        return _counted(subscription, said.count)
    numbered = sorted({e.number: e for e in said.events if e.number is not None and e.number > last}.items())
    unnumbered = [event for event in said.events if event.number is None]
    if not said.events and (said.count is None or said.count > last):
        unnumbered = [Told()]  # an empty notification says that something is new, and no more
    fresh = [event for _, event in numbered] + unnumbered
    highest = max([last, *(number for number, _ in numbered), *((said.count or 0,) if not said.events else ())])
    told = _told(subscription, fresh)
    if any(notice.kind is NoticeKind.LOOK for notice in told):  # which finds what is missing too
        return told, highest
    return (*_gaps(subscription, [number for number, _ in numbered]), *told), highest


def _counted(subscription: Subscription, count: int | None) -> tuple[tuple[Notice, ...], int]:
    """A handshake, a heartbeat or a status says how many events there were."""
    last = subscription.last_event
    if count is None or count == last:
        return (), last
    if count < last:  # the server began to count anew: nobody knows what it left out
        return (look(subscription),), count
    return (_gap(subscription, last + 1, count),), count


def _gaps(subscription: Subscription, numbers: list[int]) -> tuple[Notice, ...]:
    before = [subscription.last_event, *numbers]
    pairs = zip(before, numbers, strict=False)
    return tuple(_gap(subscription, low + 1, high - 1) for low, high in pairs if high > low + 1)


def _gap(subscription: Subscription, first: int, last: int) -> Notice:
    if last - first >= _WIDEST_GAP:
        return look(subscription)
    return replace(_notice(subscription, NoticeKind.EVENTS), first=first, last=last)


def _told(subscription: Subscription, events: list[Told] | tuple[Told, ...]) -> tuple[Notice, ...]:
    """Read each that is named and of the wanted type; look, once, for what is not."""
    wanted = f"{subscription.resource_type}/"
    if any(not event.reference.startswith(wanted) for event in events):
        return (look(subscription),)
    named = {event.reference: event for event in events}
    resource = _notice(subscription, NoticeKind.RESOURCE)
    return tuple(replace(resource, reference=one.reference, body=one.body) for one in named.values())


def _notice(subscription: Subscription, kind: NoticeKind) -> Notice:
    return Notice(0, subscription.server, kind, subscription.resource_type, subscription=subscription.id)

"""How FHIR servers tell us what is new: subscriptions, their notifications, and how far a server was read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

#: An R4 Subscription (criteria are a query), or one of the R5 backport (criteria are a topic).
SubscriptionKind = Literal["native", "topic"]


class SubscriptionState(StrEnum):
    """Where a subscription stands, as its server says or as we found. Values are stable: they stand in tables.

    SILENT: no notification and no heartbeat came in time; the server is polled meanwhile.
    """

    WANTED = "wanted"
    REQUESTED = "requested"
    ACTIVE = "active"
    SILENT = "silent"
    ERROR = "error"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription at one server for one resource type. `id` is random and stands in the address it notifies.

    `last_event` is the highest event number that was told; what is missing below it waits as a Notice of kind EVENTS.
    """

    id: str
    server: str
    resource_type: str
    kind: SubscriptionKind
    state: SubscriptionState
    remote_id: str = ""
    last_event: int = 0
    heard_at: datetime | None = None
    ends_at: datetime | None = None
    error: str = ""
    #: Since when it is active, or is not.
    since: datetime | None = None
    failures: int = 0
    #: When it is looked at next; None: now.
    due_at: datetime | None = None
    #: A new secret and end were sent, and nobody knows yet whether they arrived.
    renewing: bool = False

    def moved(self, state: SubscriptionState, now: datetime) -> Subscription:
        """It in another state; `since` changes where it begins to work, or works no more."""
        works = (self.state is SubscriptionState.ACTIVE, state is SubscriptionState.ACTIVE)
        return replace(self, state=state, since=now if works[0] is not works[1] else self.since or now)


class NoticeKind(StrEnum):
    """What is to be done about a notification. Values are stable.

    RESOURCE: read this one (its body may have come along). EVENTS: ask $events for a gap. LOOK: query what is new.
    """

    RESOURCE = "resource"
    EVENTS = "events"
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a server told us and that waits to be worked off, kept before the server got its answer.

    `reference` is "Type/id", with "/_history/version" where it was named; `body` the resource, if it came along.
    `first` and `last` are the event numbers of a gap.
    """

    id: int
    server: str
    kind: NoticeKind
    resource_type: str
    reference: str = ""
    body: bytes = b""
    subscription: str = ""
    first: int = 0
    last: int = 0
    attempts: int = 0
    received_at: datetime | None = None

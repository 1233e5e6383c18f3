"""Operations for the engineer: what may be looked at and done there. The same callables as the commands have.

Whoever acts is named by `by`, and says why; both are in the audit log. Errors say in words what was wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cds.domain.audit import AuditEvent
from cds.domain.delivery_story import DeliveryEntry, DeliveryStory
from cds.domain.hold import Hold
from cds.domain.identity import AppliedIdentity
from cds.domain.message import MessageEntry, MessageState
from cds.domain.message_story import MessageStory, Replayed
from cds.domain.report import DeliveryState
from cds.domain.story import Story
from cds.domain.switch import SwitchKind
from cds.ui.operations_settings import Section
from cds.ui.operations_values import AuditAsked, DeadLetters, Overview, Paged, PeerAnswer, ReplayedAll, Switchable

#: Lines of a page of a list.
PAGE_SIZE = 50
#: Pages that can be turned to: who wants more narrows the search.
MOST_PAGES = 100


@dataclass(frozen=True, slots=True)
class MessagesAsked:
    """Which messages of the inbox; see `cds.store.message_outcomes.entries`. Empty is any."""

    state: MessageState | None = None
    sender: str = ""
    message_type: str = ""
    control_id: str = ""
    answer: str = ""
    refused: bool = False
    since: datetime | None = None
    page: int = 1


@dataclass(frozen=True, slots=True)
class DeliveriesAsked:
    """Which deliveries. Empty is any."""

    destination: str = ""
    state: DeliveryState | None = None
    page: int = 1


class ResolveHold(Protocol):
    """What `cds holds resolve` does; raises NotFound, Conflict, InvalidInput."""

    def __call__(self, hold_id: str, action: str, *, by: str, to: str, reason: str) -> Hold:
        """The hold afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class HoldDesk:
    """What waits for a person. An id may be how it begins."""

    open: Callable[[], Sequence[Hold]]
    #: (page) → those that were resolved, newest first.
    resolved: Callable[[int], Paged[Hold]]
    #: Raises NotFound, Conflict.
    find: Callable[[str], Hold]
    #: (id, by) → the hold with its new owner; raises NotFound, Conflict.
    take: Callable[[str, str], Hold]
    resolve: ResolveHold


class Turn(Protocol):
    """What `cds disable` and `cds enable` do; raises NotFound, Conflict."""

    def __call__(self, kind: SwitchKind, name: str, *, on: bool, by: str, reason: str) -> int:
        """How many reports are decided again."""
        ...


@dataclass(frozen=True, slots=True)
class SwitchDesk:
    """What is switched off, and what the settings let speak."""

    all: Callable[[], tuple[Switchable, ...]]
    turn: Turn


@dataclass(frozen=True, slots=True)
class MessageDesk:
    """The HL7 v2 inbox."""

    entries: Callable[[MessagesAsked], Paged[MessageEntry]]
    #: Raises NotFound.
    story: Callable[[int], MessageStory]
    #: (id, by) → the message in characters, once the audit log has who looked; raises NotFound.
    text: Callable[[int, str], str]
    #: (id, by, reason) → what came of applying it again; raises NotFound.
    replay: Callable[[int, str, str], Replayed]
    #: (state, by, reason) → what came of applying all of this state again, some at a time, in their order.
    replay_all: Callable[[MessageState, str, str], ReplayedAll]


@dataclass(frozen=True, slots=True)
class DeliveryDesk:
    """What was sent, and what waits to be."""

    destinations: tuple[str, ...]
    entries: Callable[[DeliveriesAsked], Paged[DeliveryEntry]]
    #: Raises NotFound, Conflict.
    story: Callable[[str], DeliveryStory]
    #: (id, by) → the bytes, once the audit log has who looked; raises NotFound, Conflict.
    raw: Callable[[str, str], bytes]
    #: (id, by, reason) → its hold, resolved; raises NotFound, Conflict where it is not what Sightline says any more.
    resend: Callable[[str, str, str], Hold]


@dataclass(frozen=True, slots=True)
class PeerDesk:
    """Whether the peers can be reached: asked beside the page, never by it."""

    answers: Callable[[], tuple[PeerAnswer, ...]]
    #: (name or "" for all, by) → how many are asked now; those that are being asked are not asked twice.
    #: Raises NotFound.
    ask: Callable[[str, str], int]


@dataclass(frozen=True, slots=True)
class IdentityDesk:
    """Who is who, and taking a change back."""

    #: All changes, or those of everybody who has this identifier value, newest first.
    changes: Callable[[str], Sequence[AppliedIdentity]]
    #: (change, by, reason); raises NotFound, Conflict.
    undo: Callable[[int, str, str], None]


@dataclass(frozen=True, slots=True)
class OperationsServices:
    """Everything below /operations."""

    overview: Callable[[], Overview]
    holds: HoldDesk
    switches: SwitchDesk
    messages: MessageDesk
    deliveries: DeliveryDesk
    peers: PeerDesk
    identity: IdentityDesk
    dead_letters: Callable[[], DeadLetters]
    #: What an accession number, a Study Instance UID or a patient's number leads to; an empty story where nothing has.
    why: Callable[[str], Story]
    #: The settings as loaded: what may be shown of them.
    configuration: Callable[[], tuple[Section, ...]]
    #: (asked, by) → the lines, newest first, once the audit log has that they were searched.
    audit: Callable[[AuditAsked, str], Paged[AuditEvent]]

"""What the pages of operations show: plain values, without PHI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from cds.domain.hold import Action, Hold, HoldKind
from cds.domain.message import MessageEntry
from cds.domain.report import Mode
from cds.domain.switch import Switch, SwitchKind

Item = TypeVar("Item")

#: A role that is not heard for so long is dead (`cds.store.heartbeats`).
DEAD_AFTER = timedelta(seconds=20)
#: What ended in vain and waits for a person: the dead letters.
DEAD_LETTERS = frozenset(
    {
        HoldKind.QUARANTINED,
        HoldKind.WORK_FAILED,
        HoldKind.DELIVERY_REFUSED,
        HoldKind.DELIVERY_NOT_ENCODED,
        HoldKind.RETRIEVAL_FAILED,
        HoldKind.COMMITMENT_FAILED,
        HoldKind.NOTICE_FAILED,
    }
)
#: What each action does, for who has to choose one.
IN_WORDS = {
    Action.ATTACH: "The images belong to this order: they are matched with it and decided again.",
    Action.LEAVE: "The images belong to no order: what was found stays for the radiologist alone.",
    Action.RETRACT: "It is stopped, and what was delivered is taken back.",
    Action.USE_NEW: "The newer pixels replace the first ones, and the study runs again.",
    Action.KEEP_FIRST: "The first pixels stay; the newer instance is thrown away.",
    Action.APPLY: "The message is read again with the settings of now, and applied against the doubt.",
    Action.DISCARD: "The message is not applied.",
    Action.RUN_AGAIN: "It is done again from the beginning.",
    Action.SEND_AGAIN: "The same bytes are sent again, where they still are what Sightline says.",
    Action.GIVE_UP: "Nothing more happens: it stays as it is.",
    Action.ACKNOWLEDGE: "You have seen it, and it waits for nobody any more.",
}
#: Every peer answers within this or is told not to: a person waits.
PEER_LIMIT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Paged(Generic[Item]):
    """Some of a longer list: page `number` from 1, and whether there are more."""

    items: tuple[Item, ...]
    number: int = 1
    more: bool = False


def paged(found: Sequence[Item], number: int, size: int) -> Paged[Item]:
    """A page of what was found from the beginning; a page before the first is the first."""
    number = max(number, 1)
    start = (number - 1) * size
    return Paged(tuple(found[start : start + size]), number, len(found) > start + size)


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """Something that alarms; `since` is None where no worker's look has raised it yet. The key is that of its cause."""

    key: str
    text: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Beat:
    """A role of the server as it was heard last: "host/worker-0"."""

    name: str
    role: str
    at: datetime

    def is_alive(self, now: datetime) -> bool:
        """Whether it was heard lately."""
        return now - self.at < DEAD_AFTER


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits in one state of one queue; `oldest` is None where it is not known since when."""

    name: str
    state: str
    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the tables stand at one moment."""

    alarms: tuple[RaisedAlarm, ...]
    beats: tuple[Beat, ...]
    queues: tuple[Queue, ...]
    #: The newest answer of each model and version: which device gave it, and when.
    devices: tuple[ModelDevice, ...]


@dataclass(frozen=True, slots=True)
class ModelDevice:
    """Where a model ran last; `device` is empty where it refused what it was given."""

    model: str
    version: str
    device: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of this machine as its driver tells; None is what the driver does not say. MiB, percent, degrees C."""

    index: str
    name: str
    memory_mib: int | None
    used_mib: int | None
    busy_percent: int | None
    celsius: int | None


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on the disk of the data folder, bytes; None where it cannot be looked at."""

    free: int | None
    total: int | None
    wanted: int
    #: What the largest parts of the data folder take: (name, bytes).
    files: tuple[tuple[str, int], ...] = ()

    @property
    def is_short(self) -> bool:
        """Whether there is too little room, or nobody knows."""
        return self.free is None or self.free < self.wanted


@dataclass(frozen=True, slots=True)
class FeedTold:
    """A sender of HL7 v2 messages or a FHIR server as it is heard. `mark` is ok, silent, failing or learning."""

    name: str
    mark: str
    last: datetime | None
    said: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page: everything that an engineer looks at first."""

    at: datetime
    standing: Standing
    expected_roles: tuple[str, ...]
    disk: Disk
    #: None where this machine has no driver that could be asked.
    gpus: tuple[Gpu, ...] | None
    feeds: tuple[FeedTold, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles that this site expects and that are not heard."""
        alive = {beat.role for beat in self.standing.beats if beat.is_alive(self.at)}
        return tuple(role for role in self.expected_roles if role not in alive)


@dataclass(frozen=True, slots=True)
class Switchable:
    """A model, pathway or destination; `modes` is what the settings let it do: (site or "", mode). `off` where it is.

    A destination has no modes: it is sent to, or paused.
    """

    kind: SwitchKind
    name: str
    modes: tuple[tuple[str, Mode], ...] = ()
    off: Switch | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """A peer and what its last check said; `answered_at` is None while it is asked, or where nobody asked yet."""

    name: str
    asked_at: datetime | None = None
    asked_by: str = ""
    answered_at: datetime | None = None
    ok: bool = False
    warns: bool = False
    detail: str = ""
    how_to_fix: str = ""

    def state(self, now: datetime) -> str:
        """not asked, asking, no answer, fine, warns or fails."""
        if self.asked_at is None:
            return "not asked"
        if self.answered_at is None:
            return "asking" if now - self.asked_at < PEER_LIMIT else "no answer"
        if not self.ok:
            return "fails"
        return "warns" if self.warns else "fine"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """What ended in vain: held items with their reasons, and messages that broke our code."""

    holds: tuple[Hold, ...]
    messages: tuple[MessageEntry, ...]


@dataclass(frozen=True, slots=True)
class ReplayedAll:
    """What came of applying many messages again: how many are in the record now, are not, and were not reached."""

    applied: int
    still: int
    left: int


@dataclass(frozen=True, slots=True)
class AuditAsked:
    """What the audit log is searched for; empty is any. `since` counts, `until` does not any more."""

    who: str = ""
    action: str = ""
    study: str = ""
    since: datetime | None = None
    until: datetime | None = None
    page: int = 1

    @property
    def words(self) -> tuple[str, ...]:
        """The search as the audit log keeps it, the study apart."""
        named = (("who", self.who), ("action", self.action), ("since", self.since), ("until", self.until))
        told = (
            f"{name} {value.isoformat() if isinstance(value, datetime) else value}" for name, value in named if value
        )
        return (*told, f"page {self.page}")

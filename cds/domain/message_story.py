"""Everything that became of one HL7 v2 message, and of applying it again. Nothing of a patient."""

from __future__ import annotations

from dataclasses import dataclass

from cds.domain.hold import Hold
from cds.domain.message import MessageEntry, MessageState
from cds.domain.report import DeliveryState


@dataclass(frozen=True, slots=True)
class ResultTold:
    """The application acknowledgment of enhanced mode on its way: `acknowledgment` is what its receiver said to it."""

    destination: str
    state: DeliveryState
    attempts: int
    acknowledgment: str


@dataclass(frozen=True, slots=True)
class MessageStory:
    """A message of the log with all that is known of it.

    `wants_result` is when its sender wants to be told of its application (HL7 table 0155), `told` how that went.
    """

    entry: MessageEntry
    character_set: str
    refusal: str
    wants_result: str
    hold: Hold | None = None
    told: ResultTold | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What reading and applying a message again did; `applied` is False where its effects are not in the record now.

    `was` is None for a message that is not in the log.
    """

    id: int
    was: MessageState | None
    now: MessageState | None
    applied: bool
    reason: str = ""

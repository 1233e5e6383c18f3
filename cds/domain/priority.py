"""Raising a study in a worklist because of an urgent finding, and ending that (SAFETY sections 3 and 6)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.order import Priority, ServiceRequest
from cds.domain.report import DeliveryState


class Move(StrEnum):
    """What a worklist is told."""

    RAISE = "raise"
    END = "end"


@dataclass(frozen=True, slots=True)
class PriorityNotice:
    """What a worklist is told of one exam. `priority` is the order's own again at the end of a raise, else None.

    `order` is the exam's as the RIS numbered it, `patient` whose it is; `answer` what the raise that ends was answered.
    """

    move: Move
    study: Study
    patient: Patient
    order: ServiceRequest
    sent_at: datetime
    priority: Priority | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The last thing that a destination was told of a study: for which order, and the priority that it had then.

    `answer` is what the destination said to it.
    """

    ordinal: int
    move: Move
    order_id: str
    own: Priority | None
    state: DeliveryState
    answer: str = ""


class Raiser(Protocol):
    """How a destination is told: what its `urgent` means, and the bytes."""

    @property
    def level(self) -> Priority:
        """The priority that it raises to, see `more_urgent`."""
        ...

    @property
    def production(self) -> bool:
        """True where it takes production messages alone."""
        ...

    def encode(self, notice: PriorityNotice, delivery_id: str) -> bytes:
        """The bytes to send, the same for the same notice and delivery; raise InvalidInput where it cannot be told."""
        ...


class Priorities(Protocol):
    """What worklists were told."""

    def told(self, study_uid: str, destination: str) -> Told | None:
        """The last message about a study; None where there was none."""
        ...

    def tell(self, told: Told, payload: bytes, now: datetime, *, study_uid: str, destination: str, work_id: str) -> str:
        """Commit the next message about a study and answer its delivery's id; the same ordinal once."""
        ...


def delivery_id(destination: str, study_uid: str, ordinal: int) -> str:
    """The delivery of the n-th message about a study."""
    return f"{destination}-{hashlib.sha256(f'{destination}/{study_uid}/priority {ordinal}'.encode()).hexdigest()[:24]}"

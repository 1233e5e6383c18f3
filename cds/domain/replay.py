"""What would have been sent of past studies if shadow models and pathways had been advisory (SAFETY section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cds.domain.report import DeliveryKind
from cds.domain.revision import Work


@dataclass(frozen=True, slots=True)
class Past:
    """The newest work of a study that was analysed, and when it came up."""

    work: Work
    at: datetime


@dataclass(frozen=True, slots=True)
class WouldSend:
    """One thing that would have gone to one destination: how many bytes, and their SHA-256. Never the bytes."""

    destination: str
    kind: DeliveryKind
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StudyReplayed:
    """One study. `findings` maps "<model>.<finding key>" to who would have seen it; `advice` and `cards` are in words.

    `not_sent` is why something would have been sent and cannot be, or the study cannot be replayed.
    """

    study_instance_uid: str
    work_id: str
    match: str = ""
    audiences: tuple[str, ...] = ()
    findings: tuple[tuple[str, tuple[str, ...]], ...] = ()
    withheld: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    deliveries: tuple[WouldSend, ...] = ()
    cards: tuple[str, ...] = ()
    not_sent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replayed:
    """A window of past traffic. `advisory` names the models and pathways that were taken as advisory."""

    since: datetime
    until: datetime
    advisory: tuple[str, ...]
    studies: tuple[StudyReplayed, ...]

    @property
    def deliveries(self) -> dict[tuple[str, DeliveryKind], int]:
        """How many of which kind each destination would have got."""
        found: dict[tuple[str, DeliveryKind], int] = {}
        for study in self.studies:
            for one in study.deliveries:
                found[one.destination, one.kind] = found.get((one.destination, one.kind), 0) + 1
        return found

    @property
    def cards(self) -> int:
        """How many cards would have been shown."""
        return sum(len(study.cards) for study in self.studies)

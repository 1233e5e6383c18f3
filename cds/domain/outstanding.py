"""What is not arranged yet for a patient who leaves: follow-ups, critical results, studies without a result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from cds.domain.critical import CriticalResult
from cds.domain.follow_up import FollowUp


@dataclass(frozen=True, slots=True)
class PendingStudy:
    """A study or an imaging order without a result yet; `why` in words: it waits for images, is in work, is held."""

    why: str
    study_date: date | None = None
    modality: str = ""
    title: str = ""
    study_instance_uid: str | None = None
    #: Who asked for it and is told of its result; empty where that is not known.
    told: str = ""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """All of it, for one patient. `follow_ups` are all that hold: those that are answered are not told as open."""

    follow_ups: tuple[FollowUp, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    pending: tuple[PendingStudy, ...] = ()

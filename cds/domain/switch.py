"""Kill switches: a model, a pathway or a destination is off for everybody at once (SAFETY section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SwitchKind(StrEnum):
    """What can be switched off."""

    MODEL = "model"
    PATHWAY = "pathway"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Switch:
    """A model, pathway or destination that somebody switched off, when and why."""

    kind: SwitchKind
    name: str
    by: str
    at: datetime
    reason: str

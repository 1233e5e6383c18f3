"""What was sent, or waits to be, as people look at it. Nothing of a patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cds.domain.hold import Hold
from cds.domain.report import DeliveryKind, DeliveryState


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """One delivery. `id` is short enough to type, `delivery_id` is the whole; `answer` is the last that was heard.

    `control_id` is MSH-10, empty for what is no HL7 v2 message; `size` is in bytes; `updated_at` is the last change.
    """

    id: str
    delivery_id: str
    created_at: datetime
    updated_at: datetime
    destination: str
    kind: DeliveryKind
    control_id: str
    state: DeliveryState
    attempts: int
    answer: str
    size: int
    study_instance_uid: str | None = None
    #: The critical result or the alarm that it tells of.
    subject: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryStory:
    """A delivery with all that is known of it.

    `ahead` is how many others its destination gets first, `again` the short id of the delivery that sends it again.
    """

    entry: DeliveryEntry
    sha256: str
    hold: Hold | None = None
    ahead: int = 0
    switched_off: bool = False
    again: str = ""

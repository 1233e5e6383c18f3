"""Something happened to an exam or a study elsewhere: the one shape in which every edge says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cds.domain.identity import Identifier


class StudyEventKind(StrEnum):
    """What happened. The values are stable: they stand in tables and on the timeline."""

    IMAGES_AVAILABLE = "images-available"
    SCHEDULED = "scheduled"
    RESCHEDULED = "rescheduled"
    APPOINTMENT_CANCELLED = "appointment-cancelled"
    NO_SHOW = "no-show"


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """What a wire says of an exam. The same event twice is one.

    At least one of `study_instance_uid`, `accession`, `placer_order_number` and `filler_order_number` is given. An
    appointment that is cancelled cancels no order. `source` names wire and sender ("HL7 RIS|HOSPITAL").
    """

    kind: StudyEventKind
    source: str
    occurred_at: datetime | None = None
    study_instance_uid: str | None = None
    accession: Identifier | None = None
    placer_order_number: Identifier | None = None
    filler_order_number: Identifier | None = None
    scheduled_at: datetime | None = None
    #: (Series Instance UID, instances) as an Instance Availability Notification states them.
    series: tuple[tuple[str, int], ...] = ()
    #: The DICOMweb base URL that the wire names (R4 ImagingStudy.endpoint): a configured PACS of this URL is asked
    #: first; any other is never asked.
    endpoint: str = ""
    #: What else of its content was stated, where `series` cannot say it: with another one it is another event.
    content: str = ""

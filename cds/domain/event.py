"""Something happened to a study: the one shape that every edge hands to the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class StudyEvent:
    """A study is complete, as far as `source` knows. The same event twice is one run."""

    source: Literal["dicom", "stow", "fhir", "hl7", "manual"]
    study_instance_uid: str
    occurred_at: datetime
    complete: bool
    reason: str

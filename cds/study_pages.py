"""The study page: who may see it after a launch from the EHR (SMART App Launch 2.2), and what stands on it."""

from __future__ import annotations

from dataclasses import dataclass

from cds.domain.recommendation import PathwayOutcome
from cds.domain.report import Report


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whom an EHR vouched for, and the one patient whose studies they may see.

    `user` is as CDS Hooks names them (Practitioner/123) where the EHR tells; `patient_id` is our random id.
    """

    user: str
    patient_id: str


@dataclass(frozen=True, slots=True)
class StudyPage:
    """What may be shown of one study now, and what the guidelines say to it with the record of now."""

    report: Report
    said: tuple[PathwayOutcome, ...]
    visitor: Visitor

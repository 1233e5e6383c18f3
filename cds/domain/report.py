"""A report on one study: what the models said, what it means with this patient, and who may see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from cds.domain.ehr import EhrData
from cds.domain.finding import ModelOutcome
from cds.domain.follow_up import Acceptance
from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.matching import Match
from cds.domain.order import ServiceRequest
from cds.domain.recommendation import PathwayOutcome
from cds.domain.revision import Work
from cds.domain.verification import Comparison, FinalReport, Verification


class Mode(StrEnum):
    """SAFETY section 4: what a model or pathway may do at a site. New ones start in shadow."""

    OFF = "off"
    SHADOW = "shadow"
    ADVISORY = "advisory"


class Audience(StrEnum):
    """Who sees a result: the release matrix decides (SAFETY section 4)."""

    RADIOLOGIST = "radiologist"
    EHR = "ehr"
    REFERRAL = "referral"


class Gate(StrEnum):
    """What an audience waits for.

    VERIFIED: a radiologist's confirmation, or a final report that does not contradict. CONFIRMED: the former alone.
    """

    IMMEDIATE = "immediate"
    VERIFIED = "verified"
    CONFIRMED = "confirmed"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Release:
    """The decision for one report: who may see which finding now, and why the others may not yet.

    `findings` maps "<model>.<finding key>" to its audiences; a model that refused the study is "<model>." there.
    `audiences` are those who may see at least something.
    """

    audiences: frozenset[Audience]
    withheld: tuple[str, ...] = ()
    findings: dict[str, frozenset[Audience]] = field(default_factory=dict)

    def allows(self, audience: Audience) -> bool:
        """True where this audience may see something of the report now."""
        return audience in self.audiences

    def shows(self, finding: str, audience: Audience) -> bool:
        """True where this audience may see this finding now."""
        return audience in self.findings.get(finding, frozenset())


@dataclass(frozen=True, slots=True)
class Decision:
    """What step 5 found: the pathways' outcomes over one snapshot of the record, and how a final report compares."""

    outcomes: tuple[PathwayOutcome, ...]
    release: Release
    decided_on: date
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a sink needs to say about one study in one version. `version` counts from 1 per study.

    `episode` counts the patients under whom the study was reported: another patient gets resources and numbers of their
    own, and those of the patient before are retracted. `test` reports come from test messages.
    """

    work: Work
    version: int
    study: Study
    match: Match
    patient: Patient | None
    order: ServiceRequest | None
    outcomes: tuple[ModelOutcome, ...]
    ehr: EhrData | None
    decision: Decision
    issued: datetime
    replaces: int | None = None
    episode: int = 1
    verifications: tuple[Verification, ...] = ()
    final_report: FinalReport | None = None
    test: bool = False
    #: What people did with its recommendations, the newest answer to each.
    acceptances: tuple[Acceptance, ...] = ()
    #: `<model>.<key>` of its findings that are critical here (ACR category 1 to 3).
    critical: tuple[str, ...] = ()
    #: Models in second-reader mode beside which a radiologist's own reading of these images is recorded.
    read: tuple[str, ...] = ()


class DeliveryKind(StrEnum):
    """What is sent: a report, the retraction of one, a critical result, an alert to the people who run the site.

    ACKNOWLEDGMENT: the application acknowledgment of an HL7 v2 message, to its sender (enhanced mode).
    PRIORITY: a study is raised in a worklist, or the raise ends. REMINDER: a follow-up is due soon, or overdue.
    """

    REPORT = "report"
    RETRACTION = "retraction"
    CRITICAL = "critical"
    ALERT = "alert"
    ACKNOWLEDGMENT = "acknowledgment"
    PRIORITY = "priority"
    REMINDER = "reminder"


class DeliveryState(StrEnum):
    """A delivery waits until it is sent; it is held where the peer refused it for good.

    SUPERSEDED: a newer version came first. WITHHELD: the release does not let it go any more.
    """

    PENDING = "pending"
    SENT = "sent"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing to send to one destination: the same bytes on every attempt. `sequence` orders a destination.

    `subject` is the id of the critical result or alarm that it tells of; empty for reports and retractions.
    """

    id: str
    destination: str
    work_id: str
    sequence: int
    payload: bytes
    kind: DeliveryKind = DeliveryKind.REPORT
    study_instance_uid: str | None = None
    subject: str = ""
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    acknowledgment: str = ""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One step of a study's life, as `cds why` tells it. `detail` holds reasons and small values, no PHI."""

    at: datetime
    step: str
    outcome: str
    study_instance_uid: str | None = None
    order_id: str | None = None
    work_id: str | None = None
    patient_id: str | None = None
    detail: tuple[str, ...] = ()

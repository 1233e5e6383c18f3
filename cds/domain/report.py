"""A report on one study: what the models said, what it means with this patient, and who may see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from cds.domain.ehr import EhrData
from cds.domain.finding import ModelOutcome
from cds.domain.identity import Patient
from cds.domain.imaging import Study
from cds.domain.matching import Match
from cds.domain.order import ServiceRequest
from cds.domain.recommendation import PathwayOutcome
from cds.domain.revision import Work


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
    """What an audience waits for."""

    IMMEDIATE = "immediate"
    VERIFIED = "verified"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Release:
    """The decision for one report: who may see it now, and why the others may not yet."""

    audiences: frozenset[Audience]
    withheld: tuple[str, ...] = ()

    def allows(self, audience: Audience) -> bool:
        """True where this audience may see the report now."""
        return audience in self.audiences


@dataclass(frozen=True, slots=True)
class Decision:
    """What step 5 found: the pathways' outcomes over one snapshot of the record."""

    outcomes: tuple[PathwayOutcome, ...]
    release: Release
    decided_on: date


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a sink needs to say about one study in one version. `version` counts from 1 per study."""

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
    """One thing to send to one destination: the same bytes on every attempt. `sequence` orders a destination."""

    id: str
    destination: str
    work_id: str
    sequence: int
    payload: bytes
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
    detail: tuple[str, ...] = ()

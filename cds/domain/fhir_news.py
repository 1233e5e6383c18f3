"""News from another FHIR server as values: a version of a resource of theirs, and what it says that concerns us."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cds.domain.event import StudyEvent
from cds.domain.identity import Identifier, Patient
from cds.domain.order import OrderChange
from cds.domain.subscription import SubscriptionKind, SubscriptionState
from cds.domain.verification import FinalReport


@dataclass(frozen=True, slots=True)
class Found:
    """One version of a resource as another server gave it. `version` is its meta.versionId, or stands for it.

    `last_updated` is its meta.lastUpdated, by that server's clock; `body` the resource as JSON.
    """

    type: str
    id: str
    version: str
    last_updated: datetime | None
    body: bytes

    @property
    def reference(self) -> str:
        """ "Type/id/_history/version"."""
        return f"{self.type}/{self.id}/_history/{self.version}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what changed at another server. `cut`: it has more, and does not say where."""

    found: tuple[Found, ...] = ()
    cut: bool = False


class Reason(StrEnum):
    """Why a resource of another server concerns nobody here. The values are stable: they are counted."""

    #: R4 imagingstudy-status registered or unknown: the images are not there.
    NOT_YET = "not-yet"
    #: Of a modality that no installed model reads.
    NOT_CONSUMED = "not-consumed"
    #: Sightline made it, or another AI: no radiologist signed it.
    MADE_BY_AI = "made-by-ai"
    #: A report that is not signed yet.
    NOT_SIGNED = "not-signed"
    #: A report of a laboratory or another diagnostic service, or nothing says that it is radiology's.
    ANOTHER_SERVICE = "another-service"


@dataclass(frozen=True, slots=True)
class Ordered:
    """The orders that an ImagingStudy is based on, as its server states them: all of one `patient`.

    `left_out` says why others are none here; `doubt` why a person has to look before any of them is applied.
    """

    patient: Patient | None = None
    orders: tuple[OrderChange, ...] = ()
    left_out: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class ImagesThere:
    """An ImagingStudy whose images can be fetched; `patient` where the server said whose they are."""

    event: StudyEvent
    patient: Patient | None = None
    ordered: Ordered = Ordered()


@dataclass(frozen=True, slots=True)
class ImagesGone:
    """An ImagingStudy that was cancelled or entered in error (`status`). Nothing runs because of it."""

    study_instance_uid: str
    status: str
    source: str


@dataclass(frozen=True, slots=True)
class Reported:
    """A radiologist's report with all identifiers of its patient."""

    report: FinalReport
    whose: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """A resource that concerns nobody here."""

    reason: Reason


News = ImagesThere | ImagesGone | Reported | Nothing


class Outcome(StrEnum):
    """What became of a version of a resource, apart from the `Reason`s. The values are stable: they are counted."""

    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    FILED = "filed"
    #: It says nothing that was not known.
    KNOWN = "known"
    #: This version, or a newer one, was taken before.
    TAKEN_BEFORE = "taken-before"
    #: The server has it no more.
    GONE = "gone"
    #: Nobody here knows the patient of a report, and nobody came to know her in time.
    UNKNOWN_PATIENT = "unknown-patient"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Wish:
    """A Subscription as we want it at a server. `endpoint` is where it notifies us, `secret` what it then shows."""

    resource_type: str
    kind: SubscriptionKind
    endpoint: str
    secret: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Remote:
    """A Subscription as its server has it. `fits` is False where it is not what we want any more."""

    id: str
    state: SubscriptionState
    ends_at: datetime | None = None
    error: str = ""
    fits: bool = True


@dataclass(frozen=True, slots=True)
class Feed:
    """How far a type of resource of a server was read: all that changed until `read_up_to`, by that server's clock."""

    server: str
    resource_type: str
    read_up_to: datetime | None = None
    looked_at: datetime | None = None
    answered_at: datetime | None = None
    failures: int = 0
    error: str = ""

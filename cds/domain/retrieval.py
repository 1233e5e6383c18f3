"""What a PACS holds, as it says itself, and the retrieval of what is wanted of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from cds.domain.identity import Identifier
from cds.domain.order import ServiceRequest

#: How the reason begins where every PACS answered and none has the study: completeness goes on without them.
NOT_KNOWN = "no PACS knows this study"


class Purpose(StrEnum):
    """Why a study is fetched: for itself, or because the study of another day is compared with it."""

    STUDY = "study"
    PRIOR = "prior"


class RetrievalState(StrEnum):
    """A retrieval waits for the engine, is under way, is done (counts agreed), or ended in words for a person."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RemoteStudy:
    """A study as a PACS states it (PS3.4 C.6.2.1.2, PS3.18 table 10.6.3-3); what it leaves out is empty or None."""

    study_instance_uid: str
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    accession_number: str = ""
    study_date: date | None = None
    study_time: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()
    series: int | None = None
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteSeries:
    """A series as a PACS states it; `instances` is Number of Series Related Instances, None where it does not say."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str = ""
    body_part: str = ""
    description: str = ""
    number: int | None = None
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteInstance:
    """An instance as a PACS states it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """What studies are asked for; empty parts match everything, at least one must be given.

    `before` is exclusive: studies of earlier days. `modality` is any of Modalities in Study.
    """

    study_instance_uid: str = ""
    accession_number: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    modality: str = ""
    before: date | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one attempt to fetch a series brought: counts of instances by what became of them.

    `arrived` were stored or already known, `failed` the peer or we could not take; `reasons` says why, without values.
    """

    arrived: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatedSeries:
    """What a PACS said of a series, and when; `agreed` where it said the same count twice, an interval apart.

    `wanted` where an installed model, or its prior, needs it; `reason` says why not.
    """

    series: RemoteSeries
    source: str
    asked_at: datetime
    agreed: bool = False
    wanted: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One study to be fetched, known by its UID, or by its accession number where no wire has named the UID.

    `run` counts the times that it was wanted; a new announcement is a new run. `source` is the PACS that has it, ""
    until one said so. `announced` names the wire that said the images are there; empty where Sightline looks by itself.
    """

    study_instance_uid: str = ""
    accession: Identifier | None = None
    purpose: Purpose = Purpose.STUDY
    run: int = 1
    source: str = ""
    state: RetrievalState = RetrievalState.PENDING
    announced: str = ""
    reason: str = ""
    priority: int = 0

    @property
    def key(self) -> str:
        """What it is known by: the same study is fetched once at a time.

        A retrieval that began with an accession number keeps it as its name when its UID is found.
        """
        if self.accession is None:
            return self.study_instance_uid
        return f"accession:{self.accession.value}|{self.accession.assigner}"

    @property
    def id(self) -> str:
        """The durable name of this run; no UID or number in it: those are a peer's text."""
        return f"retrieval-{hashlib.sha256(self.key.encode()).hexdigest()[:24]}-{self.run}"


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose a study must be that a PACS has: a patient with one of these identifiers, under this accession number.

    Empty parts are not known. `orders` are those of production that may be its orders: the date has to fit one of them
    (`cds.domain.matching.dates_fit`). `endpoints` are the DICOMweb base URLs that wires named for it.
    """

    patients: tuple[Identifier, ...] = ()
    accession: Identifier | None = None
    orders: tuple[ServiceRequest, ...] = ()
    endpoints: frozenset[str] = frozenset()

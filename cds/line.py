"""What the pipeline is given: the stores behind Protocols, and everything else that its steps use.

Wider than `cds.ports`, which are the seams to the outside: these are the pipeline's own tables. `bootstrap` fills them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cds.domain.critical import Criticals, Tell
from cds.domain.finding import ModelOutcome
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier, Patient
from cds.domain.imaging import ModelInput, SeriesSummary, Study
from cds.domain.model import FindingModel
from cds.domain.order import ServiceRequest
from cds.domain.prior import PriorStudy
from cds.domain.priority import Priorities, Raiser
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Delivery, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.revision import Work
from cds.ports import (
    ArtifactStore,
    AuditLog,
    Channel,
    Clock,
    ImageSource,
    Opinions,
    PatientRecord,
    ReportSink,
    Switches,
)
from cds.settings import Settings
from cds.value_sets import ValueSet


class Studies(Protocol):
    """What the pipeline asks of the image index."""

    def study(self, uid: str) -> Study:
        """One study."""
        ...

    def series(self, uid: str, image_revision: int) -> Sequence[SeriesSummary]:
        """Its series in an image revision."""
        ...


class Orders(PatientRecord, Protocol):
    """What the pipeline asks of the record."""

    def order(self, order_id: str) -> ServiceRequest:
        """One order."""
        ...

    def patient_by_id(self, patient_id: str) -> Patient:
        """One patient."""
        ...

    def order_with_patient(self, order_id: str) -> tuple[ServiceRequest, Patient]:
        """One order and the patient who owns it now."""
        ...

    def orders_of_patient(self, patient: Identifier) -> tuple[tuple[ServiceRequest, Patient], ...]:
        """The orders of a patient that no study has."""
        ...

    def order_candidates(self, accession_number: str) -> tuple[tuple[ServiceRequest, Patient], ...]:
        """Orders that share an accession number."""
        ...


class Priors(Protocol):
    """The earlier studies of a study's patient."""

    def of_study(self, study_uid: str) -> Sequence[PriorStudy]:
        """Those of which images are here, newest first, with what models said of them."""
        ...


class Works(Protocol):
    """Where steps keep what they found."""

    def work(self, work_id: str) -> Work:
        """One work."""
        ...

    def mark(self, work_id: str, state: str, now: datetime) -> None:
        """Move a work to another state."""
        ...

    def save_step(
        self,
        work: Work,
        step: str,
        kind: Any,
        value: object,
        now: datetime,
        *,
        outcome: str,
        detail: tuple[str, ...] = (),
    ) -> None:
        """Keep what a step found."""
        ...

    def step(self, work_id: str, step: str, kind: Any) -> Any:
        """What a step found."""
        ...

    def save_outcome(self, work: Work, outcome: ModelOutcome, now: datetime) -> None:
        """Keep a model's answer."""
        ...

    def outcomes(self, work: Work) -> tuple[ModelOutcome, ...]:
        """All models' answers on the work's images."""
        ...

    def resolve(self, work: Work, kind: HoldKind, now: datetime) -> None:
        """The doubt is gone."""
        ...

    def is_current(self, work: Work) -> bool:
        """False where the study has later revisions than the work."""
        ...

    def again(self, work: Work, reason: str, now: datetime) -> None:
        """Match revision +1: the work's study is decided again."""
        ...

    def hold(self, work: Work, kind: HoldKind, reason: str, now: datetime) -> None:
        """Hold for a person."""
        ...


class Committed(Protocol):
    """What committing a report left."""

    @property
    def version(self) -> int:
        """The report's version."""
        ...

    @property
    def deliveries(self) -> tuple[str, ...]:
        """The deliveries that wait."""
        ...

    @property
    def superseded(self) -> bool:
        """True where a later revision was reported first."""
        ...

    @property
    def changed_hands(self) -> bool:
        """True where what was told of one patient does not hold any more."""
        ...

    @property
    def retracted(self) -> int:
        """How many destinations are told that what they have does not hold."""
        ...


class Reports(Protocol):
    """Where reports are committed."""

    def commit(
        self,
        report: Report,
        encode: Encode,
        now: datetime,
    ) -> Committed:
        """All or nothing, once per work."""
        ...

    def latest_of_study(self, study_uid: str) -> Report | None:
        """The newest report of a study."""
        ...

    def of_work(self, work_id: str) -> Report:
        """The report of a work."""
        ...


class Deliveries(Protocol):
    """Where deliveries wait."""

    def delivery(self, delivery_id: str) -> Delivery:
        """One delivery."""
        ...

    def begin(self, delivery_id: str, now: datetime) -> bool:
        """Count an attempt before it is made; False where it is not to be sent any more."""
        ...

    def sent(self, delivery_id: str, acknowledgment: str, now: datetime) -> None:
        """It arrived."""
        ...

    def refused(self, delivery_id: str, acknowledgment: str, now: datetime) -> None:
        """It was refused for good."""
        ...

    def withheld(self, delivery_id: str, reason: str, now: datetime) -> None:
        """It may not go any more."""
        ...

    def attempted(self, delivery_id: str, reason: str, now: datetime) -> int:
        """It failed for now."""
        ...


def nothing_missed(work: Work, sources: Sequence[str], now: datetime) -> None:
    """Where no EHR is asked, and where nothing may be kept."""


def nothing_seen(work: Work, model: str, version: str, given: ModelInput) -> None:
    """Where nobody watches what models are given."""


@dataclass(frozen=True, slots=True)
class Line:
    """Everything that the steps need."""

    settings: Settings
    clock: Clock
    studies: Studies
    record: Orders
    works: Works
    priors: Priors
    reports: Reports
    deliveries: Deliveries
    models: Mapping[str, FindingModel]
    images: ImageSource
    artifacts: ArtifactStore
    sinks: Mapping[str, ReportSink]
    channels: Mapping[str, Channel]
    switches: Switches
    opinions: Opinions
    criticals: Criticals
    #: What worklists were told of a study's priority, and how each is told.
    priorities: Priorities
    raisers: Mapping[str, Raiser]
    #: How each route says a critical result, by the route's name.
    tell: Mapping[str, Tell]
    audit: AuditLog
    #: Tells the people who run the site, once per key: (key, text without PHI).
    alarm: Callable[[str, str], None]
    #: The installed pathways, and what those of them that may speak say to a case.
    pathways: Sequence[str]
    evaluate: Callable[[Case, Sequence[str]], tuple[PathwayOutcome, ...]]
    resources: Callable[[Report], Sequence[NewResource]]
    withdraw: Callable[[Mapping[str, object], str | None], NewResource]
    #: The questions to the record by name; None: those of `cds.codes`.
    value_sets: Mapping[str, ValueSet] | None = None
    #: The record together with what EHRs say of a patient now; None where no EHR is asked.
    ehr: PatientRecord | None = None
    #: Keeps which EHRs were away when a work's patient was looked up: (work, their names, now).
    missed: Callable[[Work, Sequence[str], datetime], None] = nothing_missed
    #: Keeps small numbers of what a model is given to look at: (work, model, version, input).
    seen: Callable[[Work, str, str, ModelInput], None] = nothing_seen

"""A FHIR resource as emitted: immutable JSON with a few index columns (DESIGN section 3, rule 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cds.domain.imaging import OwnInstance
from cds.domain.report import Report
from cds.domain.search import IndexEntry

#: What may say by its status that it does not hold any more (R4 diagnostic-report-, observation-status): the others
#: have no entered-in-error.
WITHDRAWABLE = ("DiagnosticReport", "Observation", "RiskAssessment", "ServiceRequest", "Task", "Flag")


@dataclass(frozen=True, slots=True)
class PresentedForm:
    """A report as a document (R4 DiagnosticReport.presentedForm)."""

    content_type: str
    title: str
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredResource:
    """One version of one resource; `body` is its JSON as sent, meta.versionId and meta.lastUpdated included."""

    type: str
    id: str
    version: int
    last_updated: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class NewResource:
    """A resource to be committed with a report. `patient_id`, `identifiers` and `made_by` are its index columns.

    `made_by` names the models and pathways that it rests on ("model:x", "pathway:y"), so that a kill switch finds it.

    `body` is the resource without meta.versionId and meta.lastUpdated, which the store writes.
    """

    type: str
    id: str
    body: dict[str, object]
    patient_id: str | None
    identifiers: tuple[tuple[str, str], ...] = ()
    made_by: tuple[str, ...] = ()
    #: What it can be searched by, and by which edition of the search parameters.
    index: tuple[IndexEntry, ...] = ()
    edition: int = 0


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """One page: the matches, what `_include` brought along, and the cursor of the next page, None at the end.

    `total` is the number of all matches where it was asked for or is known anyway.
    """

    resources: tuple[StoredResource, ...]
    total: int | None
    next: str | None
    included: tuple[StoredResource, ...] = ()


@dataclass(frozen=True, slots=True)
class Encode:
    """What a report becomes once its version is known: resources, deliveries (id, destination, payload).

    `deliveries` is told which version each destination has, so that what a new one leaves out is taken back there; it
    says in words why a payload cannot be made, in its place.

    `withdraw` makes the entered-in-error version of a stored body, for a patient id. `retract` makes what takes an
    earlier report back at one destination that has it: (that report, destination, reason) → (id, payload), None where
    the destination is not configured any more. `made` lists the DICOM instances in a destination's payload.
    """

    resources: Callable[[Report], Sequence[NewResource]]
    deliveries: Callable[[Report, Mapping[str, Report]], Sequence[tuple[str, str, bytes | str]]]
    withdraw: Callable[[Mapping[str, object], str | None], NewResource]
    retract: Callable[[Report, str, str], tuple[str, bytes] | None]
    made: Callable[[str, bytes], Sequence[OwnInstance]]

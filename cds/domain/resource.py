"""A FHIR resource as emitted: immutable JSON with a few index columns (DESIGN section 3, rule 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cds.domain.report import Report

#: What may say by its status that it does not hold any more (R4 diagnostic-report-, observation-status): the others
#: have no entered-in-error.
WITHDRAWABLE = ("DiagnosticReport", "Observation", "RiskAssessment")


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
    """A resource to be committed with a report. `patient_id` and `identifiers` are its index columns.

    `body` is the resource without meta.versionId and meta.lastUpdated, which the store writes.
    """

    type: str
    id: str
    body: dict[str, object]
    patient_id: str | None
    identifiers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceQuery:
    """FHIR search, the parameters that are supported. `last_updated` pairs a prefix (eq lt gt ge le) with a moment.

    `identifier` is (system or None, value); `after` is the cursor of the page before.
    """

    type: str
    patient_id: str | None = None
    identifier: tuple[str | None, str] | None = None
    last_updated: tuple[tuple[str, datetime], ...] = ()
    count: int = 50
    after: str | None = None


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """One page of a search, the number of all matches, and the cursor of the next page, None at the end."""

    resources: tuple[StoredResource, ...]
    total: int
    next: str | None


@dataclass(frozen=True, slots=True)
class Encode:
    """What a report becomes once its version is known: resources, deliveries (id, destination, payload).

    `withdraw` makes the entered-in-error version of a stored body, for a patient id.
    """

    resources: Callable[[Report], Sequence[NewResource]]
    deliveries: Callable[[Report], Sequence[tuple[str, str, bytes]]]
    withdraw: Callable[[Mapping[str, object], str | None], NewResource]

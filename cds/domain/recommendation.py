"""What a guideline says to do about findings in this patient, and what a published score says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.finding import ModelOutcome
from cds.domain.order import Priority


class Indicator(StrEnum):
    """CDS Hooks card indicator."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule comes from: a short label and an absolute URL (usually a DOI)."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class InputUsed:
    """One value that a decision rests on, as the reader sees it: name, value in words, date, source."""

    name: str
    value: str
    effective: date | None
    source: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One next step: what, how soon, why, on whose authority. A draft that a person accepts.

    `code` becomes ServiceRequest.code; `not_before` and `by` its occurrence period.
    """

    key: str
    action: str
    code: Coding
    reason: str
    source: Source
    priority: Priority = Priority.ROUTINE
    not_before: date | None = None
    by: date | None = None
    recommended: bool = False


@dataclass(frozen=True, slots=True)
class RiskResult:
    """What one published score or rule said. `value` is None where it could not be evaluated; `missing` says why.

    `probability` (0 to 1) only where the score predicts one, over `horizon_years`.
    """

    score: str
    title: str
    source: Source
    outcome: str
    value: str | None
    probability: float | None = None
    horizon_years: float | None = None
    inputs: tuple[InputUsed, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """A pathway that has something to say."""

    pathway: str
    title: str
    summary: str
    detail: str
    indicator: Indicator
    source: Source
    recommendations: tuple[Recommendation, ...]
    inputs: tuple[InputUsed, ...]
    finding_keys: tuple[str, ...]
    missing: tuple[str, ...] = ()
    risks: tuple[RiskResult, ...] = ()
    kind: Literal["advice"] = "advice"


@dataclass(frozen=True, slots=True)
class NothingToSay:
    """The pathway was evaluated and does not apply; the reason is shown by `cds why`, not on a card."""

    pathway: str
    reason: str
    kind: Literal["nothing"] = "nothing"


@dataclass(frozen=True, slots=True)
class CouldNotTell:
    """The pathway could not be evaluated: what is missing, and how to get it. `failed` where it broke on the way."""

    pathway: str
    title: str
    reason: str
    missing: tuple[str, ...] = ()
    how_to_get: tuple[str, ...] = ()
    failed: bool = False
    kind: Literal["could-not-tell"] = "could-not-tell"


PathwayOutcome = Advice | NothingToSay | CouldNotTell


@dataclass(frozen=True, slots=True)
class Case:
    """What a pathway is given: pure values, so that it can be evaluated in a hook as in the pipeline.

    `site` carries the options that a site must set, as text keyed "<pathway>.<option>"; a missing key means unset.
    """

    study_date: date
    study_instance_uid: str
    modality: str
    outcomes: tuple[ModelOutcome, ...]
    ehr: EhrData
    today: date
    site: dict[str, str] = field(default_factory=dict)

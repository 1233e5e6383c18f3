"""What a guideline says to do about findings in this patient, and what a published score says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from cds.domain.coding import Coding
from cds.domain.ehr import EhrData
from cds.domain.finding import ModelOutcome
from cds.domain.imaging_order import ImagingOrder
from cds.domain.order import Priority
from cds.domain.value import value_type


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


@value_type(frozen=True, slots=True)
class InputUsed:
    """One value that a decision rests on, as the reader sees it: name, value in words, date, source."""

    name: str
    value: str
    effective: date | None
    source: str


@value_type(frozen=True, slots=True)
class Step:
    """One rule of a pathway as it was applied to a case. `held` is None where it could not be told.

    `rule` is the rule's key in its pathway; `said` are the values that it was applied to, in words.
    """

    rule: str
    held: bool | None
    said: str = ""


@value_type(frozen=True, slots=True)
class Recommendation:
    """One next step: what, how soon, why, on whose authority. A draft that a person accepts.

    `code` becomes ServiceRequest.code; `not_before` and `by` its occurrence period; `performer` its performerType.
    `because` are short sentences, each with its value, date and source; `would_change` says what would make it another.
    `strength` is the grade that the source gives, "" where it gives none; `acr_category` is 1, 2 or 3 for a result that
    has to be told (ACR Actionable Reporting Work Group). `also` are the titles of other pathways that ask the same.
    `orderable` is the code of the site's own catalogue; `instead` takes the place of the order that it is about.
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
    because: tuple[str, ...] = ()
    would_change: tuple[str, ...] = ()
    strength: str = ""
    performer: Coding | None = None
    acr_category: int | None = None
    also: tuple[str, ...] = ()
    orderable: Coding | None = None
    instead: bool = False


@value_type(frozen=True, slots=True)
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


@value_type(frozen=True, slots=True)
class Advice:
    """A pathway that has something to say, as plain text: whoever shows it marks it up.

    `seen` tells the finding, `meaning` what it means in this patient, `notes` what is not suggested and why, `limits`
    what the reader must not conclude; `further` are sources beside `source`. `steps` are the rules as applied.
    `raises` are the findings that changed since the prior so much that every step that rests on them is raised, as
    "<model>.<key>" (before, as keys alone); `rests_on` are those of `finding_keys` likewise, where keys do not tell.
    `contradictions` are sentences on what another pathway says against it. `language` is that of all its text.
    `searched` are the parts of its reasons that say where something was searched for in vain: they differ with the
    sources of data while the advice is the same.
    """

    pathway: str
    title: str
    summary: str
    indicator: Indicator
    source: Source
    recommendations: tuple[Recommendation, ...]
    inputs: tuple[InputUsed, ...]
    finding_keys: tuple[str, ...]
    missing: tuple[str, ...] = ()
    risks: tuple[RiskResult, ...] = ()
    seen: tuple[str, ...] = ()
    meaning: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    further: tuple[Source, ...] = ()
    steps: tuple[Step, ...] = ()
    raises: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    language: str = "en"
    searched: tuple[str, ...] = ()
    kind: Literal["advice"] = "advice"


@value_type(frozen=True, slots=True)
class NothingToSay:
    """The pathway was evaluated and does not apply; the reason is shown by `cds why`, not on a card."""

    pathway: str
    reason: str
    steps: tuple[Step, ...] = ()
    kind: Literal["nothing"] = "nothing"


@value_type(frozen=True, slots=True)
class CouldNotTell:
    """The pathway could not be evaluated: what is missing, and how to get it. `failed` where it broke on the way."""

    pathway: str
    title: str
    reason: str
    missing: tuple[str, ...] = ()
    how_to_get: tuple[str, ...] = ()
    failed: bool = False
    steps: tuple[Step, ...] = ()
    kind: Literal["could-not-tell"] = "could-not-tell"


PathwayOutcome = Advice | NothingToSay | CouldNotTell


@dataclass(frozen=True, slots=True)
class Case:
    """What a pathway is given: pure values, so that it can be evaluated in a hook as in the pipeline.

    `site` carries the options that a site sets, as text keyed "<pathway>.<option>"; a missing key means unset.
    `procedures` are the codes of the exam that the order and the images carry; `language` is that of the text (BCP 47).
    `order` is the draft that is about to be signed, where one is judged (`cds.ordering`): then there are no images yet.
    """

    study_date: date
    study_instance_uid: str
    modality: str
    outcomes: tuple[ModelOutcome, ...]
    ehr: EhrData
    today: date
    site: dict[str, str] = field(default_factory=dict)
    procedures: tuple[Coding, ...] = ()
    language: str = "en"
    order: ImagingOrder | None = None

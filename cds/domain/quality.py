"""How the models, pathways and times of a site did over a window: the values that the quality page tells.

Nothing here names a patient or a study. None is "not known", and never nought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Presence
from cds.domain.verification import Agreement, Verdict


@dataclass(frozen=True, slots=True)
class InputNumbers:
    """What a model was given to look at, as small numbers by name, and the make and model of the scanner."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    scanner: str = ""


@dataclass(frozen=True, slots=True)
class KindRead:
    """One kind of finding in one study: what the model said, what is known of the truth, and how sure it was.

    `ours` is None for a measurement without a threshold, `truth` where nobody who counts has said anything; `by` is who
    did ("radiologist" by a verification, "report" by the signed report).
    """

    kind: str
    title: str
    ours: bool | None
    truth: bool | None = None
    by: str = ""
    score: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one version of a model came to in one study; `gate` is why it did not evaluate it."""

    at: datetime
    evaluated: bool
    gate: str = ""
    kinds: tuple[KindRead, ...] = ()
    sex: str = ""
    age_years: int | None = None
    site: str = ""
    seen: InputNumbers = field(default_factory=InputNumbers)

    @property
    def positive(self) -> bool | None:
        """Whether it found anything; None where it did not evaluate, or only measures."""
        said = [kind.ours for kind in self.kinds if kind.ours is not None]
        return any(said) if said else None


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of` (more than none) with the bounds of its 95 % interval."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share itself."""
        return self.count / self.of


@dataclass(frozen=True, slots=True)
class FindingFigures:
    """One kind of finding of one model. The shares are of studies; `unverified` positives have nobody's word."""

    kind: str
    title: str
    positive: Share | None
    unverified: int
    by_radiologist: int
    by_report: int
    ppv: Share | None
    sensitivity: Share | None
    specificity: Share | None


class About(StrEnum):
    """What a distribution is of. The values are stable: they stand in tables."""

    INPUT = "input"
    PATIENT = "patient"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Bin:
    """The share of studies in one bin of the reference window and of the current one."""

    label: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Where the middle and the ends of numbers lie."""

    p05: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Drift:
    """One distribution, then and now. `psi_noise` is what 99 % of samples of these sizes stay below without any drift.

    `reason` says why it was not compared; `ks` is the largest distance of both distributions, of numbers alone.
    """

    about: About
    name: str
    reference: int
    current: int
    psi: float | None = None
    psi_noise: float | None = None
    ks: float | None = None
    ks_p: float | None = None
    reference_spread: Spread | None = None
    current_spread: Spread | None = None
    bins: tuple[Bin, ...] = ()
    drifted: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """One group of patients or one place; `studies` is None where there are too few of them to be told apart."""

    dimension: str
    group: str
    kind: str
    studies: int | None
    positive: Share | None = None
    ppv: Share | None = None
    sensitivity: Share | None = None


@dataclass(frozen=True, slots=True)
class DayCount:
    """One day of a model: studies that it was asked about, evaluated, and found something in."""

    day: date
    read: int
    evaluated: int
    positive: int


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One version of a model over the window. The reference window is the same from night to night.

    `disputed` are cards on its findings that a clinician overrode as wrong: a hint, and no reference standard.
    """

    model: str
    version: str
    reference_from: date
    reference_to: date
    read: int
    evaluated: int
    not_evaluated: Mapping[str, int]
    positive: Share | None
    disputed: int
    findings: tuple[FindingFigures, ...] = ()
    drift: tuple[Drift, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    days: tuple[DayCount, ...] = ()


@dataclass(frozen=True, slots=True)
class PathwayFigures:
    """What became of the cards of one pathway; the shares are None where no card was ever answered."""

    pathway: str
    shown: int
    critical: int
    unanswered: int
    accepted: Share | None
    overridden: Share | None
    reasons: Mapping[str, int]
    suppressed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Turnaround:
    """How long something took in the window, in minutes; `open` are those that are not done yet."""

    what: str
    done: int
    open: int
    p50_minutes: float | None = None
    p90_minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Crossed:
    """A bound of the site that is crossed: a stable key, and what to tell people, without PHI."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class QualityDay:
    """Everything that one run computed for the window that ends with `day`. `method` is the version of the sums."""

    day: date
    window_from: date
    method: str
    smallest_cell: int
    models: tuple[ModelFigures, ...] = ()
    pathways: tuple[PathwayFigures, ...] = ()
    turnaround: tuple[Turnaround, ...] = ()
    crossed: tuple[Crossed, ...] = ()
    #: Bounds of the site that are about nothing that was read or shown: perhaps misspelt.
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityRun:
    """A run as it is kept."""

    id: int
    computed_at: datetime
    day: QualityDay


def is_there(finding: Finding, value: Quantity | None) -> bool | None:
    """Whether a finding is there; of a measurement, whether `value` reaches its threshold, where it has one."""
    if finding.presence in (Presence.PRESENT, Presence.NOT_DETECTED):
        return finding.presence is Presence.PRESENT
    threshold = finding.threshold
    if finding.presence is not Presence.MEASURED or value is None or threshold is None or value.unit != threshold.unit:
        return None
    return value.value >= threshold.value


def truth(
    finding: Finding, verdict: Verdict | None, corrected: Quantity | None, agreement: Agreement | None
) -> tuple[bool | None, str]:
    """Whether a finding is truly there, and who says so: a verification comes before the signed report.

    A correction of a finding that is there or not has no bearing on that; of a measurement the corrected value counts.
    """
    ours = is_there(finding, finding.value)
    if ours is None and verdict is not Verdict.CORRECTED:
        return None, ""
    if verdict is Verdict.CORRECTED:
        known = is_there(finding, corrected)
        return known, "radiologist" if known is not None else ""
    if verdict is not None:
        return ours is (verdict is Verdict.CONFIRMED), "radiologist"
    if agreement in (Agreement.AGREES, Agreement.DISCORDANT):
        return ours is (agreement is Agreement.AGREES), "report"
    return None, ""

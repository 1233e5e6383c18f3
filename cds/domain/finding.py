"""What a model saw, or why it could not say. These two are different values, everywhere (SAFETY section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from cds.domain.coding import Coding, Quantity
from cds.domain.imaging import HeatMapRef, MaskRef

#: The gate of a study that has nothing for a model: no finding, and nothing to tell anybody.
NO_SERIES = "series"
#: The gate of a model whose files are damaged or do not fit its manifest: somebody has to look at the installation.
UNUSABLE = "installation"


class Presence(StrEnum):
    """Whether a finding is there. NOT_EVALUATED is no negative: the reason stands beside it."""

    PRESENT = "present"
    NOT_DETECTED = "not-detected"
    MEASURED = "measured"
    NOT_EVALUATED = "not-evaluated"


@dataclass(frozen=True, slots=True)
class Change:
    """The same finding in the earlier study, and what became of it since.

    `absolute` and `per_year` in the finding's unit; `per_year` is None where less than a month lies between both.
    `beyond_error` says whether it is more than the measurement's own error, None where that error is not known;
    `doubling_days` where something grew by a quarter or more (volumes). `note` is what the reader must know of it.
    """

    prior_study_instance_uid: str
    prior_date: date
    days: int
    prior: Quantity
    absolute: float
    percent: float | None = None
    per_year: float | None = None
    beyond_error: bool | None = None
    error: str = ""
    doubling_days: float | None = None
    note: str = ""


def kind_of(key: str) -> str:
    """What kind of finding a key names: "iph_lesion-2" and "hippocampus-left" are one of several of their kind."""
    return key.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a model saw or measured in one series. `key` is its own within the model's answer, see `kind_of`.

    `code` says what, `value` how much, `threshold` at what operating point; `confidence` is 0 to 1 where there is one.
    `body_site` and `limits` are shown to the reader; `gates` are the checks that were passed, each as "gate: value".
    `laterality` is "left", "right" or "both", "" where it has none; `tracking_id` tells a lesion from others of its
    code and is the same in every run on the same images; `key_slices` are SOP Instances worth looking at, best first.
    `category` is a published class of the value, only where its conditions are met; `note` is the reader's caution.
    """

    key: str
    code: Coding
    presence: Presence
    value: Quantity | None = None
    threshold: Quantity | None = None
    confidence: float | None = None
    body_site: Coding | None = None
    series_instance_uid: str = ""
    key_sop_instance_uid: str = ""
    reason: str = ""
    gates: tuple[str, ...] = ()
    laterality: str = ""
    tracking_id: str = ""
    key_slices: tuple[str, ...] = ()
    category: Coding | None = None
    note: str = ""
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """A model's answer for one study."""

    model: str
    version: str
    series_instance_uid: str
    findings: tuple[Finding, ...]
    limits: tuple[str, ...] = ()
    masks: tuple[MaskRef, ...] = ()
    heat_maps: tuple[HeatMapRef, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    kind: Literal["findings"] = "findings"


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """A model's refusal: the gate that failed and the reason, per series where there were several."""

    model: str
    version: str
    reasons: tuple[str, ...]
    gate: str = ""
    series_instance_uid: str = ""
    kind: Literal["not-evaluated"] = "not-evaluated"


ModelOutcome = Findings | NotEvaluated

"""What a model saw, or why it could not say. These two are different values, everywhere (SAFETY section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from cds.domain.coding import Coding, Quantity
from cds.domain.imaging import MaskRef

#: The gate of a study that has nothing for a model: no finding, and nothing to tell anybody.
NO_SERIES = "series"


class Presence(StrEnum):
    """Whether a finding is there. NOT_EVALUATED is no negative: the reason stands beside it."""

    PRESENT = "present"
    NOT_DETECTED = "not-detected"
    MEASURED = "measured"
    NOT_EVALUATED = "not-evaluated"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a model saw or measured in one series.

    `code` says what, `value` how much, `threshold` at what operating point; `confidence` is 0 to 1 where there is one.
    `body_site` and `limits` are shown to the reader; `gates` are the checks that were passed, each as "gate: value".
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


@dataclass(frozen=True, slots=True)
class Findings:
    """A model's answer for one study."""

    model: str
    version: str
    series_instance_uid: str
    findings: tuple[Finding, ...]
    limits: tuple[str, ...] = ()
    masks: tuple[MaskRef, ...] = ()
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

"""What second reading comes to over a period: recall, detection, arbitration and agreement, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from cds.domain.quality import Share
from cds.domain.second_reading import Readings


@dataclass(frozen=True, slots=True)
class Screened:
    """One study as it was read by a person beside a model; `is_malignant` None where no result was recorded."""

    readings: Readings
    is_malignant: bool | None = None


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's kappa with its 95 % interval, doi:10.1177/001316446002000104."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ReadingFigures:
    """Of one group of studies. Each share says of how many; None where there was nothing to count.

    Recall and detection as in the ACR's basic audit (doi:10.2214/AJR.08.2051, table 1), with the site's own rule of
    what is a recall. `detected` are recorded malignancies that were recalled, of all that were read: it grows with the
    results that are recorded, and `results` says of how many studies there is one.
    """

    group: str
    studies: int
    own_recall: Share | None
    model_recall: Share | None
    recall: Share | None
    arbitration: Share | None
    agreement: Share | None
    kappa: Kappa | None
    detected: Share | None
    own_detected: Share | None
    model_detected: Share | None
    ppv: Share | None
    results: Share | None
    undecided: int = 0

"""The statistics of an evaluation. A score may tie with another; images of one patient are no independent witnesses.

Where a function answers an array of resamples, the first is the data as they are: see `Resamples`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Weights = NDArray[np.uint8]

RESAMPLES, SEED = 1000, 20170711
#: Resamples without a positive or a negative have no AUC; where there are more of them than this, no interval is told.
_MOST_EMPTY = 0.05
_BINS = 10
_CHUNK = 100
_NORMAL_95 = 1.959963984540054


class Interval(NamedTuple):
    """A figure with its 95 % interval, None where none can be told."""

    value: float
    low: float | None = None
    high: float | None = None


class Wins(NamedTuple):
    """Of each resample: pairs of a positive and a negative, and those that the scores order rightly (a tie is half)."""

    right: Values
    pairs: Values

    @property
    def auc(self) -> Values:
        """The area under the ROC curve; NaN where there is no pair."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.pairs > 0, self.right / self.pairs, np.nan)


@dataclass(frozen=True)
class Resamples:
    """How often each image is in each resample; row 0 has every image once, the others are drawn by patient."""

    weights: Weights

    @classmethod
    def draw(cls, patients: list[str], count: int = RESAMPLES, seed: int = SEED) -> Resamples:
        """As many patients as there are, with replacement; all images of a patient come and go together."""
        _, of = np.unique(np.array(patients), return_inverse=True)
        people = int(of.max()) + 1
        random = np.random.default_rng(seed)
        weights = np.ones((count + 1, len(patients)), dtype=np.uint8)
        for row in range(1, count + 1):
            drawn = np.bincount(random.integers(0, people, people), minlength=people)
            weights[row] = np.minimum(drawn, 255)[of]
        return cls(weights)

    def of(self, chosen: Flags) -> Resamples:
        """The same resamples of some of the images."""
        return Resamples(self.weights[:, chosen])

    def parts(self) -> Iterator[tuple[slice, Values]]:
        """Some rows at a time: as numbers they need eight times the memory."""
        for start in range(0, len(self.weights), _CHUNK):
            rows = slice(start, start + _CHUNK)
            yield rows, self.weights[rows].astype(np.float64)

    def pairs(self, truth: Flags) -> Values:
        """Pairs of a positive and a negative in each resample."""
        found = [weights[:, truth].sum(axis=1) * weights[:, ~truth].sum(axis=1) for _, weights in self.parts()]
        return np.concatenate(found)


def wins(truth: Flags, scores: Values, resamples: Resamples) -> Wins:
    """Mann-Whitney's U by tied groups of scores, weighted (doi:10.1016/0022-2496(75)90001-2)."""
    rows = len(resamples.weights)
    right, pairs = np.zeros(rows), np.zeros(rows)
    if not truth.any() or truth.all():
        return Wins(right, pairs)
    order, starts = _ties(scores)
    for part, weights in resamples.parts():
        sorted_ = weights[:, order]
        positive = np.add.reduceat(np.where(truth[order], sorted_, 0.0), starts, axis=1)
        negative = np.add.reduceat(np.where(truth[order], 0.0, sorted_), starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative
        right[part] = (positive * (below + negative / 2.0)).sum(axis=1)
        pairs[part] = positive.sum(axis=1) * negative.sum(axis=1)
    return Wins(right, pairs)


def average_precision(truth: Flags, scores: Values, resamples: Resamples) -> Values:
    """Sum of precision times the step in recall over all thresholds, scores that tie in one step."""
    found = np.full(len(resamples.weights), np.nan)
    if not truth.any():
        return found
    order, starts = _ties(-scores)
    for part, weights in resamples.parts():
        sorted_ = weights[:, order]
        positive = np.add.reduceat(np.where(truth[order], sorted_, 0.0), starts, axis=1)
        called = np.cumsum(np.add.reduceat(sorted_, starts, axis=1), axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(called > 0, np.cumsum(positive, axis=1) / called, 0.0)
            found[part] = (precision * positive).sum(axis=1) / positive.sum(axis=1)
    return found


def interval(resampled: Values) -> Interval:
    """The figure of the data, and the middle 95 % of the resamples; no interval where too many of them have none."""
    value, others = float(resampled[0]), resampled[1:]
    known = others[~np.isnan(others)]
    if np.isnan(value) or len(known) < (1.0 - _MOST_EMPTY) * len(others) or len(known) == 0:
        return Interval(value)
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def proportion(count: int, of: int) -> Interval | None:
    """A share with Wilson's interval (doi:10.1080/01621459.1927.10502953); None of nothing."""
    if of == 0:
        return None
    bounds = stats.binomtest(count, of).proportion_ci(confidence_level=0.95, method="wilson")
    return Interval(count / of, float(bounds.low), float(bounds.high))


def brier(truth: Flags, scores: Values) -> float:
    """Mean squared difference of probability and truth."""
    return float(np.mean((scores - truth) ** 2))


def calibration_error(truth: Flags, scores: Values) -> float:
    """Expected calibration error over ten bins of equal width (doi:10.1609/aaai.v29i1.9602)."""
    bins = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    gaps = [abs(float((scores[bins == b] - truth[bins == b]).sum())) for b in range(_BINS)]
    return sum(gaps) / len(scores)


class Agreement(NamedTuple):
    """Measured against true values: bias and limits of agreement (doi:10.1016/S0140-6736(86)90837-8), in their unit."""

    n: int
    bias: Interval
    mean_absolute_error: float
    lower_limit: float | None
    upper_limit: float | None
    correlation: Interval | None


def agreement(measured: Values, true: Values) -> Agreement:
    """Bland and Altman's figures; limits need two cases, a correlation three that differ, its interval four."""
    difference = measured - true
    n, bias = len(difference), float(difference.mean())
    if n < 2:  # noqa: PLR2004 - a spread needs two
        return Agreement(n, Interval(bias), float(np.abs(difference).mean()), None, None, None)
    spread = float(difference.std(ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * spread / float(np.sqrt(n))
    return Agreement(
        n,
        Interval(bias, bias - half, bias + half),
        float(np.abs(difference).mean()),
        bias - _NORMAL_95 * spread,
        bias + _NORMAL_95 * spread,
        _correlation(measured, true),
    )


def _correlation(measured: Values, true: Values) -> Interval | None:
    """Pearson's, with Fisher's interval."""
    if len(measured) < 3 or np.ptp(measured) == 0 or np.ptp(true) == 0:  # noqa: PLR2004 - two points are a line
        return None
    found = stats.pearsonr(measured, true)
    if len(measured) == 3:  # noqa: PLR2004 - Fisher's interval divides by n - 3
        return Interval(float(found.statistic))
    bounds = found.confidence_interval(0.95)
    return Interval(float(found.statistic), float(bounds.low), float(bounds.high))


def _ties(scores: Values) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The order from low to high, and where each group of equal scores begins in it."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    return order, np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))

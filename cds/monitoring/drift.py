"""How far a distribution of now is from that of a reference window.

Population stability index: the symmetric relative entropy of both over the bins of the reference; what it comes to by
chance alone is known from its limit law (Yurdakul and Naranjo 2020,
https://EconPapers.repec.org/RePEc:rsk:journ5:7725371). The distance of
Kolmogorov and Smirnov needs no bins.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from scipy import stats

from cds.domain.quality import About, Bin, Drift, Spread
from cds.quality_bounds import QualityBounds

#: Deciles of the reference; fewer where values repeat.
_BINS = 10
#: What every bin holds beforehand, so that an empty one is no infinite distance (Jeffreys).
_BEFOREHAND = 0.5
_BY_CHANCE = 0.99
#: A distance of distributions counts where chance makes one like it once in a thousand windows.
_RARE = 0.001
#: Groups beyond these are told together: a site may have a hundred scanners.
_NAMED = 9
_OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Windows:
    """The values of the reference window and of the current one, of something that has a name."""

    about: About
    name: str
    reference: Sequence[float] | Sequence[str]
    current: Sequence[float] | Sequence[str]


def psi(reference: Sequence[float], current: Sequence[float]) -> float:
    """The population stability index of two lists of shares over the same bins, none of them nought."""
    return math.fsum((now - then) * math.log(now / then) for then, now in zip(reference, current, strict=True))


def psi_noise(bins: int, reference: int, current: int) -> float:
    """What 99 of 100 samples of these sizes stay below where nothing has changed: chi-square of `bins` - 1."""
    return float(stats.chi2.ppf(_BY_CHANCE, bins - 1)) * (1 / reference + 1 / current)


def shares(counts: Sequence[int]) -> list[float]:
    """Counts by bin as shares, none of them nought."""
    whole = sum(counts) + _BEFOREHAND * len(counts)
    return [(count + _BEFOREHAND) / whole for count in counts]


def edges(values: Sequence[float]) -> list[float]:
    """The inner edges of bins that hold about as many of these values each."""
    found = [float(stats.scoreatpercentile(values, 100 * step / _BINS)) for step in range(1, _BINS)]
    return sorted({edge for edge in found if edge > min(values)})


def numbers(windows: Windows, bounds: QualityBounds) -> Drift:
    """The drift of a number."""
    then, now = [float(value) for value in windows.reference], [float(value) for value in windows.current]
    drift = _begun(windows, bounds)
    if drift.reason:
        return drift
    inner = edges(then)
    distance = stats.ks_2samp(then, now)
    spreads = replace(
        drift,
        ks=float(distance.statistic),
        ks_p=float(distance.pvalue),
        reference_spread=_spread(then),
        current_spread=_spread(now),
    )
    if not inner:
        return _judged(replace(spreads, reason="the reference has one value alone"), bounds)
    labels = [f"< {inner[0]:.4g}", *(f"{low:.4g} to {high:.4g}" for low, high in pairwise(inner)), f"≥ {inner[-1]:.4g}"]
    return _judged(_binned(spreads, labels, _placed(then, inner), _placed(now, inner)), bounds)


def groups(windows: Windows, bounds: QualityBounds) -> Drift:
    """The drift of something that has names: scanners, sexes, age bands."""
    then, now = Counter(map(str, windows.reference)), Counter(map(str, windows.current))
    drift = _begun(windows, bounds)
    if drift.reason:
        return drift
    named = [name for name, _ in (then + now).most_common(_NAMED)]
    labels = sorted(named) + ([_OTHERS] if set(then) | set(now) > set(named) else [])
    if len(labels) == 1:
        return replace(drift, reason=f"all are {labels[0]}", psi=0.0, psi_noise=0.0)
    return _judged(_binned(drift, labels, _listed(then, labels), _listed(now, labels)), bounds)


def _begun(windows: Windows, bounds: QualityBounds) -> Drift:
    then, now = len(windows.reference), len(windows.current)
    drift = Drift(windows.about, windows.name, then, now)
    if min(then, now) >= bounds.enough:
        return drift
    return replace(drift, reason=f"want {bounds.enough} studies in each window, there are {then} and {now}")


def _binned(drift: Drift, labels: Sequence[str], then: Sequence[int], now: Sequence[int]) -> Drift:
    before, after = shares(then), shares(now)
    return replace(
        drift,
        psi=psi(before, after),
        psi_noise=psi_noise(len(labels), drift.reference, drift.current),
        bins=tuple(
            Bin(label, one / drift.reference, other / drift.current)
            for label, one, other in zip(labels, then, now, strict=True)
        ),
    )


def _judged(drift: Drift, bounds: QualityBounds) -> Drift:
    """Beyond the site's bound, and beyond what chance does to samples of these sizes."""
    binned = drift.psi is not None and drift.psi >= max(bounds.psi, drift.psi_noise or 0.0)
    apart = drift.ks is not None and drift.ks >= bounds.ks and (drift.ks_p or 0.0) < _RARE
    return replace(drift, drifted=binned or apart)


def _placed(values: Sequence[float], inner: Sequence[float]) -> list[int]:
    found = Counter(bisect_right(inner, value) for value in values)
    return [found[place] for place in range(len(inner) + 1)]


def _listed(counts: Counter[str], labels: Sequence[str]) -> list[int]:
    named = {name: counts[name] for name in labels if name != _OTHERS}
    rest = counts.total() - sum(named.values())
    return [named.get(label, rest) for label in labels]


def _spread(values: Sequence[float]) -> Spread:
    p05, p50, p95 = (float(stats.scoreatpercentile(values, part)) for part in (5, 50, 95))
    return Spread(p05, p50, p95)

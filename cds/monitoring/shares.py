"""Shares with their intervals."""

from __future__ import annotations

from collections.abc import Iterable

from statsmodels.stats.proportion import proportion_confint

from cds.domain.quality import Share


def share(count: int, of: int) -> Share | None:
    """A share with Wilson's 95 % interval (https://doi.org/10.1080/01621459.1927.10502953); None of nothing."""
    if not of:
        return None
    low, high = proportion_confint(count, of, alpha=0.05, method="wilson")
    return Share(count, of, float(low), float(high))


def share_of(said: Iterable[bool | None]) -> Share | None:
    """The share that is True of those that are known."""
    known = [one for one in said if one is not None]
    return share(sum(known), len(known))

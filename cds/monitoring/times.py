"""How long things took."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from cds.domain.quality import Turnaround


def turnaround(what: str, minutes: Sequence[float], still_open: int) -> Turnaround:
    """Median and 90th percentile of what is done; what is still open is counted, and not guessed."""
    if not minutes:
        return Turnaround(what, 0, still_open)
    p50, p90 = (float(stats.scoreatpercentile(minutes, part)) for part in (50, 90))
    return Turnaround(what, len(minutes), still_open, p50, p90)

"""How often a model's findings are there, by kind of finding, and how often that was right.

The unit is the study. Who is verified is not chosen at random: a radiologist looks at positives more often, and a
report states an absence seldom. So each share says of how many it is, and those without a word are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cds.domain.quality import FindingFigures, KindRead, Reading
from cds.monitoring.shares import share_of


def by_kind(readings: Iterable[Reading]) -> Mapping[str, list[KindRead]]:
    """What was said of each kind of finding, in the order of their names."""
    found: dict[str, list[KindRead]] = {}
    for reading in readings:
        for kind in reading.kinds:
            found.setdefault(kind.kind, []).append(kind)
    return dict(sorted(found.items()))


def figures(said: Sequence[KindRead]) -> FindingFigures:
    """The figures of one kind of finding; `said` is of that kind alone, and not empty."""
    positives = [one for one in said if one.ours]
    return FindingFigures(
        kind=said[0].kind,
        title=said[-1].title,
        positive=share_of(one.ours for one in said),
        unverified=sum(one.truth is None for one in positives),
        by_radiologist=sum(one.by == "radiologist" for one in said),
        by_report=sum(one.by == "report" for one in said),
        ppv=share_of(one.truth for one in positives),
        sensitivity=share_of(one.ours for one in said if one.truth is True),
        specificity=share_of(None if one.ours is None else not one.ours for one in said if one.truth is False),
    )

"""The same figures by sex, age band, scanner and site, without telling apart groups that are too small.

A group of fewer studies than the smallest cell is hidden; where it is the only one, so is the next smallest: else it
could be had by subtraction from the total (statistical disclosure control, https://doi.org/10.1002/9781118348239).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from cds.domain.quality import FindingFigures, KindRead, Reading, Share, Subgroup
from cds.monitoring.findings import by_kind, figures

_UNKNOWN = "unknown"
#: Upper ends of the age bands, in completed years.
_AGES = (17, 39, 64, 79)


def age_band(years: int | None) -> str:
    """The band that an age lies in."""
    if years is None:
        return _UNKNOWN
    low = 0
    for high in _AGES:
        if years <= high:
            return f"{low} to {high}"
        low = high + 1
    return f"{low} and over"


#: What readings are told apart by.
DIMENSIONS: Mapping[str, Callable[[Reading], str]] = {
    "sex": lambda reading: reading.sex or _UNKNOWN,
    "age": lambda reading: age_band(reading.age_years),
    "scanner": lambda reading: reading.seen.scanner or _UNKNOWN,
    "site": lambda reading: reading.site or "(installation)",
}


def subgroups(readings: Sequence[Reading], smallest: int) -> tuple[Subgroup, ...]:
    """Every kind of finding by every dimension, in the order of their names."""
    evaluated = [reading for reading in readings if reading.evaluated]
    kinds = by_kind(evaluated)
    return tuple(
        row
        for dimension, name_of in DIMENSIONS.items()
        for kind in kinds
        for row in _rows(dimension, kind, _grouped(evaluated, kind, name_of), smallest)
    )


def hidden(sizes: Mapping[str, int], smallest: int) -> frozenset[str]:
    """The groups that are not told apart."""
    few = {name for name, size in sizes.items() if size < smallest}
    others = sorted((name for name in sizes if name not in few), key=lambda name: (sizes[name], name))
    if len(few) == 1 and others:
        few.add(others[0])
    return frozenset(few)


def _grouped(readings: Sequence[Reading], kind: str, name_of: Callable[[Reading], str]) -> Mapping[str, list[KindRead]]:
    found: dict[str, list[KindRead]] = {}
    for reading in readings:
        for said in reading.kinds:
            if said.kind == kind:
                found.setdefault(name_of(reading), []).append(said)
    return dict(sorted(found.items()))


def _rows(dimension: str, kind: str, groups: Mapping[str, list[KindRead]], smallest: int) -> Iterator[Subgroup]:
    few = hidden({name: len(said) for name, said in groups.items()}, smallest)
    for name, said in groups.items():
        if name in few:
            yield Subgroup(dimension, name, kind, None)
        else:
            yield _told(Subgroup(dimension, name, kind, len(said)), figures(said), smallest)


def _told(group: Subgroup, found: FindingFigures, smallest: int) -> Subgroup:
    return Subgroup(
        group.dimension,
        group.group,
        group.kind,
        group.studies,
        found.positive,
        _enough(found.ppv, smallest),
        _enough(found.sensitivity, smallest),
    )


def _enough(found: Share | None, smallest: int) -> Share | None:
    return found if found is not None and found.of >= smallest else None

"""The stacks of one series: what lies on one grid, taken apart by what was measured where several images share a place.

A series may hold several echoes, b-values, phases or acquisitions. It is split only by what varies, and only where
each part is a stack by itself: a number that differs from slice to slice (acquisition, trigger time) splits nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from adapters.dicom.frames import Frame
from adapters.dicom.geometry import Stack, places_of, same_grid, stack
from adapters.dicom.traits import ORDER
from cds.domain.imaging import StackSummary
from cds.errors import NotEvaluable

_FEWEST = 2
#: Series hold some 50 phases or directions; more parts than this are no stacks but slices with a number each.
_MOST_PARTS = 512
#: Radial acquisitions come to some 50 planes.
_MOST_GRIDS = 256
#: Traits that only count: where their values differ from place to place, the n-th image of each place is of part n.
_COUNTED = frozenset({"temporal position", "cardiac phase", "respiratory phase", "acquisition", "time"})
_KEY_LENGTH = 16


class Chosen(NamedTuple):
    """The frames of one stack, a warning for what was left out, and its key, "" where the series holds no other."""

    frames: tuple[Frame, ...]
    warnings: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Frames that belong together, and what says so: trait → value."""

    frames: tuple[Frame, ...]
    told: tuple[tuple[str, str], ...] = ()

    @property
    def places(self) -> int:
        return len(places_of(self.frames))


def summaries(frames: Sequence[Frame]) -> tuple[StackSummary, ...]:
    """The stacks that frames of a series make, largest first; () where there are none."""
    parts = _parts(frames)
    return tuple(_summary(part, key, label) for part, key, label in _named(parts))


def choose(frames: Sequence[Frame], key: str = "") -> Chosen:
    """The stack of this key, the largest where none is given.

    Raise NotEvaluable (gate "geometry") where two are equally large, naming both, or where there is no such stack.
    """
    named = _named(_parts(frames))
    part, own_key, _label = _of_key(named, key) if key else _largest(named)
    others = [one for one in named if one[0] is not part]
    return Chosen(part.frames, _left_out(others), own_key if others else "")


def _of_key(named: list[tuple[_Part, str, str]], key: str) -> tuple[_Part, str, str]:
    found = next((one for one in named if one[1] == key), None)
    if found is None:
        raise NotEvaluable("the series holds no such stack of images any more", gate="geometry")
    return found


def _largest(named: list[tuple[_Part, str, str]]) -> tuple[_Part, str, str]:
    if not named:
        raise NotEvaluable("the series has no image that could be a slice", gate="no-images")
    size = named[0][0].places
    equal = [label for part, _key, label in named if part.places == size]
    if len(equal) > 1:
        told = "; ".join(equal[:8]) + ("; ..." if len(equal) > 8 else "")  # noqa: PLR2004  enough for a reader
        raise NotEvaluable(f"the series holds several stacks of images of equal size: {told}", gate="geometry")
    return named[0]


def _left_out(others: list[tuple[_Part, str, str]]) -> tuple[str, ...]:
    """One sentence for other grids, one for other stacks of the same grid."""
    grids = sum(len(part.frames) for part, _key, _label in others if not part.told)
    told = [(len(part.frames), label) for part, _key, label in others if part.told]
    warnings = [f"{grids} images of another orientation, size or frame of reference were left out"] if grids else []
    if told:
        labels = "; ".join(label for _count, label in told[:8])
        warnings.append(f"{sum(count for count, _label in told)} images of other stacks were left out: {labels}")
    return tuple(warnings)


def _summary(part: _Part, key: str, label: str) -> StackSummary:
    first = part.frames[0]
    shape = (first.rows, first.columns)
    try:
        grid = stack(part.frames)
    except NotEvaluable as error:
        return StackSummary(key, label, part.places, shape, None, "", refusal=str(error), gate=error.gate)
    warnings = (*grid.warnings, *(["several images claim the same position"] if _crowded(grid) else []))
    return StackSummary(key, label, len(grid.places), shape, grid.spacing_mm, grid.orientation, warnings)


def _parts(frames: Sequence[Frame]) -> list[_Part]:
    """In an order that does not depend on that of the files."""
    ordered = sorted(frames, key=attrgetter("sop_instance_uid", "index"))
    parts = [part for grid in _grids(ordered) for part in _apart(_Part(tuple(grid)))]
    return sorted(parts, key=lambda part: -part.places)


def _grids(frames: Iterable[Frame]) -> list[list[Frame]]:
    grids: list[list[Frame]] = []
    for frame in frames:
        home = next((grid for grid in grids if same_grid(grid[0], frame)), None)
        if home is None:
            grids.append([frame])
            if len(grids) > _MOST_GRIDS:
                raise NotEvaluable("the images lie in too many different planes for a volume", gate="geometry")
        else:
            home.append(frame)
    return grids


def _apart(part: _Part) -> list[_Part]:
    """The part itself where it is a stack or nothing makes one of it; else by the trait that leaves fewest parts."""
    if _is_stack(part.frames):
        return [part]
    candidates = [split for trait in ORDER if (split := _split(part, trait))]
    whole = [split for split in candidates if all(_is_stack(one.frames) for one in split)]
    if whole:
        return min(whole, key=len)
    crowd = _most_per_place(part.frames)
    thinner = next((s for s in candidates if max(_most_per_place(one.frames) for one in s) < crowd), None)
    if thinner is None:
        return [part]
    return [smaller for one in thinner for smaller in _apart(one)]


def _split(part: _Part, trait: str) -> list[_Part]:
    """By the values of a trait, else by its order at each place; [] where that makes no stacks."""
    by_value = defaultdict(list)
    for frame in part.frames:
        by_value[frame.traits.get(trait, "")].append(frame)
    if len(by_value) < _FEWEST:
        return []
    if len(by_value) <= _MOST_PARTS:
        parts = _as_parts(part, trait, by_value)
        if all(one.places >= _FEWEST for one in parts):
            return parts
    return _by_order(part, trait) if trait in _COUNTED else []


def _by_order(part: _Part, trait: str) -> list[_Part]:
    """Where every place has as many images, each with its own value: first, second, ... of each place."""
    places = places_of(part.frames)
    count = len(places[0])
    if len(places) < _FEWEST or not 1 < count <= _MOST_PARTS or any(len(place) != count for place in places):
        return []
    by_rank = defaultdict(list)
    for place in places:
        if len({frame.traits.get(trait, "") for frame in place}) < count:
            return []
        for rank, frame in enumerate(sorted(place, key=lambda frame: _in_order(frame.traits.get(trait, ""))), 1):
            by_rank[f"{rank} of {count}"].append(frame)
    return _as_parts(part, trait, by_rank)


def _as_parts(part: _Part, trait: str, by_value: dict[str, list[Frame]]) -> list[_Part]:
    values = sorted(by_value, key=_in_order)
    return [_Part(tuple(by_value[value]), (*part.told, (trait, value))) for value in values]


def _in_order(value: str) -> tuple[float, str]:
    try:
        return float(value.split(" ", maxsplit=1)[0]), value
    except ValueError:
        return float("inf"), value


def _is_stack(frames: Sequence[Frame]) -> bool:
    try:
        return not _crowded(stack(frames))
    except NotEvaluable:
        return False


def _crowded(grid: Stack) -> bool:
    return any(len(place) > 1 for place in grid.places)


def _most_per_place(frames: Sequence[Frame]) -> int:
    return max(len(place) for place in places_of(frames))


def _named(parts: list[_Part]) -> list[tuple[_Part, str, str]]:
    """Each with its key and with the words for what tells it from the others; largest first."""
    keys = [_key(part) for part in parts]
    labels = _labels(parts)
    several = [f"{label} ({number})".strip() if labels.count(label) > 1 else label
               for number, label in enumerate(labels, 1)]  # fmt: skip
    unique = [f"{key}-{keys[:i].count(key)}" if key in keys[:i] else key for i, key in enumerate(keys)]
    return list(zip(parts, unique, several, strict=True))


def _key(part: _Part) -> str:
    """From headers alone, no UID readable in it: size, direction, spacing, frame of reference, and the traits."""
    first = min(part.frames, key=attrgetter("sop_instance_uid", "index"))
    grid = (first.rows, first.columns, _rounded(first.orientation), _rounded(first.pixel_spacing))
    told = (grid, first.frame_of_reference, part.told)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:_KEY_LENGTH]


def _rounded(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(number, 3) + 0.0 for number in numbers)


def _labels(parts: list[_Part]) -> list[str]:
    """ "axial, 512 x 512, b-value 1000": what differs among the grids, then the traits; "" where there is one stack."""
    grids = [_grid_words(part) for part in parts]
    differing = [position for position, words in enumerate(zip(*grids, strict=True)) if len(set(words)) > 1]
    return [
        ", ".join([*(grid[i] for i in differing), *(f"{trait} {value or 'not given'}" for trait, value in part.told)])
        for part, grid in zip(parts, grids, strict=True)
    ]


def _grid_words(part: _Part) -> tuple[str, ...]:
    first = part.frames[0]
    try:
        plane = stack(part.frames).orientation
    except NotEvaluable:
        plane = "no volume"
    spacing = " x ".join(f"{mm:.3g}" for mm in first.pixel_spacing)
    return plane, f"{first.rows} x {first.columns}", f"{spacing} mm"

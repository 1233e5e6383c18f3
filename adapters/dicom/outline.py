"""The outlines of a mask on one image, along the edges of its pixels, as closed polygons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: The longest outlines alone: specks of a mask would hide what it is drawn on.
MOST = 20
#: Points of an outline: Graphic Data has VR FL, whose length has 16 bits (PS3.5 section 7.1.2).
LONGEST = 4000

Point = tuple[int, int]


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Closed polygons (column, row), the first point again at the end, the longest first.

    In pixels from the top left corner of the first one, which is 0, 0 (PS3.3 C.10.5.1.2): a mask of that pixel alone
    runs through (0, 0), (1, 0), (1, 1), (0, 1).
    """
    following = _edges(mask)
    found: list[list[Point]] = []
    while following:
        found.append(_walk(following, next(iter(following))))
    longest = sorted(found, key=len, reverse=True)[:MOST]
    return [np.array(_thinned(_corners(one)), dtype=np.float64) for one in longest]


def _edges(mask: NDArray[np.bool_]) -> dict[Point, list[Point]]:
    """The edges between inside and outside, the inside on their right, by the point that they begin at."""
    inside = np.pad(mask.astype(bool), 1)
    following: dict[Point, list[Point]] = {}
    middle = inside[1:-1, 1:-1]
    for outside, begin, end in (
        (inside[:-2, 1:-1], (0, 0), (1, 0)),
        (inside[1:-1, 2:], (1, 0), (1, 1)),
        (inside[2:, 1:-1], (1, 1), (0, 1)),
        (inside[1:-1, :-2], (0, 1), (0, 0)),
    ):
        for row, column in np.argwhere(middle & ~outside).tolist():
            start, stop = (column + begin[0], row + begin[1]), (column + end[0], row + end[1])
            following.setdefault(start, []).append(stop)
    return following


def _walk(following: dict[Point, list[Point]], start: Point) -> list[Point]:
    """Follow edges back to the start, taking them away; where two pixels touch at a corner, turn right."""
    path, at, came = [start], start, (0, 0)
    while True:
        ends = following[at]
        turned = max(ends, key=lambda end: came[0] * (end[1] - at[1]) - came[1] * (end[0] - at[0]))
        ends.remove(turned)
        if not ends:
            del following[at]
        came, at = (turned[0] - at[0], turned[1] - at[1]), turned
        path.append(at)
        if at == start:
            return path


def _corners(path: list[Point]) -> list[Point]:
    """Without the points on straight lines."""
    return [path[0], *_turning(path), path[-1]]


def _turning(path: list[Point]) -> Iterator[Point]:
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        if (here[0] - before[0], here[1] - before[1]) != (after[0] - here[0], after[1] - here[1]):
            yield here


def _thinned(path: list[Point]) -> list[Point]:
    step = -(-len(path) // LONGEST)
    return path if step == 1 else [*path[:-1:step], path[-1]]

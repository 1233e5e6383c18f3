"""Vertebrae one by one: their end plates along the straight spine, their ribs, and so their names.

A disc is a dark gap between two bright plates, an arch's roots stand beside the canal above it. The lowest vertebra
with ribs on both sides is T12, the next L1: where ribs and transverse processes cannot be told apart nothing is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.image import Voxels
from models.spine import Line, Spine
from models.straight import STEP_MM, Straight

#: Two plates of a disc lie so far apart, and between them it is darker than the fainter plate by so much, mm and HU.
MIN_DISC_MM, MAX_DISC_MM, MIN_DIP_HU = 2.0, 17.0, 12.0
#: What a deeper gap adds no more to its score, and what every disc adds to a chain of them.
MAX_DIP_HU, DISC_SCORE = 200.0, 40.0
#: In sections as thick as this a disc may be one peak of that height; it scores less than any pair, mm and HU.
THICK_MM, MIN_PEAK_HU, PEAK_SCORE = 4.0, 30.0, 20.0
#: From the middle of a disc to the next, mm: less is no adult's vertebra, more has a disc that was not seen.
MIN_PITCH_MM, MAX_PITCH_MM = 15.0, 46.0
#: The middle of the body in which plates are looked for: half its depth and half its width, mm.
CORE_MM = (9.0, 12.0)
#: The percentile of the core that is looked at.
CORE_PERCENT = 65.0
#: Bands from front to back in which heights are measured, mm behind the middle.
BANDS_MM = ((-12.0, -6.0), (-3.0, 3.0), (6.0, 12.0))
#: A plate may lie so far from its place in the middle of the body, in front and behind, mm.
TILT_MM = 5.0
#: What the straight volume holds outside of the images, HU.
OUTSIDE_HU = -1023.0
#: Bone beside the canal and of ribs, HU.
BONE_HU = 160.0
#: A rib starts at this distance from the middle of the spine, and reaches at least so far; a process ends before, mm.
START_MM, RIB_MM, PROCESS_MM, REACH_MM = 27.0, 66.0, 55.0, 80.0
#: How far in front of the body's middle and behind the canal ribs are looked for, mm.
RIB_FRONT_MM, RIB_BEHIND_MM = 10.0, 50.0
#: Grid on which ribs are followed, mm; pieces smaller than this at their start are none, mm3.
GRID_MM, MIN_START_MM3 = 1.8, 60.0

RIB, PROCESS, SHORT, NOTHING = "rib", "process", "short", "nothing"
SHORT_RIB = (
    "below the last ribs a short rib and a transverse process cannot be told apart, so the levels are not certain"
)
ONE_SIDE = "ribs are seen on one side alone, so the levels are not certain"
NO_RIBS = "no vertebra with ribs is at the top of the images, so the lumbar ones cannot be counted"
ALL_RIBS = "every vertebra in the images has ribs, so the lowest has no certain number"
LUMBAR = ("L1", "L2", "L3", "L4", "L5")


@dataclass(frozen=True)
class Vertebra:
    """One vertebra between two discs; places along the straight spine in mm from its upper end.

    `heights_mm` are in front, in the middle and behind. `name` is "" where it is not certain. `right`, `left`: what
    stands at its side, RIB, PROCESS, SHORT (either) or NOTHING. Not `whole` where it is longer than any vertebra: a
    disc in it was not seen, and they are two.
    """

    top_mm: float
    bottom_mm: float
    heights_mm: tuple[float, float, float]
    right: str
    left: str
    name: str = ""
    whole: bool = True

    @property
    def middle_mm(self) -> float:
        """Half way between its plates."""
        return (self.top_mm + self.bottom_mm) / 2.0

    @property
    def height_mm(self) -> float:
        """Between its plates, in the middle."""
        return self.bottom_mm - self.top_mm

    @property
    def has_ribs(self) -> bool:
        """True with a rib on both sides."""
        return self.right == RIB and self.left == RIB


@dataclass(frozen=True)
class Levels:
    """The whole vertebrae from above, and why they have no names where they have none."""

    vertebrae: tuple[Vertebra, ...]
    doubt: str = ""


@dataclass(frozen=True)
class _Disc:
    upper: int
    lower: int
    score: float

    @property
    def middle(self) -> float:
        return (self.upper + self.lower) / 2.0


def find_vertebrae(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    spine: Spine,
    straight: Straight,
    check: Callable[[], None],
) -> Levels:
    """The vertebrae between two discs that are seen, with their ribs and, where that is certain, their names."""
    profile = core(straight)
    discs = _choose(_candidates(profile, spacing_mm[0]))
    check()
    starts = _starts(voxels, spacing_mm, spine, straight, check)
    found = []
    for upper, lower in pairwise(discs):
        sides = [_side(starts[side], upper.middle * STEP_MM, lower.middle * STEP_MM) for side in (0, 1)]
        found.append(
            Vertebra(
                top_mm=upper.lower * STEP_MM,
                bottom_mm=lower.upper * STEP_MM,
                heights_mm=_heights(straight, upper, lower),
                right=sides[0],
                left=sides[1],
                whole=(lower.middle - upper.middle) * STEP_MM <= MAX_PITCH_MM,
            )
        )
    above = [_side(starts[side], 0.0, discs[0].middle * STEP_MM) for side in (0, 1)] if discs else []
    return named(found, above)


def core(straight: Straight) -> Line:
    """HU of the middle of the bodies, step by step along the spine; NaN outside of the images.

    Not the mean: a plate fills most of its plane, a dense spot, however dense, a small part.
    """
    ring = (straight.behind_mm[:, None] / CORE_MM[0]) ** 2 + (straight.aside_mm / CORE_MM[1]) ** 2
    values = straight.hu[:, ring < 1.0]
    level = np.percentile(values, CORE_PERCENT, axis=1).astype(np.float64)
    return np.where((values <= OUTSIDE_HU).any(axis=1), np.nan, level)


def _candidates(profile: Line, section_mm: float) -> list[_Disc]:
    """Pairs of bright plates with a dark gap between them; in thick sections also a single peak that holds both."""
    calm = ndimage.gaussian_filter1d(np.nan_to_num(profile, nan=-1000.0), 0.7 / STEP_MM)
    peak = (calm >= np.roll(calm, 1)) & (calm > np.roll(calm, -1))
    peak[[0, -1]] = False
    places = np.flatnonzero(peak & np.isfinite(profile))
    pairs = _single(calm, places) if section_mm >= THICK_MM else []
    for upper in places:
        for lower in places[places > upper]:
            gap = (lower - upper) * STEP_MM
            if gap > MAX_DISC_MM:
                break
            dip = float(min(calm[upper], calm[lower]) - calm[upper : lower + 1].min())
            if gap >= MIN_DISC_MM and dip >= MIN_DIP_HU:
                pairs.append(_Disc(int(upper), int(lower), min(dip, MAX_DIP_HU) + DISC_SCORE - gap))
    return pairs


def _single(calm: Line, places: NDArray[np.int64]) -> list[_Disc]:
    """Peaks that stand out from the bone above and below: a disc thinner than the sections between its plates."""
    reach = round(MAX_DISC_MM / 2.0 / STEP_MM)
    found = []
    for at in places:
        above, below = calm[max(0, at - reach) : at + 1].min(), calm[at : at + reach + 1].min()
        out = float(calm[at] - max(above, below))
        if out >= MIN_PEAK_HU:
            found.append(_Disc(int(at), int(at), PEAK_SCORE))
    return found


def _choose(pairs: list[_Disc]) -> list[_Disc]:
    """The chain of most score in which discs are at least MIN_PITCH apart; from above."""
    ordered = sorted(pairs, key=lambda one: (one.middle, one.upper))
    best: list[float] = []
    before: list[int] = []
    for index, one in enumerate(ordered):
        score, previous = one.score, -1
        for other in range(index):
            apart = (one.middle - ordered[other].middle) * STEP_MM
            if apart >= MIN_PITCH_MM and best[other] + one.score > score:
                score, previous = best[other] + one.score, other
        best.append(score)
        before.append(previous)
    chain: list[_Disc] = []
    at = int(np.argmax(best)) if best else -1
    while at >= 0:
        chain.append(ordered[at])
        at = before[at]
    return chain[::-1]


def _heights(straight: Straight, above: _Disc, below: _Disc) -> tuple[float, float, float]:
    """From plate to plate in front, in the middle and behind, mm; a plate is sought up to the middle of its disc."""
    wide = np.abs(straight.aside_mm) < CORE_MM[1]
    reach = round(TILT_MM / STEP_MM)
    heights = []
    for low, high in BANDS_MM:
        band = (straight.behind_mm >= low) & (straight.behind_mm <= high)
        profile = straight.hu[:, band][:, :, wide].mean(axis=(1, 2)).astype(np.float64)
        top = _peak(profile, int(above.middle), above.lower + reach)
        bottom = _peak(profile, int(np.ceil(below.middle)), below.upper - reach)
        heights.append(STEP_MM * (bottom - top))
    return heights[0], heights[1], heights[2]


def _peak(profile: Line, first: int, last: int) -> float:
    """The first peak on the way from a disc's middle into the body, else the brightest place of the way.

    Dense bone further inside is brighter than the plate; between steps by the parabola through the neighbours.
    """
    way = np.clip(np.arange(first, last + (1 if last > first else -1), 1 if last > first else -1), 1, len(profile) - 2)
    best = int(way[np.argmax(profile[way])])
    for number, at in enumerate(way):
        rises = profile[at] - profile[way[: number + 1]].min() >= MIN_DIP_HU
        if rises and profile[at] >= profile[at - 1] and profile[at] >= profile[at + 1]:
            best = int(at)
            break
    before, here, after = (float(profile[best + offset]) for offset in (-1, 0, 1))
    bend = before - 2.0 * here + after
    return best + (min(0.5, max(-0.5, 0.5 * (before - after) / bend)) if bend < 0.0 else 0.0)


def _starts(
    voxels: Voxels,
    spacing_mm: tuple[float, float, float],
    spine: Spine,
    straight: Straight,
    check: Callable[[], None],
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(place along the spine, reach from its middle), mm, of what stands at the right and at the left side."""
    steps = tuple(max(1, round(GRID_MM / one)) for one in spacing_mm)
    grid = tuple(step * one for step, one in zip(steps, spacing_mm, strict=True))
    thin = voxels[:: steps[0]]
    bone, apart = _aside(thin, spine, steps, spacing_mm, check)
    slices = np.arange(len(thin)) * grid[0]
    along = np.interp(slices, straight.points[:, 0], np.arange(len(straight.points)) * STEP_MM)
    found: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for side, sign in enumerate((-1.0, 1.0)):
        far = sign * apart
        mask = bone & ((far >= START_MM) & (far <= REACH_MM))[:, None, :]
        labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
        start = np.where((far < START_MM + 2.0 * grid[2])[:, None, :], labels, 0)
        minimum = MIN_START_MM3 / float(np.prod(grid))
        for label, box in enumerate(ndimage.find_objects(labels, count), start=1):
            here = start[box] == label
            if here.sum() < minimum:
                continue
            index = box[0].start + float(np.average(np.arange(len(here)), weights=here.sum(axis=(1, 2))))
            reached = np.where((labels[box] == label).any(axis=1), far[box[0], box[2]], 0.0).max()
            found[side].append((float(np.interp(index, np.arange(len(along)), along)), float(reached)))
    return found


def _aside(
    thin: Voxels,
    spine: Spine,
    steps: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    check: Callable[[], None],
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], Line]:
    """Bone where ribs begin, on the grid, and how far left of the spine each column is, by slice, mm."""
    columns = np.arange(0, thin.shape[2], steps[2])
    rows = np.arange(0, thin.shape[1], steps[1])
    bone = np.zeros((len(thin), len(rows), len(columns)), dtype=np.bool_)
    apart = np.zeros((len(thin), len(columns)))
    for index, image in enumerate(thin):
        check()
        at = index * steps[0]
        apart[index] = (columns - spine.body[at, 1]) * spacing_mm[2]
        first = spine.body[at, 0] - RIB_FRONT_MM / spacing_mm[1]
        last = spine.canal[at, 0] + RIB_BEHIND_MM / spacing_mm[1]
        calm = ndimage.uniform_filter(image.astype(np.float32), [max(1, one) for one in steps[1:]])
        bone[index] = (calm[:: steps[1], :: steps[2]] > BONE_HU) & ((rows >= first) & (rows <= last))[:, None]
    return bone, apart


def _side(starts: list[tuple[float, float]], first_mm: float, last_mm: float) -> str:
    """What stands at a vertebra's side: the farthest reaching of what begins between its discs."""
    reached = max((reach for place, reach in starts if first_mm <= place < last_mm), default=0.0)
    if reached == 0.0:
        return NOTHING
    return RIB if reached >= RIB_MM else PROCESS if reached <= PROCESS_MM else SHORT


def named(found: list[Vertebra], above: list[str]) -> Levels:
    """Names from the last vertebra of those with ribs on, counted from above.

    `above` is what stands beside the one that the images cut at the top: ribs, or it is not known. Nothing is named
    where a disc beside T12 or L1 was not seen, where the sides differ, or where all or none have ribs.
    """
    cut = Vertebra(0.0, 0.0, (0.0, 0.0, 0.0), RIB, RIB)
    rows = [cut, *found] if above == [RIB, RIB] else found
    # The wings of the sacrum, further down, look like ribs: only those that follow each other from above are.
    ribs = len(list(takewhile(lambda one: one.has_ribs, rows)))
    doubt = _doubt(rows, ribs)
    return Levels(tuple(found), doubt) if doubt else Levels(tuple(_renamed(found, ribs - 1 - (len(rows) - len(found)))))


def _doubt(rows: list[Vertebra], ribs: int) -> str:
    """Why the vertebra after the first `ribs` is not L1 with certainty; "" where it is."""
    if ribs == 0:
        one_side = bool(rows) and RIB in (rows[0].right, rows[0].left)
        return ONE_SIDE if one_side else NO_RIBS
    if ribs == len(rows):
        return ALL_RIBS
    if not (rows[ribs - 1].whole and rows[ribs].whole):
        return "a disc beside the last vertebra with ribs was not seen, so the levels are not certain"
    sides = (rows[ribs].right, rows[ribs].left)
    if RIB in sides:
        return ONE_SIDE
    return SHORT_RIB if SHORT in sides or PROCESS not in sides else ""


def _renamed(found: list[Vertebra], twelfth: int) -> list[Vertebra]:
    """Thoracic names upwards as far as every disc was seen, lumbar names downwards likewise."""
    names: dict[int, str] = {}
    for index in takewhile(lambda at: found[at].whole, range(twelfth, -1, -1)):
        names[index] = f"T{12 - (twelfth - index)}"
    below = range(twelfth + 1, min(len(found), twelfth + 1 + len(LUMBAR)))
    for index in takewhile(lambda at: found[at].whole, below):
        names[index] = LUMBAR[index - twelfth - 1]
    return [replace(one, name=names.get(index, "")) for index, one in enumerate(found)]

"""What rules share that count criteria: three-valued criteria, points over what is known, and refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from cds.risk import Given, NotScored


class Criterion(NamedTuple):
    """One criterion of a rule: the input that it reads, whether it holds (None where that is not known), its points."""

    name: str
    holds: bool | None
    points: float = 1.0


class Tally(NamedTuple):
    """The points of the criteria that are known to hold, the fewest that are possible, and what is not known."""

    points: float
    least: float
    missing: tuple[str, ...]


def sign(given: Given, name: str, points: float = 1.0) -> Criterion:
    """A criterion that is a yes or no itself."""
    return Criterion(name, given.flag(name) if name in given else None, points)


def measured(given: Given, name: str, test: Callable[[float], bool], points: float = 1.0) -> Criterion:
    """A criterion on a number."""
    return Criterion(name, test(given.number(name)) if name in given else None, points)


def tally(criteria: Iterable[Criterion]) -> Tally:
    """Add the points up; what is not known adds nothing, and takes away what it could."""
    known = tuple(criteria)
    points = sum([one.points for one in known if one.holds])
    unknown = [one for one in known if one.holds is None]
    return Tally(points, points + sum(min(one.points, 0) for one in unknown), tuple(one.name for one in unknown))


def refuse(name: str, reason: str) -> NotScored:
    """An answer that refuses one input for what the others say."""
    return NotScored(out_of_range=(name,), reasons=(reason,))


def not_whole(given: Given, *names: str) -> NotScored | None:
    """An answer that refuses counts and codes that are no whole numbers; None where all are."""
    wrong = tuple(name for name in names if name in given and not float(given.number(name)).is_integer())
    reasons = tuple(f"{name} must be a whole number" for name in wrong)
    return NotScored(out_of_range=wrong, reasons=reasons) if wrong else None


def logistic(x: float) -> float:
    """The probability of a linear predictor."""
    return 1 / (1 + math.exp(-x))


def half_up(value: float, decimals: int = 0) -> float:
    """A measurement rounded as a reader rounds it: halves away from zero, not to even."""
    scale = 10.0**decimals
    return math.floor(value * scale + 0.5) / scale

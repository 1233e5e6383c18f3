"""Published scores and rules, one per file: a file declares `SCORE`, and listing the folder finds it.

Inputs are plain numbers and booleans in the units that the score names. What is missing or out of range is part of
the answer: never an exception, never a default.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from cds.domain.recommendation import Source
from cds.errors import ConfigurationError

Value = bool | float
Inputs = Mapping[str, Value | None]
#: Modules of the folder that are no scores.
_NOT_SCORES = frozenset({"check"})


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its unit, and the range in which a number can be one; outside, it is refused, not clamped."""

    name: str
    title: str
    kind: Literal["number", "boolean"] = "number"
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf

    def accepts(self, value: Value) -> bool:
        """True where the value has the right kind and lies in the range."""
        if self.kind == "boolean" or isinstance(value, bool):
            return self.kind == "boolean" and isinstance(value, bool)
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Scored:
    """The score's outputs by name."""

    outputs: Mapping[str, Value | str]
    kind: Literal["scored"] = "scored"


@dataclass(frozen=True, slots=True)
class NotScored:
    """The score cannot be evaluated: the names of what is missing, and of what is out of its range."""

    missing: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    kind: Literal["not-scored"] = "not-scored"


Answer = Scored | NotScored


@dataclass(frozen=True, slots=True)
class Score:
    """One published score: where it comes from, for whom it holds, what it predicts, and the pure function."""

    id: str
    title: str
    source: Source
    population: str
    outcome: str
    horizon_years: float | None
    inputs: tuple[Input, ...]
    evaluate: Callable[[Mapping[str, Value]], Answer]

    def __call__(self, inputs: Inputs) -> Answer:
        """Evaluate over the inputs that are known; names that the score does not have are ignored."""
        known = {i.name: v for i in self.inputs if (v := inputs.get(i.name)) is not None}
        refused = tuple(i.name for i in self.inputs if i.name in known and not i.accepts(known[i.name]))
        return NotScored(out_of_range=refused) if refused else self.evaluate(known)

    def title_of(self, name: str) -> str:
        """How an input is called for people."""
        return next((i.title for i in self.inputs if i.name == name), name)


def load(package: ModuleType | None = None) -> dict[str, Score]:
    """Every score by id; raise ConfigurationError for a file that cannot be imported or an id that two files claim."""
    folder = package or importlib.import_module(__name__)
    scores: dict[str, Score] = {}
    mistakes: list[str] = []
    for module in pkgutil.iter_modules(folder.__path__):
        if module.name.startswith("_") or module.name in _NOT_SCORES:
            continue
        try:
            score = _declared(f"{folder.__name__}.{module.name}")
        except ConfigurationError as error:
            mistakes += error.mistakes
            continue
        if score.id in scores:
            mistakes.append(f"{folder.__name__}.{module.name}: score id {score.id!r} is already taken")
        scores[score.id] = score
    if mistakes:
        raise ConfigurationError(mistakes)
    return scores


def _declared(name: str) -> Score:
    try:
        score = getattr(importlib.import_module(name), "SCORE", None)
    except (ImportError, SyntaxError, NameError, TypeError, ValueError) as error:
        raise ConfigurationError([f"{name} cannot be imported: {type(error).__name__}: {error}"]) from error
    if not isinstance(score, Score):
        raise ConfigurationError([f"{name} declares no SCORE"])
    return score

"""Published scores and rules, one per file: a file declares `SCORE`, and listing the folder finds it.

Inputs are plain values in the units that the score names. What is missing or out of range is part of the answer:
never an exception, never a default. A score whose source could not be verified loads only for a check of its vectors.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, Literal, NamedTuple

from cds.domain.recommendation import Source
from cds.domain.value import value_type
from cds.errors import ConfigurationError

Value = bool | float | str | Sequence[object] | Mapping[str, object]
Inputs = Mapping[str, object]
Kind = Literal["number", "boolean", "choice", "list", "object"]
#: Modules of the folder that are no scores.
_NOT_SCORES = frozenset({"check"})
_NUMBER = (int, float)
#: Stands for an input that was told under two of its names, and differently.
_CONTRADICTION = object()


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its unit, and the range in which a number can be one; outside, it is refused, not clamped.

    `high_open` means below `high`, not at it. A `choice` is one of `choices`. `short` is its name in a refusal. Where
    it is not `needed`, the function itself decides without it. `unmentioned` is what the short description of a case
    means that does not mention it (a sign that would have been told): only who says so applies it, see `described`.
    `aliases` are other names of exactly the same thing, in the same unit: what is told under one is not overlooked.
    """

    name: str
    title: str
    kind: Kind = "number"
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    high_open: bool = False
    choices: tuple[str, ...] = ()
    short: str = ""
    needed: bool = True
    unmentioned: Value | None = None
    aliases: tuple[str, ...] = ()

    @property
    def usual(self) -> _Usual:
        """What is taken without asking `refusal`: numbers of a range, choices, and whether a yes or no is."""
        highest = math.nextafter(self.high, -math.inf) if self.high_open else self.high
        numbers = (self.low, highest) if self.kind == "number" else (math.inf, -math.inf)
        return _Usual(self.name, self.needed, *numbers, self.kind == "boolean", self.choices)

    def refusal(self, value: object) -> str:
        """Why a value cannot be one, as "BMI must be <40" or "age below 30"; empty where it can."""
        name = self.short or self.title
        if value is _CONTRADICTION:
            return f"{name} is told twice, differently"
        if self.kind == "number":
            return self._out_of_range(name, value)
        if self.kind == "boolean":
            return "" if value in (True, False) and isinstance(value, int) else f"{name} must be true or false"
        if self.kind == "choice":
            return "" if value in self.choices else f"{name} must be one of {', '.join(self.choices)}"
        if self.kind == "list":
            return "" if isinstance(value, Sequence) and not isinstance(value, str) else f"{name} must be a list"
        return "" if isinstance(value, Mapping) else f"{name} must be an object"

    def _out_of_range(self, name: str, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return f"{name} must be a number"
        if value < self.low:
            return f"{name} below {self.low:g}"
        if self.high_open:
            return f"{name} must be <{self.high:g}" if value >= self.high else ""
        return f"{name} above {self.high:g}" if value > self.high else ""


class _Usual(NamedTuple):
    """What nearly every value of an input is, so that it takes the short way: see `Input.usual`."""

    name: str
    needed: bool
    low: float
    high: float
    flag: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a score: what it says, and its unit."""

    name: str
    title: str
    unit: str = ""


class Given(dict[str, object]):
    """The inputs of a score that are known and can be ones, by name; what is not known is not among them."""

    __slots__ = ()

    def number(self, name: str) -> float:
        """A number; raise KeyError where it is not known, TypeError where the input is no number."""
        value = self[name]
        if isinstance(value, _NUMBER):
            return value
        raise TypeError(f"{name} is no number")

    def flag(self, name: str) -> bool:
        """A yes or no; raise KeyError where it is not known."""
        return bool(self[name])

    def text(self, name: str) -> str:
        """A choice; raise KeyError where it is not known."""
        return str(self[name])

    def items_of(self, name: str) -> Sequence[object]:
        """A list; raise KeyError where it is not known, TypeError where the input is no list."""
        value = self[name]
        if isinstance(value, Sequence):
            return value
        raise TypeError(f"{name} is no list")

    def members_of(self, name: str) -> Mapping[str, object]:
        """An object; raise KeyError where it is not known, TypeError where the input is no object."""
        value = self[name]
        if isinstance(value, Mapping):
            return value
        raise TypeError(f"{name} is no object")


@value_type(frozen=True, slots=True)
class Scored:
    """The score's outputs by name."""

    outputs: Mapping[str, object]
    kind: Literal["scored"] = "scored"

    def number(self, name: str) -> float:
        """An output that is a number; raise TypeError where it is none."""
        value = self.outputs[name]
        if isinstance(value, _NUMBER):
            return value
        raise TypeError(f"{name} is no number")


@value_type(frozen=True, slots=True)
class NotScored:
    """The score cannot be evaluated: names of what is missing and of what is out of its range, with the reasons."""

    missing: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    kind: Literal["not-scored"] = "not-scored"


Answer = Scored | NotScored


@dataclass(frozen=True, slots=True)
class Score:
    """One published score: where it comes from, for whom it holds, what it predicts, and the pure function.

    `unverified` says what of it was not seen in its source: such a score is loaded only to check its vectors.
    `licence` says what an installation has to know before it uses the score.
    """

    id: str
    title: str
    source: Source
    population: str
    outcome: str
    horizon_years: float | None
    inputs: tuple[Input, ...]
    evaluate: Callable[[Given], Answer]
    outputs: tuple[Output, ...] = ()
    further: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    unverified: str = ""
    licence: str = ""
    #: One output alone, where all of them together cost much more.
    evaluate_one: Callable[[Given, str], float] | None = None
    _usual: tuple[_Usual, ...] = field(init=False, repr=False, compare=False, default=())
    _inputs: Mapping[str, Input] = field(init=False, repr=False, compare=False, default_factory=dict)
    _aliases: Mapping[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_usual", tuple(one.usual for one in self.inputs))
        object.__setattr__(self, "_inputs", MappingProxyType({one.name: one for one in self.inputs}))
        aliases = {alias: one.name for one in self.inputs for alias in one.aliases}
        object.__setattr__(self, "_aliases", MappingProxyType(aliases))

    def __call__(self, inputs: Inputs) -> Answer:
        """Evaluate over what is known; None is not known, and names that the score does not have are ignored."""
        if self._aliases:
            inputs = self._named(inputs)
        known, missing, refused = self._sorted(inputs)
        if refused:
            return NotScored(tuple(missing), tuple(refused), tuple(refused.values()))
        return NotScored(tuple(missing)) if missing else self.evaluate(known)

    def only(self, output: str, inputs: Inputs) -> Answer:
        """One output alone, for whoever needs no other of a score that predicts many."""
        if self.evaluate_one is None:
            return self(inputs)
        known, missing, refused = self._sorted(inputs)
        return self(inputs) if missing or refused else Scored({output: self.evaluate_one(known, output)})

    def _sorted(self, inputs: Inputs) -> tuple[Given, list[str], dict[str, str]]:
        """What is known and can be one, the names of what is missing, and what cannot be one with the reason."""
        known, missing, refused = Given(), [], {}
        get = inputs.get
        for name, needed, low, high, flag, choices in self._usual:
            value: Any = get(name)
            if value is None:
                if needed:
                    missing.append(name)
                continue
            kind = type(value)
            usual = low <= value <= high if kind in _NUMBER else flag if kind is bool else value in choices
            if not usual and (reason := self._inputs[name].refusal(value)):
                refused[name] = reason
            else:
                known[name] = value
        return known, missing, refused

    def described(self, inputs: Inputs) -> dict[str, object]:
        """The inputs of a case that was described in short: what it does not mention is as `Input.unmentioned` says."""
        said = {one.name: one.unmentioned for one in self.inputs if one.unmentioned is not None}
        return said | dict(self._named(inputs))

    def _named(self, inputs: Inputs) -> Inputs:
        """The inputs by their names, whatever names they were told under."""
        aliases = self._aliases
        if aliases.keys().isdisjoint(inputs):
            return inputs
        named: dict[str, object] = {}
        for told, value in inputs.items():
            name = aliases.get(told, told)
            before = named.get(name)
            named[name] = before if value is None else value if before in (None, value) else _CONTRADICTION
        return named

    def unknown_names(self, inputs: Inputs) -> tuple[str, ...]:
        """Names among the inputs that the score does not have."""
        return tuple(name for name in inputs if name not in self._inputs and name not in self._aliases)

    def title_of(self, name: str) -> str:
        """How an input is called for people."""
        known = self._inputs.get(name)
        return name if known is None else known.title


def load(package: ModuleType | None = None, *, unverified: bool = False) -> dict[str, Score]:
    """Every score by id; raise ConfigurationError for a file that cannot be imported or an id that two files claim.

    A score whose source was not verified is among them only with `unverified`: for tests of its vectors.
    """
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
    return {name: score for name, score in scores.items() if unverified or not score.unverified}


def _declared(name: str) -> Score:
    try:
        score = getattr(importlib.import_module(name), "SCORE", None)
    except (ImportError, SyntaxError, NameError, TypeError, ValueError) as error:
        raise ConfigurationError([f"{name} cannot be imported: {type(error).__name__}: {error}"]) from error
    if not isinstance(score, Score):
        raise ConfigurationError([f"{name} declares no SCORE"])
    return score

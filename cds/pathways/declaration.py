"""What a pathway declares of itself: its rules, the options that a site may set, and what it reads and asks.

`docs/pathways/` and `cds pathways show` are written from this, and the tests are named after the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.recommendation import Case, NothingToSay, PathwayOutcome, Source
from cds.errors import InvalidInput
from cds.pathways._facts import Need, unfit
from cds.pathways.language import ENGLISH

#: Why a pathway says nothing of which no code stands among what was looked for.
IDLE = "nothing that it reads was looked for on this study"
#: Who answers for the content of the pathways that come with Sightline; a site names its own with `<pathway>.owner`.
OWNER = "Sightline project, clinical content"


def refusal(model: str) -> tuple[str, str]:
    """How a model that refused a study stands among the codes of what was looked for."""
    return "model", model


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of a pathway that a committee approves. `source` where it is not the pathway's own.

    `unverified` says what of it could not be seen in its source: a pathway that has such a rule does not load outside
    tests (SAFETY section 6).
    """

    key: str
    says: str
    source: Source | None = None
    unverified: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """What a site may set, within bounds: a number from `low` to `high`, one of `choices`, or, with neither, a text.

    `default` is None where the site has to decide it itself: until then the pathway could not tell.
    """

    name: str
    title: str
    default: str | None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def mistake(self, text: str) -> str:
        """Why a text cannot be its value; empty where it can."""
        if self.choices:
            return "" if text in self.choices else f"want one of {', '.join(self.choices)}"
        if self.low is None or self.high is None:
            return ""
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        unit = f" {self.unit}" if self.unit else ""
        return "" if self.low <= value <= self.high else f"want a number from {self.low:g} to {self.high:g}{unit}"


def option(case: Case, pathway: str, wanted: Option) -> str | None:
    """What the site set for an option, or its default; raise InvalidInput for what is out of its bounds."""
    text = case.site.get(f"{pathway}.{wanted.name}", wanted.default)
    if text is not None and (mistake := wanted.mistake(text)):
        raise InvalidInput(f"the site option {pathway}.{wanted.name}: {mistake}")
    return text


def number(case: Case, pathway: str, wanted: Option) -> float:
    """An option that is a number and has a default; raise InvalidInput for what is out of its bounds."""
    text = option(case, pathway, wanted)
    if text is None:
        raise InvalidInput(f"the site option {pathway}.{wanted.name} is not set")
    return float(text)


@dataclass(frozen=True, slots=True)
class Pathway:
    """A guideline: where it comes from, what it reads and asks, its rules, and the function.

    `reads` are the codes of the findings that it reads, whichever model found them; `refused_by` are the models of
    which it tells that they could not look at a study at all; `asks` is all that it asks of the record: EHRs are asked
    for nothing else. With `needs` it could not tell where that is not known.
    `signs` are codes of Sightline's own by which an order says yes. One that is `urgent` speaks for patients
    in palliative care too. `languages` are those beside English that all of its text is in: to a reader of any other it
    speaks English, and never half of each.
    """

    id: str
    title: str
    source: Source
    function: Callable[[Case], PathwayOutcome]
    version: str = "1.0.0"
    reviewed: date | None = None
    owner: str = OWNER
    reads: tuple[Coding, ...] = ()
    refused_by: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    asks: tuple[ValueSet, ...] = ()
    rules: tuple[Rule, ...] = ()
    options: tuple[Option, ...] = ()
    signs: tuple[Coding, ...] = ()
    scores: tuple[str, ...] = ()
    further: tuple[Source, ...] = ()
    limits: tuple[str, ...] = ()
    urgent: bool = False
    languages: tuple[str, ...] = ()
    #: What it says where nothing that it reads was looked for, made once: most have nothing to do with a study.
    idle: NothingToSay = field(init=False, compare=False)
    _read: frozenset[tuple[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "idle", NothingToSay(self.id, IDLE))
        read = {(code.system, code.code) for code in self.reads}
        object.__setattr__(self, "_read", frozenset(read | set(map(refusal, self.refused_by)) if read else ()))

    def is_idle(self, there: frozenset[tuple[str, str]]) -> bool:
        """True where nothing that it reads was looked for, nor refused; never for one that reads nothing."""
        return bool(self._read) and self._read.isdisjoint(there)

    @property
    def suggests(self) -> tuple[Coding, ...]:
        """The actions that it may recommend: it asks whether each of them is ordered already."""
        return tuple(one.entries[0].coding for one in self.asks if one.kind == "request" and one.entries)

    @property
    def unverified(self) -> str:
        """What of its rules was not verified; empty where all were."""
        return "; ".join(f"{rule.says} ({rule.unverified})" for rule in self.rules if rule.unverified)

    def __call__(self, case: Case, *, fit: bool = False) -> PathwayOutcome:
        """Evaluate one case, unless nobody may speak of this patient or what it needs is not known; `fit` as there."""
        if case.language != ENGLISH and case.language not in self.languages:
            case = replace(case, language=ENGLISH)
        if fit and not self.needs:
            return self.function(case)
        return unfit(self.id, self.title, self.needs, case, urgent=self.urgent, fit=fit) or self.function(case)

    def mistakes(self, options: Mapping[str, str]) -> list[str]:
        """What is wrong with the options that a site set for it, by "<pathway>.<option>"."""
        known = {f"{self.id}.{one.name}": one for one in self.options}
        own = {name: text for name, text in options.items() if name.startswith(f"{self.id}.")}
        there = ", ".join(known) or "it has none"
        unknown = [f"{name}: there is no such option: want one of {there}" for name in own if name not in known]
        wrong = [(name, known[name].mistake(text)) for name, text in own.items() if name in known]
        return unknown + [f"{name}: {mistake}" for name, mistake in wrong if mistake]

"""What a service answers before it is sent: each card with what it is about, so that it can be held back or remembered.

`finished` gives each card and suggestion the fresh uuid of one response (CDS Hooks 2.0, card attributes).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cds.domain.card_names import card_names
from cds.domain.hook import About, ShownCard, StudyNote
from cds.domain.recommendation import Advice, Recommendation

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggestion without its uuid; `key` is that of the recommendation, `step` the recommendation as it was then."""

    key: str
    body: Json
    step: Recommendation | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A card without its uuid and suggestions. One without a `pathway` tells something and is never held back."""

    about: About
    body: Json
    suggestions: tuple[Suggestion, ...] = ()
    selection: Literal["any", "at-most-one"] = "any"

    @property
    def is_advice(self) -> bool:
        """Whether people may answer it, and it may be held back because they did."""
        return bool(self.about.pathway)


@dataclass(frozen=True, slots=True)
class Answer:
    """The cards of one call, what else it does, and what is to be noted of each study."""

    cards: tuple[Card, ...] = ()
    system_actions: tuple[Json, ...] = ()
    studies: tuple[StudyNote, ...] = ()
    #: The patient as `cds.domain.hook.HookCall.whose` has it.
    whose: str = ""


def digest(advice: Advice) -> str:
    """Changes with what an advice says: urgency, what was seen, its steps and why.

    Not with values that decide nothing, nor with where something was searched for in vain: calls differ in these.
    """
    steps = [(one.key, one.priority.value, one.action, _why(one, advice)) for one in advice.recommendations]
    said = repr((advice.indicator.value, advice.summary, advice.seen, steps))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _why(step: Recommendation, advice: Advice) -> str:
    return functools.reduce(lambda said, searched: said.replace(searched, ""), advice.searched, step.reason)


def finished(cards: Iterable[Card]) -> tuple[list[Json], tuple[ShownCard, ...]]:
    """The cards as they are sent, and as they are remembered."""
    bodies: list[Json] = []
    shown: list[ShownCard] = []
    names = card_names()
    for card in cards:
        name = next(names)
        named = {next(names): one for one in card.suggestions}
        body: Json = {"uuid": name, **card.body}
        if named:
            body["suggestions"] = [{"uuid": own, **one.body} for own, one in named.items()]
            body["selectionBehavior"] = card.selection
        bodies.append(body)
        steps = tuple(one.step for one in card.suggestions)
        shown.append(ShownCard(name, card.about, {own: one.key for own, one in named.items()}, steps))
    return bodies, tuple(shown)

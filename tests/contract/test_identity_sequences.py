"""Any sequence of merges, links, unlinks, undos and messages, against a model that is simple enough to be right."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.domain.identity import Identifier
from cds.errors import Conflict
from cds.store import patients
from cds.store.identity import canonical
from tests.contract.identity_contract import Feed
from tests.databases import fresh

PEOPLE = 6
_EXAMPLES = itertools.count()

_person = st.integers(0, PEOPLE - 1)
_two = st.tuples(_person, _person).filter(lambda two: two[0] != two[1])
_step = st.one_of(
    st.tuples(st.sampled_from(["merge", "link", "unlink", "both"]), _two),
    st.tuples(st.just("merge"), _two),
    st.tuples(st.just("undo"), st.tuples(st.integers(0, 20), st.just(0))),
    st.tuples(st.just("message"), st.tuples(_person, st.just(0))),
)


@dataclass
class Change:
    """One accepted merge, link (both edges) or unlink, which ended some edges."""

    edge: tuple[int, int] | None
    holds: bool = True
    ended: list[Change] = field(default_factory=list)


@dataclass
class Model:
    """The edges that hold, replayed in order: the prior's root goes under the survivor's root, if they differ."""

    changes: list[Change] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    told: dict[int, int] = field(default_factory=dict)

    def roots(self) -> list[int]:
        """Who owns each person."""
        root = list(range(PEOPLE))
        for change in self.changes:
            if change.holds and change.edge:
                prior, survivor = (root[one] for one in change.edge)
                root = [survivor if one == prior else one for one in root]
        return root

    def one(self, a: int, b: int) -> bool:
        """True where both are one person."""
        return self.roots()[a] == self.roots()[b]

    def unlink(self, a: int, b: int) -> bool:
        """End the edges of just these two; False where they are one for other reasons alone."""
        mine = [c for c in self.changes if c.holds and c.edge in ((a, b), (b, a))]
        if not mine and self.one(a, b):
            return False
        for change in mine:
            change.holds = False
        self.changes.append(Change(None, ended=mine))
        return True

    def undo(self, number: int) -> bool:
        """Take a change back; False where it holds no more."""
        change = self.changes[number]
        if not change.holds:
            return False
        change.holds = False
        for ended in change.ended:
            ended.holds = True
        return True


class Play:
    """The same steps in the model and in the store."""

    def __init__(self, feed: Feed, first_change: int) -> None:
        self.feed, self.first_change, self.model = feed, first_change, Model()
        self.realm, self.told = f"E{next(_EXAMPLES)}", 0

    def number(self, person: int) -> str:
        return f"{self.realm}-{person}"

    def step(self, what: str, a: int, b: int) -> None:
        if what == "undo":
            self.undo(a)
            return
        one, other = self.number(a), self.number(b)
        if what == "message" or (what == "both" and not {a, b} <= self.model.known):
            self.told += 1
            self.model.told[a] = self.told
            self.model.known.add(a)
            assert self.feed.result(one, str(self.model.told[a])) == "applied"
        elif what == "both":
            outcome = self.feed.register(one, other)
            assert outcome.startswith("applied" if self.model.one(a, b) else "quarantined")
        else:
            self.change(what, a, b)

    def change(self, what: str, a: int, b: int) -> None:
        one, other = self.number(a), self.number(b)
        if what == "unlink":
            accepted = self.model.unlink(a, b)
            assert self.feed.link(one, other, "A37").startswith("applied" if accepted else "quarantined")
        else:
            accepted = True
            self.model.changes.append(Change((a, b)))
            assert (self.feed.merge(one, other) if what == "merge" else self.feed.link(other, one)) == "applied"
        self.model.known |= {a, b} if accepted else set()

    def undo(self, number: int) -> None:
        if not self.model.changes:
            return
        number %= len(self.model.changes)
        if self.model.undo(number):
            self.feed.undo(self.first_change + number)
        else:
            with pytest.raises(Conflict):
                self.feed.undo(self.first_change + number)

    def compare(self) -> None:
        """The survivors are the model's, and the record of each says what was told of anybody who is one with her."""
        roots = self.model.roots()
        numbers = {person: Identifier(self.number(person), "HOSP") for person in self.model.known}
        with self.feed.databases.app.reading() as session:
            leaves = {person: patients.leaf(session, number) for person, number in numbers.items()}
            owners = {person: canonical(session, leaf or "") for person, leaf in leaves.items()}
        assert owners == {person: leaves[roots[person]] for person in numbers}
        for person, number in numbers.items():
            told = [value for other, value in self.model.told.items() if roots[other] == roots[person]]
            newest = [] if not told else [max(told)]  # all under one key of one sender
            assert self.feed.cholesterol(number) == newest


@pytest.fixture(scope="module")
def feed() -> Iterator[Feed]:
    """One store for all examples: each has patients of its own."""
    with tempfile.TemporaryDirectory() as folder, fresh(Path(folder)) as databases:
        yield Feed(databases)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(_step, min_size=4, max_size=14))
def test_any_sequence_of_merges_and_undos_ends_in_the_identity_that_the_model_says(
    feed: Feed, steps: list[tuple[str, tuple[int, int]]]
) -> None:
    play = Play(feed, feed.changes() + 1)
    for what, (a, b) in steps:
        play.step(what, a, b)
    play.compare()

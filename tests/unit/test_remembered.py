"""What was worked out before is not worked out again, and never told where it would not be told anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cds.hooks.again import UNKNOWN, Again, Digest
from cds.remembered import Remembered


def test_a_value_is_made_once_while_it_is_asked_for() -> None:
    made: Iterator[int] = iter(range(9))
    known: Remembered[str, int] = Remembered(2)
    assert [known.get("a", lambda: next(made) + 10) for _ in range(3)] == [10, 10, 10]


def test_what_nobody_asked_for_longest_makes_room() -> None:
    known: Remembered[str, str] = Remembered(2)
    for key in ("a", "b", "a", "c"):
        known.get(key, lambda key=key: f"of {key}")
    assert [known.find(key) for key in ("a", "b", "c")] == ["of a", None, "of c"]


def test_heavy_values_make_room_for_themselves_and_one_alone_is_kept() -> None:
    known: Remembered[str, str] = Remembered(10, len)
    known.keep("a", "12345")
    known.keep("b", "123456")
    assert (known.find("a"), known.find("b")) == (None, "123456")
    known.keep("c", "far too much for it")
    assert known.find("c") == "far too much for it"


class Counting:
    """Answers how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> list[int]:
        """One more."""
        self.times += 1
        return [self.times]


@pytest.fixture
def make() -> Counting:
    """What works something out."""
    return Counting()


def test_without_a_state_everything_is_worked_out_each_time(make: Counting) -> None:
    again, study = Again(), object()
    assert [again.answered("cards", (study,), make) for _ in range(2)] == [[1], [2]]
    assert again.digest({"patient": None}) == UNKNOWN


def test_the_same_of_the_same_objects_is_worked_out_once(make: Counting) -> None:
    again, study, other = Again(frozenset), ["study"], ["study"]
    assert [again.answered("cards", (one,), make) for one in (study, study, other)] == [[1], [1], [2]]
    assert again.answered("view", (study,), make) == [3]


def test_what_was_answered_before_a_switch_is_told_again_only_when_it_is_back(make: Counting) -> None:
    off: set[str] = set()
    again, study = Again(lambda: frozenset(off)), ["study"]
    assert again.answered("cards", (study,), make) == [1]
    off.add("pathway:emphysema")
    assert [again.answered("cards", (study,), make) for _ in range(2)] == [[2], [2]]
    off.clear()
    assert again.answered("cards", (study,), make) == [1]


def test_what_was_worked_out_while_something_was_switched_is_not_kept(make: Counting) -> None:
    off: set[str] = set()
    again, study = Again(lambda: frozenset(off)), ["study"]

    def switched() -> list[int]:
        off.add("pathway:emphysema")
        return [0]

    assert again.answered("cards", (study,), switched) == [0]
    assert again.answered("cards", (study,), make) == [1]
    off.clear()
    assert again.answered("cards", (study,), make) == [2]


def test_what_does_not_hold_is_worked_out_again(make: Counting) -> None:
    again, study = Again(frozenset), ["study"]
    assert [again.answered("cards", (study,), make, holds=lambda _: False) for _ in range(2)] == [[1], [2]]


def test_a_prefetch_is_read_once_for_its_content_and_never_without_one(make: Counting) -> None:
    again = Again(frozenset, lambda prefetch: Digest(str(prefetch).encode(), 1))
    same, other = again.digest({"a": 1}), again.digest({"a": 2})
    assert [again.read(one, "day", make) for one in (same, same, other, UNKNOWN, UNKNOWN)] == [[1], [1], [2], [3], [4]]
    assert again.read(same, "next day", make) == [5]

"""Statements about a case that hold, do not hold, or cannot be told, and rules that read them in order.

What is missing never reads as "no": a rule answers only where every way to fill in what is missing answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from cds.risk import Answer, Given, NotScored, Scored


class Fact(NamedTuple):
    """Whether a statement holds; None where it cannot be told for want of the inputs that `missing` names."""

    holds: bool | None
    missing: tuple[str, ...] = ()

    def __and__(self, other: Fact) -> Fact:
        if self.holds is False or other.holds is False:
            return Fact(False)
        return Fact(True) if self.holds and other.holds else Fact(None, self.missing + other.missing)

    def __or__(self, other: Fact) -> Fact:
        return ~(~self & ~other)

    def __invert__(self) -> Fact:
        return Fact(None if self.holds is None else not self.holds, self.missing)


_YES, _NO = Fact(True), Fact(False)


def number(given: Given, name: str, test: Callable[[float], bool]) -> Fact:
    """What a number says."""
    if name not in given:
        return Fact(None, (name,))
    return _YES if test(given.number(name)) else _NO


def flag(given: Given, name: str) -> Fact:
    """What a yes or no says."""
    if name not in given:
        return Fact(None, (name,))
    return _YES if given[name] else _NO


def choice(given: Given, name: str, *values: str) -> Fact:
    """Whether a choice is one of these."""
    if name not in given:
        return Fact(None, (name,))
    return _YES if given[name] in values else _NO


def any_of(facts: Iterable[Fact]) -> Fact:
    """Whether at least one holds."""
    found = Fact(False)
    for fact in facts:
        found = found | fact
    return found


def first(rules: Iterable[tuple[Fact, str]], otherwise: str) -> str | NotScored:
    """The result of the first rule that holds; an earlier rule that cannot be told must come to the same."""
    results: dict[str, None] = {}
    missing: dict[str, None] = {}
    for fact, result in rules:
        if fact.holds is False:
            continue
        results[result] = None
        if fact.holds:
            break
        missing |= dict.fromkeys(fact.missing)
    else:
        results[otherwise] = None
    return next(iter(results)) if len(results) == 1 else NotScored(missing=tuple(missing))


def decide(output: str, rules: Iterable[tuple[Fact, str]], otherwise: str) -> Answer:
    """The answer of a score whose single output is the result of the first rule that holds."""
    result = first(rules, otherwise)
    return result if isinstance(result, NotScored) else Scored({output: result})

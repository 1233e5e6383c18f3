"""R4 search over resources in memory, one by one: plain enough to be read, and what the store's SQL is held against."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cds.domain.resource import NewResource, StoredResource
from cds.domain.search import Criterion, Include, IndexEntry, Sort, Wanted

_FOREVER = 1e300
_LAST = 1e301


@dataclass(frozen=True)
class Current:
    """The current version of a resource, what it is found by, and the order in which resources first came."""

    stored: StoredResource
    new: NewResource
    number: int

    @property
    def name(self) -> str:
        return f"{self.stored.type}/{self.stored.id}"

    def entries(self, param: str) -> list[IndexEntry]:
        return [entry for entry in self.new.index if entry.param == param]

    def position(self, sort: Sort) -> tuple[float | str, int]:
        if sort.param == "_id":
            return self.stored.id, self.number
        if sort.param == "_lastUpdated":
            return self.stored.last_updated.timestamp(), self.number
        dates = [low(entry) for entry in self.entries(sort.param) if is_said(entry)]
        if not dates:
            return (-_LAST if sort.descending else _LAST), self.number
        return (max(dates) if sort.descending else min(dates)), self.number


def is_said(entry: IndexEntry) -> bool:
    return entry.low is not None or entry.high is not None


def low(entry: IndexEntry) -> float:
    return -_FOREVER if entry.low is None else entry.low


def high(entry: IndexEntry) -> float:
    return _FOREVER if entry.high is None else entry.high


def bare(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in folded if not unicodedata.combining(c)).replace("ł", "l").replace("ø", "o")


def fulfils(one: Current, criterion: Criterion, others: Iterable[Current]) -> bool:
    """`others` are what a chain may lead to."""
    if criterion.param in ("_id", "_lastUpdated"):
        return _of_resource(one, criterion)
    entries = one.entries(criterion.param)
    if criterion.missing is not None:
        return criterion.missing == (not entries)
    if criterion.chain is not None:
        target, inner = criterion.chain
        named = {entry.value for entry in entries}
        there = [other for other in others if other.stored.type == target and other.name in named]
        return any(fulfils(other, inner, ()) for other in there)
    found = any(_matches(entry, criterion, wanted) for entry in entries for wanted in criterion.any_of)
    return not found if criterion.modifier == "not" else found


def _of_resource(one: Current, criterion: Criterion) -> bool:
    if criterion.param == "_id":
        return (one.stored.id in {wanted.value for wanted in criterion.any_of}) != (criterion.modifier == "not")
    at = one.stored.last_updated.timestamp()
    said = IndexEntry("", "date", low=at, high=at + 0.001)
    return any(_in_period(said, wanted, 1e-4) for wanted in criterion.any_of)


def _matches(entry: IndexEntry, criterion: Criterion, wanted: Wanted) -> bool:
    if criterion.kind == "string":
        return _in_text(entry.value, wanted.value or "", criterion.modifier)
    if wanted.system not in (None, entry.system):
        return False
    if criterion.kind in ("date", "quantity") and not is_said(entry):
        return False
    if criterion.kind == "date":
        return _in_period(entry, wanted, 0.0)
    if criterion.kind == "quantity":
        return wanted.value in (None, entry.value) and _is_number(entry, wanted)
    return wanted.value in (None, entry.value)


def _in_text(text: str, wanted: str, modifier: str) -> bool:
    if modifier == "exact":
        return text == wanted
    return bare(wanted) in bare(text) if modifier == "contains" else bare(text).startswith(bare(wanted))


def _in_period(entry: IndexEntry, wanted: Wanted, slack: float) -> bool:
    begins, ends = low(entry), high(entry)
    within = begins >= wanted.low - slack and ends <= wanted.high + slack
    answers: dict[str, Callable[[], bool]] = {
        "eq": lambda: within,
        "ne": lambda: not within,
        "gt": lambda: ends > wanted.high + slack,
        "lt": lambda: begins < wanted.low - slack,
        "ge": lambda: ends > wanted.high + slack or within,
        "le": lambda: begins < wanted.low - slack or within,
        "sa": lambda: begins >= wanted.high - slack,
        "eb": lambda: ends <= wanted.low + slack,
        "ap": lambda: begins < wanted.high - slack and ends > wanted.low + slack,
    }
    return answers[wanted.prefix]()


def _is_number(entry: IndexEntry, wanted: Wanted) -> bool:
    at, asked = (low(entry) + high(entry)) / 2, (wanted.low + wanted.high) / 2
    same = abs(at - asked) <= 1e-9 * abs(asked)
    within = same or wanted.low <= at < wanted.high
    return {
        "eq": within, "ne": not within, "ap": within,
        "gt": at > asked and not same, "sa": at > asked and not same, "ge": at > asked or same,
        "lt": at < asked and not same, "eb": at < asked and not same, "le": at < asked or same,
    }[wanted.prefix]  # fmt: skip


def along(includes: Iterable[Include], matches: list[Current], everybody: list[Current]) -> list[Current]:
    """What _include and _revinclude bring, each once: one step, and one more with :iterate."""
    found: dict[str, Current] = {}
    for step, base in enumerate((matches, found.values())):
        for include in [one for one in includes if one.iterate or not step]:
            for other in _linked(include, list(base), everybody):
                if other not in matches:
                    found[other.name] = other
    return list(found.values())


def _linked(include: Include, base: list[Current], everybody: list[Current]) -> list[Current]:
    def refers(source: Current, target: Current) -> bool:
        named = any(entry.value == target.name for entry in source.entries(include.param))
        return named and source.stored.type == include.source and include.target in ("", target.stored.type)

    if include.reverse:
        return [other for other in everybody if any(refers(other, one) for one in base)]
    return [other for other in everybody if any(refers(one, other) for one in base)]

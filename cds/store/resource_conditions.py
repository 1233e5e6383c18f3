"""Criteria of a search as SQL: on one row of the index, and of a resource as a whole (R4 search.html)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cds.domain.search import Criterion, Prefix, Wanted
from cds.store.resource_index import ENDLESS, INDEX, RESOURCE, clean, exact, folded, moment, param_of
from cds.store.resource_sight import Sight

Condition = sa.ColumnElement[bool]
#: More than any text that begins with what was asked.
_AFTER = "\U0010ffff"
#: Numbers that are computed in different ways are the same within this part of them.
_EQUAL = 1e-9
OF_RESOURCE = ("_id", "_lastUpdated")
#: What is asked of the candidates of a search, and of what they refer to: chains have one step.
_ENTRIES, _RESOURCES = [INDEX.alias(f"e{n}") for n in range(2)], [RESOURCE.alias(f"s{n}") for n in range(2)]
_TARGETS = RESOURCE.alias("t")
#: R4 search.html#prefix over half-open ranges: the stored one against the bounds of the wanted one.
_PERIOD: Mapping[Prefix, Callable[[Any, float, float], Condition]] = {
    "eq": lambda e, low, high: sa.and_(e.low >= low, e.high <= high),
    "ne": lambda e, low, high: sa.or_(e.low < low, e.high > high),
    "gt": lambda e, low, high: e.high > high,
    "ge": lambda e, low, high: sa.or_(e.high > high, e.low >= low),
    "lt": lambda e, low, high: e.low < low,
    "le": lambda e, low, high: sa.or_(e.low < low, e.high <= high),
    "sa": lambda e, low, high: e.low >= high,
    "eb": lambda e, low, high: e.high <= low,
    "ap": lambda e, low, high: sa.and_(e.low < high, e.high > low),
}
#: The same where a point is stored.
_NUMBER: Mapping[Prefix, Callable[[Any, float, float], Condition]] = {
    "eq": lambda at, low, high: sa.and_(at >= low, at < high),
    "ne": lambda at, low, high: sa.or_(at < low, at >= high),
    "gt": lambda at, low, high: at > high,
    "ge": lambda at, low, high: at >= low,
    "lt": lambda at, low, high: at < low,
    "le": lambda at, low, high: at <= high,
    "sa": lambda at, low, high: at > high,
    "eb": lambda at, low, high: at < low,
    "ap": lambda at, low, high: sa.and_(at >= low, at <= high),
}


def exists(table: sa.FromClause, *where: Condition) -> Condition:
    """Asked row by row: the offset keeps databases from reading all of the table first."""
    return sa.exists(sa.select(sa.literal_column("1")).select_from(table).where(*where).offset(sa.literal_column("0")))


def holds(number: sa.ColumnElement[int], of: str, criterion: Criterion, sight: Sight, depth: int = 0) -> Condition:
    """A current resource of a type fulfils a criterion, whatever rows it has. `number` is the resource's.

    `depth` is how far a chain was followed.
    """
    if criterion.param in OF_RESOURCE:
        r = _RESOURCES[depth]
        return exists(r, r.c.number == number, of_resource(r, criterion))
    e = _ENTRIES[depth]
    where = [e.c.resource == number, e.c.param == param_of(of, criterion.param)]
    if criterion.missing is not None:
        return ~exists(e, *where) if criterion.missing else exists(e, *where)
    if criterion.chain is not None:
        return exists(e, *where, _chained(e, *criterion.chain, sight))
    found = exists(e, *where, matches(e, criterion))
    return ~found if criterion.modifier == "not" else found


def of_resource(resource: sa.FromClause, criterion: Criterion) -> Condition:
    """`_id` and `_lastUpdated`, of a row of the resources."""
    r = resource.c
    if criterion.missing is not None:
        return sa.false() if criterion.missing else sa.true()
    if criterion.param == "_id":
        ids = [clean(wanted.value or "") for wanted in criterion.any_of]
        return r.id.not_in(ids) if criterion.modifier == "not" else r.id.in_(ids)
    return sa.or_(*(_between(r.last_updated, *(None if b is None else moment(b) for b in bounds))
                    for wanted in criterion.any_of for bounds in updated_bounds(wanted)))  # fmt: skip


def updated_bounds(wanted: Wanted) -> Sequence[tuple[int | None, int | None]]:
    """Milliseconds from and up to without; any of them. `meta.lastUpdated` is a moment of one millisecond."""
    low, high = round(wanted.low * 1000), round(wanted.high * 1000)
    match wanted.prefix:
        case "ne":
            return ((None, low), (high, None))
        case "gt" | "sa":
            return ((high, None),)
        case "ge":
            return ((low, None),)
        case "lt" | "eb":
            return ((None, low),)
        case "le":
            return ((None, high),)
        case "eq" | "ap":
            return ((low, high),)


def _between(column: sa.ColumnElement[Any], low: object | None, high: object | None) -> Condition:
    where = [] if low is None else [column >= low]
    return sa.and_(*where, *([] if high is None else [column < high]))


def matches(entry: sa.FromClause, criterion: Criterion) -> Condition:
    """A row of the right parameter has one of the values that are wanted, the modifier `not` left aside."""
    if criterion.kind in ("token", "reference"):
        return sa.or_(*_codes_match(entry, criterion.any_of))
    return sa.or_(*(_match(entry, criterion, wanted) for wanted in criterion.any_of))


def _codes_match(entry: sa.FromClause, any_of: Sequence[Wanted]) -> Iterator[Condition]:
    """One condition for each system: databases take long lists, and no long chains of alternatives."""
    of_system: defaultdict[str | None, list[str | None]] = defaultdict(list)
    for wanted in any_of:
        of_system[wanted.system].append(wanted.value)
    for system, values in of_system.items():
        named = list(dict.fromkeys(exact(value) for value in values if value is not None))
        value = [entry.c.value == named[0] if len(named) == 1 else entry.c.value.in_(named)]
        same = [] if system is None else [entry.c.system == exact(system)]
        yield sa.and_(*([] if None in values else value), *same)


def _match(entry: sa.FromClause, criterion: Criterion, wanted: Wanted) -> Condition:
    if criterion.kind == "string":
        return text_matches(entry, wanted.value or "", criterion.modifier)
    if criterion.kind == "quantity":
        return sa.and_(_number_matches(entry, wanted), *unit_matches(entry, wanted))
    system = [] if wanted.system is None else [entry.c.system == exact(wanted.system)]
    return sa.and_(_PERIOD[wanted.prefix](entry.c, wanted.low, wanted.high), *system)


def text_matches(entry: sa.FromClause, text: str, modifier: str) -> Condition:
    """R4 search.html#string: it begins so, is exactly so or has it in it."""
    e, bare = entry.c, folded(text)
    if modifier == "exact":
        return sa.and_(e.value == bare, e.system == exact(text))
    if modifier == "contains":
        return e.value.contains(bare, autoescape=True)
    return sa.and_(e.value >= bare, e.value < bare + _AFTER)


def unit_matches(entry: sa.FromClause, wanted: Wanted) -> list[Condition]:
    """The unit of a quantity: a code of a system, or the code alone."""
    value = [] if not wanted.value else [entry.c.value == exact(wanted.value)]
    return [*value, *([] if wanted.system is None else [entry.c.system == exact(wanted.system)])]


def _number_matches(entry: sa.FromClause, wanted: Wanted) -> Condition:
    """A number is a point; what is wanted is as precise as written, or beyond its middle (search.html#number)."""
    middle = (wanted.low + wanted.high) / 2
    slack = abs(middle) * _EQUAL
    low, high = middle - slack, middle + slack
    if wanted.prefix in ("eq", "ne", "ap"):
        low = min(low, wanted.low - slack)
        high = max(high, wanted.high + (slack if wanted.prefix == "ap" else -slack))
    return _NUMBER[wanted.prefix](entry.c.low, low, high)


def bounds(criterion: Criterion, wanted: Wanted, longest: float) -> tuple[float, float]:
    """Between which `low` of a row lies that matches and lasts no longer than this: what an index can be asked for."""
    low, high = wanted.low, wanted.high
    if criterion.kind == "quantity":
        slack = abs(low + high) * _EQUAL
        low, high, longest = low - slack, high + slack, 0.0
    match wanted.prefix:
        case "eq":
            return low, high
        case "ap":
            return low - longest, high
        case "gt" | "ge" | "sa":
            return low - longest, ENDLESS
        case "lt" | "le" | "eb":
            return -ENDLESS, high
        case "ne":
            return -ENDLESS, ENDLESS


def _chained(entry: sa.FromClause, target: str, criterion: Criterion, sight: Sight) -> Condition:
    """The row refers to a resource that may be seen and fulfils the criterion."""
    t, start = _TARGETS, f"{target}/"
    named = sa.func.substr(entry.c.value, len(start) + 1)
    there = exists(
        t, t.c.type == target, t.c.id == named, t.c.is_current, *sight.linked(t),
        holds(t.c.number, target, criterion, sight, depth=1),
    )  # fmt: skip
    return sa.and_(entry.c.value.startswith(start, autoescape=True), there)

"""Where a search begins: with the criterion that fewest resources fulfil, or along the order that is asked for.

Databases do not know how many resources have a value; they are asked for so many that it does not matter any more. Then
each statement walks one index, so that a page costs the same however many resources there are. What no index leads to
is walked past: criteria that most resources fulfil, but few of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.search import Criterion, ResourceQuery, Sort, Wanted
from cds.store.resource_conditions import OF_RESOURCE, Condition, bounds, exists, matches, of_resource
from cds.store.resource_index import ENDLESS, ENTRIES, NARROW_S, OTHER_ENTRIES, RESOURCES, clean, param_of
from cds.store.resource_sight import Sight

#: What comes after every date: resources without one.
WITHOUT = 10 * ENDLESS


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many are read whole and sorted: fewer than `few` at once, fewer than `many` where nothing else leads to them.

    Fewer than `most` where all others would have to be walked past: what was made on some days, in the order of
    _lastUpdated. Of up to `values` values of one criterion each is walked along by itself.
    """

    few: int = 200
    many: int = 5000
    most: int = 50_000
    values: int = 20


@dataclass(frozen=True, slots=True)
class Source:
    """Candidates of one table, by one of its indexes. `walked` is the parameter whose rows are in order."""

    table: sa.FromClause
    where: tuple[Condition, ...]
    walked: str = ""
    #: What they are sorted by where that is one value for all.
    key: float | None = None

    @property
    def number(self) -> sa.ColumnElement[int]:
        """The resource's number."""
        column: sa.ColumnElement[int] = self.table.c["number" if self.of_resources else "resource"]
        return column

    @property
    def of_resources(self) -> bool:
        """True for rows of resources, False for rows of their index."""
        return "number" in self.table.c

    @property
    def updated(self) -> sa.ColumnElement[Any]:
        """When it was updated: a datetime of resources, milliseconds in their index."""
        return self.table.c["last_updated" if self.of_resources else "updated"]


@dataclass(frozen=True, slots=True)
class Driver:
    """A criterion that leads to its resources: by each of `sources`, or by each of `together`, which are fewer."""

    criterion: Criterion
    sources: tuple[Source, ...]
    together: tuple[Source, ...]
    #: Where its rows are counted, no fewer than there are: in an index alone.
    counted: tuple[Source, ...]
    #: Each of `sources` gives them in the order of _lastUpdated.
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look: in all of `sources`, and where they are not enough, in `then`. `rest` is what is to be checked.

    `few` are all that there are at most.
    """

    sources: tuple[Source, ...]
    rest: tuple[Criterion, ...]
    then: tuple[Source, ...] = ()
    driver: Driver | None = None
    few: bool = False


def plan(session: Session, query: ResourceQuery, sight: Sight, sizes: Sizes) -> Plan:
    """The cheapest way to what a query asks for; its chains were followed already."""
    for criterion in query.criteria:
        if criterion.param == "_id" and criterion.missing is None and criterion.modifier != "not":
            return Plan((_named(session, query.type, criterion),), query.criteria, few=True)
    if sight.patient_id is not None:
        return Plan((_hers(query.type, sight.patient_id),), query.criteria, few=True)
    drivers = [driver for driver in (_driver(query, c, sizes.values) for c in query.criteria) if driver is not None]
    in_order = [driver for driver in drivers if driver.ordered and query.sort.param == "_lastUpdated"]
    if len(drivers) == 1 and in_order and len(drivers[0].sources) == 1 and not _is_counted(query):
        return _led(query, drivers[0], few=False)
    scattered = query.sort.param in OF_RESOURCE and not all(driver.ordered for driver in drivers)
    for most in (sizes.few, sizes.many, *((sizes.most,) if scattered else ())) if drivers else ():
        found = _counts(session, drivers, most)
        if min(found) < most:
            return _led(query, drivers[found.index(min(found))], few=True)
    return _led(query, in_order[0], few=False) if in_order else _walk(query)


def _is_counted(query: ResourceQuery) -> bool:
    return query.total == "accurate" or query.count == 0


def _led(query: ResourceQuery, driver: Driver, *, few: bool) -> Plan:
    rest = tuple(criterion for criterion in query.criteria if criterion is not driver.criterion)
    return Plan(driver.together if few else driver.sources, rest, driver=driver, few=few)


def _walk(query: ResourceQuery) -> Plan:
    """All of the type, in order."""
    everything = resources(query.type)
    if query.sort.param in OF_RESOURCE:
        return Plan((everything,), query.criteria)
    param = param_of(query.type, query.sort.param)
    last = Source(everything.table, (*everything.where, ~_has_date(everything, param)), key=missing_key(query.sort))
    return Plan((_alone(query, param), _first(param, query.sort)), query.criteria, then=(last,))


def resources(resource_type: str, *where: Condition) -> Source:
    """The current resources of a type, in the order of _lastUpdated or of their ids."""
    r = RESOURCES
    return Source(r, (r.c.type == resource_type, r.c.is_current, *where))


def missing_key(sort: Sort) -> float:
    """What has no date stands last, whatever the direction."""
    return -WITHOUT if sort.descending else WITHOUT


def _has_date(source: Source, param: str) -> Condition:
    e = OTHER_ENTRIES
    return exists(e, e.c.resource == source.number, e.c.param == param, e.c.low.is_not(None))


def _alone(query: ResourceQuery, param: str) -> Source:
    """From where the criteria on this date begin up to where they end; a page that goes on is past one of these."""
    low, high = _between(query.criteria, query.sort.param)
    goes_on = query.after is not None
    e = ENTRIES
    where = [e.c.param == param, e.c.narrow == sa.literal_column("1"), e.c.low.is_not(None)]
    if low > -ENDLESS and not (goes_on and not query.sort.descending):
        where.append(e.c.low >= low)
    if high < ENDLESS and not (goes_on and query.sort.descending):
        where.append(e.c.low <= high)
    return Source(e, tuple(where), walked=param)


def _first(param: str, sort: Sort) -> Source:
    """Of several dates the first, or the last where it goes backwards (R4 search.html#sort)."""
    e, other = ENTRIES, OTHER_ENTRIES
    before = other.c.low > e.c.low if sort.descending else other.c.low < e.c.low
    is_first = ~exists(other, other.c.resource == e.c.resource, other.c.param == e.c.param, before)
    where = (e.c.param == param, e.c.narrow == sa.literal_column("0"), e.c.low.is_not(None), is_first)
    return Source(e, where, walked=param)


def _hers(resource_type: str, patient_id: str) -> Source:
    """Found by the patient, whatever else an index might offer."""
    r = RESOURCES
    return Source(r, (r.c.patient_id == patient_id, r.c.is_current, sa.func.coalesce(r.c.type, "") == resource_type))


def _named(session: Session, resource_type: str, criterion: Criterion) -> Source:
    r = RESOURCES
    ids = [clean(wanted.value or "") for wanted in criterion.any_of]
    found = sa.select(r.c.number).where(r.c.type == resource_type, r.c.id.in_(ids), r.c.is_current)
    numbers = session.execute(found).scalars().all()
    return Source(r, (r.c.number.in_(numbers), r.c.is_current))


def _driver(query: ResourceQuery, criterion: Criterion, values: int) -> Driver | None:
    """None where no index leads to what fulfils the criterion."""
    param = param_of(query.type, criterion.param)
    if not criterion.any_of or criterion.missing is not None or criterion.chain or criterion.modifier == "not":
        return None
    if criterion.param == "_lastUpdated":
        return _updated_driver(query, criterion)
    if criterion.kind in ("date", "quantity"):
        return _range_driver(query, criterion, param)
    if criterion.modifier == "contains" or any(wanted.value is None for wanted in criterion.any_of):
        return None
    together = (_entries(param, criterion, *criterion.any_of),)
    counted = _entries(param, criterion, *(replace(wanted, system=None) for wanted in criterion.any_of))
    one_by_one = len(criterion.any_of) <= values and (criterion.kind != "string" or criterion.modifier == "exact")
    sources = tuple(_entries(param, criterion, wanted) for wanted in criterion.any_of) if one_by_one else together
    return Driver(criterion, sources, together, (counted,), ordered=one_by_one)


def _entries(param: str, criterion: Criterion, *wanted: Wanted) -> Source:
    e = ENTRIES
    only = Criterion(criterion.param, criterion.kind, wanted, criterion.modifier)
    return Source(e, (e.c.param == param, e.c.low.is_(None), matches(e, only)))


def _updated_driver(query: ResourceQuery, criterion: Criterion) -> Driver | None:
    """In another order only: in this one every source begins and ends where it is asked to."""
    if query.sort.param == "_lastUpdated":
        return None
    changed = (resources(query.type, of_resource(RESOURCES, criterion)),)
    return Driver(criterion, changed, changed, changed)


def _range_driver(query: ResourceQuery, criterion: Criterion, param: str) -> Driver | None:
    """Narrow rows lie between the bounds of every criterion on the parameter: their resource has no other range."""
    if any(wanted.prefix == "ne" for wanted in criterion.any_of):
        return None
    sources, counted = [], []
    others = [other for other in query.criteria if other is not criterion]
    for wanted in criterion.any_of:
        only = Criterion(criterion.param, criterion.kind, (wanted,))
        narrow = _ranges(param, 1, _between([*others, only], criterion.param))
        wide = _ranges(param, 0, bounds(criterion, wanted, ENDLESS))
        counted += [narrow, wide]
        sources += [Source(one.table, (*one.where, matches(one.table, only))) for one in (narrow, wide)]
    return Driver(criterion, tuple(sources), tuple(sources), tuple(counted))


def _between(criteria: Sequence[Criterion], param: str) -> tuple[float, float]:
    """Where `low` of a narrow row lies whose resource fulfils all criteria on the parameter, each by any value."""
    low, high = -ENDLESS, ENDLESS
    for criterion in criteria:
        if criterion.param == param and criterion.any_of and criterion.missing is None and criterion.chain is None:
            ends = [bounds(criterion, wanted, NARROW_S) for wanted in criterion.any_of]
            low, high = max(low, min(begin for begin, _ in ends)), min(high, max(end for _, end in ends))
    return low, high


def _ranges(param: str, narrow: int, between: tuple[float, float]) -> Source:
    e = ENTRIES
    kind = e.c.narrow == sa.literal_column(str(narrow))
    return Source(e, (e.c.param == param, kind, e.c.low >= between[0], e.c.low <= between[1]))


def _counts(session: Session, drivers: Sequence[Driver], most: int) -> list[int]:
    """How many rows each has, up to `most` for each of its sources."""
    counted = [_counted(source, most) for driver in drivers for source in driver.counted]
    counts = iter(session.execute(sa.select(*counted)).one())
    return [sum(next(counts) for _ in driver.counted) for driver in drivers]


def _counted(source: Source, most: int) -> sa.ScalarSelect[int]:
    some = sa.select(source.number).where(*source.where).limit(sa.literal_column(str(most)))
    return sa.select(sa.func.count()).select_from(some.subquery()).scalar_subquery()

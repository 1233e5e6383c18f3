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
from cds.store.resource_conditions import Condition, exists, matches, narrow_bounds
from cds.store.resource_index import ENDLESS, ENTRIES, OTHER_ENTRIES, RESOURCES, clean, param_of
from cds.store.resource_sight import Sight

#: Fewer than this are read whole at once; and fewer than that, where nothing else leads to them.
FEW, MANY = 200, 5000
#: What comes after every date: resources without one.
WITHOUT = 10 * ENDLESS


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
    #: It has a beginning and an end.
    bounded: bool = False


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


def plan(session: Session, query: ResourceQuery, sight: Sight) -> Plan:
    """The cheapest way to what a query asks for; its chains were followed already."""
    for criterion in query.criteria:
        if criterion.param == "_id" and criterion.missing is None and criterion.modifier != "not":
            return Plan((_named(session, query.type, criterion),), query.criteria, few=True)
    if sight.patient_id is not None:
        return Plan((_hers(query.type, sight.patient_id),), query.criteria, few=True)
    drivers = [driver for driver in (_driver(query, c) for c in query.criteria) if driver is not None]
    in_order = [driver for driver in drivers if driver.ordered and query.sort.param == "_lastUpdated"]
    if len(drivers) == 1 and in_order and len(drivers[0].sources) == 1 and not _counts(query):
        return _led(query, drivers[0], few=False)
    for most in (FEW, MANY) if drivers else ():
        sizes = _sizes(session, drivers, most)
        if min(sizes) < most:
            return _led(query, drivers[sizes.index(min(sizes))], few=True)
    bounded = [driver for driver in drivers if driver.bounded and query.sort.param == "_lastUpdated"]
    if in_order or bounded:
        return _led(query, (in_order or bounded)[0], few=False)
    return _walk(query)


def _counts(query: ResourceQuery) -> bool:
    return query.total == "accurate" or query.count == 0


def _led(query: ResourceQuery, driver: Driver, *, few: bool) -> Plan:
    rest = tuple(criterion for criterion in query.criteria if criterion is not driver.criterion)
    return Plan(driver.together if few else driver.sources, rest, driver=driver, few=few)


def _walk(query: ResourceQuery) -> Plan:
    """All of the type, in order."""
    everything = resources(query.type)
    if query.sort.param in ("_id", "_lastUpdated"):
        return Plan((everything,), query.criteria)
    param = param_of(query.type, query.sort.param)
    last = Source(everything.table, (*everything.where, ~_has_date(everything, param)), key=missing_key(query.sort))
    return Plan((_alone(param), _first(param, query.sort)), query.criteria, then=(last,))


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


def _alone(param: str) -> Source:
    e = ENTRIES
    where = (e.c.param == param, e.c.narrow == sa.literal_column("1"), e.c.low.is_not(None))
    return Source(e, where, walked=param)


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


def _driver(query: ResourceQuery, criterion: Criterion) -> Driver | None:
    """None where no index leads to what fulfils the criterion."""
    param = param_of(query.type, criterion.param)
    if not criterion.any_of or criterion.missing is not None or criterion.chain or criterion.modifier == "not":
        return None
    if criterion.param == "_lastUpdated":
        return None
    if criterion.kind in ("date", "quantity"):
        return _range_driver(query, criterion, param)
    if criterion.modifier == "contains" or any(wanted.value is None for wanted in criterion.any_of):
        return None
    sources = tuple(_entries(param, criterion, wanted) for wanted in criterion.any_of)
    return Driver(
        criterion,
        sources,
        together=(_entries(param, criterion, *criterion.any_of),),
        counted=(_entries(param, criterion, *(replace(wanted, system=None) for wanted in criterion.any_of)),),
        ordered=criterion.kind != "string" or criterion.modifier == "exact",
    )


def _entries(param: str, criterion: Criterion, *wanted: Wanted) -> Source:
    e = ENTRIES
    only = Criterion(criterion.param, criterion.kind, wanted, criterion.modifier)
    return Source(e, (e.c.param == param, e.c.low.is_(None), matches(e, only)))


def _range_driver(query: ResourceQuery, criterion: Criterion, param: str) -> Driver | None:
    """Narrow rows lie between bounds, those of every criterion on the parameter: their resource has no other range."""
    same = [other for other in query.criteria if other.param == criterion.param and _is_plain(other)]
    sources, bounded = [], True
    for wanted in criterion.any_of:
        bounds = [_bounds(other) for other in same if other is not criterion]
        bounds.append(narrow_bounds(criterion, wanted))
        low, high = max(low for low, _ in bounds), min(high for _, high in bounds)
        bounded = bounded and low > -ENDLESS and high < ENDLESS
        only = Criterion(criterion.param, criterion.kind, (wanted,))
        sources += [_narrow(param, low, high, only), _wide(param, only)]
    return Driver(criterion, tuple(sources), tuple(sources), tuple(sources), bounded=bounded)


def _is_plain(criterion: Criterion) -> bool:
    return bool(criterion.any_of) and criterion.missing is None and criterion.chain is None


def _bounds(criterion: Criterion) -> tuple[float, float]:
    """Where a row lies that fulfils the criterion by any of its values."""
    bounds = [narrow_bounds(criterion, one) for one in criterion.any_of]
    return min(low for low, _ in bounds), max(high for _, high in bounds)


def _narrow(param: str, low: float, high: float, criterion: Criterion) -> Source:
    e = ENTRIES
    between = (e.c.param == param, e.c.narrow == sa.literal_column("1"), e.c.low >= low, e.c.low <= high)
    return Source(e, (*between, matches(e, criterion)))


def _wide(param: str, criterion: Criterion) -> Source:
    e = ENTRIES
    wide = (e.c.param == param, e.c.narrow == sa.literal_column("0"), e.c.low.is_not(None))
    return Source(e, (*wide, matches(e, criterion)))


def _sizes(session: Session, drivers: Sequence[Driver], most: int) -> list[int]:
    """How many rows each has, up to `most` for each of its sources."""
    counted = [_counted(source, most) for driver in drivers for source in driver.counted]
    counts = iter(session.execute(sa.select(*counted)).one())
    return [sum(next(counts) for _ in driver.counted) for driver in drivers]


def _counted(source: Source, most: int) -> sa.ScalarSelect[int]:
    some = sa.select(source.number).where(*source.where).limit(sa.literal_column(str(most)))
    return sa.select(sa.func.count()).select_from(some.subquery()).scalar_subquery()

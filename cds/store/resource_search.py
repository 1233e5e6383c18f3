"""A page of a search over the current resources: which they are, in their order, and how many there are in all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.resource import StoredResource
from cds.domain.search import Criterion, ResourceQuery, Sort, Wanted
from cds.store import resource_cursor
from cds.store.resource_conditions import Condition, exists, holds, matches, of_resource, updated_bounds
from cds.store.resource_cursor import Cursor
from cds.store.resource_index import (
    ENTRIES,
    OTHER_ENTRIES,
    OTHER_RESOURCES,
    RESOURCE,
    milliseconds,
    moment,
    param_of,
)
from cds.store.resource_plan import Plan, Sizes, Source, missing_key, plan, resources
from cds.store.resource_sight import Sight

#: Bounds that the cursor of a page implies, by the direction of the search.
_IMPLIED = {False: ("ge", "gt", "sa"), True: ("le", "lt", "eb")}
_STORED = (RESOURCE.c.type, RESOURCE.c.id, RESOURCE.c.version, RESOURCE.c.last_updated, RESOURCE.c.body)


@dataclass(frozen=True, slots=True)
class Found:
    """Where the matches of a page stand, in their order; whether there are more; how many in all where it is known."""

    places: tuple[Cursor, ...]
    more: bool
    total: int | None


def find(session: Session, query: ResourceQuery, sight: Sight, sizes: Sizes) -> Found:
    """One page of a search."""
    cursor = resource_cursor.read(query.after, query.sort)
    followed = _followed(session, query, sight, sizes)
    if followed is None:
        return Found((), more=False, total=0)
    way = plan(session, followed, sight, sizes)
    places = _places(session, followed, way, sight, cursor) if query.count else []
    more = len(places) > query.count
    if query.count and not more and cursor is None:
        return Found(tuple(places), more=False, total=len(places))
    counted = query.total == "accurate" or not query.count
    total = _total(session, followed, way, sight) if counted else None
    return Found(tuple(places[: query.count]), more, total)


def _followed(session: Session, query: ResourceQuery, sight: Sight, sizes: Sizes) -> ResourceQuery | None:
    """Chains that lead to few resources name these in their place; None where one leads to none."""
    criteria = []
    for criterion in query.criteria:
        targets = _targets(session, criterion, sight, sizes)
        if targets is not None and not targets:
            return None
        wanted = tuple(Wanted(value=target) for target in targets or ())
        criteria.append(Criterion(criterion.param, "reference", wanted) if wanted else criterion)
    return replace(query, criteria=tuple(criteria))


def _targets(session: Session, criterion: Criterion, sight: Sight, sizes: Sizes) -> Sequence[str] | None:
    """None where it is no chain, or one that leads to many."""
    if criterion.chain is None:
        return None
    target, inner = criterion.chain
    query = ResourceQuery(target, (inner,), count=sizes.few)
    everybody = replace(sight, patient_id=None)
    found = find(session, query, everybody, sizes)
    if found.more:
        return None
    r = RESOURCE
    seen = sa.select(r.c.id).where(r.c.number.in_([place.number for place in found.places]), *sight.linked(r))
    return [f"{target}/{known}" for known in session.execute(seen).scalars()]


def _places(session: Session, query: ResourceQuery, way: Plan, sight: Sight, cursor: Cursor | None) -> Sequence[Cursor]:
    """One more than the page has, where there are more."""
    limit, backwards = query.count + 1, query.sort.descending

    def from_all(sources: Sequence[Source]) -> Iterator[Cursor]:
        for source in sources:
            statement = _statement(query, source, way.rest, sight, cursor).limit(sa.literal_column(str(limit)))
            yield from (Cursor(_key_of(row.key), row.number) for row in session.execute(statement))

    places = _sorted(from_all(way.sources), backwards)[:limit]
    if len(places) < limit and way.then:
        places = _sorted([*places, *from_all(way.then)], backwards)[:limit]
    return places


def _sorted(places: Sequence[Cursor] | Iterator[Cursor], backwards: bool) -> list[Cursor]:
    return sorted(set(places), key=lambda place: (place.key, place.number), reverse=backwards)


def _key_of(value: datetime | float | str) -> int | float | str:
    return milliseconds(value) if isinstance(value, datetime) else value


def _statement(
    query: ResourceQuery, source: Source, rest: Sequence[Criterion], sight: Sight, cursor: Cursor | None
) -> sa.Select[tuple[Any, int]]:
    key = _key(query, source)
    where = [*source.where, *_seen(source, sight), *_filters(query, source, rest, sight, cursor)]
    if cursor is not None:
        at = sa.tuple_(*_position(cursor, source, query.sort))
        here = sa.tuple_(key, source.number)
        where.append(here < at if query.sort.descending else here > at)
    label, number = key.label("key"), source.number.label("number")
    statement = sa.select(label, number).select_from(source.table).where(*where)
    if not source.of_resources:
        statement = statement.distinct()
    order = (label.desc(), number.desc()) if query.sort.descending else (label, number)
    return statement.order_by(*order)


def _key(query: ResourceQuery, source: Source) -> sa.ColumnElement[Any]:
    """What the candidates of a source are sorted by."""
    sort = query.sort
    if source.key is not None:
        return sa.literal(source.key, sa.Float())
    if sort.param == "_lastUpdated":
        return source.updated
    if sort.param == "_id":
        r = OTHER_RESOURCES
        if source.of_resources:
            return source.table.c["id"]
        return sa.select(r.c.id).where(r.c.number == source.number).scalar_subquery()
    param = param_of(query.type, sort.param)
    if source.walked == param:
        return source.table.c["low"]
    e = OTHER_ENTRIES
    first = sa.func.max(e.c.low) if sort.descending else sa.func.min(e.c.low)
    found = sa.select(first).where(e.c.resource == source.number, e.c.param == param).scalar_subquery()
    return sa.func.coalesce(found, missing_key(sort))


def _position(cursor: Cursor, source: Source, sort: Sort) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[int]]:
    number = sa.literal(cursor.number, sa.BigInteger())
    if isinstance(cursor.key, str):
        return sa.literal(cursor.key), number
    if sort.param == "_lastUpdated":
        key = moment(int(cursor.key)) if source.of_resources else cursor.key
        return sa.literal(key, source.updated.type), number
    return sa.literal(float(cursor.key), sa.Float()), number


def _seen(source: Source, sight: Sight) -> list[Condition]:
    if source.of_resources:
        return sight.own(source.table)
    if sight.clear:
        return []
    r = OTHER_RESOURCES
    return [exists(r, r.c.number == source.number, *sight.own(r))]


def _filters(
    query: ResourceQuery, source: Source, rest: Sequence[Criterion], sight: Sight, cursor: Cursor | None
) -> Iterator[Condition]:
    for criterion in rest:
        if criterion.param == "_lastUpdated" and criterion.missing is None:
            if cursor is None or not _is_implied(criterion, query.sort):
                yield _updated(source, criterion)
        elif criterion.param == "_id" and source.of_resources:
            yield of_resource(source.table, criterion)
        else:
            yield holds(source.number, query.type, criterion, sight)


def _is_implied(criterion: Criterion, sort: Sort) -> bool:
    """The page goes on from where it fulfilled the bound: a second bound would only confuse who chooses the index."""
    if sort.param != "_lastUpdated" or len(criterion.any_of) != 1:
        return False
    return criterion.any_of[0].prefix in _IMPLIED[sort.descending]


def _updated(source: Source, criterion: Criterion) -> Condition:
    """_lastUpdated on the source's own column, so that its index begins and ends there."""
    if source.of_resources:
        return of_resource(source.table, criterion)
    column = source.updated
    return sa.or_(*(
        sa.and_(*([] if low is None else [column >= low]), *([] if high is None else [column < high]))
        for wanted in criterion.any_of for low, high in updated_bounds(wanted)
    ))  # fmt: skip


def _total(session: Session, query: ResourceQuery, way: Plan, sight: Sight) -> int:
    """All that match, each once; what is many is counted by the database, row by row."""
    if way.few:
        numbers: set[int] = set()
        for source in way.sources:
            statement = _statement(query, source, way.rest, sight, None).order_by(None)
            numbers.update(row.number for row in session.execute(statement))
        return len(numbers)
    source, rest = resources(query.type), query.criteria
    if way.driver is not None:
        source, rest = _once(query.type, way.driver.criterion), way.rest
    where = [*source.where, *_seen(source, sight), *_filters(query, source, rest, sight, None)]
    counted = sa.select(sa.func.count()).select_from(source.table).where(*where)
    return int(session.execute(counted).scalar_one())


def _once(resource_type: str, criterion: Criterion) -> Source:
    """The rows of text that fulfil a criterion, of each resource the first."""
    e, other = ENTRIES, OTHER_ENTRIES
    same = (other.c.resource == e.c.resource, other.c.entry < e.c.entry, other.c.param == e.c.param)
    is_first = ~exists(other, *same, matches(other, criterion))
    found = (e.c.param == param_of(resource_type, criterion.param), e.c.low.is_(None), matches(e, criterion))
    return Source(e, (*found, is_first))


def stored(session: Session, numbers: Sequence[int]) -> Mapping[int, StoredResource]:
    """The current versions under these numbers."""
    found = sa.select(RESOURCE.c.number, *_STORED).where(RESOURCE.c.number.in_(numbers))
    return {row.number: StoredResource(*row[1:]) for row in session.execute(found)}

"""_include and _revinclude: what the matches of a page refer to, and what refers to them (R4 search.html)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.search import Include
from cds.store.resource_index import ENTRIES, RESOURCE, RESOURCES, exact, param_of
from cds.store.resource_sight import Sight
from cds.store.resource_versions import Named, by_type

#: No page brings more along: it has fewer matches then.
MOST = 1000


def included(session: Session, includes: Sequence[Include], matches: Sequence[int], sight: Sight) -> list[int] | None:
    """The numbers of what comes along with these, each once, none of them a match; None where it is too much."""
    known, found = set(matches), dict[int, None]()
    for step, base in enumerate((matches, found)):  # :iterate follows one step more
        now = [include for include in includes if include.iterate or not step]
        for number in list(_along(session, now, tuple(base), sight)) if now and base else ():
            if number not in known:
                found[number] = None
        if len(found) > MOST:
            return None
    return list(found)


def _along(session: Session, includes: Sequence[Include], base: Sequence[int], sight: Sight) -> Iterator[int]:
    """What one step brings; of what refers to them no more than is too much."""
    forward = [include for include in includes if not include.reverse]
    if forward:
        yield from _referred(session, forward, base, sight)
    if len(forward) == len(includes):
        return
    r = RESOURCE.c
    names = [(row.type, row.id) for row in session.execute(sa.select(r.type, r.id).where(r.number.in_(base)))]
    for include in includes:
        if include.reverse:
            yield from _referring(session, include, names, sight)


def _referred(session: Session, includes: Sequence[Include], base: Collection[int], sight: Sight) -> Iterable[int]:
    """The name of a parameter has the type that it is of: it is of those among them that an include begins at."""
    targets = [(param_of(include.source, include.param), include.target) for include in includes]
    e = ENTRIES.c
    found = sa.select(e.param, e.value).where(e.resource.in_(base), e.param.in_({param for param, _ in targets}))
    names = []
    for param, value in session.execute(found.order_by(e.resource, e.entry)):
        resource_type, _, resource_id = value.partition("/")
        if any(param == of and target in ("", resource_type) for of, target in targets):
            names.append((resource_type, resource_id))
    return numbers_of(session, names, sight)


def _referring(session: Session, include: Include, base: Collection[Named], sight: Sight) -> Iterable[int]:
    named = [exact(f"{resource_type}/{key}") for resource_type, key in base if include.target in ("", resource_type)]
    if not named:
        return ()
    e, r = ENTRIES, RESOURCES
    param = param_of(include.source, include.param)
    found = (
        sa.select(e.c.resource)
        .join_from(e, r, r.c.number == e.c.resource)
        .where(e.c.param == param, e.c.value.in_(named), e.c.low.is_(None), *sight.linked(r))
        .distinct()
        .limit(MOST + 1)
    )
    return sorted(session.execute(found).scalars())


def numbers_of(session: Session, names: Iterable[Named], sight: Sight) -> Iterable[int]:
    """The numbers of the current resources with these types and ids that may be seen, in this order."""
    r = RESOURCE
    wanted = [name for name in dict.fromkeys(names) if all(name)]
    found: dict[Named, int] = {}
    for resource_type, ids in by_type(wanted):
        where = (r.c.type == resource_type, r.c.id.in_(ids), r.c.is_current, *sight.linked(r))
        for row in session.execute(sa.select(r.c.number, r.c.id).where(*where)):
            found[(resource_type, row.id)] = row.number
    return [found[name] for name in wanted if name in found]

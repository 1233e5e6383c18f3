"""Read, vread, history, search and $everything over the emitted FHIR resources. Implements `cds.ports.ResourceStore`.

A page costs the same at the first and at the millionth resource where one index leads to it: by reference, identifier
or any other token, by _lastUpdated or _id, in the order of a date, with what is included and through a chain to few.
`total=accurate` counts, and criteria that many resources fulfil each but few together are walked past one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.resource import ResourcePage, StoredResource
from cds.domain.search import Include, ResourceQuery
from cds.errors import InvalidResource, NotFound, Unavailable
from cds.store import resource_everything, resource_index, resource_search
from cds.store.engine import Database
from cds.store.resource_conditions import OF_RESOURCE
from cds.store.resource_everything import Asked
from cds.store.resource_includes import MOST, included
from cds.store.resource_index import RESOURCE, Extract
from cds.store.resource_plan import Sizes
from cds.store.resource_search import Found, stored
from cds.store.resource_sight import SHARED, Sight, sight

_FIND = tuple(RESOURCE.c[name] for name in ("version", "type", "patient_id", "made_by", "study_uid", "is_current"))
_READ = (RESOURCE.c.type, RESOURCE.c.id, RESOURCE.c.version, RESOURCE.c.last_updated, RESOURCE.c.body)
_SIZES = Sizes()


class SqlResourceStore:
    """The tables of resources and of what they are searched by.

    `hidden` names what is switched off now ("model:x", "pathway:y"): what rests on it is not served, as if it were
    not there. Nor is what holds of a study that is in doubt since a moment ago. `edition` is that of the search
    parameters: what an earlier one indexed is not searched, but said to be `Unavailable` until it is indexed again.
    """

    def __init__(
        self,
        database: Database,
        hidden: Callable[[], Collection[str]] = frozenset,
        edition: int = 0,
        *,
        sizes: Sizes = _SIZES,
    ) -> None:
        self._database = database
        self._sizes = sizes
        self._hidden = hidden
        self._edition = edition

    def read(self, resource_type: str, resource_id: str, *, compartment: str | None = None) -> StoredResource:
        """See the port."""
        with self._database.reading() as session:
            row = _current(session, resource_type, resource_id, sight(session, self._hidden(), compartment))
            return _version(session, resource_type, resource_id, row.version)

    def vread(
        self, resource_type: str, resource_id: str, version: int, *, compartment: str | None = None
    ) -> StoredResource:
        """See the port. A resource whose current version is hidden has no versions."""
        with self._database.reading() as session:
            seen = sight(session, self._hidden(), compartment)
            _current(session, resource_type, resource_id, seen)
            row = session.execute(_versions(resource_type, resource_id).where(RESOURCE.c.version == version)).first()
            if row is None or not seen.sees(row):
                raise NotFound("no such resource version")
            return _version(session, resource_type, resource_id, version)

    def history(
        self,
        resource_type: str,
        resource_id: str,
        *,
        count: int = 50,
        before: int | None = None,
        compartment: str | None = None,
    ) -> ResourcePage:
        """See the port. A resource whose current version is hidden has no history; hidden versions are left out."""
        r = RESOURCE
        with self._database.reading() as session:
            seen = sight(session, self._hidden(), compartment)
            _current(session, resource_type, resource_id, seen)
            of = [r.c.type == resource_type, r.c.id == resource_id, *replace(seen, doubted=()).linked(r)]
            total = session.execute(sa.select(sa.func.count()).select_from(r).where(*of)).scalar_one()
            older = [] if before is None else [r.c.version < before]
            page = sa.select(*_READ).where(*of, *older).order_by(r.c.version.desc()).limit(count + 1)
            versions = [StoredResource(*row) for row in session.execute(page)] if count else []
        more = len(versions) > count
        kept = versions[:count]
        return ResourcePage(tuple(kept), total, str(kept[-1].version) if more else None)

    def search(self, query: ResourceQuery) -> ResourcePage:
        """See the port; raise Unavailable while resources of the types that are asked for wait to be indexed."""
        with self._database.reading() as session:
            seen = sight(session, self._hidden(), query.compartment)
            self._check(session, _searched(query))
            own = replace(seen, patient_id=None) if query.type == SHARED else seen
            found = resource_search.find(session, query, own, self._sizes)
            found, along = _with_included(session, query.includes, found, seen)
            return _page(session, found, along)

    def everything(
        self,
        patient_id: str,
        *,
        types: Sequence[str] = (),
        since: datetime | None = None,
        count: int = 50,
        after: str | None = None,
    ) -> ResourcePage:
        """See the port. What is shared comes last; raise Unavailable while something of hers waits to be indexed."""
        asked = Asked(patient_id, tuple(types), since, count)
        with self._database.reading() as session:
            self._check(session, (), patient_id)
            found = resource_everything.find(session, asked, sight(session, self._hidden()), after)
            return _page(session, found, ())

    def reindex(self, extract: Extract, edition: int, limit: int = 200) -> int:
        """See `resource_index.reindex`: to be called until it answers 0."""
        return resource_index.reindex(self._database, extract, edition, limit)

    def _check(self, session: Session, types: Collection[str], patient_id: str | None = None) -> None:
        r = RESOURCE.c
        of = r.type.in_(sorted(types)) if patient_id is None else r.patient_id == patient_id
        if self._edition == 0 or not (types or patient_id):
            return
        waiting = sa.select(r.number).where(of, r.is_current, r.indexed < self._edition).limit(1)
        if session.execute(waiting).first() is not None:
            raise Unavailable("the resources are being indexed for search: ask again in some minutes")


def _searched(query: ResourceQuery) -> set[str]:
    """The types whose index a query asks."""
    types = {include.source for include in query.includes}
    types |= {criterion.chain[0] for criterion in query.criteria if criterion.chain}
    by_index = any(criterion.param not in OF_RESOURCE for criterion in query.criteria)
    return types | ({query.type} if by_index or query.sort.param not in OF_RESOURCE else set())


def _versions(resource_type: str, resource_id: str) -> sa.Select[Any]:
    return sa.select(*_FIND).where(RESOURCE.c.type == resource_type, RESOURCE.c.id == resource_id)


def _current(session: Session, resource_type: str, resource_id: str, seen: Sight) -> Any:
    newest = _versions(resource_type, resource_id).order_by(RESOURCE.c.version.desc()).limit(1)
    row = session.execute(newest).first()
    if row is None or not seen.sees(row):
        raise NotFound("no such resource")
    return row


def _version(session: Session, resource_type: str, resource_id: str, version: int) -> StoredResource:
    r = RESOURCE.c
    found = sa.select(*_READ).where(r.type == resource_type, r.id == resource_id, r.version == version)
    return StoredResource(*session.execute(found).one())


def _with_included(
    session: Session, includes: Sequence[Include], found: Found, seen: Sight
) -> tuple[Found, Sequence[int]]:
    """A page that would bring too much along becomes shorter: the next one goes on from there."""
    while includes:
        numbers = [place.number for place in found.places]
        along = included(session, includes, numbers, seen)
        if along is not None:
            return found, along
        if len(numbers) == 1:
            raise InvalidResource(f"_include and _revinclude would bring more than {MOST} resources along: search them")
        half = found.places[: len(numbers) // 2]
        found = Found(half, more=True, total=found.total)
    return found, ()


def _page(session: Session, found: Found, along: Iterable[int]) -> ResourcePage:
    numbers, others = [place.number for place in found.places], list(along)
    bodies = stored(session, [*numbers, *others])
    cursor = found.places[-1].text if found.more else None
    return ResourcePage(
        tuple(bodies[number] for number in numbers), found.total, cursor, tuple(bodies[number] for number in others)
    )

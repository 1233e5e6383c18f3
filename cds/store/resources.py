"""Read, vread, history and search over the emitted FHIR resources. Implements `cds.ports.ResourceStore`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.resource import ResourcePage, ResourceQuery, StoredResource
from cds.errors import InvalidResource, NotFound
from cds.store.engine import Database
from cds.store.tables import ResourceIdentifierRow, ResourceRow, StudyRow, UtcDateTime

_COMPARE = {
    "eq": lambda column, at: column == at,
    "gt": lambda column, at: column > at,
    "ge": lambda column, at: column >= at,
    "lt": lambda column, at: column < at,
    "le": lambda column, at: column <= at,
}


class SqlResourceStore:
    """The resource table. Paging is by key, so a page costs the same at the first and at the millionth row.

    `hidden` names what is switched off now ("model:x", "pathway:y"): what rests on it is not served, as if it were
    not there. Nor is what holds of a study that is in doubt since a moment ago.
    """

    def __init__(self, database: Database, hidden: Callable[[], Collection[str]] = frozenset) -> None:
        self._database = database
        self._hidden = hidden

    def read(self, resource_type: str, resource_id: str) -> StoredResource:
        """See the port."""
        return self.history(resource_type, resource_id)[0]

    def vread(self, resource_type: str, resource_id: str, version: int) -> StoredResource:
        """See the port."""
        hidden = self._hidden()
        with self._database.reading() as session:
            row = session.get(ResourceRow, (resource_type, resource_id, version))
            if row is None or _rests_on(row, hidden) or _stands(row, _doubted(session)):
                raise NotFound("no such resource version")
            return _stored(row)

    def history(self, resource_type: str, resource_id: str) -> Sequence[StoredResource]:
        """See the port. A resource whose current version is hidden has no history; hidden versions are left out."""
        hidden = self._hidden()
        with self._database.reading() as session:
            rows = session.exec(
                select(ResourceRow)
                .where(ResourceRow.type == resource_type, ResourceRow.id == resource_id)
                .order_by(col(ResourceRow.version).desc())
            ).all()
            doubted = _doubted(session) if rows else frozenset[str]()
        if not rows or _rests_on(rows[0], hidden) or _stands(rows[0], doubted):
            raise NotFound("no such resource")
        return [_stored(row) for row in rows if not _rests_on(row, hidden)]

    def search(self, query: ResourceQuery) -> ResourcePage:
        """See the port."""
        after = _after(query.after) if query.after else None
        with self._database.reading() as session:
            where = [*_conditions(query), *_visible(self._hidden()), *_sure(_doubted(session))]
            page = select(ResourceRow).where(*where).order_by(col(ResourceRow.last_updated), col(ResourceRow.id))
            if after is not None:
                page = page.where(sa.tuple_(col(ResourceRow.last_updated), col(ResourceRow.id)) > after)
            total = session.exec(select(sa.func.count()).select_from(ResourceRow).where(*where)).one()
            rows = session.exec(page.limit(query.count + 1)).all() if query.count else []
        more = len(rows) > query.count
        kept = rows[: query.count]
        return ResourcePage(tuple(map(_stored, kept)), total, _cursor(kept[-1]) if more else None)


def _rests_on(row: ResourceRow, names: Collection[str]) -> bool:
    return not set(names).isdisjoint(row.made_by.split())


def _doubted(session: Session) -> frozenset[str]:
    """The studies that are stopped, or whose images contradict each other and nobody decided: few, found by index."""
    stopped = select(StudyRow.uid).where(col(StudyRow.stopped) > "")
    contradicting = select(StudyRow.uid).where(col(StudyRow.contradiction) > "", StudyRow.decided == "")
    return frozenset((*session.exec(stopped), *session.exec(contradicting)))


def _stands(row: ResourceRow, doubted: Collection[str]) -> bool:
    """True for what still claims to hold of a doubted study: its withdrawal is a moment away, and is then served."""
    return bool(row.made_by) and row.is_current and row.study_uid in doubted


def _sure(doubted: Collection[str]) -> list[sa.ColumnElement[bool]]:
    if not doubted:
        return []
    whose = col(ResourceRow.study_uid)
    return [sa.or_(col(ResourceRow.made_by) == "", whose.is_(None), whose.not_in(sorted(doubted)))]


def _visible(hidden: Collection[str]) -> list[sa.ColumnElement[bool]]:
    return [~col(ResourceRow.made_by).contains(f" {name} ", autoescape=True) for name in sorted(hidden)]


def _conditions(query: ResourceQuery) -> list[sa.ColumnElement[bool]]:
    where: list[Any] = [ResourceRow.type == query.type, col(ResourceRow.is_current).is_(True)]
    if query.patient_id is not None:
        where.append(ResourceRow.patient_id == query.patient_id)
    for prefix, at in query.last_updated:
        where.append(_COMPARE[prefix](col(ResourceRow.last_updated), at))
    if query.identifier is not None:
        system, value = query.identifier
        match = sa.and_(
            col(ResourceIdentifierRow.type) == ResourceRow.type,
            col(ResourceIdentifierRow.id) == ResourceRow.id,
            col(ResourceIdentifierRow.value) == value,
            sa.true() if system is None else col(ResourceIdentifierRow.system) == system,
        )
        where.append(sa.exists().where(match))
    return where


def _cursor(row: ResourceRow) -> str:
    return base64.urlsafe_b64encode(f"{row.last_updated.isoformat()} {row.id}".encode()).decode().rstrip("=")


def _after(cursor: str) -> sa.Tuple:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, resource_id = text.split(" ")
        moment = datetime.fromisoformat(at)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidResource("the page cursor is not one that this server gave") from None
    return sa.tuple_(sa.literal(moment, UtcDateTime()), sa.literal(resource_id))


def _stored(row: ResourceRow) -> StoredResource:
    return StoredResource(row.type, row.id, row.version, row.last_updated, row.body)

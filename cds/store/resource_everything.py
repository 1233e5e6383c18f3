"""Everything of one patient (R4 patient-operation-everything): hers as it changed, then what those refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from cds.domain.search import Sort
from cds.errors import NotFound
from cds.store import resource_cursor
from cds.store.resource_cursor import Cursor
from cds.store.resource_index import INDEX, RESOURCE, milliseconds, moment
from cds.store.resource_search import Found
from cds.store.resource_sight import SHARED, Sight

#: By which a page begins in the second part: the first is over.
_SORT = Sort("_id")
_HERS, _SHARED = "hers", "shared"


@dataclass(frozen=True, slots=True)
class Asked:
    """The patient, the types that are wanted (all: none), since when, how many on a page."""

    patient_id: str
    types: tuple[str, ...]
    since: datetime | None
    count: int


def find(session: Session, asked: Asked, sight: Sight, after: str | None) -> Found:
    """One page; raise NotFound where the patient is not there."""
    part, cursor = _read(after)
    _check(session, asked.patient_id, sight)
    limit = asked.count + 1
    places: list[Cursor] = []
    if part == _HERS:
        places = _places(session, _hers(asked, sight), _HERS, cursor, limit)
        cursor = None
    if len(places) < limit and (not asked.types or SHARED in asked.types):
        places += _places(session, _shared(session, asked, sight), _SHARED, cursor, limit - len(places))
    more = len(places) > asked.count
    total = len(places) if after is None and not more and asked.count else None
    return Found(tuple(places[: asked.count]), more, total)


def _read(after: str | None) -> tuple[str, tuple[datetime, int] | None]:
    """The key of a cursor says the part and the moment: "hers 1772352000000"."""
    cursor = resource_cursor.read(after, _SORT)
    if cursor is None:
        return _HERS, None
    part, _, at = str(cursor.key).partition(" ")
    if part not in (_HERS, _SHARED) or not at.isascii() or not at.isdigit():
        raise resource_cursor.refused()
    return part, (moment(int(at)), cursor.number)


def _check(session: Session, patient_id: str, sight: Sight) -> None:
    r = RESOURCE
    there = sa.select(r.c.number).where(
        r.c.type == "Patient", r.c.id == patient_id, r.c.is_current, *sight.visible(r)
    )  # fmt: skip
    if session.execute(there).first() is None:
        raise NotFound("no such resource")


def _hers(asked: Asked, sight: Sight) -> sa.Select[Any]:
    r = RESOURCE
    where = [r.c.patient_id == asked.patient_id, r.c.is_current, *sight.visible(r)]
    if asked.types:
        where.append(sa.func.coalesce(r.c.type, "").in_(asked.types))
    if asked.since is not None:
        where.append(r.c.last_updated >= asked.since)
    return sa.select(r.c.last_updated, r.c.number).where(*where)


def _shared(session: Session, asked: Asked, sight: Sight) -> sa.Select[Any]:
    """What hers refer to of what is nobody's: few, as models are."""
    e, h, r = INDEX.alias(), RESOURCE.alias(), RESOURCE
    start = f"{SHARED}/"
    refer = (
        sa.select(sa.func.substr(e.c.value, len(start) + 1))
        .join_from(h, e, e.c.resource == h.c.number)
        .where(h.c.patient_id == asked.patient_id, h.c.is_current, *sight.visible(h))
        .where(e.c.value.startswith(start, autoescape=True))
        .distinct()
    )
    ids = session.execute(refer).scalars().all()
    where = [r.c.type == SHARED, r.c.id.in_(ids), r.c.is_current, *sight.visible(r)]
    if asked.since is not None:
        where.append(r.c.last_updated >= asked.since)
    return sa.select(r.c.last_updated, r.c.number).where(*where)


def _places(
    session: Session, statement: sa.Select[Any], part: str, cursor: tuple[datetime, int] | None, limit: int
) -> list[Cursor]:
    r = RESOURCE.c
    if cursor is not None:
        at = sa.tuple_(sa.literal(cursor[0], r.last_updated.type), sa.literal(cursor[1], sa.BigInteger()))
        statement = statement.where(sa.tuple_(r.last_updated, r.number) > at)
    found: Sequence[Any] = session.execute(statement.order_by(r.last_updated, r.number).limit(limit)).all()
    return [Cursor(f"{part} {milliseconds(row.last_updated)}", row.number) for row in found]

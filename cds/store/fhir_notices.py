"""What FHIR servers told and is not worked off yet: kept before they get their answer, and in its order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.fhir_news import Found
from cds.domain.hold import HoldKind
from cds.domain.subscription import Notice, NoticeKind
from cds.errors import Conflict
from cds.store import holds
from cds.store.engine import Database, lock
from cds.store.fhir_tables import NEVER, NoticeRow, SeenResourceRow
from cds.store.tables import HoldRow

_HOLD = "notice:"
#: How the keys of holds begin that are about what was pushed: there is no notice of it.
PUSHED = "pushed:"
_VERSION = "/_history/"


class NoticeQueue:
    """The notices of all servers, apart from what becomes of the resources that they name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, server: str, now: datetime, limit: int = 100) -> Sequence[Notice]:
        """What is to be done now, in the order of its arrival; what is held waits for a person."""
        asked = select(NoticeRow).where(
            NoticeRow.server == server, col(NoticeRow.not_before) <= now, col(NoticeRow.held).is_(False)
        )
        with self._database.reading() as session:
            return [told(row) for row in session.exec(asked.order_by(col(NoticeRow.id)).limit(limit))]

    def looks(self, server: str, resource_type: str) -> Sequence[int]:
        """The ids of all notices that one look answers: those that are committed before it."""
        asked = select(NoticeRow.id).where(
            NoticeRow.server == server,
            NoticeRow.kind == NoticeKind.LOOK.value,
            NoticeRow.resource_type == resource_type,
        )
        with self._database.reading() as session:
            return [one for one in session.exec(asked) if one is not None]

    def done(self, ids: Sequence[int]) -> None:
        """These are worked off."""
        with self._database.writing() as session:
            session.execute(sa.delete(NoticeRow).where(col(NoticeRow.id).in_(ids)))

    def instead(self, notice: Notice, others: Sequence[Notice], now: datetime) -> None:
        """Put others in the place of one, at once; nothing happens where it is worked off."""
        with self._database.writing() as session:
            row = session.get(NoticeRow, notice.id, with_for_update=True)
            if row is not None:
                session.delete(row)
                add(session, others, now)

    def later(self, notice: Notice, at: datetime, *, all_of_server: bool) -> None:
        """An attempt failed: try again then; with `all_of_server` nothing of the server is tried before."""
        mine = sa.update(NoticeRow).where(col(NoticeRow.id) == notice.id)
        others = sa.update(NoticeRow).where(col(NoticeRow.server) == notice.server, col(NoticeRow.not_before) < at)
        with self._database.writing() as session:
            session.execute(mine.values(attempts=NoticeRow.attempts + 1, not_before=at))
            if all_of_server:
                session.execute(others.values(not_before=at))

    def hold(self, notice: Notice, reason: str, now: datetime) -> None:
        """A person has to look at it."""
        with self._database.writing() as session:
            row = session.get(NoticeRow, notice.id, with_for_update=True)
            if row is not None and not row.held:
                _hold(session, row, reason, now)

    def waiting(self, limit: int = 1000) -> Sequence[tuple[Notice, bool]]:
        """What is not worked off, oldest first and without bodies, each with whether it is held for a person."""
        without = [column for column in sa.inspect(NoticeRow).columns if column.name != "body"]
        asked = sa.select(*without).order_by(col(NoticeRow.id)).limit(limit)
        with self._database.reading() as session:
            rows = [NoticeRow(**row) for row in session.execute(asked).mappings()]
        return [(told(row), row.held) for row in rows]

    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """See `standing`."""
        with self._database.reading() as session:
            return standing(session)


def standing(session: Session) -> dict[tuple[str, str], tuple[int, int]]:
    """(server, resource type) → how many wait, and how many are held for a person."""
    of = (col(NoticeRow.server), col(NoticeRow.resource_type), col(NoticeRow.held))
    asked = select(NoticeRow.server, NoticeRow.resource_type, NoticeRow.held, sa.func.count()).group_by(*of)
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for server, resource_type, held, count in session.exec(asked):
        waiting, already = found.get((server, resource_type), (0, 0))
        found[server, resource_type] = (waiting, already + count) if held else (waiting + count, already)
    return found


def add(session: Session, notices: Sequence[Notice], now: datetime) -> None:
    """Keep notices, in their order."""
    for notice in notices:
        session.add(
            NoticeRow(
                server=notice.server,
                kind=notice.kind.value,
                resource_type=notice.resource_type,
                reference=notice.reference,
                body=notice.body,
                subscription=notice.subscription,
                first=notice.first,
                last=notice.last,
                received_at=now,
                not_before=now,
            )
        )
        session.flush()


def add_found(session: Session, server: str, found: Sequence[Found], now: datetime) -> int:
    """Keep what of a page is neither taken nor waits; answers how many."""
    lock(session, "fhir-notices", server)
    known = _known(session, server, found)
    fresh = {one.reference: one for one in found if one.reference not in known}
    resource = NoticeKind.RESOURCE
    add(session, [Notice(0, server, resource, o.type, o.reference, o.body) for o in fresh.values()], now)
    return len(fresh)


def _known(session: Session, server: str, found: Sequence[Found]) -> set[str]:
    references = {one.reference for one in found}
    waits = select(NoticeRow.reference).where(NoticeRow.server == server, col(NoticeRow.reference).in_(references))
    seen = select(SeenResourceRow).where(
        SeenResourceRow.server == server, col(SeenResourceRow.id).in_({one.id for one in found})
    )
    taken = {f"{row.type}/{row.id}{_VERSION}{row.version}" for row in session.exec(seen)}
    return taken | set(session.exec(waits))


def told(row: NoticeRow) -> Notice:
    """The notice of a row."""
    return Notice(
        id=row.id or 0,
        server=row.server,
        kind=NoticeKind(row.kind),
        resource_type=row.resource_type,
        reference=row.reference,
        body=row.body,
        subscription=row.subscription,
        first=row.first,
        last=row.last,
        attempts=row.attempts,
        received_at=row.received_at,
    )


def hold_found(
    session: Session, notice: Notice, found: Found, reason: str, now: datetime, *, study_uid: str | None
) -> None:
    """A person has to look at a version, once; what it says is read again then, with what it refers to.

    Nobody has to look at its earlier versions any more.
    """
    row = session.get(NoticeRow, notice.id, with_for_update=True)
    if row is None:
        return
    for other in _versions(session, notice.server, found):
        if other.held and other.reference == found.reference:
            session.delete(row)
            return
        if other.held:
            _end_hold(session, other, now)
            session.delete(other)
    row.reference = found.reference
    _hold(session, row, reason, now, study_uid=study_uid)


def _hold(session: Session, row: NoticeRow, reason: str, now: datetime, *, study_uid: str | None = None) -> None:
    row.held, row.attempts = True, row.attempts + 1
    session.add(row)
    key, named = f"{_HOLD}{row.id}@{now.isoformat()}", f"notice-{row.id}"
    holds.put(session, key, HoldKind.NOTICE_FAILED, reason, now, study_uid=study_uid, work_id=named)


def _versions(session: Session, server: str, found: Found) -> Sequence[NoticeRow]:
    """The notices of the versions of a resource."""
    versions = col(NoticeRow.reference).startswith(f"{found.type}/{found.id}{_VERSION}", autoescape=True)
    return session.exec(select(NoticeRow).where(NoticeRow.server == server, versions)).all()


def remove(session: Session, notice: Notice, found: Found, now: datetime) -> None:
    """A version was taken: its notices are worked off, and so is what a person was asked about its earlier versions.

    What only says that there is something new keeps waiting: it may mean a later version.
    """
    for row in _versions(session, notice.server, found):
        is_earlier = row.held and (row.id or 0) < notice.id
        if is_earlier:
            _end_hold(session, row, now)
        if is_earlier or row.reference == found.reference:
            session.delete(row)
    session.flush()
    session.execute(sa.delete(NoticeRow).where(col(NoticeRow.id) == notice.id))


def _end_hold(session: Session, row: NoticeRow, now: datetime) -> None:
    """Nobody has to decide any more what a newer version says."""
    for hold in _holds(session, row.id):
        hold.resolved_at, hold.resolution = now, "a newer version was taken"
        session.add(hold)


def _holds(session: Session, notice_id: int | None) -> Collection[HoldRow]:
    mine = select(HoldRow).where(
        col(HoldRow.key).startswith(f"{_HOLD}{notice_id}@"), col(HoldRow.resolved_at).is_(None)
    )
    return session.exec(mine).all()


# --- what a person decides about one that is held


def again_by_person(session: Session, hold_key: str, now: datetime) -> bool:
    """The notice that a hold is about is tried anew; False where it is worked off, Conflict where there was none."""
    if hold_key.startswith(PUSHED):
        raise Conflict("it was pushed to us: its sender has to send it again")
    row = _of_hold(session, hold_key)
    if row is None:
        return False
    row.held, row.attempts, row.not_before = False, 0, now
    session.add(row)
    return True


def give_up(session: Session, hold_key: str) -> None:
    """The notice that a hold is about is not wanted any more, and a look does not bring it back."""
    row = _of_hold(session, hold_key)
    if row is None:
        return
    at, _, version = row.reference.partition(_VERSION)
    resource_type, _, resource_id = at.partition("/")
    if version:
        session.merge(SeenResourceRow(server=row.server, type=resource_type, id=resource_id, version=version, at=NEVER))
    session.delete(row)


def _of_hold(session: Session, hold_key: str) -> NoticeRow | None:
    number = hold_key.removeprefix(_HOLD).partition("@")[0]
    return session.get(NoticeRow, int(number), with_for_update=True) if number.isdigit() else None

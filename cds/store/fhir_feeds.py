"""How far other FHIR servers were read, and which worker listens to one. Implements `cds.listening.parts.Feeds`."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.fhir_news import Feed, Found
from cds.store import fhir_notices
from cds.store.engine import Database, lock
from cds.store.fhir_tables import NEVER, FhirFeedRow, SeenResourceRow

#: Prolonging a claim costs a commit.
_NEARLY = timedelta(seconds=5)
#: The row of a server that stands for its whole: who listens to it.
_ALL = ""


class FeedStore:
    """The feeds of all servers; one instance for each worker, whose claims it holds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._claims: dict[str, datetime] = {}

    def claim(self, server: str, now: datetime, until: datetime) -> bool:
        """See Feeds. A claim of a worker that died ends by itself."""
        until += timedelta(microseconds=secrets.randbelow(1000))  # nobody else's claim is the same
        with self._database.writing() as session:
            row = _locked(session, server, _ALL)
            if row.busy_until is not None and now < row.busy_until:
                return False
            row.busy_until = until
            session.add(row)
        self._claims[server] = until
        return True

    def keep(self, server: str, until: datetime) -> None:
        """See Feeds. Nothing happens where another worker has taken over, or where that is true as good as already."""
        if server in self._claims and until - self._claims[server] < _NEARLY:
            return
        with self._database.writing() as session:
            row = _locked(session, server, _ALL)
            if row.busy_until == self._claims.get(server):
                row.busy_until = self._claims[server] = until
                session.add(row)

    def release(self, server: str) -> None:
        """See Feeds."""
        mine = self._claims.pop(server, None)
        with self._database.writing() as session:
            row = _locked(session, server, _ALL)
            if mine is not None and row.busy_until == mine:
                row.busy_until = None
                session.add(row)

    def of(self, server: str) -> Sequence[Feed]:
        """See Feeds."""
        return [feed for feed in feeds(self._database) if feed.server == server]

    def begin(self, server: str, resource_type: str, now: datetime, *, first: datetime) -> datetime:
        """See Feeds."""
        with self._database.writing() as session:
            row = _locked(session, server, resource_type)
            row.looked_at, row.read_up_to = now, row.read_up_to or first
            session.add(row)
            return row.read_up_to

    def page(
        self, server: str, found: Sequence[Found], *, resource_type: str, up_to: datetime | None, now: datetime
    ) -> int:
        """See Feeds."""
        with self._database.writing() as session:
            row = _locked(session, server, resource_type)
            kept = fhir_notices.add_found(session, server, found, now)
            _advance(row, up_to)
            row.looked_at = now
            session.add(row)
            return kept

    def answered(
        self, server: str, resource_type: str, *, up_to: datetime | None, forget_before: datetime, now: datetime
    ) -> None:
        """See Feeds."""
        old = sa.delete(SeenResourceRow).where(
            col(SeenResourceRow.server) == server,
            col(SeenResourceRow.type) == resource_type,
            col(SeenResourceRow.at) < forget_before,
            col(SeenResourceRow.at) > NEVER,
        )
        with self._database.writing() as session:
            row = _locked(session, server, resource_type)
            _advance(row, up_to)
            row.answered_at, row.failures, row.error = now, 0, ""
            session.add(row)
            session.execute(old)

    def failed(self, server: str, resource_type: str, error: str) -> None:
        """See Feeds."""
        with self._database.writing() as session:
            row = _locked(session, server, resource_type)
            row.failures, row.error = row.failures + 1, error
            session.add(row)


def feeds(database: Database) -> Sequence[Feed]:
    """All of them, by server and type."""
    with database.reading() as session:
        return read(session)


def read(session: Session) -> list[Feed]:
    """All of them, by server and type."""
    rows = session.exec(
        select(FhirFeedRow).where(FhirFeedRow.type != _ALL).order_by(col(FhirFeedRow.server), col(FhirFeedRow.type))
    ).all()
    return [Feed(r.server, r.type, r.read_up_to, r.looked_at, r.answered_at, r.failures, r.error) for r in rows]


def _locked(session: Session, server: str, resource_type: str) -> FhirFeedRow:
    lock(session, "fhir-feed", server, resource_type)
    row = session.get(FhirFeedRow, (server, resource_type), populate_existing=True)
    return row or FhirFeedRow(server=server, type=resource_type)


def _advance(row: FhirFeedRow, up_to: datetime | None) -> None:
    """The cursor moves on, never back."""
    if up_to is not None and (row.read_up_to is None or up_to > row.read_up_to):
        row.read_up_to = up_to

"""Subscriptions at other FHIR servers as we know them. Implements `cds.listening.parts.Kept`.

Of a secret the SHA-256 alone is kept: it has 256 random bits, so that nothing slower is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import cast

from sqlmodel import Session, col, select

from cds.domain.notification import Notification, judge
from cds.domain.subscription import Notice, Subscription, SubscriptionKind, SubscriptionState
from cds.errors import NotFound, Unauthorized
from cds.store import fhir_notices
from cds.store.engine import Database, lock
from cds.store.fhir_tables import SubscriptionRow

#: What `secrets.token_urlsafe` writes.
_ID = re.compile(r"[A-Za-z0-9_\-]{1,64}")


class SubscriptionStore:
    """The subscriptions at all servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, server: str) -> Sequence[Subscription]:
        """Those of a server, by type."""
        return [one for one in subscriptions(self._database) if one.server == server]

    def want(self, server: str, resource_type: str, kind: SubscriptionKind, now: datetime) -> Subscription:
        """The one for a type of resource, whatever its kind; made where there is none."""
        with self._database.writing() as session:
            lock(session, "subscription-of", server, resource_type)
            asked = select(SubscriptionRow).where(
                SubscriptionRow.server == server, SubscriptionRow.resource_type == resource_type
            )
            row = session.exec(asked).first() or _new(server, resource_type, kind, now)
            session.add(row)
            return told(row)

    def change(
        self,
        subscription_id: str,
        change: Callable[[Subscription], Subscription],
        now: datetime,
        notices: Sequence[Notice] = (),
    ) -> Subscription | None:
        """Change one as it is at this moment, and add notices; None where it is not there any more."""
        with self._database.writing() as session:
            row = _locked(session, subscription_id)
            if row is None:
                return None
            _write(session, row, change(told(row)))
            fhir_notices.add(session, notices, now)
            return told(row)

    def tell(self, subscription_id: str, said: Notification, now: datetime) -> None:
        """What the server answered when we asked; nothing happens to one that is not there any more."""
        with self._database.writing() as session:
            row = _locked(session, subscription_id)
            if row is not None:
                _judge(session, row, said, now)

    def secret(self, subscription_id: str, secret: str, *, renewing: bool) -> None:
        """Accept this secret from now on, `renewing` beside the one that the server has; digests are kept."""
        with self._database.writing() as session:
            row = _locked(session, subscription_id)
            if row is None:
                return
            if renewing and not row.renewing:  # else the one that was to take its place never got there
                row.former_sha256 = row.secret_sha256
            row.secret_sha256, row.renewing = digest(secret), renewing
            session.add(row)

    def begin_again(self, subscription_id: str, now: datetime) -> Subscription:
        """Another one in its place, under another address: what still notifies the old one is not heard."""
        with self._database.writing() as session:
            old = _locked(session, subscription_id)
            if old is None:
                raise NotFound("there is no such subscription any more")
            fresh = _new(old.server, old.resource_type, _kind(old), now)
            fresh.updated_at, fresh.failures, fresh.error = old.updated_at, old.failures, old.error
            session.delete(old)
            session.flush()
            session.add(fresh)
            return told(fresh)

    def forget(self, subscription_id: str) -> None:
        """It is not wanted any more."""
        with self._database.writing() as session:
            row = _locked(session, subscription_id)
            if row is not None:
                session.delete(row)

    # --- for whoever is notified

    def authorized(self, subscription_id: str, secret: str) -> Subscription:
        """The subscription whose secret this is; raise Unauthorized, which does not say what is wrong."""
        if not _ID.fullmatch(subscription_id):
            raise Unauthorized
        with self._database.reading() as session:
            row = session.get(SubscriptionRow, subscription_id)
            return told(_proven(row, secret))

    def receive(self, subscription_id: str, secret: str, said: Notification, now: datetime) -> None:
        """Keep what a notification says, at once and before it is answered; raise Unauthorized.

        The first that shows the newest secret ends the one before.
        """
        with self._database.writing() as session:
            row = _proven(_locked(session, subscription_id), secret)
            if _is(row.secret_sha256, secret):
                row.former_sha256, row.renewing = "", False
            _judge(session, row, said, now)


def subscriptions(database: Database) -> Sequence[Subscription]:
    """All of them, by server and type."""
    with database.reading() as session:
        return read(session)


def read(session: Session) -> list[Subscription]:
    """All of them, by server and type."""
    rows = select(SubscriptionRow).order_by(col(SubscriptionRow.server), col(SubscriptionRow.resource_type))
    return [told(row) for row in session.exec(rows)]


def digest(secret: str) -> str:
    """What of a secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


def told(row: SubscriptionRow) -> Subscription:
    """The subscription of a row."""
    return Subscription(
        id=row.id,
        server=row.server,
        resource_type=row.resource_type,
        kind=_kind(row),
        state=SubscriptionState(row.state),
        remote_id=row.remote_id,
        last_event=row.last_event,
        heard_at=row.heard_at,
        ends_at=row.ends_at,
        error=row.error,
        since=row.updated_at,
        failures=row.failures,
        due_at=row.due_at,
        renewing=row.renewing,
    )


def _kind(row: SubscriptionRow) -> SubscriptionKind:
    return cast("SubscriptionKind", row.kind)


def _new(server: str, resource_type: str, kind: SubscriptionKind, now: datetime) -> SubscriptionRow:
    return SubscriptionRow(
        id=secrets.token_urlsafe(16),
        server=server,
        resource_type=resource_type,
        kind=kind,
        state=SubscriptionState.WANTED.value,
        updated_at=now,
    )


def _locked(session: Session, subscription_id: str) -> SubscriptionRow | None:
    lock(session, "subscription", subscription_id)
    return session.get(SubscriptionRow, subscription_id, populate_existing=True)


def _judge(session: Session, row: SubscriptionRow, said: Notification, now: datetime) -> None:
    judged = judge(told(row), said, now)
    _write(session, row, judged.subscription)
    fhir_notices.add(session, judged.notices, now)


def _write(session: Session, row: SubscriptionRow, one: Subscription) -> None:
    """What may change of one; its secrets are written apart."""
    row.state, row.remote_id, row.last_event = one.state.value, one.remote_id, one.last_event
    row.heard_at, row.ends_at, row.error = one.heard_at, one.ends_at, one.error
    row.updated_at, row.failures, row.due_at = one.since or row.updated_at, one.failures, one.due_at
    row.renewing = one.renewing
    session.add(row)


def _proven(row: SubscriptionRow | None, secret: str) -> SubscriptionRow:
    """Compared in constant time, with something where there is no such subscription."""
    known = (row.secret_sha256, row.former_sha256) if row is not None else ("", "")
    matches = [_is(one, secret) for one in known]
    if row is None or not any(matches):
        raise Unauthorized
    return row


def _is(known: str, secret: str) -> bool:
    return hmac.compare_digest(known or "none", digest(secret))

"""Random keys of this installation, made at first use and the same on every role."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime

from sqlmodel import Session

from cds.store.engine import Database, lock
from cds.store.fhir_tables import OwnKeyRow

_BYTES = 32


def own_key(database: Database, name: str) -> bytes:
    """The 32 bytes of a key; whoever asks first makes it. Raise Unavailable where the database cannot be used."""
    with database.reading() as session:
        known = _read(session, name)
    if known is not None:
        return known
    with database.writing() as session:
        lock(session, "own key", name)
        known = _read(session, name)
        if known is None:
            known = secrets.token_bytes(_BYTES)
            value = base64.b64encode(known).decode()
            session.add(OwnKeyRow(name=name, value=value, created_at=datetime.now(UTC)))
    return known


def _read(session: Session, name: str) -> bytes | None:
    row = session.get(OwnKeyRow, name)
    return None if row is None else base64.b64decode(row.value)

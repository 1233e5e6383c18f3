"""Wiring of `cds identity`: the history of who is who, and taking a change back."""

from __future__ import annotations

from collections.abc import Sequence

from cds.bootstrap import stores
from cds.clock import SystemClock
from cds.domain.identity import AppliedIdentity
from cds.settings import Settings
from cds.store import patients
from cds.store.identity_undo import history, undo


def changes(settings: Settings, number: str | None = None) -> Sequence[AppliedIdentity]:
    """The changes of identity, oldest first: all, or those of everybody who has this identifier value."""
    database = stores(settings).database
    if number is None:
        return history(database)
    with database.reading() as session:
        ids = patients.with_number(session, number)
    found = {change.id: change for patient_id in ids for change in history(database, patient_id)}
    return [found[change_id] for change_id in sorted(found)]


def take_back(settings: Settings, change_id: int, by: str) -> None:
    """Undo a change; raise NotFound, or Conflict with the reason why it cannot be undone."""
    held, clock = stores(settings, durable=True), SystemClock(settings.time_zone)
    with held.database.writing() as session:
        undo(session, change_id, by, clock.now())

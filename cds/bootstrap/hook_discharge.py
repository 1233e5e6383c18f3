"""The hook at discharge, wired."""

from __future__ import annotations

from dataclasses import replace

from cds.domain.outstanding import Outstanding
from cds.hooks import HookContext
from cds.store.engine import Database
from cds.store.outstanding import outstanding


def with_outstanding(context: HookContext, database: Database) -> HookContext:
    """A hook context that knows what is not arranged yet for a patient."""

    def told(patient_id: str) -> Outstanding:
        return outstanding(database, patient_id, context.clock.now())

    return replace(context, outstanding=told)

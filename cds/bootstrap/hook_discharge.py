"""The hook at discharge, wired."""

from __future__ import annotations

from dataclasses import replace

from cds.domain.outstanding import Outstanding
from cds.hooks import HookContext, discharge_check, imaging_findings
from cds.settings import Settings
from cds.store.engine import Database
from cds.store.outstanding import outstanding


def with_outstanding(context: HookContext, settings: Settings, database: Database) -> HookContext:
    """A hook context that knows what is not arranged yet for a patient.

    The same pathways speak at discharge as when the patient is viewed, so that the same is asked.
    """

    def told(patient_id: str) -> Outstanding:
        return outstanding(database, patient_id, context.clock.now())

    asks = dict(context.asks)
    if imaging_findings.ID in asks:
        asks[discharge_check.ID] = asks[imaging_findings.ID]
    return replace(context, outstanding=told, asks=asks)

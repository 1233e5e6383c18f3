"""What became of the cards that CDS Hooks showed, by command."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cds.bootstrap import stores
from cds.domain.hook_stats import CardCount
from cds.settings import Settings
from cds.store import card_stats


def counted(settings: Settings, since: datetime) -> Sequence[CardCount]:
    """The cards that were shown or held back since then; raise ConfigurationError where there are no tables."""
    database = stores(settings).database
    try:
        return card_stats.stats(database, since)
    finally:
        database.dispose()

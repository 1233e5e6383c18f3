"""Image revisions that are over because nothing came for a while, by the product's own rules of completeness."""

from __future__ import annotations

from datetime import datetime, timedelta

from cds.domain.completeness import Rules
from cds.domain.revision import Work
from cds.store.completeness import Completeness
from cds.store.engine import Database
from cds.store.studies import StudyStore

_AT_ONCE = timedelta(0)
_FOREVER_S = 1e9


def close_quiet(database: Database, now: datetime, quiet_period: timedelta = _AT_ONCE) -> list[Work]:
    """Close the revisions that heard nothing for the quiet period, at a site without a PACS; answers their works."""
    rules = Rules(lambda modality: quiet_period.total_seconds(), _FOREVER_S, stat_per_series=False)
    return list(Completeness(database, rules, lambda issuers: False).close_complete(now))


class ClosingStudies(StudyStore):
    """The image index of a site, with the end of the quiet period at hand."""

    def __init__(self, database: Database, *, assigning_authority: str, accession_issuer: str) -> None:
        super().__init__(database, assigning_authority=assigning_authority, accession_issuer=accession_issuer)
        self.database = database

    def close_quiet(self, now: datetime, quiet_period: timedelta = _AT_ONCE) -> list[Work]:
        """See `close_quiet`."""
        return close_quiet(self.database, now, quiet_period)

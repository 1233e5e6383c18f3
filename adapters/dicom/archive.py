"""A PACS as `cds.ports.Archive`: one way to ask it and one way to fetch from it, whichever the settings say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cds.domain.retrieval import Fetched, RemoteInstance, RemoteSeries, RemoteStudy, StudyQuery


class Asker(Protocol):
    """QIDO-RS or C-FIND. What a PACS answers beyond the query is left out: it may ignore a key (PS3.4 C.4.1.1.3)."""

    def studies(self, query: StudyQuery) -> Sequence[RemoteStudy]:
        """See Archive.studies."""
        ...

    def series(self, study_instance_uid: str) -> Sequence[RemoteSeries]:
        """See Archive.series."""
        ...

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> Sequence[RemoteInstance]:
        """See Archive.instances."""
        ...


class Fetcher(Protocol):
    """WADO-RS, C-GET or C-MOVE."""

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> Fetched:
        """See Archive.fetch."""
        ...


@dataclass(frozen=True, slots=True)
class PacsArchive:
    """See the module. Raises what its asker and fetcher raise: Unavailable, PeerRefused, InvalidInput for a query."""

    name: str
    asker: Asker
    fetcher: Fetcher

    def studies(self, query: StudyQuery) -> Sequence[RemoteStudy]:
        """See the port."""
        return self.asker.studies(query)

    def series(self, study_instance_uid: str) -> Sequence[RemoteSeries]:
        """See the port."""
        return self.asker.series(study_instance_uid)

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> Sequence[RemoteInstance]:
        """See the port."""
        return self.asker.instances(study_instance_uid, series_instance_uid)

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> Fetched:
        """See the port."""
        return self.fetcher.fetch(series, missing)

"""What the steps of a retrieval are given: PACS, the index, the installed models, and where all of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cds.domain.identity import Identifier
from cds.domain.imaging import Study
from cds.domain.retrieval import Expected, Purpose, RemoteSeries, RemoteStudy, Retrieval, RetrievalState, StatedSeries
from cds.imaging_peers import PacsSource
from cds.ports import Archive, Clock, Switches


class Reader(Protocol):
    """An installed model, as retrieval sees it."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def modality(self) -> str:
        """The modality that it reads."""
        ...

    @property
    def priors(self) -> int:
        """With how many earlier studies it compares."""
        ...

    def why_not(self, series: RemoteSeries, sop_class_uids: Collection[str]) -> str | None:
        """Why it needs nothing of a series that a PACS states; None where it may."""
        ...

    def compares(self, study: RemoteStudy, series: RemoteSeries) -> bool:
        """True for a series of an earlier study that is known to show the body part that it reads."""
        ...


class Retrievals(Protocol):
    """Where retrievals, and what PACS said, are kept. Every write may be repeated."""

    def pending(self) -> Sequence[Retrieval]:
        """Those that the engine does not have yet, most urgent first."""
        ...

    def retrieval(self, retrieval_id: str) -> Retrieval:
        """One retrieval; raise NotFound where a later run took its place."""
        ...

    def want(
        self,
        study_uid: str = "",
        accession: Identifier | None = None,
        *,
        purpose: Purpose,
        announced: str = "",
        event: str = "",
        priority: int = 0,
        now: datetime,
    ) -> Retrieval | None:
        """Fetch a study; None where this event wanted it already."""
        ...

    def of_study(self, study_uid: str) -> Retrieval | None:
        """The newest run of a study's retrieval; None where it was never wanted."""
        ...

    def unfinished(self) -> Sequence[str]:
        """The ids of runs that the engine has and that did not end."""
        ...

    def mark(
        self,
        retrieval_id: str,
        state: RetrievalState,
        now: datetime,
        *,
        reason: str = "",
        source: str = "",
        study_uid: str = "",
    ) -> None:
        """Move a run to another state; nothing happens to one that ended."""
        ...

    def fail(self, retrieval_id: str, reason: str, now: datetime) -> None:
        """A run ends in vain: held for a person, unless nobody has announced what no PACS knows."""
        ...

    def tell(self, retrieval_id: str, outcome: str, now: datetime, *detail: str) -> None:
        """Write a line of the timeline."""
        ...

    def patient_of(self, retrieval: Retrieval) -> Expected:
        """Whose study it must be, as far as wires said."""
        ...

    def state(
        self, study_uid: str, source: str, series: Sequence[StatedSeries], now: datetime
    ) -> Sequence[StatedSeries]:
        """Keep what a PACS says of the series of a study; answers it with `agreed` as it is from now on."""
        ...

    def stated(self, study_uid: str) -> Sequence[StatedSeries]:
        """What was said of them last; `agreed` where it was the same twice."""
        ...

    def local(self, study_uid: str) -> Mapping[str, frozenset[str]]:
        """Series → SOP Instance UIDs that are here."""
        ...

    def link_prior(self, study_uid: str, prior_uid: str, source: str, now: datetime) -> bool:
        """An earlier study is compared with this one; False where that is known."""
        ...


@dataclass(frozen=True, slots=True)
class Retrieving:
    """Everything that the steps need."""

    clock: Clock
    archives: Sequence[Archive]
    #: Their settings, by their names.
    sources: Mapping[str, PacsSource]
    retrievals: Retrievals
    #: The SOP Instance UIDs that are here under a study, rejected ones too.
    known: Callable[[str], frozenset[str]]
    #: A study of the index; NotFound where nothing of it is here.
    study: Callable[[str], Study]
    readers: Sequence[Reader]
    switches: Switches
    #: The authority of patient identifiers that a PACS gives without one; "" where the site has none.
    assigning_authority: str
    count_interval_s: float

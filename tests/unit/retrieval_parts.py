"""What the tests of retrieval share: a PACS and the tables of retrieval, in memory, as their ports say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from cds.domain.identity import Identifier, Sex
from cds.domain.imaging import Study
from cds.domain.retrieval import (
    NOT_KNOWN,
    Expected,
    Fetched,
    Purpose,
    RemoteInstance,
    RemoteSeries,
    RemoteStudy,
    Retrieval,
    RetrievalState,
    StatedSeries,
    StudyQuery,
)
from cds.domain.switch import SwitchKind
from cds.errors import NotFound, SightlineError, Unavailable
from cds.imaging_peers import DicomNode, PacsSource
from cds.retrieving.parts import Reader, Retrieving

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CT, ENHANCED = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"
STUDY = "1.2.3"
INTERVAL_S = 10.0


@dataclass
class Clock:
    """Time that tests move."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def today(self) -> date:
        return self.at.date()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Pacs:
    """A PACS in memory. `error` is raised at every question, `breaks_after` lets so many instances through once."""

    name: str = "pacs"
    known: list[RemoteStudy] = field(default_factory=list)
    held: dict[str, list[RemoteSeries]] = field(default_factory=dict)
    images: dict[str, list[RemoteInstance]] = field(default_factory=dict)
    error: SightlineError | None = None
    breaks_after: int | None = None
    refuses: frozenset[str] = frozenset()
    index: Index | None = None
    lists_instances: bool = True
    asked: list[StudyQuery] = field(default_factory=list)
    fetched: list[tuple[str, int]] = field(default_factory=list)

    def add(self, study: RemoteStudy, *series: tuple[RemoteSeries, int]) -> None:
        """A study with series of so many instances."""
        self.known = [one for one in self.known if one.study_instance_uid != study.study_instance_uid] + [study]
        self.held[study.study_instance_uid] = [replace(one, instances=count) for one, count in series]
        for one, count in series:
            ids = [one.study_instance_uid, one.series_instance_uid]
            self.images[one.series_instance_uid] = [
                RemoteInstance(*ids, f"{one.series_instance_uid}.{number}", CT) for number in range(1, count + 1)
            ]

    def studies(self, query: StudyQuery) -> Sequence[RemoteStudy]:
        self._answer()
        self.asked.append(query)
        fits = [
            one
            for one in self.known
            if query.study_instance_uid in ("", one.study_instance_uid)
            and query.accession_number in ("", one.accession_number)
            and query.patient_id in ("", one.patient_id)
            and (not query.modality or query.modality in one.modalities)
            and (query.before is None or (one.study_date is not None and one.study_date < query.before))
        ]
        return sorted(fits, key=lambda one: one.study_date or date.min, reverse=True)

    def series(self, study_instance_uid: str) -> Sequence[RemoteSeries]:
        self._answer()
        return self.held.get(study_instance_uid, [])

    def instances(self, study_instance_uid: str, series_instance_uid: str) -> Sequence[RemoteInstance]:
        self._answer()
        return self.images.get(series_instance_uid, []) if self.lists_instances else ()

    def fetch(self, series: RemoteSeries, missing: Sequence[RemoteInstance]) -> Fetched:
        self._answer()
        assert self.index is not None
        wanted = list(missing) or self.images[series.series_instance_uid]
        self.fetched.append((series.series_instance_uid, len(wanted)))
        let_through, self.breaks_after = self.breaks_after, None
        for count, one in enumerate(wanted):
            if count == let_through:
                raise Unavailable("the PACS closed the connection")
            if one.sop_instance_uid not in self.refuses:
                self.index.put(one)
        failed = sum(one.sop_instance_uid in self.refuses for one in wanted)
        return Fetched(len(wanted) - failed, failed, ("cannot be read",) if failed else ())

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Index:
    """The instances that are here, and the studies that they make up."""

    here: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    rejected: dict[str, set[str]] = field(default_factory=dict)
    studies: dict[str, Study] = field(default_factory=dict)

    def put(self, one: RemoteInstance) -> None:
        study = self.here.setdefault(one.study_instance_uid, {})
        study.setdefault(one.series_instance_uid, set()).add(one.sop_instance_uid)

    def known(self, study_uid: str) -> frozenset[str]:
        here = self.here.get(study_uid, {}).values()
        return frozenset().union(*here, self.rejected.get(study_uid, set()))

    def study(self, uid: str) -> Study:
        if uid not in self.studies:
            raise NotFound("no such study")
        return self.studies[uid]


@dataclass
class MemoryRetrievals:
    """The tables of retrieval."""

    index: Index
    rows: dict[str, Retrieval] = field(default_factory=dict)
    said: dict[str, dict[str, StatedSeries]] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    held: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    expected: Expected = field(default_factory=Expected)
    events: set[tuple[str, str]] = field(default_factory=set)

    def pending(self) -> Sequence[Retrieval]:
        return [one for one in self.rows.values() if one.state is RetrievalState.PENDING]

    def retrieval(self, retrieval_id: str) -> Retrieval:
        if retrieval_id not in self.rows:
            raise NotFound("no such retrieval")
        return self.rows[retrieval_id]

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
        if event and (study_uid, event) in self.events:
            return None
        self.events.add((study_uid, event))
        made = Retrieval(study_uid, accession, purpose, announced=announced, priority=priority)
        self.rows[made.id] = made
        return made

    def of_study(self, study_uid: str) -> Retrieval | None:
        return next((one for one in self.rows.values() if one.study_instance_uid == study_uid), None)

    def unfinished(self) -> Sequence[str]:
        return [one.id for one in self.rows.values() if one.state is RetrievalState.RUNNING]

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
        row = self.rows[retrieval_id]
        uid = row.study_instance_uid or study_uid
        self.rows[retrieval_id] = replace(
            row, state=state, reason=reason, source=source or row.source, study_instance_uid=uid
        )

    def fail(self, retrieval_id: str, reason: str, now: datetime) -> None:
        self.mark(retrieval_id, RetrievalState.FAILED, now, reason=reason)
        if self.rows[retrieval_id].announced or not reason.startswith(NOT_KNOWN):
            self.held.append((retrieval_id, reason))

    def tell(self, retrieval_id: str, outcome: str, now: datetime, *detail: str) -> None:
        assert retrieval_id in self.rows
        self.told.append((outcome, detail))

    def patient_of(self, retrieval: Retrieval) -> Expected:
        return self.expected

    def state(
        self, study_uid: str, source: str, series: Sequence[StatedSeries], now: datetime
    ) -> Sequence[StatedSeries]:
        before = self.said.setdefault(study_uid, {})
        for one in series:
            uid = one.series.series_instance_uid
            last = before.get(uid)
            same = last is not None and last.series.instances == one.series.instances
            late_enough = last is not None and (now - last.asked_at).total_seconds() >= INTERVAL_S
            before[uid] = replace(one, agreed=same and (late_enough or (last is not None and last.agreed)))
        return [before[one.series.series_instance_uid] for one in series]

    def stated(self, study_uid: str) -> Sequence[StatedSeries]:
        return list(self.said.get(study_uid, {}).values())

    def local(self, study_uid: str) -> Mapping[str, frozenset[str]]:
        return {uid: frozenset(found) for uid, found in self.index.here.get(study_uid, {}).items()}

    def link_prior(self, study_uid: str, prior_uid: str, source: str, now: datetime) -> bool:
        self.links.append((study_uid, prior_uid, source))
        return True


@dataclass
class Switches:
    """What is off."""

    models: set[str] = field(default_factory=set)

    def off(self, kind: SwitchKind, name: str) -> bool:
        return kind is SwitchKind.MODEL and name in self.models


@dataclass
class Site:
    """A line of retrieval, and what it told."""

    line: Retrieving
    pacs: list[Pacs]
    index: Index
    retrievals: MemoryRetrievals
    clock: Clock
    switches: Switches

    def want(self, study_uid: str = STUDY, accession: Identifier | None = None, **options: object) -> str:
        """Something is wanted; answers the id of its retrieval."""
        purpose = options.pop("purpose", Purpose.STUDY)
        made = self.retrievals.want(study_uid, accession, purpose=purpose, now=self.clock.at, **options)
        assert made is not None
        return made.id


def site(
    *pacs: Pacs, readers: Sequence[Reader], expected: Expected | None = None, **sources: Mapping[str, object]
) -> Site:
    """A site with these PACS; `sources` are changes to their settings by name."""
    clock, index, switches = Clock(), Index(), Switches()
    retrievals = MemoryRetrievals(index, expected=expected or Expected())
    node = DicomNode(host="127.0.0.1", port=104, ae_title="PACS")
    for one in pacs:
        one.index = index
    line = Retrieving(
        clock=clock,
        archives=pacs,
        sources={
            one.name: PacsSource.model_validate({"retrieve": "c-get", "node": node, **sources.get(one.name, {})})
            for one in pacs
        },
        retrievals=retrievals,
        known=index.known,
        study=index.study,
        readers=readers,
        switches=switches,
        assigning_authority="HOSPITAL",
        count_interval_s=INTERVAL_S,
    )
    return Site(line, list(pacs), index, retrievals, clock, switches)


def ct(number: int = 1, study: str = STUDY, **changes: object) -> RemoteSeries:
    """A chest CT series of a study."""
    base = RemoteSeries(study, f"{study}.{number}", "CT", "CHEST", "axial", number)
    return replace(base, **changes)


def remote(uid: str = STUDY, **changes: object) -> RemoteStudy:
    """A chest CT study of today."""
    base = RemoteStudy(uid, "P-1", "HOSPITAL", "ACC-1", NOW.date(), "", "CT Thorax", ("CT",))
    return replace(base, **changes)


def here(uid: str = STUDY, **changes: object) -> Study:
    """The same study as the index knows it."""
    base = Study(
        study_instance_uid=uid,
        patient=Identifier("P-1", "HOSPITAL"),
        accession=Identifier("ACC-1", "HOSPITAL"),
        patient_birth_date=None,
        patient_sex=Sex.UNKNOWN,
        study_date=NOW.date(),
        description="",
        modalities=("CT",),
        public_id="x",
        image_revision=1,
        match_revision=1,
    )
    return replace(base, **changes)

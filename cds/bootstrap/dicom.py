"""The PACS to fetch from, and the line of `cds.retrieving` over them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds.bootstrap import Stores
from cds.bootstrap.installed import used
from cds.clock import SystemClock
from cds.domain.completeness import Rules
from cds.domain.imaging import InstanceHeader
from cds.domain.retrieval import RemoteSeries, RemoteStudy
from cds.errors import ConfigurationError
from cds.imaging_peers import DicomNode, DicomwebServer, PacsSource
from cds.ports import Archive, Clock, InstanceIndex
from cds.retrieving.parts import Retrieving
from cds.settings import Settings
from cds.store.completeness import Completeness
from cds.store.engine import Database
from cds.store.retrievals import RetrievalStore

if TYPE_CHECKING:
    from adapters.dicom.ahead_decode import AheadDecoding
    from adapters.dicom.archive import Asker, Fetcher
    from adapters.dicom.arrival import Arrivals
    from adapters.dicom.find import FindAsker
    from adapters.dicom.pool import DecodePool
    from models.manifest import Manifest


def arrivals(settings: Settings, held: Stores, owner: str, ahead: AheadDecoding | None = None) -> Arrivals:
    """The one way in for instances, whichever role they come to; `owner` is that role."""
    from adapters.dicom.arrival import Arrivals
    from adapters.dicom.files import InstanceFiles

    return Arrivals(
        files=InstanceFiles(settings.data_dir, settings.minimum_free_bytes, owner),
        index=held.studies,
        clock=SystemClock(settings.time_zone),
        consumes=consumes(settings),
        limits=settings.dicom_limits,
        ahead=None if ahead is None else ahead.want,
    )


def ahead_decoding(settings: Settings, pool: DecodePool) -> AheadDecoding | None:
    """What decodes while a worker retrieves; None where another worker may be the one that builds the volume."""
    if not settings.pacs_sources or settings.workers > 1:
        return None
    from adapters.dicom.ahead_decode import AheadDecoding, Keep

    folder = settings.data_dir / "ahead" / f"worker-{settings.worker_slot}"
    keep = Keep(free_bytes=settings.minimum_free_bytes)
    return AheadDecoding(folder, settings.data_dir, pool, settings.dicom_limits, keep)


def consumes(settings: Settings) -> Callable[[InstanceHeader], bool]:
    """Whether some model that is installed and not off may read an instance."""
    from models.selection import consumes as reads

    manifests = used(settings)
    return lambda header: any(reads(manifest, header) for manifest in manifests)


def archives(settings: Settings, into: Arrivals, index: InstanceIndex) -> list[Archive]:
    """The PACS of the settings, in the order in which they are asked."""
    return [archive(settings, name, into, index) for name in settings.pacs_sources]


def archive(settings: Settings, name: str, into: Arrivals, index: InstanceIndex) -> Archive:
    """One PACS by its name in the settings; raise ConfigurationError where it has no such."""
    from adapters.dicom.archive import PacsArchive

    if name not in settings.pacs_sources:
        there = ", ".join(settings.pacs_sources) or "none"
        raise ConfigurationError([f"CDS_PACS_SOURCES: no PACS {name!r} to fetch from; there is: {there}"])
    source = settings.pacs_sources[name]
    return PacsArchive(name, asker(source), _fetcher(settings, name, source, into, index))


def asker(source: PacsSource) -> Asker:
    """How a PACS is asked."""
    if source.asked_by == "qido-rs":
        from adapters.dicom.qido import QidoAsker

        return QidoAsker(_server(source), source.timeout_s)
    return _finder(source)


def _fetcher(settings: Settings, name: str, source: PacsSource, into: Arrivals, index: InstanceIndex) -> Fetcher:
    wire, limits, timeout_s = f"pacs:{name}", settings.dicom_limits, source.timeout_s
    if source.retrieve == "wado-rs":
        from adapters.dicom.wado import WadoFetcher

        server, parallel = _server(source), source.parallel
        return WadoFetcher(server, into, source=wire, timeout_s=timeout_s, parallel=parallel, limits=limits)
    if source.retrieve == "c-get":
        from adapters.dicom.get import GetFetcher

        return GetFetcher(_node(source), into, source=wire, timeout_s=timeout_s, limits=limits, asker=_finder(source))
    from adapters.dicom.move import MoveFetcher

    here = source.move_destination or settings.dicom_ae_title
    return MoveFetcher(_node(source), here, index, timeout_s=timeout_s, asker=_finder(source))


def _finder(source: PacsSource) -> FindAsker:
    from adapters.dicom.find import FindAsker

    return FindAsker(_node(source), source.timeout_s)


def _server(source: PacsSource) -> DicomwebServer:
    if source.dicomweb is None:
        raise ConfigurationError(["CDS_PACS_SOURCES: want dicomweb (url) for WADO-RS or QIDO-RS"])
    return source.dicomweb


def _node(source: PacsSource) -> DicomNode:
    if source.node is None:
        raise ConfigurationError(["CDS_PACS_SOURCES: want node (host, port, ae_title) for C-GET, C-MOVE or C-FIND"])
    return source.node


@dataclass(frozen=True, slots=True)
class ModelReader:
    """A manifest as `cds.retrieving` asks it."""

    manifest: Manifest

    @property
    def id(self) -> str:
        """See Reader."""
        return self.manifest.id

    @property
    def modality(self) -> str:
        """See Reader; "" where it reads several: a query names one, and each series tells its own."""
        read = self.manifest.inputs.all_modalities
        return read[0] if len(read) == 1 else ""

    @property
    def priors(self) -> int:
        """See Reader."""
        return self.manifest.inputs.priors

    def why_not(self, series: RemoteSeries, sop_class_uids: Collection[str]) -> str | None:
        """See Reader."""
        from models.selection import why_not_wanted

        return why_not_wanted(self.manifest, series, sop_class_uids)

    def compares(self, study: RemoteStudy, series: RemoteSeries) -> bool:
        """See Reader. What says no body part in a code must say one in words, or an earlier study is anything."""
        from models.selection import describes_body_part, names_body_part

        if series.modality and series.modality not in self.manifest.inputs.all_modalities:
            return False
        if series.body_part:
            return names_body_part(self.manifest, series.body_part)
        return any(describes_body_part(self.manifest, text) for text in (series.description, study.description))


def readers(settings: Settings) -> list[ModelReader]:
    """The installed models that are not off."""
    return [ModelReader(manifest) for manifest in used(settings)]


def retrieving(
    settings: Settings, held: Stores, clock: Clock, owner: str, ahead: AheadDecoding | None = None
) -> Retrieving | None:
    """The line of retrieval for a role; None where no PACS is configured to fetch from."""
    if not settings.pacs_sources:
        return None
    into = arrivals(settings, held, owner, ahead)
    into.discard_partial()
    return Retrieving(
        clock=clock,
        archives=archives(settings, into, held.studies),
        sources=settings.pacs_sources,
        retrievals=retrievals(settings, held.database),
        known=held.studies.known,
        study=held.studies.study,
        readers=readers(settings),
        switches=held.switches,
        assigning_authority=settings.assigning_authority,
        count_interval_s=settings.count_interval_s,
    )


def retrievals(settings: Settings, database: Database) -> RetrievalStore:
    """What is wanted of the PACS of these settings."""
    return RetrievalStore(database, count_interval_s=settings.count_interval_s, queryable=queryable(settings))


def completeness(settings: Settings, database: Database) -> Completeness:
    """What closes image revisions by the rules of these settings."""
    rules = Rules(settings.quiet_s, settings.incomplete_after_s, settings.stat_per_series)
    return Completeness(database, rules, queryable(settings))


def queryable(settings: Settings) -> Callable[[tuple[str, ...]], bool]:
    """Whether a PACS that may be asked can hold images of these issuers; () asks whether there is any."""

    def is_held(issuers: tuple[str, ...]) -> bool:
        sources = settings.pacs_sources.values()
        return any(not source.issuers or not issuers or set(source.issuers) & set(issuers) for source in sources)

    return is_held

"""The pipeline's line over its stores, models and sinks: for workers, and for looking at what they would do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cds import alerting, pathways
from cds.bootstrap import Stores, advising, dicom, fhir_events
from cds.bootstrap.critical import alarm_channels, critical_channels, tellers
from cds.bootstrap.ehr import MergedRecord, decide_again, sources, value_sets
from cds.bootstrap.emitting import forms, model_cards
from cds.bootstrap.failures import at_once, failures, heard
from cds.bootstrap.follow_up_care import reminder_channels
from cds.bootstrap.follow_up_care import timers as follow_up_timers
from cds.bootstrap.hl7 import acknowledgments
from cds.bootstrap.installed import manifests
from cds.bootstrap.priority import raisers
from cds.bootstrap.quality import nightly, seen
from cds.bootstrap.ui_worklist import keeper
from cds.bootstrap.watch import alarm, watch
from cds.clock import SystemClock
from cds.destinations import FhirDestination, MllpDestination
from cds.domain.ids import resource_id
from cds.domain.model import FindingModel
from cds.domain.report import Report
from cds.domain.resource import NewResource
from cds.errors import NotFound
from cds.line import Line
from cds.ports import Channel, Clock, ReportSink
from cds.settings import Settings
from cds.store.artifacts import ScratchFolders
from cds.store.commitments import CommitmentStore
from cds.store.engine import workflow_engine
from cds.store.enriching import EnrichingStore
from cds.store.priorities import PriorityStore
from cds.store.priors import PriorStore
from cds.store.resources import SqlResourceStore
from cds.store.sources import files, own_instances

if TYPE_CHECKING:
    from adapters.dicom.ahead_decode import AheadDecoding
    from adapters.dicom.pool import DecodePool
    from adapters.fhir.client import FhirClient
    from adapters.fhir.ehr import EhrSources
    from adapters.hl7.report import Document
    from cds.workflow import Timer, Worker
    from models.runtime import Runtime


_ANSWERED_WITHIN = timedelta(hours=24)
_INDEXED_AT_ONCE = 500


def worker(settings: Settings, held: Stores, runtime: Runtime, pool: DecodePool) -> Worker:
    """The worker over its stores, models and sinks; `pool` decodes."""
    from cds.workflow import Sources, Timer, Worker
    from models.runtime import InstalledModel

    clock, database = SystemClock(settings.time_zone), held.database
    models: dict[str, FindingModel] = {m.id: InstalledModel(m, runtime) for m in manifests(settings).values()}
    ahead = dicom.ahead_decoding(settings, pool)
    ehr = sources(settings, clock)
    built = replace(line(settings, held, models, clock, pool, ahead=ahead), seen=seen(database, clock))
    built = replace(built, evaluate=heard(built.evaluate, failures(settings, database, clock, at_once)))
    if ehr is not None:
        missed = EnrichingStore(database).missed
        built = replace(built, ehr=MergedRecord(held.record, ehr), missed=missed)
    complete = dicom.completeness(settings, database)
    return Worker(
        built,
        Sources(held.works, held.deliveries.pending, held.deliveries.refused, complete.close_complete),
        workflow_engine(settings.data_dir, settings.database_url),
        settings.worker_slot,
        timers=(
            Timer("announce", 1.0, dicom.retrievals(settings, database).announce),
            Timer("escalate", 1.0, lambda now: alerting.escalate(built, now)),
            Timer("watch", 10.0, watch(settings, database)),
            Timer("commitments", 60.0, _unanswered(CommitmentStore(database))),
            Timer("index", 5.0, _indexing(held)),
            Timer("quality", 300.0, nightly(settings, database)),
            Timer("worklist", 1.0, keeper(settings, held, clock)),
            *fhir_events.timers(settings, database, clock, _opener(settings)),
            *_missed(held, ehr),
            *follow_up_timers(settings, held, clock),
        ),
        retrieving=dicom.retrieving(settings, held, clock, f"worker-{settings.worker_slot}", ahead),
    )


def _opener(settings: Settings) -> Callable[[str], FhirClient]:
    """Opens the client of a FHIR source that is listened to."""
    from adapters.fhir.client import open_client
    from adapters.fhir.keys import SmartKeys

    keys = SmartKeys(settings.smart_key_files)
    return lambda name: open_client(name, settings.fhir_sources[name], keys)


def _missed(held: Stores, ehr: EhrSources | None) -> list[Timer]:
    """Studies that an EHR missed are decided again when it answers."""
    from cds.workflow import Timer

    if ehr is None:
        return []
    return [Timer("enrich again", 15.0, decide_again(EnrichingStore(held.database), held.record, ehr))]


def _indexing(held: Stores) -> Callable[[datetime], None]:
    """What an earlier edition of the search parameters indexed is indexed anew, a little at a time."""
    from adapters.fhir.parameters import EDITION, index

    def look(_now: datetime) -> None:
        held.resources.reindex(index, EDITION, _INDEXED_AT_ONCE)

    return look


def _unanswered(commitments: CommitmentStore) -> Callable[[datetime], None]:
    """A promise to store that nobody gave within a day waits for a person."""

    def look(now: datetime) -> None:
        for one in commitments.overdue(now, _ANSWERED_WITHIN):
            commitments.unanswered(one.transaction_uid, now)

    return look


def line(
    settings: Settings,
    held: Stores,
    models: Mapping[str, FindingModel],
    clock: Clock,
    pool: DecodePool | None = None,
    *,
    ahead: AheadDecoding | None = None,
) -> Line:
    """Everything that the steps need; without a `pool` images are decoded here."""
    from adapters.dicom.volume import LocalImages

    return Line(
        settings=settings,
        clock=clock,
        studies=held.studies,
        record=held.record,
        works=held.works,
        priors=PriorStore(held.database, held.studies),
        reports=held.reports,
        deliveries=held.deliveries,
        models=models,
        images=LocalImages(settings.data_dir, settings.dicom_limits, pool, ahead),
        artifacts=ScratchFolders(settings.data_dir),
        sinks=sinks(settings, held, clock, pool),
        channels=_channels(settings),
        priorities=PriorityStore(held.database),
        raisers=raisers(settings),
        switches=held.switches,
        opinions=held.opinions,
        criticals=held.criticals,
        tell=tellers(settings),
        audit=held.audit,
        alarm=alarm(settings, held.database, clock),
        pathways=tuple(pathways.load()),
        evaluate=advising.evaluator(settings),
        resources=partial(_resources, settings, held),
        withdraw=_withdrawn,
        value_sets=value_sets(settings),
    )


def _withdrawn(body: Mapping[str, object], patient_id: str | None) -> NewResource:
    """An emitted resource as it reads once it does not hold any more."""
    from adapters.fhir.report import withdrawn

    return withdrawn(body, patient_id=patient_id)


def _channels(settings: Settings) -> dict[str, Channel]:
    """Whatever is told apart from reports: critical results, alarms, acknowledgments, worklists."""
    told = {**critical_channels(settings), **alarm_channels(settings), **acknowledgments(settings)}
    told |= reminder_channels(settings)
    return told | raisers(settings)


def sinks(settings: Settings, held: Stores, clock: Clock, pool: DecodePool | None = None) -> dict[str, ReportSink]:
    """The destinations of reports, by name. A wire that no destination speaks is not loaded."""
    found: dict[str, ReportSink] = {}
    if settings.oru_destinations:
        from adapters.hl7.report import OruSink

        zone, site = settings.time_zone, settings.site_name
        for name, to in settings.oru_destinations.items():
            draw = _document(settings, to)
            found[name] = OruSink(name, to, facility=site, time_zone=zone, clock=clock, document=draw)
    return found | _fhir(settings, clock) | _pacs(settings, held, clock, pool)


def _fhir(settings: Settings, clock: Clock) -> dict[str, ReportSink]:
    if not settings.fhir_destinations:
        return {}
    from adapters.fhir.client import open_client
    from adapters.fhir.keys import SmartKeys
    from adapters.fhir.sink import FhirSink

    keys = SmartKeys(settings.smart_key_files)
    return {
        name: FhirSink(
            name,
            server,
            client=open_client(name, server, keys),
            identifier_systems=settings.identifier_systems,
            site_name=settings.site_name,
            forms=forms(settings),
            cards=model_cards(settings.models_folder),
            otherwise=_otherwise(settings, name, server, clock),
            clock=clock,
        )
        for name, server in settings.fhir_destinations.items()
    }


def _otherwise(settings: Settings, name: str, server: FhirDestination, clock: Clock) -> ReportSink | None:
    """The way by HL7 v2 of what a FHIR server cannot take, for the same eyes."""
    if server.hl7 is None:
        return None
    from adapters.hl7.report import OruSink

    zone, site = settings.time_zone, settings.site_name
    to = server.hl7.model_copy(update={"audience": server.audience, "processing": server.processing})
    return OruSink(name, to, facility=site, time_zone=zone, clock=clock, document=_document(settings, to))


def _document(settings: Settings, to: MllpDestination) -> Document | None:
    """What draws a report as a PDF; its library is not loaded where the destination does not want one."""
    if not to.pdf:
        return None
    from cds.render.pdf import render

    return partial(render, site_name=settings.site_name, time_zone=settings.time_zone)


def _pacs(settings: Settings, held: Stores, clock: Clock, pool: DecodePool | None) -> dict[str, ReportSink]:
    if not settings.pacs_destinations:
        return {}
    from adapters.dicom.one_frame import frame_values
    from adapters.dicom.pacs import PacsSink

    def sources(study_uid: str, series_uid: str) -> list[Path]:
        return [settings.data_dir / path for path in files(held.database, study_uid, series_uid)]

    return {
        name: PacsSink(
            name,
            pacs,
            sources=sources,
            own=lambda study_uid: own_instances(held.database, study_uid),
            clock=clock,
            time_zone=settings.time_zone,
            limits=settings.dicom_limits,
            read_frame=partial(pool.call, frame_values) if pool else frame_values,
            commitments=CommitmentStore(held.database),
        )
        for name, pacs in settings.pacs_destinations.items()
    }


def _resources(settings: Settings, held: Stores, report: Report) -> Sequence[NewResource]:
    from adapters.fhir.report import resources

    return resources(
        report,
        identifier_systems=settings.identifier_systems,
        site_name=settings.site_name,
        previous=_stored_version(held, report),
        forms=forms(settings),
        cards=model_cards(settings.models_folder),
    )


def _stored_version(held: Stores, report: Report) -> int:
    """The DiagnosticReport version that stands now, 0 where none was emitted: what the next one's Provenance names."""
    main = resource_id(report.study, "DiagnosticReport", episode=report.episode)
    try:
        return SqlResourceStore(held.database).read("DiagnosticReport", main).version
    except NotFound:
        return 0

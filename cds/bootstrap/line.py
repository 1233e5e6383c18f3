"""The pipeline's line over its stores, models and sinks: for workers, and for looking at what they would do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cds import alerting, pathways
from cds.bootstrap import Stores
from cds.bootstrap.critical import alarm_channels, critical_channels, tellers
from cds.bootstrap.hl7 import acknowledgments
from cds.bootstrap.watch import alarm, watch
from cds.clock import SystemClock
from cds.domain.ids import resource_id
from cds.domain.report import Report
from cds.errors import NotFound
from cds.line import Line
from cds.ports import Clock, FindingModel, ReportSink
from cds.settings import Settings
from cds.store.artifacts import ScratchFolders
from cds.store.engine import workflow_engine
from cds.store.resources import SqlResourceStore
from cds.store.sources import files, own_instances

if TYPE_CHECKING:
    from adapters.hl7.report import Document
    from cds.workflow import Worker
    from models.runtime import Runtime


def worker(settings: Settings, held: Stores, runtime: Runtime) -> Worker:
    """The worker over its stores, models and sinks."""
    from cds.workflow import Sources, Timer, Worker
    from models.registry import load
    from models.runtime import InstalledModel

    models: dict[str, FindingModel] = {m.id: InstalledModel(m, runtime) for m in load().values()}
    built = line(settings, held, models, SystemClock(settings.time_zone))
    return Worker(
        built,
        Sources(held.works, held.deliveries.pending, held.deliveries.refused, held.studies.close_quiet),
        workflow_engine(settings.data_dir, settings.database_url),
        settings.worker_slot,
        timers=(
            Timer("escalate", 1.0, lambda now: alerting.escalate(built, now)),
            Timer("watch", 10.0, watch(settings, held.database)),
        ),
    )


def line(settings: Settings, held: Stores, models: Mapping[str, FindingModel], clock: Clock) -> Line:
    """Everything that the steps need."""
    from adapters.dicom.volume import LocalImages
    from adapters.fhir.report import resources, withdrawn

    return Line(
        settings=settings,
        clock=clock,
        studies=held.studies,
        record=held.record,
        works=held.works,
        reports=held.reports,
        deliveries=held.deliveries,
        models=models,
        images=LocalImages(settings.data_dir, settings.dicom_limits),
        artifacts=ScratchFolders(settings.data_dir),
        sinks=sinks(settings, held, clock),
        channels={**critical_channels(settings), **alarm_channels(settings), **acknowledgments(settings)},
        switches=held.switches,
        opinions=held.opinions,
        criticals=held.criticals,
        tell=tellers(settings),
        audit=held.audit,
        alarm=alarm(settings, held.database, clock),
        pathways=tuple(pathways.load()),
        evaluate=pathways.evaluate,
        resources=lambda report: resources(
            report,
            identifier_systems=settings.identifier_systems,
            site_name=settings.site_name,
            previous=_stored_version(held, report),
        ),
        withdraw=lambda body, patient_id: withdrawn(body, patient_id=patient_id),
    )


def sinks(settings: Settings, held: Stores, clock: Clock) -> dict[str, ReportSink]:
    """The destinations of reports, by name. A wire that no destination speaks is not loaded."""
    found: dict[str, ReportSink] = {}
    if settings.oru_destinations:
        from adapters.hl7.report import OruSink

        zone, site, draw = settings.time_zone, settings.site_name, _document(settings)
        for name, to in settings.oru_destinations.items():
            found[name] = OruSink(name, to, facility=site, time_zone=zone, clock=clock, document=draw)
    if settings.fhir_destinations:
        from adapters.fhir.sink import FhirSink

        systems, who = settings.identifier_systems, settings.site_name
        for name, server in settings.fhir_destinations.items():
            own = server.own_ids
            found[name] = FhirSink(name, server, identifier_systems=systems, site_name=who, own_ids=own, clock=clock)
    return found | _pacs(settings, held, clock)


def _document(settings: Settings) -> Document | None:
    """What draws a report as a PDF; its library is not loaded where no destination wants one."""
    if not any(to.pdf for to in settings.oru_destinations.values()):
        return None
    from cds.render.pdf import render

    return partial(render, site_name=settings.site_name, time_zone=settings.time_zone)


def _pacs(settings: Settings, held: Stores, clock: Clock) -> dict[str, ReportSink]:
    if not settings.pacs_destinations:
        return {}
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
        )
        for name, pacs in settings.pacs_destinations.items()
    }


def _stored_version(held: Stores, report: Report) -> int:
    """The DiagnosticReport version that stands now, 0 where none was emitted: what the next one's Provenance names."""
    main = resource_id(report.study, "DiagnosticReport", episode=report.episode)
    try:
        return SqlResourceStore(held.database).read("DiagnosticReport", main).version
    except NotFound:
        return 0

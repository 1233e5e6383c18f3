"""The one place that builds concrete things and wires them; only the CLI and the demo import it (DESIGN section 1).

Heavy libraries are imported where they are used: the web process never loads torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cds import logs
from cds.clock import SystemClock
from cds.domain.ids import resource_id
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Mode, Report
from cds.domain.story import HoldTold, Story
from cds.errors import ConfigurationError, NotFound, Unavailable
from cds.hooks import CardsShown, HookContext
from cds.line import Line
from cds.pipeline import released
from cds.services import Services
from cds.settings import Settings
from cds.store import schema
from cds.store.artifacts import ScratchFolders
from cds.store.deliveries import DeliveryStore
from cds.store.engine import Database, open_app, open_messages, workflow_engine
from cds.store.holds import open_holds
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.resources import SqlResourceStore
from cds.store.studies import StudyStore
from cds.store.why import why as why_query
from cds.store.works import WorkStore

if TYPE_CHECKING:
    from cds.workflow import Worker
    from models.runtime import Runtime

log = logs.get_logger(__name__)

#: What a hook's answer waits at most for a lock to note on the timeline that a card was shown.
_HOOK_PATIENCE_MS = 250


@dataclass(frozen=True, slots=True)
class Stores:
    """The application's tables behind their ports."""

    database: Database
    studies: StudyStore
    record: RecordStore
    works: WorkStore
    reports: SqlReportStore
    resources: SqlResourceStore
    deliveries: DeliveryStore


def stores(settings: Settings, *, durable: bool = False, patience_ms: int = 30_000) -> Stores:
    """Open the application's tables; raise ConfigurationError where they are not at the newest revision.

    `durable` for roles that acknowledge what they commit; `patience_ms` is how long a write waits for others.
    """
    if not settings.database_url and not (settings.data_dir / "app.sqlite").exists():
        raise ConfigurationError(
            [f"CDS_DATA_DIR: {settings.data_dir} has no tables yet: run cds serve or cds db upgrade"]
        )
    database = open_app(settings.data_dir, settings.database_url, durable=durable, patience_ms=patience_ms)
    schema.check(database, "app")
    return Stores(
        database=database,
        studies=StudyStore(
            database,
            assigning_authority=settings.assigning_authority,
            accession_issuer=settings.accession_issuer,
            time_zone=settings.time_zone,
        ),
        record=RecordStore(database),
        works=WorkStore(database),
        reports=SqlReportStore(database),
        resources=SqlResourceStore(database),
        deliveries=DeliveryStore(database),
    )


def upgrade(settings: Settings) -> None:
    """Create or upgrade all tables."""
    for branch, database in (
        ("app", open_app(settings.data_dir, settings.database_url)),
        ("inbox", open_messages(settings.data_dir, settings.database_url)),
    ):
        schema.upgrade(database, branch)
        database.dispose()


def why(settings: Settings, asked: str) -> Story:
    """The story of an accession number, a Study Instance UID or a patient identifier."""
    return why_query(stores(settings).database, asked)


def holds(settings: Settings) -> Sequence[HoldTold]:
    """Everything that waits for a person."""
    return open_holds(stores(settings).database)


def services(settings: Settings) -> Services:
    """What the web role's routes may use; called once in every web process."""
    from adapters.fhir.bundle import searchset
    from adapters.fhir.capability import capability
    from adapters.fhir.outcome import operation_outcome
    from cds import hooks
    from cds.bootstrap.readiness import probes

    held = stores(settings, patience_ms=_HOOK_PATIENCE_MS)
    context = _hook_context(settings, held)
    return Services(
        settings=settings,
        clock=SystemClock(settings.time_zone),
        resources=held.resources,
        discovery=hooks.discovery,
        call_service=lambda service, request: hooks.call(service, request, context),
        capability=capability,
        searchset=searchset,
        outcome=operation_outcome,
        probes=lambda: probes(settings, held),
        token=settings.http_token_file.read_text().strip() if settings.http_token_file else None,
    )


def worker(settings: Settings, held: Stores, runtime: Runtime) -> Worker:
    """The worker over its stores, models and sinks."""
    from adapters.dicom.volume import LocalImages
    from adapters.fhir.report import resources, withdrawn
    from adapters.hl7.report import OruSink
    from cds.workflow import Sources, Worker
    from models.registry import load
    from models.runtime import InstalledModel

    systems = settings.identifier_systems
    line = Line(
        settings=settings,
        clock=SystemClock(settings.time_zone),
        studies=held.studies,
        record=held.record,
        works=held.works,
        reports=held.reports,
        deliveries=held.deliveries,
        models={m.id: InstalledModel(m, runtime) for m in load().values()},
        images=LocalImages(settings.data_dir, settings.dicom_limits),
        artifacts=ScratchFolders(settings.data_dir),
        sinks={
            name: OruSink(name, to, facility=settings.site_name, time_zone=settings.time_zone)
            for name, to in settings.oru_destinations.items()
        },
        evaluate=_evaluator(settings),
        resources=lambda report: resources(
            report,
            identifier_systems=systems,
            site_name=settings.site_name,
            previous=_stored_version(held, report),
        ),
        withdraw=lambda body, patient_id: withdrawn(body, patient_id=patient_id),
    )
    sources = Sources(held.works, held.deliveries.pending, held.deliveries.refused, held.studies.close_quiet)
    return Worker(line, sources, workflow_engine(settings.data_dir, settings.database_url), settings.worker_slot)


def _stored_version(held: Stores, report: Report) -> int:
    """The DiagnosticReport version that stands now, 0 where none was emitted: what the next one's Provenance names."""
    try:
        return held.resources.read("DiagnosticReport", resource_id(report.study, "DiagnosticReport")).version
    except NotFound:
        return 0


def _hook_context(settings: Settings, held: Stores) -> HookContext:
    from adapters.fhir.read import read_patient, read_statements

    clock = SystemClock(settings.time_zone)

    def shown(cards: CardsShown) -> None:
        if cards.study_instance_uid is None:
            return
        try:
            outcome = f"{cards.cards} shown by {cards.service}"
            held.reports.shown(cards.study_instance_uid, clock.now(), outcome, cards.suppressed)
        except Unavailable as error:  # a clinician's answer does not wait for our timeline
            log.warning("a shown card is not on the timeline", service=cards.service, error=type(error).__name__)

    return HookContext(
        reports=held.reports,
        record=held.record,
        read_patient=lambda resource: read_patient(resource, settings.identifier_systems),
        read_statements=lambda prefetch: read_statements(prefetch, clock.today()),
        evaluate=_evaluator(settings),
        release=lambda report: released(settings, report),
        model_is_advisory=lambda model: settings.model_mode(model) is Mode.ADVISORY,
        clock=clock,
        public_url=settings.public_url,
        site_options=settings.site_options,
        site_name=settings.site_name,
        on_shown=shown,
    )


def _evaluator(settings: Settings) -> Callable[[Case], tuple[PathwayOutcome, ...]]:
    """The pathways that this site switched to advisory; shadow ones are evaluated for the quality page later."""
    from cds import pathways

    enabled = [p for p in pathways.load() if settings.pathway_mode(p) is Mode.ADVISORY]
    return lambda case: pathways.evaluate(case, enabled)

"""The one place that builds concrete things and wires them; only the CLI imports it (DESIGN section 1).

Each `run_…` is a role: it follows the supervisor's lifeline, says when it is ready, and drains on SIGTERM.
Heavy libraries are imported in the role that needs them: the web process never loads torch.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import threading
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from cds import intake, logs, metrics
from cds.checks import Check, run_checks
from cds.clock import SystemClock
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Mode
from cds.domain.story import HoldTold, Story
from cds.errors import ConfigurationError, SightlineError, Unavailable
from cds.hooks import CardsShown, HookContext
from cds.lifeline import follow_lifeline, notify_ready
from cds.line import Line
from cds.services import Probe, Services
from cds.settings import Settings, TlsSettings
from cds.store import schema
from cds.store.artifacts import ScratchFolders
from cds.store.deliveries import DeliveryStore
from cds.store.engine import Database, open_app, open_messages, workflow_engine
from cds.store.holds import open_holds
from cds.store.message_log import SqlMessageLog
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


def run_web(settings: Settings) -> None:
    """The web role: gunicorn over `services`."""
    _begin("web", settings)
    from cds.web.serve import run

    run(lambda: services(settings), settings, on_ready=notify_ready)


def run_worker(settings: Settings) -> None:
    """A worker role: the durable engine, the timers and the inference runtime."""
    role = f"worker-{settings.worker_slot}"
    stopped = _begin(role, settings)
    from models.runtime import Runtime

    runtime = Runtime(settings.device)
    runtime.start()
    running = worker(settings, runtime)
    running.start()
    notify_ready()
    stopped.wait()
    running.drain(settings.drain_s / 2)
    runtime.close()


def run_hl7(settings: Settings) -> None:
    """The HL7 v2 role: the MLLP listener and the loop that applies the message log."""
    stopped = _begin("hl7", settings)
    asyncio.run(_hl7(settings, stopped))


def run_dicom(settings: Settings) -> None:
    """The DICOM role: the C-STORE and C-ECHO SCP."""
    stopped = _begin("dicom", settings)
    from adapters.dicom.files import InstanceFiles
    from adapters.dicom.receiver import Receiver
    from models.registry import load
    from models.selection import consumes

    manifests = [m for m in load().values() if settings.model_mode(m.id).value != "off"]
    receiver = Receiver(
        host=settings.dicom_host,
        port=settings.dicom_port,
        ae_title=settings.dicom_ae_title,
        limits=settings.dicom_limits,
        files=InstanceFiles(settings.data_dir, settings.minimum_free_bytes),
        index=stores(settings, durable=True).studies,
        clock=SystemClock(settings.time_zone),
        consumes=lambda header: any(consumes(m, header) for m in manifests),
        ssl_context=_tls(settings.dicom_tls),
    )
    receiver.start()
    notify_ready()
    stopped.wait()
    receiver.drain(settings.drain_s / 2)


def _begin(role: str, settings: Settings) -> threading.Event:
    """What every role does first; answers the event that SIGTERM and SIGINT set."""
    follow_lifeline()
    logs.configure(role, settings.log_level)
    metrics.prepare(settings.data_dir / "metrics")
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped


def _tls(table: TlsSettings | None) -> ssl.SSLContext | None:
    """Mutual TLS 1.2 or newer: the client's certificate is its authentication."""
    if table is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(table.client_ca_file))
    context.load_cert_chain(table.certificate_file, table.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def serve(settings: Settings) -> int:
    """All roles under the supervisor; the tables are upgraded first. Answers the exit code."""
    from cds.supervisor import Supervisor, standard_roles

    logs.configure("serve", settings.log_level)
    supervisor = Supervisor(settings, standard_roles(settings), before_start=lambda: upgrade(settings))
    return supervisor.run()


def checks(settings: Settings) -> list[Check]:
    """Everything that `cds check` looks at, the database included."""
    return run_checks(settings, (lambda: _database_check(settings),))


def services(settings: Settings) -> Services:
    """What the web role's routes may use; called once in every web process."""
    from adapters.fhir.bundle import searchset
    from adapters.fhir.capability import capability
    from adapters.fhir.outcome import operation_outcome
    from cds import hooks

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
        probes=lambda: _probes(held),
        token=settings.http_token_file.read_text().strip() if settings.http_token_file else None,
    )


def worker(settings: Settings, runtime: Runtime) -> Worker:
    """The worker over its stores, models and sinks."""
    from adapters.dicom.volume import LocalImages
    from adapters.fhir.report import resources, withdrawn
    from adapters.hl7.report import OruSink
    from cds.workflow import Sources, Worker
    from models.registry import load
    from models.runtime import InstalledModel

    held = stores(settings, durable=True)  # a report must not be lost after the engine noted that it is done
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
        resources=lambda report: resources(report, identifier_systems=systems, site_name=settings.site_name),
        withdraw=lambda body, patient_id: withdrawn(body, patient_id=patient_id),
    )
    sources = Sources(held.works, held.deliveries.pending, held.deliveries.refused, held.studies.close_quiet)
    return Worker(line, sources, workflow_engine(settings.data_dir, settings.database_url), settings.worker_slot)


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


async def _hl7(settings: Settings, stopped: threading.Event) -> None:
    """Serve until stopped or until the applying loop breaks, which ends the role: the supervisor starts it again."""
    from adapters.hl7.read import Reader
    from adapters.hl7.receive import Receiver
    from adapters.hl7.server import MllpServer

    inbox = open_messages(settings.data_dir, settings.database_url)
    schema.check(inbox, "inbox")
    messages, clock = SqlMessageLog(inbox), SystemClock(settings.time_zone)
    record = stores(settings).record
    read = Reader(
        settings.assigning_authority, settings.accession_issuer, settings.accession_fallback, settings.time_zone
    )
    messages.start()
    server = MllpServer(
        settings.hl7_host, settings.hl7_port, settings.hl7_limits, Receiver(messages, clock), _tls(settings.hl7_tls)
    )
    await server.start()
    notify_ready()
    applying = asyncio.create_task(
        asyncio.to_thread(intake.follow, lambda: intake.apply_next(messages, read, record, clock), stopped.wait)
    )
    await asyncio.wait({applying, asyncio.create_task(asyncio.to_thread(stopped.wait))}, return_when=FIRST_COMPLETED)
    stopped.set()
    await server.drain(settings.drain_s / 2)
    messages.close()
    await applying


def _probes(held: Stores) -> tuple[Probe, ...]:
    try:
        held.works.pending(limit=1)
    except SightlineError as error:
        return (Probe("database", False, str(error)),)
    return (Probe("database", True),)


def _database_check(settings: Settings) -> Check:
    try:
        stores(settings).works.pending(limit=1)
    except ConfigurationError as error:
        return Check("database", False, "; ".join(error.mistakes), "run cds db upgrade, or cds serve, which does it")
    except SightlineError as error:
        return Check("database", False, str(error), "look at CDS_DATA_DIR, or CDS_DATABASE_URL where it is set")
    return Check("database", True, "tables are at the newest revision")

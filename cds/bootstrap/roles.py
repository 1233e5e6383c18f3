"""The roles: each follows the supervisor's lifeline, says when it is ready, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import ssl
import threading
from asyncio import FIRST_COMPLETED
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cds import intake, logs, metrics
from cds.bootstrap import Stores, services, stores, upgrade
from cds.bootstrap.line import worker
from cds.bootstrap.readiness import misspelt
from cds.clock import SystemClock
from cds.destinations import TlsSettings
from cds.errors import ConfigurationError
from cds.exclusive import doors, take_role, why_closed
from cds.lifeline import follow_lifeline, notify_ready
from cds.settings import Settings
from cds.store import schema
from cds.store.engine import open_messages
from cds.store.heartbeats import Heartbeat
from cds.store.message_log import SqlMessageLog


def serve(settings: Settings) -> int:
    """All roles under the supervisor; the tables are upgraded first. Answers the exit code."""
    from cds.supervisor import Supervisor, standard_roles

    logs.configure("serve", settings.log_level)
    follow_lifeline()
    names = misspelt(settings)
    if not names.ok:
        raise ConfigurationError([names.detail])
    return Supervisor(settings, standard_roles(settings), before_start=lambda: upgrade(settings)).run()


def run_web(settings: Settings) -> None:
    """The web role: gunicorn over `services`."""
    _begin("web", settings)
    _refuse_a_taken_port(settings, "CDS_HTTP_PORT")
    from cds.web.serve import run

    run(lambda: services(settings), settings, on_ready=notify_ready)


def run_worker(settings: Settings) -> None:
    """A worker role: the durable engine, the timers and the inference runtime."""
    role = f"worker-{settings.worker_slot}"
    stopped = _begin(role, settings)
    from models.runtime import Runtime

    runtime = Runtime(settings.device)
    runtime.start()
    held = stores(settings, durable=True)  # a report must not be lost after the engine noted that it is done
    running = worker(settings, held, runtime)
    running.start()
    with _alive(settings, held, role):
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

    _refuse_a_taken_port(settings, "CDS_DICOM_PORT")
    held = stores(settings, durable=True)
    manifests = [m for m in load().values() if settings.model_mode(m.id).value != "off"]
    receiver = Receiver(
        host=settings.dicom_host,
        port=settings.dicom_port,
        ae_title=settings.dicom_ae_title,
        limits=settings.dicom_limits,
        files=InstanceFiles(settings.data_dir, settings.minimum_free_bytes),
        index=held.studies,
        clock=SystemClock(settings.time_zone),
        consumes=lambda header: any(consumes(m, header) for m in manifests),
        ssl_context=_tls(settings.dicom_tls),
    )
    receiver.start()
    with _alive(settings, held, "dicom"):
        stopped.wait()
    receiver.drain(settings.drain_s / 2)


@contextmanager
def _alive(settings: Settings, held: Stores, role: str) -> Iterator[None]:
    """The role does its work now, and says so to the supervisor and to readiness until it ends."""
    heartbeat = Heartbeat(held.database, SystemClock(settings.time_zone), role)
    heartbeat.start()
    notify_ready()
    try:
        yield
    finally:
        heartbeat.stop()


def _refuse_a_taken_port(settings: Settings, variable: str) -> None:
    door = next(door for door in doors(settings) if door.variable == variable)
    if reason := why_closed(door):
        raise ConfigurationError([reason])


def _begin(role: str, settings: Settings) -> threading.Event:
    """What every role does first; answers the event that SIGTERM and SIGINT set."""
    follow_lifeline()
    logs.configure(role, settings.log_level)
    take_role(settings.data_dir, role)
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


async def _hl7(settings: Settings, stopped: threading.Event) -> None:
    """Serve until stopped or until the applying loop breaks, which ends the role: the supervisor starts it again."""
    from adapters.hl7.read import Reader
    from adapters.hl7.receive import Receiver
    from adapters.hl7.server import MllpServer

    inbox = open_messages(settings.data_dir, settings.database_url)
    schema.check(inbox, "inbox")
    messages, clock = SqlMessageLog(inbox), SystemClock(settings.time_zone)
    held = stores(settings)
    record = held.record
    read = Reader(
        settings.assigning_authority,
        settings.accession_issuer,
        settings.accession_fallback,
        settings.time_zone,
        settings.senders,
    )
    messages.start()
    server = MllpServer(
        settings.hl7_host, settings.hl7_port, settings.hl7_limits, Receiver(messages, clock), _tls(settings.hl7_tls)
    )
    _refuse_a_taken_port(settings, "CDS_HL7_PORT")
    await server.start()
    applying = asyncio.create_task(
        asyncio.to_thread(intake.follow, lambda: intake.apply_next(messages, read, record, clock), stopped.wait)
    )
    with _alive(settings, held, "hl7"):
        ended = asyncio.create_task(asyncio.to_thread(stopped.wait))
        await asyncio.wait({applying, ended}, return_when=FIRST_COMPLETED)
    stopped.set()
    await server.drain(settings.drain_s / 2)
    messages.close()
    await applying

"""The roles: each follows the supervisor's lifeline, says when it is ready, and drains on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cds import intake, logs, metrics, tls
from cds.bootstrap import Stores, hl7_profile, installed, services, stores, upgrade
from cds.bootstrap.fhir_check import wrong_keys
from cds.bootstrap.line import worker
from cds.bootstrap.readiness import misspelt
from cds.clock import SystemClock
from cds.errors import ConfigurationError
from cds.exclusive import doors, take_role, why_closed
from cds.hook_peers import INSECURE
from cds.lifeline import follow_lifeline, notify_ready
from cds.settings import Settings
from cds.store.commitments import CommitmentStore
from cds.store.heartbeats import Heartbeat
from cds.store.study_events import StudyEventStore

log = logs.get_logger(__name__)


def serve(settings: Settings) -> int:
    """All roles under the supervisor; the tables are upgraded first. Answers the exit code."""
    from cds.supervisor import Supervisor, standard_roles

    logs.configure("serve", settings.log_level)
    follow_lifeline()
    wrong = [one.detail for one in (misspelt(settings), hl7_profile.check(settings)) if not one.ok]
    wrong += wrong_keys(settings)
    if wrong:
        raise ConfigurationError(wrong)
    if settings.insecure:
        sys.stderr.write(f"{INSECURE}\n")
    return Supervisor(settings, standard_roles(settings), before_start=lambda: upgrade(settings)).run()


def run_web(settings: Settings) -> None:
    """The web role: gunicorn over `services`."""
    _begin("web", settings)
    _refuse_a_taken_port(settings, "CDS_HTTP_PORT")
    from cds.web.serve import run

    if settings.insecure:
        log.warning("CDS Hooks answer whoever calls: development mode")
    run(lambda: services(settings), settings, on_ready=notify_ready)


def run_ui(settings: Settings) -> None:
    """The ui role: gunicorn over the pages."""
    _begin("ui", settings)
    _refuse_a_taken_port(settings, "CDS_UI_PORT")
    from cds.bootstrap.ui import alive
    from cds.web.serve import run_pages

    run_pages(lambda: alive(settings), settings, on_ready=notify_ready)


def run_worker(settings: Settings) -> None:
    """A worker role: the durable engine, the timers and the inference runtime."""
    role = f"worker-{settings.worker_slot}"
    stopped = _begin(role, settings)
    from adapters.dicom.pool import DecodePool

    runtime, pool = installed.runtime(settings), DecodePool(settings.dicom_limits)
    runtime.start()
    pool.start()
    held = stores(settings, durable=True)  # a report must not be lost after the engine noted that it is done
    running = worker(settings, held, runtime, pool)
    running.start()
    with _alive(settings, held, role):
        stopped.wait()
    running.drain(settings.drain_s / 2)
    pool.close()
    runtime.close()


def run_hl7(settings: Settings) -> None:
    """The HL7 v2 role: the MLLP listeners, and the folder that files are taken from."""
    stopped = _begin("hl7", settings)
    from cds.bootstrap.hl7 import listen

    for door in doors(settings):
        if door.variable.startswith("CDS_HL7") and (reason := why_closed(door)):
            raise ConfigurationError([reason])
    held = stores(settings)
    asyncio.run(listen(settings, held, stopped, lambda: _alive(settings, held, "hl7")))


def run_intake(settings: Settings) -> None:
    """The intake role: the loop that applies the message log, apart from the listeners so that no sender waits."""
    stopped = _begin("intake", settings)
    from cds.bootstrap.hl7 import applying

    held = stores(settings)
    apply_next = applying(settings, held)
    with _alive(settings, held, "intake"):
        intake.follow(apply_next, stopped.wait)


def run_dicom(settings: Settings) -> None:
    """The DICOM role: the SCP of C-STORE, C-ECHO, Instance Availability and the answers to storage commitment."""
    stopped = _begin("dicom", settings)
    from adapters.dicom.receiver import Receiver
    from cds.bootstrap.dicom import arrivals

    _refuse_a_taken_port(settings, "CDS_DICOM_PORT")
    held = stores(settings, durable=True)
    receiver = Receiver(
        host=settings.dicom_host,
        port=settings.dicom_port,
        ae_title=settings.dicom_ae_title,
        limits=settings.dicom_limits,
        arrivals=arrivals(settings, held, "dicom"),
        clock=SystemClock(settings.time_zone),
        ssl_context=tls.listener(settings.dicom_tls),
        allowed_peers=settings.dicom_allowed_peers,
        allowed_ae_titles=settings.dicom_allowed_ae_titles,
        events=StudyEventStore(held.database),
        commitments=CommitmentStore(held.database),
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

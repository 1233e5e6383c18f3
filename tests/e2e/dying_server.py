"""`cds serve` whose worker kills itself with SIGKILL where the test asks for it.

A file `kill-<step>` in the data folder is a wish: the worker takes it after the step has done its work and before the
engine has noted so, the worst moment there is, and dies.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.dicom.pool import DecodePool
from cds import bootstrap, logs
from cds.bootstrap.line import worker as build
from cds.clock import SystemClock
from cds.lifeline import follow_lifeline, notify_ready
from cds.line import Line
from cds.settings import Settings, load
from cds.store.heartbeats import Heartbeat
from cds.supervisor import Patience, RoleSpec, Supervisor, standard_roles
from cds.workflow import RETRIEVAL_STEPS, STEPS, Step
from models.runtime import Runtime

IMPATIENT = Patience(first_delay_s=0.1, longest_delay_s=0.1, exits=1000)


def serve(settings: Settings) -> int:
    """The real supervisor over the real roles, the worker excepted."""
    roles = [
        RoleSpec(role.name, (sys.executable, __file__, "worker")) if role.name.startswith("worker") else role
        for role in standard_roles(settings)
    ]
    upgrade = bootstrap.upgrade
    return Supervisor(settings, roles, patience=IMPATIENT, before_start=lambda: upgrade(settings)).run()


def worker(settings: Settings) -> None:
    """The real worker over steps that may die."""
    follow_lifeline()
    logs.configure("worker-0", "info")
    runtime, pool = Runtime("cpu"), DecodePool(settings.dicom_limits)
    runtime.start()
    held = bootstrap.stores(settings, durable=True)
    running = build(settings, held, runtime, pool)
    running.steps = mortal(settings.data_dir, STEPS)
    running.retrieval_steps = mortal(settings.data_dir, RETRIEVAL_STEPS)
    running.start()
    heartbeat = Heartbeat(held.database, SystemClock(), "worker-0")
    heartbeat.start()
    notify_ready()
    signal.sigwait({signal.SIGTERM})
    heartbeat.stop()
    running.drain(2)
    pool.close()
    runtime.close()


def mortal(data_dir: Path, steps: Mapping[str, Step]) -> Mapping[str, Step]:
    """These steps, each followed by a look whether to die."""
    return {name: _mortal(name, step, data_dir) for name, step in steps.items()}


def _mortal(name: str, step: Step, data_dir: Path) -> Step:
    def run(line: Line, *arguments: str) -> Any:
        result = step(line, *arguments)
        wish = data_dir / f"kill-{name}"
        if wish.exists():
            wish.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if (data_dir / f"kill-{name}-always").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return run


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        worker(load())
    else:
        sys.exit(serve(load()))

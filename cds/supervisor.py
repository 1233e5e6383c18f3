"""`cds serve`: starts the roles under stable names, restarts them, drains them, and ends clearly where that is useless.

A role is a child process in a session of its own. It inherits three descriptors: the read end of the lifeline, whose
end of file tells it that the supervisor died, however that happened; a pipe on which it says once that it is ready;
and the lock of the data folder, so that no second server starts while a role still drains.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from cds import metrics
from cds.errors import ConfigurationError
from cds.exclusive import doors, hold, why_closed
from cds.lifeline import follow_lifeline, notify_ready
from cds.logs import get_logger
from cds.role import Role, RoleSpec
from cds.settings import Settings

__all__ = ["Patience", "RoleSpec", "Supervisor", "follow_lifeline", "notify_ready", "standard_roles"]

log = get_logger(__name__)

EXIT_CRASH_LOOP = 70
EXIT_KILLED = 130


@dataclass(frozen=True, slots=True)
class Patience:
    """When a restart waits, and when another one is useless. Times in seconds.

    A role that never became ready is given up after `failures` starts in a row. One that dies of what it was given is
    restarted longer, because the engine sets a study aside after four deaths, and the others should not end with it.
    """

    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    stable_s: float = 20.0
    failures: int = 5
    exits: int = 15
    tick_s: float = 0.1


def standard_roles(settings: Settings, env: Mapping[str, str] | None = None) -> tuple[RoleSpec, ...]:
    """The roles of `cds serve`: web, ui, one worker per slot, hl7, intake and dicom.

    -P keeps the current folder off the import path, where it might have another `models` (or `adapters`).
    """
    program, shared = (sys.executable, "-P", "-m", "cds"), dict(env or {})
    slots = range(settings.worker_slot, settings.worker_slot + settings.workers)
    return (
        RoleSpec("web", (*program, "web"), shared),
        RoleSpec("ui", (*program, "ui"), shared),
        *(
            RoleSpec(f"worker-{slot}", (*program, "worker"), {**shared, "CDS_WORKER_SLOT": str(slot)}, slot)
            for slot in slots
        ),
        RoleSpec("hl7", (*program, "hl7"), shared),
        RoleSpec("intake", (*program, "intake"), shared),
        RoleSpec("dicom", (*program, "dicom"), shared),
    )


class Supervisor:
    """Runs the roles until it is told to stop; see the module.

    `before_start` is called while the folder is held and nothing runs yet (to upgrade the tables), `on_ready` once all
    roles are ready for the first time; an error of either ends the server.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[RoleSpec],
        *,
        before_start: Callable[[], None] | None = None,
        on_ready: Callable[[], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._patience = patience or Patience()
        self._roles = [Role(spec) for spec in roles]
        self._before_start = before_start
        self._on_ready = on_ready
        self._announced = False
        self._stopping = False
        self._killing = False

    def run(self) -> int:
        """Run until SIGTERM, SIGINT or `stop`; returns the exit code.

        0 after a drain, 70 where a role cannot stay up, 130 where a second SIGINT cut the drain short.
        Raises ConfigurationError before anything starts where the folder or a port is taken.
        """
        folder = self._settings.data_dir
        with hold(folder, patience_s=self._settings.drain_s) as lock:
            if mistakes := [reason for door in doors(self._settings) if (reason := why_closed(door))]:
                raise ConfigurationError(mistakes)
            metrics.prepare(folder / "metrics", clear=True)
            if self._before_start is not None:
                self._before_start()
            with _pipe() as end, self._signals():
                try:
                    return self._watch((end, lock))
                finally:
                    self._kill()

    def stop(self) -> None:
        """Drain and end; for callers in another thread."""
        self._stopping = True

    def _watch(self, inherited: tuple[int, int]) -> int:
        while not self._stopping:
            for role in self._roles:
                self._tend(role, inherited)
                if self._is_useless(role):
                    return self._give_up(role)
            self._announce()
            time.sleep(self._patience.tick_s)
        self._drain()
        return EXIT_KILLED if self._killing else 0

    def _tend(self, role: Role, inherited: tuple[int, int]) -> None:
        if role.process is None:
            if time.monotonic() >= role.due and not role.start(inherited, self._settings.drain_s):
                self._after_exit(role)
            return
        role.look_whether_ready()
        if role.look_whether_ended():
            self._after_exit(role)

    def _after_exit(self, role: Role) -> None:
        if time.monotonic() - role.started >= self._patience.stable_s:
            role.exits = role.failures = 0
        role.exits += 1
        role.failures += 0 if role.ready else 1
        delay = min(self._patience.longest_delay_s, self._patience.first_delay_s * 2 ** (role.exits - 1))
        delay = round(delay * random.uniform(0.8, 1.0), 3)  # noqa: S311 - spreads restarts, guards nothing
        role.due = time.monotonic() + delay
        role.ready = False
        log.warning("role ended", role=role.spec.name, exit_code=role.exit_code, count=role.exits, delay_s=delay)

    def _is_useless(self, role: Role) -> bool:
        return role.failures >= self._patience.failures or role.exits >= self._patience.exits

    def _give_up(self, role: Role) -> int:
        log.critical("a role cannot stay up, the server ends", role=role.spec.name, exit_code=role.exit_code)
        end = f"exit code {role.exit_code}" if role.exit_code >= 0 else signal.Signals(-role.exit_code).name
        sys.stderr.write(f"Sightline ends: its role {role.spec.name} cannot stay up (last end: {end}).\n")
        self._drain()
        return EXIT_CRASH_LOOP

    def _announce(self) -> None:
        if not self._announced and all(role.ready for role in self._roles):
            self._announced = True
            log.info("all roles are ready", count=len(self._roles))
            if self._on_ready is not None:
                self._on_ready()

    def _drain(self) -> None:
        """SIGTERM to each role, not to its group: a role ends its own helpers when its work is done."""
        log.info("draining", delay_s=self._settings.drain_s)
        deadline = time.monotonic() + self._settings.drain_s
        for role in self._roles:
            role.terminate()
        while self._running() and time.monotonic() < deadline and not self._killing:
            time.sleep(self._patience.tick_s)
        for role in self._running():
            log.warning("role did not end in time and is killed", role=role.spec.name)
        self._kill()
        log.info("all roles have ended")

    def _running(self) -> list[Role]:
        return [role for role in self._roles if role.process is not None and not role.look_whether_ended()]

    def _kill(self) -> None:
        for role in self._roles:
            role.kill()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Only the main thread may take signals; elsewhere the caller has `stop`."""
        try:
            before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._killing = self._killing or (self._stopping and number == signal.SIGINT)
        self._stopping = True


@contextmanager
def _pipe() -> Iterator[int]:
    """The lifeline: yields the end to inherit; nobody but this process ever holds the other one."""
    end, ours = os.pipe()
    try:
        yield end
    finally:
        os.close(end)
        os.close(ours)

"""One role of the server as a child process: started, watched, asked to end, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from cds.lifeline import DRAIN_S, LIFELINE_FD, READY_FD, ROLE, SLOT
from cds.logs import get_logger

log = get_logger(__name__)

#: As a shell says that a program cannot be started.
EXIT_NOT_STARTED = 127


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What to start, under which name; a worker's slot makes its executor id, so it outlives restarts."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    slot: int = 0


class Role:
    """One child process and its successors under the same name."""

    def __init__(self, spec: RoleSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.exit_code = 0
        #: Starts that ended before ready, and exits, since the role last stayed up.
        self.failures = 0
        self.exits = 0
        self.started = 0.0
        self.due = 0.0
        self._ready_pipe = -1

    def start(self, inherited: tuple[int, int], drain_s: float) -> bool:
        """Start the child in a session of its own, so that Ctrl-C reaches the supervisor alone; False if it cannot."""
        self.started = time.monotonic()
        self._ready_pipe, ready = os.pipe()
        os.set_blocking(self._ready_pipe, False)
        try:
            self.process = subprocess.Popen(  # noqa: S603 - the program is ours, no shell
                self.spec.argv,
                env={**os.environ, **self.spec.env, **self._internals(inherited[0], ready, drain_s)},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(*inherited, ready),
            )
        except OSError as error:
            log.error("role cannot be started", role=self.spec.name, exc_info=error)
            os.close(self._ready_pipe)
            self.exit_code = EXIT_NOT_STARTED
            return False
        finally:
            os.close(ready)
        log.info("role started", role=self.spec.name, child_pid=self.process.pid, restarts=self.exits)
        return True

    def _internals(self, lifeline: int, ready: int, drain_s: float) -> dict[str, str]:
        return {
            LIFELINE_FD: str(lifeline),
            READY_FD: str(ready),
            DRAIN_S: str(drain_s),
            ROLE: self.spec.name,
            SLOT: str(self.spec.slot),
        }

    def look_whether_ready(self) -> None:
        """True from the first byte on the ready pipe until the child ends."""
        if self.ready:
            return
        with suppress(BlockingIOError):
            if os.read(self._ready_pipe, 1):
                self.ready, self.failures = True, 0
                log.info("role is ready", role=self.spec.name)

    def look_whether_ended(self) -> bool:
        """True once, when the child has ended: kill what it left behind, then reap it.

        WNOWAIT keeps the process id taken, so the group that is killed cannot be somebody else's.
        """
        if self.process is None or not self._is_over(self.process.pid):
            return False
        self._kill_group()
        self.exit_code = self.process.wait()
        self.process = None
        os.close(self._ready_pipe)
        return True

    def terminate(self) -> None:
        """Ask the child to finish; not by Popen, which would reap it unseen."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the child and all that it started, now."""
        if self.process is not None:
            self._kill_group()
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
            self.look_whether_ended()

    def _kill_group(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    @staticmethod
    def _is_over(pid: int) -> bool:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

"""The child's end of the supervisor: end when it dies, and tell it when there is someone to talk to.

Both do nothing in a role that was started by hand. The variables carry no `CDS_`, because they are no settings.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

LIFELINE_FD = "SIGHTLINE_LIFELINE_FD"
READY_FD = "SIGHTLINE_READY_FD"
DRAIN_S = "SIGHTLINE_DRAIN_S"
ROLE = "SIGHTLINE_ROLE"
SLOT = "SIGHTLINE_SLOT"

#: prctl(2): the signal that the kernel sends when the parent's thread dies.
_PR_SET_PDEATHSIG = 1


def follow_lifeline() -> None:
    """End like on SIGTERM once the supervisor is gone, and by SIGKILL with all children when the drain takes too long.

    Call it first in a role. The kernel's signal is for a process that cannot run Python at that moment, such as one
    that is still loading a library.
    """
    descriptor = os.environ.pop(LIFELINE_FD, None)
    if descriptor is None:
        return
    drain_s = float(os.environ.pop(DRAIN_S, "20"))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(target=_follow, args=(int(descriptor), drain_s), name="lifeline", daemon=True).start()


def notify_ready() -> None:
    """Tell the supervisor, once, that the role does its work now: it listens, or takes studies."""
    descriptor = os.environ.pop(READY_FD, None)
    if descriptor is None:
        return
    with suppress(BrokenPipeError):
        os.write(int(descriptor), b"\n")
    os.close(int(descriptor))


def _follow(descriptor: int, drain_s: float) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(drain_s)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)

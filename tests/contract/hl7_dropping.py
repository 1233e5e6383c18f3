"""The drop folder of a site in a process of its own, for tests that kill it: prints a line once it looks."""

from __future__ import annotations

import signal
import sys
import threading

from cds import logs
from cds.bootstrap.hl7_load import watch_folder
from cds.settings import load


def main() -> None:
    """Until SIGTERM."""
    logs.configure("hl7", "ERROR")
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    sys.stdout.write("looking\n")
    sys.stdout.flush()
    watch_folder(load(), stopped)


if __name__ == "__main__":
    main()

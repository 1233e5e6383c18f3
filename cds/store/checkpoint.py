"""Checkpoints of SQLite beside its writers (sqlite.org/wal.html): nobody who waits for a commit waits for them."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from cds.errors import SightlineError
from cds.logs import get_logger
from cds.store.engine import Database

_log = get_logger(__name__)
_EVERY_S = 0.25
_STOP_S = 10.0


class Checkpoints:
    """Copies what was committed from the write-ahead log into its database while the context is open.

    It never waits for a writer or a reader, nor they for it. A writer begins the log anew once all of it was copied;
    under a steady load that is when `wal_pages` of the writer's engine are full. PostgreSQL does this itself.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def __enter__(self) -> Self:
        if self._database.writer.dialect.name == "sqlite":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY_S):
            try:
                self._copy()
            except SightlineError as error:  # the next one copies it too, and writers do where none can
                _log.warning("the write-ahead log was not copied", error=type(error).__name__)

    def _copy(self) -> None:
        with self._database.driven() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

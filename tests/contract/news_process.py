"""A worker's look as a process of its own, which can be killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from adapters.fhir.client import open_client
from adapters.fhir.keys import SmartKeys
from cds.bootstrap.fhir_events import listening
from cds.listening.listening import listen
from cds.settings import Settings
from cds.store.engine import open_app
from tests.contract.news_site import MovingClock, Site


@contextmanager
def listening_process(site: Site, *, at: timedelta) -> Iterator[subprocess.Popen[bytes]]:
    """One that looks once, so much later, when it is told so on its stdin."""
    settings = site.settings.model_dump_json(include={"fhir_sources", "identifier_systems", "accession_issuer"})
    arguments = (str(site.settings.data_dir), settings, (site.clock.at + at).isoformat())
    command = [sys.executable, "-m", "tests.contract.news_process", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def main(data_dir: str, told: str, at: str) -> None:
    """The process."""
    settings = Settings.model_validate_json(told).model_copy(update={"data_dir": Path(data_dir)})
    source = settings.fhir_sources["ehr"]
    client = open_client("ehr", source, SmartKeys(()), sleep=lambda seconds: None)
    database = open_app(Path(data_dir), "")
    line = listening(settings, database, MovingClock(datetime.fromisoformat(at)), "ehr", client)
    sys.stdin.readline()
    listen(line)


if __name__ == "__main__":
    main(*sys.argv[1:])

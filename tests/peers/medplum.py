"""A FHIR server of another project: Medplum's router and its store in memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.contract.fhir_server import FhirServer, of_the_hospital

__all__ = ["FhirServer", "emptied", "of_the_hospital", "running"]

HERE = Path(__file__).parent / "fhir_server"
PACKAGES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sightline/fhir_server/node_modules"


@contextmanager
def running(**switches: bool) -> Iterator[FhirServer]:
    """An empty one that says what `switches` leave of it; skips where node or the packages are not installed."""
    if shutil.which("node") is None or not (PACKAGES.parent / ".installed").exists():
        pytest.skip("node or the FHIR server's packages are not installed: make test-peers installs them")
    environment = {**os.environ, "NODE_PATH": str(PACKAGES), "SWITCHES": json.dumps(switches)}
    with subprocess.Popen(["node", str(HERE / "server.cjs")], stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            yield FhirServer(f"http://127.0.0.1:{int(process.stdout.readline())}/fhir")
        finally:
            process.terminate()


def emptied(server: FhirServer) -> FhirServer:
    """The same server without anything: starting one takes seconds."""
    httpx.delete(server.url).raise_for_status()
    return server

"""The role `ui` as it runs: a server of its own on its port, that says that it lives and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from cds.clock import SystemClock
from cds.store.heartbeats import alive
from tests.databases import fresh
from tests.e2e.site import free_port

_PATIENCE_S = 60.0


def test_it_answers_on_its_own_port_says_that_it_lives_and_drains(tmp_path: Path) -> None:
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CDS_")}
    given = {"CDS_DATA_DIR": str(tmp_path / "data"), "CDS_UI_PORT": str(port), "CDS_UI_WORKERS": "1"}
    with fresh(tmp_path / "data") as databases, (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-P", "-m", "cds", "ui"]
        role = subprocess.Popen(command, env=kept | given, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            assert _waited(f"{url}/health/ready").json() == {"status": "ready"}
            page = httpx.get(f"{url}/", headers={"Accept": "text/html"}, follow_redirects=True)
            assert (page.status_code, page.url.path) == (200, "/sign-in")
            assert "ui" in alive(databases.app, SystemClock())
            role.send_signal(signal.SIGTERM)
            assert role.wait(_PATIENCE_S) == 0
        finally:
            role.kill()
            role.wait()
    said = (tmp_path / "log").read_text()
    assert "the web server listens" in said
    assert "/sign-in" not in said, "addresses are not logged"


def _waited(url: str) -> httpx.Response:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            return httpx.get(url)
        time.sleep(0.1)
    raise AssertionError("the role does not listen")

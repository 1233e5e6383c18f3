"""The outside peers: a PostgreSQL and an Orthanc of the tests' own, on free loopback ports."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.site import free_port, until
from tests.peers import pages_demo
from tests.peers.pages_demo import House


def as_user(*argv: str) -> list[str]:
    """The command as an ordinary user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return list(argv)
    name = next((n for n in ("postgres", "nobody") if _exists(n)), "nobody")
    return ["setpriv", "--reuid", name, "--regid", "nogroup", "--clear-groups", *argv]


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL cluster of our own; its URL names an empty database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL's server programs are not installed: make test-peers installs them")
    binaries, port = programs[-1].parent, free_port()
    home = Path("/tmp") / f"sightline-postgres-{os.getpid()}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    cluster, log = home / "cluster", home / "log"
    try:
        initialise = [str(binaries / "initdb"), "-D", str(cluster), "-U", "sightline", "-A", "trust", "--no-sync"]
        subprocess.run(as_user(*initialise), check=True, capture_output=True)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c max_connections=100"
        control = [str(binaries / "pg_ctl"), "-D", str(cluster), "-l", str(log), "-w"]
        subprocess.run(as_user(*control, "-o", options, "start"), check=True, capture_output=True)
        try:
            yield f"postgresql://sightline@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(as_user(*control, "-m", "immediate", "stop"), check=False, capture_output=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc: its doors and a word to it."""

    http_port: int
    dicom_port: int

    @property
    def dicomweb(self) -> str:
        """What `/studies` follows, where its DICOMweb plug-in runs."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def get(self, path: str) -> object:
        """GET from its REST interface."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as response:
            return json.load(response)

    def file(self, instance: str) -> bytes:
        """An instance as a DICOM file, by Orthanc's own id."""
        url = f"http://127.0.0.1:{self.http_port}/instances/{instance}/file"
        with urllib.request.urlopen(url, timeout=10) as response:
            content: bytes = response.read()
        return content

    def post(self, path: str, body: bytes) -> object:
        """POST to its REST interface."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", body)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


@dataclass(frozen=True)
class OrthancFactory:
    """Starts an Orthanc that knows one modality, SIGHTLINE, at a port."""

    folder: Path

    def start(
        self, sightline_port: int, *, dicomweb: bool = False, no_delay: bool = True
    ) -> tuple[Orthanc, subprocess.Popen[bytes]]:
        """The server, answering, and its process; skips where the DICOMweb plug-in is wanted and not installed."""
        orthanc = Orthanc(free_port(), free_port())
        configuration = {
            "Name": "Peer",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": orthanc.http_port,
            "DicomPort": orthanc.dicom_port,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomModalities": {"sightline": ["SIGHTLINE", "127.0.0.1", sightline_port]},
            "Plugins": [str(_dicomweb_plugin())] if dicomweb else [],
        }
        file = self.folder / "orthanc.json"
        file.write_text(json.dumps(configuration))
        environment = {**os.environ, **({"TCP_NODELAY": "1"} if no_delay else {})}
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(["Orthanc", str(file)], stdout=log, stderr=log, env=environment)
        until(lambda: _answers(orthanc), 30, "Orthanc to answer")
        return orthanc, process


def _dicomweb_plugin() -> Path:
    found = sorted(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*"))
    if not found:
        pytest.skip("Orthanc's DICOMweb plug-in is not installed: make test-peers installs it")
    return found[0]


def _answers(orthanc: Orthanc) -> bool:
    try:
        orthanc.get("/system")
    except (urllib.error.URLError, OSError):
        time.sleep(0.1)
        return False
    return True


@pytest.fixture
def orthanc_factory(tmp_path: Path) -> OrthancFactory:
    """Skips where Orthanc is not installed."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed: make test-peers installs it")
    return OrthancFactory(tmp_path)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A demo that serves, a working day in it, and somebody who signed in; skips where no browser is installed."""
    with pages_demo.at_work(tmp_path_factory.mktemp("pages")) as found:
        yield found

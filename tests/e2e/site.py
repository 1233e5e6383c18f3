"""A whole Sightline on loopback for a test: real processes, real sockets, a fresh data folder."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from adapters.dicom.phantom import Identity, write_ct_series
from adapters.dicom.sender import StoreResult, send
from adapters.hl7 import client
from cds.imaging_peers import DicomNode
from cds.render.why import as_json
from cds.store.engine import open_app
from cds.store.why import why
from models.phantom import Phantom, chest_phantom
from models.registry import load

T = TypeVar("T")

AUTHORITY = "HOSPITAL"
SYSTEM = "urn:test:mrn"


@dataclass(frozen=True)
class Person:
    """A patient of a test; the family name is one that can be searched for."""

    mrn: str = "MRN-0815"
    family: str = "Zzyzxwitz"
    given: str = "Quirina"
    birth_date: date = date(1960, 3, 2)
    sex: str = "F"
    accession_number: str = "ACC-1"


@dataclass
class Site:
    """The server with the doors to it. `environment` is what `cds` is started with."""

    data_dir: Path
    environment: dict[str, str]
    server: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.data_dir.parent / "server.log"

    @property
    def url(self) -> str:
        """Where the web role answers."""
        return f"http://127.0.0.1:{self.environment['CDS_HTTP_PORT']}"

    def cds(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "cds", *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, *argv: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program of the site, its log appended to the site's."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                argv or (sys.executable, "-P", "-m", "cds", "serve"),
                env={**self.environment, **environment},
                stderr=log,
                stdout=log,
            )

    def hl7(self, message: bytes) -> client.Acknowledgment:
        """Send a message over MLLP."""
        return client.send("127.0.0.1", int(self.environment["CDS_HL7_PORT"]), message, timeout_s=30)

    def store(self, paths: Sequence[Path]) -> list[StoreResult]:
        """Send instances by C-STORE."""
        port = int(self.environment["CDS_DICOM_PORT"])
        return send(
            paths, DicomNode(host="127.0.0.1", port=port, ae_title="SIGHTLINE", calling_ae_title="CT1"), timeout_s=60
        )

    def get(self, path: str) -> Any:
        """GET, as JSON."""
        return self._request(path, None)

    def text(self, path: str) -> str:
        """GET, as text."""
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            text: str = response.read().decode()
            return text

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """POST JSON, as JSON."""
        return self._request(path, json.dumps(body).encode())

    def _request(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return orjson.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def why(self, number: str) -> dict[str, Any]:
        """What `cds why --json` prints, without waiting for a program to start."""
        database = open_app(self.data_dir, self.environment.get("CDS_DATABASE_URL", ""))
        try:
            told: dict[str, Any] = orjson.loads(as_json(why(database, number)))
        finally:
            database.dispose()
        return told

    def wait_for_report(self, number: str, version: int = 1, timeout_s: float = 90) -> dict[str, Any]:
        """The story once a study has a report of that version and its deliveries are done."""

        def look() -> dict[str, Any] | None:
            story = self.why(number)
            done = [s for s in story["studies"] if s["report"] and s["report"]["version"] >= version]
            waiting = [d for s in done for d in s["deliveries"] if d["state"] == "pending"]
            return story if done and not waiting else None

        return until(look, timeout_s, f"a report of version {version} on {number}; the log is {self.log}")

    def cards(self, person: Person) -> list[dict[str, Any]]:
        """What `patient-view` answers for a person."""
        request = {
            "hook": "patient-view",
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": "Practitioner/1", "patientId": "ehr-1"},
            "prefetch": {"patient": patient_resource(person)},
        }
        cards: list[dict[str, Any]] = self.post("/cds-services/imaging-findings", request)["cards"]
        return cards


def until(look: Callable[[], T | None], timeout_s: float, what: str, *, every_s: float = 0.2) -> T:
    """Look until there is something to see."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(every_s)
    raise AssertionError(f"waited {timeout_s:g} s in vain for {what}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def site(folder: Path, **environment: str) -> Site:
    """A site that releases at once, with a model and a pathway in advisory mode; not started."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CDS_", "SIGHTLINE_"))}
    settings = {
        "CDS_DATA_DIR": str(folder / "data"),
        "CDS_HTTP_PORT": str(free_port()),
        "CDS_UI_PORT": str(free_port()),
        "CDS_HL7_PORT": str(free_port()),
        "CDS_DICOM_PORT": str(free_port()),
        "CDS_HTTP_WORKERS": "1",
        "CDS_UI_WORKERS": "1",
        "CDS_QUIET_PERIOD_S": "1.5",
        "CDS_MINIMUM_FREE_BYTES": "0",
        "CDS_ASSIGNING_AUTHORITY": AUTHORITY,
        "CDS_ACCESSION_ISSUER": AUTHORITY,
        "CDS_IDENTIFIER_SYSTEMS": json.dumps({SYSTEM: AUTHORITY}),
        # The others have their own tests; here they would only take time from every study.
        "CDS_MODEL_MODES": json.dumps({model: "off" for model in load()} | {"ct_lung_density": "advisory"}),
        "CDS_PATHWAY_MODES": json.dumps({"emphysema": "advisory"}),
        "CDS_RELEASE": json.dumps({"ehr": "immediate", "referral": "immediate"}),
        "CDS_SITE_OPTIONS": json.dumps({"emphysema.laa_950_percent": "5"}),
    }
    if not environment.keys() & {"CDS_HTTP_TOKEN_FILE", "CDS_HOOK_CLIENTS", "CDS_HTTP_HOST"}:
        settings["CDS_INSECURE"] = "1"
    return Site(folder / "data", {**kept, **settings, **environment})


@contextmanager
def serving(one: Site) -> Iterator[Site]:
    """`cds serve`, ready on all three wires; drained at the end."""
    one.server = one.start()
    try:
        wait_until_ready(one)
        yield one
    finally:
        stop(one.server)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a server as an operator would, and wait for it."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def children(supervisor: subprocess.Popen[bytes]) -> dict[str, int]:
    """Role → pid, read from the kernel's process table."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = re.search(r"PPid:\s+(\d+)", (entry / "status").read_text())
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent and int(parent[1]) == supervisor.pid:
            found[arguments[-2].decode()] = int(entry.name)
    return found


def wait_until_ready(one: Site) -> None:
    """All three doors answer."""

    def look() -> bool:
        if one.server is not None and one.server.poll() is not None:
            raise AssertionError(f"the server ended with {one.server.returncode}: {one.log.read_text()[-3000:]}")
        try:
            one.get("/health/ready")
        except (OSError, AssertionError):
            return False
        return True

    until(look, 60, f"the roles to be ready; the log is {one.log}")


def series(folder: Path, person: Person, *, skip: int = 0, **options: Any) -> list[Path]:
    """A chest phantom with emphysema on disk, as a scanner would send it."""
    phantom: Phantom = chest_phantom(spacing_mm=options.pop("spacing_mm", (2.5, 2.0, 2.0)))
    named = {**asdict(identity(person)), **options}
    paths = write_ct_series(phantom.hu, phantom.spacing_mm, folder, **named)
    return paths[skip:]


def identity(person: Person) -> Identity:
    """A person as DICOM names one, examined today."""
    return Identity(
        patient_id=person.mrn,
        issuer=AUTHORITY,
        patient_name=f"{person.family}^{person.given}",
        birth_date=person.birth_date,
        sex=person.sex,
        accession_number=person.accession_number,
        accession_issuer=AUTHORITY,
        study_date=datetime.now(UTC).date(),
    )


def patient_resource(person: Person) -> dict[str, object]:
    """The Patient as the EHR prefetches it."""
    return {
        "resourceType": "Patient",
        "id": "ehr-1",
        "identifier": [{"system": SYSTEM, "value": person.mrn}],
        "birthDate": person.birth_date.isoformat(),
    }


def message(kind: str, control_id: str, person: Person, *segments: str) -> bytes:
    """An HL7 v2 message about a person."""
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    header = f"MSH|^~\\&|EHR|SITE|SIGHTLINE|SITE|{now}||{kind}|{control_id}|P|2.5.1||||||UNICODE UTF-8"
    born = person.birth_date.strftime("%Y%m%d")
    pid = f"PID|1||{person.mrn}^^^{AUTHORITY}^MR||{person.family}^{person.given}||{born}|{person.sex}"
    return ("\r".join([header, pid, *segments]) + "\r").encode()


def smoking(control_id: str, person: Person, *, pack_years: float = 35, quit_year: int = 2021) -> bytes:
    """An ORU^R01 with a smoking history that makes screening eligible."""
    return message(
        "ORU^R01^ORU_R01",
        control_id,
        person,
        "OBR|1||SOC1|SOCHX^Social history^L|||20261001|||||||||||||||20261001||LAB|F",
        "OBX|1|CWE|72166-2^Tobacco smoking status^LN||8517006^Former smoker^SCT||||||F|||20261001",
        f"OBX|2|NM|401201003^Cigarette pack-years^SCT||{pack_years:g}|{{pack-years}}^^UCUM|||||F|||20261001",
        f"OBX|3|DT|74010-0^Date quit tobacco smoking^LN||{quit_year}0915||||||F|||20261001",
    )


def order(control_id: str, person: Person, control: str = "NW") -> bytes:
    """An ORM^O01 for a chest CT."""
    number = person.accession_number
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    return message(
        "ORM^O01^ORM_O01",
        control_id,
        person,
        f"ORC|{control}|PL{number}^EHR|||||||{now}",
        f"OBR|1|PL{number}^EHR||24627-2^Chest CT^LN|||{now}|||||||||||{number}||||||CT",
    )

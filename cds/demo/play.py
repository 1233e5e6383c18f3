"""`cds demo`: one patient's story over the real wires, from the order to the card.

Starts `cds serve` on a fresh data folder and free ports, and plays the parts around it: the EHR that sends HL7 v2 and
calls the hook, the scanner that sends a chest CT by C-STORE, and the engine that receives the ORU^R01.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console

from cds import bootstrap, logs
from cds.demo import guest
from cds.demo import story as demo_story
from cds.demo.engine import Engine
from cds.demo.images import Images, phantom_study, users_study
from cds.demo.story import IDENTIFIER_SYSTEM, Cast
from cds.domain.story import Story
from cds.errors import SightlineError
from cds.exclusive import holder
from cds.imaging_peers import DicomNode
from cds.lifeline import LIFELINE_FD
from cds.render import why as telling
from cds.settings import Settings, load

_FOLDER = Path(".demo")
_START_S, _REPORT_S, _DELIVERY_S = 90.0, 300.0, 30.0
#: No guideline names a cut-off of LAA-950; this one is the demo's alone, to have something to show.
_DEMO_CUT_OFF = "5"


@dataclass(frozen=True, slots=True)
class Stage:
    """What the acts of the demo share."""

    console: Console
    settings: Settings
    engine: Engine

    @property
    def url(self) -> str:
        """Where the web role answers."""
        return self.settings.public_url


class DemoFailed(SightlineError):
    """Something that the demo promises did not happen; the text says what."""


def run(*, study: Path | None, leave: bool) -> int:
    """Play the story; answer 0 only if all of it happened. Without `leave`, serve until Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    logs.configure("demo", "warning")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Engine() as engine, _folder() as folder, _first_demo() as is_first:
            cast = demo_story.heroine(datetime.now(UTC))
            images = users_study(study, cast, folder) if study else phantom_study(cast, folder)
            stage = Stage(console, _configure(folder, engine.port, images.cast, usual_ports=is_first), engine)
            with _server(stage, folder) as server:
                _play(stage, images)
                if not leave:
                    _serve_on(stage, server)
    except SightlineError as error:
        console.print(f"\n[bold red]The demo failed:[/] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("\nEnded.")
        return 0 if not leave else 130
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _configure(folder: Path, engine_port: int, cast: Cast, *, usual_ports: bool) -> Settings:
    usual = {"CDS_HTTP_PORT": 8080, "CDS_UI_PORT": 8081, "CDS_HL7_PORT": 2575, "CDS_DICOM_PORT": 11112}
    ports = _free_ports(usual if usual_ports else dict.fromkeys(usual, 0))
    for name in [n for n in os.environ if n.startswith("CDS_")]:
        del os.environ[name]
    os.environ.update(
        {name: str(port) for name, port in ports.items()}
        | {
            "CDS_DATA_DIR": str(folder / "data"),
            "CDS_SITE_NAME": "the Sightline demo",
            "CDS_ASSIGNING_AUTHORITY": cast.authority,
            "CDS_ACCESSION_ISSUER": cast.accession_issuer,
            "CDS_IDENTIFIER_SYSTEMS": json.dumps({IDENTIFIER_SYSTEM: cast.authority}),
            "CDS_QUIET_PERIOD_S": "3",
            "CDS_MINIMUM_FREE_BYTES": "0",
            "CDS_INSECURE": "1",
            "CDS_MODEL_MODES": json.dumps({"ct_lung_density": "advisory"}),
            "CDS_PATHWAY_MODES": json.dumps({"emphysema": "advisory", "duplicate_imaging": "advisory"}),
            "CDS_RELEASE": json.dumps({"ehr": "immediate", "referral": "immediate"}),
            "CDS_SITE_OPTIONS": json.dumps(
                {
                    "emphysema.laa_950_percent": _DEMO_CUT_OFF,
                    "emphysema.laa_950_origin": "the demo, for demonstration only",
                }
            ),
            "CDS_ORU_DESTINATIONS": json.dumps({"ehr": {"host": "127.0.0.1", "port": engine_port}}),
        }
    )
    return load()


@contextmanager
def _first_demo() -> Iterator[bool]:
    """True for the one demo of this user that may take the usual ports.

    Two that start together would both find them free, and one would talk to the other's server.
    """
    with (Path(tempfile.gettempdir()) / f"sightline-demo-{os.getuid()}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _free_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """The usual ports where they are free, others where a server already has them."""
    sockets = []
    found = {}
    try:
        for name, port in wanted.items():
            held = socket.socket()
            sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind(("127.0.0.1", port))
            except OSError:
                held.bind(("127.0.0.1", 0))
            found[name] = held.getsockname()[1]
    finally:
        for held in sockets:
            held.close()
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    """A fresh folder for this run; those of earlier runs that nobody uses any more are removed."""
    _FOLDER.mkdir(exist_ok=True, mode=0o700)
    for old in _FOLDER.iterdir():
        if holder(old / "data") is None:
            shutil.rmtree(old, ignore_errors=True)
    yield Path(tempfile.mkdtemp(prefix=datetime.now(UTC).strftime("%Y%m%d-%H%M%S-"), dir=_FOLDER)).resolve()


@contextmanager
def _server(stage: Stage, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`cds serve` as a child, ready; drained at the end."""
    settings, log_file = stage.settings, folder / "server.log"
    stage.console.rule("[bold]Sightline starts")
    stage.console.print(f"data {settings.data_dir}\nlog  {log_file}")
    stage.console.print(
        "The demo switches the model ct_lung_density, the pathway emphysema and the check duplicate_imaging from\n"
        "shadow to [bold]advisory[/], and releases unverified results at once. A site starts in shadow and waits for\n"
        f"the radiologist. The cut-off of LAA-950, {_DEMO_CUT_OFF} %, is the demo's: there is no agreed one."
    )
    with log_file.open("wb") as log:
        lifeline, ours = os.pipe()  # closed by the kernel, however the demo ends: the server ends with it
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "cds", "serve"],
            stderr=log,
            stdout=log,
            pass_fds=(lifeline,),
            env={**os.environ, LIFELINE_FD: str(lifeline)},
        )
        os.close(lifeline)
        try:
            _wait_until_ready(stage, server, log_file)
            yield server
        finally:
            server.terminate()
            try:
                server.wait(settings.drain_s + 10)
            except subprocess.TimeoutExpired:
                server.kill()
            os.close(ours)


def _wait_until_ready(stage: Stage, server: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + _START_S
    with stage.console.status("starting the roles web, ui, worker, hl7 and dicom …"):
        while time.monotonic() < deadline:
            if server.poll() is not None:
                raise DemoFailed(f"the server ended with exit code {server.returncode}; its log is {log_file}")
            try:
                _request(f"{stage.url}/health/ready")
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
            else:
                stage.console.print("all roles are ready")
                return
    raise DemoFailed(f"the server was not ready after {_START_S:g} s; its log is {log_file}")


def _play(stage: Stage, images: Images) -> None:
    cast = images.cast
    _send_messages(stage, cast)
    _send_images(stage, images)
    story = _wait_for_report(stage, images)
    report = _show_report(stage, story)
    _show_engine(stage, story)
    cards = _show_hook(stage, cast)
    _show_why(stage, cast.accession_number)
    _show_urls(stage, images)
    _judge(images, _delivered(stage, cast), report, cards)


def _send_messages(stage: Stage, cast: Cast) -> None:
    from adapters.hl7.client import send

    stage.console.rule("[bold]1  HL7 v2 over MLLP")
    for title, message in demo_story.messages(cast).items():
        answer = send("127.0.0.1", stage.settings.hl7_port, message, timeout_s=30)
        stage.console.print(f"→ {title}\n← ACK {answer.code} for {answer.control_id}")


def _send_images(stage: Stage, images: Images) -> None:
    from adapters.dicom.sender import send

    settings = stage.settings
    port, title = settings.dicom_port, settings.dicom_ae_title
    receiver = DicomNode(host="127.0.0.1", port=port, ae_title=title, calling_ae_title="DEMO-CT")
    stage.console.rule("[bold]2  The images by DICOM C-STORE")
    stage.console.print(images.title)
    with stage.console.status("sending …") as status:
        results = send(
            images.paths,
            receiver,
            timeout_s=60,
            progress=lambda done, total: status.update(f"{done} of {total} instances sent"),
        )
    refused = [result for result in results if not result.stored]
    stage.console.print(f"{len(results) - len(refused)} instances stored, status 0x0000")
    for result in refused[:5]:
        stage.console.print(f"refused {result.path.name}: {result.comment or 'no answer'}")
    if len(refused) == len(results):
        raise DemoFailed("no instance of the study was accepted")


def _wait_for_report(stage: Stage, images: Images) -> Story:
    stage.console.rule("[bold]3  The study's way through the pipeline")
    zone, told = ZoneInfo(stage.settings.time_zone), 0
    deadline = time.monotonic() + _REPORT_S
    with stage.console.status(f"waiting until the study is quiet for {stage.settings.quiet_s('CT'):g} s …") as status:
        while time.monotonic() < deadline:
            story = bootstrap.why(stage.settings, images.cast.accession_number)
            for line in list(telling.timeline(story.events, zone))[told:]:
                stage.console.print(line, markup=False)
                told += 1
            if any(study.report or study.holds for study in story.studies):
                return story
            if story.events:
                status.update(f"after {story.events[-1].step} …")
            time.sleep(0.25)
    raise DemoFailed(f"there was no report after {_REPORT_S:g} s; cds why tells how far it came")


def _show_report(stage: Stage, story: Story) -> dict[str, Any] | None:
    stage.console.rule("[bold]4  The DiagnosticReport (FHIR R4)")
    told = next((study for study in story.studies if study.report), None)
    if told is None:
        stage.console.print("none: the study is held for a person, see below")
        return None
    query = urllib.parse.urlencode({"identifier": f"urn:sightline:report|{told.public_id}"})
    bundle = _request(f"{stage.url}/fhir/DiagnosticReport?{query}")
    entries = bundle.get("entry", [])
    if not entries:
        raise DemoFailed("the DiagnosticReport is not at /fhir")
    report: dict[str, Any] = entries[0]["resource"]
    stage.console.print_json(data=report)
    return report


def _show_engine(stage: Stage, story: Story) -> None:
    stage.console.rule("[bold]5  ORU^R01, as the interface engine received it")
    if not any(study.deliveries for study in story.studies):
        stage.console.print("none: a report without order is for the radiologist's worklist alone")
        return
    block = stage.engine.wait(_DELIVERY_S)
    if block is None:
        raise DemoFailed(f"the ORU^R01 did not arrive within {_DELIVERY_S:g} s")
    stage.console.print(block.decode().replace("\r", "\n").strip(), markup=False)


def _show_hook(stage: Stage, cast: Cast) -> list[dict[str, Any]]:
    stage.console.rule("[bold]6  CDS Hooks: the EHR opens the chart (patient-view)")
    request = {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "Practitioner/demo", "patientId": demo_story.FHIR_ID},
        "prefetch": {"patient": demo_story.patient_resource(cast)},
    }
    stage.console.print("The demo runs with CDS_INSECURE=1: no EHR proves who it is, as it must at a site.")
    started = time.perf_counter()
    response = _request(f"{stage.url}/cds-services/imaging-findings", request)
    stage.console.print(f"answered in {(time.perf_counter() - started) * 1000:.0f} ms")
    stage.console.print_json(data=response)
    cards: list[dict[str, Any]] = response["cards"]
    for card in cards:
        stage.console.print(f"\n[bold]{card['indicator']}[/]: {card['summary']}")
        for suggestion in card.get("suggestions", []):
            stage.console.print(f"  suggestion: {suggestion['label']}")
    return cards


def _show_why(stage: Stage, number: str) -> None:
    stage.console.rule(f"[bold]7  cds why {number}")
    told = subprocess.run(
        [sys.executable, "-P", "-m", "cds", "why", number], capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        raise DemoFailed("cds why knows nothing of the study")
    stage.console.print(told.stdout, markup=False)


def _show_urls(stage: Stage, images: Images) -> None:
    stage.console.rule("[bold]8  Look at it")
    base = stage.url
    for line in guest.invited(stage.settings):
        stage.console.print(line)
    for path in ("/cds-services", "/fhir/metadata", "/fhir/DiagnosticReport", "/health/ready", "/metrics"):
        stage.console.print(f"{base}{path}")
    stage.console.print(f"CDS_DATA_DIR={stage.settings.data_dir} .venv/bin/cds why {images.cast.accession_number}")
    chart = stage.settings.data_dir.parent / "patient.json"
    chart.write_text(json.dumps(demo_story.chart(images.cast), indent=1))
    stage.console.print(f"the EHR's side, on a page: .venv/bin/cds hooks sandbox --url {base} --patient {chart}")


def _delivered(stage: Stage, cast: Cast) -> Story:
    """The story once nothing waits to be delivered any more."""
    deadline = time.monotonic() + _DELIVERY_S
    while True:
        story = bootstrap.why(stage.settings, cast.accession_number)
        waiting = [d for study in story.studies for d in study.deliveries if d.state == "pending"]
        if not waiting or time.monotonic() > deadline:
            return story
        time.sleep(0.2)


def _judge(images: Images, story: Story, report: dict[str, Any] | None, cards: list[dict[str, Any]]) -> None:
    """The demo of the phantom promises a card with a draft ServiceRequest; another study, an honest report."""
    if report is None:
        raise DemoFailed("there is no DiagnosticReport")
    if report["status"] != "preliminary":
        raise DemoFailed("the DiagnosticReport is not preliminary")
    if not images.is_phantom:
        return
    drafts = [
        action["resource"]
        for card in cards
        for suggestion in card.get("suggestions", [])
        for action in suggestion["actions"]
        if action["resource"]["resourceType"] == "ServiceRequest" and action["resource"]["status"] == "draft"
    ]
    if not drafts:
        raise DemoFailed("the hook returned no card with a draft ServiceRequest")
    if not any(delivery.state == "sent" for study in story.studies for delivery in study.deliveries):
        raise DemoFailed("the ORU^R01 was not acknowledged")


def _serve_on(stage: Stage, server: subprocess.Popen[bytes]) -> None:
    stage.console.print("\nSightline keeps serving. [bold]Ctrl-C[/] ends it.")
    code = server.wait()
    raise DemoFailed(f"the server ended with exit code {code}")


def _request(url: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
        return answer

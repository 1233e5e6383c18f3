"""kill -9, of the worker in each step and of the roles that acknowledge: nothing is lost, nothing is reported twice."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds.demo.engine import Engine
from cds.errors import SightlineError
from cds.store.engine import open_app, open_messages
from cds.workflow import MAX_RECOVERY_ATTEMPTS, STEPS
from tests.e2e import dying_server
from tests.e2e.site import Person, Site, children, order, series, site, smoking, stop, until, wait_until_ready

#: Whole servers, started and killed: it takes long.
pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An interface engine that receives ORU^R01."""
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Site]:
    """A server whose worker dies on demand."""
    destinations = json.dumps({"ehr": {"host": "127.0.0.1", "port": engine.port}})
    root = str(Path(__file__).parents[2])
    one = site(tmp_path_factory.mktemp("mortal"), CDS_ORU_DESTINATIONS=destinations, PYTHONPATH=root)
    one.server = one.start(sys.executable, dying_server.__file__)
    try:
        wait_until_ready(one)
        yield one
    finally:
        stop(one.server)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_in_a_step_goes_on_there_and_reports_once(
    step: str, mortal: Site, engine: Engine, tmp_path: Path
) -> None:
    person = Person(mrn=f"MRN-{step}", accession_number=f"ACC-{step}")
    mortal.hl7(smoking(f"{step}-1", person))
    mortal.hl7(order(f"{step}-2", person))
    wish = mortal.data_dir / f"kill-{step}"
    wish.touch()
    mortal.store(series(tmp_path, person))
    story = mortal.wait_for_report(person.accession_number)
    assert not wish.exists(), "the worker did not die in this step"
    [study] = story["studies"]
    assert study["report"]["version"] == 1
    assert [d["state"] for d in study["deliveries"]] == ["sent"]
    assert len(mortal.cards(person)) == 1
    reported = [e for e in story["events"] if e["step"] == "report"]
    assert len(reported) == 1
    blocks = [engine.wait(10)]
    while (again := engine.wait(0.5)) is not None:
        blocks.append(again)
    assert len(set(blocks)) == 1, "a repeated send must carry the same bytes, MSH-10 among them"
    assert len(blocks) == 1 or step == "deliver"


def test_a_study_that_kills_every_worker_is_given_to_a_person(mortal: Site, tmp_path: Path) -> None:
    poison, healthy = Person(mrn="MRN-P", accession_number="ACC-P"), Person(mrn="MRN-H", accession_number="ACC-H")
    wish = mortal.data_dir / "kill-match-always"
    wish.touch()
    mortal.store(series(tmp_path / "poison", poison))

    def given_up() -> dict[str, Any] | None:
        studies = mortal.why("ACC-P")["studies"]
        return next((s for s in studies if s["holds"]), None)

    try:
        study = until(given_up, 240, "the poison study to be held")
    finally:
        wish.unlink()
    [hold] = study["holds"]
    assert hold["kind"] == "work-failed"
    assert str(MAX_RECOVERY_ATTEMPTS + 1) in hold["reason"]
    mortal.store(series(tmp_path / "healthy", healthy))
    mortal.wait_for_report("ACC-H")


def test_every_acknowledged_message_survives_the_kill_of_the_hl7_role(mortal: Site) -> None:
    assert mortal.server is not None
    acknowledged: list[str] = []
    finished = threading.Event()

    def send() -> None:
        for number in range(150):
            person = Person(mrn=f"MRN-K{number}", accession_number=f"ACC-K{number}")
            for _ in range(100):
                try:
                    if mortal.hl7(order(f"K{number}", person)).code == "AA":
                        acknowledged.append(f"K{number}")
                        break
                except (SightlineError, OSError):
                    time.sleep(0.1)
        finished.set()

    sender = threading.Thread(target=send)
    sender.start()
    for reached in (20, 60, 100):
        until(lambda count=reached: len(acknowledged) >= count, 60, f"{reached} acknowledgments", every_s=0.002)
        os.kill(children(mortal.server)["hl7"], signal.SIGKILL)
    assert finished.wait(120)
    sender.join()
    assert len(acknowledged) == 150
    messages, app = open_messages(mortal.data_dir, ""), open_app(mortal.data_dir, "")
    try:
        logged = _column(messages, "SELECT DISTINCT control_id FROM message WHERE control_id LIKE 'K%'")
        assert set(acknowledged) <= set(logged)
        until(
            lambda: len(_column(app, "SELECT id FROM service_request WHERE accession_number LIKE 'ACC-K%'")) == 150,
            30,
            "all orders to be applied, each once",
        )
    finally:
        messages.dispose()
        app.dispose()


def test_every_stored_instance_survives_the_kill_of_the_dicom_role(mortal: Site, tmp_path: Path) -> None:
    assert mortal.server is not None
    person = Person(mrn="MRN-D", accession_number="ACC-D")
    paths = series(tmp_path, person)
    stored: set[Path] = set()
    killed = False
    while remaining := [p for p in paths if p not in stored]:
        try:
            stored |= {r.path for r in mortal.store(remaining[:20]) if r.stored}
        except SightlineError:
            time.sleep(0.1)
        if not killed:
            os.kill(children(mortal.server)["dicom"], signal.SIGKILL)
            killed = True
    story = mortal.wait_for_report("ACC-D")
    assert story["studies"][0]["instances"] == len(paths)


def _column(database: Any, query: str) -> list[Any]:
    import sqlalchemy as sa

    with database.reading() as session:
        return [row[0] for row in session.execute(sa.text(query))]

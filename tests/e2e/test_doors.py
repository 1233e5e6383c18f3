"""Second servers, wrong settings, bad input and peers that are away: each gets its clear answer."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cds.demo.engine import Engine
from cds.store.engine import open_app
from tests.e2e.site import Person, Site, children, free_port, message, order, series, serving, site, until

_PORTS = ("CDS_HTTP_PORT", "CDS_UI_PORT", "CDS_HL7_PORT", "CDS_DICOM_PORT")


@pytest.fixture(scope="module")
def port_of_the_engine() -> int:
    """Where the engine will listen later."""
    return free_port()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, port_of_the_engine: int) -> Iterator[Site]:
    """A server whose engine is down."""
    destinations = json.dumps({"ehr": {"host": "127.0.0.1", "port": port_of_the_engine}})
    one = site(tmp_path_factory.mktemp("doors"), CDS_ORU_DESTINATIONS=destinations)
    with serving(one):
        yield one


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_stays(running: Site) -> None:
    ports = {name: str(free_port()) for name in _PORTS}
    told = running.cds("serve", **ports)
    assert told.returncode == 2
    assert "another Sightline is using this data folder" in told.stderr
    running.get("/health/ready")


@pytest.mark.parametrize("name", _PORTS)
def test_a_second_server_on_the_same_port_is_refused_by_name(running: Site, name: str, tmp_path: Path) -> None:
    ports = {n: str(free_port()) for n in _PORTS}
    ports[name] = running.environment[name]
    told = running.cds("serve", CDS_DATA_DIR=str(tmp_path / "other"), **ports)
    assert told.returncode == 2
    assert name in told.stderr
    assert "in use" in told.stderr


@pytest.mark.parametrize("role", ["web", "ui", "worker", "hl7", "intake", "dicom"])
def test_a_second_role_of_a_name_is_refused_in_words(running: Site, role: str) -> None:
    told = running.cds(role)
    assert told.returncode == 2
    assert "already running on this data folder" in told.stderr


def test_a_name_that_is_misspelt_is_refused(tmp_path: Path) -> None:
    one = site(tmp_path, CDS_MODEL_MODES='{"nomodel": "advisory"}', CDS_SITE_OPTIONS='{"x.y": "1"}', CDS_TYPO="1")
    told = one.cds("serve")
    assert told.returncode == 2
    assert "CDS_TYPO" in told.stderr
    told = site(tmp_path, CDS_MODEL_MODES='{"nomodel": "advisory"}', CDS_SITE_OPTIONS='{"x.y": "1"}').cds("serve")
    assert told.returncode == 2
    assert "nomodel" in told.stderr
    assert "x.y" in told.stderr


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    wrong = {
        "CDS_HTTP_PORT": "http",
        "CDS_TIME_ZONE": "Mars/Olympus",
        "CDS_DICOM_AE_TITLE": "x" * 17,
        "CDS_MODEL_MODES": "no json",
        "CDS_HL7_HOST": "0.0.0.0",
        "CDS_DATABASE_URL": "mysql://x",
        "CDS_TYPO": "1",
    }
    told = site(tmp_path, **wrong).cds("check")
    assert told.returncode == 2
    for name in wrong:
        assert name in told.stderr


def test_an_open_address_without_authentication_is_refused(tmp_path: Path) -> None:
    told = site(tmp_path, CDS_HL7_HOST="0.0.0.0", CDS_HTTP_HOST="0.0.0.0").cds("serve")
    assert told.returncode == 2
    assert "CDS_HL7_HOST" in told.stderr
    assert "CDS_HTTP_HOST" in told.stderr


def test_an_unreachable_database_is_a_failed_check_and_no_traceback(tmp_path: Path) -> None:
    url = f"postgresql://u:topsecret@127.0.0.1:{free_port()}/db"
    told = site(tmp_path, CDS_DATABASE_URL=url).cds("check")
    assert told.returncode == 1
    assert "FAIL  database" in told.stdout
    assert "Traceback" not in told.stderr
    assert "topsecret" not in told.stdout + told.stderr


def test_a_new_site_passes_its_check(tmp_path: Path) -> None:
    told = site(tmp_path).cds("check")
    assert told.returncode == 0, told.stdout


def test_check_says_what_works_and_what_does_not(running: Site) -> None:
    told = running.cds("check")
    assert told.returncode == 1
    failed = [line for line in told.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 1
    assert "ehr" in failed[0]
    assert "ok    database" in told.stdout


def test_what_is_not_hl7_is_answered_ar(running: Site) -> None:
    with socket.create_connection(("127.0.0.1", int(running.environment["CDS_HL7_PORT"])), 10) as wire:
        wire.sendall(b"\x0bGET / HTTP/1.1\r\n\x1c\r")
        answer = wire.recv(65536).decode()
    assert "\rMSA|AR|" in answer
    assert "\rERR|" in answer


def test_an_order_without_a_patient_is_answered_ae_with_the_place(running: Site) -> None:
    person = Person(accession_number="ACC-N")
    segments = order("N1", person).decode().split("\r")
    without = "\r".join(s for s in segments if not s.startswith("PID")).encode()
    with socket.create_connection(("127.0.0.1", int(running.environment["CDS_HL7_PORT"])), 10) as wire:
        wire.sendall(b"\x0b" + without + b"\x1c\r")
        answer = wire.recv(65536).decode()
    assert "\rMSA|AE|N1" in answer
    assert "|PID^1^3|101^" in answer


def test_messages_that_nobody_reads_are_accepted_and_change_nothing(running: Site) -> None:
    assert running.hl7(message("SIU^S12^SIU_S12", "S1", Person(), "SCH|1")).code == "AA"


@pytest.mark.peers
def test_reports_wait_for_an_engine_that_is_down_and_arrive_in_order_once_though_the_worker_is_killed(
    running: Site, port_of_the_engine: int, tmp_path: Path
) -> None:
    people = [Person(mrn=f"MRN-W{n}", accession_number=f"ACC-W{n}") for n in (1, 2, 3)]
    for number, person in enumerate(people):
        running.hl7(order(f"W{number}", person))
        running.store(series(tmp_path / person.mrn, person))
        until(lambda p=person: _deliveries(running, p), 60, "the report to wait")
    until(lambda: _deliveries(running, people[0])[0]["attempts"] > 1, 30, "a second attempt")
    waiting = _payloads(running)
    assert running.server is not None
    os.kill(children(running.server)["worker"], signal.SIGKILL)
    with Engine(port_of_the_engine) as engine:
        blocks = [engine.wait(70) for _ in people]
        for person in people:
            until(lambda p=person: _deliveries(running, p)[0]["state"] == "sent", 30, "the delivery")
        assert engine.wait(1) is None
    assert blocks == waiting, "the same bytes as before the kill, MSH-10 among them"
    for person, block in zip(people, blocks, strict=True):
        assert block is not None
        assert person.mrn.encode() in block


def _payloads(running: Site) -> list[bytes]:
    """What waits for the engine, in its order."""
    app = open_app(running.data_dir, "")
    try:
        with app.reading() as session:
            rows = session.execute(sa.text("SELECT payload FROM delivery WHERE state = 'pending' ORDER BY sequence"))
            return [bytes(row[0]) for row in rows]
    finally:
        app.dispose()


def _deliveries(running: Site, person: Person) -> list[dict[str, Any]]:
    studies = running.why(person.accession_number)["studies"]
    found: list[dict[str, Any]] = studies[0]["deliveries"] if studies else []
    return found

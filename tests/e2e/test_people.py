"""What people do while the server runs: switches, verdicts, held items; all roles know it within a second."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds.demo.engine import Engine
from tests.e2e.site import Person, Site, order, series, serving, site, smoking, until

#: Whole servers, started and killed: it takes long.
pytestmark = pytest.mark.peers

MODEL = "ct_lung_density"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An interface engine that receives ORU^R01."""
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Site]:
    """A site that waits for verification before primary care sees anything."""
    one = site(
        tmp_path_factory.mktemp("site"),
        CDS_ORU_DESTINATIONS=json.dumps({"ehr": {"host": "127.0.0.1", "port": engine.port}}),
        CDS_RELEASE=json.dumps({"ehr": "verified", "referral": "verified"}),
    )
    with serving(one):
        yield one


def acted(one: Site, *arguments: str) -> str:
    """Run a command that has to succeed."""
    done = one.cds(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reports(one: Site, public_id: str) -> int:
    """The reports of a study that hold."""
    found = one.get(f"/fhir/DiagnosticReport?identifier=urn:sightline:report%7C{public_id}")
    return sum(entry["resource"]["status"] == "preliminary" for entry in found.get("entry", []))


def test_a_verdict_opens_the_gate_and_switches_close_it_at_once(running: Site, engine: Engine, tmp_path: Path) -> None:
    person = Person(accession_number="ACC-PEOPLE")
    running.hl7(smoking("p1", person))
    running.hl7(order("p2", person))
    running.store(series(tmp_path, person))
    [study] = running.wait_for_report(person.accession_number)["studies"]
    assert running.cards(person) == []
    assert reports(running, study["public_id"]) == 0
    assert study["deliveries"] == []

    refused = running.cds("findings", "confirm", f"{MODEL}.laa_950", "--study", "ACC-PEOPLE", "--role", "clerk")
    assert refused.returncode == 1
    assert "radiologist" in refused.stderr
    confirm = ("--study", "ACC-PEOPLE", "--role", "radiologist", "--by", "Dr Grey")
    impossible = running.cds("findings", "correct", f"{MODEL}.laa_950", "--value=-5", *confirm)
    assert "between 0 and 100" in impossible.stderr
    acted(running, "findings", "confirm", f"{MODEL}.laa_950", *confirm)
    story = running.wait_for_report(person.accession_number, version=2)
    assert [v["verdict"] for v in story["studies"][0]["verifications"]] == ["confirmed"]
    assert reports(running, study["public_id"]) == 1
    [card] = running.cards(person)
    assert "confirmed by a radiologist" in card["detail"]
    assert engine.wait(20) is not None

    acted(running, "disable", "destination", "ehr", "--by", "Eve", "--reason", "the engine is changed")
    acted(running, "disable", "model", MODEL, "--by", "Eve", "--reason", "it reads the new scanner wrongly")
    time.sleep(1)
    assert running.cards(person) == []
    assert reports(running, study["public_id"]) == 0
    until(lambda: running.why("ACC-PEOPLE")["studies"][0]["report"]["version"] == 3, 30, "the model to be taken out")
    assert engine.wait(2) is None, "a destination that is off gets nothing"

    acted(running, "enable", "model", MODEL, "--by", "Eve", "--reason", "the scanner was mended")
    acted(running, "enable", "destination", "ehr", "--by", "Eve", "--reason", "the engine is back")
    until(lambda: running.cards(person), 30, "the card to come back")
    blocks = [block for block in (engine.wait(60), engine.wait(60)) if block]
    assert b"|W|" in blocks[0], "first what the engine has is taken back"
    assert b"|W|" not in blocks[1]
    log = acted(running, "audit")
    for what in ("Eve", "Dr Grey", "card shown"):
        assert what in log
    assert person.family not in log
    assert person.mrn not in log


def test_held_items_are_a_page_and_a_command(running: Site, tmp_path: Path) -> None:
    ordered = Person(mrn="MRN-H1", accession_number="ACC-HELD")
    scanned = Person(mrn="MRN-H2", accession_number="ACC-HELD")
    running.hl7(order("h1", ordered))
    running.store(series(tmp_path, scanned))
    hold = until(lambda: next(iter(_holds(running)), None), 60, "the study to be held")
    assert hold["kind"] == "match-in-doubt"
    assert hold["id"] in running.text("/holds")
    assert "has no such" not in acted(running, "holds", "show", hold["id"])
    wrong = running.cds("holds", "resolve", hold["id"], "send-again", "--by", "Eve")
    assert wrong.returncode == 1
    assert "attach" in wrong.stderr
    acted(running, "holds", "resolve", hold["id"], "attach", "--to", "ACC-HELD", "--by", "Eve", "--reason", "asked")
    story = until(lambda: _matched(running), 60, "the study to be attached")
    assert story["studies"][0]["report"]["match"]["reasons"] == ["a person attached the images to the order"]


def _holds(running: Site) -> list[dict[str, Any]]:
    asked = urllib.request.Request(running.url + "/holds", headers={"Accept": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as response:
        held: list[dict[str, Any]] = json.load(response)["holds"]
        return held


def _matched(running: Site) -> dict[str, Any] | None:
    story = running.why("ACC-HELD")
    report = story["studies"][0]["report"]
    return story if report and report["match"]["state"] == "matched" else None

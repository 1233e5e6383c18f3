"""The main job, over the real wires of one running server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.dicom.restamp import restamp
from cds.demo.engine import Engine
from cds.errors import PeerRefused
from tests.e2e.site import AUTHORITY, Person, Site, identity, order, series, serving, site, smoking, until

PERSON = Person()
_RANDOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An interface engine that receives ORU^R01."""
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Site]:
    """One server for the module, which logs all that it can; each test has a patient of its own."""
    destinations = json.dumps({"ehr": {"host": "127.0.0.1", "port": engine.port}})
    one = site(tmp_path_factory.mktemp("site"), CDS_ORU_DESTINATIONS=destinations, CDS_LOG_LEVEL="debug")
    with serving(one):
        yield one


@pytest.fixture(scope="module")
def story(running: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The whole story of one patient, told once."""
    assert running.hl7(smoking("1", PERSON)).code == "AA"
    assert running.hl7(order("2", PERSON)).code == "AA"
    results = running.store(series(tmp_path_factory.mktemp("ct"), PERSON))
    assert all(result.stored for result in results)
    return running.wait_for_report(PERSON.accession_number)


def test_the_images_find_their_order_and_the_report_is_preliminary(running: Site, story: dict[str, Any]) -> None:
    [study] = story["studies"]
    assert study["report"]["match"]["state"] == "matched"
    bundle = running.get(f"/fhir/DiagnosticReport?identifier=urn:sightline:report%7C{study['public_id']}")
    [entry] = bundle["entry"]
    report = entry["resource"]
    assert report["status"] == "preliminary"
    assert report["meta"]["versionId"] == "1"
    for reference in report["result"]:
        observation = running.get(f"/fhir/{reference['reference']}")
        assert observation["status"] == "preliminary"
        assert observation["subject"]["reference"] == report["subject"]["reference"]


def test_the_measured_lung_is_the_phantoms(story: dict[str, Any]) -> None:
    [outcome] = story["studies"][0]["report"]["outcomes"]
    measured = {finding["key"]: finding["value"]["value"] for finding in outcome["findings"]}
    assert measured["lung_volume"] == pytest.approx(4800, rel=0.03)


def test_the_hook_answers_with_a_card_and_a_draft_service_request(running: Site, story: dict[str, Any]) -> None:
    assert story["studies"]
    [card] = running.cards(PERSON)
    drafts = [action["resource"] for s in card["suggestions"] for action in s["actions"]]
    assert {draft["resourceType"] for draft in drafts} == {"ServiceRequest"}
    assert {draft["status"] for draft in drafts} == {"draft"}
    assert any("pirometry" in draft["code"]["text"] for draft in drafts)
    assert "35" in card["detail"]
    assert "2026-10-01" in card["detail"]


def test_the_engine_receives_the_oru_once(story: dict[str, Any], engine: Engine) -> None:
    block = engine.wait(20)
    assert block is not None
    text = block.decode()
    assert "|ORU^R01" in text
    assert "AI-ANALYSIS" in text
    assert f"{PERSON.mrn}^^^{AUTHORITY}" in text
    assert engine.wait(1) is None
    assert story["studies"][0]["deliveries"][0]["state"] == "sent"


def test_why_tells_every_step_with_its_reason(running: Site, story: dict[str, Any]) -> None:
    steps = [event["step"] for event in story["events"]]
    wanted = ["order", "receive", "event", "match", "retrieve", "infer ct_lung_density", "enrich", "decide", "report"]
    assert [step for step in steps if step in wanted] == wanted
    told = orjson.loads(running.cds("why", PERSON.accession_number, "--json").stdout)
    assert told["studies"][0]["report"]["version"] == 1
    text = running.cds("why", PERSON.mrn).stdout
    assert "accession number and issuer agree" in text
    assert PERSON.family not in text


def test_the_same_images_again_are_no_new_report(running: Site, story: dict[str, Any], tmp_path: Path) -> None:
    person = Person(mrn="MRN-2", accession_number="ACC-2")
    paths = series(tmp_path, person)
    running.hl7(order("3", person))
    running.store(paths)
    running.wait_for_report("ACC-2")
    running.store(paths)
    until_quiet = time.monotonic() + 5
    while time.monotonic() < until_quiet:
        told = running.why("ACC-2")["studies"][0]
        assert (told["report"]["version"], told["image_revision"]) == (1, 1)
        time.sleep(0.5)


def test_late_slices_make_a_second_preliminary_version(running: Site, tmp_path: Path) -> None:
    person = Person(mrn="MRN-3", accession_number="ACC-3")
    paths = series(tmp_path, person)
    running.hl7(order("4", person))
    running.store(paths[:-1])
    running.wait_for_report("ACC-3")
    running.store(paths[-1:])
    story = running.wait_for_report("ACC-3", version=2)
    study = story["studies"][0]
    assert study["report"]["replaces"] == 1
    bundle = running.get(f"/fhir/DiagnosticReport?identifier=urn:sightline:report%7C{study['public_id']}")
    report = bundle["entry"][0]["resource"]
    assert (report["status"], report["meta"]["versionId"]) == ("preliminary", "2")
    first = running.get(f"/fhir/DiagnosticReport/{report['id']}/_history/1")
    assert first["meta"]["versionId"] == "1"


def test_a_late_order_decides_again_without_running_the_model_again(running: Site, tmp_path: Path) -> None:
    person = Person(mrn="MRN-4", accession_number="ACC-4")
    running.store(series(tmp_path, person))
    story = running.wait_for_report("ACC-4")
    assert story["studies"][0]["report"]["match"]["state"] == "unmatched"
    assert story["studies"][0]["deliveries"] == []
    assert running.hl7(order("5", person)).code == "AA"
    story = running.wait_for_report("ACC-4", version=2)
    assert story["studies"][0]["report"]["match"]["state"] == "matched"
    assert [e["step"] for e in story["events"]].count("infer ct_lung_density") == 1


def test_images_of_another_patient_under_the_accession_number_are_held(running: Site, tmp_path: Path) -> None:
    ordered = Person(mrn="MRN-5", accession_number="ACC-5")
    scanned = Person(mrn="MRN-6", accession_number="ACC-5")
    running.hl7(order("6", ordered))
    running.store(series(tmp_path, scanned))

    def held() -> dict[str, Any] | None:
        story = running.why("ACC-5")
        return story if story["studies"] and story["studies"][0]["holds"] else None

    story = until(held, 60, "the study to be held")
    until(lambda: [e for e in running.why("ACC-5")["events"] if e["step"] == "decide"], 60, "the decision")
    assert story["studies"][0]["report"] is None
    assert running.cards(ordered) == []


def test_a_study_of_one_slice_is_not_evaluated_and_says_why(running: Site, tmp_path: Path) -> None:
    person = Person(mrn="MRN-7", accession_number="ACC-7")
    running.hl7(order("7", person))
    running.store(series(tmp_path, person)[:1])
    story = running.wait_for_report("ACC-7")
    [outcome] = story["studies"][0]["report"]["outcomes"]
    assert outcome["kind"] == "not-evaluated"
    assert any("slice" in reason for reason in outcome["reasons"])
    assert not [card for card in running.cards(person) if card.get("suggestions")]


def test_a_real_ct_of_twenty_jpeg_2000_slices_is_judged_honestly(
    running: Site, reference_dir: Path, tmp_path: Path
) -> None:
    """Its UIDs were blanked by whoever anonymised it, which no receiver can accept: copies get new ones."""
    source = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    assert not any(result.stored for result in running.store(source))
    person = Person(mrn="MRN-8", accession_number="ACC-8")
    paths = restamp(source, tmp_path, identity(person))
    running.hl7(order("8", person))
    assert all(result.stored for result in running.store(paths))
    story = running.wait_for_report("ACC-8")
    [study] = story["studies"]
    assert study["instances"] == 20
    [outcome] = study["report"]["outcomes"]
    assert outcome["kind"] == "not-evaluated"
    assert outcome["reasons"]
    assert [e["outcome"] for e in story["events"] if e["step"] == "retrieve"] == ["done"]


def test_no_log_metric_or_link_names_a_patient(running: Site, story: dict[str, Any]) -> None:
    """Runs last: everything that this module sent has passed through by now."""
    with pytest.raises(PeerRefused, match="AE, condition 103"):
        running.hl7(order("9", Person(given=PERSON.family)).replace(b"ORC|NW", b"ORC|ZZ"))
    running.cards(PERSON)
    born = PERSON.birth_date
    telling = (PERSON.family, PERSON.given, PERSON.mrn, "MRN-", born.isoformat(), born.strftime("%Y%m%d"), "ACC-")
    log = running.log.read_text()
    metrics = running.text("/metrics")
    links = _links(running.get("/fhir/DiagnosticReport")) + _links(running.get("/fhir/Patient"))
    links += (
        _links(running.get("/fhir/Provenance")) + _links(running.cards(PERSON)) + _links(running.get("/cds-services"))
    )
    assert "sightline_hook_total" in metrics
    assert "message refused" in log
    assert len(links) > 10
    links = [_RANDOM_ID.sub("", link) for link in links]  # whose digits may spell anything
    engine = b"".join(file.read_bytes() for file in running.data_dir.glob("workflow.sqlite*"))
    assert b"portable_json" in engine
    assert b"py_pickle" not in engine
    for word in telling:
        assert word.encode() not in engine, word
        assert word.lower() not in log.lower(), word
        assert word.lower() not in metrics.lower(), word
        assert not [link for link in links if word.lower() in link.lower()], word


def _links(value: Any) -> list[str]:
    """Every URL and relative reference in a JSON value."""
    if isinstance(value, dict):
        return [link for v in value.values() for link in _links(v)]
    if isinstance(value, list):
        return [link for v in value for link in _links(v)]
    is_link = isinstance(value, str) and (value.startswith("http") or re.fullmatch(r"[A-Z]\w+/[\w-]+", value))
    return [value] if is_link else []

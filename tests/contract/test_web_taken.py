"""Reports and studies that are pushed over HTTP, with a real store behind; every answer has the documented form."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from flask import Flask
from jsonschema import Draft202012Validator
from sqlmodel import select
from werkzeug.serving import make_server

from adapters.fhir.outcome import operation_outcome
from cds.bootstrap.pushed import bundle_taker, taker
from cds.codes import DCM
from cds.domain.event import StudyEvent
from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent
from cds.services import Json
from cds.settings import Settings
from cds.store.opinions import OpinionStore
from cds.store.record import RecordStore
from cds.store.studies import StudyStore
from cds.store.study_events import StudyEventStore
from cds.store.tables import TimelineRow
from cds.web import errors, fhir, taken
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, PATIENT, instance, raw
from tests.contract.web_peer import FixedClock, services
from tests.databases import Databases, fresh
from tests.unit.test_fhir_final_report import diagnostic_report

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"))
SYSTEMS = {"https://hospital.example/mrn": "HOSP", "https://ris.example/acc": "RIS"}
SUBJECT = {"identifier": {"system": "https://hospital.example/mrn", "value": "P1"}}


@dataclass(frozen=True)
class Filing:
    """What the routes are given."""

    take: Callable[[Json], bool]
    take_bundle: Callable[[Json], Json]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A site with patient P1 and the images of accession numbers ACC1 and ACC2."""
    with fresh(tmp_path_factory.mktemp("site")) as databases:
        RecordStore(databases.app).apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        for number in (1, 2):
            images = instance(f"1.{number}.9", study=f"1.{number}", accession=f"ACC{number}")
            studies.add(images, received_at=NOW, consumed=True, source="dicom")
        close_quiet(databases.app, NOW + timedelta(hours=1))
        yield databases


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    """The FHIR routes and those of final reports on a real server."""
    settings = Settings(identifier_systems=SYSTEMS, accession_issuer="RIS")
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=1_000_000, PROVIDE_AUTOMATIC_OPTIONS=False)
    errors.install(app, operation_outcome)
    app.register_blueprint(fhir.blueprint(services()))
    given = settings, databases.app, FixedClock()
    app.register_blueprint(taken.blueprint(Filing(taker(*given), bundle_taker(*given))))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.port}/fhir"
    server.shutdown()
    thread.join()
    server.server_close()


def revision(databases: Databases, uid: str) -> int:
    """How often the study was matched."""
    studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
    return studies.study(uid).match_revision


def numbered(accession: str, **changes: object) -> Json:
    """A signed report under an accession number."""
    number = diagnostic_report()["identifier"][1] | {"value": accession}
    return diagnostic_report(**{"subject": SUBJECT, "identifier": [number], **changes})


def test_a_report_is_filed_once_and_its_study_is_matched_again(databases: Databases, url: str) -> None:
    answers = [httpx.post(f"{url}/DiagnosticReport", json=numbered("ACC1")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert all(answer.headers["Content-Type"].startswith("application/fhir+json") for answer in answers)
    assert revision(databases, "1.1") == 2
    patient = RecordStore(databases.app).patient(Identifier("P1", "HOSP"))
    assert patient is not None
    found = OpinionStore(databases.app).final_report(Identifier("ACC1", "RIS"), patient.id or "")
    assert found is not None
    assert found.text == "IMPRESSION:\nNo pneumothorax."


def test_a_version_by_put_replaces_and_a_withdrawal_removes(databases: Databases, url: str) -> None:
    patient = RecordStore(databases.app).patient(Identifier("P1", "HOSP"))
    assert patient is not None

    def put(**changes: object) -> str:
        answer = httpx.put(f"{url}/DiagnosticReport/r1", json=numbered("ACC2", **changes))
        assert answer.status_code == 201
        found = OpinionStore(databases.app).final_report(Identifier("ACC2", "RIS"), patient.id or "")
        return found.status if found else "none"

    assert put() == "final"
    assert put(status="amended", conclusion="Small left pneumothorax.") == "amended"
    assert put(status="entered-in-error") == "none"
    assert httpx.put(f"{url}/DiagnosticReport/r2", json=numbered("ACC2")).status_code == 400
    assert revision(databases, "1.2") == 4


def imaging_study(uid: str = "1.7", accession: str = "ACC7", **changes: object) -> Json:
    """A CT of 120 slices that is there, of an order by its number."""
    number = {**diagnostic_report()["identifier"][1], "value": accession}
    made: Json = {
        "resourceType": "ImagingStudy",
        "id": "s1",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}, number],
        "subject": SUBJECT,
        "series": [{"uid": f"{uid}.1", "modality": {"system": DCM, "code": "CT"}, "numberOfInstances": 120}],
    }
    return made | dict(changes)


def bundle(*resources: Json, kind: str = "transaction", method: str = "POST") -> Json:
    entries = [{"resource": one, "request": {"method": method, "url": one["resourceType"]}} for one in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def announced(databases: Databases) -> dict[str, StudyEvent]:
    return {one.study_instance_uid or "": one for one in StudyEventStore(databases.app).pending()}


def test_a_study_is_announced_once_and_a_change_that_no_model_reads_changes_nothing(
    databases: Databases, url: str
) -> None:
    bodies = [imaging_study(), imaging_study(), imaging_study(description="Chest, described later")]
    answers = [httpx.post(f"{url}/ImagingStudy", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    event = announced(databases)["1.7"]
    assert event.series == (("1.7.1", 120),)
    assert event.accession == Identifier("ACC7", "RIS")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "registered"}, 200),
        ({"series": [{"uid": "1.8.1", "modality": {"system": DCM, "code": "OPT"}, "numberOfInstances": 1}]}, 200),
        ({"status": "finished"}, 400),
        ({"identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.x"}]}, 400),
    ],
)
def test_a_study_whose_images_are_not_there_or_that_no_model_reads_announces_nothing(
    databases: Databases, url: str, changes: Json, status: int
) -> None:
    answer = httpx.put(f"{url}/ImagingStudy/s1", json=imaging_study("1.8", **changes))
    assert answer.status_code == status
    assert "1.8" not in announced(databases)


def test_a_transaction_brings_a_study_and_its_report_with_what_they_refer_to(databases: Databases, url: str) -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [SUBJECT["identifier"]]}
    signed = numbered("ACC1", subject={"reference": "Patient/p"}, conclusion="A nodule in the left upper lobe.")
    sent = bundle(patient, imaging_study("1.9"), signed)
    answers = [httpx.post(url, json=sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [one["response"]["status"] for one in answers[0].json()["entry"]] == ["200", "201", "201"]
    assert [one["response"]["status"] for one in answers[1].json()["entry"]] == ["200", "200", "200"]
    assert "1.9" in announced(databases)
    owner = RecordStore(databases.app).patient(Identifier("P1", "HOSP"))
    assert owner is not None
    filed = OpinionStore(databases.app).final_report(Identifier("ACC1", "RIS"), owner.id or "")
    assert filed is not None
    assert filed.text.endswith("A nodule in the left upper lobe.")


def based_on_an_order(accession: str, **members: object) -> list[Json]:
    """A study, its order and their patient, who are references to each other."""
    number = {**diagnostic_report()["identifier"][1], "value": accession}
    order = {"resourceType": "ServiceRequest", "id": "o", "status": "active", "intent": "order", "identifier": [number]}
    patient = {"resourceType": "Patient", "id": "p", "identifier": [SUBJECT["identifier"]], **members}
    subject: Json = {"subject": {"reference": "Patient/p"}}
    study = imaging_study(f"1.3.{accession}", accession, basedOn=[{"reference": "ServiceRequest/o"}], **subject)
    return [patient, {**order, **subject}, study]


def test_a_transaction_brings_the_order_that_a_study_is_based_on(databases: Databases, url: str) -> None:
    answer = httpx.post(url, json=bundle(*based_on_an_order("41")))
    assert [one["response"]["status"] for one in answer.json()["entry"]] == ["200", "200", "201"]
    [(order, patient)] = RecordStore(databases.app).order_candidates("41")
    assert order.accession == Identifier("41", "RIS")
    assert Identifier("P1", "HOSP") in patient.identifiers


def test_its_sender_is_told_that_an_order_waits_for_a_person(databases: Databases, url: str) -> None:
    answer = httpx.post(url, json=bundle(*based_on_an_order("42", birthDate="1931-01-01")))
    [_, _, said] = answer.json()["entry"]
    assert "a person has to look at its order" in said["response"]["outcome"]["issue"][0]["details"]["text"]
    assert RecordStore(databases.app).order_candidates("42") == ()
    assert "1.3.42" in announced(databases)


STRANGER = {"subject": {"identifier": {"system": "https://hospital.example/mrn", "value": "P9"}}}


def test_of_a_transaction_that_cannot_be_taken_as_a_whole_nothing_is_kept(databases: Databases, url: str) -> None:
    for wrong in (numbered("ACC1", **STRANGER), imaging_study("1.11", status="finished")):
        answer = httpx.post(url, json=bundle(imaging_study("1.10"), wrong))
        assert answer.status_code in (400, 422)
        assert "Bundle.entry[1]: " in answer.json()["issue"][0]["details"]["text"]
        assert "1.10" not in announced(databases)


def test_a_report_of_two_people_is_a_contradiction_that_names_its_entry(databases: Databases, url: str) -> None:
    other = MessageContent(replace(PATIENT, identifiers=(Identifier("P2", "HOSP"),)))
    RecordStore(databases.app).apply([(LoggedMessage(2, raw("2")), other)], NOW)
    numbers = [{**SUBJECT["identifier"], "value": value} for value in ("P1", "P2")]
    both = {"resourceType": "Patient", "id": "p", "identifier": numbers}
    wrong = numbered("ACC1", subject={"reference": "Patient/p"})
    answer = httpx.post(url, json=bundle(both, imaging_study("1.15"), wrong))
    assert answer.status_code == 409
    assert answer.json()["issue"][0]["details"]["text"].startswith("Bundle.entry[2]: ")
    Draft202012Validator(DOCUMENT["components"]["schemas"]["OperationOutcome"]).validate(answer.json())
    assert "1.15" not in announced(databases)


def test_a_withdrawn_study_is_noted_once(databases: Databases, url: str) -> None:
    gone = imaging_study("1.16", status="cancelled")
    answers = [httpx.post(f"{url}/ImagingStudy", json=gone) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    [said] = [one.json()["issue"][0]["details"]["text"] for one in answers[:1]]
    assert "its withdrawal is noted" in said
    with databases.app.reading() as session:
        told = session.exec(select(TimelineRow.outcome).where(TimelineRow.study_uid == "1.16")).all()
    assert told == ["images withdrawn (cancelled) by FHIR push"]


@pytest.mark.parametrize("address", ["ImagingStudyGuide", "ImagingStudy/another", "Patient", "", "/ImagingStudy"])
def test_an_entry_whose_address_is_anothers_is_refused(url: str, address: str) -> None:
    request = {"method": "PUT", "url": address}
    entry = {"resource": imaging_study("1.17"), "request": request}
    sent = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = httpx.post(url, json=sent)
    assert answer.status_code == 400
    assert "Bundle.entry[0]: request.url wants" in answer.text
    for known in ("ImagingStudy", "ImagingStudy/s1", "ImagingStudy?identifier=x"):
        request["url"] = known
        assert httpx.post(url, json=sent).status_code == 200


def test_of_a_batch_each_entry_is_taken_for_itself(databases: Databases, url: str) -> None:
    wrong = imaging_study("1.13", status="finished")
    answer = httpx.post(url, json=bundle(imaging_study("1.12"), wrong, numbered("ACC1", **STRANGER), kind="batch"))
    assert [one["response"]["status"] for one in answer.json()["entry"]] == ["201", "400", "422"]
    assert "entry[1]" in answer.text
    assert "P9" not in answer.text
    assert "1.12" in announced(databases)


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Bundle", "type": "searchset"},
        {"resourceType": "Bundle", "type": "transaction", "entry": []},
        bundle({"resourceType": "Medication"}),
        bundle(imaging_study("1.14"), method="DELETE"),
        {"resourceType": "Bundle", "type": "transaction", "entry": [7]},
        {"resourceType": "Patient"},
        [],
    ],
)
def test_what_is_no_bundle_of_what_is_taken_is_refused_with_what_was_wanted(url: str, body: Any) -> None:
    answer = httpx.post(f"{url}/", json=body)
    assert answer.status_code == 400
    assert "want" in answer.json()["issue"][0]["details"]["text"]


PATIENTS = {"subject": {"identifier": {"system": "https://hospital.example/mrn", "value": "P9"}}}
CALLS: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "DiagnosticReport", {"json": numbered("ACC1", status="preliminary")}, 200),
    ("POST", "DiagnosticReport", {"json": numbered("ACC3")}, 201),
    ("POST", "DiagnosticReport", {"json": diagnostic_report(identifier=None, subject=SUBJECT)}, 422),
    ("POST", "DiagnosticReport", {"json": numbered("ACC1", subject=None)}, 422),
    ("POST", "DiagnosticReport", {"json": numbered("ACC1", **PATIENTS)}, 422),
    ("POST", "DiagnosticReport", {"json": numbered("ACC1", meta={"security": [{"code": "AIAST"}]})}, 400),
    ("POST", "DiagnosticReport", {"json": {"resourceType": "Patient"}}, 400),
    ("POST", "DiagnosticReport", {"json": []}, 400),
    ("POST", "DiagnosticReport", {"content": b"{", "headers": {"Content-Type": "application/fhir+json"}}, 400),
    ("POST", "DiagnosticReport", {"data": {"a": "b"}}, 415),
    ("POST", "DiagnosticReport", {"content": b"x" * 1_000_001, "headers": {"Content-Type": "application/json"}}, 413),
    ("POST", "Observation", {"json": {"resourceType": "Observation"}}, 405),
    ("PUT", "Observation/1", {"json": {"resourceType": "Observation"}}, 405),
    ("PUT", "DiagnosticReport/r1", {"json": numbered("ACC1", subject=None)}, 422),
    ("POST", "ImagingStudy", {"json": imaging_study("1.20")}, 201),
    ("POST", "ImagingStudy", {"json": imaging_study("1.20", status=None)}, 400),
    ("POST", "", {"json": bundle(imaging_study("1.21"))}, 200),
    ("POST", "", {"json": bundle({"resourceType": "Medication"})}, 400),
    ("POST", "", {"json": bundle(numbered("ACC1", **STRANGER))}, 422),
    ("GET", "DiagnosticReport", {}, 200),
]


@pytest.mark.parametrize(("method", "path", "arguments", "status"), CALLS)
def test_every_answer_has_the_documented_form(
    url: str, method: str, path: str, arguments: dict[str, Any], status: int
) -> None:
    response = httpx.request(method, f"{url}/{path}".rstrip("/"), **arguments)
    assert response.status_code == status, response.text
    template = "/fhir" + ("/{resource_type}" if path else "") + ("/{resource_id}" if "/" in path else "")
    documented = resolved(DOCUMENT["paths"][template][method.lower()]["responses"][str(status)])
    schema = documented["content"]["application/fhir+json"]["schema"]
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(response.json())
    assert all(name in response.headers for name in documented.get("headers", {}))
    assert "P9" not in response.text


def resolved(element: dict[str, Any]) -> dict[str, Any]:
    """What a reference means."""
    while "$ref" in element:
        found: Any = DOCUMENT
        for part in element["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        element = found
    return element

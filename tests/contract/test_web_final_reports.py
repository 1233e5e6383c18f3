"""Final reports over HTTP, with a real server and a real store behind it; every answer has the documented form."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from flask import Flask
from jsonschema import Draft202012Validator
from werkzeug.serving import make_server

from adapters.fhir.outcome import operation_outcome
from cds.bootstrap.findings import filer
from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent
from cds.services import Json
from cds.settings import Settings
from cds.store.opinions import OpinionStore
from cds.store.record import RecordStore
from cds.store.studies import StudyStore
from cds.web import errors, fhir, final_reports
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

    file_final_report: Callable[[Json], bool]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A site with patient P1 and the images of accession numbers ACC1 and ACC2."""
    with fresh(tmp_path_factory.mktemp("site")) as databases:
        RecordStore(databases.app).apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        for number in (1, 2):
            images = instance(f"1.{number}.9", study=f"1.{number}", accession=f"ACC{number}")
            studies.add(images, received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1), timedelta(0))
        yield databases


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    """The FHIR routes and those of final reports on a real server."""
    settings = Settings(identifier_systems=SYSTEMS, accession_issuer="RIS")
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=1_000_000, PROVIDE_AUTOMATIC_OPTIONS=False)
    errors.install(app, operation_outcome)
    app.register_blueprint(fhir.blueprint(services()))
    app.register_blueprint(final_reports.blueprint(Filing(filer(settings, databases.app, FixedClock()))))
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
    ("GET", "DiagnosticReport", {}, 200),
]


@pytest.mark.parametrize(("method", "path", "arguments", "status"), CALLS)
def test_every_answer_has_the_documented_form(
    url: str, method: str, path: str, arguments: dict[str, Any], status: int
) -> None:
    response = httpx.request(method, f"{url}/{path}", **arguments)
    assert response.status_code == status, response.text
    template = "/fhir/{resource_type}" + ("/{resource_id}" if "/" in path else "")
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

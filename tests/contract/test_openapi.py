"""openapi.yaml, the routes and what they really answer say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.fhir.controls import CONTROLS
from adapters.fhir.parameters import PARAMETERS
from cds import __version__
from cds.services import Probe
from cds.web.app import create_app
from tests.contract import fhir_api, ui_site
from tests.contract.fhir_api import commit, observations
from tests.contract.memory_store import MemoryResourceStore
from tests.contract.web_peer import FIRST, SERVICE, emitted, services, serving

DOCUMENT = yaml.safe_load((Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"))
FORM = "application/x-www-form-urlencoded"


def report_id(resource_type: str = "DiagnosticReport") -> str:
    """The id of a resource of the sample report."""
    return next(r.id for r in emitted() if r.type == resource_type)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(services()) as address:
        yield address


def test_the_file_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["info"]["version"] == __version__


def test_every_route_and_method_is_documented_and_none_more(tmp_path: Path) -> None:
    with ui_site.serving(tmp_path, second_readers={"m": {"mode": "triage"}}) as pages:
        rules = [rule for app in (create_app(services()), pages.app) for rule in app.url_map.iter_rules()]
    routes = {
        (re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD"}
    }
    methods = {"get", "post", "put", "delete", "patch", "options"}
    documented = {(path, name) for path, item in DOCUMENT["paths"].items() for name in item if name in methods}
    assert routes == documented


def test_the_documented_resource_types_are_those_served() -> None:
    assert DOCUMENT["components"]["schemas"]["ResourceType"]["enum"] == list(PARAMETERS)


def test_the_documented_search_parameters_are_those_read() -> None:
    operation = DOCUMENT["paths"]["/fhir/{resource_type}"]["get"]
    named = {_resolved(parameter)["name"] for parameter in operation["parameters"]}
    schemas = DOCUMENT["components"]["schemas"]
    assert named - {"resource_type", "criteria", "Prefer"} == {*CONTROLS, "_page"}
    assert set(schemas["SearchForm"]["properties"]) == {*CONTROLS, "_page"}
    assert schemas["SearchParameter"]["enum"] == sorted({name for table in PARAMETERS.values() for name in table})


HOOK = f"/cds-services/{SERVICE}"
REPORT = f"/fhir/DiagnosticReport/{report_id()}"
EVERYTHING = f"/fhir/Patient/{report_id('Patient')}/$everything"
REQUEST = {"hook": "patient-view", "hookInstance": "1", "context": {}}
PARTS = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b', "Accept": "application/dicom+json"}
CALLS: list[tuple[str, str, dict[str, Any], int]] = [
    ("GET", "/health/live", {}, 200),
    ("GET", "/health/ready", {}, 200),
    ("GET", "/metrics", {}, 200),
    ("GET", "/holds", {"headers": {"Accept": "application/json"}}, 200),
    ("POST", "/dicom-web/studies", {"headers": PARTS, "content": b"all"}, 200),
    ("POST", "/dicom-web/studies", {"headers": PARTS, "content": b"some"}, 202),
    ("POST", "/dicom-web/studies", {"headers": PARTS, "content": b"some" + b" " * 6 * 1024 * 1024}, 202),
    ("POST", "/dicom-web/studies/1.2.3", {"headers": PARTS, "content": b"none"}, 409),
    ("POST", "/dicom-web/studies", {"headers": {"Content-Type": "image/png"}, "content": b"x"}, 400),
    ("POST", "/dicom-web/studies", {"headers": {**PARTS, "Accept": "application/dicom+xml"}, "content": b"x"}, 406),
    ("GET", "/fhir/metadata", {}, 200),
    ("GET", "/fhir/Observation", {}, 200),
    ("GET", "/fhir/Observation?_count=1", {}, 200),
    ("GET", "/fhir/Observation?patient=nobody", {}, 200),
    ("GET", "/fhir/Patient?identifier=12345", {}, 200),
    ("GET", "/fhir/Observation?code=1", {}, 200),
    ("GET", "/fhir/Observation?shoesize=1", {}, 400),
    ("GET", "/fhir/Observation?shoesize=1", {"headers": {"Prefer": "handling=lenient"}}, 200),
    ("GET", "/fhir/Observation?_page=%C3%A9", {}, 400),
    ("GET", "/fhir/Observation?_include=Observation:device&_revinclude=Provenance:target&_summary=true", {}, 200),
    ("GET", "/fhir/Observation?_format=xml", {}, 406),
    ("GET", "/fhir/metadata", {"headers": {"Accept": "application/fhir+xml"}}, 406),
    ("GET", "/fhir/Condition", {}, 404),
    ("POST", "/fhir/Patient/_search", {"data": {"identifier": "12345"}}, 200),
    ("POST", "/fhir/Patient/_search", {"data": {"shoesize": "x"}}, 400),
    ("POST", "/fhir/Patient/_search", {"data": {"_format": "xml"}}, 406),
    ("POST", "/fhir/Condition/_search", {"data": {"_count": "1"}}, 404),
    ("POST", "/fhir/Patient/_search", {"json": {}}, 415),
    ("POST", "/fhir/Patient/_search", {"content": b"x" * 5_000_000, "headers": {"Content-Type": FORM}}, 413),
    ("GET", REPORT, {}, 200),
    ("GET", f"{REPORT}?_elements=conclusion", {}, 200),
    ("GET", f"{REPORT}?code=x", {}, 400),
    ("GET", REPORT, {"headers": {"If-None-Match": 'W/"2"'}}, 304),
    ("GET", REPORT, {"headers": {"Accept": "application/fhir+json; fhirVersion=3.0"}}, 406),
    ("GET", REPORT, {"headers": {"If-Match": 'W/"9"'}}, 412),
    ("GET", EVERYTHING, {}, 200),
    ("GET", f"{EVERYTHING}?_count=1&_type=Observation", {}, 200),
    ("GET", f"{EVERYTHING}?start=2026", {}, 400),
    ("GET", f"{EVERYTHING}?_format=xml", {}, 406),
    ("GET", "/fhir/Patient/none/$everything", {}, 404),
    ("GET", "/fhir/DiagnosticReport/none", {}, 404),
    ("GET", f"{REPORT}/_history", {}, 200),
    ("GET", f"{REPORT}/_history?_count=1&_since=2026-01-01", {}, 200),
    ("GET", f"{REPORT}/_history?_at=2026", {}, 400),
    ("GET", f"{REPORT}/_history?_format=xml", {}, 406),
    ("GET", "/fhir/DiagnosticReport/none/_history", {}, 404),
    ("GET", f"{REPORT}/_history/1", {}, 200),
    ("GET", f"{REPORT}/_history/9", {}, 404),
    ("GET", f"{REPORT}/_history/1?code=x", {}, 400),
    ("GET", f"{REPORT}/_history/2", {"headers": {"If-None-Match": "*"}}, 304),
    ("GET", f"{REPORT}/_history/1", {"headers": {"Accept": "application/fhir+xml"}}, 406),
    ("GET", "/cds-services", {}, 200),
    ("POST", HOOK, {"json": REQUEST}, 200),
    ("POST", HOOK, {"json": {**REQUEST, "hookInstance": "malformed"}}, 400),
    ("POST", HOOK, {"json": {**REQUEST, "hookInstance": "unknown-patient"}}, 412),
    ("POST", HOOK, {"json": {**REQUEST, "hookInstance": "down"}}, 503),
    ("POST", HOOK, {"json": {**REQUEST, "hookInstance": "bug"}}, 500),
    ("POST", HOOK, {"data": REQUEST}, 415),
    ("POST", HOOK, {"content": b"x" * 5_000_000, "headers": {"Content-Type": "application/json"}}, 413),
    ("POST", "/cds-services/none", {"json": REQUEST}, 404),
    ("POST", f"{HOOK}/feedback", {"json": {"feedback": []}}, 200),
    ("POST", f"{HOOK}/feedback", {"json": {"feedback": 7}}, 400),
    ("POST", f"{HOOK}/feedback", {"data": {"feedback": 7}}, 415),
    ("POST", f"{HOOK}/feedback", {"content": b"x" * 5_000_000, "headers": {"Content-Type": "application/json"}}, 413),
    ("POST", "/cds-services/none/feedback", {"json": {"feedback": []}}, 404),
]


@pytest.mark.parametrize(("method", "path", "arguments", "status"), CALLS)
def test_a_real_answer_has_the_documented_form(
    url: str, method: str, path: str, arguments: dict[str, Any], status: int
) -> None:
    response = httpx.request(method, url + path, **arguments)
    assert response.status_code == status
    _check(method, path, response)


def test_a_refusal_without_token_has_the_documented_form() -> None:
    with serving(services(token="secret")) as url:
        for path in ("/health/ready", "/metrics", "/holds", "/fhir/metadata", "/fhir/Patient", REPORT, "/cds-services"):
            response = httpx.get(url + path)
            assert response.status_code == 401
            _check("GET", path, response)


def test_a_caller_who_comes_too_often_is_told_so_in_the_documented_form() -> None:
    with serving(services(hook_rate_per_minute=1)) as url:
        calls = {"/cds-services": "GET", HOOK: "POST", f"{HOOK}/feedback": "POST"}
        httpx.get(f"{url}/cds-services")
        for path, method in calls.items():
            response = httpx.request(method, url + path, json=REQUEST if method == "POST" else None)
            assert response.status_code == 429
            _check(method, path, response)


def test_a_server_that_is_not_ready_has_the_documented_form() -> None:
    probes = (Probe("database", True), Probe("disk", False, "less than 256 MiB are free"))
    with serving(services(probes=probes)) as url:
        response = httpx.get(f"{url}/health/ready")
        assert response.status_code == 503
        _check("GET", "/health/ready", response)


def test_a_search_with_more_matches_than_a_page_has_the_documented_form() -> None:
    with serving(services(MemoryResourceStore([commit(FIRST, *observations(3))]))) as url:
        response = httpx.get(f"{url}/fhir/Observation?identifier=7&_count=2&_total=accurate")
        assert response.json()["total"] == 3
        assert [link["relation"] for link in response.json()["link"]] == ["self", "next"]
        _check("GET", "/fhir/Observation", response)


@pytest.mark.parametrize("path", ["Device", "Patient", REPORT.removeprefix("/fhir/"), f"{REPORT}/_history"])
def test_what_no_scope_grants_has_the_documented_form(path: str) -> None:
    with fhir_api.serving(fhir_api.Site(fhir_api.store()), fhir_api.Granted(frozenset())) as url:
        response = httpx.get(f"{url}/{path.removeprefix('/fhir/')}")
        assert response.status_code == 403
        _check("GET", f"/fhir/{path.removeprefix('/fhir/')}", response)


def _check(method: str, path: str, response: httpx.Response) -> None:
    """Find the documented response of this status and hold the body against its schema."""
    operation = _documented(path.partition("?")[0])[method.lower()]
    documented = _resolved(operation["responses"][str(response.status_code)])
    for header in documented.get("headers", {}):
        assert header in response.headers
    if "content" not in documented:
        assert response.content == b""
        return
    media_type = response.headers["Content-Type"].partition(";")[0]
    schema = documented["content"][media_type]["schema"]
    if media_type == "text/plain":
        return
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(response.json())


def _documented(path: str) -> dict[str, Any]:
    """The path item of an address: literal parts before parameters, as OpenAPI demands."""
    patterns = sorted(DOCUMENT["paths"], key=lambda known: known.count("{"))
    found = next(known for known in patterns if re.fullmatch(re.sub(r"\\{.+?\\}", "[^/]+", re.escape(known)), path))
    item: dict[str, Any] = DOCUMENT["paths"][found]
    return item


def _resolved(element: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in element:
        found: Any = DOCUMENT
        for part in element["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        element = found
    return element

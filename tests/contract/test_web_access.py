"""SMART access tokens at the web's door: which of our routes they open, and for whom (SAFETY section 8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from adapters.fhir.access import Access, read_scopes
from cds.errors import Unauthorized
from tests.contract.web_peer import services, serving

TOKEN = "correct horse battery staple"
#: Opaque stand-ins: what a real token grants is tested where tokens are read.
GRANTED = {
    "reader": read_scopes("system/Observation.rs system/Patient.rs", None),
    "writer": read_scopes("system/ImagingStudy.cu system/DiagnosticReport.cu", None),
    "creator": read_scopes("system/ImagingStudy.c system/DiagnosticReport.c", None),
    "patient": read_scopes("patient/*.cruds", "nobody"),
}


def access(token: str) -> Access:
    if token not in GRANTED:
        raise Unauthorized
    return GRANTED[token]


@pytest.fixture(scope="module", params=[TOKEN, None])
def url(request: pytest.FixtureRequest) -> Iterator[tuple[str, str | None]]:
    with serving(replace(services(token=request.param), access=access)) as found:
        yield found, request.param


def get(url: str, path: str, bearer: str | None) -> httpx.Response:
    return httpx.get(url + path, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})


def test_a_scope_opens_what_it_names_and_nothing_else(url: tuple[str, str | None]) -> None:
    assert get(url[0], "/fhir/Observation", "reader").status_code == 200
    refused = get(url[0], "/fhir/DiagnosticReport", "reader")
    assert refused.status_code == 403
    assert refused.json()["issue"][0]["code"] == "forbidden"
    assert "DiagnosticReport" in refused.json()["issue"][0]["details"]["text"]


@pytest.mark.parametrize("bearer", [None, "stranger", ""])
def test_without_a_token_that_can_be_read_the_fhir_api_stays_closed(
    url: tuple[str, str | None], bearer: str | None
) -> None:
    answer = get(url[0], "/fhir/Observation", bearer)
    assert answer.status_code == 401
    assert answer.json()["issue"] == [{"severity": "error", "code": "login"}]


def test_an_access_token_opens_no_other_route_than_the_fhir_api(url: tuple[str, str | None]) -> None:
    statuses = {path: get(url[0], path, "reader").status_code for path in ("/metrics", "/holds", "/cds-services")}
    assert set(statuses.values()) == ({401} if url[1] else {200})


def test_the_static_token_still_opens_everything(url: tuple[str, str | None]) -> None:
    if url[1] is not None:
        assert get(url[0], "/fhir/DiagnosticReport", TOKEN).status_code == 200
        assert get(url[0], "/metrics", TOKEN).status_code == 200


@pytest.mark.parametrize(("bearer", "status"), [("writer", 201), ("reader", 403), ("patient", 403), ("stranger", 401)])
def test_who_sends_a_study_needs_the_scope_to_create_one(url: tuple[str, str | None], bearer: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/fhir+json"}
    answer = httpx.post(f"{url[0]}/fhir/ImagingStudy", headers=headers, content=b'{"resourceType": "ImagingStudy"}')
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("method", "bearer", "status"),
    [("POST", "creator", 200), ("PUT", "creator", 403), ("PUT", "writer", 200), ("POST", "patient", 403)],
)
def test_who_updates_by_a_bundle_needs_the_scope_to_update(
    url: tuple[str, str | None], method: str, bearer: str, status: int
) -> None:
    body = {"resourceType": "Bundle", "type": "batch", "entry": [7, {"request": 7}, {"request": {"method": method}}]}
    answer = httpx.post(f"{url[0]}/fhir", headers={"Authorization": f"Bearer {bearer}"}, json=body)
    assert answer.status_code == status


def test_a_patients_token_sees_nothing_of_anybody_else(url: tuple[str, str | None]) -> None:
    answer = get(url[0], "/fhir/DiagnosticReport", "patient")
    assert answer.status_code == 200
    assert "entry" not in answer.json()

"""FHIR over HTTP: read, vread, history, search and its pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cds.domain.resource import NewResource
from tests.contract.memory_store import Commit, MemoryResourceStore
from tests.contract.resource_store_contract import ANNA, observation
from tests.contract.web_peer import BASE, FIRST, emitted, services, serving
from tests.unit.fhir_samples import PATIENT_ID, PUBLIC_ID

MRN = "https://hospital.example/mrn|12345"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(services()) as address:
        yield f"{address}/fhir"


def of_type(resource_type: str) -> NewResource:
    """The first emitted resource of a type."""
    return next(r for r in emitted() if r.type == resource_type)


def found(response: httpx.Response) -> list[str]:
    """The ids of the matches."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/fhir+json"
    return [e["resource"]["id"] for e in response.json().get("entry", []) if e["search"]["mode"] == "match"]


def links(response: httpx.Response) -> dict[str, str]:
    """The links of a searchset by their relation."""
    return {link["relation"]: link["url"] for link in response.json().get("link", [])}


def test_a_read_gives_the_current_version_with_etag_and_time(url: str) -> None:
    report = of_type("DiagnosticReport")
    response = httpx.get(f"{url}/DiagnosticReport/{report.id}")
    assert response.headers["ETag"] == 'W/"2"'
    assert response.headers["Last-Modified"] == "Fri, 06 Mar 2026 10:11:12 GMT"
    assert response.headers["Content-Type"] == "application/fhir+json"
    body = response.json()
    assert body["meta"]["versionId"] == "2"
    assert datetime.fromisoformat(body["meta"]["lastUpdated"]).isoformat() == "2026-03-06T10:11:12+00:00"
    assert "Version 2, replaces version 1." in body["conclusion"]


def test_an_old_version_stays_readable(url: str) -> None:
    response = httpx.get(f"{url}/DiagnosticReport/{of_type('DiagnosticReport').id}/_history/1")
    assert response.headers["ETag"] == 'W/"1"'
    assert "Version" not in response.json()["conclusion"]


def test_the_history_lists_all_versions_newest_first(url: str) -> None:
    report = of_type("DiagnosticReport")
    bundle = httpx.get(f"{url}/DiagnosticReport/{report.id}/_history").json()
    assert (bundle["type"], bundle["total"]) == ("history", 2)
    assert [e["response"]["etag"] for e in bundle["entry"]] == ['W/"2"', 'W/"1"']
    assert [e["response"]["status"] for e in bundle["entry"]] == ["200", "201"]
    assert {e["fullUrl"] for e in bundle["entry"]} == {f"{BASE}/fhir/DiagnosticReport/{report.id}"}


@pytest.mark.parametrize(
    "path",
    [
        "Condition/1",
        "Patient/none",
        "Patient/" + "x" * 65,
        "Patient/%C3%A9",
        "Patient/_search",
        "Patient/none/_history/1",
        f"Patient/{PATIENT_ID}/_history/0",
        f"Patient/{PATIENT_ID}/_history/99999999999999999999",
        f"Patient/{PATIENT_ID}/_history/one",
        f"patient/{PATIENT_ID}",
        "Patient/",
        "",
    ],
)
def test_what_is_not_there_is_a_404_with_an_outcome(url: str, path: str) -> None:
    response = httpx.get(f"{url}/{path}")
    assert response.status_code == 404
    assert response.json()["issue"][0]["code"] == "not-found"


def test_a_search_by_patient_finds_the_patients_resources(url: str) -> None:
    reports = httpx.get(f"{url}/DiagnosticReport", params={"patient": PATIENT_ID})
    assert found(reports) == [of_type("DiagnosticReport").id]
    assert found(httpx.get(f"{url}/DiagnosticReport", params={"patient": f"Patient/{PATIENT_ID}"})) == found(reports)
    assert reports.json()["entry"][0]["fullUrl"] == f"{BASE}/fhir/DiagnosticReport/{found(reports)[0]}"
    assert links(reports) == {"self": f"{BASE}/fhir/DiagnosticReport?patient={PATIENT_ID}"}


@pytest.mark.parametrize("identifier", [MRN, "12345"])
def test_a_search_by_identifier_finds_the_patient_by_get_and_by_post(url: str, identifier: str) -> None:
    get = httpx.get(f"{url}/Patient", params={"identifier": identifier})
    post = httpx.post(f"{url}/Patient/_search", data={"identifier": identifier})
    assert found(get) == found(post) == [PATIENT_ID]
    assert links(get) == links(post) == {}


def test_a_report_is_found_by_its_public_id(url: str) -> None:
    response = httpx.get(f"{url}/DiagnosticReport", params={"identifier": f"urn:sightline:report|{PUBLIC_ID}"})
    assert found(response) == [of_type("DiagnosticReport").id]


def test_an_unknown_patient_is_an_empty_bundle_that_does_not_repeat_the_id(url: str) -> None:
    response = httpx.get(f"{url}/Observation", params={"patient": "MRN-4711"})
    assert response.json() == {"resourceType": "Bundle", "type": "searchset", "total": 0}


def test_dates_without_offset_are_read_in_the_sites_zone(url: str) -> None:
    """The second version was stored at 11:11 in Berlin, 10:11 UTC."""
    by_day = httpx.get(f"{url}/DiagnosticReport", params={"_lastUpdated": "2026-03-06"})
    by_hour = httpx.get(
        f"{url}/DiagnosticReport",
        params=[("_lastUpdated", "ge2026-03-06T11:11"), ("_lastUpdated", "lt2026-03-06T11:12")],
    )
    too_early = httpx.get(f"{url}/DiagnosticReport", params={"_lastUpdated": "lt2026-03-06T11:11"})
    assert len(found(by_day)) == len(found(by_hour)) == 1
    assert found(too_early) == []


@pytest.mark.parametrize(
    "query",
    [
        "name=x",
        "patient=",
        "patient=a&patient=b",
        "patient=a/b/c",
        "patient:Patient=a",
        "identifier=a",
        "_lastUpdated=yesterday",
        "_lastUpdated=ne2026-01-01",
        "_lastUpdated=2026-02-30",
        "_count=many",
        "_count=-1",
        "_format=xml",
        "_after=x",
    ],
)
def test_what_is_not_understood_is_refused_without_being_repeated(url: str, query: str) -> None:
    response = httpx.get(f"{url}/Observation?{query}")
    assert response.status_code == 400
    issue = response.json()["issue"][0]
    assert issue["code"] == "invalid"
    assert "yesterday" not in issue["details"]["text"]


def test_post_search_takes_parameters_of_url_and_form_together(url: str) -> None:
    response = httpx.post(f"{url}/Observation/_search?_count=1", data={"patient": PATIENT_ID})
    assert len(found(response)) == 1
    assert set(links(response)) == {"self", "next"}


def test_pages_are_walked_by_their_links_which_name_no_patient() -> None:
    many = MemoryResourceStore([Commit(FIRST, tuple(observation(n) for n in range(1, 8)))])
    with serving(services(many)) as url:
        ids, totals, query = [], set(), f"patient={ANNA}&_count=3&_lastUpdated=ge2026-01-01"
        while query:
            response = httpx.get(f"{url}/fhir/Observation?{query}")
            ids += found(response)
            totals.add(response.json()["total"])
            assert set(parse_qs(urlsplit(links(response)["self"]).query)) >= {"patient", "_count", "_lastUpdated"}
            query = urlsplit(links(response).get("next", "")).query
    assert ids == [observation(n).id for n in range(1, 8)]
    assert totals == {7}


def test_a_page_is_never_larger_than_200_nor_than_asked_for() -> None:
    named = [observation(n, identifiers=(("urn:a", "7"),), resource_type="DiagnosticReport") for n in range(201)]
    with serving(services(MemoryResourceStore([Commit(FIRST, tuple(named))]))) as url:
        base = f"{url}/fhir/DiagnosticReport"
        assert len(found(httpx.get(f"{base}?_count=999999999"))) == 200
        assert len(found(httpx.get(base))) == 50
        assert len(found(httpx.get(f"{base}?identifier=7&_count=2"))) == 2
        assert found(httpx.get(f"{base}?_count=0")) == []
        by_identifier = httpx.get(f"{base}?identifier=7")
    assert len(found(by_identifier)) == 200
    hint = by_identifier.json()["entry"][-1]
    assert hint["search"]["mode"] == "outcome"
    assert "narrow it" in hint["resource"]["issue"][0]["details"]["text"]
    assert links(by_identifier) == {}


def test_the_capability_statement_names_the_server_and_its_types(url: str) -> None:
    statement = httpx.get(f"{url}/metadata").json()
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == f"{BASE}/fhir"
    assert {r["type"] for r in statement["rest"][0]["resource"]} >= {r.type for r in emitted()}

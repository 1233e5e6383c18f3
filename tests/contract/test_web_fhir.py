"""FHIR over HTTP: read, versions, history, search and its pages, everything of a patient."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle

from adapters.fhir.parameters import PARAMETERS
from cds.domain.resource import NewResource
from tests.contract.fhir_api import (
    BASE,
    FIRST,
    OTHER_ID,
    SECOND,
    MovedClock,
    Site,
    bodies,
    commit,
    commits,
    observations,
    serving,
    sqlite_store,
    store,
)
from tests.contract.memory_store import MemoryResourceStore
from tests.unit.fhir_samples import PATIENT_ID, PUBLIC_ID, emitted, report

MRN = "https://hospital.example/mrn|12345"
NAME = "Unmistakable"


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    stored = store() if request.param == "memory" else sqlite_store(tmp_path_factory.mktemp("data"), commits())
    with serving(Site(stored)) as address:
        yield address


def of_type(resource_type: str) -> NewResource:
    """The first emitted resource of a type."""
    return next(r for r in emitted(report()) if r.type == resource_type)


REPORT = of_type("DiagnosticReport").id


def got(url: str, path: str, params: Any = None) -> dict[str, Any]:
    """A Bundle that R4 would take."""
    response = httpx.get(f"{url}/{path}", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/fhir+json"
    bundle: dict[str, Any] = response.json()
    Bundle.model_validate(bundle)
    return bundle


def found(url: str, path: str, params: Any = None) -> list[str]:
    """The ids of the matches."""
    return [body["id"] for body in bodies(got(url, path, params))]


def links(bundle: dict[str, Any]) -> dict[str, str]:
    """The links of a Bundle by their relation."""
    return {link["relation"]: link["url"] for link in bundle.get("link", [])}


def walked(url: str, path: str, params: Any = None) -> list[dict[str, Any]]:
    """All pages, by their links."""
    pages = [got(url, path, params)]
    while following := links(pages[-1]).get("next"):
        assert following.startswith(f"{BASE}/fhir/{path}?_page=")
        pages.append(got(url, f"{path}?{urlsplit(following).query}"))
    return pages


class TestReading:
    """read, vread, history."""

    def test_a_read_gives_the_current_version_with_etag_and_time(self, url: str) -> None:
        response = httpx.get(f"{url}/DiagnosticReport/{REPORT}")
        assert response.headers["ETag"] == 'W/"2"'
        assert response.headers["Last-Modified"] == "Fri, 06 Mar 2026 10:11:12 GMT"
        assert response.headers["Content-Type"] == "application/fhir+json"
        body = response.json()
        assert body["meta"]["versionId"] == "2"
        assert datetime.fromisoformat(body["meta"]["lastUpdated"]) == SECOND
        assert "Version 2, replaces version 1." in body["conclusion"]

    def test_an_old_version_stays_readable(self, url: str) -> None:
        response = httpx.get(f"{url}/DiagnosticReport/{REPORT}/_history/1")
        assert response.headers["ETag"] == 'W/"1"'
        assert "Version" not in response.json()["conclusion"]

    @pytest.mark.parametrize(
        "headers",
        [
            {"If-None-Match": 'W/"2"'},
            {"If-None-Match": '"2"'},
            {"If-None-Match": 'W/"1", W/"2"'},
            {"If-Modified-Since": "Fri, 06 Mar 2026 10:11:12 GMT"},
        ],
    )
    def test_who_has_the_version_is_told_so_without_it(self, url: str, headers: dict[str, str]) -> None:
        response = httpx.get(f"{url}/DiagnosticReport/{REPORT}", headers=headers)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == 'W/"2"'

    @pytest.mark.parametrize(
        "headers",
        [
            {"If-None-Match": 'W/"1"'},
            {"If-Modified-Since": "Fri, 06 Mar 2026 10:11:11 GMT"},
            {"If-None-Match": 'W/"1"', "If-Modified-Since": "Fri, 06 Mar 2026 10:11:12 GMT"},
            {"If-Modified-Since": "yesterday"},
        ],
    )
    def test_who_has_another_version_gets_this_one(self, url: str, headers: dict[str, str]) -> None:
        assert httpx.get(f"{url}/DiagnosticReport/{REPORT}", headers=headers).status_code == 200

    def test_head_is_get_without_the_body(self, url: str) -> None:
        for path in (f"DiagnosticReport/{REPORT}", "DiagnosticReport", "metadata"):
            head, get = httpx.head(f"{url}/{path}"), httpx.get(f"{url}/{path}")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers.get("ETag") == get.headers.get("ETag")

    def test_a_part_of_a_resource_is_marked_as_one(self, url: str) -> None:
        body = httpx.get(f"{url}/DiagnosticReport/{REPORT}", params={"_elements": "conclusion"}).json()
        assert body.keys() == {"resourceType", "id", "meta", "status", "code", "conclusion"}
        assert body["meta"]["tag"][-1]["code"] == "SUBSETTED"
        assert body["meta"]["security"][0]["code"] == "AIAST"
        assert httpx.get(f"{url}/DiagnosticReport/{REPORT}", params={"_pretty": "true"}).text.startswith("{\n  ")

    def test_the_history_lists_all_versions_newest_first(self, url: str) -> None:
        bundle = got(url, f"DiagnosticReport/{REPORT}/_history")
        assert (bundle["type"], bundle["total"]) == ("history", 2)
        assert [e["response"]["etag"] for e in bundle["entry"]] == ['W/"2"', 'W/"1"']
        assert [e["response"]["status"] for e in bundle["entry"]] == ["200", "201"]
        assert {e["fullUrl"] for e in bundle["entry"]} == {f"{BASE}/fhir/DiagnosticReport/{REPORT}"}

    def test_a_history_comes_in_pages_and_since_a_moment(self) -> None:
        [one] = observations(1)
        bodied = [replace(one, body={**one.body, "status": f"s{n}"}) for n in range(7)]
        versions = [commit(FIRST + timedelta(days=n), body) for n, body in enumerate(bodied)]
        path = f"Observation/{observations(1)[0].id}/_history"
        with serving(Site(MemoryResourceStore(versions))) as url:
            pages = walked(url, path, {"_count": "3"})
            since = (FIRST + timedelta(days=3)).isoformat()
            later = walked(url, path, {"_count": "3", "_since": since})
        assert [len(page["entry"]) for page in pages] == [3, 3, 1]
        assert [e["response"]["etag"] for page in pages for e in page["entry"]] == [f'W/"{n}"' for n in range(7, 0, -1)]
        assert {page["total"] for page in pages} == {7}
        assert [e["response"]["etag"] for page in later for e in page["entry"]] == [f'W/"{n}"' for n in (7, 6, 5, 4)]
        assert "total" not in later[0]

    @pytest.mark.parametrize(
        "query",
        ["_at=2026", "_since=soon", "_since=0001-01-01T00:00%2B14:00", "_count=many", "_count=1&_count=2", "code=x"],
    )
    def test_a_history_takes_nothing_else(self, url: str, query: str) -> None:
        assert httpx.get(f"{url}/DiagnosticReport/{REPORT}/_history?{query}").status_code == 400

    @pytest.mark.parametrize(
        "path",
        [
            "Condition/1",
            "ImagingStudy",
            "Patient/none",
            "Patient/" + "x" * 65,
            "Patient/%C3%A9",
            "Patient/_search",
            "Patient/none/_history",
            "Patient/none/_history/1",
            "Patient/none/$everything",
            "Patient/$everything",
            f"Device/{of_type('Device').id}/$everything",
            f"Patient/{PATIENT_ID}/_history/0",
            f"Patient/{PATIENT_ID}/_history/99999999999999999999",
            f"Patient/{PATIENT_ID}/_history/one",
            f"patient/{PATIENT_ID}",
            "Patient/",
            "",
        ],
    )
    def test_what_is_not_there_is_a_404_with_an_outcome(self, url: str, path: str) -> None:
        response = httpx.get(f"{url}/{path}")
        assert response.status_code == 404
        assert response.json()["issue"][0]["code"] == "not-found"


class TestSearching:
    """search-type by GET and POST."""

    def test_a_search_by_patient_finds_the_patients_resources(self, url: str) -> None:
        for text in (PATIENT_ID, f"Patient/{PATIENT_ID}", f"{BASE}/fhir/Patient/{PATIENT_ID}"):
            assert found(url, "DiagnosticReport", {"patient": text}) == [REPORT]
        bundle = got(url, "DiagnosticReport", {"subject": PATIENT_ID})
        assert bundle["entry"][0]["fullUrl"] == f"{BASE}/fhir/DiagnosticReport/{REPORT}"
        assert links(bundle) == {"self": f"{BASE}/fhir/DiagnosticReport?subject={PATIENT_ID}"}
        assert found(url, "Provenance", {"patient": PATIENT_ID}) == [
            r.id for version in (1, 2) for r in emitted(report(version=version)) if r.type == "Provenance"
        ]

    @pytest.mark.parametrize("identifier", [MRN, "12345"])
    def test_a_search_by_identifier_finds_the_patient_and_no_link_repeats_it(self, url: str, identifier: str) -> None:
        get = got(url, "Patient", {"identifier": identifier})
        post = httpx.post(f"{url}/Patient/_search", data={"identifier": identifier}).json()
        assert [body["id"] for body in bodies(get)] == [PATIENT_ID]
        assert links(get) == links(post) == {"self": f"{BASE}/fhir/Patient"}
        assert get["entry"] == post["entry"]

    @pytest.mark.parametrize(
        ("path", "number"),
        [
            (f"DiagnosticReport?identifier=urn:sightline:report|{PUBLIC_ID}", 1),
            ("DiagnosticReport?subject.identifier=12345", 1),
            ("DiagnosticReport?based-on:identifier=urn:sightline:accession:RIS|ACC1", 2),
            ("DiagnosticReport?result.code=urn:sightline:codes|laa-950", 1),
            ("Observation?code=laa-950,perc15", 2),
            ("Observation?code:not=laa-950&subject=" + PATIENT_ID, 2),
            ("Observation?value-quantity=gt10||%25", 1),
            ("Observation?value-quantity=lt0", 1),
            ("Observation?value-concept=260373001", 2),
            ("Observation?derived-from:identifier=urn:oid:1.2.826.0.1.3680043.8.498.1", 4),
            ("Observation?patient.family=unmistakable", 4),
            ("Observation?date=2026-03-04", 4),
            ("Observation?date=ge2026-03-05", 0),
            ("Observation?data-absent-reason:missing=true&method:missing=false", 4),
            ("Patient?family=unmis&birthdate=1958-04-05", 2),
            ("Patient?name:contains=TAKAB", 2),
            ("Patient?family:exact=unmistakable", 0),
            ("Task?owner:identifier=urn:sightline:person|dr.reed", 1),
            ("ServiceRequest?status=draft&intent=proposal&occurrence=le2026-12-31", 1),
            ("Provenance?target=DiagnosticReport/" + REPORT, 2),
            ("Device?device-name=head", 1),
            ("Observation?_security=AIAST&_id=" + of_type("Observation").id, 1),
        ],
    )
    def test_what_is_asked_for_is_found(self, url: str, path: str, number: int) -> None:
        assert len(found(url, path)) == number

    @pytest.mark.parametrize("resource", emitted(report()), ids=lambda one: one.type)
    def test_everything_that_is_emitted_is_found_by_each_of_its_parameters(
        self, url: str, resource: NewResource
    ) -> None:
        for param in {entry.param for entry in resource.index}:
            assert resource.id in found(url, resource.type, {f"{param}:missing": "false", "_count": "200"}), param
            assert resource.id not in found(url, resource.type, {f"{param}:missing": "true", "_count": "200"}), param

    def test_dates_without_offset_are_read_in_the_sites_zone(self, url: str) -> None:
        """The second version was stored at 11:11 in Berlin, 10:11 UTC."""
        here = [("patient", PATIENT_ID)]
        assert len(found(url, "DiagnosticReport", [*here, ("_lastUpdated", "2026-03-06")])) == 1
        within = [("_lastUpdated", "ge2026-03-06T11:11"), ("_lastUpdated", "lt2026-03-06T11:12")]
        assert len(found(url, "DiagnosticReport", [*here, *within])) == 1
        assert found(url, "DiagnosticReport", [*here, ("_lastUpdated", "lt2026-03-06T11:11")]) == []

    @pytest.mark.parametrize("real", [False, True], ids=["memory", "sqlite"])
    def test_a_day_is_found_as_that_day_and_a_moment_on_the_day_of_the_site(self, tmp_path: Path, real: bool) -> None:
        """Half past midnight in Berlin is still the day before in UTC."""
        day, moment = (
            replace(one, body={**one.body, "effectiveDateTime": text})
            for one, text in zip(observations(2), ("2026-03-05", "2026-03-04T23:30:00Z"), strict=True)
        )
        listed = [commit(FIRST, day, moment)]
        stored = sqlite_store(tmp_path, listed) if real else MemoryResourceStore(listed)
        with serving(Site(stored)) as url:
            for query, wanted in (
                ("date=2026-03-05", [day, moment]),
                ("date=2026-03-04", []),
                ("date=lt2026-03-05", []),
                ("date=ge2026-03-05", [day, moment]),
                ("date=gt2026-03-05", []),
                ("date=ne2026-03-05", []),
                ("date=2026-03-05T00:30", [moment]),
                ("date=2026-03-04T23:30:00Z", [moment]),
                ("date=sa2026-03-04", [day, moment]),
                ("date=eb2026-03-05", []),
                ("date=2026-03", [day, moment]),
            ):
                assert found(url, f"Observation?{query}") == [one.id for one in wanted], query

    def test_what_is_referred_to_and_what_refers_to_it_comes_along(self, url: str) -> None:
        bundle = got(
            url,
            "DiagnosticReport",
            [
                ("_id", REPORT),
                ("_include", "DiagnosticReport:result"),
                ("_include:iterate", "Observation:device"),
                ("_include", "DiagnosticReport:patient"),
                ("_revinclude", "Provenance:target"),
            ],
        )
        assert len(bodies(bundle)) == 1
        along = [body["resourceType"] for body in bodies(bundle, "include")]
        assert sorted(along) == ["Device"] * 2 + ["Observation"] * 3 + ["Patient"] + ["Provenance"] * 2

    def test_an_order_and_its_reverse(self, url: str) -> None:
        oldest_first = found(url, "DiagnosticReport", {"_sort": "_lastUpdated"})
        assert found(url, "DiagnosticReport", {"_sort": "-_lastUpdated"}) == oldest_first[::-1]
        assert found(url, "Observation", {"_sort": "_id"}) == sorted(found(url, "Observation"))

    def test_a_total_is_told_where_it_is_wanted(self, url: str) -> None:
        assert got(url, "Observation", {"_count": "1", "_total": "accurate"})["total"] == 4
        assert "total" not in got(url, "Observation", {"_count": "1"})
        counted = got(url, "Observation", {"_summary": "count"})
        assert counted["total"] == 4
        assert "entry" not in counted

    def test_parts_of_matches(self, url: str) -> None:
        params = [("_elements", "issued"), ("_include", "Observation:device")]
        bundle = got(url, "Observation", params)
        assert bodies(bundle)[0].keys() == {"resourceType", "id", "meta", "status", "code", "issued"}
        assert "manufacturer" in bodies(bundle, "include")[0]

    def test_post_search_takes_parameters_of_url_and_form_together(self, url: str) -> None:
        response = httpx.post(f"{url}/Observation/_search?_count=1", data={"patient": PATIENT_ID})
        assert len(bodies(response.json())) == 1
        assert set(links(response.json())) == {"self", "next"}

    @pytest.mark.parametrize(
        "query",
        [
            "name=x",
            "patient=",
            "patient=a/b/c",
            "patient:Group=a",
            "code:text=a",
            "_lastUpdated=yesterday",
            "_lastUpdated=2026-02-30",
            "_count=many",
            "_count=-1",
            "_sort=code",
            "_include=*",
            "_has:Provenance:target:agent=x",
            "_after=x",
            "_page=x",
            "_page=x&_count=1",
        ],
    )
    def test_what_is_not_understood_is_refused_without_being_repeated(self, url: str, query: str) -> None:
        for response in (
            httpx.get(f"{url}/Observation?{query}"),
            httpx.post(f"{url}/Observation/_search", data=dict(parse_qs(query, keep_blank_values=True))),
        ):
            assert response.status_code == 400
            issue = response.json()["issue"][0]
            assert issue["code"] == "invalid"
            assert "yesterday" not in issue["details"]["text"]

    @pytest.mark.parametrize("prefer", ["handling=lenient", "return=minimal; handling=lenient", "HANDLING=lenient, x"])
    def test_a_lenient_search_says_what_it_left_out(self, url: str, prefer: str) -> None:
        query = {"shoesize": NAME, "_id": REPORT, "_count": "5"}
        response = httpx.get(f"{url}/DiagnosticReport", params=query, headers={"Prefer": prefer})
        assert [body["id"] for body in bodies(response.json())] == [REPORT]
        [outcome] = bodies(response.json(), "outcome")
        assert outcome["issue"][0]["details"]["text"].startswith("1 parameters are not known and were left out")
        assert links(response.json())["self"] == f"{BASE}/fhir/DiagnosticReport?_id={REPORT}&_count=5"
        assert NAME not in response.text
        strict = httpx.get(f"{url}/DiagnosticReport", params=query, headers={"Prefer": "handling=strict"})
        assert strict.status_code == 400


def many(number: int, resource_type: str = "Observation") -> MemoryResourceStore:
    """So many with one identifier."""
    return MemoryResourceStore([commit(FIRST, *observations(number, resource_type))])


class TestPages:
    """Links to further pages: whatever was asked for, and nothing of it to read."""

    def test_a_search_by_identifier_has_all_its_pages_and_their_links_say_nothing(self) -> None:
        with serving(Site(many(7))) as url:
            pages = walked(url, "Observation", {"identifier": "urn:a|7", "_count": "3", "_total": "accurate"})
        assert [body["id"] for page in pages for body in bodies(page)] == [one.id for one in observations(7)]
        assert {page["total"] for page in pages} == {7}
        assert {links(page)["self"] for page in pages} == {f"{BASE}/fhir/Observation?_count=3&_total=accurate"}
        assert "urn%3Aa" not in str([links(page) for page in pages])

    def test_a_search_that_was_posted_goes_on_with_get(self) -> None:
        with serving(Site(many(3))) as url:
            first = httpx.post(f"{url}/Observation/_search", data={"identifier": "7", "_count": "2"}).json()
            following = got(url, f"Observation?{urlsplit(links(first)['next']).query}")
        assert [len(bodies(page)) for page in (first, following)] == [2, 1]

    def test_pages_keep_what_comes_along_and_the_parts(self, url: str) -> None:
        params = [("_count", "1"), ("_include", "Observation:device"), ("_elements", "device"), ("patient", PATIENT_ID)]
        pages = walked(url, "Observation", params)
        assert len(pages) == 3
        for page in pages:
            assert [body["resourceType"] for body in bodies(page, "include")] == ["Device"]
            assert bodies(page)[0].keys() == {"resourceType", "id", "meta", "status", "code", "device"}

    def test_a_page_is_never_larger_than_200_nor_than_asked_for(self) -> None:
        with serving(Site(many(201, "DiagnosticReport"))) as url:
            assert len(found(url, "DiagnosticReport?_count=999999999")) == 200
            assert len(found(url, "DiagnosticReport")) == 50
            assert found(url, "DiagnosticReport?_count=0") == []

    def test_ten_thousand_are_walked_page_by_page_in_the_memory_of_one(self, tmp_path: Path) -> None:
        stored = sqlite_store(tmp_path, [commit(FIRST, *observations(10_000, "DiagnosticReport"))])
        seen, peaks, query = 0, [], "identifier=7&_count=200"
        with serving(Site(stored)) as url, httpx.Client() as client:
            while query:
                tracemalloc.start()
                bundle = client.get(f"{url}/DiagnosticReport?{query}").json()
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
                seen += len(bodies(bundle))
                query = urlsplit(links(bundle).get("next", "")).query
        assert (seen, len(peaks)) == (10_000, 50)
        assert max(peaks[25:]) < 1.2 * max(peaks[5:25])

    def test_a_link_holds_for_an_hour_in_every_process_and_for_nothing_else(self) -> None:
        clock = MovedClock()
        shared = many(3)
        with serving(Site(shared, clock=clock)) as one, serving(Site(shared, clock=clock)) as other:
            query = urlsplit(links(got(one, "Observation", {"_count": "1"}))["next"]).query
            assert len(found(other, f"Observation?{query}")) == 1
            assert httpx.get(f"{one}/Device?{query}").status_code == 400
            assert httpx.get(f"{one}/Observation?{query}&_count=2").status_code == 400
            assert httpx.get(f"{one}/Observation?{query[:-2]}").status_code == 400
            clock.pass_by(timedelta(minutes=61))
            assert httpx.get(f"{one}/Observation?{query}").status_code == 400
        with serving(Site(shared, key=bytes(32))) as stranger:
            assert httpx.get(f"{stranger}/Observation?{query}").status_code == 400

    def test_a_search_too_long_for_a_link_is_refused_where_it_has_further_pages(self) -> None:
        ids = ",".join([*(one.id for one in observations(3)), *_random_ids(300)])
        with serving(Site(many(3))) as url:
            whole = httpx.post(f"{url}/Observation/_search", data={"_id": ids})
            cut = httpx.post(f"{url}/Observation/_search", data={"_id": ids, "_count": "1"})
        assert len(bodies(whole.json())) == 3
        assert cut.status_code == 400
        assert "fewer values" in cut.json()["issue"][0]["details"]["text"]

    def test_an_unknown_patient_is_an_empty_bundle_that_does_not_repeat_the_number(self, url: str) -> None:
        bundle = got(url, "Observation", {"patient": "MRN-4711"})
        assert bundle == {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": 0,
            "link": [{"relation": "self", "url": f"{BASE}/fhir/Observation"}],
        }


class TestEverything:
    """Patient/$everything."""

    def test_it_is_the_patient_and_all_that_is_hers_and_the_models(self, url: str) -> None:
        bundle = got(url, f"Patient/{PATIENT_ID}/$everything")
        types = [body["resourceType"] for body in bodies(bundle)]
        assert sorted(set(types)) == sorted(
            {
                "Patient",
                "Device",
                "Observation",
                "RiskAssessment",
                "DiagnosticReport",
                "Provenance",
                "Task",
                "ServiceRequest",
            }
        )
        assert OTHER_ID not in str(bundle)
        assert len({(body["resourceType"], body["id"]) for body in bodies(bundle)}) == len(types)

    def test_it_comes_in_pages(self, url: str) -> None:
        path = f"Patient/{PATIENT_ID}/$everything"
        pages = walked(url, path, {"_count": "5"})
        assert [body["id"] for page in pages for body in bodies(page)] == found(url, path)
        assert len(pages) == 3

    def test_it_may_be_of_some_types_and_since_a_moment(self, url: str) -> None:
        path = f"Patient/{PATIENT_ID}/$everything"
        some = bodies(got(url, path, {"_type": "Observation,Device"}))
        assert {body["resourceType"] for body in some} == {"Observation", "Device"}
        later = bodies(got(url, path, {"_since": SECOND.isoformat()}))
        assert {body["resourceType"] for body in later} >= {"DiagnosticReport", "ServiceRequest"}
        assert "RiskAssessment" not in {body["resourceType"] for body in later}

    @pytest.mark.parametrize("query", ["start=2026", "end=2026", "_type=Condition", "_since=soon", "name=x", "_page=x"])
    def test_it_takes_nothing_else(self, url: str, query: str) -> None:
        assert httpx.get(f"{url}/Patient/{PATIENT_ID}/$everything?{query}").status_code == 400


class TestSpeaking:
    """Formats, methods, bodies."""

    @pytest.mark.parametrize(
        "accept",
        [
            "*/*",
            "application/fhir+json",
            "application/json",
            "application/fhir+json; fhirVersion=4.0",
            "application/xml;q=0.5, application/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ],
    )
    def test_json_is_what_is_spoken(self, url: str, accept: str) -> None:
        for path in ("metadata", "Device", f"DiagnosticReport/{REPORT}"):
            response = httpx.get(f"{url}/{path}", headers={"Accept": accept})
            assert response.status_code == 200
            assert response.headers["Content-Type"] == "application/fhir+json"

    @pytest.mark.parametrize(
        ("query", "accept"),
        [
            ("", "application/fhir+xml"),
            ("", "application/json;q=0"),
            ("", "application/fhir+json; fhirVersion=3.0"),
            ("?_format=xml", "*/*"),
            ("?_format=application/fhir%2Bxml", "application/json"),
            ("?_format=*/*", "*/*"),
        ],
    )
    def test_nothing_else_is(self, url: str, query: str, accept: str) -> None:
        for path in ("metadata", "Device", f"DiagnosticReport/{REPORT}"):
            response = httpx.get(f"{url}/{path}{query}", headers={"Accept": accept})
            assert response.status_code == 406
            assert response.json()["issue"][0]["code"] == "not-supported"

    @pytest.mark.parametrize(
        "name",
        ["json", "application/json", "application/fhir+json", "application/fhir+json;fhirVersion=4.0", "text/json"],
    )
    def test_the_format_counts_more_than_the_header(self, url: str, name: str) -> None:
        response = httpx.get(f"{url}/Device", params={"_format": name}, headers={"Accept": "application/fhir+xml"})
        assert response.status_code == 200

    def test_other_methods_and_bodies_are_refused(self, url: str) -> None:
        gone = httpx.delete(f"{url}/DiagnosticReport/{REPORT}")
        assert (gone.status_code, gone.headers["Allow"]) == (405, "GET, HEAD")
        other = httpx.post(f"{url}/Patient/_search", json={"identifier": "12345"})
        assert (other.status_code, other.json()["issue"][0]["code"]) == (415, "not-supported")

    def test_the_capability_statement_names_the_server_and_its_types(self, url: str) -> None:
        statement = httpx.get(f"{url}/metadata").json()
        assert statement["fhirVersion"] == "4.0.1"
        assert statement["implementation"]["url"] == f"{BASE}/fhir"
        assert {r["type"] for r in statement["rest"][0]["resource"]} >= PARAMETERS.keys()


def _random_ids(number: int) -> Iterator[str]:
    return (str(uuid.uuid4()) for _ in range(number))

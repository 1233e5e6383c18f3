"""What an access token lets its bearer read: types, interactions, and one patient's compartment (SMART 2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from adapters.fhir.parameters import PARAMETERS
from cds.ports import ResourceStore
from tests.contract.fhir_api import (
    FIRST,
    OTHER_ID,
    SECOND,
    Granted,
    Site,
    bodies,
    commit,
    commits,
    serving,
    sqlite_store,
    store,
)
from tests.unit.fhir_samples import HEAD, PATIENT, PATIENT_ID, emitted, report

EVERYTHING = frozenset((one, letter) for one in PARAMETERS for letter in "rs")
OWN = Granted(EVERYTHING, PATIENT_ID)
DEVICE = next(r.id for r in emitted(report(HEAD)) if r.type == "Device")


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ResourceStore:
    return store() if request.param == "memory" else sqlite_store(tmp_path_factory.mktemp("data"), commits())


@pytest.fixture
def own(stored: ResourceStore) -> Iterator[str]:
    """To who has a token of one patient."""
    with serving(Site(stored), OWN) as url:
        yield url


@contextmanager
def granted(stored: ResourceStore, *scopes: str) -> Iterator[str]:
    """To who may do this: "Type.rs"."""
    pairs = {(one.partition(".")[0], letter) for one in scopes for letter in one.partition(".")[2]}
    with serving(Site(stored), Granted(frozenset(pairs))) as url:
        yield url


def others(stored: ResourceStore) -> dict[str, str]:
    """A resource of each type of the other patient."""
    page = stored.everything(OTHER_ID)
    return {resource.type: resource.id for resource in page.resources if resource.type != "Device"}


def ids(url: str, path: str) -> list[str]:
    """Of the matches."""
    response = httpx.get(f"{url}/{path}")
    assert response.status_code == 200, response.text
    return [body["id"] for body in bodies(response.json())]


def test_what_no_scope_grants_is_forbidden_with_an_outcome(stored: ResourceStore) -> None:
    with granted(stored, "Observation.r", "DiagnosticReport.s") as url:
        found = ids(url, "DiagnosticReport")
        main = f"DiagnosticReport/{found[0]}"
        everything = f"Patient/{PATIENT_ID}/$everything"
        refused = (main, f"{main}/_history", f"{main}/_history/1", "Observation", "Device", everything, "Patient/none")
        for path in refused:
            response = httpx.get(f"{url}/{path}")
            assert response.status_code == 403, path
            assert response.json()["issue"][0]["code"] == "forbidden"
        assert httpx.post(f"{url}/Observation/_search", data={"_count": "1"}).status_code == 403
        assert httpx.get(f"{url}/metadata").status_code == 200
        assert httpx.get(f"{url}/Condition").status_code == 404


def test_a_chain_wants_the_scope_to_search_what_it_asks(stored: ResourceStore) -> None:
    with granted(stored, "Observation.rs") as url:
        assert httpx.get(f"{url}/Observation?patient.identifier=12345").status_code == 403
    with granted(stored, "Observation.rs", "Patient.s") as url:
        assert len(ids(url, "Observation?patient.identifier=12345")) > 0


def test_what_comes_along_is_what_may_be_read(stored: ResourceStore) -> None:
    query = "Observation?_include=Observation:device&_include=Observation:patient&_revinclude=Provenance:target"
    with granted(stored, "Observation.s", "Device.r") as url:
        along = bodies(httpx.get(f"{url}/{query}").json(), "include")
    assert {body["resourceType"] for body in along} == {"Device"}


def test_everything_of_a_patient_is_what_may_be_read(stored: ResourceStore) -> None:
    with granted(stored, "Patient.r", "Observation.r") as url:
        found = httpx.get(f"{url}/Patient/{PATIENT_ID}/$everything").json()
        asked = httpx.get(f"{url}/Patient/{PATIENT_ID}/$everything?_type=Device")
    assert {body["resourceType"] for body in bodies(found)} == {"Patient", "Observation"}
    assert asked.status_code == 403


def test_a_token_of_one_patient_finds_hers_alone(own: str, stored: ResourceStore) -> None:
    theirs = set(others(stored).values())
    for resource_type in PARAMETERS:
        assert theirs.isdisjoint(ids(own, f"{resource_type}?_count=200"))
    assert ids(own, "Patient") == [PATIENT_ID]
    assert len(ids(own, "Observation")) == 3
    assert len(ids(own, "Device")) == 2
    assert httpx.get(f"{own}/Observation?_summary=count").json()["total"] == 3


@pytest.mark.parametrize(
    "path",
    [
        f"Observation?patient={OTHER_ID}",
        f"Provenance?patient={OTHER_ID}",
        "Observation?patient.identifier=777",
        f"Patient?_id={OTHER_ID}",
        "Patient?identifier=777",
    ],
)
def test_a_search_for_another_patient_finds_nothing(own: str, path: str) -> None:
    assert ids(own, path) == []


def test_what_is_another_patients_is_not_there(own: str, stored: ResourceStore) -> None:
    for resource_type, resource_id in others(stored).items():
        for path in ("", "/_history", "/_history/1"):
            response = httpx.get(f"{own}/{resource_type}/{resource_id}{path}")
            assert response.status_code == 404
    assert httpx.get(f"{own}/Patient/{OTHER_ID}/$everything").status_code == 404


def test_what_was_another_patients_before_has_no_such_version(tmp_path: Path) -> None:
    mistaken = replace(report(HEAD, advice=()), patient=replace(PATIENT, id=OTHER_ID))
    mended = replace(mistaken, version=2, patient=PATIENT)
    stored = sqlite_store(tmp_path, [commit(FIRST, *emitted(mistaken)), commit(SECOND, *emitted(mended))])
    moved = [one for one in stored.everything(PATIENT_ID).resources if one.version > 1]
    assert {one.type for one in moved} == {"DiagnosticReport", "Observation"}
    with serving(Site(stored), OWN) as url:
        for one in moved:
            history = httpx.get(f"{url}/{one.type}/{one.id}/_history").json()
            assert (history["total"], len(history["entry"])) == (1, 1)
            assert OTHER_ID not in str(history)
            assert httpx.get(f"{url}/{one.type}/{one.id}/_history/1").status_code == 404
            assert httpx.get(f"{url}/{one.type}/{one.id}/_history/2").status_code == 200


def test_what_is_hers_and_what_is_nobodys_is_read(own: str, stored: ResourceStore) -> None:
    for resource in stored.everything(PATIENT_ID).resources:
        assert httpx.get(f"{own}/{resource.type}/{resource.id}").status_code == 200
        assert httpx.get(f"{own}/{resource.type}/{resource.id}/_history").status_code == 200
    assert len(ids(own, f"Patient/{PATIENT_ID}/$everything")) > 10


def test_nothing_of_others_comes_along_by_way_of_a_model_that_looked_at_both(own: str, stored: ResourceStore) -> None:
    with serving(Site(stored)) as url:
        everybody = httpx.get(f"{url}/Device?_id={DEVICE}&_revinclude=Observation:device").json()
    hers = httpx.get(f"{own}/Device?_id={DEVICE}&_revinclude=Observation:device").json()
    assert len(bodies(everybody, "include")) == 2
    assert [body["subject"]["reference"] for body in bodies(hers, "include")] == [f"Patient/{PATIENT_ID}"]
    around = "_include=Observation:device&_revinclude:iterate=Observation:device"
    along = bodies(httpx.get(f"{own}/Observation?{around}").json(), "include")
    assert OTHER_ID not in str(along)


def test_a_link_of_somebody_else_opens_no_more_than_the_own_token(own: str, stored: ResourceStore) -> None:
    with serving(Site(stored)) as url:
        first = httpx.get(f"{url}/Observation?_count=1").json()
    query = urlsplit(next(link["url"] for link in first["link"] if link["relation"] == "next")).query
    following = httpx.get(f"{own}/Observation?{query}").json()
    assert OTHER_ID not in str(following)
    with granted(stored, "Device.rs") as url:
        assert httpx.get(f"{url}/Observation?{query}").status_code == 403

"""The whole server with an EHR that must prove who it is, and in development mode: every process says the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cds.hook_peers import INSECURE
from tests.contract.hook_ehr import ALL, ISSUER, token
from tests.e2e.site import Person, Site, patient_resource, serving, site

DISCOVERY, CALL = "/cds-services", "/cds-services/imaging-findings"
#: A fresh connection each time, and the kernel gives it to either of the two processes.
TIMES = 12


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "jwks.json").write_text(json.dumps(ALL))
    clients = {"north": {"issuer": ISSUER, "jwks_file": str(folder / "jwks.json")}}
    with serving(site(folder, CDS_HOOK_CLIENTS=json.dumps(clients), CDS_HTTP_WORKERS="2")) as one:
        yield one


def signed(url: str, path: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(f'{url}{path}', now=datetime.now(UTC))}"}


def test_a_token_opens_once_whichever_process_answers(closed: Site) -> None:
    first = [httpx.get(f"{closed.url}{DISCOVERY}", headers=signed(closed.url, DISCOVERY)) for _ in range(TIMES)]
    assert {one.status_code for one in first} == {200}
    used = signed(closed.url, DISCOVERY)
    assert httpx.get(f"{closed.url}{DISCOVERY}", headers=used).status_code == 200
    assert {httpx.get(f"{closed.url}{DISCOVERY}", headers=used).status_code for _ in range(TIMES)} == {401}


def test_a_proven_call_is_answered_and_an_unproven_one_learns_nothing(closed: Site) -> None:
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": "ehr-1"},
        "prefetch": {"patient": patient_resource(Person())},
    }
    answered = httpx.post(f"{closed.url}{CALL}", json=body, headers=signed(closed.url, CALL))
    assert answered.status_code == 200
    assert "cards" in answered.json()
    for headers in ({}, signed(closed.url, DISCOVERY), signed("https://elsewhere.example", CALL)):
        refused = httpx.post(f"{closed.url}{CALL}", json=body, headers=headers)
        assert (refused.status_code, "details" in refused.text) == (401, False)


def test_tokens_are_neither_logged_nor_stored(closed: Site) -> None:
    used = signed(closed.url, DISCOVERY)
    assert httpx.get(f"{closed.url}{DISCOVERY}", headers=used).status_code == 200
    assert httpx.get(f"{closed.url}{CALL}", headers=used).status_code == 401
    parts = [part.encode() for part in used["Authorization"].removeprefix("Bearer ").split(".")[1:]]
    written = [closed.log, *(file for file in closed.data_dir.rglob("*") if file.is_file())]
    assert not [file.name for file in written if any(part in file.read_bytes() for part in parts)]


@pytest.mark.peers
def test_development_mode_is_said_at_every_start_and_by_the_check(tmp_path: Path) -> None:
    with serving(site(tmp_path)) as one:
        answer = httpx.get(f"{one.url}{DISCOVERY}")
        assert (answer.status_code, answer.headers["Sightline-Insecure"]) == (200, "development mode")
        assert INSECURE in httpx.get(f"{one.url}/health/ready").json()["alarms"]
        assert INSECURE in httpx.get(f"{one.url}/holds").text
        assert f"WARN  CDS Hooks: {INSECURE}" in one.cds("check").stdout
    log = one.log.read_text()
    assert INSECURE in log
    assert "CDS Hooks answer whoever calls: development mode" in log

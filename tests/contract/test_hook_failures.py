"""Pathways that break, over the whole web application: an error with an OperationOutcome, never an empty list."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from cds import hooks, pathways
from cds.bootstrap.failures import Failures, at_once, failures, with_failures_told
from cds.domain.recommendation import Case, PathwayOutcome
from cds.hooks import HookContext
from cds.services import HookServices, Json
from cds.settings import Settings
from cds.store.tables import DeliveryRow
from tests.contract.web_peer import services, serving
from tests.databases import fresh
from tests.unit.clinical import StillClock
from tests.unit.hook_desk import FAILED, PATIENT, Desk

BREAKS = """
from cds.domain.recommendation import Source
from cds.pathways import pathway

@pathway(id="breaks", title="Some guideline", source=Source("s", "https://example.org"))
def rule(case):
    raise ZeroDivisionError("Unmistakable")
"""
SERVICES = {"imaging-findings": "patient-view", "imaging-discharge-check": "encounter-discharge"}


@pytest.fixture
def breaking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A patient with a report, at a site whose one guideline breaks."""
    folder = tmp_path / "breaking_pathways"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "breaks.py").write_text(BREAKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    package = importlib.import_module("breaking_pathways")

    def evaluate(case: Case) -> tuple[PathwayOutcome, ...]:
        return pathways.evaluate(case, {"breaks"}, package)

    yield Desk(evaluate=evaluate)
    for name in [name for name in sys.modules if name.startswith("breaking_pathways")]:
        del sys.modules[name]


def served(context: HookContext) -> HookServices:
    """The services, as bootstrap wires them."""

    def call(service: str, body: Mapping[str, object], client: str) -> Json:
        return hooks.call(service, body, context, client=client)

    return HookServices(discovery=hooks.discovery, call=call, feedback=lambda *_: {})


def post(url: str, service: str) -> httpx.Response:
    """A call of a service by its hook."""
    body: dict[str, Any] = {
        "hook": SERVICES[service],
        "hookInstance": "4a74b1d0-4fee-4d18-b76f-7f3bd361e4bc",
        "context": {"userId": "Practitioner/123", "patientId": "1288992", "encounterId": "89284"},
        "prefetch": {"patient": PATIENT},
    }
    return httpx.post(f"{url}/cds-services/{service}", json=body)


@pytest.mark.parametrize("service", list(SERVICES))
def test_where_every_guideline_breaks_the_answer_is_500_with_an_outcome_and_the_administrator_is_told(
    breaking: Desk, service: str
) -> None:
    told: list[str] = []
    heard = Failures(lambda key, text: told.append(key), StillClock(), at_once)
    context = with_failures_told(breaking.context(), heard)
    with serving(services(hooks=served(context))) as url:
        response = post(url, service)
    assert response.status_code == 500
    assert response.json()["resourceType"] == "OperationOutcome"
    assert response.json()["issue"][0]["code"] == "exception"
    assert "no guideline could be evaluated" in response.text
    assert "Unmistakable" not in response.text
    assert told == ["pathway-failed:breaks:2026-11-22"]


def test_two_processes_tell_the_people_who_run_the_site_once_a_day(tmp_path: Path) -> None:
    site = Settings(alarm_webhook_url="http://127.0.0.1:9/alarm", data_dir=tmp_path)
    clock = StillClock()
    with fresh(tmp_path) as databases:
        for _ in range(2):
            process = failures(site, databases.app, clock, at_once)
            process.heard((FAILED,))
            process.heard((FAILED,))
        with databases.app.reading() as session:
            [delivery] = session.exec(select(DeliveryRow)).all()
    assert (delivery.destination, delivery.subject) == ("alarm:webhook", "pathway-failed:nodule:2026-11-22")
    assert b"the pathway nodule (Lung nodule) failed" in delivery.payload


def test_a_failure_that_cannot_be_told_does_not_fail_the_answer(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        told = failures(Settings(data_dir=tmp_path), databases.app, StillClock(), at_once)
    (tmp_path / "app.sqlite").unlink()
    (tmp_path / "app.sqlite").mkdir()
    assert told.heard((FAILED,)) == (FAILED,)


@pytest.mark.parametrize("service", list(SERVICES))
def test_where_one_of_two_breaks_the_other_answers_and_one_card_names_what_failed(breaking: Desk, service: str) -> None:
    broken, emphysema = breaking.evaluate, Desk().evaluate
    both = replace(breaking, evaluate=lambda case: (*broken(case), *emphysema(case)))
    with serving(services(hooks=served(both.context()))) as url:
        response = post(url, service)
    assert response.status_code == 200
    advice, failed = response.json()["cards"]
    assert "emphysema" in advice["summary"].lower()
    assert failed["summary"] == "Not evaluated (images of 2026-11-02): Some guideline"

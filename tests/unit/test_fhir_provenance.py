"""Provenance names the version of the DiagnosticReport that it is about, where that is known, and none that is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tests.contract.memory_store import Commit, MemoryResourceStore
from tests.unit.fhir_samples import REFUSAL, bodies, emitted, report

MAIN = bodies(report(), "DiagnosticReport")[0]["id"]


def provenance(version: int, previous: int | None = None) -> dict[str, Any]:
    """That of one version of the sample report."""
    [body] = bodies(report(version=version), "Provenance", previous)
    return body


def revision(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What it says it revised."""
    return [entity["what"] for entity in body["entity"] if entity["role"] == "revision"]


def test_the_first_report_is_the_first_version() -> None:
    body = provenance(1)
    assert body["target"][0] == {"reference": f"DiagnosticReport/{MAIN}/_history/1"}
    assert revision(body) == []


def test_parts_are_named_without_a_version_because_one_that_did_not_change_keeps_its_own() -> None:
    parts = [target["reference"] for target in provenance(2, previous=1)["target"][1:]]
    assert {part.partition("/")[0] for part in parts} == {"Observation", "RiskAssessment", "Task"}
    assert not any("_history" in part for part in parts)


def test_a_later_version_has_its_own_provenance_and_revises_the_one_before() -> None:
    body = provenance(2, previous=1)
    assert body["id"] != provenance(1)["id"]
    assert body["target"][0] == {"reference": f"DiagnosticReport/{MAIN}/_history/2"}
    assert revision(body) == [{"reference": f"DiagnosticReport/{MAIN}/_history/1", "display": "version 1"}]


def test_a_version_that_is_not_known_is_not_guessed() -> None:
    body = provenance(2)
    assert body["target"][0] == {"reference": f"DiagnosticReport/{MAIN}"}
    assert revision(body) == [{"reference": f"DiagnosticReport/{MAIN}", "display": "version 1"}]


def test_a_report_whose_forerunner_nobody_saw_is_the_first_version_and_revises_nothing() -> None:
    body = provenance(2, previous=0)
    assert body["target"][0] == {"reference": f"DiagnosticReport/{MAIN}/_history/1"}
    assert revision(body) == []


def test_every_version_that_is_named_exists_even_where_reports_between_made_none() -> None:
    at = datetime(2026, 3, 5, tzinfo=UTC)
    store = MemoryResourceStore()
    for stored, said in enumerate((report(version=2), report(REFUSAL, version=3), report(version=6))):
        store.commit(Commit(at + timedelta(days=stored), tuple(emitted(said, stored))))
    named = list(_named(store))
    assert len(named) == 3 + 2
    for resource_type, resource_id, number in named:
        assert store.vread(resource_type, resource_id, int(number)).version == int(number)


def _named(store: MemoryResourceStore) -> Iterator[tuple[str, str, str]]:
    for version in (2, 3, 6):
        body = orjson.loads(store.read("Provenance", provenance(version)["id"]).body)
        for what in (*body["target"], *revision(body)):
            reference, _, number = what["reference"].partition("/_history/")
            if number:
                resource_type, _, resource_id = reference.partition("/")
                yield resource_type, resource_id, number

"""The sandbox's chart answers as a FHIR server would, and says what it cannot search by instead of telling too much."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import InvalidInput, InvalidResource, NotFound
from cds.sandbox.chart import Chart, load

Json = dict[str, Any]
BASE = "http://127.0.0.1:1/fhir"
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
PATIENTS = sorted((Path(__file__).parent / "patients").glob("*.bundle.json"))


def observation(name: str, code: str, day: str, **more: object) -> Json:
    """A final observation of the chart's patient."""
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": day,
        **more,
    }


def chart(*resources: Json) -> Chart:
    """A chart of one patient."""
    patient = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Marrow", "given": ["Ilse"]}]}
    return Chart({"resourceType": "Bundle", "entry": [{"resource": one} for one in (patient, *resources)]})


def ids(bundle: Json) -> list[str]:
    """The matches of a searchset, in their order."""
    return [one["resource"]["id"] for one in bundle.get("entry", []) if one["search"]["mode"] == "match"]


def modes(bundle: Json) -> list[str]:
    """Why each resource of a searchset is in it."""
    return [one["search"]["mode"] for one in bundle["entry"]]


THREE = (
    observation("a", "2160-0", "2025-03-01"),
    observation("b", "2160-0", "2026-01-15T08:00:00Z", status="preliminary"),
    observation("c", "72166-2", "2024-07-09", category=[{"coding": [{"code": "social-history"}]}]),
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Observation?patient=p1", ["a", "b", "c"]),
        ("Observation?patient=Patient/p1", ["a", "b", "c"]),
        ("Observation?subject=Patient/p1&_sort=date", ["c", "a", "b"]),
        ("Observation?patient=p1&_sort=-date", ["b", "a", "c"]),
        ("Observation?patient=p1&_sort=-date&_count=1", ["b"]),
        ("Observation?patient=p2", []),
        (f"Observation?code={LOINC}|2160-0", ["a", "b"]),
        ("Observation?code=2160-0", ["a", "b"]),
        (f"Observation?code={SNOMED}|2160-0", []),
        ("Observation?code=|2160-0", []),
        (f"Observation?code={LOINC}|", ["a", "b", "c"]),
        (f"Observation?code={LOINC}|2160-0,{LOINC}|72166-2", ["a", "b", "c"]),
        ("Observation?status=final", ["a", "c"]),
        ("Observation?category=social-history", ["c"]),
        ("Observation?date=ge2025-03-01", ["a", "b"]),
        ("Observation?date=gt2025-03-01", ["b"]),
        ("Observation?date=lt2025", ["c"]),
        ("Observation?date=le2025", ["a", "c"]),
        ("Observation?date=2026-01-15", ["b"]),
        ("Observation?date=ge2025&date=lt2026", ["a"]),
        ("Observation?_id=a,c", ["a", "c"]),
        ("Condition?patient=p1", []),
    ],
)
def test_a_search_finds_what_fits_all_its_parameters(query: str, found: list[str]) -> None:
    bundle = chart(*THREE).search(query, BASE)
    assert (bundle["type"], ids(bundle)) == ("searchset", found)


def test_a_search_that_finds_nothing_has_a_total_and_no_entry() -> None:
    empty = chart().search("Condition?patient=p1", BASE)
    assert empty["total"] == 0
    assert "entry" not in empty


def test_total_counts_all_where_count_limits() -> None:
    assert chart(*THREE).search("Observation?patient=p1&_count=2", BASE)["total"] == 3


def test_what_is_included_is_no_match() -> None:
    drug = {"resourceType": "Medication", "id": "m"}
    request = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "subject": {"reference": "Patient/p1"},
        "medicationReference": {"reference": "Medication/m"},
    }
    bundle = chart(drug, request).search("MedicationRequest?patient=p1&_include=MedicationRequest:medication", BASE)
    assert (bundle["total"], modes(bundle)) == (1, ["match", "include"])


@pytest.mark.parametrize(
    "query",
    ["Observation?near=here", "Observation?code:text=x", "Observation?_sort=status", "Observation?_count=some",
     "Observation?date=soon", "observation?patient=p1", "?patient=p1", "../x?y=1", "Observation?patient.name=x"],
)  # fmt: skip
def test_a_search_that_it_does_not_know_is_refused_in_words(query: str) -> None:
    with pytest.raises(InvalidResource, match=r"\w+ \w+"):
        chart(*THREE).search(query, BASE)


def test_resources_are_added_replaced_and_removed() -> None:
    held = chart()
    assert held.add(observation("x", "2160-0", "2026-01-01")) == "Observation/x"
    assert held.add(observation("x", "2160-0", "2026-02-01")) == "Observation/x"
    assert held.read("Observation", "x")["effectiveDateTime"] == "2026-02-01"
    named = held.add({"resourceType": "Task"})
    assert held.read(*named.split("/"))["id"] == named.removeprefix("Task/")
    assert (held.remove("Observation/x"), held.remove("Observation/x")) == (True, False)
    with pytest.raises(NotFound):
        held.read("Observation", "x")


def test_what_is_no_resource_is_not_added() -> None:
    for broken in ({}, {"resourceType": 5}, {"resourceType": "no type"}):
        with pytest.raises(InvalidResource):
            chart().add(broken)


@pytest.mark.parametrize("entries", [[], [{"resourceType": "Patient"}, {"resourceType": "Patient"}], [5], "x"])
def test_a_chart_has_one_patient(entries: object) -> None:
    with pytest.raises(InvalidInput, match="one Patient"):
        Chart({"entry": [{"resource": one} for one in entries] if isinstance(entries, list) else entries})


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"resourceType": "Patient"}', b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_bundle_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "chart.json"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"chart\.json"):
        load(file)


@pytest.mark.parametrize("file", PATIENTS, ids=lambda path: path.name)
def test_the_patients_of_the_project_are_charts(file: Path) -> None:
    found = load(file)
    assert found.read("Patient", found.patient_id) == found.patient
    assert " · " in found.title


def test_the_demos_patient_is_a_chart_with_a_visit() -> None:
    from datetime import UTC, datetime

    from cds.demo.story import chart as of
    from cds.demo.story import heroine

    found = Chart(of(heroine(datetime(2026, 11, 22, tzinfo=UTC))))
    assert (found.patient_id, found.first("Encounter")) == ("demo-patient", "demo-visit")


@given(st.text(max_size=60))
def test_no_query_is_more_than_refused(query: str) -> None:
    held = chart(*THREE)
    for asked in (query, f"Observation?{query}", f"Observation?date={query}"):
        with suppress(InvalidResource):
            assert held.search(asked, BASE)["resourceType"] == "Bundle"

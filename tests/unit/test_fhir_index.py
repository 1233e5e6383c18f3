"""What a resource can be found by: R4 search.html, table of search parameter types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.parameters import COMMON, OF_THE_RESOURCE, PARAMETERS, index
from adapters.fhir.ranges import OPEN, moment, number, wall_clock
from adapters.fhir.search import Context, parse
from cds.domain.resource import NewResource
from cds.domain.search import IndexEntry, Wanted
from cds.errors import InvalidResource
from tests.unit.fhir_samples import emitted, samples

BERLIN, CHICAGO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Chicago")
BASE = "https://sightline.example/fhir"
SAMPLES = tuple(
    {(r.type, r.id, str(r.body)): r for said in samples().values() for r in emitted(said)}.values()
)  # each kind of resource in each of its forms


def seconds(*parts: int) -> float:
    """A moment in UTC since 1970."""
    return datetime(*parts, tzinfo=UTC).timestamp()


def entries(resource: dict[str, Any], param: str) -> list[IndexEntry]:
    """What a parameter finds in a resource."""
    return [entry for entry in index(resource) if entry.param == param]


def observation(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "o", **elements}


def test_a_code_has_the_system_of_its_binding_and_a_concept_each_of_its_own() -> None:
    coded = {"coding": [{"system": "urn:a", "code": "x"}, {"code": "y"}, {"display": "no code"}], "text": "words"}
    resource = observation(status="preliminary", code=coded)
    assert entries(resource, "status") == [
        IndexEntry("status", "token", "preliminary", "http://hl7.org/fhir/observation-status")
    ]
    assert [(e.system, e.value) for e in entries(resource, "code")] == [("urn:a", "x"), ("", "y")]


def test_what_says_nothing_comparable_is_there_all_the_same_and_what_is_absent_is_not() -> None:
    resource = observation(
        method={"text": "a model"},
        subject={"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]},
        performer=[{"display": "A site"}],
    )
    assert entries(resource, "method") == [IndexEntry("method", "token")]
    assert entries(resource, "performer") == [IndexEntry("performer", "reference")]
    assert entries(resource, "subject") == []


def test_a_reference_is_found_without_its_version_and_by_its_identifier() -> None:
    target = [{"reference": "Observation/o/_history/3"}, {"identifier": {"system": "urn:a", "value": "1"}}]
    found = entries({"resourceType": "Provenance", "target": target}, "target")
    assert found == [
        IndexEntry("target", "reference", "Observation/o"),
        IndexEntry("target", "reference", "1", "urn:a"),
    ]


def test_a_patient_is_indexed_as_the_subject_alone() -> None:
    resource = observation(subject={"reference": "Patient/p"})
    assert [(e.param, e.value) for e in index(resource)] == [("subject", "Patient/p")]
    assert entries({"resourceType": "Task", "for": {"reference": "Patient/p"}}, "subject")


@pytest.mark.parametrize(
    ("period", "low", "high", "system"),
    [
        ({"start": "2026-03-04", "end": "2026-03-04"}, seconds(2026, 3, 4), seconds(2026, 3, 5), "day"),
        ({"end": "2026-03"}, -OPEN, seconds(2026, 4, 1), "day"),
        ({"start": "2026-03-04T10:00:00+02:00"}, seconds(2026, 3, 4, 8), OPEN, ""),
        ({"start": "2026-03", "end": "2026-03-04T10:00:00Z"}, seconds(2026, 3, 1), seconds(2026, 3, 4, 10, 0, 1), ""),
    ],
)  # fmt: skip
def test_a_period_is_open_where_it_has_no_end(period: dict[str, str], low: float, high: float, system: str) -> None:
    flag = {"resourceType": "Flag", "period": period}
    assert entries(flag, "date") == [IndexEntry("date", "date", "", system, low, high)]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2026", seconds(2026, 1, 1), seconds(2027, 1, 1)),
        ("2026-12", seconds(2026, 12, 1), seconds(2027, 1, 1)),
        ("1958-04-05", seconds(1958, 4, 5), seconds(1958, 4, 6)),
        ("2026-03-05T10:11Z", seconds(2026, 3, 5, 10, 11), seconds(2026, 3, 5, 10, 12)),
        ("2026-03-05T10:11:12-05:30", seconds(2026, 3, 5, 15, 41, 12), seconds(2026, 3, 5, 15, 41, 13)),
        ("2026-03-05T10:11:12.25Z", seconds(2026, 3, 5, 10, 11, 12) + 0.25, seconds(2026, 3, 5, 10, 11, 12) + 0.26),
    ],
)
def test_a_date_lasts_as_long_as_it_is_precise(text: str, low: float, high: float) -> None:
    assert moment(text, UTC) == pytest.approx((low, high), abs=1e-6)


def test_a_day_of_the_site_ends_when_its_clocks_say_so() -> None:
    low, high = moment("2026-03-29", BERLIN)
    assert (high - low) / 3600 == 23
    assert wall_clock("2026-03-29", BERLIN) == moment("2026-03-29", UTC)
    assert wall_clock("2026-03-29T23:30:00Z", BERLIN)[0] == seconds(2026, 3, 30, 1, 30)


@pytest.mark.parametrize(
    "text",
    ["", "26", "2026-13", "2026-02-30", "2026-1-1", "2026-01-01T25:00", "2026-01-01Z", "2026-01-01T", "9999-12-31",
     "0000", "2026-01-01T00:00:60Z", "2026-01-01T00:00+25:00", "yesterday", "２０２６"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(InvalidResource):
        moment(text, UTC)
    with pytest.raises(InvalidResource):
        wall_clock(text, BERLIN)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("100", 99.5, 100.5), ("100.00", 99.995, 100.005), ("1e2", 50.0, 150.0), ("-955.0", -955.05, -954.95)],
)
def test_a_number_is_as_precise_as_it_is_written(text: str, low: float, high: float) -> None:
    exact, *ends = number(text)
    assert exact == float(text)
    assert ends == pytest.approx([low, high])


@pytest.mark.parametrize("text", ["", "1,5", "NaN", "Infinity", "0x1", "1.", ".5", "1e999", "١"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidResource):
        number(text)


@pytest.mark.parametrize("value", [1e-320, 1e300, -0.0, 0.1 + 0.2, 123456789012345678901234567890, 5e-7])
def test_every_number_that_json_can_carry_is_indexed(value: float) -> None:
    [entry] = entries(observation(valueQuantity={"value": value, "code": "%"}), "value-quantity")
    assert entry.low is not None
    assert entry.high is not None
    assert entry.low <= float(value) <= entry.high


def test_a_quantity_is_found_by_code_and_by_the_unit_that_people_write() -> None:
    value = {"value": -955, "unit": "HU", "system": "http://unitsofmeasure.org", "code": "[hnsf'U]"}
    found = entries(observation(valueQuantity=value), "value-quantity")
    assert [(e.system, e.value, e.low, e.high) for e in found] == [
        ("http://unitsofmeasure.org", "[hnsf'U]", -955.5, -954.5),
        ("", "HU", -955.5, -954.5),
    ]


@pytest.mark.parametrize(
    ("elements", "dead"),
    [({}, "false"), ({"deceasedBoolean": False}, "false"), ({"deceasedBoolean": True}, "true"),
     ({"deceasedDateTime": "2026"}, "true")],
)  # fmt: skip
def test_a_patient_of_whom_nothing_is_said_is_not_deceased(elements: dict[str, Any], dead: str) -> None:
    [entry] = entries({"resourceType": "Patient", **elements}, "deceased")
    assert entry.value == dead


def test_every_part_of_a_name_is_found_by_itself() -> None:
    name = [{"family": "Unmistakable", "given": ["Quentina", "Ada"], "suffix": ["Jr."]}, {"text": "Q. U."}]
    patient = {"resourceType": "Patient", "name": name}
    assert [e.value for e in entries(patient, "name")] == ["Unmistakable", "Quentina", "Ada", "Jr.", "Q. U."]
    assert [e.value for e in entries(patient, "given")] == ["Quentina", "Ada"]


def test_every_parameter_of_the_table_reads_a_data_type_that_is_known() -> None:
    for table in PARAMETERS.values():
        assert set(table) >= {one.name for one in COMMON}
        for name, parameter in table.items():
            assert parameter.name == name
            assert parameter.elements or parameter.of_patient
            assert set(parameter.targets) <= set(PARAMETERS)
            assert parameter.same_as in ("", *table)


@pytest.mark.parametrize("resource", SAMPLES, ids=lambda one: f"{one.type}-{one.id[:4]}")
def test_what_is_emitted_carries_its_index(resource: NewResource) -> None:
    assert resource.index == index(resource.body)
    assert len(set(resource.index)) == len(resource.index) > 0


def asked(entry: IndexEntry, text: Any) -> str:
    """How a client would ask for an entry: with or without its system, and with what must be escaped."""
    escaped = entry.value.replace("\\", "\\\\")
    for special in "|,$":
        escaped = escaped.replace(special, f"\\{special}")
    if entry.kind == "token":
        return escaped if text == "bare" else f"{entry.system}|{escaped}"
    if entry.kind == "quantity":
        middle = repr((entry.low + entry.high) / 2) if entry.low is not None and entry.high is not None else ""
        middle = str(round(float(middle), 6))
        return middle if text == "bare" or not entry.value else f"{middle}|{entry.system}|{escaped}"
    return escaped


def fulfils(entry: IndexEntry, wanted: Wanted) -> bool:
    """R4 search.html, equality, in its simplest words."""
    if wanted.value not in (None, entry.value) or wanted.system not in (None, entry.system):
        return False
    if entry.low is None or entry.high is None:
        return True
    return entry.low >= wanted.low - 1e-9 and entry.high <= wanted.high + 1e-9


FOUND = [
    (r.type, entry)
    for r in SAMPLES
    for entry in r.index
    if entry.kind != "date" and (entry.value or entry.low is not None)
]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(FOUND), st.sampled_from(["bare", "whole"]))
def test_whatever_is_emitted_is_found_by_each_of_its_parameters(found: tuple[str, IndexEntry], how: str) -> None:
    resource_type, entry = found
    logical = entry.kind == "reference" and "/" not in entry.value.replace("://", "")
    name = f"{entry.param}:identifier" if logical else entry.param
    text = f"{entry.system}|{entry.value}" if logical else asked(entry, how)
    [criterion] = parse(resource_type, [(name, text)], Context(BASE, BERLIN, datetime.now(UTC))).query.criteria
    assert any(fulfils(entry, wanted) for wanted in criterion.any_of)


DATES = [
    (r.type, p.name, r.body[element.path], entries(r.body, p.name))
    for r in SAMPLES
    for p in PARAMETERS[r.type].values()
    for element in p.elements
    if p.type == "date" and isinstance(r.body.get(element.path), str)
]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(DATES), st.sampled_from([BERLIN, CHICAGO, UTC]))
def test_a_date_is_found_as_it_is_written_and_a_day_is_the_same_day_everywhere(found: Any, zone: Any) -> None:
    resource_type, name, text, indexed = found
    [criterion] = parse(resource_type, [(name, text)], Context(BASE, zone, datetime.now(UTC))).query.criteria
    assert any(fulfils(entry, wanted) for entry in indexed for wanted in criterion.any_of)


@pytest.mark.parametrize(
    ("body", "param", "text"),
    [
        ({"resourceType": "Task", "executionPeriod": {"end": "2026-03-06T09:30:00Z"}}, "period", "eb2026-03-07"),
        ({"resourceType": "ServiceRequest", "occurrencePeriod": {"end": "2026-06-04"}}, "occurrence", "eb2026-06-05"),
        ({"resourceType": "Flag", "period": {"start": "2026-03-04"}}, "date", "sa2026-03-03"),
    ],
)
def test_an_open_period_is_found_by_the_end_that_it_has(body: dict[str, Any], param: str, text: str) -> None:
    [entry] = entries(body, param)
    [criterion] = parse(body["resourceType"], [(param, text)], Context(BASE, BERLIN, datetime.now(UTC))).query.criteria
    [wanted] = [one for one in criterion.any_of if one.system == entry.system]
    assert wanted.prefix == text[:2]
    assert (entry.high <= wanted.low) if text.startswith("eb") else (entry.low >= wanted.high)


def test_the_columns_of_the_store_are_not_in_its_index() -> None:
    stored = {**SAMPLES[0].body, "meta": {"lastUpdated": "2026-03-05T10:11:12Z"}}
    assert not {entry.param for entry in index(stored)} & set(OF_THE_RESOURCE)

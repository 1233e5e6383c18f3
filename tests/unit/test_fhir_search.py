"""Search parameters and bundles: R4 search.html, read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.bundle import history, searchset
from adapters.fhir.capability import capability
from adapters.fhir.outcome import operation_outcome
from adapters.fhir.search import PARAMETERS, parse
from cds.domain.resource import ResourcePage, ResourceQuery, StoredResource
from cds.errors import InvalidResource

AT = datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC)
STORED = StoredResource("Device", "d", 2, AT, b'{"resourceType":"Device","id":"d"}')


def utc(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=UTC)


def bounds(text: str, zone: str = "UTC") -> tuple[tuple[str, datetime], ...]:
    """What one _lastUpdated means."""
    return parse("Device", [("_lastUpdated", text)], ZoneInfo(zone)).last_updated


def test_no_parameters_ask_for_the_first_fifty() -> None:
    assert parse("Patient", []) == ResourceQuery("Patient", count=50)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("12345", (None, "12345")),
        ("urn:a|12345", ("urn:a", "12345")),
        ("|12345", ("", "12345")),
        (r"urn:a|1\|2\,3\\4", ("urn:a", "1|2,3\\4")),
        (r"1\|2", (None, "1|2")),
    ],
)
def test_a_token_is_a_system_and_a_value(text: str, token: tuple[str | None, str]) -> None:
    assert parse("Patient", [("identifier", text)]).identifier == token


@pytest.mark.parametrize("text", ["urn:a|", "|", "a|b|c", "a,b", "a$b"])
def test_lists_and_half_tokens_are_refused(text: str) -> None:
    with pytest.raises(InvalidResource):
        parse("Patient", [("identifier", text)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-05", (("ge", utc(2026, 3, 5)), ("lt", utc(2026, 3, 6)))),
        ("eq2026-03-05T10:11", (("ge", utc(2026, 3, 5, 10, 11)), ("lt", utc(2026, 3, 5, 10, 12)))),
        ("2026-03-05T10:11:12Z", (("ge", utc(2026, 3, 5, 10, 11, 12)), ("lt", utc(2026, 3, 5, 10, 11, 13)))),
        ("gt2026-03-05", (("ge", utc(2026, 3, 6)),)),
        ("ge2026-03-05", (("ge", utc(2026, 3, 5)),)),
        ("lt2026-03-05", (("lt", utc(2026, 3, 5)),)),
        ("le2026-03-05", (("lt", utc(2026, 3, 6)),)),
        ("ge2026-03-05T10:11:12+02:00", (("ge", utc(2026, 3, 5, 8, 11, 12)),)),
        ("gt2026-03-05T10:11:12.25Z", (("ge", utc(2026, 3, 5, 10, 11, 12, 260000)),)),
    ],
)
def test_a_date_means_all_of_its_interval(text: str, expected: tuple[tuple[str, datetime], ...]) -> None:
    assert bounds(text) == expected


def test_a_day_without_offset_is_a_day_of_the_site_even_when_the_clocks_change() -> None:
    assert bounds("2026-03-29", "Europe/Berlin") == (("ge", utc(2026, 3, 28, 23)), ("lt", utc(2026, 3, 29, 22)))


@pytest.mark.parametrize(
    "text", ["2026", "2026-02-30", "ne2026-01-01", "2026-01-01T25:00", "9999-12-31", "0001-01-01T00:00+14:00"]
)  # fmt: skip
def test_dates_that_do_not_exist_or_cannot_be_compared_are_refused(text: str) -> None:
    with pytest.raises(InvalidResource):
        bounds(text)


def test_both_ends_of_a_time_span_may_be_given() -> None:
    query = parse("Device", [("_lastUpdated", "ge2026-01-01"), ("_lastUpdated", "lt2026-02-01")])
    assert [prefix for prefix, _ in query.last_updated] == ["ge", "lt"]


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("1", 1), ("200", 200), ("201", 200), ("999999999", 200)])
def test_a_page_has_at_most_200(text: str, count: int) -> None:
    assert parse("Device", [("_count", text)]).count == count


@pytest.mark.parametrize("resource_type", PARAMETERS)
@pytest.mark.parametrize("name", ["name", "Unmistakable", "patient:missing", "_id", "_sort", ""])
def test_a_parameter_that_is_not_known_is_refused_without_being_repeated(resource_type: str, name: str) -> None:
    with pytest.raises(InvalidResource) as refused:
        parse(resource_type, [(name, "x")])
    assert "_lastUpdated" in str(refused.value)
    assert "Unmistakable" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["json", "application/json", "application/fhir+json", "application/fhir+json;fhirVersion=4.0"]
)
def test_json_is_the_format(name: str) -> None:
    assert parse("Device", [("_format", name)]).type == "Device"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(["patient", "identifier", "_lastUpdated", "_count", "_after", "_format"]), st.text(max_size=30))
def test_any_value_is_read_or_refused(name: str, value: str) -> None:
    try:
        query = parse("DiagnosticReport", [(name, value)])
    except InvalidResource:
        return
    assert 0 <= query.count <= 200


def test_a_searchset_has_absolute_urls_and_links_only_where_given() -> None:
    page = ResourcePage((STORED,), 7, "c")
    whole = searchset("https://x/fhir", "Device", page, "_count=1", "_count=1&_after=c", hints=("More.",))
    assert whole["link"] == [
        {"relation": "self", "url": "https://x/fhir/Device?_count=1"},
        {"relation": "next", "url": "https://x/fhir/Device?_count=1&_after=c"},
    ]
    assert whole["total"] == 7
    assert whole["entry"][0] == {
        "fullUrl": "https://x/fhir/Device/d",
        "resource": {"resourceType": "Device", "id": "d"},
        "search": {"mode": "match"},
    }
    Bundle.model_validate(whole)


def test_an_empty_searchset_has_no_empty_members() -> None:
    bundle = searchset("https://x/fhir", "Device", ResourcePage((), 0, None), "", None)
    assert bundle == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": "https://x/fhir/Device"}],
    }
    Bundle.model_validate(bundle)


def test_a_history_has_request_and_response_in_every_entry() -> None:
    bundle = history("https://x/fhir", [STORED])
    assert bundle["entry"][0]["request"] == {"method": "PUT", "url": "Device/d"}
    assert bundle["entry"][0]["response"]["etag"] == 'W/"2"'
    Bundle.model_validate(bundle)


def test_the_capability_statement_conforms_and_lists_what_the_search_reads() -> None:
    statement = capability("https://x/fhir")
    CapabilityStatement.model_validate(statement)
    [rest] = statement["rest"]
    named = {r["type"]: tuple(p["name"] for p in r["searchParam"]) for r in rest["resource"]}
    assert named == dict(PARAMETERS)
    for resource in rest["resource"]:
        taken = {"create", "update"} if resource["type"] == "DiagnosticReport" else set()
        wanted = {"read", "vread", "history-instance", "search-type"} | taken
        assert {i["code"] for i in resource["interaction"]} == wanted


def test_an_outcome_conforms_and_leaves_an_empty_text_out() -> None:
    OperationOutcome.model_validate(operation_outcome("invalid", "want a date"))
    assert operation_outcome("login", "")["issue"] == [{"severity": "error", "code": "login"}]

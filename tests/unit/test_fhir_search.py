"""Search parameters: R4 search.html, read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.criteria import MOST_VALUES
from adapters.fhir.search import PARAMETERS, Context, Search, Shape, page_size, parse, shape_of
from cds.domain.search import Criterion, Include, ResourceQuery, Sort, Wanted
from cds.errors import InvalidResource

BASE = "https://sightline.example/fhir"
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
ANNA = "9f1c7d1e-0000-4000-8000-00000000000a"


def searched(resource_type: str, *pairs: tuple[str, str], zone: str = "UTC", lenient: bool = False) -> Search:
    """A search as it is understood."""
    return parse(resource_type, pairs, Context(BASE, ZoneInfo(zone), NOW), lenient=lenient)


def criterion(resource_type: str, name: str, text: str, zone: str = "UTC") -> Criterion:
    """The one criterion of a search by one parameter."""
    [found] = searched(resource_type, (name, text), zone=zone).query.criteria
    return found


def wanted(resource_type: str, name: str, text: str, zone: str = "UTC") -> list[tuple[str | None, str | None]]:
    """(system, value) of what one parameter accepts."""
    return [(one.system, one.value) for one in criterion(resource_type, name, text, zone).any_of]


def seconds(*parts: int) -> float:
    """A moment in UTC since 1970."""
    return datetime(*parts, tzinfo=UTC).timestamp()


def test_no_parameters_ask_for_the_first_fifty() -> None:
    assert searched("Patient").query == ResourceQuery("Patient", count=50)


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("12345", (None, "12345")),
        ("urn:a|12345", ("urn:a", "12345")),
        ("|12345", ("", "12345")),
        ("urn:a|", ("urn:a", None)),
        (r"urn:a|1\|2\,3\\4", ("urn:a", "1|2,3\\4")),
        (r"1\|2", (None, "1|2")),
        (r"ends with a backslash\\", (None, "ends with a backslash\\")),
    ],
)
def test_a_token_is_a_system_and_a_value(text: str, token: tuple[str | None, str]) -> None:
    assert wanted("Patient", "identifier", text) == [token]


def test_commas_mean_or_and_repeats_mean_and() -> None:
    assert wanted("Observation", "code", r"a,urn:b|c,d\,e") == [(None, "a"), ("urn:b", "c"), (None, "d,e")]
    query = searched("Observation", ("code", "a,b"), ("code", "c")).query
    assert [len(one.any_of) for one in query.criteria] == [2, 1]


@pytest.mark.parametrize("text", ["|", "a|b|c", "a$b", "a,,b", ",", "a,", ",".join("a" * (MOST_VALUES + 1))])
def test_half_tokens_and_lists_without_values_are_refused(text: str) -> None:
    with pytest.raises(InvalidResource, match="identifier wants"):
        searched("Patient", ("identifier", text))


@pytest.mark.parametrize(
    ("name", "text", "taken"),
    [
        ("code", ",".join("a" * (MOST_VALUES // 2)), 2),
        ("date", ",".join(["2026"] * 4), 10),
        ("value-quantity", ",".join(["5"] * 20), 2),
        ("_lastUpdated", "2026,2027", 20),
        ("device.status", ",".join("a" * 100), 4),
        ("date:missing", "true", 50),
    ],
)
def test_a_search_wants_so_many_values_in_all(name: str, text: str, taken: int) -> None:
    assert len(searched("Observation", *[(name, text)] * taken).query.criteria) == taken
    with pytest.raises(InvalidResource, match="a search wants"):
        searched("Observation", *[(name, text)] * (taken + 1))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("subject", ANNA, f"Patient/{ANNA}"),
        ("subject", f"Patient/{ANNA}", f"Patient/{ANNA}"),
        ("subject", f"{BASE}/Patient/{ANNA}", f"Patient/{ANNA}"),
        ("subject:Patient", ANNA, f"Patient/{ANNA}"),
        ("patient", ANNA, f"Patient/{ANNA}"),
        ("patient:Patient", f"Patient/{ANNA}", f"Patient/{ANNA}"),
        ("performer", "Organization/1", "Organization/1"),
        ("subject", "https://other.example/fhir/Patient/1", "https://other.example/fhir/Patient/1"),
    ],
)
def test_a_reference_is_an_id_a_type_and_id_or_an_address(name: str, text: str, value: str) -> None:
    assert wanted("Observation", name, text) == [("", value)]


def test_an_id_alone_may_be_of_any_type_that_the_reference_names() -> None:
    found = wanted("Provenance", "entity", "x")
    assert found == [("", f"{one}/x") for one in ("DiagnosticReport", "Observation", "RiskAssessment")]
    assert wanted("Provenance", "entity:Observation", "x") == [("", "Observation/x")]


def test_a_logical_reference_is_asked_for_by_its_identifier() -> None:
    found = criterion("DiagnosticReport", "based-on:identifier", "urn:sightline:accession:RIS|ACC1")
    assert found == Criterion("based-on", "reference", (Wanted("ACC1", "urn:sightline:accession:RIS"),))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("subject", "a/b/c"),
        ("subject", f"Patient/{ANNA}/_history/1"),
        ("subject", f"{BASE}/Patient/{ANNA}/_history/1"),
        ("subject", "patient/1"),
        ("subject", "#contained"),
        ("subject", "x" * 65),
        ("subject:Group", "1"),
        ("subject:Patient", "Group/1"),
        ("performer", "1"),
    ],
)
def test_what_is_no_reference_is_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidResource) as refused:
        searched("Observation", (name, text))
    assert text not in str(refused.value)


def test_the_patient_of_a_provenance_is_known_to_the_store_alone() -> None:
    search = searched("Provenance", ("patient", f"Patient/{ANNA}"), ("recorded", "ge2026"))
    assert search.query.compartment == ANNA
    assert [one.param for one in search.query.criteria] == ["recorded"]
    for name, text in (
        ("patient", f"{ANNA},b"),
        ("patient:missing", "true"),
        ("patient", "Group/1"),
        ("patient.name", "x"),
    ):
        with pytest.raises(InvalidResource):
            searched("Provenance", (name, text))
    with pytest.raises(InvalidResource):
        searched("Provenance", ("patient", "a"), ("patient", "b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", ("eq", seconds(2026, 1, 1), seconds(2027, 1, 1))),
        ("ne2026-03", ("ne", seconds(2026, 3, 1), seconds(2026, 4, 1))),
        ("2026-03-05", ("eq", seconds(2026, 3, 5), seconds(2026, 3, 6))),
        ("eq2026-03-05T10:11", ("eq", seconds(2026, 3, 5, 10, 11), seconds(2026, 3, 5, 10, 12))),
        ("gt2026-03-05", ("gt", seconds(2026, 3, 5), seconds(2026, 3, 6))),
        ("sa2026-03-05T10:11:12Z", ("sa", seconds(2026, 3, 5, 10, 11, 12), seconds(2026, 3, 5, 10, 11, 13))),
        ("eb2026-03-05T10:11:12+02:00", ("eb", seconds(2026, 3, 5, 8, 11, 12), seconds(2026, 3, 5, 8, 11, 13))),
    ],
)
def test_a_date_means_all_of_its_interval(text: str, expected: tuple[str, float, float]) -> None:
    [found] = criterion("Device", "_lastUpdated", text).any_of
    assert (found.prefix, found.low, found.high) == expected
    assert found.system is None


def test_about_a_date_is_a_tenth_of_the_time_until_now() -> None:
    [found] = criterion("Device", "_lastUpdated", "ap2026-02-23").any_of
    middle = seconds(2026, 2, 23, 12)
    assert (found.low, found.high) == (middle - 1.5 * 86400, middle + 1.5 * 86400)


def test_a_moment_without_offset_is_one_of_the_site_and_a_day_is_a_day_whatever_the_offset() -> None:
    [issued] = criterion("DiagnosticReport", "issued", "2026-03-29", "Europe/Berlin").any_of
    assert (issued.low, issued.high) == (seconds(2026, 3, 28, 23), seconds(2026, 3, 29, 22))
    [born] = criterion("Patient", "birthdate", "1958-04-05", "Europe/Berlin").any_of
    assert (born.system, born.low, born.high) == (None, seconds(1958, 4, 5), seconds(1958, 4, 6))
    day, instant = criterion("DiagnosticReport", "date", "2026-03-29", "Europe/Berlin").any_of
    assert (day.system, day.low, day.high) == ("day", seconds(2026, 3, 29), seconds(2026, 3, 30))
    assert (instant.system, instant.low, instant.high) == ("", issued.low, issued.high)


@pytest.mark.parametrize(
    ("text", "prefix", "low", "high"),
    [("5", "eq", 4.5, 5.5), ("5.40", "eq", 5.395, 5.405), ("gt5", "gt", 4.5, 5.5), ("ap-20", "ap", -22.0, -18.0)],
)
def test_a_number_has_the_precision_of_its_last_digit(text: str, prefix: str, low: float, high: float) -> None:
    [found] = criterion("RiskAssessment", "probability", text).any_of
    assert (found.prefix, found.value, found.system) == (prefix, None, None)
    assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("text", "system", "code"),
    [
        ("gt5.4", None, None),
        ("5.4|http://unitsofmeasure.org|%", "http://unitsofmeasure.org", "%"),
        ("5.4||HU", None, "HU"),
        ("5.4|http://unitsofmeasure.org|", "http://unitsofmeasure.org", None),
    ],
)
def test_a_quantity_may_name_its_unit(text: str, system: str | None, code: str | None) -> None:
    assert wanted("Observation", "value-quantity", text) == [(system, code)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_lastUpdated", "yesterday"),
        ("_lastUpdated", "xx2026-01-01"),
        ("_lastUpdated", "2026-02-30"),
        ("date", "gt"),
        ("date", "9999-12-31"),
        ("value-quantity", "much"),
        ("value-quantity", "5|mg"),
        ("value-quantity", "zz5"),
        ("value-quantity", "5|a|b|c"),
        ("_id", "a b"),
        ("_id", "a|b"),
        ("code:missing", "perhaps"),
    ],
)
def test_values_of_another_form_are_refused_without_being_repeated(name: str, text: str) -> None:
    with pytest.raises(InvalidResource, match=name.partition(":")[0]) as refused:
        searched("Observation", (name, text))
    assert text not in str(refused.value)


@pytest.mark.parametrize(
    ("resource_type", "name", "modifier"),
    [
        ("Observation", "status:not", "not"),
        ("Patient", "family:exact", "exact"),
        ("Patient", "name:contains", "contains"),
    ],
)
def test_modifiers_change_how_is_compared(resource_type: str, name: str, modifier: str) -> None:
    assert criterion(resource_type, name, "x").modifier == modifier


def test_missing_asks_for_none() -> None:
    found = criterion("Observation", "patient:missing", "true")
    assert found == Criterion("subject", "reference", missing=True)
    assert criterion("Observation", "value-quantity:missing", "false").missing is False


@pytest.mark.parametrize(
    "name",
    ["code:text", "code:in", "code:exact", "family:not", "date:exact", "subject:Device", "subject:above",
     "value-quantity:not", "_profile:below", "_id:not", "_id:missing", "_lastUpdated:missing",
     "_has:Observation:subject:code"],
)  # fmt: skip
def test_modifiers_that_are_not_supported_are_refused_even_leniently(name: str) -> None:
    resource_type = "Patient" if name.startswith("family") else "Observation"
    for lenient in (False, True):
        with pytest.raises(InvalidResource):
            searched(resource_type, (name, "true"), lenient=lenient)


@pytest.mark.parametrize(
    ("resource_type", "name", "chain"),
    [
        ("Observation", "patient.identifier", ("Patient", "identifier")),
        ("Observation", "subject:Patient.identifier", ("Patient", "identifier")),
        ("DiagnosticReport", "result.code", ("Observation", "code")),
        ("Provenance", "target:Observation.code", ("Observation", "code")),
        ("Provenance", "agent.model", ("Device", "model")),
    ],
)
def test_a_chain_asks_what_the_reference_names(resource_type: str, name: str, chain: tuple[str, str]) -> None:
    search = searched(resource_type, (name, "x"))
    [found] = search.query.criteria
    assert found.chain is not None
    assert (found.chain[0], found.chain[1].param) == chain
    assert search.chained == {chain[0]}


def test_a_chain_may_have_a_modifier_at_its_end() -> None:
    found = criterion("Observation", "subject.family:exact", "X")
    assert found.chain == ("Patient", Criterion("family", "string", (Wanted("X"),), "exact"))


@pytest.mark.parametrize(
    ("resource_type", "name"),
    [
        ("Observation", "subject.nothing"),
        ("Observation", "subject:Device.identifier"),
        ("Observation", "code.text"),
        ("Observation", "performer.name"),
        ("Observation", "device.identifier.x"),
        ("Provenance", "target.code"),
        ("Task", "focus:ServiceRequest.subject.name"),
    ],
)
def test_chains_that_lead_nowhere_or_to_several_are_refused(resource_type: str, name: str) -> None:
    with pytest.raises(InvalidResource):
        searched(resource_type, (name, "x"))


def test_includes_go_along_references_both_ways() -> None:
    query = searched(
        "Observation",
        ("_include", "Observation:device"),
        ("_include", "Observation:subject:Patient"),
        ("_include:iterate", "Provenance:agent"),
        ("_revinclude", "Provenance:target"),
        ("_revinclude", "DiagnosticReport:result"),
    ).query
    assert query.includes == (
        Include("Observation", "device"),
        Include("Observation", "subject", "Patient"),
        Include("Provenance", "agent", iterate=True),
        Include("Provenance", "target", reverse=True),
        Include("DiagnosticReport", "result", reverse=True),
    )
    [of_patient] = searched("Observation", ("_include", "Observation:patient")).query.includes
    assert of_patient.param == "subject"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("_include", "*"),
        ("_include", "Observation"),
        ("_include", "Observation:*"),
        ("_include", "Observation:code"),
        ("_include", "Observation:nothing"),
        ("_include", "Observation:device:Patient"),
        ("_include", "Observation:performer"),
        ("_include", "Condition:subject"),
        ("_include", "DiagnosticReport:result"),
        ("_revinclude", "Provenance:agent"),
        ("_revinclude", "Provenance:patient"),
        ("_include:recurse", "Observation:device"),
    ],
)
def test_includes_that_lead_nowhere_are_refused(name: str, text: str) -> None:
    with pytest.raises(InvalidResource):
        searched("Observation", (name, text))


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("_lastUpdated", Sort()),
        ("-date", Sort("date", True)),
        ("_id", Sort("_id")),
        ("-_lastUpdated", Sort(descending=True)),
    ],
)
def test_one_date_or_the_id_orders_a_search(text: str, sort: Sort) -> None:
    assert searched("Observation", ("_sort", text)).query.sort == sort


@pytest.mark.parametrize("text", ["code", "date,_id", "", "--date", "subject"])
def test_other_orders_are_refused(text: str) -> None:
    with pytest.raises(InvalidResource, match="_sort wants one of _id, _lastUpdated, date"):
        searched("Observation", ("_sort", text))


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("1", 1), ("200", 200), ("201", 200), ("999999999", 200)])
def test_a_page_has_at_most_200(text: str, count: int) -> None:
    assert searched("Device", ("_count", text)).query.count == count
    assert page_size(text) == max(1, count)


@pytest.mark.parametrize(("text", "total"), [("none", "none"), ("accurate", "accurate"), ("estimate", "accurate")])
def test_a_total_is_told_where_it_is_wanted(text: str, total: str) -> None:
    assert searched("Device", ("_total", text)).query.total == total


def test_a_summary_of_the_count_has_no_matches() -> None:
    assert searched("Device", ("_summary", "count"), ("_count", "7")).query.count == 0


@pytest.mark.parametrize(
    ("name", "text", "shape"),
    [
        ("_summary", "true", Shape("true")),
        ("_summary", "data", Shape("data")),
        ("_summary", "false", Shape()),
        ("_elements", "code,value", Shape(None, frozenset({"code", "value"}))),
    ],
)
def test_parts_of_resources_may_be_asked_for(name: str, text: str, shape: Shape) -> None:
    assert searched("Observation", (name, text)).shape == shape
    assert shape_of([(name, text)]) == shape


@pytest.mark.parametrize(
    "pairs",
    [
        [("_summary", "some")],
        [("_elements", "")],
        [("_elements", "Observation.code")],
        [("_summary", "text"), ("_include", "Observation:device")],
        [("_summary", "true"), ("_elements", "code")],
        [("_count", "many")],
        [("_count", "-1")],
        [("_count", "1"), ("_count", "2")],
        [("_total", "some")],
        [("_sort", "date"), ("_sort", "_id")],
        [("code", "")],
        [("code", "a")] * 51,
    ],
)
def test_controls_of_another_form_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidResource):
        searched("Observation", *pairs)


def test_a_read_takes_no_search_parameters() -> None:
    for pairs in ([("code", "x")], [("_summary", "count")], [("_count", "1")]):
        with pytest.raises(InvalidResource):
            shape_of(pairs)


@pytest.mark.parametrize("resource_type", PARAMETERS)
@pytest.mark.parametrize("name", ["Unmistakable", "encounter", "_after", "_text", "_filter", ""])
def test_a_parameter_that_is_not_known_is_refused_without_being_repeated(resource_type: str, name: str) -> None:
    with pytest.raises(InvalidResource) as refused:
        searched(resource_type, (name, "x"))
    assert "_lastUpdated" in str(refused.value)
    assert "Unmistakable" not in str(refused.value)


def test_a_lenient_search_leaves_out_what_is_not_known_and_says_how_many() -> None:
    search = searched("Observation", ("nothing", "x"), ("status", "final"), ("other:exact", "y"), lenient=True)
    assert search.left_out == 2
    assert search.understood == search.linked == (("status", "final"),)
    with pytest.raises(InvalidResource):
        searched("Observation", ("date", "yesterday"), lenient=True)


@pytest.mark.parametrize(
    ("resource_type", "name", "text"),
    [
        ("Patient", "identifier", "urn:a|12345"),
        ("Patient", "family", "Unmistakable"),
        ("Patient", "given:contains", "Quentina"),
        ("Patient", "name", "Unmistakable"),
        ("Patient", "birthdate", "1958-04-05"),
        ("Patient", "_id", "MRN-4711"),
        ("Observation", "subject", "MRN-4711"),
        ("Observation", "subject:identifier", "urn:a|12345"),
        ("Observation", "patient.birthdate", "1958"),
        ("Observation", "patient._id", "MRN-4711"),
        ("Observation", "patient.gender", "female"),
        ("Observation", "subject", "https://other.example/fhir/Patient/MRN-4711"),
        ("Observation", "value-string", "Unmistakable"),
        ("Provenance", "patient", "MRN-4711"),
        ("Provenance", "agent:identifier", "urn:sightline:person|dr.grey"),
    ],
)
def test_links_repeat_nothing_that_may_tell_who_somebody_is(resource_type: str, name: str, text: str) -> None:
    search = searched(resource_type, (name, text), ("_lastUpdated", "ge2026"))
    assert search.linked == (("_lastUpdated", "ge2026"),)
    assert search.understood == ((name, text), ("_lastUpdated", "ge2026"))


@pytest.mark.parametrize(
    ("name", "text"),
    [("patient", f"Patient/{ANNA}"), ("code", "urn:sightline:codes|laa-950"), ("date", "2026-03-05"), ("_id", ANNA),
     ("status:not", "entered-in-error"), ("device.type", "Artificial-Intelligence"), ("_count", "7")],
)  # fmt: skip
def test_links_repeat_what_tells_nobody(name: str, text: str) -> None:
    assert searched("Observation", (name, text)).linked == ((name, text),)


NAMES = sorted({name for table in PARAMETERS.values() for name in table} | {"_count", "_sort", "_include", "_elements"})


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(PARAMETERS)),
    st.sampled_from(NAMES),
    st.sampled_from(["", ":not", ":missing", ":identifier", ":exact", ":Patient", ".code", ".", ":"]),
    st.text(max_size=30) | st.sampled_from(["ge2026", "5||%", "a|b", "true", r"\\", "\\"]),
)
def test_anything_is_read_or_refused(resource_type: str, name: str, more: str, text: str) -> None:
    try:
        query = searched(resource_type, (name + more, text)).query
    except InvalidResource:
        return
    assert 0 <= query.count <= 200

"""What the FHIR API answers with: Bundles, parts of resources, sealed links, outcomes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.bundle import history, searchset
from adapters.fhir.outcome import operation_outcome
from adapters.fhir.sealing import LIFETIME_S, seal, unseal
from adapters.fhir.search import Continuation, Shape
from adapters.fhir.subset import SUBSETTED, subset
from cds.domain.resource import ResourcePage, StoredResource
from cds.errors import InvalidResource
from tests.unit.fhir_samples import emitted, report

AT = datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC)
STORED = StoredResource(
    "Device", "d", 2, AT, b'{"resourceType":"Device","id":"d","status":"active","note":[{"text":"x"}]}'
)
KEY = bytes(range(32))


def test_a_searchset_tells_matches_from_what_came_along() -> None:
    page = ResourcePage((STORED,), 7, "c", (StoredResource("Patient", "p", 1, AT, b'{"resourceType":"Patient"}'),))
    whole = searchset("https://x/fhir", "Device", page, "_count=1", "_page=c", hints=("More.",))
    assert whole["link"] == [
        {"relation": "self", "url": "https://x/fhir/Device?_count=1"},
        {"relation": "next", "url": "https://x/fhir/Device?_page=c"},
    ]
    assert whole["total"] == 7
    assert [(e.get("fullUrl"), e["search"]["mode"]) for e in whole["entry"]] == [
        ("https://x/fhir/Device/d", "match"),
        ("https://x/fhir/Patient/p", "include"),
        (None, "outcome"),
    ]
    Bundle.model_validate(whole)


def test_an_empty_searchset_has_no_empty_members_and_no_total_that_is_not_known() -> None:
    bundle = searchset("https://x/fhir", "Device", ResourcePage((), None, None), "", None)
    assert bundle == {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": "https://x/fhir/Device"}],
    }
    Bundle.model_validate(bundle)


def test_a_history_has_request_and_response_in_every_entry() -> None:
    bundle = history("https://x/fhir", "Device/d/_history", ResourcePage((STORED,), 2, None), "", None)
    [entry] = bundle["entry"]
    assert entry["request"] == {"method": "PUT", "url": "Device/d"}
    assert (entry["response"]["status"], entry["response"]["etag"]) == ("200", 'W/"2"')
    assert bundle["total"] == 2
    Bundle.model_validate(bundle)


BODIES = {r.type: r.body for r in emitted(report())}


@pytest.mark.parametrize("resource_type", BODIES)
@pytest.mark.parametrize("shape", [Shape("true"), Shape("text"), Shape("data"), Shape(None, frozenset({"note"}))])
def test_a_part_of_a_resource_says_so_and_is_still_one(resource_type: str, shape: Shape) -> None:
    part = subset(BODIES[resource_type], shape)
    assert SUBSETTED in part["meta"]["tag"]
    assert part["meta"].get("security") == BODIES[resource_type].get("meta", {}).get("security")
    assert part.get("status") == BODIES[resource_type].get("status")
    get_fhir_model_class(resource_type).model_validate(part)


def test_the_parts_are_what_was_asked_for() -> None:
    body = BODIES["Observation"]
    assert subset(body, Shape(None, frozenset({"value", "effective"}))).keys() == {
        "resourceType", "id", "meta", "status", "code", "valueQuantity", "effectiveDateTime",
    }  # fmt: skip
    assert {"note", "device", "method", "bodySite"}.isdisjoint(subset(body, Shape("true")))
    assert "valueQuantity" in subset(body, Shape("true"))
    assert subset(body, Shape("data")).keys() == body.keys()
    assert subset(body, Shape()) is body
    unknown: dict[str, Any] = {**body, "_effectiveDateTime": {"extension": []}}
    assert "_effectiveDateTime" in subset(unknown, Shape("true"))


def test_a_sealed_search_is_opened_by_every_process_that_has_the_key_and_says_nothing() -> None:
    search = Continuation("Patient", (("identifier", "urn:a|12345"), ("family", "Unmistakable")), "cursor", AT)
    sealed = search.seal(KEY, AT)
    assert Continuation.unseal(sealed, "Patient", bytes(KEY), AT + timedelta(minutes=59)) == search
    assert "12345" not in sealed
    assert sealed != search.seal(KEY, AT)
    with pytest.raises(InvalidResource, match="another address"):
        Continuation.unseal(sealed, "Observation", KEY, AT)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_sealed_search_that_was_changed_is_refused(place: int, change: int) -> None:
    sealed = bytearray(seal({"a": 1}, KEY, AT).encode())
    sealed[place % len(sealed)] ^= change
    text = sealed.decode("latin-1")
    try:
        assert unseal(text, KEY, AT) == {"a": 1}, "only unused bits at the end of base64 may differ"
    except InvalidResource:
        return
    assert place % len(sealed) == len(sealed) - 1


@pytest.mark.parametrize(
    ("key", "now"),
    [
        (bytes(reversed(KEY)), AT),
        (KEY, AT + timedelta(seconds=LIFETIME_S + 1)),
        (KEY, AT - timedelta(hours=1)),
    ],
    ids=["another key", "too late", "before its time"],
)
def test_another_key_and_another_time_open_nothing(key: bytes, now: datetime) -> None:
    with pytest.raises(InvalidResource, match="within an hour"):
        unseal(seal({"a": 1}, KEY, AT), key, now)


@pytest.mark.parametrize("token", ["", "x", "é", "gAAAAA", "=" * 100, "A" * 5000, "\0"], ids=ascii)
def test_what_was_never_sealed_is_refused(token: str) -> None:
    with pytest.raises(InvalidResource):
        unseal(token, KEY, AT)


def test_a_search_that_no_address_could_hold_is_refused_and_many_ids_are_not() -> None:
    few, many = (",".join(str(uuid.uuid4()) for _ in range(number)) for number in (100, 200))
    assert unseal(seal({"ids": few}, KEY, AT), KEY, AT) == {"ids": few}
    with pytest.raises(InvalidResource, match="fewer values"):
        seal({"ids": many}, KEY, AT)
    with pytest.raises(InvalidResource, match="fewer values"):
        seal({"ids": "a" * 300_000}, KEY, AT)


def test_a_key_of_another_length_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal({}, b"short", AT)


def test_an_outcome_conforms_and_leaves_an_empty_text_out() -> None:
    OperationOutcome.model_validate(operation_outcome("invalid", "want a date"))
    assert operation_outcome("login", "")["issue"] == [{"severity": "error", "code": "login"}]

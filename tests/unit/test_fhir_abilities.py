"""What is read in another server's CapabilityStatement."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.fhir.abilities import Abilities, read
from tests.contract.fhir_wire import capability_statement

PATIENT = {
    "type": "Patient",
    "interaction": [{"code": "read"}, {"code": "search-type"}],
    "searchParam": [{"name": "identifier", "type": "token"}],
    "operation": [{"name": "everything", "definition": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}],
}
REPORT = {
    "type": "DiagnosticReport",
    "interaction": [{"code": "create"}, {"code": "update"}],
    "versioning": "versioned-update",
    "conditionalCreate": True,
    "conditionalUpdate": True,
    "updateCreate": True,
}


def test_what_is_said_is_known_by_type_and_for_the_whole_system() -> None:
    said = capability_statement(
        PATIENT,
        REPORT,
        interaction=[{"code": "transaction"}],
        searchParam=[{"name": "_lastUpdated", "type": "date"}],
        operation=[{"name": "$events", "definition": "x"}],
    )
    found = read(said)
    assert (found.fhir_version, found.software) == ("4.0.1", "Wire 1")
    assert (found.transaction, found.batch) == (True, False)
    assert found.can("Patient", "read")
    assert not found.can("Patient", "create")
    assert found.searches("Patient", "identifier")
    assert found.searches("Patient", "_lastUpdated")
    assert not found.searches("Patient", "birthdate")
    assert not found.searches("DiagnosticReport", "_lastUpdated")
    assert found.conditional_create("DiagnosticReport")
    assert found.conditional_update("DiagnosticReport")
    assert found.update_create("DiagnosticReport")
    assert found.versioned_update("DiagnosticReport")
    assert found.operates("$everything", "Patient")
    assert found.operates("events", "Subscription")
    assert not found.operates("everything")


def test_what_is_not_said_it_cannot() -> None:
    found = read(capability_statement(PATIENT))
    assert not found.transaction
    for ask in (found.conditional_create, found.conditional_update, found.update_create, found.versioned_update):
        assert not ask("Patient")
        assert not ask("Observation")
    assert not found.can("Observation", "read")
    assert not found.searches("Observation", "patient")


def test_a_condition_on_what_it_cannot_do_at_all_is_none() -> None:
    said = {"type": "Device", "conditionalCreate": True, "conditionalUpdate": True, "updateCreate": True}
    found = read(capability_statement(said))
    assert not found.conditional_create("Device")
    assert not found.conditional_update("Device")
    assert not found.update_create("Device")


def test_what_it_does_as_a_client_is_not_what_it_serves() -> None:
    said = capability_statement()
    said["rest"] = [{"mode": "client", "interaction": [{"code": "transaction"}]}, {"mode": "server"}]
    assert not read(said).transaction


def test_the_token_endpoint_of_smart_before_its_own_document_is_found() -> None:
    url = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
    uris = [{"url": "authorize", "valueUri": "https://a"}, {"url": "token", "valueUri": "https://t"}]
    security = {"extension": [{"url": "other"}, {"url": url, "extension": uris}]}
    assert read(capability_statement(security=security)).token_url == "https://t"
    assert read(capability_statement()).token_url == ""


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"rest": None},
        {"rest": "x"},
        {"rest": [5, None]},
        {"rest": [{"resource": {"type": "Patient"}}]},
        {"rest": [{"resource": [5, {"type": 5}, {}]}]},
        {"rest": [{"interaction": [{"code": ["transaction"]}, "transaction"]}]},
        {"fhirVersion": 4, "software": "x", "rest": [{"security": {"extension": [{"url": 1}]}}]},
    ],
)
def test_a_statement_of_another_shape_says_nothing_and_is_no_error(statement: dict[str, Any]) -> None:
    assert read(statement) == Abilities()


def test_values_of_another_shape_beside_good_ones_do_not_hide_them() -> None:
    said = {"type": "Patient", "interaction": [{"code": "read"}, {"code": 5}, None], "conditionalCreate": "true"}
    found = read(capability_statement(said))
    assert found.can("Patient", "read")
    assert not found.conditional_create("Patient")

"""The CapabilityStatement, the document and the search say the same; the statement is R4."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from adapters.fhir.capability import INTERACTIONS, TAKEN, TAKEN_TOGETHER, capability
from adapters.fhir.criteria import MODIFIERS
from adapters.fhir.parameters import PARAMETERS

DOCS = Path(__file__).parents[2] / "docs"
BASE = "https://sightline.example/fhir"


def rest(**given: Any) -> dict[str, Any]:
    """What the statement says of the server, once R4 took it."""
    statement: Any = capability(BASE, **given)
    CapabilityStatement.model_validate(statement)
    [found] = statement["rest"]
    return found


def resources() -> dict[str, dict[str, Any]]:
    return {resource["type"]: resource for resource in rest()["resource"]}


def test_the_document_has_the_tables_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("fhir_tables", DOCS / "fhir_tables.py")
    assert spec
    assert spec.loader
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    written = (DOCS / "fhir-conformance.md").read_text()
    assert tables.rendered(written) == written, "run .venv/bin/python docs/fhir_tables.py"


def test_every_parameter_that_the_search_reads_is_stated_with_its_type_and_definition() -> None:
    for name, table in PARAMETERS.items():
        stated = {one["name"]: one for one in resources()[name]["searchParam"]}
        assert list(stated) == list(table)
        for parameter in table.values():
            assert stated[parameter.name]["type"] == parameter.type
            assert stated[parameter.name]["definition"].startswith("http://hl7.org/fhir/SearchParameter/")


@pytest.mark.parametrize("resource_type", [*PARAMETERS, *(one for one in TAKEN if one not in PARAMETERS)])
def test_interactions_are_those_that_are_read_and_taken(resource_type: str) -> None:
    resource = resources()[resource_type]
    read = INTERACTIONS if resource_type in PARAMETERS else ()
    taken = TAKEN[resource_type].interactions if resource_type in TAKEN else ()
    assert [one["code"] for one in resource["interaction"]] == [*read, *taken]
    assert ("searchParam" in resource) == bool(read)
    assert resource["updateCreate"] == ("update" in taken)


def test_what_comes_along_goes_both_ways() -> None:
    forward = {(name, one) for name, found in resources().items() for one in found.get("searchInclude", ())}
    assert ("Observation", "Observation:device") in forward
    assert "Provenance:target" in resources()["DiagnosticReport"]["searchRevInclude"]
    for name, found in resources().items():
        for one in found.get("searchRevInclude", ()):
            source, param = one.split(":")
            assert (source, one) in forward
            assert name in PARAMETERS[source][param].targets


def test_everything_is_an_operation_of_the_patient_alone() -> None:
    with_operations = {name for name, found in resources().items() if "operation" in found}
    assert with_operations == {"Patient"}
    assert [one["code"] for one in rest()["interaction"]] == list(TAKEN_TOGETHER)


def test_every_type_of_parameter_has_its_modifiers() -> None:
    assert {one.type for table in PARAMETERS.values() for one in table.values()} == MODIFIERS.keys()


@pytest.mark.parametrize("uris", [{}, {"token": "https://login.example/token"}])
def test_smart_is_stated_where_access_tokens_are_taken(uris: dict[str, str]) -> None:
    assert "service" not in rest()["security"]
    security = rest(oauth_uris=uris)["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    listed = [one for extension in security.get("extension", ()) for one in extension["extension"]]
    assert {one["url"]: one["valueUri"] for one in listed} == uris

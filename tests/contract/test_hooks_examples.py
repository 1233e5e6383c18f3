"""Requests that others wrote, of the standard's own pages and of a test kit for EHRs, over a real server.

Where the EHR's server can be asked every call is answered; where it cannot, the answer names what it lacks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.contract.ehr_wire import Ehr
from tests.contract.fhir_wire import FhirWire
from tests.contract.fhir_wire import serving as serving_fhir
from tests.contract.hook_site import ADVICE, DISCHARGE, FINDINGS, HOOKS, ROUTING, HookSite, order, serving
from tests.unit.clinical import reference

Json = dict[str, Any]

SERVICES = {
    "patient-view": FINDINGS,
    "order-select": ADVICE,
    "order-sign": ADVICE,
    "order-dispatch": ROUTING,
    "encounter-discharge": DISCHARGE,
}
KIT = ("order_select", "order_sign", "order_dispatch", "encounter_discharge")
OTHERS = ("appointment_book", "encounter_start", "fancy_structure")
STANDARDS = (*SERVICES, "prefetch_error_OperationOutcome", "prefetch_paginated")


@pytest.fixture(scope="module")
def folder(reference_dir: Path) -> Path:
    return reference(reference_dir)


@pytest.fixture(scope="module")
def form(folder: Path) -> Draft202012Validator:
    return Draft202012Validator(json.loads((folder / "cds-hooks/schema/response.schema.json").read_bytes()))


@pytest.fixture(scope="module")
def wire(folder: Path) -> Iterator[FhirWire]:
    """The EHR's server with the kit's own resources."""
    held = [json.loads(path.read_bytes()) for path in sorted((folder / "crd-fixtures").glob("crd_*_example.json"))]
    with serving_fhir(Ehr(resources=held).answer) as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, wire: FhirWire) -> Iterator[HookSite]:
    with serving(tmp_path_factory.mktemp("hooks"), fhir_destinations={"ehr": {"url": wire.url}}) as found:
        yield found


def kit(folder: Path, name: str) -> Json:
    """A request of the test kit."""
    found: Json = json.loads((folder / "crd-fixtures" / f"{name}_hook_request.json").read_bytes())
    return found


def reachable(request: Json, wire: FhirWire) -> Json:
    """The request of an EHR whose server the site knows, with a token that lets everything be read."""
    token = request["fhirAuthorization"] | {"scope": "user/*.read"}
    return request | {"fhirServer": wire.url, "fhirAuthorization": token}


def refused(answer: httpx.Response) -> str:
    """What an answer lacks."""
    assert answer.json()["resourceType"] == "OperationOutcome"
    said: str = answer.json()["issue"][0]["details"]["text"]
    return said


@pytest.mark.parametrize("name", KIT)
def test_a_request_of_the_kit_is_answered_with_a_valid_body(
    site: HookSite, wire: FhirWire, folder: Path, form: Draft202012Validator, name: str
) -> None:
    request = reachable(kit(folder, name), wire)
    answer = site.post(SERVICES[request["hook"]], request)
    assert answer.status_code == 200, answer.text
    form.validate(answer.json())


def test_the_kits_larger_selection_is_answered_with_a_valid_body(
    site: HookSite, wire: FhirWire, folder: Path, form: Draft202012Validator
) -> None:
    context = json.loads((folder / "crd-fixtures" / "order_select_context.json").read_bytes())
    request = reachable(kit(folder, "order_select"), wire) | {"context": context}
    answer = site.post(ADVICE, request)
    assert answer.status_code == 200, answer.text
    form.validate(answer.json())


@pytest.mark.parametrize("name", ["order_select", "order_sign"])
def test_an_imaging_order_among_the_kits_is_judged_and_the_others_are_left_alone(
    site: HookSite, wire: FhirWire, folder: Path, form: Draft202012Validator, name: str
) -> None:
    request = reachable(kit(folder, name), wire)
    assert site.answer(ADVICE, request) == {"cards": []}, "diets and drugs"
    ours = order("example")
    request["context"]["draftOrders"]["entry"].append({"resource": ours})
    request["context"].pop("selections", None)
    said = site.answer(ADVICE, request)
    form.validate(said)
    assert said["cards"]
    assert all(card["summary"].startswith(("CT Chest W contrast", "It is in doubt")) for card in said["cards"])


@pytest.mark.parametrize("name", KIT)
def test_where_the_kits_server_cannot_be_asked_the_answer_names_the_key_that_it_lacks(
    site: HookSite, folder: Path, form: Draft202012Validator, name: str
) -> None:
    request = kit(folder, name)
    answer = site.post(SERVICES[request["hook"]], request)
    if answer.status_code == 200:
        form.validate(answer.json())
        assert name != "encounter_discharge", "which asks for a patient"
    else:
        assert answer.status_code == 412
        assert "prefetch key 'patient'" in refused(answer)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("service", list(HOOKS))
def test_a_hook_that_is_none_of_the_services_is_refused_with_the_hook_that_it_takes(
    site: HookSite, folder: Path, service: str, name: str
) -> None:
    answer = site.post(service, kit(folder, name))
    assert answer.status_code == 400
    assert HOOKS[service] in refused(answer)


@pytest.mark.parametrize("name", STANDARDS)
def test_a_request_of_the_standards_pages_is_answered_or_told_what_it_lacks(
    site: HookSite, folder: Path, form: Draft202012Validator, name: str
) -> None:
    """The pages bring the patient at times; their server is an example's."""
    request = json.loads((folder / "cds-hooks" / "examples" / f"request_{name}.json").read_bytes())
    answer = site.post(SERVICES[request["hook"]], request)
    if "patient" in request.get("prefetch", {}):
        assert answer.status_code == 200, answer.text
    if answer.status_code == 200:
        form.validate(answer.json())
    else:
        assert answer.status_code == 412
        assert "prefetch key 'patient'" in refused(answer)


@pytest.mark.parametrize("name", ["accepted", "overridden"])
def test_feedback_of_the_standards_pages_is_taken_and_its_cards_are_said_to_be_unknown(
    site: HookSite, folder: Path, name: str
) -> None:
    said = json.loads((folder / "cds-hooks" / "examples" / f"feedback_{name}.json").read_bytes())
    answer = site.post(FINDINGS, said, "/feedback")
    assert answer.status_code == 200
    assert f"{len(said['feedback'])} about cards that this service did not show" in answer.text

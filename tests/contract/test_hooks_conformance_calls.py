"""CDS Hooks 2.0, a call: what it brings, what is fetched for it, what it is answered when that cannot be had."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.ehr_wire import Ehr
from tests.contract.fhir_wire import FhirWire
from tests.contract.fhir_wire import serving as serving_fhir
from tests.contract.hook_answers import UNREADABLE
from tests.contract.hook_site import (
    ADVICE,
    DISCHARGE,
    FINDINGS,
    HOOKS,
    ROUTING,
    HookSite,
    chart,
    drafts,
    order,
    serving,
)

Json = dict[str, Any]

TOKEN = "a-secret.of.one-call"
NAME = "02-emphysema"
EMPTY = {"resourceType": "Bundle", "type": "searchset", "total": 0}
FAILED = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "exception", "diagnostics": "the server is away"}],
}
AUTHORIZED = {
    "fhirAuthorization": {
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "user/*.rs",
        "subject": "sightline",
    }
}


@pytest.fixture(scope="module")
def wire() -> Iterator[FhirWire]:
    """The EHR's own FHIR server, which has the whole chart."""
    with serving_fhir(Ehr(resources=list(chart(NAME).resources)).answer) as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, wire: FhirWire) -> Iterator[HookSite]:
    with serving(tmp_path_factory.mktemp("hooks"), fhir_destinations={"ehr": {"url": wire.url}}) as found:
        yield found


def detail(answer: Json) -> str:
    """What the emphysema card says."""
    return next(str(card["detail"]) for card in answer["cards"] if "emphysema" in card["summary"])


# --- the wire


@pytest.mark.requirement(1)
@pytest.mark.parametrize("service", list(HOOKS))
def test_requests_and_answers_of_every_kind_are_json(site: HookSite, service: str) -> None:
    path = f"{site.url}/cds-services/{service}"
    for answer in (site.post(service, site.body(service)), site.post(service, {}), site.feedback(service)):
        assert answer.headers["Content-Type"] == "application/json"
        assert isinstance(answer.json(), dict)
    for kind in ("application/xml", "text/plain", "application/x-www-form-urlencoded"):
        refused = site.http.post(path, content=json.dumps(site.body(service)), headers={"Content-Type": kind})
        assert refused.status_code == 415
        assert refused.json()["resourceType"] == "OperationOutcome"


@pytest.mark.requirement(14, 76)
def test_what_cannot_be_answered_has_a_status_of_its_own_and_an_outcome_that_says_why(site: HookSite) -> None:
    asked = {
        400: site.post(FINDINGS, site.body(FINDINGS, hook="order-sign")),
        404: site.post("nothing", {}),
        412: site.post(FINDINGS, site.body(FINDINGS, prefetch={})),
        413: site.http.post(f"{site.url}/cds-services/{FINDINGS}", json={"a": "x" * 5_000_000}),
    }
    assert {status: answer.status_code for status, answer in asked.items()} == {status: status for status in asked}
    for answer in asked.values():
        assert answer.json()["issue"][0]["details"]["text"]


@pytest.mark.requirement(214, 215)
def test_extensions_of_a_client_are_ignored_wherever_they_stand_and_none_is_sent(site: HookSite) -> None:
    plain = site.body(FINDINGS)
    extended = {"com.example.timestamp": "2026-11-22", "org.example.any": {"deep": [1, None]}}
    with_more = json.loads(json.dumps(plain)) | {"extension": extended, "unknownMember": [1]}
    with_more["context"]["extension"] = extended
    bare, said = site.answer(FINDINGS, plain), site.answer(FINDINGS, with_more)
    assert [card["summary"] for card in said["cards"]] == [card["summary"] for card in bare["cards"]]
    assert '"extension"' not in json.dumps(said)


@pytest.mark.parametrize("service", list(HOOKS))
def test_requests_of_the_3_0_ballot_are_taken(site: HookSite, service: str) -> None:
    """Scopes of SMART App Launch 2, order-dispatch with several orders and no user, and members that are new."""
    whose = chart(NAME).patient["id"]
    token = AUTHORIZED["fhirAuthorization"] | {"scope": "patient/Observation.rs?category=laboratory", "patient": whose}
    several = {"dispatchedOrders": ["ServiceRequest/o"], "fulfillmentTasks": [], "performer": "Organization/1"}
    body = site.body(
        service, NAME, context=drafts(order(whose)) | several, fhirServer=site.url, fhirAuthorization=token
    )
    if service == ROUTING:
        del body["context"]["userId"]
    assert site.answer(service, body)["cards"]


@pytest.mark.requirement(27)
@pytest.mark.parametrize("service", list(HOOKS))
def test_a_call_with_everything_prefetched_costs_the_server_a_fraction_of_500_ms(site: HookSite, service: str) -> None:
    """The processor's time of client and server together: no other process and no load of the machine counts."""
    whose = chart(NAME).patient["id"]
    body = site.body(service, context=drafts(order(whose)) | UNREADABLE)
    site.answer(service, body)
    begun = time.process_time()
    for _ in range(5):
        site.answer(service, body)
    assert (time.process_time() - begun) / 5 < 0.25


# --- prefetch


@pytest.mark.requirement(28, 34)
def test_what_was_prefetched_is_used_and_nothing_is_fetched_that_was(site: HookSite, wire: FhirWire) -> None:
    before = len(wire.asked)
    told = detail(site.answer(FINDINGS, site.body(FINDINGS, NAME, fhirServer=wire.url, **AUTHORIZED)))
    bare = site.answer(FINDINGS, site.body(FINDINGS, NAME, prefetch={"patient": chart(NAME).patient}))
    assert len(wire.asked) == before
    assert "smokes now (2026-10-05; FHIR prefetch)" in told
    assert "smokes now" not in json.dumps(bare)


@pytest.mark.requirement(34, 60, 61)
def test_what_was_not_prefetched_is_fetched_from_the_clients_server_with_its_token_each_time(
    site: HookSite, wire: FhirWire
) -> None:
    before = len(wire.asked)
    told = site.answer(FINDINGS, site.body(FINDINGS, NAME, prefetch=..., fhirServer=wire.url, **AUTHORIZED))
    asked = wire.asked[before:]
    assert "smokes now (2026-10-05;" in detail(told)
    assert len(asked) > 1
    assert {one.token for one in asked} == {TOKEN}


@pytest.mark.requirement(61)
def test_without_a_token_the_clients_server_is_not_asked(site: HookSite, wire: FhirWire) -> None:
    before = len(wire.asked)
    site.answer(FINDINGS, site.body(FINDINGS, NAME, prefetch={"patient": chart(NAME).patient}, fhirServer=wire.url))
    assert len(wire.asked) == before


@pytest.mark.requirement(52)
def test_a_search_that_failed_is_not_taken_for_an_empty_one(site: HookSite) -> None:
    whole = site.body(FINDINGS, NAME)["prefetch"]
    told = {
        name: detail(site.answer(FINDINGS, site.body(FINDINGS, NAME, prefetch=whole | {"spirometry": value})))
        for name, value in {"empty": EMPTY, "failed": FAILED}.items()
    }
    assert "FHIR spirometry observations (whole record)" in told["empty"]
    assert "FHIR spirometry observations" not in told["failed"]


@pytest.mark.requirement(54)
@pytest.mark.parametrize("service", list(HOOKS))
@pytest.mark.parametrize("patient", [..., None, FAILED], ids=["absent", "null", "OperationOutcome"])
def test_without_the_patient_in_any_way_the_answer_is_412_and_names_the_key(
    site: HookSite, service: str, patient: Any
) -> None:
    whose = chart(NAME).patient["id"]
    task = {"resourceType": "Task", "contained": [order(whose, id="o")]}
    context = drafts(order(whose)) | {"order": "ServiceRequest/o", "performer": "Organization/1", "task": task}
    prefetch = {} if patient is ... else {"patient": patient}
    refused = site.post(service, site.body(service, context=context, prefetch=prefetch))
    assert refused.status_code == 412
    issue = refused.json()["issue"][0]
    assert issue["code"] == "required"
    assert "prefetch key 'patient'" in issue["details"]["text"]


@pytest.mark.requirement(54)
def test_where_the_server_of_the_call_has_no_such_patient_the_answer_is_412(site: HookSite, wire: FhirWire) -> None:
    body = site.body(DISCHARGE, prefetch=..., context={"patientId": "unknown"}, fhirServer=wire.url, **AUTHORIZED)
    assert site.post(DISCHARGE, body).status_code == 412


@pytest.mark.requirement(54)
def test_orders_that_are_not_imaging_need_nobody_and_are_no_412(site: HookSite) -> None:
    other = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "MedicationRequest", "id": "m"}}]}
    body = site.body(ADVICE, prefetch=..., context={"draftOrders": other})
    assert site.answer(ADVICE, body) == {"cards": []}
    sent = {"order": "MedicationRequest/1", "performer": "Organization/1"}
    assert site.answer(ROUTING, site.body(ROUTING, prefetch=..., context=sent)) == {"cards": []}

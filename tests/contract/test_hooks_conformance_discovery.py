"""CDS Hooks 2.0, discovery and prefetch templates: what a client is told before it calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.contract.hook_site import ADVICE, HOOKS, HookSite, serving

Json = dict[str, Any]

#: The context of the hooks at version 1.0 (CDS Hooks library): fields at the root whose value is a primitive.
PRIMITIVE = {
    "patient-view": {"userId", "patientId", "encounterId"},
    "order-select": {"userId", "patientId", "encounterId"},
    "order-sign": {"userId", "patientId", "encounterId"},
    "order-dispatch": {"patientId", "order", "performer"},
    "encounter-discharge": {"userId", "patientId", "encounterId"},
}
#: Those beside the context that stand for whoever uses the EHR.
USERS = {"userPractitionerId", "userPractitionerRoleId", "userPatientId", "userRelatedPersonId"}
TOKEN = re.compile(r"\{\{(.*?)\}\}")
#: A search parameter with a token or reference by equality, `:in` the one modifier; dates with one of five prefixes.
PARAMETER = re.compile(
    r"patient=[^&:]+|code(:in)?=[^&]+|date=(eq|lt|gt|ge|le)?\d[^&]*|_count=\d+|_sort=-?[a-z]+", re.ASCII
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HookSite]:
    with serving(tmp_path_factory.mktemp("hooks")) as found:
        yield found


@pytest.fixture(scope="module")
def listed(site: HookSite) -> list[Json]:
    return site.discovery()


@pytest.fixture(scope="module")
def templates(listed: list[Json]) -> list[tuple[str, str]]:
    found = [(one["hook"], template) for one in listed for template in one["prefetch"].values()]
    assert len(found) > len(listed)
    return found


@pytest.mark.requirement(1, 4, 5, 13)
def test_discovery_is_asked_for_with_get_at_its_one_address_and_is_200_in_json(site: HookSite) -> None:
    answer = httpx.get(f"{site.url}/cds-services")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert httpx.post(f"{site.url}/cds-services", json={}).status_code == 405


@pytest.mark.requirement(6)
def test_discovery_is_an_object_with_an_array_of_services(site: HookSite) -> None:
    document = httpx.get(f"{site.url}/cds-services").json()
    assert list(document) == ["services"]
    assert {one["id"] for one in document["services"]} == set(HOOKS)


@pytest.mark.requirement(7, 9, 10)
def test_every_service_says_its_hook_its_id_and_what_it_does(listed: list[Json]) -> None:
    for one in listed:
        assert all(isinstance(one[name], str) and one[name].strip() for name in ("hook", "description", "id"))
    assert {one["hook"] for one in listed} == set(PRIMITIVE)
    pairs = [(one["id"], one["hook"]) for one in listed]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.requirement(8, 12)
def test_every_service_has_a_title_and_says_what_it_needs(listed: list[Json]) -> None:
    assert all(isinstance(one["title"], str) and one["title"] for one in listed)
    assert all("identifier" in one["usageRequirements"] for one in listed)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", one["version"]) for one in listed)


@pytest.mark.requirement(10, 16)
def test_a_service_answers_at_its_id_below_discovery_and_nothing_answers_elsewhere(site: HookSite) -> None:
    for one in site.discovery():
        refused = site.post(one["id"], {})
        assert refused.status_code == 400, "the service is there, and wants a request"
    assert site.post("no-such-service", {}).status_code == 404


@pytest.mark.requirement(11, 29, 36)
def test_every_service_names_the_data_it_asks_for_each_by_a_key(listed: list[Json]) -> None:
    for one in listed:
        assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", key) for key in one["prefetch"])
        assert all(isinstance(template, str) and template for template in one["prefetch"].values())
        assert one["prefetch"]["patient"] == "Patient/{{context.patientId}}"


@pytest.mark.requirement(35, 55)
def test_every_template_has_a_token_between_double_braces(templates: list[tuple[str, str]]) -> None:
    for _, template in templates:
        assert TOKEN.findall(template)
        assert not set("{}") & set(TOKEN.sub("", template))


@pytest.mark.requirement(56, 57, 59)
def test_every_token_is_a_primitive_field_of_the_context_or_the_user(templates: list[tuple[str, str]]) -> None:
    for hook, template in templates:
        for token in TOKEN.findall(template):
            _, dot, name = token.partition("context.")
            assert token in USERS or (dot and name in PRIMITIVE[hook]), token


@pytest.mark.requirement(58)
def test_every_template_is_a_read_or_a_search_within_the_recommended_subset(templates: list[tuple[str, str]]) -> None:
    for _, template in templates:
        # A reference of the context names the type of the one resource as well.
        kind, _, query = TOKEN.sub("1", template.replace("{{context.order}}", "ServiceRequest/1")).partition("?")
        assert re.fullmatch(r"[A-Z][A-Za-z]+(/1)?", kind)
        assert bool(query) != kind.endswith("/1"), "one resource by its id, or a search by type"
        assert all(PARAMETER.fullmatch(one) for one in query.split("&") if query), template


@pytest.mark.requirement(211)
def test_a_service_that_puts_a_new_answer_in_the_place_of_an_old_one_is_listed_once_for_each_hook(
    listed: list[Json],
) -> None:
    twice = [one for one in listed if one["id"] == ADVICE]
    assert [one["hook"] for one in twice] == ["order-select", "order-sign"]
    assert twice[0] | {"hook": ""} == twice[1] | {"hook": ""}


def test_the_schema_accepts_discovery(listed: list[Json], reference_dir: Path) -> None:
    schema = json.loads((reference_dir / "reference" / "cds-hooks/schema/discovery.schema.json").read_text())
    Draft202012Validator(schema).validate({"services": listed})

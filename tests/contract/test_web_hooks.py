"""CDS Hooks over HTTP: what the wire accepts, before any card is thought of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.contract.web_peer import CARD, SERVICE, services, serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(services()) as address:
        yield f"{address}/cds-services"


def call(url: str, content: bytes | str, content_type: str = "application/json") -> httpx.Response:
    """POST a raw body to the service."""
    return httpx.post(f"{url}/{SERVICE}", content=content, headers={"Content-Type": content_type})


def test_discovery_answers_json(url: str, reference_dir: Path) -> None:
    response = httpx.get(url)
    schema = json.loads((reference_dir / "reference" / "cds-hooks/schema/discovery.schema.json").read_text())
    assert response.headers["Content-Type"] == "application/json"
    Draft202012Validator(schema).validate(response.json())


@pytest.mark.parametrize(
    "name", ["patient-view", "order-select", "order-sign", "order-dispatch", "encounter-discharge"]
)
def test_the_standards_example_requests_reach_the_service(url: str, reference_dir: Path, name: str) -> None:
    body = (reference_dir / "reference" / f"cds-hooks/examples/request_{name}.json").read_bytes()
    response = call(url, body)
    assert (response.status_code, response.json()) == (200, {"cards": [CARD]})
    assert response.headers["Content-Type"] == "application/json"


def test_a_charset_in_the_content_type_is_no_other_type(url: str) -> None:
    assert call(url, "{}", "application/json; charset=utf-8").status_code == 200


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "1", '"text"', "{'a': 1}", '{"a": NaN}', "[" * 5000, b"\xff\xfe{}", '{"a":1} x']
)
def test_a_body_that_is_no_json_object_is_a_400_with_an_outcome(url: str, body: bytes | str) -> None:
    response = call(url, body)
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["issue"][0]["code"] == "invalid"


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_a_415(url: str, content_type: str) -> None:
    assert call(url, "{}", content_type).status_code == 415


def test_a_body_of_4_mib_is_read_and_a_larger_one_refused(url: str) -> None:
    limit = 4 * 1024 * 1024
    whole = b'{"a":"' + b"x" * (limit - 8) + b'"}'
    assert len(whole) == limit
    assert call(url, whole).status_code == 200
    assert call(url, whole + b" ").status_code == 413


@pytest.mark.parametrize(
    ("instance", "status", "code"),
    [("malformed", 400, "invalid"), ("unknown-patient", 412, "required"), ("down", 503, "transient")],
)
def test_a_refusal_of_the_service_has_its_own_status(url: str, instance: str, status: int, code: str) -> None:
    response = httpx.post(f"{url}/{SERVICE}", json={"hookInstance": instance})
    assert response.status_code == status
    issue: dict[str, Any] = response.json()["issue"][0]
    assert issue == {"severity": "error", "code": code, "details": {"text": "want something else"}}


def test_an_unknown_service_is_a_404_and_another_method_a_405(url: str) -> None:
    assert httpx.post(f"{url}/none", json={}).status_code == 404
    assert httpx.get(f"{url}/{SERVICE}").status_code == 405
    assert httpx.post(url, json={}).status_code == 405

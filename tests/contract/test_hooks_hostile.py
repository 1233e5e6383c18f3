"""CDS Hooks requests that no client should send: wrong types at every depth, huge, deep, odd text and numbers, no JSON.

None is a server error; every answer is JSON, a refusal an OperationOutcome, and what is answered keeps its form.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.contract import hook_site
from tests.contract.hook_answers import dispatched
from tests.contract.hook_site import ADVICE, DISCHARGE, FINDINGS, HOOKS, INSTANCE, ROUTING, chart, drafts, order

Json = dict[str, Any]

NAME = "03-lung-nodule"
_DOCUMENT = yaml.load((Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
REFUSED = {400, 404, 412, 413}
#: As bytes that a JSON reader may stumble over, wherever a value stands.
RAW_VALUES = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"1" * 400, b"0." + b"1" * 400, b"-0", b"01", b"+1", b"",
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b'"\\u0000"', b'"\x00"', b"'a'", b"undefined",
    b'{"a":1,"a":2}', b"[" * 40 + b"]" * 40, b"[" * 70 + b"]" * 70, b"[" * 5000, b'{"a":' * 3000 + b"1" + b"}" * 3000,
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from([
        "", " ", "\x00", "\u202e", "\ufeff", "é" * 300, "x" * 20_000, "<script>alert(1)</script>", "](javascript:1)",
        "2026-02-30", "0000-00-00", "9999-12-31T23:59:60Z", "2026", "-1", "Patient/", "Patient/x/_history/2", "#", "#o",
        "urn:uuid:x", "http://[", "https://a:b@c", "../..", "ServiceRequest/1", "10^9", "1,5", "{{context.patientId}}",
    ]),
)  # fmt: skip
_ODD_NUMBERS = st.sampled_from([0, -1, 2**63, 1e308])
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), _ODD_NUMBERS)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    with hook_site.stored(tmp_path_factory.mktemp("hooks")) as (wanted, held):
        yield hook_site.app(wanted, held).test_client()


@pytest.fixture(scope="module")
def form() -> Draft202012Validator:
    """What an answer looks like."""
    whole = {"$ref": "#/components/schemas/HookResponse", "components": _DOCUMENT["components"]}
    return Draft202012Validator(whole)


def whole(service: str) -> Json:
    """A request with something in every member."""
    who = chart(NAME)
    whose = who.patient["id"]
    found = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in who.resources[1:]]}
    return {
        "hook": HOOKS[service],
        "hookInstance": INSTANCE,
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.rs"},
        "context": {
            "userId": "Practitioner/1",
            "patientId": whose,
            "encounterId": "e1",
            "selections": ["ServiceRequest/draft-24628-0"],
            **drafts(order(whose, reasonCode=[{"coding": [{"system": "urn:x", "code": "y"}]}])),
            **dispatched(whose),
        },
        "prefetch": {
            "patient": who.patient,
            "role": {"resourceType": "PractitionerRole", "code": [{"coding": [{"system": "urn:x", "code": "y"}]}]},
            **{key: copy.deepcopy(found) for key in ("smoking", "conditions", "procedures", "requests", "reports")},
        },
    }


FEEDBACK: Json = {
    "feedback": [
        {
            "card": "9f2cc2a1-0000-4000-8000-000000000001",
            "outcome": "accepted",
            "acceptedSuggestions": [{"id": "9f2cc2a1-0000-4000-8000-000000000002"}],
            "outcomeTimestamp": "2026-11-22T09:31:00Z",
        },
        {
            "card": "9f2cc2a1-0000-4000-8000-000000000003",
            "outcome": "overridden",
            "overrideReason": {"reason": {"system": "urn:x", "code": "y", "display": "z"}, "userComment": "c"},
            "outcomeTimestamp": "2026-11-22T09:31:00.5+01:00",
        },
    ]
}


def places(value: object, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(found for name, item in inner for found in places(item, (*at, name)))]


WAYS = {service: [way for way in places(whole(service)) if way] for service in HOOKS} | {
    "feedback": [way for way in places(FEEDBACK) if way]
}


@st.composite
def changed(draw: st.DrawFn, way_of: str, document: Json) -> Json:
    """A document with other values, or none, at some of its places."""
    found = copy.deepcopy(document)
    for way in draw(st.lists(st.sampled_from(WAYS[way_of]), min_size=1, max_size=3)):
        _put(found, way, draw(st.just(...) | VALUES))
    return found


def _put(document: Any, way: tuple[Any, ...], value: object) -> None:
    """Where another change took the way itself, nothing."""
    for name in way[:-1]:
        if not _has(document, name):
            return
        document = document[name]
    if _has(document, way[-1]):
        document[way[-1]] = value
        if value is ...:
            del document[way[-1]]


def _has(value: Any, name: Any) -> bool:
    if isinstance(value, list):
        return isinstance(name, int) and name < len(value)
    return isinstance(value, dict) and name in value


def check(web: FlaskClient, form: Draft202012Validator, path: str, body: bytes) -> int:
    """Send bytes and look at the answer; answers its status."""
    answer = web.post(f"/cds-services/{path}", data=body, content_type="application/json")
    said = json.loads(answer.data)
    assert answer.content_type == "application/json"
    if answer.status_code == 200 and not path.endswith("/feedback"):
        form.validate(said)
        return 200
    assert answer.status_code in REFUSED | {200}, said
    assert said["resourceType"] == "OperationOutcome"
    assert said["issue"][0]["details"]["text"]
    return answer.status_code


def dumped(body: object) -> bytes:
    """JSON with whatever Python can hold: lone surrogates as escapes."""
    return json.dumps(body).encode()


@pytest.mark.parametrize("service", list(HOOKS))
def test_the_request_itself_is_answered(web: FlaskClient, form: Draft202012Validator, service: str) -> None:
    assert check(web, form, service, dumped(whole(service))) == 200


@pytest.mark.parametrize("service", list(HOOKS))
@settings(max_examples=40)
@given(data=st.data())
def test_wrong_values_at_any_place_of_a_request_are_no_server_error(
    web: FlaskClient, form: Draft202012Validator, service: str, data: st.DataObject
) -> None:
    check(web, form, service, dumped(data.draw(changed(service, whole(service)))))


@settings(max_examples=40)
@given(data=st.data())
def test_wrong_values_at_any_place_of_feedback_are_no_server_error(
    web: FlaskClient, form: Draft202012Validator, data: st.DataObject
) -> None:
    check(web, form, f"{FINDINGS}/feedback", dumped(data.draw(changed("feedback", FEEDBACK))))


@settings(max_examples=40)
@given(path=st.sampled_from([FINDINGS, ADVICE, ROUTING, f"{DISCHARGE}/feedback"]), body=VALUES)
def test_any_json_is_answered_with_an_outcome(
    web: FlaskClient, form: Draft202012Validator, path: str, body: object
) -> None:
    assert check(web, form, path, dumped(body)) == 400


@settings(max_examples=40)
@given(path=st.sampled_from([FINDINGS, f"{FINDINGS}/feedback"]), body=st.binary(max_size=60))
def test_what_is_no_json_is_answered_with_an_outcome(
    web: FlaskClient, form: Draft202012Validator, path: str, body: bytes
) -> None:
    assert check(web, form, path, body) == 400


@pytest.mark.parametrize("service", list(HOOKS))
def test_bytes_that_json_readers_stumble_over_are_no_server_error(
    web: FlaskClient, form: Draft202012Validator, service: str
) -> None:
    """Each in the place of the patient's id, of a value in a resource, and of a member that nobody reads."""
    body = whole(service)
    body["prefetch"]["smoking"]["entry"][0]["resource"]["valueQuantity"] = {"value": "@2@"}
    body["context"]["patientId"], body["extension"] = "@1@", "@3@"
    text = dumped(body)
    statuses = set()
    for raw in RAW_VALUES:
        for place in (b'"@1@"', b'"@2@"', b'"@3@"'):
            one = text.replace(place, raw).replace(b'"@1@"', b'"p3"')
            statuses.add(check(web, form, service, one))
    assert statuses == {200, 400}


@pytest.mark.parametrize("service", list(HOOKS))
def test_a_request_that_is_as_large_as_may_be_is_answered(
    web: FlaskClient, form: Draft202012Validator, service: str
) -> None:
    body = whole(service)
    entry = body["prefetch"]["conditions"]["entry"]
    body["prefetch"]["conditions"]["entry"] = entry * (3_900_000 // len(dumped(entry)))
    assert check(web, form, service, dumped(body)) == 200

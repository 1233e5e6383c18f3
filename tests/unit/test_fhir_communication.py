"""A critical result as R4 Communication, and the Communication that answers it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.fhir.client import open_client
from adapters.fhir.communication import IDENTIFIER, CommunicationChannel, read_acknowledgment
from adapters.fhir.keys import SmartKeys
from cds.destinations import FhirDestination
from cds.domain.critical import CriticalNotice, delivery_id, message_number
from cds.errors import InvalidResource
from tests.contract.critical_notices import DOUBTFUL, NOTICE, RESULT, WITHDRAWN
from tests.unit.fhir_samples import STUDY_UID, SYSTEMS

FIRST = delivery_id(RESULT.id, "duty")
BACK = delivery_id(RESULT.id, "duty", "withdrawal")


def entries(notice: CriticalNotice, delivery: str = FIRST, processing: str = "P") -> list[dict[str, Any]]:
    to = FhirDestination.model_validate({"url": "http://127.0.0.1:9", "processing": processing})
    client = open_client("critical:duty", to, SmartKeys(()))
    channel = CommunicationChannel("critical:duty", to, client=client, identifier_systems=SYSTEMS)
    bundle = json.loads(channel.encode(notice, delivery))
    assert bundle["type"] == "transaction"
    found: list[dict[str, Any]] = bundle["entry"]
    return found


def test_it_is_about_the_study_and_says_what_to_do() -> None:
    [entry] = entries(NOTICE)
    said = entry["resource"]
    assert said["about"][0]["identifier"]["value"] == f"urn:oid:{STUDY_UID}"
    assert said["identifier"] == [{"system": IDENTIFIER, "value": message_number(FIRST)}]
    assert f"Acknowledge by name at {NOTICE.link}" in [line["contentString"] for line in said["payload"]]
    assert said["sender"]["type"] == "Device"
    assert [label["code"] for label in said["meta"]["security"]] == ["AIAST"]


def test_in_doubt_it_has_no_subject() -> None:
    [entry] = entries(DOUBTFUL)
    assert "subject" not in entry["resource"]
    assert "Unmistakable" not in json.dumps(entry)


def test_a_withdrawal_takes_back_what_was_told_and_says_so() -> None:
    first, second = entries(WITHDRAWN, BACK)
    number = message_number(FIRST)
    assert first["request"] == {
        "method": "PUT", "url": f"Communication?identifier=urn%3Asightline%3Acritical%7C{number}",
    }  # fmt: skip
    assert first["resource"]["status"] == "entered-in-error"
    assert second["resource"]["inResponseTo"][0]["identifier"]["value"] == number
    assert "a radiologist rejected the finding" in json.dumps(second["resource"]["payload"])


def test_a_test_server_is_told_that_it_is_a_test() -> None:
    [entry] = entries(NOTICE, processing="T")
    assert [label["code"] for label in entry["resource"]["meta"]["security"]] == ["AIAST", "HTEST"]


def answered(**changes: object) -> dict[str, object]:
    body: dict[str, object] = {
        "resourceType": "Communication",
        "status": "completed",
        "inResponseTo": [{"identifier": {"system": IDENTIFIER, "value": message_number(FIRST)}}],
        "sender": {"display": "Dr. Duty"},
    }
    return body | changes


def test_an_answer_names_what_it_answers_and_the_person() -> None:
    assert read_acknowledgment(answered()) == (message_number(FIRST), "Dr. Duty")
    by_number = answered(sender={"identifier": {"system": "urn:x", "value": "4711"}})
    assert read_acknowledgment(by_number) == (message_number(FIRST), "4711")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"resourceType": "Patient"}, "want a Communication"),
        ({"status": 7}, "status"),
        ({"inResponseTo": []}, "inResponseTo"),
        ({"inResponseTo": [{"identifier": {"system": "urn:x", "value": "1"}}]}, IDENTIFIER),
        ({"sender": {"type": "Device"}}, "the person"),
        ({"sender": {"type": "Device", "display": "EHR"}}, "the person"),
        ({"sender": {"reference": "Device/1", "display": "EHR"}}, "the person"),
        ({"sender": {}}, "the person"),
        ({"sender": {"display": "Dr\0Duty"}}, "the person"),
        ({"sender": {"display": "D" * 257}}, "the person"),
        ({"inResponseTo": [{"identifier": {"system": IDENTIFIER, "value": "1\0"}}]}, IDENTIFIER),
        *(({"status": status}, "completed") for status in ("preparation", "not-done", "stopped", "entered-in-error")),
    ],
)
def test_another_answer_is_refused_with_what_was_wanted(changes: dict[str, object], wanted: str) -> None:
    with pytest.raises(InvalidResource, match=wanted):
        read_acknowledgment(answered(**changes))


def test_our_own_message_that_comes_back_is_no_answer() -> None:
    for entry in entries(WITHDRAWN, BACK):
        with pytest.raises(InvalidResource, match="completed"):
            read_acknowledgment(entry["resource"])
    with pytest.raises(InvalidResource, match="the person"):
        read_acknowledgment({**entries(WITHDRAWN, BACK)[1]["resource"], "status": "completed"})


def test_an_answer_that_is_nested_without_end_is_refused() -> None:
    extension: list[object] = []
    for _ in range(300):
        extension = [{"url": "urn:x", "extension": extension}]
    with pytest.raises(InvalidResource, match="nested"):
        read_acknowledgment(answered(extension=extension))

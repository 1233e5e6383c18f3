"""What Sightline sends beside reports is R4 too: drafts in cards, Subscriptions, transactions, critical results."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

import pytest

from adapters.fhir import transaction
from adapters.fhir.client import open_client
from adapters.fhir.communication import CommunicationChannel
from adapters.fhir.emission import ai_label
from adapters.fhir.invariants import check
from adapters.fhir.keys import SmartKeys
from adapters.fhir.subscription import build
from adapters.fhir.systems import systems_by_authority
from cds.destinations import FhirDestination
from cds.domain.critical import CriticalNotice, delivery_id
from cds.domain.fhir_news import Wish
from cds.fhir_peers import FhirSource
from tests.contract.critical_notices import DOUBTFUL, NOTICE, RESULT, WITHDRAWN
from tests.unit.fhir_samples import DRAWN, SYSTEMS, emitted, samples
from tests.unit.hook_desk import Desk

TOPIC = "http://hl7.org/SubscriptionTopic/imagingstudy"


@pytest.mark.parametrize("kind", samples())
def test_every_report_is_a_transaction_whose_references_stay_inside(kind: str) -> None:
    said = samples()[kind]
    subject = transaction.subject_of(said, systems_by_authority(SYSTEMS))
    resources = emitted(said, forms=DRAWN)
    bundle = json.loads(transaction.transaction(resources, delivery_id="d", subject=subject, test=said.test))
    check(bundle)
    assert len(bundle["entry"]) == len([r for r in resources if r.type != "Patient"])


@pytest.mark.parametrize("notice", [NOTICE, DOUBTFUL, WITHDRAWN])
def test_a_critical_result_is_a_communication(notice: CriticalNotice) -> None:
    where = FhirDestination(url="http://127.0.0.1:9")
    client = open_client("critical:duty", where, SmartKeys(()))
    channel = CommunicationChannel("critical:duty", where, client=client, identifier_systems=SYSTEMS)
    check(json.loads(channel.encode(notice, delivery_id(RESULT.id, "duty", notice.withdrawn and "withdrawal"))))
    client.close()


@pytest.mark.parametrize("kind", ["native", "topic"])
@pytest.mark.parametrize("payload", ["empty", "id-only", "full-resource"])
def test_a_subscription_is_one(
    kind: Literal["native", "topic"], payload: Literal["empty", "id-only", "full-resource"]
) -> None:
    source = FhirSource(url="https://ehr.example/fhir", payload=payload, topics={"ImagingStudy": TOPIC})
    ends_at = datetime(2026, 3, 12, tzinfo=UTC)
    check(build(Wish("ImagingStudy", kind, "https://cds.example/fhir-notify/1", "s", ends_at), source, "1"))


def test_the_drafts_of_a_card_are_service_requests() -> None:
    (card,) = Desk().call()
    drafts = [suggestion["actions"][0]["resource"] for suggestion in card["suggestions"]]
    assert drafts
    for draft in drafts:
        # A draft that nobody has accepted is the card's: the label of what an AI asserted stands there in words.
        check({"meta": ai_label(), **draft})

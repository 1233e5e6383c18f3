"""Critical results as R4 Communication, and the Communication by which a person says that they have one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Protocol, cast
from urllib.parse import quote

import orjson
from fhir.resources.R4B.communication import Communication
from pydantic import ValidationError

from adapters.fhir import payload as payloads
from adapters.fhir import systems
from adapters.fhir.client import FhirClient
from adapters.fhir.elements import Element, coding, concept, identifier, imaging_study, without_empty
from adapters.fhir.invariants import check
from adapters.fhir.sending import Otherwise, Sending
from adapters.fhir.tolerant import known_by
from adapters.fhir.writing import BundleWriter
from cds.destinations import FhirDestination
from cds.domain.coding import Coding
from cds.domain.critical import CriticalNotice, delivery_id, message_number
from cds.errors import InvalidResource

#: What numbers each Communication that we send: an answer names it in inResponseTo.
IDENTIFIER = "urn:sightline:critical"
ALERT = Coding("http://terminology.hl7.org/CodeSystem/communication-category", "alert", "Alert")
_PREFIX = "critical:"


class OtherChannel(Otherwise, Protocol):
    """A way by HL7 v2 for a server that takes no Communication."""

    def encode(self, notice: CriticalNotice, delivery_id: str) -> bytes:
        """The message of a critical result."""
        ...


class CommunicationChannel:
    """Port Channel to a FHIR R4 server. `identifier_systems` maps identifier system to assigning authority.

    A critical result never waits for the server's patients to be tidied up: in doubt its subject stays a logical
    reference. `otherwise` sends by HL7 v2 what the server cannot take.
    """

    def __init__(
        self,
        name: str,
        destination: FhirDestination,
        *,
        client: FhirClient,
        identifier_systems: Mapping[str, str],
        otherwise: OtherChannel | None = None,
    ) -> None:
        self._name = name
        self._by_authority = systems.systems_by_authority(identifier_systems)
        self._test = destination.processing != "P"
        self._otherwise = otherwise
        writer = BundleWriter(client, main="Communication", own_ids=destination.own_ids, held_in_doubt=False)
        self._sending = Sending(writer, otherwise)

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def encode(self, notice: CriticalNotice, delivery: str) -> bytes:
        """The transaction: a conditional create, so that a repeat changes nothing (R4 http.html#ccreate).

        A withdrawal also makes what was told entered-in-error. Raise InvalidResource where it would not be R4.
        """
        entries = [self._create(notice, delivery)]
        if notice.withdrawn:
            first = delivery_id(notice.result.id, self.name.removeprefix(_PREFIX))
            entries.insert(0, self._take_back(notice, first))
        number: Element = {"system": systems.DELIVERY_IDENTIFIER, "value": delivery}
        body = {"resourceType": "Bundle", "identifier": number, "type": "transaction", "entry": entries}
        check(body)
        bundle, other = orjson.dumps(body), self._otherwise
        return payloads.both(bundle, lambda: other.encode(notice, delivery)) if other else bundle

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        return self._sending.send(payload)

    def _create(self, notice: CriticalNotice, delivery: str) -> Element:
        answers = [delivery_id(notice.result.id, self.name.removeprefix(_PREFIX))] if notice.withdrawn else []
        body = self._communication(notice, delivery, "in-progress")
        body["inResponseTo"] = [{"type": "Communication", "identifier": _number(one)} for one in answers]
        request: Element = {"method": "POST", "url": "Communication", "ifNoneExist": _condition(delivery)}
        return _entry(body, delivery, request)

    def _take_back(self, notice: CriticalNotice, delivery: str) -> Element:
        body = self._communication(notice, delivery, "entered-in-error")
        return _entry(body, delivery, {"method": "PUT", "url": f"Communication?{_condition(delivery)}"})

    def _communication(self, notice: CriticalNotice, delivery: str, status: str) -> Element:
        labels = [coding(systems.AI_ASSERTED), *([coding(systems.TEST_DATA)] if self._test else [])]
        return {
            "resourceType": "Communication",
            "meta": {"security": labels},
            "identifier": [_number(delivery)],
            "status": status,
            "category": [concept(ALERT)],
            "priority": "stat",
            "subject": self._subject(notice),
            "topic": concept(text=notice.headline),
            "about": [imaging_study(notice.study)],
            "sent": notice.sent_at.isoformat(),
            "recipient": [{"display": notice.recipient}],
            "sender": {"type": "Device", "display": "Sightline"},
            "payload": [{"contentString": line} for line in (*notice.lines, notice.found_by) if line],
        }

    def _subject(self, notice: CriticalNotice) -> Element | None:
        """A logical reference by an identifier whose system the site knows, if there is one; None in doubt."""
        if notice.patient is None:
            return None
        filed_under = notice.order.patient if notice.order else None
        known = sorted(
            notice.patient.identifiers, key=lambda i: (i.as_sent().assigner not in self._by_authority, i != filed_under)
        )
        if not known:
            raise InvalidResource("want an identifier of the patient in a critical result for a FHIR server")
        return {"type": "Patient", "identifier": identifier(known[0].as_sent(), self._by_authority)}


def read_acknowledgment(body: Mapping[str, object]) -> tuple[str, str]:
    """The number of the critical result that a Communication answers (inResponseTo), and the person who sends it.

    Raise InvalidResource where it is no Communication, was not completed, answers nothing of ours, or names no sender.
    """
    said = _checked(body)
    if said.get("status") != "completed":
        raise InvalidResource("want Communication.status completed: nobody has the result by a message that was not")
    answers = cast("list[Mapping[str, Mapping[str, str]]]", said.get("inResponseTo", []))
    named = [answer.get("identifier", {}) for answer in answers]
    numbers = [known_by(one.get("value")) for one in named if one.get("system") == IDENTIFIER]
    if not any(numbers):
        raise InvalidResource(f"want inResponseTo with an identifier of the system {IDENTIFIER}")
    sender = cast("Mapping[str, object]", said.get("sender", {}))
    person = cast("Mapping[str, str]", sender.get("identifier", {}))
    by = known_by(sender.get("display")) or known_by(person.get("value"))
    if not by.isprintable() or not by or "Device" in (sender.get("type"), *str(sender.get("reference")).split("/")):
        raise InvalidResource("want Communication.sender with a display or an identifier: the person who has it")
    return next(filter(None, numbers)), by


def _checked(body: Mapping[str, object]) -> Element:
    """The body as R4 reads it; raise InvalidResource with the places that are wrong, never their values."""
    if body.get("resourceType") != "Communication":
        raise InvalidResource("want a Communication")
    try:
        model = Communication.model_validate(without_empty(body))
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()})
        raise InvalidResource(f"Communication does not conform to R4 at {', '.join(places)}") from None
    except RecursionError:
        raise InvalidResource("want a Communication that is not nested so deeply") from None
    return cast("Element", json.loads(model.model_dump_json()))


def _entry(body: Element, delivery: str, request: Element) -> Element:
    full_url = uuid.uuid5(uuid.NAMESPACE_URL, f"{IDENTIFIER}:{delivery}")
    return {"fullUrl": f"urn:uuid:{full_url}", "resource": _checked(body), "request": request}


def _number(delivery: str) -> Element:
    return {"system": IDENTIFIER, "value": message_number(delivery)}


def _condition(delivery: str) -> str:
    return f"identifier={quote(IDENTIFIER, safe='')}%7C{message_number(delivery)}"

"""Reminders of follow-ups as R4 Communication about the Task of the follow-up and the study that it comes from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import orjson
from fhir.resources.R4B.communication import Communication
from pydantic import ValidationError

from adapters.fhir import systems
from adapters.fhir.client import FhirClient
from adapters.fhir.elements import Element, coding, concept, identifier, imaging_study, without_empty
from adapters.fhir.invariants import check
from adapters.fhir.sending import Sending
from adapters.fhir.task import IDENTIFIER as TASK_IDENTIFIER
from adapters.fhir.writing import BundleWriter
from cds.destinations import FhirDestination
from cds.domain.coding import Coding
from cds.domain.follow_up import ReminderStep
from cds.domain.follow_up_care import ReminderDue, ReminderNotice, message_number
from cds.domain.ids import resource_id
from cds.errors import InvalidResource

#: What numbers each reminder.
IDENTIFIER = "urn:sightline:follow-up-reminder"
REMINDER = Coding("http://terminology.hl7.org/CodeSystem/communication-category", "reminder", "Reminder")
_PRIORITY = {
    ReminderStep.DUE_SOON: "routine",
    ReminderStep.OVERDUE: "urgent",
    ReminderStep.ESCALATED: "asap",
    ReminderStep.WITHDRAWN: "urgent",
}


class ReminderChannel:
    """Port Channel to a FHIR R4 server. `identifier_systems` maps identifier system to assigning authority."""

    def __init__(
        self, name: str, destination: FhirDestination, *, client: FhirClient, identifier_systems: Mapping[str, str]
    ) -> None:
        self._name = name
        self._by_authority = systems.systems_by_authority(identifier_systems)
        self._test = destination.processing != "P"
        writer = BundleWriter(client, main="Communication", own_ids=destination.own_ids, held_in_doubt=False)
        self._sending = Sending(writer, None)

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def encode(self, notice: ReminderNotice, delivery: str) -> bytes:
        """The transaction: a conditional create, so that a repeat changes nothing (R4 http.html#ccreate).

        A withdrawal also makes what was told entered-in-error. Raise InvalidResource where it would not be R4.
        """
        entries = [self._take_back(notice, told) for told in notice.takes_back]
        create = {"method": "POST", "url": "Communication", "ifNoneExist": _condition(delivery)}
        entries.append(self._entry(notice, delivery, "completed", create))
        number: Element = {"system": systems.DELIVERY_IDENTIFIER, "value": delivery}
        body = {"resourceType": "Bundle", "identifier": number, "type": "transaction", "entry": entries}
        check(body)
        return orjson.dumps(body)

    def send(self, payload: bytes) -> str:
        """See ReportSink.send."""
        return self._sending.send(payload)

    def _take_back(self, notice: ReminderNotice, told: str) -> Element:
        request = {"method": "PUT", "url": f"Communication?{_condition(told)}"}
        return self._entry(notice, told, "entered-in-error", request)

    def _entry(self, notice: ReminderNotice, delivery: str, status: str, request: Mapping[str, str]) -> Element:
        full_url = uuid.uuid5(uuid.NAMESPACE_URL, f"{IDENTIFIER}:{delivery}")
        resource = _checked(self._communication(notice, delivery, status))
        return {"fullUrl": f"urn:uuid:{full_url}", "resource": resource, "request": dict(request)}

    def _communication(self, notice: ReminderNotice, delivery: str, status: str) -> Element:
        due = notice.due
        labels = [coding(systems.AI_ASSERTED), *([coding(systems.TEST_DATA)] if self._test else [])]
        return {
            "resourceType": "Communication",
            "meta": {"security": labels},
            "identifier": [{"system": IDENTIFIER, "value": message_number(delivery)}],
            "status": status,
            "category": [concept(REMINDER)],
            "priority": _PRIORITY[due.step],
            "subject": self._subject(due),
            "topic": concept(text=notice.headline),
            "about": [_task(due), imaging_study(due.study)],
            "sent": notice.sent_at.isoformat(),
            "recipient": [{"display": notice.recipient}],
            "sender": {"type": "Device", "display": "Sightline"},
            "payload": [{"contentString": line} for line in notice.lines],
        }

    def _subject(self, due: ReminderDue) -> Element:
        known = sorted(due.patient.identifiers, key=lambda one: one.as_sent().assigner not in self._by_authority)
        if not known:
            raise InvalidResource("want an identifier of the patient in a reminder for a FHIR server")
        return {"type": "Patient", "identifier": identifier(known[0].as_sent(), self._by_authority)}


def _condition(delivery: str) -> str:
    return f"identifier={quote(IDENTIFIER, safe='')}%7C{message_number(delivery)}"


def _task(due: ReminderDue) -> Element:
    """The Task of the follow-up, as the report's own transaction names it."""
    key = f"{due.follow_up.pathway}/{due.follow_up.recommendation}"
    own: Element = {"system": TASK_IDENTIFIER, "value": resource_id(due.study, "Task", key, due.episode)}
    return {"type": "Task", "identifier": own, "display": due.follow_up.action}


def _checked(body: Element) -> Element:
    """The body as R4 reads it; raise InvalidResource with the places that are wrong, never their values."""
    try:
        model = Communication.model_validate(without_empty(body))
    except ValidationError as error:
        places = sorted({".".join(str(part) for part in item["loc"]) for item in error.errors()})
        raise InvalidResource(f"Communication does not conform to R4 at {', '.join(places)}") from None
    return cast("Element", json.loads(model.model_dump_json()))

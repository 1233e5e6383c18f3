"""Task: a follow-up that the report recommends, until somebody has answered or done it."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.fhir import systems
from adapters.fhir.elements import Element, concept, note, reference, without_empty
from adapters.fhir.emission import Emission, ai_label
from adapters.fhir.follow_up import NOT_ANY_MORE, Step, code, made_by, main_report, period, person, steps
from adapters.fhir.service_request import service_request_id
from cds.domain.coding import Coding
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.resource import NewResource

IDENTIFIER = "urn:sightline:task-id"
FOLLOW_UP = Coding(systems.SIGHTLINE, "follow-up", "Follow-up of a recommendation")
FULFILL = Coding("http://hl7.org/fhir/CodeSystem/task-code", "fulfill", "Fulfill the focal request")
_STATUS = {
    Answer.ACCEPTED: "accepted",
    Answer.DECLINED: "rejected",
    Answer.COMPLETED: "completed",
    Answer.REOPENED: "requested",
}
#: Whoever gave one of these has taken it on.
_TAKEN_ON = (Answer.ACCEPTED, Answer.COMPLETED)


def tasks(emission: Emission, requests: tuple[NewResource, ...]) -> tuple[NewResource, ...]:
    """One per recommendation of the report; none for an unknown patient.

    `requests` are the ServiceRequests of the same report: the focus of a Task whose recommendation was accepted. Its
    body changes with the recommendation and its answer alone, so that a version of the report leaves it as it is.
    """
    if emission.patient is None:
        return ()
    made = {request.id for request in requests}
    return tuple(_task(emission, step, made) for step in steps(emission.report))


def _task(emission: Emission, step: Step, made: set[str]) -> NewResource:
    own, answer = (IDENTIFIER, emission.id_of("Task", step.key)), step.answer
    order = service_request_id(emission, step)
    focus = reference("ServiceRequest", order, step.about.action) if order in made and order else None
    body: Element = {
        "resourceType": "Task",
        "id": own[1],
        "meta": ai_label(),
        "identifier": [{"system": own[0], "value": own[1]}],
        "instantiatesUri": step.about.source.url,
        "basedOn": [focus] if focus else [],
        "status": _STATUS[answer.answer] if answer else "requested",
        "statusReason": _status_reason(answer),
        "businessStatus": concept(text=NOT_ANY_MORE) if step.now is None else None,
        "intent": "proposal",
        "priority": step.about.priority.value,
        "code": concept(FOLLOW_UP, *([FULFILL] if focus else []), text=f"Follow up: {step.about.action}"),
        "description": step.about.action,
        "focus": focus,
        "for": emission.subject,
        "executionPeriod": {"end": answer.at.isoformat()} if _is(answer, Answer.COMPLETED) and answer else None,
        "lastModified": answer.at.isoformat() if answer else None,
        "requester": {"type": "Device", "display": "Sightline"},
        "owner": person(answer) if answer and answer.answer in _TAKEN_ON else None,
        "reasonCode": concept(text=step.about.reason),
        "reasonReference": main_report(emission),
        "note": list(_notes(step)),
        "restriction": without_empty({"period": period(step.about)}),
        "input": [{"type": concept(text="What is recommended"), "valueCodeableConcept": code(step.about)}],
    }
    return emission.new(body, identifiers=(own,), made_by=made_by(emission, step))


def _status_reason(answer: Acceptance | None) -> Element | None:
    """Why it was declined; in any case that a person did."""
    if answer is None or answer.answer is not Answer.DECLINED:
        return None
    return concept(text=answer.reason or f"Declined ({answer.role})")


def _notes(step: Step) -> Iterator[Element]:
    yield note(f"Source: {step.about.source.label}, {step.about.source.url}")
    answer = step.answer
    if answer is not None:
        text = f"{answer.answer.value.capitalize()} ({answer.role})"
        yield note(f"{text}: {answer.reason}" if answer.reason else text, author=answer.by, at=answer.at)
    if step.changed and step.now is not None:
        yield note(f"The newest report recommends otherwise: {step.now.action}.")


def _is(answer: Acceptance | None, wanted: Answer) -> bool:
    return answer is not None and answer.answer is wanted

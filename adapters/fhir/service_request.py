"""ServiceRequest: the draft of an order for what a person accepted; nothing is ordered until somebody signs it."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.fhir.elements import Element, concept, imaging_study, note, reference
from adapters.fhir.emission import Emission, ai_label
from adapters.fhir.follow_up import NOT_ANY_MORE, Step, code, made_by, main_report, period, person, steps
from cds.domain.finding import Findings
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.resource import NewResource
from cds.performers import performer

IDENTIFIER = "urn:sightline:service-request-id"
_UNSIGNED = "A draft on the advice of an AI, accepted by a person: nothing is ordered until it is signed."


def service_requests(emission: Emission) -> tuple[NewResource, ...]:
    """One per recommendation that a person accepted, intent proposal and status draft; none for an unknown patient.

    One whose acceptance ended says so by its status: completed, or revoked where the person declined after all or the
    report does not recommend it any more (R4 request-status).
    """
    if emission.patient is None:
        return ()
    return tuple(
        _service_request(emission, step, accepted)
        for step in steps(emission.report)
        if (accepted := _acceptance(step)) is not None
    )


def service_request_id(emission: Emission, step: Step) -> str | None:
    """The id of the draft order of a recommendation; None where nobody accepted it."""
    return emission.id_of("ServiceRequest", step.key) if _acceptance(step) is not None else None


def _acceptance(step: Step) -> Acceptance | None:
    answer = step.answer
    return answer if answer is None or answer.answer is Answer.ACCEPTED else answer.accepted


def _service_request(emission: Emission, step: Step, accepted: Acceptance) -> NewResource:
    own = (IDENTIFIER, emission.id_of("ServiceRequest", step.key))
    wanted = accepted.about or step.about
    body: Element = {
        "resourceType": "ServiceRequest",
        "id": own[1],
        "meta": ai_label(),
        "identifier": [{"system": own[0], "value": own[1]}],
        "instantiatesUri": [wanted.source.url],
        "status": _status(step),
        "intent": "proposal",
        "priority": wanted.priority.value,
        "code": code(wanted),
        "subject": emission.subject,
        "occurrencePeriod": period(wanted),
        "authoredOn": accepted.at.isoformat(),
        "requester": person(accepted),
        "performerType": concept(who) if (who := performer(wanted)) else None,
        "reasonCode": [concept(text=wanted.reason)],
        "reasonReference": [*_observations(emission, step), main_report(emission)],
        "supportingInfo": [*_risks(emission, step), imaging_study(emission.report.study)],
        "note": list(_notes(step, accepted)),
    }
    return emission.new(body, identifiers=(own,), made_by=made_by(emission, step))


def _status(step: Step) -> str:
    answer = step.answer.answer if step.answer else None
    if answer is Answer.COMPLETED:
        return "completed"
    return "draft" if answer is Answer.ACCEPTED and step.now is not None else "revoked"


def _observations(emission: Emission, step: Step) -> Iterator[Element]:
    """The findings that the advice rests on."""
    keys = step.advice.finding_keys if step.advice else ()
    for outcome in emission.report.outcomes:
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            if finding.key in keys:
                title = finding.code.display or finding.key
                key = f"{outcome.model}/{finding.key}"
                yield reference("Observation", emission.id_of("Observation", key), title)


def _risks(emission: Emission, step: Step) -> Iterator[Element]:
    for risk in step.advice.risks if step.advice else ():
        if risk.value is not None:
            yield reference("RiskAssessment", emission.id_of("RiskAssessment", risk.score), risk.title)


def _notes(step: Step, accepted: Acceptance) -> Iterator[Element]:
    wanted = accepted.about or step.about
    yield note(f"{_UNSIGNED} Source: {wanted.source.label}, {wanted.source.url}")
    for said in dict.fromkeys((accepted, step.answer or accepted)):
        if said.reason:
            yield note(said.reason, author=said.by, at=said.at)
    if step.now is None:
        yield note(f"{NOT_ANY_MORE}.")
    elif step.changed:
        yield note(f"The newest report recommends otherwise: {step.now.action}.")

"""Our resources as one transaction for another FHIR server: all or nothing, and a repeat changes nothing.

Every entry is a conditional update (R4 http.html#cond-update) by an identifier of ours, so that the server keeps its
own ids; Provenance has no identifier in R4 and is found by a tag. `writing` makes of it what the server can do when it
is sent. The server's Patient is never written: the subject is a logical reference by the patient's identifier.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import orjson

from adapters.fhir import entries, systems
from adapters.fhir.elements import Element, coding, concept, identifier, note, reference, without_empty
from adapters.fhir.emission import new_resource
from adapters.fhir.invariants import check
from adapters.fhir.provenance import assembler
from cds.domain.matching import MatchState
from cds.domain.report import Report
from cds.domain.resource import NewResource
from cds.errors import InvalidInput

#: What of a resource stays when it is withdrawn: whose, what and when it was, and no result.
_KEPT = (
    "resourceType", "id", "meta", "identifier", "category", "code", "method", "subject", "effectiveDateTime",
    "_effectiveDateTime", "occurrenceDateTime", "performer", "imagingStudy", "result", "intent", "for",
)  # fmt: skip
#: What an order or a task is about is what the report recommended.
_SAYS_WHAT = ("ServiceRequest", "Task")


def transaction(
    resources: Sequence[NewResource], *, delivery_id: str, subject: Element | None, test: bool = False
) -> bytes:
    """The Bundle. `subject` stands for our Patient; `test` labels everything as test health data (HTEST)."""
    sent = [resource for resource in resources if resource.type != "Patient"]
    own = {f"{resource.type}/{resource.id}" for resource in sent}
    listed = []
    for resource in sent:
        body = cast("Element", _rewritten(resource.body, own, subject))
        head = {"resourceType": resource.type, "meta": _meta(resource, test)}
        left = {name: value for name, value in body.items() if name not in ("id", *head)}
        full = {**without_empty(head), **left}
        request = {"method": "PUT", "url": f"{resource.type}?{entries.key_of(full).condition}"}
        listed.append({"fullUrl": f"urn:uuid:{resource.id}", "resource": full, "request": request})
    bundle: Element = {
        "resourceType": "Bundle",
        "identifier": {"system": systems.DELIVERY_IDENTIFIER, "value": delivery_id},
        "type": "transaction",
        "entry": listed,
    }
    check(bundle)
    return orjson.dumps(bundle)


def subject_of(report: Report, by_authority: Mapping[str, str]) -> Element | None:
    """A logical reference to the patient, by an identifier whose system the site knows if there is one.

    None where nobody is known; InvalidInput where the patient has no identifier: nobody could file the result.
    """
    patient = report.patient
    if patient is None or report.match.state not in (MatchState.MATCHED, MatchState.DETACHED):
        return None
    filed_under = report.order.patient if report.order else None
    known = sorted(patient.identifiers, key=lambda i: (i.as_sent().assigner not in by_authority, i != filed_under))
    if not known:
        raise InvalidInput("want an identifier of the patient in a report that is sent to a FHIR server")
    return {"type": "Patient", "identifier": identifier(known[0], by_authority)}


def void(resource: NewResource, reason: str, at: datetime) -> NewResource:
    """A resource in status entered-in-error, without its result, and why (R4 observation-status)."""
    text = f"Withdrawn: {reason.rstrip('.')}."
    kept = {name: value for name, value in resource.body.items() if name in _KEPT}
    if resource.type in _SAYS_WHAT:
        kept.pop("code", None)
    said: dict[str, Element] = {
        "DiagnosticReport": {"issued": at.isoformat(), "conclusion": text},
        "Observation": {
            "issued": at.isoformat(),
            "dataAbsentReason": concept(systems.IN_ERROR),
            "note": [note(text, at=at)],
        },
        "Task": {"lastModified": at.isoformat(), "note": [note(text, at=at)]},
        "Flag": {"code": concept(text=text)},  # its code is what it says
    }
    body = {**kept, "status": "entered-in-error", **said.get(resource.type, {"note": [note(text, at=at)]})}
    return new_resource(body, patient_id=resource.patient_id, identifiers=resource.identifiers)


def withdrawal(
    voided: Sequence[NewResource], *, delivery_id: str, reason: str, at: datetime, site_name: str
) -> NewResource:
    """The Provenance of a retraction: what was withdrawn, when, why."""
    body = {
        "resourceType": "Provenance",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{systems.DELIVERY_IDENTIFIER}:{delivery_id}")),
        "target": [reference(resource.type, resource.id) for resource in voided],
        "recorded": at.isoformat(),
        "reason": [concept(text=reason)],
        "activity": concept(systems.WITHDRAWAL),
        "agent": [assembler(site_name)],
    }
    return new_resource(body, patient_id=None)


def _meta(resource: NewResource, test: bool) -> Element:
    meta = dict(cast("Element", resource.body.get("meta") or {}))
    if test:
        security = cast("list[object]", meta.get("security") or [])
        meta["security"] = [*security, coding(systems.TEST_DATA)]
    if resource.type == "Provenance":
        meta["tag"] = [{"system": systems.PROVENANCE_TAG, "code": resource.id}]
    return meta


def _rewritten(value: object, own: set[str], subject: Element | None) -> object:
    """References to resources of the Bundle by their fullUrl, and to our Patient by its identifier."""
    if isinstance(value, list):
        return [_rewritten(member, own, subject) for member in value]
    if not isinstance(value, dict):
        return value
    target = value.get("reference")
    if not isinstance(target, str):
        return {name: _rewritten(member, own, subject) for name, member in value.items()}
    # Their versions are not ours.
    named = target.partition("/_history/")[0]
    if named.startswith("Patient/") and subject is not None:
        return dict(subject)
    if named not in own:
        return {name: member for name, member in value.items() if name != "reference"}
    return {**value, "reference": f"urn:uuid:{named.partition('/')[2]}"}

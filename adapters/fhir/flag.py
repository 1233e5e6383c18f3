"""Flag: a critical finding (ACR category 1 to 3) on the chart of its patient, beside the Observation that says it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.fhir.elements import Element, concept, reference
from adapters.fhir.emission import Emission, ai_label, made_by_model
from adapters.fhir.observation import FindingObservation
from cds.domain.coding import Coding
from cds.domain.opinion import verifications
from cds.domain.resource import NewResource
from cds.domain.verification import Verdict, Verification

IDENTIFIER = "urn:sightline:flag-id"
CLINICAL = Coding("http://terminology.hl7.org/CodeSystem/flag-category", "clinical", "Clinical")
#: R4 core extension: what a flag is about.
DETAIL = "http://hl7.org/fhir/StructureDefinition/flag-detail"


def flags(emission: Emission, observations: Sequence[FindingObservation]) -> tuple[NewResource, ...]:
    """One per critical finding among these Observations; none for an unknown patient.

    It is inactive where a radiologist rejected the finding. Its body names no time but those of the images and of the
    rejection, so that a version of the report leaves it as it is.
    """
    if emission.patient is None:
        return ()
    return tuple(_flags(emission, observations))


def _flags(emission: Emission, observations: Sequence[FindingObservation]) -> Iterator[NewResource]:
    for found in observations:
        if f"{found.model}.{found.finding_key}" in emission.report.critical:
            own = (IDENTIFIER, emission.id_of("Flag", found.resource.id))
            body = _body(emission, found, own)
            yield emission.new(body, identifiers=(own,), made_by=(made_by_model(found.model),))


def _body(emission: Emission, found: FindingObservation, own: tuple[str, str]) -> Element:
    rejected = _rejection(emission, found)
    observation = found.resource.body
    return {
        "resourceType": "Flag",
        "id": own[1],
        "meta": ai_label(),
        "extension": [{"url": DETAIL, "valueReference": reference("Observation", found.resource.id)}],
        "identifier": [{"system": own[0], "value": own[1]}],
        "status": "inactive" if rejected else "active",
        "category": [concept(CLINICAL)],
        "code": observation["code"],
        "subject": emission.subject,
        "period": _period(emission, rejected),
        "author": observation.get("device") or {"type": "Device", "display": "Sightline"},
    }


def _rejection(emission: Emission, found: FindingObservation) -> Verification | None:
    said = verifications(emission.report, found.model, found.version, found.finding_key)
    return said[-1] if said and said[-1].verdict is Verdict.REJECTED else None


def _period(emission: Emission, rejected: Verification | None) -> Element:
    """From when the images show it until a radiologist rejected it; open where neither is known."""
    start = emission.effective.get("effectiveDateTime")
    element: Element = {"start": start} if start else {}
    return element | ({"end": rejected.at.isoformat()} if rejected else {})

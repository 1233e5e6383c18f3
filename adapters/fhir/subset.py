"""Parts of a resource, as _summary and _elements ask for them, marked as parts (R4 search.html#summary, #elements)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

Json = dict[str, object]
Summary = Literal["true", "text", "data"]

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}

#: R4 StructureDefinitions: what must be there or changes the meaning of the rest, and what has isSummary.
_ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
_KEPT: Mapping[str, str] = {
    "DiagnosticReport": "status code",
    "Observation": "status code",
    "RiskAssessment": "status subject",
    "Provenance": "target recorded agent",
    "Device": "status",
    "Patient": "active deceased link",
    "ServiceRequest": "status intent subject doNotPerform",
    "Task": "status intent",
    "Communication": "status",
    "Flag": "status code subject",
}
_SUMMARY: Mapping[str, str] = {
    "DiagnosticReport": "identifier status category code subject encounter effective issued performer"
    " resultsInterpreter media",
    "Observation": "identifier basedOn partOf status code subject focus encounter effective issued performer value"
    " hasMember derivedFrom component",
    "RiskAssessment": "identifier status method code subject encounter occurrence condition performer",
    "Provenance": "target recorded",
    "Device": "udiCarrier status safety",
    "Patient": "identifier active name telecom gender birthDate deceased address managingOrganization link",
    "ServiceRequest": "identifier instantiatesCanonical instantiatesUri basedOn replaces requisition status intent"
    " category priority doNotPerform code orderDetail quantity subject encounter occurrence asNeeded authoredOn"
    " requester performerType performer locationCode locationReference reasonCode reasonReference specimen bodySite"
    " patientInstruction",
    "Task": "instantiatesCanonical instantiatesUri basedOn groupIdentifier partOf status statusReason businessStatus"
    " intent code description focus for encounter executionPeriod lastModified requester owner location",
    "Communication": "identifier instantiatesCanonical instantiatesUri basedOn partOf status statusReason priority"
    " subject encounter reasonCode reasonReference",
    "Flag": "identifier status category code subject period encounter author",
}


#: Elements with a choice of types, by what stands before [x].
_CHOICES = frozenset({"asNeeded", "deceased", "effective", "occurrence", "quantity", "value"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What of each match is wanted: a summary, or some elements by name; neither is all of it."""

    summary: Summary | None = None
    elements: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """True where nothing is left out."""
        return self.summary is None and not self.elements


WHOLE = Shape()


def subset(body: Json, shape: Shape) -> Json:
    """The part of a resource that is wanted, tagged SUBSETTED. Labels and status always stay."""
    if shape.whole:
        return body
    resource_type = cast("str", body["resourceType"])
    kept = {name: value for name, value in body.items() if _is_wanted(name, resource_type, shape)}
    meta = cast("Json", body.get("meta", {}))
    tags = cast("list[object]", meta.get("tag", []))
    return {**kept, "meta": {**meta, "tag": [*tags, SUBSETTED]}}


def summary_of(resource_type: str) -> tuple[frozenset[str], frozenset[str]]:
    """The elements of a type that are always there, and those of its summary; a choice by its name without type."""
    return frozenset(_KEPT[resource_type].split()) | _ALWAYS, frozenset(_SUMMARY[resource_type].split())


def _is_wanted(member: str, resource_type: str, shape: Shape) -> bool:
    """`_birthDate` goes with `birthDate`, `valueQuantity` with `value`."""
    name = member.removeprefix("_")
    always, summary = summary_of(resource_type)
    if shape.summary == "data":
        return name != "text"
    wanted = {"true": summary, "text": frozenset({"text"})}.get(shape.summary or "", shape.elements)
    known = always | wanted
    return name in known or any(name.startswith(one) and name[len(one)].isupper() for one in known & _CHOICES)

"""What resources are searched by: one table, which index, search, CapabilityStatement and documentation share.

Of each type that Sightline emits, the search parameters of R4 whose elements it may carry. Not there: composites,
`encounter`, `phonetic`, and what looks at narratives, because nothing here has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from adapters.fhir.extraction import Element, entries
from cds.domain.search import IndexEntry, Kind

#: Raised by hand when the table changes what it finds in a resource: stored ones are indexed again.
EDITION = 1

#: The type that R4 gives a parameter (SearchParameter.type).
SearchType = Literal["token", "reference", "date", "string", "quantity", "number", "uri"]

_KINDS: Mapping[SearchType, Kind] = {"number": "quantity", "uri": "token"}
_SYSTEM = "http://hl7.org/fhir/"
#: R4 SearchParameters of several types.
_SHARED: Mapping[str, frozenset[str]] = {
    "clinical": frozenset(
        f"{resource_type}.{name}"
        for name, types in (
            ("code", "DiagnosticReport Observation ServiceRequest"),
            ("date", "DiagnosticReport Observation RiskAssessment Flag"),
            ("identifier", "DiagnosticReport Observation RiskAssessment ServiceRequest"),
            ("patient", "DiagnosticReport Observation RiskAssessment ServiceRequest Flag"),
        )
        for resource_type in types.split()
    ),
    "individual": frozenset(f"Patient.{name}" for name in ("birthdate", "family", "gender", "given")),
}
_REPORTED = ("DiagnosticReport", "Observation", "RiskAssessment")
_ASKED = ("ServiceRequest", "Task", "Communication", "Flag")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of R4 for one type.

    `targets` are the types that a reference may name and that are here. `private`: its values may tell who somebody
    is, so that no link repeats them (SAFETY section 8). `same_as` is the parameter whose entries it shares.
    `of_patient`: nothing is indexed, the store knows whose the resource is.
    """

    name: str
    type: SearchType
    documentation: str
    elements: tuple[Element, ...]
    targets: tuple[str, ...] = ()
    private: bool = False
    same_as: str = ""
    of_patient: bool = False

    @property
    def kind(self) -> Kind:
        """How the index compares it."""
        return _KINDS.get(self.type) or cast("Kind", self.type)

    @property
    def days_alone(self) -> bool:
        """True where its dates never have a time of day."""
        return all(element.data_type == "date" for element in self.elements)

    @property
    def moments_alone(self) -> bool:
        """True where its dates always have a time of day and an offset."""
        return all(element.data_type == "instant" for element in self.elements)


def canonical(resource_type: str, parameter: Parameter) -> str:
    """The URL of the SearchParameter in R4, which some types share."""
    group = next((name for name, members in _SHARED.items() if f"{resource_type}.{parameter.name}" in members), "")
    if parameter.name.startswith("_"):
        group = "Resource"
    return f"{_SYSTEM}SearchParameter/{group or resource_type}-{parameter.name.removeprefix('_')}"


def index(resource: Mapping[str, object]) -> tuple[IndexEntry, ...]:
    """Everything that a resource can be found by; raise InvalidResource for a date or number that is none."""
    table = PARAMETERS[cast("str", resource["resourceType"])]
    indexed = (one for one in table.values() if one.name not in OF_THE_RESOURCE and not one.same_as)
    return tuple(entry for parameter in indexed for entry in _of(parameter, resource))


def _of(parameter: Parameter, resource: Mapping[str, object]) -> list[IndexEntry]:
    """Entries without a value count only where there is no other: then the parameter is at least not missing."""
    found = [e for one in parameter.elements for e in entries(resource, one, parameter.name, parameter.kind)]
    empty = IndexEntry(parameter.name, parameter.kind)
    return list(dict.fromkeys(entry for entry in found if entry != empty)) or found[:1]


def _rows(*listed: Parameter) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in (*COMMON, *sorted(listed, key=lambda one: one.name))}


def _code(name: str, path: str, said: str, system: str = "") -> Parameter:
    """A token: a code with the system of its binding, else a CodeableConcept. Several paths are separated by spaces."""
    kind = "code" if system else "CodeableConcept"
    return Parameter(
        name, "token", said, tuple(Element(one, kind, system and _SYSTEM + system) for one in path.split())
    )


def _identifier() -> Parameter:
    said = "value, system|value or |value"
    return Parameter("identifier", "token", said, (Element("identifier", "Identifier"),), private=True)


def _reference(name: str, path: str, said: str, *targets: str) -> Parameter:
    return Parameter(name, "reference", said, (Element(path, "Reference"),), targets)


def _subject(path: str = "subject") -> tuple[Parameter, Parameter]:
    """The patient under both names that R4 has: subjects are Patients here."""
    subject = _reference("subject", path, "The Patient whose it is", "Patient")
    return subject, replace(subject, name="patient", same_as="subject")


def _date(name: str, said: str, *paths: str) -> Parameter:
    """Each path with its data type behind a colon."""
    return Parameter(name, "date", said, tuple(Element(*one.split(":")) for one in paths))


def _string(name: str, said: str, *paths: str) -> Parameter:
    return Parameter(name, "string", said, tuple(Element(*one.split(":")) for one in paths), private=True)


def _quantity(name: str, said: str, *paths: str) -> Parameter:
    return Parameter(name, "quantity", said, tuple(Element(one, "Quantity") for one in paths))


#: Of every resource; the first two are columns of the store and not in its index.
OF_THE_RESOURCE = ("_id", "_lastUpdated")
COMMON = (
    Parameter("_id", "token", "Logical id", (Element("id", "code"),)),
    Parameter("_lastUpdated", "date", "When this version was stored", (Element("meta.lastUpdated", "instant"),)),
    Parameter("_profile", "uri", "Profile that it says it conforms to", (Element("meta.profile", "uri"),)),
    Parameter("_security", "token", "Label: AIAST for what an AI asserted", (Element("meta.security", "Coding"),)),
    Parameter("_tag", "token", "Tag", (Element("meta.tag", "Coding"),)),
)

PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "DiagnosticReport": _rows(
        _identifier(),
        *_subject(),
        _code("status", "status", "preliminary, or entered-in-error", "diagnostic-report-status"),
        _code("category", "category", "Radiology"),
        _code("code", "code", "Always ai-analysis of urn:sightline:codes"),
        _code("conclusion", "conclusionCode", "What was found"),
        _date("date", "When the images were made", "effectiveDateTime:dateTime"),
        _date("issued", "When this version was made", "issued:instant"),
        _reference("based-on", "basedOn", "The order, by its accession number", "ServiceRequest"),
        _reference("performer", "performer", "The site"),
        _reference("result", "result", "Its findings", "Observation"),
    ),
    "Observation": _rows(
        _identifier(),
        *_subject(),
        _code("status", "status", "preliminary, or entered-in-error", "observation-status"),
        _code("category", "category", "imaging"),
        _code("code", "code", "What was looked for"),
        _code("component-code", "component.code", "Threshold, certainty, series"),
        _code("combo-code", "code component.code", "The finding's or a component's"),
        _code("data-absent-reason", "dataAbsentReason", "Why there is no value"),
        _code(
            "combo-data-absent-reason", "dataAbsentReason component.dataAbsentReason", "The value's or a component's"
        ),
        _code("method", "method", "How it was found"),
        _code("value-concept", "valueCodeableConcept", "Detected or not detected"),
        _code(
            "combo-value-concept", "valueCodeableConcept component.valueCodeableConcept", "The value's or a component's"
        ),
        _quantity("value-quantity", "Measured value", "valueQuantity"),
        _quantity("component-value-quantity", "Threshold, certainty in %", "component.valueQuantity"),
        _quantity("combo-value-quantity", "The value's or a component's", "valueQuantity", "component.valueQuantity"),
        _string("value-string", "Value in words", "valueString:string", "valueCodeableConcept.text:string"),
        _date("date", "When the images were made", "effectiveDateTime:dateTime"),
        _reference("derived-from", "derivedFrom", "The imaging study, by its UID", "Observation"),
        _reference("device", "device", "The model", "Device"),
        _reference("performer", "performer", "The site"),
    ),
    "RiskAssessment": _rows(
        _identifier(),
        *_subject(),
        _code("method", "method", "The score"),
        _code("risk", "prediction.qualitativeRisk", "Likelihood as a code"),
        Parameter("probability", "number", "In percent", (Element("prediction.probabilityDecimal", "decimal"),)),
        _date("date", "When it was evaluated", "occurrenceDateTime:dateTime"),
        _reference("performer", "performer", "The model", "Device"),
    ),
    "Provenance": _rows(
        Parameter("patient", "reference", "The Patient whose the targets are", (), ("Patient",), of_patient=True),
        _reference("target", "target", "What was made, revised, verified or withdrawn", *_REPORTED, *_ASKED),
        _reference("agent", "agent.who", "The model, or the person who verified", "Device"),
        _code("agent-role", "agent.role", "Role of an agent"),
        _code("agent-type", "agent.type", "author, assembler, verifier"),
        _reference("entity", "entity.what", "What it rests on or replaces", *_REPORTED),
        _date("recorded", "When it was recorded", "recorded:instant"),
    ),
    "Device": _rows(
        _identifier(),
        _code("status", "status", "active", "device-status"),
        _code("type", "type", "Artificial-Intelligence"),
        _string(
            "device-name",
            "Name of the model",
            "deviceName.name:string",
            "type.coding.display:string",
            "type.text:string",
        ),
        _string("manufacturer", "Who makes it", "manufacturer:string"),
        _string("model", "The model's id", "modelNumber:string"),
    ),
    "Patient": _rows(
        _identifier(),
        Parameter("birthdate", "date", "Date of birth", (Element("birthDate", "date"),), private=True),
        Parameter("deceased", "token", "true or false", (Element("", "Patient"),)),
        _code("gender", "gender", "female, male, other or unknown", "administrative-gender"),
        _string("name", "Any part of a name", "name:HumanName"),
        _string("family", "Family name", "name.family:string"),
        _string("given", "Given name", "name.given:string"),
    ),
    "ServiceRequest": _rows(
        _identifier(),
        *_subject(),
        _code("status", "status", "draft, or entered-in-error", "request-status"),
        _code("intent", "intent", "proposal", "request-intent"),
        _code("priority", "priority", "routine, urgent, asap or stat", "request-priority"),
        _code("code", "code", "What is proposed"),
        Parameter("instantiates-uri", "uri", "The guideline", (Element("instantiatesUri", "uri"),)),
        _date("authored", "When a person accepted it", "authoredOn:dateTime"),
        _date("occurrence", "By when it is due", "occurrenceDateTime:dateTime", "occurrencePeriod:Period"),
        _reference("requester", "requester", "Who accepted it", "Device"),
    ),
    "Task": _rows(
        _identifier(),
        *_subject("for"),
        _code("status", "status", "Where the follow-up stands", "task-status"),
        _code("intent", "intent", "proposal or plan", "request-intent"),
        _code("priority", "priority", "routine, urgent, asap or stat", "request-priority"),
        _code("code", "code", "What is to be done"),
        _date("modified", "When it last changed", "lastModified:dateTime"),
        _date("period", "Until when it was worked on", "executionPeriod:Period"),
        _reference("based-on", "basedOn", "What asks for it", *_REPORTED, "ServiceRequest"),
        _reference("focus", "focus", "What it is about", *_REPORTED, "ServiceRequest"),
        _reference("owner", "owner", "Who is responsible", "Device"),
        _reference("requester", "requester", "Who asks", "Device"),
    ),
    "Communication": _rows(
        _identifier(),
        *_subject(),
        _code("status", "status", "Where the message stands", "event-status"),
        _code("category", "category", "alert"),
        _date("sent", "When it was sent", "sent:dateTime"),
        _reference("recipient", "recipient", "Who is told", "Device"),
        _reference("sender", "sender", "Who tells", "Device"),
    ),
    "Flag": _rows(
        _identifier(),
        *_subject(),
        _date("date", "From when until when it counts", "period:Period"),
        _reference("author", "author", "Who raised it", "Device"),
    ),
}

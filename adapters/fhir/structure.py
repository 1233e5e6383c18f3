"""The elements of the R4 types that Sightline emits or sends, as one table: names, types, how often, codes, targets.

An entry reads `name:type`, with "!" for 1..1, "+" for 1..*, "*" for 0..*, `<value set>` for a required binding, and of
a Reference the types that it may point at. Taken from the StructureDefinitions of R4 (4.0.1); a test compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from adapters.fhir.bindings import CODES, SOURCE

#: Targets that come together often.
_GROUPS = {
    "@people": "CareTeam|Organization|Practitioner|PractitionerRole",
    "@agents": "Device|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson",
    "@doers": "CareTeam|Device|HealthcareService|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson",
    "@reasons": "Condition|DiagnosticReport|DocumentReference|Observation",
    "@subjects": "Device|Group|Location|Patient",
    "@recipients": (
        "CareTeam|Device|Group|HealthcareService|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson"
    ),
    "@orders": "CarePlan|DeviceRequest|ImmunizationRecommendation|MedicationRequest|NutritionOrder|ServiceRequest",
    "@events": "ImagingStudy|Immunization|MedicationAdministration|MedicationDispense|MedicationStatement|Procedure",
    "@sources": "DocumentReference|ImagingStudy|Media|MolecularSequence|Observation|QuestionnaireResponse",
}
_RESOURCES = {
    "Bundle": (
        "identifier:Identifier type:code!<bundle-type> timestamp:instant total:unsignedInt link:Bundle.link*"
        " entry:Bundle.entry* signature:Signature"
    ),
    "Bundle.link": "relation:string! url:uri!",
    "Bundle.entry": (
        "link:Bundle.link* fullUrl:uri resource:Resource search:Bundle.entry.search request:Bundle.entry.request"
        " response:Bundle.entry.response"
    ),
    "Bundle.entry.search": "mode:code<search-entry-mode> score:decimal",
    "Bundle.entry.request": (
        "method:code!<http-verb> url:uri! ifNoneMatch:string ifModifiedSince:instant ifMatch:string ifNoneExist:string"
    ),
    "Bundle.entry.response": "status:string! location:uri etag:string lastModified:instant outcome:OperationOutcome",
    "Communication": (
        "identifier:Identifier* instantiatesCanonical:canonical* instantiatesUri:uri* basedOn:Reference*"
        " partOf:Reference* inResponseTo:Reference(Communication)* status:code!<event-status>"
        " statusReason:CodeableConcept category:CodeableConcept* priority:code<request-priority>"
        " medium:CodeableConcept* subject:Reference(Group|Patient) topic:CodeableConcept about:Reference*"
        " encounter:Reference(Encounter) sent:dateTime received:dateTime"
        " recipient:Reference(@recipients)*"
        " sender:Reference(Device|HealthcareService|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson)"
        " reasonCode:CodeableConcept* reasonReference:Reference(@reasons)* payload:Communication.payload*"
        " note:Annotation*"
    ),
    "Communication.payload": "content[x]:string|Attachment|Reference!",
    "Device": (
        "identifier:Identifier* definition:Reference(DeviceDefinition) udiCarrier:Device.udiCarrier*"
        " status:code<device-status> statusReason:CodeableConcept* distinctIdentifier:string manufacturer:string"
        " manufactureDate:dateTime expirationDate:dateTime lotNumber:string serialNumber:string"
        " deviceName:Device.deviceName* modelNumber:string partNumber:string type:CodeableConcept"
        " specialization:Device.specialization* version:Device.version* property:Device.property*"
        " patient:Reference(Patient) owner:Reference(Organization) contact:ContactPoint* location:Reference(Location)"
        " url:uri note:Annotation* safety:CodeableConcept* parent:Reference(Device)"
    ),
    "Device.udiCarrier": (
        "deviceIdentifier:string issuer:uri jurisdiction:uri carrierAIDC:base64Binary carrierHRF:string"
        " entryType:code<udi-entry-type>"
    ),
    "Device.deviceName": "name:string! type:code!<device-nametype>",
    "Device.specialization": "systemType:CodeableConcept! version:string",
    "Device.version": "type:CodeableConcept component:Identifier value:string!",
    "Device.property": "type:CodeableConcept! valueQuantity:Quantity* valueCode:CodeableConcept*",
    "DiagnosticReport": (
        "identifier:Identifier*"
        " basedOn:Reference(CarePlan|ImmunizationRecommendation|MedicationRequest|NutritionOrder|ServiceRequest)*"
        " status:code!<diagnostic-report-status> category:CodeableConcept* code:CodeableConcept!"
        " subject:Reference(@subjects) encounter:Reference(Encounter) effective[x]:dateTime|Period issued:instant"
        " performer:Reference(@people)* resultsInterpreter:Reference(@people)* specimen:Reference(Specimen)*"
        " result:Reference(Observation)* imagingStudy:Reference(ImagingStudy)* media:DiagnosticReport.media*"
        " conclusion:string conclusionCode:CodeableConcept* presentedForm:Attachment*"
    ),
    "DiagnosticReport.media": "comment:string link:Reference(Media)!",
    "Flag": (
        "identifier:Identifier* status:code!<flag-status> category:CodeableConcept* code:CodeableConcept!"
        " subject:Reference(Group|Location|Medication|Organization|Patient|PlanDefinition|Practitioner|Procedure)!"
        " period:Period encounter:Reference(Encounter)"
        " author:Reference(Device|Organization|Patient|Practitioner|PractitionerRole)"
    ),
    "Observation": (
        "identifier:Identifier*"
        " basedOn:Reference(@orders)*"
        " partOf:Reference(@events)*"
        " status:code!<observation-status> category:CodeableConcept* code:CodeableConcept!"
        " subject:Reference(@subjects) focus:Reference* encounter:Reference(Encounter)"
        " effective[x]:dateTime|Period|Timing|instant issued:instant"
        " performer:Reference(CareTeam|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson)*"
        " value[x]:Quantity|CodeableConcept|string|boolean|integer|Range|Ratio|SampledData|time|dateTime|Period"
        " dataAbsentReason:CodeableConcept interpretation:CodeableConcept* note:Annotation* bodySite:CodeableConcept"
        " method:CodeableConcept specimen:Reference(Specimen) device:Reference(Device|DeviceMetric)"
        " referenceRange:Observation.referenceRange*"
        " hasMember:Reference(MolecularSequence|Observation|QuestionnaireResponse)*"
        " derivedFrom:Reference(@sources)*"
        " component:Observation.component*"
    ),
    "Observation.referenceRange": (
        "low:SimpleQuantity high:SimpleQuantity type:CodeableConcept appliesTo:CodeableConcept* age:Range text:string"
    ),
    "Observation.component": (
        "code:CodeableConcept!"
        " value[x]:Quantity|CodeableConcept|string|boolean|integer|Range|Ratio|SampledData|time|dateTime|Period"
        " dataAbsentReason:CodeableConcept interpretation:CodeableConcept* referenceRange:Observation.referenceRange*"
    ),
    "OperationOutcome": "issue:OperationOutcome.issue+",
    "OperationOutcome.issue": (
        "severity:code!<issue-severity> code:code!<issue-type> details:CodeableConcept diagnostics:string"
        " location:string* expression:string*"
    ),
    "Patient": (
        "identifier:Identifier* active:boolean name:HumanName* telecom:ContactPoint*"
        " gender:code<administrative-gender> birthDate:date deceased[x]:boolean|dateTime address:Address*"
        " maritalStatus:CodeableConcept multipleBirth[x]:boolean|integer photo:Attachment* contact:Patient.contact*"
        " communication:Patient.communication*"
        " generalPractitioner:Reference(Organization|Practitioner|PractitionerRole)*"
        " managingOrganization:Reference(Organization) link:Patient.link*"
    ),
    "Patient.contact": (
        "relationship:CodeableConcept* name:HumanName telecom:ContactPoint* address:Address"
        " gender:code<administrative-gender> organization:Reference(Organization) period:Period"
    ),
    "Patient.communication": "language:CodeableConcept! preferred:boolean",
    "Patient.link": "other:Reference(Patient|RelatedPerson)! type:code!<link-type>",
    "Provenance": (
        "target:Reference+ occurred[x]:Period|dateTime recorded:instant! policy:uri* location:Reference(Location)"
        " reason:CodeableConcept* activity:CodeableConcept agent:Provenance.agent+ entity:Provenance.entity*"
        " signature:Signature*"
    ),
    "Provenance.agent": (
        "type:CodeableConcept role:CodeableConcept* who:Reference(@agents)! onBehalfOf:Reference(@agents)"
    ),
    "Provenance.entity": "role:code!<provenance-entity-role> what:Reference! agent:Provenance.agent*",
    "RiskAssessment": (
        "identifier:Identifier* basedOn:Reference parent:Reference status:code!<observation-status>"
        " method:CodeableConcept code:CodeableConcept subject:Reference(Group|Patient)! encounter:Reference(Encounter)"
        " occurrence[x]:dateTime|Period condition:Reference(Condition)"
        " performer:Reference(Device|Practitioner|PractitionerRole) reasonCode:CodeableConcept*"
        " reasonReference:Reference(@reasons)* basis:Reference* prediction:RiskAssessment.prediction*"
        " mitigation:string note:Annotation*"
    ),
    "RiskAssessment.prediction": (
        "outcome:CodeableConcept probability[x]:decimal|Range qualitativeRisk:CodeableConcept relativeRisk:decimal"
        " when[x]:Period|Range rationale:string"
    ),
    "ServiceRequest": (
        "identifier:Identifier* instantiatesCanonical:canonical* instantiatesUri:uri*"
        " basedOn:Reference(CarePlan|MedicationRequest|ServiceRequest)* replaces:Reference(ServiceRequest)*"
        " requisition:Identifier status:code!<request-status> intent:code!<request-intent> category:CodeableConcept*"
        " priority:code<request-priority> doNotPerform:boolean code:CodeableConcept orderDetail:CodeableConcept*"
        " quantity[x]:Quantity|Ratio|Range subject:Reference(@subjects)! encounter:Reference(Encounter)"
        " occurrence[x]:dateTime|Period|Timing asNeeded[x]:boolean|CodeableConcept authoredOn:dateTime"
        " requester:Reference(@agents) performerType:CodeableConcept performer:Reference(@doers)*"
        " locationCode:CodeableConcept* locationReference:Reference(Location)* reasonCode:CodeableConcept*"
        " reasonReference:Reference(@reasons)* insurance:Reference(ClaimResponse|Coverage)* supportingInfo:Reference*"
        " specimen:Reference(Specimen)* bodySite:CodeableConcept* note:Annotation* patientInstruction:string"
        " relevantHistory:Reference(Provenance)*"
    ),
    "Subscription": (
        "status:code!<subscription-status> contact:ContactPoint* end:instant reason:string! criteria:string!"
        " error:string channel:Subscription.channel!"
    ),
    "Subscription.channel": "type:code!<subscription-channel-type> endpoint:url payload:code<mimetypes> header:string*",
    "Task": (
        "identifier:Identifier* instantiatesCanonical:canonical instantiatesUri:uri basedOn:Reference*"
        " groupIdentifier:Identifier partOf:Reference(Task)* status:code!<task-status> statusReason:CodeableConcept"
        " businessStatus:CodeableConcept intent:code!<task-intent> priority:code<request-priority>"
        " code:CodeableConcept description:string focus:Reference for:Reference encounter:Reference(Encounter)"
        " executionPeriod:Period authoredOn:dateTime lastModified:dateTime requester:Reference(@agents)"
        " performerType:CodeableConcept* owner:Reference(@doers) location:Reference(Location)"
        " reasonCode:CodeableConcept reasonReference:Reference insurance:Reference(ClaimResponse|Coverage)*"
        " note:Annotation* relevantHistory:Reference(Provenance)* restriction:Task.restriction input:Task.input*"
        " output:Task.output*"
    ),
    "Task.restriction": (
        "repetitions:positiveInt period:Period"
        " recipient:Reference(Group|Organization|Patient|Practitioner|PractitionerRole|RelatedPerson)*"
    ),
    "Task.input": "type:CodeableConcept! value[x]:open!",
    "Task.output": "type:CodeableConcept! value[x]:open!",
}
_TYPES = {
    "Element": "",
    "Address": (
        "use:code<address-use> type:code<address-type> text:string line:string* city:string district:string"
        " state:string postalCode:string country:string period:Period"
    ),
    "Annotation": (
        "author[x]:Reference(Organization|Patient|Practitioner|RelatedPerson)|string time:dateTime text:markdown!"
    ),
    "Attachment": (
        "contentType:code<mimetypes> language:code data:base64Binary url:url size:unsignedInt hash:base64Binary"
        " title:string creation:dateTime"
    ),
    "CodeableConcept": "coding:Coding* text:string",
    "Coding": "system:uri version:string code:code display:string userSelected:boolean",
    "ContactPoint": (
        "system:code<contact-point-system> value:string use:code<contact-point-use> rank:positiveInt period:Period"
    ),
    "Extension": "url:string! value[x]:open",
    "HumanName": (
        "use:code<name-use> text:string family:string given:string* prefix:string* suffix:string* period:Period"
    ),
    "Identifier": (
        "use:code<identifier-use> type:CodeableConcept system:uri value:string period:Period"
        " assigner:Reference(Organization)"
    ),
    "Meta": "versionId:id lastUpdated:instant source:uri profile:canonical* security:Coding* tag:Coding*",
    "Narrative": "status:code!<narrative-status> div:xhtml!",
    "Period": "start:dateTime end:dateTime",
    "Quantity": "value:decimal comparator:code<quantity-comparator> unit:string system:uri code:code",
    "Range": "low:SimpleQuantity high:SimpleQuantity",
    "Ratio": "numerator:Quantity denominator:Quantity",
    "Reference": "reference:string type:uri identifier:Identifier display:string",
    "SampledData": (
        "origin:SimpleQuantity! period:decimal! factor:decimal lowerLimit:decimal upperLimit:decimal"
        " dimensions:positiveInt! data:string"
    ),
    "Signature": (
        "type:Coding+ when:instant! who:Reference(@agents)! onBehalfOf:Reference(@agents)"
        " targetFormat:code<mimetypes> sigFormat:code<mimetypes> data:base64Binary"
    ),
    "Timing": "event:dateTime* repeat:Timing.repeat code:CodeableConcept",
    "Timing.repeat": (
        "bounds[x]:Duration|Range|Period count:positiveInt countMax:positiveInt duration:decimal durationMax:decimal"
        " durationUnit:code<units-of-time> frequency:positiveInt frequencyMax:positiveInt period:decimal"
        " periodMax:decimal periodUnit:code<units-of-time> dayOfWeek:code*<days-of-week> timeOfDay:time*"
        " when:code*<event-timing> offset:unsignedInt"
    ),
    "SimpleQuantity": "value:decimal unit:string system:uri code:code",
    "Duration": "value:decimal comparator:code<quantity-comparator> unit:string system:uri code:code",
}
#: What every resource has (R4 Resource), and what all but Bundle have too (R4 DomainResource).
_RESOURCE = "resourceType:code! id:id meta:Meta implicitRules:uri language:code"
_DOMAIN = "text:Narrative contained:Resource* extension:Extension* modifierExtension:Extension*"
_ELEMENT = "id:string extension:Extension*"
_BACKBONE = "modifierExtension:Extension*"
#: Data types that are made of BackboneElement.
_WITH_MODIFIERS = ("Timing",)
#: What an extension, and a Task's input and output may hold, as far as Sightline says it.
OPEN = (
    "base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer",
    "markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "Address", "Annotation",
    "Attachment", "CodeableConcept", "Coding", "ContactPoint", "Duration", "HumanName", "Identifier", "Period",
    "Quantity", "Range", "Ratio", "Reference", "SampledData", "Signature", "Timing", "Meta",
)  # fmt: skip
_ENTRY = re.compile(r"(\w+)(\[x\])?:([^\s!+*<]+)([!+*]?)(?:<([\w-]+)>)?")
_TYPE = re.compile(r"([\w.]+)(?:\(([^)]*)\))?")
#: The value set of media types is no list.
MIMETYPES = "mimetypes"


@dataclass(frozen=True, slots=True)
class Member:
    """One element. `targets` is empty where a Reference may point at anything; `binding` is the value set's name."""

    type: str
    many: bool = False
    codes: frozenset[str] = frozenset()
    binding: str = ""
    targets: frozenset[str] = frozenset()

    @property
    def value_set(self) -> str:
        """The value set's address."""
        return SOURCE + self.binding


@dataclass(frozen=True, slots=True)
class Structure:
    """A type: its elements by name; each tuple of `required` wants one of its names, of `choices` takes one alone."""

    members: Mapping[str, Member]
    required: tuple[tuple[str, ...], ...]
    choices: tuple[tuple[str, ...], ...]


def _structure(entries: str) -> Structure:
    members: dict[str, Member] = {}
    required, choices = [], []
    for name, choice, types, often, binding in _ENTRY.findall(entries):
        listed = _TYPE.findall("|".join(OPEN) if types == "open" else types)
        names = tuple(f"{name}{kind[0].upper()}{kind[1:]}" if choice else name for kind, _ in listed)
        for named, (kind, targets) in zip(names, listed, strict=True):
            allowed = frozenset(_GROUPS.get(targets, targets).split("|")) - {""}
            members[named] = Member(kind, often in ("*", "+"), CODES.get(binding, frozenset()), binding, allowed)
        required += [names] if often in ("!", "+") else []
        choices += [names] if choice else []
    return Structure(members, tuple(required), tuple(choices))


def _inherited(name: str) -> str:
    if name in _RESOURCES and "." not in name:
        return _RESOURCE if name == "Bundle" else f"{_RESOURCE} {_DOMAIN}"
    backbone = name in _RESOURCES or name in _WITH_MODIFIERS
    return f"{_ELEMENT} {_BACKBONE}" if backbone else _ELEMENT


#: Every type by its name; parts of a resource by their path ("Observation.component").
STRUCTURES: Mapping[str, Structure] = {
    name: _structure(f"{_inherited(name)} {entries}") for name, entries in {**_RESOURCES, **_TYPES}.items()
}
#: The resources.
RESOURCE_TYPES = frozenset(name for name in _RESOURCES if "." not in name)

"""The check of everything that goes out: what is right passes, and each rule refuses what breaks it, by its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhirclient.models.fhirelementfactory import FHIRElementFactory

from adapters.fhir import systems
from adapters.fhir.bindings import CODES
from adapters.fhir.invariants import check
from adapters.fhir.report import withdrawn
from adapters.fhir.rules import RULES
from adapters.fhir.structure import STRUCTURES
from adapters.fhir.transaction import void
from cds.domain.resource import WITHDRAWABLE, NewResource
from cds.errors import InvalidResource
from tests.unit.fhir_samples import DRAWN, emitted, samples

Body = dict[str, Any]

UNMISTAKABLE = "Unmistakable"
COMMUNICATION: Body = {
    "resourceType": "Communication",
    "meta": {"security": [{"system": systems.AI_ASSERTED.system, "code": "AIAST"}]},
    "status": "in-progress",
    "payload": [{"contentString": "A critical finding."}],
    "recipient": [{"display": "The desk"}],
}
SUBSCRIPTION: Body = {
    "resourceType": "Subscription",
    "status": "requested",
    "reason": "Images",
    "criteria": "ImagingStudy?status=available",
    "channel": {"type": "rest-hook", "endpoint": "https://cds.example/hook", "payload": "application/fhir+json"},
}
OUTCOME: Body = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-found"}]}


def everything() -> Iterator[NewResource]:
    """Every resource of every sample, as it stands, withdrawn and voided."""
    for said in samples().values():
        for resource in emitted(said, forms=DRAWN):
            yield resource
            if resource.type in WITHDRAWABLE:
                yield withdrawn(resource.body, patient_id=resource.patient_id)
                yield void(resource, "it was of another patient", said.issued)


def good(kind: str) -> Body:
    """A body of that type that is right; a Bundle is a transaction."""
    extra = {"Communication": COMMUNICATION, "Subscription": SUBSCRIPTION, "OperationOutcome": OUTCOME}
    if kind == "Bundle":
        return {"resourceType": "Bundle", "type": "transaction", "entry": [entry("Observation"), entry("Device")]}
    if kind in extra:
        return copy.deepcopy(extra[kind])
    return copy.deepcopy(next(r.body for r in everything() if r.type == kind))


def entry(kind: str) -> Body:
    """An entry of a transaction whose references stay inside or are logical."""
    body = good(kind)
    full = f"urn:uuid:{body.pop('id')}"
    for name in ("subject", "device"):
        if name in body:
            body[name] = {"display": "somebody"}
    return {"fullUrl": full, "resource": body, "request": {"method": "PUT", "url": f"{kind}?identifier=a%7Cb"}}


def put(body: Body, path: str, value: Any) -> Body:
    """The body with another value at a place ("name.0.family"); None takes it away. What is missing is made."""
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    here: Any = body
    for step, following in zip(way, [*way, last][1:], strict=True):
        if isinstance(step, str) and step not in here:
            here[step] = [{}] if isinstance(following, int) else {}
        here = here[step]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return body


#: type, place, the value that is put there, the place that is named, words of the rule.
BROKEN: list[tuple[str, str, Any, str, str]] = [
    # required bindings
    ("DiagnosticReport", "status", UNMISTAKABLE, "status", "ValueSet/diagnostic-report-status"),
    ("Observation", "status", "done", "status", "ValueSet/observation-status"),
    ("RiskAssessment", "status", "done", "status", "ValueSet/observation-status"),
    ("ServiceRequest", "intent", "wish", "intent", "ValueSet/request-intent"),
    ("ServiceRequest", "priority", "high", "priority", "ValueSet/request-priority"),
    ("Task", "status", "open", "status", "ValueSet/task-status"),
    ("Task", "intent", "wish", "intent", "ValueSet/task-intent"),
    ("Flag", "status", "on", "status", "ValueSet/flag-status"),
    ("Device", "status", "on", "status", "ValueSet/device-status"),
    ("Device", "deviceName.0.type", "name", "deviceName.0.type", "ValueSet/device-nametype"),
    ("Patient", "gender", "f", "gender", "ValueSet/administrative-gender"),
    ("Patient", "identifier.0.use", "mine", "identifier.0.use", "ValueSet/identifier-use"),
    ("Patient", "name.0.use", "mine", "name.0.use", "ValueSet/name-use"),
    ("Patient", "link", [{"other": {"display": "x"}, "type": "same"}], "link.0.type", "ValueSet/link-type"),
    ("Patient", "address", [{"use": "castle"}], "address.0.use", "ValueSet/address-use"),
    ("Patient", "telecom", [{"system": "post", "value": "1"}], "telecom.0.system", "ValueSet/contact-point-system"),
    ("Provenance", "entity.0.role", "origin", "entity.0.role", "ValueSet/provenance-entity-role"),
    ("Communication", "status", "sent", "status", "ValueSet/event-status"),
    ("Subscription", "status", "on", "status", "ValueSet/subscription-status"),
    ("Subscription", "channel.type", "smoke", "channel.type", "ValueSet/subscription-channel-type"),
    ("Subscription", "channel.payload", "json", "channel.payload", "media type"),
    ("OperationOutcome", "issue.0.code", "bad", "issue.0.code", "ValueSet/issue-type"),
    ("Bundle", "type", "list", "type", "ValueSet/bundle-type"),
    ("Bundle", "entry.0.request.method", "SEND", "entry.0.request.method", "ValueSet/http-verb"),
    ("DiagnosticReport", "presentedForm.0.contentType", "html", "presentedForm.0.contentType", "media type"),
    ("Observation", "component.0.valueQuantity.comparator", "~", "component.0.valueQuantity.comparator", "comparator"),
    # cardinality and structure
    ("DiagnosticReport", "code", None, "code", "want this element"),
    ("Observation", "status", None, "status", "want this element"),
    ("Provenance", "agent", [], "agent", "not empty"),
    ("Provenance", "agent", None, "agent", "want this element"),
    ("Provenance", "agent.0.who", None, "agent.0.who", "want this element"),
    ("RiskAssessment", "subject", None, "subject", "want this element"),
    ("Task", "input.0.valueString", "two values", "input.0.valueBase64Binary", "one type of value"),
    ("Observation", "valueString", "two values", "valueQuantity", "one type of value"),
    ("Observation", "favourite", "none", "favourite", "want an element of this type"),
    ("Observation", "_code", {"id": "a"}, "_code", "want an element of this type"),
    ("Observation", "category", {"text": "one"}, "category", "array"),
    ("Observation", "code", [{"text": "many"}], "code", "object"),
    ("Observation", "code", {}, "code", "ele-1"),
    ("Observation", "method.text", "", "method.text", "want string"),
    ("Observation", "method.text", "   ", "method.text", "want string"),
    ("Observation", "method.text", "a\x00b", "method.text", "want string"),
    ("Patient", "name.0.given", ["Quentina", None], "name.0.given.1", "want string"),
    ("Patient", "_birthDate", {}, "_birthDate", "ele-1"),
    ("Patient", "_birthDate", [], "_birthDate", "ele-1"),
    ("Patient", "resourceType", "Person", "resourceType", "that Sightline makes"),
    # formats
    ("Observation", "id", "has space", "id", "want id"),
    ("Observation", "id", "x" * 65, "id", "want id"),
    ("Patient", "birthDate", "1958-02-30", "birthDate", "want date"),
    ("Patient", "birthDate", "1958-4-5", "birthDate", "want date"),
    ("Patient", "birthDate", "1958-04-05T00:00:00Z", "birthDate", "want date"),
    ("Patient", "deceasedBoolean", "no", "deceasedBoolean", "want boolean"),
    ("Observation", "effectiveDateTime", "2026-03-04T10:00:00", "effectiveDateTime", "want dateTime"),
    ("Observation", "effectiveDateTime", "2026-03-04T10:00Z", "effectiveDateTime", "want dateTime"),
    ("Observation", "effectiveDateTime", "04.03.2026", "effectiveDateTime", "want dateTime"),
    ("Observation", "issued", "2026-03-05", "issued", "want instant"),
    ("Observation", "issued", "2026-03-05T25:00:00Z", "issued", "want instant"),
    ("Provenance", "recorded", "2026-13-05T10:11:12Z", "recorded", "want instant"),
    ("Observation", "code.coding.0.system", "codes", "code.coding.0.system", "absolute URI"),
    ("Observation", "code.coding.0.system", "urn:oid:1.02.3", "code.coding.0.system", "want uri"),
    ("Observation", "code.coding.0.code", " laa", "code.coding.0.code", "want code"),
    ("Observation", "identifier.0.system", "mine", "identifier.0.system", "absolute URI"),
    ("Observation", "derivedFrom.0.identifier.value", "urn:oid:1.2.03", "derivedFrom.0.identifier.value", "urn:"),
    ("Observation", "valueQuantity.value", "12.5", "valueQuantity.value", "want decimal"),
    ("Observation", "valueQuantity.value", float("nan"), "valueQuantity.value", "want decimal"),
    ("Observation", "valueQuantity.system", "ucum", "valueQuantity.system", "absolute URI"),
    ("DiagnosticReport", "presentedForm.0.data", "not base64!", "presentedForm.0.data", "want base64Binary"),
    ("DiagnosticReport", "presentedForm.0.size", -1, "presentedForm.0.size", "want unsignedInt"),
    ("DiagnosticReport", "presentedForm.0.size", True, "presentedForm.0.size", "want unsignedInt"),
    ("DiagnosticReport", "presentedForm.0.language", "english!", "presentedForm.0.language", "BCP 47"),
    ("Task", "restriction.repetitions", 0, "restriction.repetitions", "want positiveInt"),
    ("Device", "url", "has space", "url", "want uri"),
    ("Observation", "text", {"status": "generated", "div": "<p>hi</p>"}, "text.div", "want xhtml"),
    # references
    ("DiagnosticReport", "result.0.reference", "Patient/1", "result.0", "want a reference to Observation"),
    ("DiagnosticReport", "performer.0.type", "Device", "performer.0", "want a reference to CareTeam"),
    ("DiagnosticReport", "imagingStudy.0.type", "Media", "imagingStudy.0", "want a reference to ImagingStudy"),
    ("Observation", "device", {"reference": "https://ehr.example/fhir/Patient/1"}, "device", "want a reference to"),
    ("Observation", "device.reference", "1", "device.reference", "want [base/]Type/id"),
    ("Observation", "device.reference", "Device/a b", "device.reference", "want [base/]Type/id"),
    ("Observation", "device.reference", "Device/1/_history/", "device.reference", "want [base/]Type/id"),
    ("Observation", "device.reference", "#1", "device.reference", "ref-1"),
    ("Observation", "device.reference", "urn:uuid:1", "device.reference", "fullUrl"),
    ("Observation", "device.reference", "Device?identifier=a", "device.reference", "want [base/]Type/id"),
    ("Observation", "device.type", "DeviceMetric", "device.type", "want the type"),
    ("Observation", "subject", {"type": "Patient"}, "subject", "want reference, identifier, display"),
    ("RiskAssessment", "performer", {"type": "Group", "display": "x"}, "performer", "want a reference to Device"),
    # extensions
    ("Device", "extension.0.url", "AIKind", "extension.0.url", "absolute URI"),
    ("Device", "extension", [{"url": "urn:a:b", "extension": [{"url": "a b", "valueCode": "c"}]}],
     "extension.0.extension.0.url", "absolute URI"),
    # check digits
    ("Observation", "bodySite.coding.0.code", "39607009", "bodySite.coding.0.code", "check digit"),
    ("DiagnosticReport", "category.1.coding.0.code", "LP29684-6", "category.1.coding.0.code", "check digit"),
    # invariants
    ("Observation", "dataAbsentReason", {"text": "not there"}, "dataAbsentReason", "obs-6"),
    ("Observation", "component.0.code", {"coding": [{"system": "urn:sightline:codes", "code": "laa-950"}]},
     "component", "obs-7"),
    ("Observation", "referenceRange", [{"appliesTo": [{"text": "x"}]}], "referenceRange.0", "obs-3"),
    ("Observation", "valueQuantity.system", None, "valueQuantity.system", "qty-3"),
    ("Observation", "extension", [{"url": "urn:a:b"}], "extension.0", "ext-1"),
    ("Observation", "extension", [{"url": "urn:a:b", "valueCode": "a", "extension": [{"url": "c", "valueCode": "d"}]}],
     "extension.0", "ext-1"),
    ("DiagnosticReport", "effectiveDateTime", None, "effectiveDateTime", "us-core-10"),
    ("DiagnosticReport", "category", None, "category", "us-core"),
    ("DiagnosticReport", "subject", None, "subject", "us-core"),
    ("DiagnosticReport", "presentedForm.0.contentType", None, "presentedForm.0.contentType", "att-1"),
    ("Patient", "contact", [{"gender": "male"}], "contact.0", "pat-1"),
    ("Patient", "telecom", [{"value": "1"}], "telecom.0.system", "cpt-2"),
    ("RiskAssessment", "prediction.0.probabilityDecimal", 101, "prediction.0.probabilityDecimal", "ras-2"),
    ("RiskAssessment", "prediction.0", {"probabilityRange": {"low": {"value": 1}}}, "prediction.0.probabilityRange",
     "ras-1"),
    ("RiskAssessment", "prediction.0.whenPeriod.end", "2020-01-01", "prediction.0.whenPeriod.end", "per-1"),
    ("Patient", "name.0.period", {"start": "2026-03-05T10:00:00+01:00", "end": "2026-03-05T08:59:59Z"},
     "name.0.period.end", "per-1"),
    ("ServiceRequest", "code", None, "code", "prr-1"),
    ("Task", "authoredOn", "2030-01-01T00:00:00Z", "lastModified", "inv-1"),
    ("Observation", "referenceRange", [{"age": {"low": {"value": 9}, "high": {"value": 1}}, "text": "x"}],
     "referenceRange.0.age.high", "rng-2"),
    ("ServiceRequest", "quantityRatio", {"numerator": {"value": 1}}, "quantityRatio", "rat-1"),
    *(("Observation", "effectiveTiming", {"repeat": repeat}, "effectiveTiming.repeat", key) for key, repeat in (
        ("tim-1", {"duration": 1}), ("tim-2", {"period": 1}), ("tim-4", {"duration": -1, "durationUnit": "d"}),
        ("tim-5", {"period": -1, "periodUnit": "d"}), ("tim-6", {"periodMax": 1}), ("tim-7", {"durationMax": 1}),
        ("tim-8", {"countMax": 1}), ("tim-9", {"offset": 1}), ("tim-9", {"offset": 1, "when": ["CM"]}),
        ("tim-10", {"timeOfDay": ["10:00:00"], "when": ["HS"]}),
    )),
    # contained resources
    ("Observation", "contained", [{"resourceType": "Device", "id": "d"}], "contained", "dom-3"),
    ("Observation", "contained", [{"resourceType": "Device", "id": "d", "meta": {"versionId": "1"}}],
     "contained.0.meta", "dom-4"),
    ("Observation", "contained", [{"resourceType": "Patient", "contained": [{"resourceType": "Device", "id": "x"}]}],
     "contained.0.contained", "dom-2"),
    # Bundles
    ("Bundle", "total", 1, "total", "bdl-1"),
    ("Bundle", "entry.0.search", {"mode": "match"}, "entry", "bdl-2"),
    ("Bundle", "entry.0.request", None, "entry", "bdl-3"),
    ("Bundle", "entry.0.response", {"status": "200"}, "entry", "bdl-4"),
    ("Bundle", "entry.0", {"link": [{"relation": "self", "url": "a"}]}, "entry.0", "bdl-5"),
    ("Bundle", "entry.1.fullUrl", "SAME", "entry", "bdl-7"),
    ("Bundle", "entry.0.fullUrl", "https://a.example/Observation/1/_history/1", "entry.0.fullUrl", "bdl-8"),
    ("Bundle", "entry.0.fullUrl", "Observation/1", "entry.0.fullUrl", "absolute URI"),
    ("Bundle", "entry.0.fullUrl", "urn:uuid:1", "entry.0.fullUrl", "want uri"),
    ("Bundle", "entry.0.request.method", "DELETE", "entry.0.resource", "http.html#transaction"),
    ("Bundle", "entry.0.resource.status", "done", "entry.0.resource.status", "ValueSet/observation-status"),
    ("Bundle", "entry.0.resource.device", {"reference": "urn:uuid:00000000-0000-4000-8000-000000000000"},
     "entry.0.resource.device.reference", "fullUrl of an entry"),
    ("Bundle", "type", "document", "entry", "bdl-3"),
    # Sightline's own
    ("DiagnosticReport", "status", "final", "status", "sightline-2"),
    ("Observation", "status", "final", "status", "sightline-2"),
    ("RiskAssessment", "status", "amended", "status", "sightline-2"),
    ("DiagnosticReport", "meta", None, "meta.security", "sightline-1"),
    ("Communication", "meta.security.0.code", "R", "meta.security", "sightline-1"),
    ("DiagnosticReport", "code", {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]}, "code",
     "sightline-3"),
    ("ServiceRequest", "status", "active", "intent", "sightline-4"),
    ("ServiceRequest", "intent", "order", "intent", "sightline-4"),
]  # fmt: skip


class TestWhatIsRight:
    """Nothing that Sightline emits is refused."""

    def test_every_resource_of_every_sample_passes(self) -> None:
        kinds = set()
        for resource in everything():
            check(resource.body)
            kinds.add(resource.type)
        assert {*WITHDRAWABLE, "Device", "Patient", "Provenance"} == kinds

    @pytest.mark.parametrize("kind", ["Bundle", "Communication", "Subscription", "OperationOutcome"])
    def test_what_is_sent_beside_reports_passes(self, kind: str) -> None:
        check(good(kind))

    def test_the_strict_models_of_another_project_read_it_and_give_it_back(self) -> None:
        for resource in everything():
            again = FHIRElementFactory.instantiate(resource.type, resource.body).as_json()
            # It does not know extensions of primitives.
            assert again == {name: value for name, value in resource.body.items() if not name.startswith("_")}

    def test_a_primitive_whose_value_is_not_known_says_so_beside_it(self) -> None:
        body = put(good("Patient"), "birthDate", None)
        check(put(body, "_birthDate", {"extension": [{"url": systems.DATA_ABSENT_EXTENSION, "valueCode": "unknown"}]}))
        names = put(good("Patient"), "name.0.given", ["A", None])
        check(put(names, "name.0._given", [None, {"extension": [{"url": "urn:a:b", "valueCode": "c"}]}]))

    def test_a_contained_resource_that_is_referred_to_passes(self) -> None:
        body = put(good("Observation"), "device", {"reference": "#d"})
        check(put(body, "contained", [{"resourceType": "Device", "id": "d"}]))

    def test_a_reference_to_an_entry_of_the_same_transaction_has_its_type(self) -> None:
        bundle = good("Bundle")
        device = bundle["entry"][1]["fullUrl"]
        check(put(bundle, "entry.0.resource.device", {"reference": device}))
        with pytest.raises(InvalidResource, match="want a reference to"):
            check(put(bundle, "entry.0.resource.subject", {"reference": bundle["entry"][0]["fullUrl"]}))

    def test_a_conditional_reference_stands_in_a_transaction_alone(self) -> None:
        check(put(good("Bundle"), "entry.0.resource.device", {"reference": "Device?identifier=a%7Cb"}))

    @pytest.mark.parametrize(
        "moment",
        ["2026", "2026-03", "2026-03-04", "2026-03-04T10:00:00Z", "2026-03-04T10:00:00.123+14:00",
         "2016-12-31T23:59:60Z"],
    )  # fmt: skip
    def test_every_precision_of_a_date_time_passes(self, moment: str) -> None:
        check(put(good("Observation"), "effectiveDateTime", moment))


class TestWhatIsNot:
    """Each refused at its place, by its rule, and never with its value."""

    @pytest.mark.parametrize(
        ("kind", "path", "value", "place", "rule"),
        BROKEN,
        ids=[f"{b[0]} {b[3]} {b[4]} {n}" for n, b in enumerate(BROKEN)],
    )
    def test_it_is_refused(self, kind: str, path: str, value: Any, place: str, rule: str) -> None:
        body = good(kind)
        if rule == "prr-1":
            body["orderDetail"] = [{"text": "sitting"}]
        if rule == "inv-1":
            body["lastModified"] = "2026-01-01T00:00:00Z"
        if value == "SAME":
            value = body["entry"][0]["fullUrl"]
        if path.startswith("effectiveTiming"):
            del body["effectiveDateTime"]
        with pytest.raises(InvalidResource) as refused:
            check(put(body, path, value))
        text = str(refused.value)
        named = kind if path != "resourceType" else "Resource"
        assert text.startswith(f"{named} does not conform to R4 at {place}: ")
        assert rule in text
        assert UNMISTAKABLE not in text

    def test_every_rule_has_a_body_that_breaks_it(self) -> None:
        words = " ".join(rule for *_, rule in BROKEN)
        keys = {rule.key for rules in RULES.values() for rule in rules}
        shown = {"fullUrl": "absolute URI", "request": "http.html#transaction", "reference": "want reference"}
        assert {key for key in keys if shown.get(key, key) not in words} == {"sightline-5"}

    def test_a_document_is_not_what_sightline_sends(self) -> None:
        with pytest.raises(InvalidResource, match="sightline-5"):
            check({"resourceType": "Bundle", "type": "document"})

    @pytest.mark.parametrize("body", [{}, {"resourceType": 7}, {"resourceType": "Binary"}, {"resourceType": []}])
    def test_a_type_that_it_does_not_know_is_never_waved_through(self, body: Body) -> None:
        with pytest.raises(InvalidResource, match="want a type of resource that Sightline makes"):
            check(body)


class TestTheTable:
    """What the table says about itself."""

    def test_every_value_set_that_is_bound_has_its_codes(self) -> None:
        bound = {m.binding for s in STRUCTURES.values() for m in s.members.values() if m.binding}
        assert bound - CODES.keys() == {"mimetypes"}
        assert CODES.keys() - bound == set()

    def test_every_type_that_is_named_is_in_it(self) -> None:
        from adapters.fhir.primitives import PRIMITIVES

        named = {m.type for s in STRUCTURES.values() for m in s.members.values()}
        assert named - PRIMITIVES.keys() - STRUCTURES.keys() == {"Resource"}

    def test_the_examples_of_r4_have_no_other_structure(self, reference_dir: Path) -> None:
        """Examples of others break Sightline's own rules (status, label); nothing else of them is refused."""
        refused = {}
        for path in sorted((reference_dir / "reference/fhir-examples").glob("*.json")):
            body = json.loads(path.read_text())
            if body["resourceType"] in STRUCTURES:
                try:
                    check(body)
                except InvalidResource as error:
                    refused[path.name] = str(error)
        assert {name for name, text in refused.items() if "sightline-" not in text} == set()
        assert len(refused) < len(list((reference_dir / "reference/fhir-examples").glob("*.json")))

"""A report as FHIR: R4's own rules, SAFETY sections 1, 3 and 6, and what the fhir.resources models do not check."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir import systems
from adapters.fhir.device import ModelCard
from adapters.fhir.report import resources
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Patient
from cds.domain.recommendation import NothingToSay
from cds.domain.report import Report
from cds.domain.verification import Agreement, Verdict
from cds.errors import InvalidResource
from tests.unit.fhir_samples import (
    BLEED,
    DENSITY,
    DRAWN,
    HEAD,
    LAA,
    PATIENT,
    PATIENT_ID,
    PERCENTILE,
    PUBLIC_ID,
    REFUSAL,
    STUDY,
    STUDY_UID,
    SYSTEMS,
    UNMATCHED,
    bodies,
    emitted,
    report,
    samples,
)
from tests.unit.opinions import compared, verified

#: R4 value sets with a required binding, which the models do not enforce.
REQUIRED = {
    ("DiagnosticReport", "status"): {"preliminary", "entered-in-error"},
    ("Observation", "status"): {"preliminary", "entered-in-error"},
    ("RiskAssessment", "status"): {"preliminary", "entered-in-error"},
    ("ServiceRequest", "status"): {"draft", "completed", "revoked", "entered-in-error"},
    ("ServiceRequest", "intent"): {"proposal"},
    ("Task", "status"): {"requested", "accepted", "rejected", "completed", "entered-in-error"},
    ("Flag", "status"): {"active", "inactive", "entered-in-error"},
    ("Device", "status"): {"active"},
    ("Patient", "gender"): {"male", "female", "other", "unknown"},
}
_PEOPLE = {"Practitioner", "PractitionerRole", "Organization", "CareTeam"}
#: R4 reference targets, from the StructureDefinitions, where Sightline names one.
TARGETS = {
    ("DiagnosticReport", "basedOn"): {"CarePlan", "MedicationRequest", "NutritionOrder", "ServiceRequest"},
    ("DiagnosticReport", "performer"): _PEOPLE,
    ("DiagnosticReport", "imagingStudy"): {"ImagingStudy"},
    ("DiagnosticReport", "result"): {"Observation"},
    ("DiagnosticReport", "subject"): {"Patient", "Group", "Device", "Location"},
    ("Observation", "performer"): _PEOPLE | {"Patient", "RelatedPerson"},
    ("Observation", "device"): {"Device", "DeviceMetric"},
    ("Observation", "derivedFrom"): {"DocumentReference", "ImagingStudy", "Media", "Observation"},
    ("Observation", "subject"): {"Patient", "Group", "Device", "Location"},
    ("RiskAssessment", "subject"): {"Patient", "Group"},
    ("Provenance", "who"): {"Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device", "Organization"},
}


def variants() -> list[Report]:
    """Reports of every shape that the domain allows."""
    present = replace(LAA, presence=Presence.PRESENT, value=None, confidence=0.875)
    negative = replace(LAA, presence=Presence.NOT_DETECTED, value=None)
    unseen = replace(LAA, presence=Presence.NOT_EVALUATED, value=None, reason="too noisy")
    return [
        report(),
        report(version=3),
        report(REFUSAL),
        report(replace(DENSITY, findings=(present, replace(negative, key="n"), replace(unseen, key="u")))),
        report(advice=(NothingToSay("emphysema", "no emphysema"),)),
        report(match=UNMATCHED, advice=()),
        report(match=UNMATCHED, patient=None, advice=()),
        report(study=replace(STUDY, study_date=None)),
        report(patient=Patient((), id=PATIENT_ID)),
        replace(verified(report(), Verdict.CORRECTED), episode=3),
        compared(report(), Agreement.DISCORDANT),
        *samples().values(),
    ]


def references(value: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Reference in a body with the name of the member that holds it."""
    if isinstance(value, dict):
        if "reference" in value or value.get("type") in ("ImagingStudy", "ServiceRequest", "Organization"):
            yield path, value
        for name, member in value.items():
            yield from references(member, name)
    elif isinstance(value, list):
        for member in value:
            yield from references(member, path)


class TestEveryResource:
    """What holds for all of them, whatever the report."""

    def test_codes_of_required_bindings_are_of_their_value_sets(self) -> None:
        for said in variants():
            for resource in emitted(said):
                for (resource_type, name), allowed in REQUIRED.items():
                    if resource.type == resource_type:
                        assert resource.body[name] in allowed

    def test_references_point_at_types_that_r4_allows_and_at_resources_that_exist(self) -> None:
        for said in variants():
            all_of_them = emitted(said)
            known = {f"{r.type}/{r.id}" for r in all_of_them}
            for resource in all_of_them:
                for name, reference in references(resource.body):
                    target = reference.get("type") or reference["reference"].partition("/")[0]
                    named = reference.get("reference", "").partition("/_history/")[0]
                    assert target in TARGETS.get((resource.type, name), {target}), (resource.type, name)
                    assert "reference" not in reference or named in known

    def test_ids_are_unique_fhir_ids_without_the_study_uid(self) -> None:
        for said in variants():
            ids = [(r.type, r.id) for r in emitted(said)]
            assert len(set(ids)) == len(ids)
            assert all(r.id == r.body["id"] and len(r.id) == 36 and STUDY_UID not in r.id for r in emitted(said))

    def test_versions_are_left_to_the_store(self) -> None:
        for resource in emitted(report(version=2)):
            assert not {"versionId", "lastUpdated"} & set(resource.body.get("meta", {}))

    def test_no_member_is_empty(self) -> None:
        def check(value: object) -> None:
            assert value not in (None, "", [], {})
            for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                check(member)

        for said in variants():
            for resource in emitted(said):
                check(resource.body)

    def test_what_an_ai_asserted_says_so(self) -> None:
        label = {"system": systems.AI_ASSERTED.system, "code": "AIAST", "display": "Artificial Intelligence asserted"}
        said = replace(samples()["follow-up accepted"], outcomes=(DENSITY, HEAD), critical=("head_bleed.haemorrhage",))
        labelled = {r.type for r in emitted(said) if r.body.get("meta") == {"security": [label]}}
        assert labelled == {"DiagnosticReport", "Observation", "RiskAssessment", "ServiceRequest", "Task", "Flag"}

    def test_the_label_and_the_codes_are_those_of_the_reference(self, reference_dir: Path) -> None:
        summary = json.loads((reference_dir / "reference" / "profiles/ai_transparency_ig_summary.json").read_text())
        label = systems.AI_ASSERTED
        assert summary["label"] == {"system": label.system, "code": label.code, "display": label.display}
        dicom = json.loads((reference_dir / "reference" / "terminology/dicom_dcm_codes.json").read_text())
        assert {"code": systems.CERTAINTY.code, "display": systems.CERTAINTY.display} in [
            {"code": c["code"], "display": c["display"]} for c in dicom["codes"]
        ]

    def test_index_columns_name_the_patient_and_the_identifiers_of_the_body(self) -> None:
        found = {r.type: r for r in emitted(report())}
        assert {r.patient_id for r in found.values() if r.type != "Device"} == {PATIENT_ID}
        assert found["Device"].patient_id is None
        assert found["DiagnosticReport"].identifiers == (("urn:sightline:report", PUBLIC_ID),)
        assert found["Patient"].identifiers == (
            ("https://hospital.example/mrn", "12345"),
            ("urn:sightline:authority:Other%20Clinic", "9"),
        )


class TestDiagnosticReport:
    """Preliminary, under its own code, and never the radiologist's."""

    def test_it_has_its_own_code_category_and_identifier(self) -> None:
        [body] = bodies(report(), "DiagnosticReport")
        assert body["status"] == "preliminary"
        assert body["code"]["coding"] == [
            {"system": "urn:sightline:codes", "code": "ai-analysis", "display": "AI analysis of imaging study"}
        ]
        assert [concept["coding"][0]["code"] for concept in body["category"]] == ["RAD", "LP29684-5"]
        assert body["identifier"] == [{"system": "urn:sightline:report", "value": PUBLIC_ID}]
        assert body["performer"] == [{"type": "Organization", "display": "Sample Hospital"}]
        assert (body["effectiveDateTime"], body["issued"]) == ("2026-03-04", "2026-03-05T10:11:12Z")

    def test_it_names_order_and_study_by_their_identifiers(self) -> None:
        [body] = bodies(report(), "DiagnosticReport")
        [order], [study] = body["basedOn"], body["imagingStudy"]
        assert order["identifier"]["type"]["coding"][0]["code"] == "ACSN"
        assert (order["identifier"]["system"], order["identifier"]["value"]) == ("urn:sightline:accession:RIS", "ACC1")
        assert study["identifier"] == {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}

    def test_the_moment_of_the_images_is_used_where_it_is_known(self) -> None:
        at = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
        [body] = bodies(report(study=replace(STUDY, started_at=at)), "DiagnosticReport")
        assert body["effectiveDateTime"] == "2026-03-04T09:30:00Z"

    def test_it_carries_itself_as_html_and_pdf_with_size_and_hash(self) -> None:
        [main] = [r.body for r in emitted(report(), forms=DRAWN) if r.type == "DiagnosticReport"]
        html, pdf = main["presentedForm"]
        assert (html["contentType"], pdf["contentType"]) == ("text/html", "application/pdf")
        for form in (html, pdf):
            data = base64.b64decode(form["data"])
            assert form["size"] == len(data)
            # R4 Attachment.hash: SHA-1 of the data before base64, in base64.
            assert base64.b64decode(form["hash"]) == hashlib.sha1(data, usedforsecurity=False).digest()
            assert (form["language"], form["creation"]) == ("en", "2026-03-05T10:11:12Z")
            assert form["title"] == "AI analysis of imaging study, version 1, preliminary"
        assert base64.b64decode(html["data"]).startswith(b"<!DOCTYPE html>")
        assert base64.b64decode(pdf["data"]).startswith(b"%PDF-")
        assert "presentedForm" not in bodies(report(), "DiagnosticReport")[0]

    def test_the_same_report_gives_the_same_bytes(self) -> None:
        for said in samples().values():
            assert [r.body for r in emitted(said, forms=DRAWN)] == [r.body for r in emitted(said, forms=DRAWN)]

    def test_its_documents_name_nobody_whose_images_these_may_not_be(self) -> None:
        said = report(HEAD, match=UNMATCHED, advice=())
        [main] = [r.body for r in emitted(said, forms=DRAWN) if r.type == "DiagnosticReport"]
        html, pdf = (base64.b64decode(form["data"]) for form in main["presentedForm"])
        assert b"Intracranial hemorrhage" in html
        assert not [name for name in (b"Unmistakable", b"12345", b"ACC1") if name in html]
        assert [form.data for form in DRAWN(replace(said, patient=None))] == [html, pdf]

    def test_a_finding_that_is_there_is_a_conclusion_code_where_its_code_is_verified(self) -> None:
        [main] = bodies(samples()["positive"], "DiagnosticReport")
        [concluded] = main["conclusionCode"]
        assert concluded["coding"] == [
            {"system": "http://snomed.info/sct", "code": "1386000", "display": "Intracranial hemorrhage"}
        ]

    @pytest.mark.parametrize(
        "kind", ["not detected", "a finding that was not evaluated", "measured, with a risk", "rejected", "discordant"]
    )
    def test_nothing_else_is_a_conclusion_code(self, kind: str) -> None:
        [main] = bodies(samples()[kind], "DiagnosticReport")
        assert "conclusionCode" not in main

    def test_what_a_radiologist_confirmed_stays_a_conclusion_code_whatever_a_report_says(self) -> None:
        said = verified(compared(report(HEAD, advice=()), Agreement.DISCORDANT), Verdict.CONFIRMED)
        assert bodies(said, "DiagnosticReport")[0]["conclusionCode"]

    def test_a_code_that_nobody_verified_is_no_conclusion_code(self) -> None:
        odd = replace(BLEED, code=Coding("http://snomed.info/sct", "138875005", "SNOMED CT Concept"))
        [main] = bodies(report(replace(HEAD, findings=(odd,)), advice=()), "DiagnosticReport")
        assert "conclusionCode" not in main

    def test_it_has_every_element_of_the_us_core_note_profile_that_applies(self, reference_dir: Path) -> None:
        profile = json.loads((reference_dir / "reference/profiles/us-core-diagnosticreport-note.json").read_text())
        wanted = {
            element["path"].partition(".")[2].removesuffix("[x]")
            for element in profile["differential"]["element"]
            if element.get("mustSupport")
        }
        [main] = [r.body for r in emitted(report(), forms=DRAWN) if r.type == "DiagnosticReport"]
        there = {name for name in wanted if any(element.startswith(name) for element in main)}
        # No order of ours carries an encounter, and no person has interpreted the results.
        assert wanted - there == {"encounter", "resultsInterpreter"}

    def test_an_unknown_date_is_said_to_be_unknown(self) -> None:
        [body] = bodies(report(study=replace(STUDY, study_date=None)), "DiagnosticReport")
        assert body["_effectiveDateTime"]["extension"][0]["valueCode"] == "unknown"

    def test_its_conclusion_says_what_was_measured_what_to_do_and_what_it_is_not(self) -> None:
        [body] = bodies(report(version=2), "DiagnosticReport")
        lines = body["conclusion"].splitlines()
        assert lines[:3] == [
            "AI output, preliminary, advisory; not a radiology report.",
            "Version 2, replaces version 1.",
            "Low attenuation area below -950 HU: 12.5 %, measured by ct_lung_density 1.0.0, threshold 6 %.",
        ]
        assert "15th percentile of lung density: -955 HU, measured by ct_lung_density 1.0.0." in lines
        assert any(line.startswith("Recommendation: Spirometry (by 2026-06-04): ") for line in lines)
        assert "Could not be told: Screening: unknown age (missing: birth date)." in lines

    def test_its_conclusion_gives_the_reasons_of_a_refusal_and_no_number(self) -> None:
        [body] = bodies(report(REFUSAL, advice=()), "DiagnosticReport")
        assert body["conclusion"].splitlines()[1:] == [
            "Not evaluated by ct_lung_density 1.0.0: the lungs are not covered; only 3 slices."
        ]

    def test_a_negative_excludes_nothing(self) -> None:
        negative = replace(LAA, presence=Presence.NOT_DETECTED, value=None)
        [body] = bodies(report(replace(DENSITY, findings=(negative,))), "DiagnosticReport")
        assert "not detected by ct_lung_density 1.0.0 at threshold 6 %; does not exclude" in body["conclusion"]


class TestObservation:
    """One per finding, with its device, threshold, gates and limits."""

    def test_a_measurement_has_value_unit_device_and_limits(self) -> None:
        first, second = bodies(report(), "Observation")
        [device] = bodies(report(), "Device")
        assert first["valueQuantity"] == {
            "value": 12.5,
            "unit": "%",
            "system": "http://unitsofmeasure.org",
            "code": "%",
        }
        assert (second["valueQuantity"]["unit"], second["valueQuantity"]["code"]) == ("HU", "[hnsf'U]")
        assert first["device"]["reference"] == f"Device/{device['id']}"
        assert first["category"][0]["coding"][0]["code"] == "imaging"
        assert first["component"][0]["valueQuantity"]["value"] == 6.0
        assert [n["text"] for n in first["note"]] == ["Checked: slice thickness: 1.25 mm", "Limit: no contrast only"]
        assert "dataAbsentReason" not in first

    def test_a_refusal_has_no_value_and_the_reason(self) -> None:
        [body] = bodies(report(REFUSAL, advice=()), "Observation")
        assert body["dataAbsentReason"]["coding"][0]["code"] == "not-performed"
        assert body["note"] == [{"text": "Not evaluated: the lungs are not covered; only 3 slices"}]
        assert not [name for name in body if name.startswith("value")]

    def test_a_finding_that_was_not_evaluated_never_shows_a_value(self) -> None:
        finding = replace(LAA, presence=Presence.NOT_EVALUATED, reason="too noisy")
        [body] = bodies(report(replace(DENSITY, findings=(finding,)), advice=()), "Observation")
        assert "valueQuantity" not in body
        assert body["note"][0] == {"text": "Not evaluated: too noisy"}

    @pytest.mark.parametrize(
        ("presence", "value", "interpretation"),
        [(Presence.PRESENT, "260373001", "DET"), (Presence.NOT_DETECTED, "260415000", "ND")],
    )
    def test_presence_is_a_coded_value_and_an_interpretation(
        self, presence: Presence, value: str, interpretation: str
    ) -> None:
        finding = replace(LAA, presence=presence, value=None, confidence=0.875)
        [body] = bodies(report(replace(DENSITY, findings=(finding,)), advice=()), "Observation")
        assert body["valueCodeableConcept"]["coding"][0]["code"] == value
        assert body["interpretation"][0]["coding"][0]["code"] == interpretation
        certainty = next(c for c in body["component"] if c["code"]["coding"][0]["code"] == "111012")
        assert (certainty["valueQuantity"]["value"], certainty["valueQuantity"]["code"]) == (87.5, "%")

    def test_how_much_of_a_finding_there_is_is_a_component_and_its_value_whether_it_is_there(self) -> None:
        [body] = bodies(samples()["positive"], "Observation")
        assert body["valueCodeableConcept"]["coding"][0]["code"] == "260373001"
        parts = {part["code"]["coding"][0]["code"]: part for part in body["component"]}
        assert list(parts) == ["size", "threshold", "111012", "112002", "key-image"]
        assert parts["size"]["valueQuantity"]["value"] == 1.6
        assert parts["key-image"]["valueString"] == BLEED.key_sop_instance_uid
        assert body["extension"] == [{"url": systems.CONFIDENCE_EXTENSION, "valueDecimal": 0.94}]

    def test_what_is_no_length_area_or_volume_is_no_size(self) -> None:
        scored = replace(BLEED, value=Quantity(0.7, "1"))
        [body] = bodies(report(replace(HEAD, findings=(scored,)), advice=()), "Observation")
        assert body["component"][0]["code"]["coding"][0]["code"] == "measured"

    def test_a_negative_has_no_confidence_in_a_finding_that_is_not_there(self) -> None:
        [body] = bodies(samples()["not detected"], "Observation")
        assert "extension" not in body

    @pytest.mark.parametrize("number", [math.nan, math.inf])
    def test_a_number_that_is_none_is_refused_loudly(self, number: float) -> None:
        finding = replace(LAA, value=Quantity(number, "%"))
        with pytest.raises(InvalidResource, match="finite"):
            emitted(report(replace(DENSITY, findings=(finding,))))

    def test_a_model_that_answers_twice_makes_two_observations(self) -> None:
        first, second = bodies(report(DENSITY, replace(DENSITY, findings=(LAA,))), "Observation")[::2]
        assert first["id"] != second["id"]

    def test_the_id_depends_on_the_finding_and_not_on_the_series(self) -> None:
        moved = replace(DENSITY, findings=(replace(LAA, series_instance_uid="1.2.3"), PERCENTILE))
        before, after = bodies(report(), "Observation"), bodies(report(moved, version=2), "Observation")
        assert [body["id"] for body in before] == [body["id"] for body in after]


class TestDeviceAndProvenance:
    """Which model, which version, from what."""

    def test_a_device_is_the_same_for_every_study(self) -> None:
        other = replace(STUDY, public_id="11111111-1111-4111-8111-111111111111", study_instance_uid="1.2.3")
        assert bodies(report(), "Device") == bodies(report(REFUSAL, study=other, version=4), "Device")
        newer = replace(DENSITY, version="1.1.0")
        assert bodies(report(newer), "Device")[0]["id"] != bodies(report(), "Device")[0]["id"]

    def test_a_device_is_an_artificial_intelligence_with_model_and_version(self) -> None:
        [body] = bodies(report(), "Device")
        assert body["type"]["coding"][0]["code"] == "Artificial-Intelligence"
        assert body["deviceName"] == [{"name": "ct_lung_density", "type": "model-name"}]
        assert body["version"] == [{"value": "1.0.0"}]
        assert body["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "Medical-Image-Analysis"

    def test_a_device_carries_its_card_and_the_digest_of_its_files(self) -> None:
        card = ModelCard("Lung density", "Measures the lung.", ("no contrast",), ("on phantoms",), ("a paper",), "ab12")
        said = resources(report(), identifier_systems=SYSTEMS, site_name="S", cards={"ct_lung_density:1.0.0": card})
        [body] = [r.body for r in said if r.type == "Device"]
        assert body["deviceName"][1] == {"name": "Lung density", "type": "user-friendly-name"}
        assert body["version"][0] == {"value": "1.0.0"}
        assert body["version"][1]["type"]["coding"][0]["code"] == "model-sha256"
        assert body["version"][1]["value"] == "ab12"
        assert body["note"][1]["text"].splitlines() == [
            "# Lung density", "", "## Intended use", "", "Measures the lung.", "", "## Limits", "", "- no contrast", "",
            "## Performance", "", "- on phantoms", "", "## Sources", "", "- a paper",
        ]  # fmt: skip
        assert body["safety"] == [{"text": body["note"][0]["text"]}]

    def test_the_card_of_another_version_is_not_its_card(self) -> None:
        card = ModelCard("Lung density", "Measures the lung.")
        said = resources(report(), identifier_systems=SYSTEMS, site_name="S", cards={"ct_lung_density:0.9.0": card})
        assert [r.body for r in said if r.type == "Device"] == bodies(report(), "Device")

    def test_provenance_names_the_models_the_images_and_every_input(self) -> None:
        [body] = bodies(report(), "Provenance")
        targets = {t["reference"].partition("/")[0] for t in body["target"]}
        assert targets == {"DiagnosticReport", "Observation", "RiskAssessment", "Task"}
        assert body["agent"][0]["who"]["display"] == "ct_lung_density 1.0.0"
        assert body["agent"][0]["role"][0]["coding"][0]["code"] == "Artificial-Intelligence"
        assert body["reason"][0]["coding"][0]["code"] == "AIAST"
        assert {e["role"] for e in body["entity"]} == {"source"}
        used = [entity["what"] for entity in body["entity"]]
        assert {"display": "smoking status: former (no date, FHIR prefetch)"} in used
        assert {"display": "pack-years: 30 (2026-01-02, HL7 LAB|HOSPITAL)"} in used


class TestRiskAssessment:
    """Only what could be evaluated, with what it rests on."""

    def test_a_score_has_method_basis_probability_in_percent_and_inputs(self) -> None:
        [body] = bodies(report(), "RiskAssessment")
        observation = bodies(report(), "Observation")[0]
        [prediction] = body["prediction"]
        assert body["method"]["coding"][0]["code"] == "plco-test"
        assert body["basis"] == [
            {"reference": f"Observation/{observation['id']}"},
            {"display": "pack-years: 30 (2026-01-02, HL7 LAB|HOSPITAL)"},
        ]
        assert body["performer"]["type"] == "Device"
        assert prediction["probabilityDecimal"] == 2.5
        assert prediction["qualitativeRisk"]["text"] == "2.5 % over 6 years"
        assert prediction["whenPeriod"] == {"start": "2026-03-05", "end": "2032-03-05"}
        assert body["note"] == [{"text": "Source: USPSTF 2021, https://doi.org/10.1001/jama.2021.1117"}]

    def test_a_score_without_value_makes_none(self) -> None:
        assert len(bodies(report(), "RiskAssessment")) == 1


def test_a_body_that_r4_does_not_allow_is_refused_by_place_and_not_by_value() -> None:
    odd = Finding("x", Coding("not a uri at all", "c", "Unmistakable"), Presence.MEASURED, Quantity(1.0, "%"))
    spoiled = replace(PATIENT, id="no id: Unmistakable")
    with pytest.raises(InvalidResource) as refused:
        emitted(report(Findings("m", "1", "1.2", (odd,)), patient=spoiled))
    assert "does not conform to R4 at" in str(refused.value)
    assert "Unmistakable" not in str(refused.value)
    assert refused.value.__cause__ is None

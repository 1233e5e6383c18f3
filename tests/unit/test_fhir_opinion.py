"""What people said of findings stands beside them in FHIR, and signs nothing (SAFETY section 3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cds.domain.report import Report
from cds.domain.verification import Agreement, Verdict
from tests.unit.fhir_samples import DENSITY, bodies, emitted, report
from tests.unit.opinions import compared, verified

WORDS = {
    Verdict.CONFIRMED: "A radiologist (dr.grey) confirmed this finding on 2026-03-06 07:45 UTC: motion.",
    Verdict.REJECTED: "A radiologist (dr.grey) rejected this finding on 2026-03-06 07:45 UTC: motion.",
    Verdict.CORRECTED: "A radiologist (dr.grey) corrected this finding on 2026-03-06 07:45 UTC to 9.5 %: motion.",
}
AGREEMENTS = {
    Agreement.AGREES: "Agrees with the radiologist's report of 2026-03-05.",
    Agreement.DISCORDANT: "Contradicted by the radiologist's report of 2026-03-05: the report codes it as absent.",
    Agreement.NOT_COMPARABLE: (
        "Not comparable with the radiologist's report of 2026-03-05: the report codes it as absent."
    ),
}


def verifications(said: Report) -> list[dict[str, Any]]:
    """The Provenances that a person's word made."""
    return [body for body in bodies(said, "Provenance") if "activity" in body]


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verification_is_a_note_with_author_and_time_and_the_value_stays_the_models(verdict: Verdict) -> None:
    said = verified(report(), verdict)
    first, second = bodies(said, "Observation")
    assert first["note"][-1] == {
        "authorString": "dr.grey",
        "time": "2026-03-06T07:45:00Z",
        "text": WORDS[verdict],
    }
    assert (first["valueQuantity"]["value"], first["status"]) == (12.5, "preliminary")
    assert second == bodies(report(), "Observation")[1]
    [main] = bodies(said, "DiagnosticReport")
    assert main["status"] == "preliminary"
    assert f"Low attenuation area below -950 HU: {WORDS[verdict]}" in main["conclusion"].splitlines()


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verification_is_an_extension_that_a_program_reads(verdict: Verdict) -> None:
    first, second = bodies(verified(report(), verdict), "Observation")
    [found] = first["extension"]
    assert found["url"] == "urn:sightline:finding-verification"
    parts = {part["url"]: part for part in found["extension"]}
    assert parts["verdict"]["valueCode"] == verdict.value
    assert parts["verifier"]["valueReference"]["display"] == "dr.grey"
    assert parts["role"]["valueString"] == "radiologist"
    assert parts["at"]["valueDateTime"] == "2026-03-06T07:45:00Z"
    assert parts.get("corrected", {}).get("valueQuantity", {}).get("value") == (
        9.5 if verdict is Verdict.CORRECTED else None
    )
    assert "extension" not in second


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verification_has_a_provenance_of_its_own(verdict: Verdict) -> None:
    said = verified(report(), verdict)
    [body] = verifications(said)
    [agent] = body["agent"]
    assert body["target"] == [{"reference": f"Observation/{bodies(said, 'Observation')[0]['id']}"}]
    assert body["recorded"] == "2026-03-06T07:45:00Z"
    assert body["activity"]["text"] == f"Finding {verdict.value}"
    assert agent["type"]["coding"][0]["code"] == "verifier"
    assert agent["role"] == [{"text": "radiologist"}]
    assert (agent["who"]["type"], agent["who"]["display"]) == ("Practitioner", "dr.grey")
    assert agent["who"]["identifier"]["value"] == "dr.grey"
    assert agent["onBehalfOf"]["display"] == "Sample Hospital"


def test_the_provenance_of_a_verification_keeps_its_id_over_versions() -> None:
    first, second = (verifications(verified(report(version=v), Verdict.CONFIRMED))[0]["id"] for v in (1, 2))
    assert first == second


def test_a_model_that_answers_twice_has_both_observations_verified() -> None:
    both = verifications(verified(report(DENSITY, DENSITY), Verdict.CONFIRMED))
    assert len({body["id"] for body in both}) == len({body["target"][0]["reference"] for body in both}) == 2


def test_what_another_version_of_the_model_found_has_not_been_verified() -> None:
    said = verified(report(), Verdict.CONFIRMED, version="0.9.0")
    assert "dr.grey" not in json.dumps([r.body for r in emitted(said)])


@pytest.mark.parametrize("agreement", Agreement)
def test_how_a_finding_stands_to_the_radiologists_report_is_said(agreement: Agreement) -> None:
    said = compared(report(), agreement)
    assert bodies(said, "Observation")[0]["note"][-1] == {"text": AGREEMENTS[agreement]}
    [main] = bodies(said, "DiagnosticReport")
    assert f"Low attenuation area below -950 HU: {AGREEMENTS[agreement]}" in main["conclusion"].splitlines()


def test_the_radiologists_report_is_linked_by_its_accession_number_and_never_quoted() -> None:
    said = compared(report(), Agreement.AGREES)
    [body] = bodies(said, "Provenance")
    assert {
        "role": "source",
        "what": {
            "type": "DiagnosticReport",
            "identifier": {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v2-0203",
                            "code": "ACSN",
                            "display": "Accession ID",
                        }
                    ],
                    "text": "Accession ID",
                },
                "system": "urn:sightline:accession:RIS",
                "value": "ACC1",
                "assigner": {"display": "RIS"},
            },
            "display": "Radiology report of 2026-03-05",
        },
    } in body["entity"]
    assert "Unmistakable text" not in json.dumps([r.body for r in emitted(said)])


def test_everything_says_which_models_and_pathways_made_it() -> None:
    said = verified(report(), Verdict.CONFIRMED)
    made = {(r.type, r.made_by) for r in emitted(said)}
    model = "model:ct_lung_density"
    assert made == {
        ("Patient", ()),
        ("Device", ()),
        ("Observation", (model,)),
        ("RiskAssessment", ("pathway:emphysema", model)),
        ("Task", ("pathway:emphysema", model)),
        ("DiagnosticReport", (model, "pathway:emphysema", "pathway:p")),
        ("Provenance", (model, "pathway:emphysema", "pathway:p")),
        ("Provenance", (model,)),
    }

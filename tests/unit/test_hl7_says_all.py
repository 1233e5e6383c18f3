"""A site whose only sink is ORU^R01 is told everything that FHIR tells another: each statement is looked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest

from adapters.hl7.proof import prove
from adapters.hl7.report import oru
from adapters.hl7.segments import Envelope
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.identity import Identifier
from cds.domain.matching import Match, MatchState
from cds.domain.report import Audience, Release, Report
from cds.domain.verification import Agreement, Verdict
from tests.unit import fhir_samples
from tests.unit.opinions import FINAL, compared, verified
from tests.unit.oru_statements import Oru, Statement, statements

ENVELOPE = Envelope("M1", "SIGHTLINE", "Sample Hospital", "EHR", "SITE", "Europe/Berlin")

#: What FHIR says and ORU^R01 says otherwise, or keeps to itself, and why.
OTHERWISE = {
    "*.resourceType": "the segment says what it is",
    "*.id": "an id of our FHIR store; a receiver files by OBR-3, OBX-3 and OBX-4",
    "Observation.identifier.*": "likewise",
    "RiskAssessment.identifier.*": "likewise",
    "*.reference": "what stands in one message belongs together",
    "*.identifier.system": "HL7 v2 names the authority beside the number, where it is known by a URI in FHIR",
    "*.type": "the place in the message says what it is",
    "*.type.*": "the place in the message says what it is",
    "*.role": "likewise",
    "*.role.*": "likewise",
    "*.status": "OBR-25 and OBX-11: P, X where not evaluated; checked below",
    "DiagnosticReport.category.*": "OBR-24 RAD would file it among the radiologists' reports (SAFETY section 3)",
    "Observation.category.*": "OBR-4 says that it is an analysis of images",
    "Observation.interpretation.*": "DET is OBX-8 A and ND is SCT 260415000: table 0078 of 2.5.1 has neither",
    "Observation.dataAbsentReason.*": "OBX-11 X and the words `not evaluated`",
    "Patient.identifier.use": "PID-3 holds what is in use",
    "Patient.gender": "PID-8, table 0001; checked below",
    "Patient.deceasedBoolean": "PID-30 Y; that somebody lives is not said: it could be old; checked below",
    "Device.identifier.value": "OBX-17 and OBX-18: the model, and the model with its version",
    "Device.note.text": "the note under OBR says it in its own words; checked below",
    "Device.safety.text": "likewise",
    "Device.extension.*": "AI-LABEL: which kind of AI is FHIR's own detail",
    "Observation.extension.*": "the note under the OBX: who said what of it; OBX 111012: how sure the model is",
    "Task.*": "ORU^R01 tracks nothing: the recommendation stands in the conclusion, in words; checked there",
    "Provenance.reason.text": "AI-LABEL",
    "Provenance.activity.*": "the note under the OBX: who confirmed, rejected or corrected this finding",
    "Provenance.agent.onBehalfOf.*": "MSH-4 and OBX-23",
}
#: Old numbers reach other systems by their own ADT; a result under them would reach a chart that is closed.
NOT_SENT = ("old-number",)
#: HL7 v2 has the code, and says in another way what it means.
NAMED_OTHERWISE = ("Measured value of the finding",)

#: OBX-3 of what belongs to a finding and follows it.
DETAILS = ("AI-MEASURED", "AI-THRESHOLD", "111012", "363698007", "112002")

SITE = Coding("http://snomed.info/sct", "12738006", "Brain")
BLEED = Finding(
    key="bleed",
    code=Coding("http://snomed.info/sct", "1386000", "Intracranial hemorrhage"),
    presence=Presence.PRESENT,
    threshold=Quantity(0.5, "1"),
    confidence=0.9375,
    body_site=SITE,
    series_instance_uid="1.2.3.4",
    gates=("kernel: soft", "slice thickness: 1.25 mm"),
)
NODULE = Finding(
    key="nodule",
    code=Coding("http://snomed.info/sct", "427359005", "Solitary nodule of lung"),
    presence=Presence.NOT_DETECTED,
    value=Quantity(0.125, "1"),
    threshold=Quantity(0.5, "1"),
)
CALCIUM = Finding(
    key="calcium",
    code=Coding("http://loinc.org", "30526-8", "Calcium score"),
    presence=Presence.NOT_EVALUATED,
    reason="contrast medium",
)
HEAD = Findings("head_bleed", "2.1", "1.2.3.4", (BLEED, NODULE, CALCIUM), limits=("adults only", "no follow-up"))
REFUSAL = NotEvaluated("ct_bone", "0.9", ("sharp kernel", "few slices"), "kernel", "1.2.3.5")
PATIENT = replace(fhir_samples.PATIENT, deceased=True, former=(Identifier("old-number", "HOSPITAL"),))
WITHHELD = Release(frozenset({Audience.EHR}), ("referral: it waits for a radiologist's verification",))
DETACHED = Match(MatchState.DETACHED, ("the order was cancelled",), None, fhir_samples.PATIENT_ID)
STARTED = replace(fhir_samples.STUDY, started_at=datetime(2026, 3, 4, 8, 15, tzinfo=UTC))

REPORTS = {
    "measurements, a score and advice": fhir_samples.report(),
    "a detection, a negative, a refusal": fhir_samples.report(HEAD, REFUSAL, study=STARTED),
    "a later version": fhir_samples.report(version=3),
    "a verified finding": verified(fhir_samples.report(), Verdict.CONFIRMED),
    "a corrected finding": verified(fhir_samples.report(HEAD), Verdict.CORRECTED),
    "a rejected finding": verified(fhir_samples.report(), Verdict.REJECTED, reason=""),
    "beside a report that agrees": compared(fhir_samples.report(), Agreement.AGREES),
    "beside a report that contradicts": compared(fhir_samples.report(), Agreement.DISCORDANT),
    "beside a report that says nothing of it": replace(fhir_samples.report(), final_report=FINAL),
    "advice that is withheld": fhir_samples.report(release=WITHHELD),
    "an order that was cancelled": fhir_samples.report(match=DETACHED),
    "somebody who died, known by an old number": fhir_samples.report(patient=PATIENT),
    "two models that name their findings alike": fhir_samples.report(HEAD, replace(HEAD, model="other_bleed")),
}


def told(report: Report) -> Oru:
    return Oru(prove(oru(report, ENVELOPE)))


def otherwise(path: str) -> str:
    return next((pattern for pattern in OTHERWISE if fnmatchcase(path, pattern)), "")


def fhir(report: Report) -> list[tuple[str, Statement]]:
    return [one for resource in fhir_samples.emitted(report) for one in statements(resource.body)]


@pytest.mark.parametrize("kind", REPORTS)
def test_every_statement_of_the_fhir_resources_is_in_the_oru(kind: str) -> None:
    said = told(REPORTS[kind])
    hidden = (*NOT_SENT, *NAMED_OTHERWISE)
    looked_for = [(path, one) for path, one in fhir(REPORTS[kind]) if not otherwise(path) and one not in hidden]
    assert len(looked_for) > 40
    assert [(path, one) for path, one in looked_for if not said.says(one)] == []


def test_nothing_is_listed_as_said_otherwise_that_fhir_does_not_say() -> None:
    paths = {path for report in REPORTS.values() for path, _ in fhir(report)}
    assert set(OTHERWISE) - {otherwise(path) for path in paths} == set()


def test_what_is_looked_for_would_be_missed() -> None:
    """The walk can fail: a message of another report lacks what this one says."""
    said = told(REPORTS["measurements, a score and advice"])
    missed = [one for path, one in fhir(REPORTS["a detection, a negative, a refusal"]) if not said.says(one)]
    assert len([one for one in missed if not isinstance(one, str)]) > 5


@pytest.mark.parametrize("kind", REPORTS)
def test_an_observation_of_fhir_is_an_obx_of_the_same_status_value_and_model(kind: str) -> None:
    report, message = REPORTS[kind], told(REPORTS[kind]).message
    assert message.first("OBR").raw(25) == "P"
    of_models = [obx for obx in message.all("OBX") if obx.raw(17)]
    ours = [obx for obx in of_models if obx.text(3) not in DETAILS]
    measured = {obx.raw(4): obx for obx in of_models if obx.text(3) == "AI-MEASURED"}
    theirs = fhir_samples.bodies(report, "Observation")
    assert [obx.text(17, 2) for obx in ours] == [body["method"]["text"] for body in theirs]
    for obx, body in zip(ours, theirs, strict=True):
        assert body["status"] == "preliminary"
        assert obx.raw(11) == ("X" if "dataAbsentReason" in body else "P")
        marks = [mark["coding"][0]["code"] for mark in body.get("interpretation", [])]
        assert obx.raw(8) == ("A" if marks == ["DET"] else "")
        if "valueQuantity" in body:
            number = measured[obx.raw(4)] if obx.raw(2) == "CWE" else obx
            wanted = (body["valueQuantity"]["value"], body["valueQuantity"]["code"])
            assert (float(number.text(5)), number.text(6)) == wanted


def test_no_two_observations_of_a_message_are_filed_over_each_other() -> None:
    for report in REPORTS.values():
        names = [(obx.text(3), obx.raw(4)) for obx in told(report).message.all("OBX")]
        assert len(set(names)) == len(names)


def test_the_patient_is_the_same_and_old_numbers_and_a_life_that_may_have_ended_are_not_said() -> None:
    names = ("somebody who died, known by an old number", "measurements, a score and advice")
    died, lives = (told(REPORTS[name]).message.first("PID") for name in names)
    assert (died.raw(8), died.raw(30)) == ("F", "Y")
    assert "old-number" not in died.raw(3)
    assert lives.raw(30) == ""


def test_every_report_says_that_it_is_research_software_and_no_radiology_report() -> None:
    for report in REPORTS.values():
        note = told(report).message.all("NTE")[0].text(3)
        assert "not a radiology report" in note
        assert "Research software, not a cleared medical device." in note

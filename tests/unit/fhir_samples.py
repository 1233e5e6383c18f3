"""A report in the shapes that the FHIR tests need, and R4's own lists of codes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from adapters.fhir.report import Forms, no_forms, resources
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.follow_up import Acceptance, Answer
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.recommendation import (
    Advice,
    CouldNotTell,
    Indicator,
    InputUsed,
    PathwayOutcome,
    Recommendation,
    RiskResult,
    Source,
)
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.resource import NewResource
from cds.domain.revision import Revision, Work
from cds.domain.verification import Agreement, Verdict
from cds.render.forms import presented
from tests.unit.opinions import compared, verified

STUDY_UID = "1.2.826.0.1.3680043.8.498.1"
SERIES_UID = "1.2.826.0.1.3680043.8.498.2"
PUBLIC_ID = "6f9a0c3e-3f55-4a87-9d5c-2f1f3c7f8a10"
PATIENT_ID = "0d9f9d0e-1111-4c4c-8a8a-5a5a5a5a5a5a"
SYSTEMS = {"https://hospital.example/mrn": "HOSPITAL", "https://hospital.example/old-mrn": "HOSPITAL"}

PATIENT = Patient(
    identifiers=(Identifier("12345", "HOSPITAL"), Identifier("9", "Other Clinic")),
    name=HumanName("Unmistakable", "Quentina"),
    birth_date=date(1958, 4, 5),
    sex=Sex.FEMALE,
    deceased=False,
    id=PATIENT_ID,
)
ORDER = ServiceRequest(
    placer_order_number=Identifier("P1", "EHR"),
    filler_order_number=None,
    accession=Identifier("ACC1", "RIS"),
    patient=PATIENT.identifiers[0],
    status=OrderStatus.ACTIVE,
    id="order-1",
)
STUDY = Study(
    study_instance_uid=STUDY_UID,
    patient=PATIENT.identifiers[0],
    accession=ORDER.accession,
    patient_birth_date=PATIENT.birth_date,
    patient_sex=PATIENT.sex,
    study_date=date(2026, 3, 4),
    description="CT chest",
    modalities=("CT",),
    public_id=PUBLIC_ID,
    image_revision=1,
    match_revision=1,
)
LAA = Finding(
    key="laa-950",
    code=Coding("urn:sightline:codes", "laa-950", "Low attenuation area below -950 HU"),
    presence=Presence.MEASURED,
    value=Quantity(12.5, "%"),
    threshold=Quantity(6.0, "%"),
    body_site=Coding("http://snomed.info/sct", "39607008", "Lung structure"),
    series_instance_uid=SERIES_UID,
    gates=("slice thickness: 1.25 mm",),
)
PERCENTILE = Finding(
    key="perc15",
    code=Coding("urn:sightline:codes", "perc15", "15th percentile of lung density"),
    presence=Presence.MEASURED,
    value=Quantity(-955.0, "[hnsf'U]"),
)
DENSITY = Findings("ct_lung_density", "1.0.0", SERIES_UID, (LAA, PERCENTILE), limits=("no contrast only",))
REFUSAL = NotEvaluated("ct_lung_density", "1.0.0", ("the lungs are not covered", "only 3 slices"), gate="coverage")
SOURCE = Source("USPSTF 2021", "https://doi.org/10.1001/jama.2021.1117")
SCORE = RiskResult(
    score="plco-test",
    title="A published score",
    source=SOURCE,
    outcome="lung cancer",
    value="2.5 % over 6 years",
    probability=0.025,
    horizon_years=6,
    inputs=(InputUsed("pack-years", "30", date(2026, 1, 2), "HL7 LAB|HOSPITAL"),),
)
ADVICE = Advice(
    pathway="emphysema",
    title="Emphysema and smoking",
    summary="Emphysema on CT and no spirometry found.",
    indicator=Indicator.WARNING,
    source=SOURCE,
    recommendations=(
        Recommendation(
            key="spirometry",
            action="Spirometry",
            code=Coding("http://loinc.org", "81459-0", "Spirometry panel"),
            reason="Airflow limitation has not been looked for.",
            source=SOURCE,
            by=date(2026, 6, 4),
        ),
    ),
    inputs=(InputUsed("smoking status", "former", None, "FHIR prefetch"),),
    finding_keys=("laa-950",),
    risks=(SCORE, replace(SCORE, score="other", value=None, missing=("age",))),
)
MATCHED = Match(MatchState.MATCHED, ("accession number and issuer agree",), "order-1", PATIENT_ID)
EVERYBODY = Release(frozenset(Audience))
UNMATCHED = Match(MatchState.UNMATCHED, ("the images carry no accession number",))


def report(
    *outcomes: ModelOutcome,
    advice: tuple[PathwayOutcome, ...] = (ADVICE, CouldNotTell("p", "Screening", "unknown age", ("birth date",))),
    version: int = 1,
    match: Match = MATCHED,
    study: Study = STUDY,
    patient: Patient | None = PATIENT,
    release: Release = EVERYBODY,
) -> Report:
    """A report over the sample study; the density model's measurement where no outcome is given."""
    return Report(
        work=Work("dicom", STUDY_UID, Revision(1, 1, version)),
        version=version,
        study=study,
        match=match,
        patient=patient,
        order=ORDER,
        outcomes=outcomes or (DENSITY,),
        ehr=None,
        decision=Decision(advice, release, date(2026, 3, 5)),
        issued=datetime(2026, 3, 5, 10, 11, 12, tzinfo=UTC),
        replaces=version - 1 or None,
    )


def emitted(said: Report, previous: int | None = None, forms: Forms = no_forms) -> list[NewResource]:
    """The resources of a report at the sample site."""
    return resources(said, identifier_systems=SYSTEMS, site_name="Sample Hospital", previous=previous, forms=forms)


def bodies(said: Report, resource_type: str, previous: int | None = None) -> list[dict[str, Any]]:
    """The bodies of one type, in order."""
    return [r.body for r in emitted(said, previous) if r.type == resource_type]


#: Draws the documents of the sample site.
DRAWN: Forms = partial(presented, site_name="Sample Hospital", time_zone="Europe/Berlin")

BLEED = Finding(
    key="haemorrhage",
    code=Coding("http://snomed.info/sct", "1386000", "Intracranial hemorrhage"),
    presence=Presence.PRESENT,
    value=Quantity(1.6, "mL"),
    threshold=Quantity(0.5, "mL"),
    confidence=0.94,
    body_site=Coding("http://snomed.info/sct", "12738006", "Brain structure"),
    series_instance_uid=SERIES_UID,
    key_sop_instance_uid="1.2.826.0.1.3680043.8.498.3",
)
HEAD = Findings("head_bleed", "2.1.0", SERIES_UID, (BLEED,), limits=("adults alone",))
NO_BLEED = replace(HEAD, findings=(replace(BLEED, presence=Presence.NOT_DETECTED, value=None, confidence=0.02),))
UNCLEAR = replace(HEAD, findings=(replace(BLEED, presence=Presence.NOT_EVALUATED, value=None, reason="motion"),))
AT = datetime(2026, 3, 6, 9, 30, tzinfo=UTC)


def answered(said: Report, answer: Answer, reason: str = "") -> Report:
    """The report after a person's answer to its recommendation."""
    word = Acceptance(STUDY_UID, said.episode, "emphysema", "spirometry", answer, "dr.reed", "primary-care", AT, reason)
    return replace(said, acceptances=(replace(word, about=ADVICE.recommendations[0]),))


def samples() -> dict[str, Report]:
    """A report of every kind that goes out."""
    cancelled = Match(MatchState.DETACHED, ("the order was cancelled",), None, PATIENT_ID)
    started = replace(STUDY, started_at=datetime(2026, 3, 4, 9, 30, tzinfo=UTC))
    return {
        "measured, with a risk": report(),
        "a risk without a probability": report(
            advice=(replace(ADVICE, risks=(replace(SCORE, probability=None, value="eligible"),)),)
        ),
        "a later version": report(version=3),
        "positive": report(HEAD, advice=()),
        "not detected": report(NO_BLEED, advice=()),
        "a finding that was not evaluated": report(UNCLEAR, advice=()),
        "refused": report(REFUSAL, advice=()),
        "two models": report(DENSITY, HEAD, study=started),
        **{verdict.value: verified(report(HEAD, advice=()), verdict) for verdict in Verdict},
        **{agreement.value: compared(report(HEAD, advice=()), agreement) for agreement in Agreement},
        "test": replace(report(), test=True),
        "incomplete": report(study=replace(STUDY, incomplete="184 of 200 images of series 3")),
        "unknown patient": report(match=UNMATCHED, patient=None, advice=()),
        "a patient whom the images name alone": report(HEAD, match=UNMATCHED, advice=()),
        "cancelled order": report(HEAD, match=cancelled, advice=()),
        "no date": report(study=replace(STUDY, study_date=None)),
        **{f"follow-up {answer.value}": answered(report(), answer) for answer in Answer},
        "critical": replace(report(HEAD, advice=()), critical=("head_bleed.haemorrhage",)),
        "another episode": replace(report(), episode=2),
    }

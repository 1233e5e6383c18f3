"""A report to send, as plain values: one measured finding, one negative, one refusal, one recommendation."""

from __future__ import annotations

from datetime import UTC, date, datetime

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.imaging import Study
from cds.domain.matching import Match, MatchState
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.recommendation import Advice, CouldNotTell, Indicator, InputUsed, Recommendation, Source
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.revision import Revision, Work

SOURCE = Source("Guideline 2021", "https://doi.org/10.1001/jama.2021.1117")


def patient(family: str = "Probe", given: str = "Petra") -> Patient:
    """A patient with two identifiers."""
    numbers = (Identifier("9", "OTHER"), Identifier("4711", "CLINIC"))
    return Patient(numbers, HumanName(family, given), date(1961, 2, 3), Sex.FEMALE)


def findings() -> Findings:
    """What one model says: a number, a negative, and a thing that it could not judge."""
    laa = Finding("laa_950", Coding("http://example.test/codes", "LAA950", "Low attenuation area"), Presence.MEASURED,
                  value=Quantity(14.25, "%"), gates=("thickness: 1.0 mm",))  # fmt: skip
    nodule = Finding("nodule", Coding("http://snomed.info/sct", "427359005", "Solitary nodule"), Presence.NOT_DETECTED,
                     threshold=Quantity(0.5, "1"))  # fmt: skip
    calcium = Finding("calcium", Coding("http://loinc.org", "30526-8", "Calcium score"), Presence.NOT_EVALUATED,
                      reason="contrast medium")  # fmt: skip
    return Findings("ct_lung", "1.2.0", "1.2.3.4", (laa, nodule, calcium), limits=("research use",))


def advice(reason: str = "Emphysema with 30 pack-years.") -> Advice:
    """One recommendation with the value it rests on."""
    spirometry = Recommendation("spirometry", "Spirometry", Coding("http://loinc.org", "81459-0"), reason, SOURCE,
                                by=date(2026, 12, 1))  # fmt: skip
    used = InputUsed("pack-years", "30", date(2026, 5, 4), "HL7 LAB|CLINIC")
    return Advice("emphysema", "Emphysema", "Emphysema was measured.", Indicator.INFO, SOURCE, (spirometry,),
                  (used,), ("laa_950",))  # fmt: skip


def report(*, who: Patient | None = None, said: Advice | None = None, version: int = 1, refer: bool = True) -> Report:
    """A matched report; `version` above 1 replaces the one before."""
    audiences = frozenset({Audience.RADIOLOGIST, Audience.EHR} | ({Audience.REFERRAL} if refer else set()))
    unsure = CouldNotTell("screening", "Lung screening", "the quit date is unknown", ("quit date",), ("ask",))
    order = ServiceRequest(
        Identifier("P-1", "HIS"), Identifier("F-1", "RIS"), Identifier("ACC1", "CLINIC"), Identifier("4711", "CLINIC"),
        OrderStatus.ACTIVE,
    )  # fmt: skip
    study = Study(
        "1.2.3", Identifier("4711", "CLINIC"), order.accession, None, Sex.FEMALE, date(2026, 11, 1), "CT chest",
        ("CT",), "k3v9", 1, 1, datetime(2026, 11, 1, 8, 30, tzinfo=UTC),
    )  # fmt: skip
    return Report(
        work=Work("dicom", "1.2.3", Revision(1, 1, 1)),
        version=version,
        study=study,
        match=Match(MatchState.MATCHED, ("numbers agree",), "o", "p"),
        patient=who or patient(),
        order=order,
        outcomes=(findings(), NotEvaluated("ct_bone", "0.9", ("sharp kernel",), "kernel")),
        ehr=None,
        decision=Decision((said or advice(), unsure), Release(audiences), date(2026, 11, 1)),
        issued=datetime(2026, 11, 1, 9, 0, tzinfo=UTC),
        replaces=version - 1 or None,
    )

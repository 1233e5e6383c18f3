"""Reports on whose first finding a radiologist and the radiology report had their say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cds.domain.coding import Quantity
from cds.domain.finding import Findings
from cds.domain.identity import Identifier
from cds.domain.report import Report
from cds.domain.verification import Agreement, Comparison, FinalReport, FindingRef, Verdict, Verification

READ_AT = datetime(2026, 3, 6, 7, 45, tzinfo=UTC)
FINAL = FinalReport(
    accession=Identifier("ACC1", "RIS"),
    patient=Identifier("12345", "HOSPITAL"),
    status="final",
    issued=datetime(2026, 3, 5, 16, 0, tzinfo=UTC),
    source="RIS|HOSPITAL",
    received_at=datetime(2026, 3, 5, 16, 1, tzinfo=UTC),
    text="Unmistakable text of the radiologist.",
)


def first_finding(report: Report, version: str = "") -> FindingRef:
    """The first finding of the first model, in the version that found it unless another is named."""
    outcome = report.outcomes[0]
    assert isinstance(outcome, Findings)
    uid = report.study.study_instance_uid
    return FindingRef(uid, 1, outcome.model, version or outcome.version, outcome.findings[0].key)


def verified(report: Report, verdict: Verdict, *, version: str = "", reason: str = "motion") -> Report:
    """The report after Dr. Grey's word."""
    corrected = Quantity(9.5, "%") if verdict is Verdict.CORRECTED else None
    said = Verification(first_finding(report, version), verdict, "dr.grey", "radiologist", READ_AT, reason, corrected)
    return replace(report, verifications=(said,))


def compared(report: Report, agreement: Agreement, reason: str = "the report codes it as absent") -> Report:
    """The report beside the radiologist's."""
    comparison = Comparison(first_finding(report).name, agreement, reason)
    return replace(report, final_report=FINAL, decision=replace(report.decision, comparisons=(comparison,)))

"""A site whose models have read: studies, answers, verdicts and reports, written as the pipeline writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.quality import InputNumbers
from cds.domain.revision import Revision, Work
from cds.domain.verification import Agreement
from cds.store.quality import QualityStore
from cds.store.safety_tables import CriticalResultRow, VerificationRow
from cds.store.tables import ModelOutcomeRow, ReportRow, StudyRow
from cds.store.values import dump
from tests.databases import Databases

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
DAY = date(2026, 11, 21)
MODEL, VERSION = "head_bleed", "1.0"
CODE = Coding("http://example.org/codes", "bleed", "Bleed")


def uid(number: int) -> str:
    return f"1.2.826.{number}"


@dataclass(frozen=True)
class Case:
    """One study: when it was read, what the model said, and what people said to it."""

    number: int
    at: datetime
    there: bool = True
    verdict: str = ""
    agreement: Agreement | None = None
    refused: bool = False
    test: bool = False
    sex: str = "female"
    intensity: float = 40.0
    scanner: str = "Acme One"
    confidence: float = 0.8

    @property
    def outcome(self) -> ModelOutcome:
        if self.refused:
            return NotEvaluated(MODEL, VERSION, ("contrast",), "contrast")
        presence = Presence.PRESENT if self.there else Presence.NOT_DETECTED
        volume = Finding("volume", CODE, Presence.MEASURED, Quantity(4.0, "mL"))
        lesions = (
            Finding("bleed-1", CODE, presence, confidence=self.confidence),
            Finding("bleed-2", CODE, Presence.NOT_DETECTED, confidence=0.1),
        )
        return Findings(MODEL, VERSION, "1.2.1", (*lesions, volume))


def put(databases: Databases, *cases: Case) -> None:
    """Write the cases."""
    for case in cases:
        _study(databases, case)
        work = Work("dicom", uid(case.number), Revision(1, 1, 1))
        seen = InputNumbers({"intensity_p50": case.intensity, "slices": 30.0}, case.scanner)
        QualityStore(databases.app).saw(work, MODEL, VERSION, seen, case.at)


def _study(databases: Databases, case: Case) -> None:
    with databases.app.writing() as session:
        session.add(
            StudyRow(
                uid=uid(case.number),
                public_id=f"p{case.number}",
                source="dicom",
                sex=case.sex,
                birth_date=date(1960, 1, 1),
                study_date=case.at.date(),
                accession_issuer="RIS-N",
                image_revision=1,
                match_revision=1,
                analysis_run=1,
                revision_open=False,
                first_instance_at=case.at - timedelta(minutes=10),
                last_instance_at=case.at - timedelta(minutes=5),
            )
        )
        session.add(
            ModelOutcomeRow(
                study_uid=uid(case.number),
                image_revision=1,
                analysis_run=1,
                model=MODEL,
                version=VERSION,
                body=dump(ModelOutcome, case.outcome),
                at=case.at,
            )
        )
        session.add(_report(case))
        if case.verdict:
            session.add(
                VerificationRow(
                    study_uid=uid(case.number),
                    image_revision=1,
                    model=MODEL,
                    version=VERSION,
                    finding_key="bleed-1",
                    verdict=case.verdict,
                    actor="dr.grey",
                    role="radiologist",
                    at=case.at,
                )
            )


def _report(case: Case) -> ReportRow:
    """What quality reads of a report stands in it as in a whole one."""
    said = case.agreement.value if case.agreement else ""
    lesions = f'[{{"finding":"{MODEL}.bleed-1","agreement":"{said}","reason":""}},' if said else "["
    lesions += f'{{"finding":"{MODEL}.bleed-2","agreement":"agrees","reason":""}}]'
    body = f'{{"version":1,"decision":{{"outcomes":[],"comparisons":{lesions}}},"test":{str(case.test).lower()}}}'
    return ReportRow(work_id=f"w{case.number}", study_uid=uid(case.number), version=1, body=body, issued=case.at)


def critical(databases: Databases, number: int, created: datetime, acknowledged: datetime | None) -> None:
    """A critical result, open where nobody has acknowledged it."""
    with databases.app.writing() as session:
        session.add(
            CriticalResultRow(
                id=f"c{number}",
                token=f"t{number}",
                study_uid=uid(number),
                episode=1,
                work_id=f"w{number}",
                finding=f"{MODEL}.bleed-1",
                title="Bleed",
                category=1,
                route="ward",
                state="acknowledged" if acknowledged else "open",
                created_at=created,
                due_at=created,
                acknowledged_at=acknowledged,
            )
        )

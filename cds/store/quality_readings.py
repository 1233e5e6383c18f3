"""What the models came to, study by study, with what people said of it: read for the statistics of the quality page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, ModelOutcome, kind_of
from cds.domain.quality import InputNumbers, KindRead, Reading, is_there, truth
from cds.domain.series import age_years
from cds.domain.verification import Agreement, Comparison, Verdict
from cds.store.quality_tables import QualityInputRow
from cds.store.safety_tables import VerificationRow
from cds.store.tables import ModelOutcomeRow, ReportRow, StudyRow
from cds.store.values import parse

_AT_ONCE = 500
_NO_GATE = "not stated"


@dataclass(frozen=True, slots=True)
class Asked:
    """One version of a model, and the times between which it read, the first included."""

    model: str
    version: str
    after: datetime
    before: datetime


@dataclass(frozen=True, slots=True)
class _Decided:
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class _Said:
    """What quality wants of a report: the comparisons with the signed one, and whether it comes from a test message."""

    decision: _Decided
    test: bool = False

    def agreement(self, name: str) -> Agreement | None:
        return next((one.agreement for one in self.decision.comparisons if one.finding == name), None)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of some studies beside the model's own answer. Verdicts by study, image revision and finding."""

    studies: Mapping[str, StudyRow] = field(default_factory=dict)
    reports: Mapping[str, _Said] = field(default_factory=dict)
    verdicts: Mapping[tuple[str, int, str], VerificationRow] = field(default_factory=dict)
    inputs: Mapping[tuple[str, int, int], InputNumbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heard:
    """One version of a model, and when it read for the first and the last time."""

    model: str
    version: str
    first_at: datetime
    last_at: datetime


def versions(session: Session) -> Sequence[Heard]:
    """Every version of every model that ever read."""
    model, version, at = col(ModelOutcomeRow.model), col(ModelOutcomeRow.version), col(ModelOutcomeRow.at)
    found = select(model, version, sa.func.min(at), sa.func.max(at)).group_by(model, version).order_by(model, version)
    return [Heard(*row) for row in session.exec(found)]


def readings(session: Session, asked: Asked, site_of: Callable[[str, str], str]) -> Iterator[Reading]:
    """The newest answer on each study; none of test messages. `site_of` takes the issuers of accession and patient."""
    rows = session.exec(
        select(ModelOutcomeRow)
        .where(
            ModelOutcomeRow.model == asked.model,
            ModelOutcomeRow.version == asked.version,
            ModelOutcomeRow.at >= asked.after,
            ModelOutcomeRow.at < asked.before,
        )
        .order_by(col(ModelOutcomeRow.image_revision), col(ModelOutcomeRow.analysis_run))
    ).all()
    newest = {row.study_uid: row for row in rows}
    rows_of_studies = list(newest.values())
    for start in range(0, len(rows_of_studies), _AT_ONCE):
        some = rows_of_studies[start : start + _AT_ONCE]
        known = _known(session, asked, [row.study_uid for row in some])
        for row in some:
            if (said := known.reports.get(row.study_uid)) is None or not said.test:
                yield _reading(row, known, site_of)


def _known(session: Session, asked: Asked, studies: Sequence[str]) -> _Known:
    about = session.exec(select(StudyRow).where(col(StudyRow.uid).in_(studies))).all()
    reports = session.exec(
        select(ReportRow.study_uid, ReportRow.body)
        .where(col(ReportRow.study_uid).in_(studies))
        .order_by(col(ReportRow.version))
    ).all()
    newest = dict(reports)
    return _Known(
        {row.uid: row for row in about},
        {uid: parse(_Said, body) for uid, body in newest.items()},
        _verdicts(session, asked, studies),
        _inputs(session, asked, studies),
    )


def _verdicts(session: Session, asked: Asked, studies: Sequence[str]) -> Mapping[tuple[str, int, str], VerificationRow]:
    rows = session.exec(
        select(VerificationRow)
        .where(
            col(VerificationRow.study_uid).in_(studies),
            VerificationRow.model == asked.model,
            VerificationRow.version == asked.version,
        )
        .order_by(col(VerificationRow.id))
    ).all()
    return {(row.study_uid, row.image_revision, row.finding_key): row for row in rows}


def _inputs(session: Session, asked: Asked, studies: Sequence[str]) -> Mapping[tuple[str, int, int], InputNumbers]:
    rows = session.exec(
        select(QualityInputRow).where(
            col(QualityInputRow.study_uid).in_(studies),
            QualityInputRow.model == asked.model,
            QualityInputRow.version == asked.version,
        )
    ).all()
    return {
        (row.study_uid, row.image_revision, row.analysis_run): InputNumbers(
            parse(dict[str, float], row.numbers), row.scanner
        )
        for row in rows
    }


def _reading(row: ModelOutcomeRow, known: _Known, site_of: Callable[[str, str], str]) -> Reading:
    outcome: ModelOutcome = parse(ModelOutcome, row.body)
    study = known.studies.get(row.study_uid)
    seen = known.inputs.get((row.study_uid, row.image_revision, row.analysis_run), InputNumbers())
    evaluated = isinstance(outcome, Findings)
    return Reading(
        at=row.at,
        evaluated=evaluated,
        gate="" if isinstance(outcome, Findings) else outcome.gate or _NO_GATE,
        kinds=tuple(_kinds(row, outcome, known)) if isinstance(outcome, Findings) else (),
        sex=study.sex if study else "",
        age_years=age_years(study.birth_date, study.study_date) if study else None,
        site=site_of(study.accession_issuer, study.patient_assigner) if study else "",
        seen=seen,
    )


def _kinds(row: ModelOutcomeRow, outcome: Findings, known: _Known) -> Iterator[KindRead]:
    """One of each kind: lesions of a kind count as one in their study."""
    groups: dict[str, list[Finding]] = {}
    for finding in outcome.findings:
        groups.setdefault(kind_of(finding.key), []).append(finding)
    for kind, findings in groups.items():
        told = [_told(row, finding, known) for finding in findings]
        ours = _any([is_there(finding, finding.value) for finding in findings])
        true = _any([there for there, _ in told])
        score, unit = max((_score(finding) for finding in findings), key=lambda one: (one[0] is not None, one[0] or 0))
        by = next((by for there, by in told if there is true and by), "") if true is not None else ""
        yield KindRead(kind, findings[0].code.display or kind, ours, true, by, score, unit)


def _told(row: ModelOutcomeRow, finding: Finding, known: _Known) -> tuple[bool | None, str]:
    said = known.verdicts.get((row.study_uid, row.image_revision, finding.key))
    report = known.reports.get(row.study_uid)
    return truth(
        finding,
        Verdict(said.verdict) if said else None,
        parse(Quantity, said.corrected) if said and said.corrected else None,
        report.agreement(f"{row.model}.{finding.key}") if report else None,
    )


def _any(said: Sequence[bool | None]) -> bool | None:
    """True where one is; False where all are known not to be."""
    if any(one is True for one in said):
        return True
    return None if None in said else False


def _score(finding: Finding) -> tuple[float | None, str]:
    if finding.confidence is not None:
        return finding.confidence, ""
    return (finding.value.value, finding.value.unit) if finding.value else (None, "")

"""Radiology reports as the RIS signed them: kept as they came, and which of them counts now (SAFETY section 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from sqlmodel import Session, col, select

from cds.domain.identity import Identifier
from cds.domain.lifecycle import Effect, Event, row
from cds.domain.matching import ACCESSION_REUSE_WINDOW
from cds.domain.verification import FinalReport
from cds.store import patients, timeline
from cds.store.identity import members
from cds.store.safety_tables import FinalReportRow
from cds.store.tables import StudyRow
from cds.store.values import dump, parse

#: FHIR R4 diagnostic-report-status: what the radiologist signed, and what takes it back. Others are not signed yet.
SIGNED = frozenset({"final", "amended", "corrected", "appended"})
WITHDRAWN = frozenset({"cancelled", "entered-in-error"})
_MOMENT = timedelta(microseconds=1)
#: A day without a zone begins so long before it does in UTC, where it begins first.
_FIRST_ZONE = timedelta(hours=14)


def file_report(
    session: Session, report: FinalReport, patient_id: str, message_id: int | None, now: datetime
) -> str | None:
    """Keep a radiology report; answers the accession number whose studies are matched again, None for nothing new.

    A report that is not signed is not kept. The same content from the same sender is nothing new, unless the report
    was withdrawn in between.
    """
    if report.status not in SIGNED | WITHDRAWN:
        return None
    earlier = _filed(session, report.accession, patient_id)
    digest = _digest(report)
    if _repeats(report, digest, earlier):
        return None
    again = sum(one.id.startswith(digest) for one in earlier)
    kept = replace(report, id=f"{digest}-{again}" if again else digest)
    accession = report.accession.as_sent()
    session.add(
        FinalReportRow(
            id=kept.id,
            accession_number=accession.value,
            accession_issuer=accession.assigner,
            patient_id=patient_id,
            body=dump(FinalReport, kept),
            received_at=_behind(report.received_at, earlier),
            message_id=message_id,
        )
    )
    session.flush()
    effects = row(Event.FINAL_REPORT)
    if effects.does(Effect.LINK_FINAL_REPORT):
        _tell(session, kept, members(session, patient_id), now)
    return accession.value if effects.does(Effect.MATCH_AGAIN) else None


def newest(
    session: Session, accession: Identifier, patient_id: str, made: datetime | date | None = None
) -> FinalReport | None:
    """The signed report that counts for this accession number of this patient, whoever they were merged with.

    `made` is when the images were: a number that is used again brings reports of other images.
    """
    reports: list[FinalReport] = [parse(FinalReport, one.body) for one in _filed(session, accession, patient_id)]
    return _counting(reports, made)


def _is_about(report: FinalReport, made: datetime | date | None) -> bool:
    """True where a report came on the day of the images or within the window after it; if that is not known, too."""
    if made is None:
        return True
    if isinstance(made, datetime):
        day = made.replace(hour=0, minute=0, second=0, microsecond=0)
    else:
        day = datetime.combine(made, time.min, UTC) - _FIRST_ZONE
    return day <= (report.issued or report.received_at) <= day + ACCESSION_REUSE_WINDOW


def _counting(reports: Iterable[FinalReport], made: datetime | date | None) -> FinalReport | None:
    """Of reports in the order of their arrival: the newest by the time of its issue that was not withdrawn since."""
    standing: list[FinalReport] = []
    for report in reports:
        if report.status in WITHDRAWN:
            standing = [one for one in standing if _is_another(one, report)]
        else:
            standing.append(report)
    found: FinalReport | None = None
    for report in standing:
        if not _is_about(report, made):
            continue
        if found is None or not (report.issued and found.issued and report.issued < found.issued):
            found = report
    return found


def _is_another(report: FinalReport, withdrawn: FinalReport) -> bool:
    """True where a withdrawal speaks of another report of the same sender; in doubt it speaks of every one."""
    numbers = (report.identifier, withdrawn.identifier)
    return report.source == withdrawn.source and all(numbers) and numbers[0] != numbers[1]


def _filed(session: Session, accession: Identifier, patient_id: str) -> Sequence[FinalReportRow]:
    """Everything that came under this accession number about this patient, in the order of its arrival."""
    number = accession.as_sent()
    return session.exec(
        select(FinalReportRow)
        .where(
            FinalReportRow.accession_number == number.value,
            FinalReportRow.accession_issuer == number.assigner,
            col(FinalReportRow.patient_id).in_(members(session, patient_id)),
        )
        .order_by(col(FinalReportRow.received_at))
    ).all()


def _behind(received_at: datetime, earlier: Sequence[FinalReportRow]) -> datetime:
    """What is filed later stands behind what was there, whatever the clocks say."""
    return max([received_at, *(one.received_at + _MOMENT for one in earlier[-1:])])


def _repeats(report: FinalReport, digest: str, earlier: Sequence[FinalReportRow]) -> bool:
    if not any(one.id.startswith(digest) for one in earlier):
        return False
    last: FinalReport = parse(FinalReport, earlier[-1].body)
    return _digest(last) == digest or not {report.status, last.status} & WITHDRAWN


def _digest(report: FinalReport) -> str:
    """The same for the same content from the same sender, whenever it arrives."""
    said = replace(report, received_at=datetime.min, id="")
    return hashlib.sha256(dump(FinalReport, said).encode()).hexdigest()[:32]


def _tell(session: Session, report: FinalReport, whose: Sequence[str], now: datetime) -> None:
    """A line on each study with this accession number, unless its images name somebody else."""
    accession = report.accession.as_sent()
    rows = session.exec(
        select(StudyRow).where(
            StudyRow.accession_number == accession.value, StudyRow.accession_issuer == accession.assigner
        )
    ).all()
    withdrawn = report.status in WITHDRAWN
    what = "withdrawn" if withdrawn else "arrived"
    detail = (f"report {report.id[:8]}", *(() if withdrawn else ("worklist bump ends",)))
    for study in rows:
        if study.patient_value and _named(session, study) not in (None, *whose):
            continue
        if not withdrawn and not _is_about(report, study.started_at or study.study_date):
            continue
        outcome = f"radiologist's final report {what} ({report.source}, {report.status})"
        timeline.write(session, now, "final report", outcome, study_uid=study.uid, detail=detail)


def _named(session: Session, study: StudyRow) -> str | None:
    return patients.leaf(session, Identifier(study.patient_value, study.patient_assigner))

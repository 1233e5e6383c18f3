"""What people said: verifications of findings and radiology reports. Implements `cds.ports.Opinions`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from cds.domain.audit import AuditEvent
from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, ModelOutcome
from cds.domain.follow_up import Acceptance
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.lifecycle import Effect, Event, row
from cds.domain.report import Report
from cds.domain.verification import VERIFIERS, Agreement, FinalReport, FindingRef, Verdict, Verification
from cds.errors import Conflict, InsufficientData, InvalidInput, NotFound
from cds.store import acceptances, audit, criticals, final_reports, holds, patients, readings, timeline
from cds.store.engine import Database, lock
from cds.store.final_reports import file_report
from cds.store.orders import rematch_all, studies_with
from cds.store.safety_tables import VerificationRow
from cds.store.studies import locked, rematch
from cds.store.tables import HoldRow, ModelOutcomeRow, OrderRow, ReportRow, StudyRow
from cds.store.values import dump, parse

__all__ = ["OpinionStore", "StudyFindings", "file_report", "hold_discordance"]

_REPORT_CAME = "the radiologist's report came, changed or was withdrawn"


@dataclass(frozen=True, slots=True)
class StudyFindings:
    """The findings of a study's current images, and what people said of them. `report` is the newest version."""

    study_instance_uid: str
    image_revision: int
    outcomes: tuple[ModelOutcome, ...]
    verifications: tuple[Verification, ...]
    report: Report | None


class OpinionStore:
    """Verifications and radiology reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def verify(self, verification: Verification, now: datetime) -> bool:
        """Record what a radiologist says of a finding; False where the same person said the same before.

        InvalidInput for another role or a correction without a value, NotFound where there is no such finding,
        Conflict where the images have changed since: a verdict on other images does not count.
        """
        _check(verification)
        uid = verification.finding.study_instance_uid
        with self._database.writing() as session:
            study = locked(session, uid)
            finding = _verified(session, study, verification.finding)
            _check_correction(verification, finding)
            if _said_before(session, verification):
                return False
            _record(session, verification, now)
            if row(Event.VERIFIED).does(Effect.MATCH_AGAIN):
                rematch(session, uid, f"a radiologist {verification.verdict.value} a finding", now)
        return True

    def verifications(self, study_uid: str, image_revision: int) -> tuple[Verification, ...]:
        """See the port. What was said of a finding of an earlier model version does not count for the newest."""
        with self._database.reading() as session:
            return _newest(session, study_uid, image_revision)

    def read_models(self, study_uid: str, image_revision: int) -> frozenset[str]:
        """See the port."""
        with self._database.reading() as session:
            return readings.read_models(session, study_uid, image_revision)

    def acceptances(self, study_uid: str, patient_id: str) -> tuple[Acceptance, ...]:
        """See the port."""
        with self._database.reading() as session:
            return acceptances.counting(session, study_uid, patient_id)

    def final_report(
        self, accession: Identifier, patient_id: str, *, made: datetime | date | None = None
    ) -> FinalReport | None:
        """See the port."""
        with self._database.reading() as session:
            return final_reports.newest(session, accession, patient_id, made)

    def file(self, report: FinalReport, whose: Sequence[Identifier], now: datetime) -> bool:
        """Keep a radiology report that no message brought; False where it says nothing new.

        `whose` are all identifiers of its patient; InsufficientData where they name nobody here, or several people.
        """
        with self._database.writing() as session:
            lock(session, "record")
            return file_in(session, report, whose, now)

    def findings(self, study_uid: str) -> StudyFindings:
        """What the models say of the current images, and what people said of it; raise NotFound."""
        with self._database.reading() as session:
            study = session.get(StudyRow, study_uid)
            if study is None:
                raise NotFound("no such study")
            report = session.exec(
                select(ReportRow).where(ReportRow.study_uid == study_uid).order_by(col(ReportRow.version).desc())
            ).first()
            return StudyFindings(
                study_uid,
                study.image_revision,
                tuple(_outcomes(session, study)),
                _newest(session, study_uid, study.image_revision),
                parse(Report, report.body) if report else None,
            )

    def study_named(self, asked: str) -> str:
        """The UID of the one study with this Study Instance UID or accession number; NotFound, or Conflict for more."""
        with self._database.reading() as session:
            ordered = select(OrderRow.accession_number).where(OrderRow.accession_number == asked)
            found = session.exec(
                select(StudyRow.uid)
                .where(
                    sa.or_(
                        col(StudyRow.uid) == asked,
                        col(StudyRow.accession_number) == asked,
                        col(StudyRow.decided_order_id).in_(
                            select(OrderRow.id).where(OrderRow.accession_number == asked)
                        ),
                    )
                )
                .order_by(col(StudyRow.uid))
            ).all()
            waiting = session.exec(ordered).first()
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(found)
            raise Conflict(f"{len(found)} studies have this accession number, want one Study Instance UID: {listed}")
        raise NotFound("the order with this accession number has no images yet" if waiting else "no such study")


def file_in(session: Session, report: FinalReport, whose: Sequence[Identifier], now: datetime) -> bool:
    """As `OpinionStore.file`, in the transaction of its cause, which has locked the record."""
    owners = patients.owners(session, whose)
    if len(owners) != 1:
        found = "more than one patient" if owners else "no patient"
        raise InsufficientData(f"want identifiers of one patient who is known here; these name {found}")
    filed_under = next(one for identifier in whose if (one := patients.leaf(session, identifier)))
    number = file_report(session, report, filed_under, None, now)
    rematch_all(session, studies_with(session, {number}) if number else (), _REPORT_CAME, now)
    return number is not None


def hold_discordance(session: Session, report: Report, now: datetime) -> None:
    """The radiologist is told once where the final report contradicts findings that nobody has verified.

    The hold ends by itself when a later version is not discordant any more, or not in the same findings.
    """
    uid = report.work.study_instance_uid
    found = list(_contradicted(report))
    if report.final_report is None or not found:
        holds.end(session, HoldKind.DISCORDANT, uid, now, "the final report and the findings do not differ any more")
        return
    names = ",".join(name for name, _ in found)
    cause = f"discordant:{uid}:i{report.work.revision.image}:{report.final_report.id}:{names}"
    known = session.exec(
        select(HoldRow).where(
            HoldRow.study_uid == uid,
            HoldRow.kind == HoldKind.DISCORDANT.value,
            col(HoldRow.key).startswith(f"{cause}:v", autoescape=True),
        )
    ).all()
    if any(hold.resolved_at is None or hold.resolved_by for hold in known):
        return
    holds.end(session, HoldKind.DISCORDANT, uid, now, "the final report contradicts other findings now")
    reason = "the radiologist's final report contradicts " + "; ".join(title for _, title in found)
    key, kind = f"{cause}:v{report.version}", HoldKind.DISCORDANT
    holds.put(session, key, kind, reason, now, study_uid=uid, work_id=report.work.id)
    detail = tuple(name for name, _ in found)
    timeline.write(session, now, "final report", "contradicts findings", study_uid=uid, work_id=report.work.id,
                   detail=detail)  # fmt: skip


def _contradicted(report: Report) -> Iterator[tuple[str, str]]:
    """(name, title) of the findings that the report contradicts and that no radiologist has looked at since."""
    looked_at = {verification.finding.name for verification in report.verifications}
    discordant = {c.finding for c in report.decision.comparisons if c.agreement is Agreement.DISCORDANT} - looked_at
    for outcome in report.outcomes:
        for finding in outcome.findings if isinstance(outcome, Findings) else ():
            if (name := f"{outcome.model}.{finding.key}") in discordant:
                yield name, f"{finding.code.display or finding.key} by {outcome.model}"


def _check(verification: Verification) -> None:
    if verification.role not in VERIFIERS:
        raise InvalidInput(f"want the role {' or '.join(sorted(VERIFIERS))}: nobody else verifies a finding")
    if not verification.by.strip():
        raise InvalidInput("want the name of the radiologist who verifies the finding")


_ALL_PERCENT = 100


def _check_correction(verification: Verification, finding: Finding) -> None:
    given = verification.corrected
    if verification.verdict is not Verdict.CORRECTED:
        if given is not None:
            raise InvalidInput("only a correction has a value of its own")
        return
    if finding.value is None:
        raise InvalidInput("a finding without a value cannot be corrected: confirm or reject it")
    if given is None or not math.isfinite(given.value) or given.unit != finding.value.unit:
        raise InvalidInput(f"want the corrected value in {finding.value.unit or 'the unit of the finding'}")
    if given.unit == "%" and not 0 <= given.value <= _ALL_PERCENT:
        raise InvalidInput("want a percentage between 0 and 100")


def _verified(session: Session, study: StudyRow, asked: FindingRef) -> Finding:
    """The finding that a verdict is about, in the newest answer of its model on the current images."""
    if asked.image_revision != study.image_revision:
        text = f"the images have changed since: the study is at image revision {study.image_revision} now"
        raise Conflict(f"{text}, and a verdict on earlier images does not count for it")
    for outcome in _outcomes(session, study):
        if outcome.model != asked.model or not isinstance(outcome, Findings):
            continue
        if outcome.version != asked.version:
            raise Conflict(f"the finding is of version {outcome.version} of its model now; look at it again")
        for finding in outcome.findings:
            if finding.key == asked.key:
                return finding
    raise NotFound("the models say no such finding of this study's images")


def _outcomes(session: Session, study: StudyRow) -> Iterator[ModelOutcome]:
    """The newest answer of each model on the study's current images."""
    for model in _current(session, study.uid, study.image_revision).values():
        yield parse(ModelOutcome, model.body)


def _current(session: Session, study_uid: str, image_revision: int) -> dict[str, ModelOutcomeRow]:
    rows = session.exec(
        select(ModelOutcomeRow)
        .where(ModelOutcomeRow.study_uid == study_uid, ModelOutcomeRow.image_revision == image_revision)
        .order_by(col(ModelOutcomeRow.model), col(ModelOutcomeRow.analysis_run), col(ModelOutcomeRow.at))
    ).all()
    return {one.model: one for one in rows}


def _newest(session: Session, study_uid: str, image_revision: int) -> tuple[Verification, ...]:
    versions = {one.model: one.version for one in _current(session, study_uid, image_revision).values()}
    rows = session.exec(
        select(VerificationRow)
        .where(VerificationRow.study_uid == study_uid, VerificationRow.image_revision == image_revision)
        .order_by(col(VerificationRow.id))
    ).all()
    counted = [one for one in rows if versions.get(one.model) == one.version]
    return tuple(map(_told, {(one.model, one.finding_key): one for one in counted}.values()))


def _said_before(session: Session, verification: Verification) -> bool:
    finding = verification.finding
    said = _newest(session, finding.study_instance_uid, finding.image_revision)
    return any(
        (one.finding, one.verdict, one.by, one.corrected)
        == (finding, verification.verdict, verification.by, verification.corrected)
        for one in said
    )


def _record(session: Session, said: Verification, now: datetime) -> None:
    """The row, the lines that tell of it, and the end of a critical result that nobody needs any more."""
    finding = said.finding
    uid, name = finding.study_instance_uid, finding.name
    session.add(
        VerificationRow(
            study_uid=uid,
            image_revision=finding.image_revision,
            model=finding.model,
            version=finding.version,
            finding_key=finding.key,
            verdict=said.verdict.value,
            actor=said.by,
            role=said.role,
            at=said.at,
            reason=said.reason,
            corrected=dump(Quantity, said.corrected) if said.corrected else None,
        )
    )
    session.flush()
    detail = (f"image revision {finding.image_revision}",)
    outcome = f"finding {name} {said.verdict.value} by a radiologist"
    timeline.write(session, now, "verify", outcome, study_uid=uid, detail=detail)
    audit.append(
        session,
        AuditEvent(now, said.by, f"finding {said.verdict.value}", uid, _owner(session, uid), (name, *detail)),
    )
    if said.verdict is Verdict.REJECTED:
        criticals.close(session, uid, "a radiologist rejected the finding", now, finding=name)


def _owner(session: Session, study_uid: str) -> str | None:
    """The patient of the newest report, by random id."""
    return session.exec(
        select(ReportRow.patient_id).where(ReportRow.study_uid == study_uid).order_by(col(ReportRow.version).desc())
    ).first()


def _told(said: VerificationRow) -> Verification:
    return Verification(
        FindingRef(said.study_uid, said.image_revision, said.model, said.version, said.finding_key),
        Verdict(said.verdict),
        said.actor,
        said.role,
        said.at,
        said.reason,
        parse(Quantity, said.corrected) if said.corrected else None,
    )

"""What is promised of verifications and radiology reports, on every database; a subclass gives `databases`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.matching import Match, MatchState
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.report import Audience, Decision, Release, Report
from cds.domain.resource import Encode, NewResource
from cds.domain.revision import Revision, Work
from cds.domain.verification import (
    Agreement,
    Comparison,
    FinalReport,
    FindingRef,
    Verdict,
    Verification,
)
from cds.errors import Conflict, InsufficientData, InvalidInput, NotFound
from cds.store.opinions import OpinionStore, file_report, hold_discordance
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.safety_tables import AuditRow, CriticalResultRow, FinalReportRow, VerificationRow
from cds.store.studies import StudyStore
from cds.store.tables import HoldRow, PatientRow, StudyRow, TimelineRow
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, PATIENT, instance, raw
from tests.databases import Databases

A1, P1 = Identifier("A1", "RIS"), Identifier("P1", "HOSP")
VOLUME = Finding("volume", Coding("s", "v", "Volume"), Presence.MEASURED, Quantity(4.0, "mL"))
BLEED = Finding("bleed", Coding("s", "b", "Bleed"), Presence.PRESENT)
READER = Reader("HOSP", "RIS", "ORC-3", "UTC")


def answer(version: str = "1") -> Findings:
    """What a model said."""
    return Findings("m", version, "1.2.1", (VOLUME, BLEED))


def said(key: str = "bleed", verdict: Verdict = Verdict.CONFIRMED, by: str = "Dr Roe", **more: object) -> Verification:
    """A verdict on the first images of study 1.2."""
    verification = Verification(FindingRef("1.2", 1, "m", "1", key), verdict, by, "radiologist", NOW)
    return replace(verification, **more)


def signed(text: str = "No bleed.", status: str = "final", minutes: int = 0, **more: object) -> FinalReport:
    """A report of the RIS that arrives after some minutes."""
    at = NOW + timedelta(minutes=minutes)
    report = FinalReport(A1, P1, status, at, "HL7 RIS|HOSP", at, (), text, "RIS|R1")
    return replace(report, **more)


WRONG = [
    (said(role="nurse"), "want the role radiologist"),
    (said(role=""), "want the role radiologist"),
    (said(by=" "), "want the name"),
    (said("volume", Verdict.CORRECTED), "corrected value in mL"),
    (said("volume", Verdict.CORRECTED, corrected=Quantity(4.2, "L")), "corrected value in mL"),
    (said("volume", Verdict.CORRECTED, corrected=Quantity(float("nan"), "mL")), "corrected value in mL"),
    (said("bleed", Verdict.CORRECTED, corrected=Quantity(1, "1")), "confirm or reject it"),
    (said("volume", corrected=Quantity(4.2, "mL")), "only a correction"),
]


class OpinionsContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def studies(self, databases: Databases) -> StudyStore:
        """Study 1.2 with accession number A1, complete, and the answer of one model."""
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        studies.add(instance("1.2.9"), received_at=NOW, consumed=True, source="dicom")
        [work] = close_quiet(databases.app, NOW + timedelta(hours=1))
        WorkStore(databases.app).save_outcome(work, answer(), NOW)
        return studies

    @pytest.fixture
    def opinions(self, databases: Databases, studies: StudyStore) -> OpinionStore:
        """The store, beside the study."""
        return OpinionStore(databases.app)

    @pytest.fixture
    def patient_id(self, databases: Databases) -> str:
        """The patient of the images."""
        record = RecordStore(databases.app)
        record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT))], NOW)
        return record.patient(P1).id or ""

    # --- verification

    def test_a_verdict_is_recorded_told_and_decided_upon(self, databases: Databases, opinions: OpinionStore) -> None:
        assert opinions.verify(said(reason="seen"), NOW)
        assert opinions.verifications("1.2", 1) == (said(reason="seen"),)
        assert _study(databases).match_revision == 2
        assert len(WorkStore(databases.app).pending()) == 2
        lines = [line.outcome + line.detail for line in _timeline(databases)]
        assert any("finding m.bleed confirmed by a radiologist" in line for line in lines)
        assert not any("Roe" in line for line in lines)
        with databases.app.reading() as session:
            [audited] = session.exec(select(AuditRow)).all()
        assert (audited.actor, audited.action, audited.study_uid) == ("Dr Roe", "finding confirmed", "1.2")

    def test_the_same_verdict_of_the_same_person_changes_nothing(
        self, databases: Databases, opinions: OpinionStore
    ) -> None:
        assert opinions.verify(said(), NOW)
        assert not opinions.verify(said(at=NOW + timedelta(days=1)), NOW)
        assert _study(databases).match_revision == 2
        assert opinions.verify(said(by="Dr Poe"), NOW)

    def test_the_newest_verdict_of_a_finding_counts_and_all_are_kept(
        self, databases: Databases, opinions: OpinionStore
    ) -> None:
        for verdict in (Verdict.CONFIRMED, Verdict.REJECTED, Verdict.CONFIRMED):
            assert opinions.verify(said(verdict=verdict), NOW)
        assert opinions.verify(said("volume", Verdict.CORRECTED, corrected=Quantity(4.2, "mL")), NOW)
        newest = {one.finding.key: one for one in opinions.verifications("1.2", 1)}
        assert newest["bleed"].verdict is Verdict.CONFIRMED
        assert newest["volume"].corrected == Quantity(4.2, "mL")
        with databases.app.reading() as session:
            assert len(session.exec(select(VerificationRow)).all()) == 4

    def test_what_cannot_be_a_verdict_is_refused(self, databases: Databases, opinions: OpinionStore) -> None:
        for wrong, wanted in WRONG:
            with pytest.raises(InvalidInput, match=wanted):
                opinions.verify(wrong, NOW)
        assert _study(databases).match_revision == 1

    def test_a_verdict_on_nothing_is_refused(self, opinions: OpinionStore) -> None:
        for uid, model, key in (("9.9", "m", "bleed"), ("1.2", "other", "bleed"), ("1.2", "m", "no")):
            with pytest.raises(NotFound):
                opinions.verify(said(finding=FindingRef(uid, 1, model, "1", key)), NOW)

    def test_a_verdict_on_earlier_images_does_not_count(
        self, databases: Databases, studies: StudyStore, opinions: OpinionStore
    ) -> None:
        assert opinions.verify(said(), NOW)
        studies.add(instance("1.2.10"), received_at=NOW + timedelta(hours=2), consumed=True, source="dicom")
        with pytest.raises(Conflict, match="the images have changed since"):
            opinions.verify(said(by="Dr Poe"), NOW)
        assert opinions.verifications("1.2", 2) == ()
        assert len(opinions.verifications("1.2", 1)) == 1
        assert opinions.findings("1.2").outcomes == ()

    def test_a_verdict_on_another_version_of_the_model_does_not_count(
        self, databases: Databases, opinions: OpinionStore
    ) -> None:
        assert opinions.verify(said(), NOW)
        work = Work("dicom", "1.2", Revision(1, 2, 1))
        WorkStore(databases.app).save_outcome(work, answer("2"), NOW + timedelta(hours=1))
        assert opinions.verifications("1.2", 1) == ()
        with pytest.raises(Conflict, match="version 2 of its model"):
            opinions.verify(said(by="Dr Poe"), NOW)

    def test_a_rejection_ends_the_critical_result_of_that_finding_alone(
        self, databases: Databases, opinions: OpinionStore
    ) -> None:
        with databases.app.writing() as session:
            for name in ("m.bleed", "m.volume"):
                session.add(_critical(name))
        assert opinions.verify(said(verdict=Verdict.REJECTED), NOW)
        with databases.app.reading() as session:
            states = {row.finding: row.state for row in session.exec(select(CriticalResultRow)).all()}
        assert states == {"m.bleed": "closed", "m.volume": "open"}

    # --- radiology reports

    def file(self, databases: Databases, report: FinalReport, patient_id: str) -> str | None:
        """In a transaction of its own."""
        with databases.app.writing() as session:
            return file_report(session, report, patient_id, None, NOW)

    def test_a_signed_report_is_kept_once_and_told_without_its_text(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        assert self.file(databases, signed(), patient_id) == "A1"
        assert self.file(databases, signed(minutes=5, issued=NOW), patient_id) is None
        found = opinions.final_report(A1, patient_id)
        assert found is not None
        assert (found.text, bool(found.id)) == ("No bleed.", True)
        [line] = [line for line in _timeline(databases) if line.step == "final report"]
        assert line.outcome == "radiologist's final report arrived (HL7 RIS|HOSP, final)"
        assert "worklist bump ends" in line.detail
        assert "bleed" not in line.detail

    def test_what_is_not_signed_is_not_kept(self, databases: Databases, patient_id: str) -> None:
        for status in ("preliminary", "partial", "registered", "unknown"):
            assert self.file(databases, signed(status=status), patient_id) is None
        with databases.app.reading() as session:
            assert session.exec(select(FinalReportRow)).all() == []

    def test_a_later_correction_counts_and_an_older_report_that_comes_late_does_not(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        for report in (
            signed("First."),
            signed("Corrected.", "corrected", 10),
            signed("Older.", minutes=20, issued=NOW - timedelta(hours=1)),
        ):
            assert self.file(databases, report, patient_id) == "A1"
        assert _text(opinions, patient_id) == "Corrected."
        assert self.file(databases, signed("First.", minutes=30, issued=NOW), patient_id) is None

    @pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
    def test_a_withdrawal_takes_a_report_back_until_it_is_signed_again(
        self, databases: Databases, opinions: OpinionStore, patient_id: str, status: str
    ) -> None:
        withdrawal = signed("", status, 10, issued=None)
        assert self.file(databases, signed(), patient_id) == "A1"
        assert self.file(databases, withdrawal, patient_id) == "A1"
        assert self.file(databases, withdrawal, patient_id) is None
        assert opinions.final_report(A1, patient_id) is None
        assert self.file(databases, signed(minutes=20, issued=NOW), patient_id) == "A1"
        assert _text(opinions, patient_id) == "No bleed."

    def test_reports_count_in_the_order_of_their_filing_though_the_clock_stands(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        for number in range(6):
            assert self.file(databases, signed(f"Number {number}.", issued=None), patient_id) == "A1"
            assert _text(opinions, patient_id) == f"Number {number}."

    def test_a_withdrawal_of_one_report_leaves_another_of_the_same_sender(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        self.file(databases, signed("One."), patient_id)
        self.file(databases, signed("Two.", minutes=1, identifier="RIS|R2"), patient_id)
        self.file(databases, signed("", "cancelled", 2, identifier="RIS|R2"), patient_id)
        assert _text(opinions, patient_id) == "One."
        self.file(databases, signed("", "cancelled", 3, identifier="", source="FHIR DiagnosticReport"), patient_id)
        assert opinions.final_report(A1, patient_id) is None

    def test_a_report_belongs_to_its_patient_and_whoever_she_is_one_with(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        with databases.app.writing() as session:
            session.add(PatientRow(id="other", updated_at=NOW))
        self.file(databases, signed(), patient_id)
        assert opinions.final_report(A1, "other") is None
        assert opinions.final_report(Identifier("A1", "OTHER RIS"), patient_id) is None
        with databases.app.writing() as session:
            session.get_one(PatientRow, patient_id).merged_into = "other"
        assert opinions.final_report(A1, "other") is not None
        with databases.app.writing() as session:
            session.get_one(PatientRow, patient_id).merged_into = None
        assert opinions.final_report(A1, "other") is None

    def test_a_report_counts_for_images_of_its_day_and_of_the_half_year_before_it(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        self.file(databases, signed(), patient_id)
        counted = {
            days: opinions.final_report(A1, patient_id, made=NOW + timedelta(days=days)) is not None
            for days in (-700, -181, -179, -1, 1, 700)
        }
        assert counted == {-700: False, -181: False, -179: True, -1: True, 1: False, 700: False}
        assert opinions.final_report(A1, patient_id, made=NOW + timedelta(hours=3)) is not None
        assert opinions.final_report(A1, patient_id, made=NOW.date()) is not None
        assert opinions.final_report(A1, patient_id, made=NOW.date() + timedelta(days=2)) is None

    def test_a_report_that_does_not_say_when_it_was_issued_counts_from_when_it_came(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        self.file(databases, signed(issued=None), patient_id)
        assert opinions.final_report(A1, patient_id, made=NOW) is not None
        assert opinions.final_report(A1, patient_id, made=NOW + timedelta(days=1)) is None

    def test_an_old_report_under_a_reused_number_neither_counts_nor_is_told_nor_hides_the_new_one(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        self.file(databases, signed("Two years old.", minutes=-60 * 24 * 700, identifier="RIS|R0"), patient_id)
        assert opinions.final_report(A1, patient_id, made=NOW) is None
        assert not [line for line in _timeline(databases) if line.step == "final report"]
        self.file(databases, signed("New."), patient_id)
        found = opinions.final_report(A1, patient_id, made=NOW)
        old = opinions.final_report(A1, patient_id, made=NOW - timedelta(days=700))
        assert (found and found.text, old and old.text) == ("New.", "Two years old.")

    def test_a_reused_accession_number_is_not_told_on_somebody_elses_study(
        self, databases: Databases, studies: StudyStore, patient_id: str
    ) -> None:
        with databases.app.writing() as session:
            session.add(PatientRow(id="other", updated_at=NOW))
        self.file(databases, signed(), "other")
        assert not [line for line in _timeline(databases) if line.step == "final report"]

    def test_a_report_that_a_message_brings_is_matched_again(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        segments = (
            "MSH|^~\\&|RIS|HOSP|S|S|20261120110000||ORU^R01^ORU_R01|7|P|2.5.1",
            "PID|1||P1^^^HOSP^MR||Test^Tina||19600302|F",
            "OBR|1||R7^RIS|CT^CT head^L||||||||||||||A1^RIS||||20261120110000||RAD|F",
            "OBX|1|TX|18748-4^Report^LN||No acute bleed.||||||F",
        )
        message = check("\r".join(segments).encode(), "peer", NOW)
        RecordStore(databases.app).apply([(LoggedMessage(7, message), READER(message))], NOW)
        assert _text(opinions, patient_id) == "No acute bleed."
        assert _study(databases).match_revision == 2

    def test_a_report_without_a_message_is_filed_under_the_one_patient_whom_it_names(
        self, databases: Databases, opinions: OpinionStore, patient_id: str
    ) -> None:
        P2 = Identifier("P2", "HOSP")
        with pytest.raises(InsufficientData, match="these name no patient"):
            opinions.file(signed(patient=P2), [P2], NOW)
        record = RecordStore(databases.app)
        other = replace(PATIENT, identifiers=(P2,))
        record.apply([(LoggedMessage(2, raw("2")), MessageContent(other))], NOW)
        with pytest.raises(InsufficientData, match="more than one patient"):
            opinions.file(signed(), [P1, P2], NOW)
        assert opinions.file(signed(), [P1], NOW)
        assert not opinions.file(signed(), [P1], NOW)
        assert _study(databases).match_revision == 2
        assert _text(opinions, patient_id) == "No bleed."

    # --- discordance

    def hold(self, databases: Databases, report: Report) -> None:
        """In a transaction of its own."""
        with databases.app.writing() as session:
            hold_discordance(session, report, NOW)

    def test_a_contradiction_is_held_once_and_ends_by_itself(self, databases: Databases, studies: StudyStore) -> None:
        for version in (1, 2):
            self.hold(databases, _report(studies, version, "m.bleed"))
        [hold] = _holds(databases)
        assert hold.reason == "the radiologist's final report contradicts Bleed by m"
        assert hold.resolved_at is None
        self.hold(databases, _report(studies, 3))
        [hold] = _holds(databases)
        assert hold.resolved_at is not None
        assert hold.resolved_by == ""
        self.hold(databases, _report(studies, 4, "m.bleed"))
        assert [hold.resolved_at is None for hold in _holds(databases)] == [False, True]

    def test_a_contradiction_that_a_person_has_seen_is_not_held_again(
        self, databases: Databases, studies: StudyStore
    ) -> None:
        self.hold(databases, _report(studies, 1, "m.bleed"))
        with databases.app.writing() as session:
            hold = session.exec(select(HoldRow)).one()
            hold.resolved_at, hold.resolved_by = NOW, "Dr Roe"
            session.add(hold)
        self.hold(databases, _report(studies, 2, "m.bleed"))
        assert len(_holds(databases)) == 1
        self.hold(databases, _report(studies, 3, "m.bleed", "m.volume"))
        assert len(_holds(databases)) == 2

    def test_a_contradiction_is_over_once_a_radiologist_verified_the_finding(
        self, databases: Databases, studies: StudyStore
    ) -> None:
        self.hold(databases, _report(studies, 1, "m.bleed"))
        self.hold(databases, replace(_report(studies, 2, "m.bleed"), verifications=(said(),)))
        [hold] = _holds(databases)
        assert hold.resolved_at is not None

    def test_committing_a_report_holds_its_contradiction(self, databases: Databases, studies: StudyStore) -> None:
        encode = Encode(
            lambda report: (),
            lambda report, held: (),
            lambda body, patient_id: NewResource("", "", {}, patient_id),
            lambda report, destination, reason: None,
            lambda destination, payload: (),
        )
        SqlReportStore(databases.app).commit(_report(studies, 0, "m.bleed"), encode, NOW)
        assert [hold.kind for hold in _holds(databases)] == [HoldKind.DISCORDANT.value]

    # --- what people ask

    def test_a_study_is_named_by_its_uid_or_its_accession_number(
        self, studies: StudyStore, opinions: OpinionStore
    ) -> None:
        assert opinions.study_named("1.2") == opinions.study_named("A1") == "1.2"
        with pytest.raises(NotFound, match="no such study"):
            opinions.study_named("A9")
        studies.add(instance("1.3.1", study="1.3"), received_at=NOW, consumed=True, source="dicom")
        with pytest.raises(Conflict, match=r"2 studies .* 1\.2, 1\.3"):
            opinions.study_named("A1")

    def test_the_findings_of_a_study_come_with_what_was_said_of_them(self, opinions: OpinionStore) -> None:
        opinions.verify(said(), NOW)
        found = opinions.findings("1.2")
        assert (found.outcomes, found.verifications, found.report) == ((answer(),), (said(),), None)
        with pytest.raises(NotFound):
            opinions.findings("9.9")


def _study(databases: Databases) -> StudyRow:
    with databases.app.reading() as session:
        return session.get_one(StudyRow, "1.2")


def _timeline(databases: Databases) -> list[TimelineRow]:
    with databases.app.reading() as session:
        return list(session.exec(select(TimelineRow).where(TimelineRow.study_uid == "1.2")).all())


def _holds(databases: Databases) -> list[HoldRow]:
    with databases.app.reading() as session:
        return sorted(session.exec(select(HoldRow)).all(), key=lambda hold: hold.key)


def _text(opinions: OpinionStore, patient_id: str) -> str:
    found = opinions.final_report(A1, patient_id)
    assert found is not None
    return found.text


def _critical(name: str) -> CriticalResultRow:
    later: datetime = NOW + timedelta(hours=1)
    return CriticalResultRow(
        id=name,
        token=name,
        study_uid="1.2",
        episode=1,
        work_id="w",
        finding=name,
        title="Bleed",
        category=1,
        route="neuro",
        state="open",
        created_at=NOW,
        due_at=later,
    )


def _report(studies: StudyStore, version: int, *discordant: str) -> Report:
    return report_of(studies, version, *(Comparison(n, Agreement.DISCORDANT, "it says otherwise") for n in discordant))


def report_of(studies: StudyStore, version: int, *comparisons: Comparison) -> Report:
    """A version of the report of study 1.2, beside a radiology report."""
    return Report(
        work=Work("dicom", "1.2", Revision(1, 1, 1)),
        version=version,
        study=studies.study("1.2"),
        match=Match(MatchState.UNMATCHED, ("test",)),
        patient=None,
        order=None,
        outcomes=(answer(),),
        ehr=None,
        decision=Decision((), Release(frozenset(Audience)), NOW.date(), comparisons),
        issued=NOW,
        final_report=signed(id="report-1"),
    )

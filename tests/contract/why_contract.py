"""What `cds why` tells of a number, and what it never tells (SAFETY section 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from cds.domain.coding import Quantity
from cds.domain.ehr import Known
from cds.domain.finding import NotEvaluated
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.order import OrderStatus, ServiceRequest
from cds.domain.report import Decision, DeliveryKind, Report
from cds.domain.story import Story
from cds.domain.verification import Agreement, Comparison, FinalReport
from cds.render.why import as_json, as_text
from cds.store import audit, holds, timeline
from cds.store.deliveries import DeliveryStore, enqueue
from cds.store.safety_tables import (
    CriticalEventRow,
    CriticalResultRow,
    FinalReportRow,
    FollowUpRow,
    IdentityChangeRow,
    VerificationRow,
)
from cds.store.tables import (
    OrderRow,
    PatientIdentifierRow,
    PatientRow,
    ReportRow,
    StatementRow,
    StudyRow,
)
from cds.store.values import dump, parse
from cds.store.why import why
from tests.databases import Databases
from tests.unit import clinical
from tests.unit.clinical import MRN, NOW, STUDY_UID

BORN = "1963-05-01"
OTHER = Identifier("8899", "CLINIC")


def put(databases: Databases, *rows: SQLModel) -> None:
    with databases.app.writing() as session:
        for row in rows:
            session.merge(row)


def patient(patient_id: str, identifier: Identifier, **more: object) -> tuple[SQLModel, ...]:
    born = date.fromisoformat(BORN)
    return (
        PatientRow(id=patient_id, family="Unmistakable", given="Ada", birth_date=born, updated_at=NOW, **more),
        PatientIdentifierRow(value=identifier.value, assigner=identifier.assigner, patient_id=patient_id),
    )


def statement(patient_id: str, source: str, at: datetime) -> StatementRow:
    return StatementRow(patient_id=patient_id, source=source, key=f"{at}", body="{}", received_at=at, message_id=1)


def order(patient_id: str = "patient-1", identifier: Identifier = MRN, accession: str = "A1") -> OrderRow:
    said = ServiceRequest(
        placer_order_number=Identifier("PL1", "EHR"),
        filler_order_number=None,
        accession=Identifier(accession, "RIS"),
        patient=identifier,
        status=OrderStatus.ACTIVE,
        requester="Doctor Recognizable",
        reason_text="Ada coughs",
    )
    return OrderRow(
        id=f"order-{patient_id}", patient_id=patient_id, accession_number=accession, status="active",
        body=dump(ServiceRequest, said), created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def study(identifier: Identifier = MRN, uid: str = STUDY_UID, accession: str = "A1") -> StudyRow:
    return StudyRow(
        uid=uid, public_id=f"public-{uid}", source="dicom", patient_value=identifier.value,
        patient_assigner=identifier.assigner, accession_number=accession, accession_issuer="RIS", image_revision=1,
        match_revision=2, analysis_run=1, revision_open=False, instances=120, first_instance_at=NOW,
        last_instance_at=NOW,
    )  # fmt: skip


def final(identifier: Identifier = MRN) -> FinalReport:
    return FinalReport(
        Identifier("A1", "RIS"), identifier, "final", NOW, "HL7 RIS|HOSP", NOW, text="Ada has emphysema", id="f"
    )


def final_row(patient_id: str, identifier: Identifier = MRN) -> FinalReportRow:
    return FinalReportRow(
        id=f"final-{patient_id}", accession_number="A1", accession_issuer="RIS", patient_id=patient_id,
        body=dump(FinalReport, final(identifier)), received_at=NOW,
    )  # fmt: skip


def report(version: int = 1, patient_id: str = "patient-1") -> ReportRow:
    """A report that holds everything that must not be told."""
    told = clinical.report(
        outcomes=(clinical.density(), NotEvaluated("other_model", "2.0", ("no lung in it",), gate="coverage")),
        who=clinical.patient(id=patient_id),
        of=replace(clinical.study(), patient_birth_date=date.fromisoformat(BORN)),
    )
    said = replace(
        told,
        version=version,
        episode=version,
        order=clinical_order(),
        ehr=clinical.ehr(birth_date=Known(date.fromisoformat(BORN), None, "patient demographics")),
        decision=Decision(
            (), told.decision.release, told.decision.decided_on,
            (Comparison("ct_lung_density.laa_950", Agreement.NOT_COMPARABLE, "the text names no such code"),),
        ),
        final_report=final(),
    )  # fmt: skip
    return ReportRow(
        work_id=f"work-{version}", study_uid=STUDY_UID, version=version, patient_id=patient_id, episode=version,
        body=dump(Report, said), issued=NOW,
    )  # fmt: skip


def clinical_order() -> ServiceRequest:
    row = order()
    told: ServiceRequest = parse(ServiceRequest, row.body)
    return replace(told, id=row.id)


def told(story: Story) -> str:
    return as_text(story, "UTC")


class WhyContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def full(self, databases: Databases) -> Databases:
        """One study with all that can hang on it."""
        later = NOW + timedelta(minutes=5)
        put(databases, *patient("patient-1", MRN), order(), study(), report(), final_row("patient-1"))
        put(
            databases,
            VerificationRow(
                study_uid=STUDY_UID, image_revision=1, model="ct_lung_density", version="0.1.0", finding_key="laa_950",
                verdict="corrected", actor="rosa", role="radiologist", at=later, reason="apex was cut",
                corrected=dump(Quantity, Quantity(12.5, "%")),
            ),
            CriticalResultRow(
                id="c1", token="secret-of-the-link", study_uid=STUDY_UID, episode=1, work_id="work-1",
                finding="m.bleed", title="bleed", category=1, route="ward", state="acknowledged",
                created_at=NOW, due_at=later, acknowledged_at=later, acknowledged_by="nurse-7",
            ),
            CriticalEventRow(critical_id="c1", at=NOW, what="sent", detail="to ward by mail"),
            FollowUpRow(
                id="fu", study_uid=STUDY_UID, patient_id="patient-1", work_id="work-1", pathway="emphysema",
                recommendation="spirometry", action="Spirometry", state="closed", reason="version 2: rejected",
                created_at=NOW, updated_at=later,
            ),
        )  # fmt: skip
        with databases.app.writing() as session:
            for kind in (DeliveryKind.REPORT, DeliveryKind.RETRACTION):
                enqueue(
                    session, delivery_id=kind.value, destination="ehr", kind=kind, payload=b"Unmistakable", now=NOW,
                    work_id="work-1", study_uid=STUDY_UID, patient_id="patient-1",
                )  # fmt: skip
            holds.put(session, "k1", HoldKind.MATCH_IN_DOUBT, "two orders fit", NOW, study_uid=STUDY_UID)
            holds.put(session, "k2", HoldKind.DISCORDANT, "the report contradicts", later, study_uid=STUDY_UID)
            holds.end(session, HoldKind.MATCH_IN_DOUBT, STUDY_UID, later, "attached", by="clerk-3")
            timeline.write(session, NOW, "card", "1 shown by imaging-findings", study_uid=STUDY_UID, detail=("one",))
            shown = audit.AuditEvent(later, "Practitioner/gp-9", "card shown", STUDY_UID, "patient-1", ("emphysema",))
            audit.append(session, shown)
        DeliveryStore(databases.app).sent("report", "AA", later)
        return databases

    @pytest.mark.parametrize("asked", ["A1", STUDY_UID, MRN.value])
    def test_every_number_tells_the_whole_story(self, full: Databases, asked: str) -> None:
        text = told(why(full.app, asked))
        for line in (
            "Patient patient-1: known since 2026-11-22",
            "Order accession A1 (RIS), placer PL1 (EHR): active",
            f"Study {STUDY_UID}: 120 instances, image revision 1, match revision 2, analysis run 1",
            "report version 1, preliminary, episode 1, for patient patient-1",
            "match: matched (agrees)",
            "model ct_lung_density 0.1.0 on cpu, series",
            "model other_model 2.0: not evaluated (gate coverage): no lung in it",
            "radiology report on ct_lung_density.laa_950: not-comparable: the text names no such code",
            "finding ct_lung_density.laa_950 corrected to 12.5 % by rosa (radiologist), 2026-11-22 09:35: apex was cut",
            "radiology report (final) from HL7 RIS|HOSP, received 2026-11-22 09:30",
            "critical result m.bleed (category 1, route ward): acknowledged, acknowledged 2026-11-22 09:35 by nurse-7",
            "sent: to ward by mail",
            "follow-up Spirometry (emphysema): closed 2026-11-22 09:35: version 2: rejected",
            "delivery to ehr: sent after 1 attempts, 2026-11-22 09:35: AA",
            "retraction to ehr: pending after 0 attempts",
            "(match-in-doubt) 2026-11-22 09:30 to 2026-11-22 09:35: two orders fit; attached, by clerk-3",
            "(discordant) since 2026-11-22 09:35: the report contradicts",
            f"Practitioner/gp-9: card shown (study {STUDY_UID}): emphysema",
            "card: 1 shown by imaging-findings",
        ):
            assert line in text, line

    @pytest.mark.parametrize("asked", ["A1", STUDY_UID, MRN.value])
    def test_neither_text_nor_json_names_anybody_nor_gives_away_a_secret(self, full: Databases, asked: str) -> None:
        story = why(full.app, asked)
        for output in (told(story), as_json(story)):
            hidden = ["Unmistakable", "Ada", BORN, "Recognizable", "coughs", "has emphysema", "secret-of-the-link"]
            hidden += [] if asked == MRN.value else [f'"{MRN.value}"', f" {MRN.value}"]
            assert [text for text in hidden if text in output] == []

    def test_the_json_has_all_that_the_text_has(self, full: Databases) -> None:
        story = json.loads(as_json(why(full.app, "A1")))
        [told_study] = story["studies"]
        assert told_study["report"]["outcomes"][0]["findings"][0]["value"]["value"] == 18.2
        assert told_study["report"]["ehr"]["smoking_status"]["value"] == "current"
        assert told_study["report"]["patient"]["id"] == "patient-1"
        for part in ("deliveries", "holds", "criticals", "verifications", "final_reports", "follow_ups"):
            assert told_study[part], part
        for part in ("orders", "known", "seen", "events"):
            assert story[part], part

    def test_a_patient_without_orders_or_images_is_known_since_the_first_word(self, databases: Databases) -> None:
        first = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        put(databases, *patient("patient-1", MRN), statement("patient-1", "HL7 LAB|HOSP", first + timedelta(days=9)))
        put(databases, statement("patient-1", "HL7 ADT|HOSP", first))
        story = why(databases.app, MRN.value)
        assert story.found
        expected = "Patient patient-1: known since 2026-03-02 08:00, 2 statements from HL7 ADT|HOSP, HL7 LAB|HOSP"
        assert expected in told(story)
        assert not why(databases.app, "unheard-of").found

    def test_a_merged_number_leads_to_the_survivors_story(self, databases: Databases) -> None:
        put(databases, *patient("prior", MRN, merged_into="survivor"), *patient("survivor", OTHER))
        put(databases, study(OTHER, accession=""))
        put(
            databases,
            IdentityChangeRow(
                event="merge", trigger="A40", at=NOW, survivor_id="survivor", prior_id="prior", message_id=12,
                actor="HL7 ADT|HOSP",
            ),
        )  # fmt: skip
        story = why(databases.app, MRN.value)
        assert story.patients == ("survivor", "prior")
        assert [one.study_instance_uid for one in story.studies] == [STUDY_UID]
        merge = "#1 merge (A40): prior → survivor, by HL7 ADT|HOSP, message 12 of the inbox"
        assert merge in told(story)
        assert "  lives on as patient survivor" in told(story)

    def test_an_undone_merge_is_still_told_and_leads_to_nobody_else(self, databases: Databases) -> None:
        put(databases, *patient("prior", MRN), *patient("survivor", OTHER), study(OTHER, accession=""))
        put(
            databases,
            IdentityChangeRow(
                event="merge", trigger="A40", at=NOW, survivor_id="survivor", prior_id="prior", actor="clerk-1",
                undone_at=NOW + timedelta(hours=1), undone_by="clerk-2",
            ),
        )  # fmt: skip
        story = why(databases.app, MRN.value)
        assert (story.patients, story.studies) == (("prior",), ())
        assert "prior → survivor, by clerk-1; undone 2026-11-22 10:30 by clerk-2" in told(story)

    def test_the_patient_who_got_the_wrong_report_is_told_of_it(self, databases: Databases) -> None:
        put(databases, *patient("patient-1", MRN), *patient("patient-2", OTHER))
        put(databases, study(OTHER), report(1, "patient-1"), report(2, "patient-2"))
        with databases.app.writing() as session:
            timeline.write(session, NOW, "retract", "ehr", study_uid=STUDY_UID, detail=("another patient's",))
        story = why(databases.app, MRN.value)
        assert [one.study_instance_uid for one in story.studies] == [STUDY_UID]
        assert "retract: ehr" in told(story)
        assert "Patient patient-2, somebody else than asked for: known" in told(story)

    def test_what_was_reported_for_an_order_is_told_of_it_although_the_images_are_of_another_one(
        self, databases: Databases
    ) -> None:
        put(databases, *patient("patient-1", MRN), *patient("patient-2", OTHER), order())
        put(databases, study(OTHER, accession="A2"), report(1, "patient-1"), report(2, "patient-2"))
        assert [one.study_instance_uid for one in why(databases.app, "A1").studies] == [STUDY_UID]

    def test_a_reused_accession_number_brings_no_report_of_somebody_else(self, databases: Databases) -> None:
        put(databases, *patient("patient-1", MRN), *patient("patient-2", OTHER), study(), report())
        put(databases, final_row("patient-1"), final_row("patient-2", OTHER))
        [only] = why(databases.app, STUDY_UID).studies[0].final_reports
        assert only.patient == Identifier("patient-1", "sightline")

    def test_the_story_of_a_study_leaves_out_what_its_patient_did_elsewhere(self, databases: Databases) -> None:
        put(databases, *patient("patient-1", MRN), order(), study(), study(uid="1.2.9", accession="A9"))
        with databases.app.writing() as session:
            timeline.write(session, NOW, "match", "here", study_uid=STUDY_UID, patient_id="patient-1")
            timeline.write(session, NOW, "match", "elsewhere", study_uid="1.2.9", patient_id="patient-1")
            timeline.write(session, NOW, "identity", "registered", patient_id="patient-1")
        assert [event.outcome for event in why(databases.app, "A1").events] == ["here", "registered"]
        of_patient = [event.outcome for event in why(databases.app, MRN.value).events]
        assert of_patient == ["here", "elsewhere", "registered"]

    def test_images_that_a_person_attached_tell_of_their_order(self, databases: Databases) -> None:
        attached = study(OTHER, accession="")
        attached.decided_order_id = "order-patient-1"
        put(databases, *patient("patient-1", MRN), order(), attached)
        assert [one.id for one in why(databases.app, STUDY_UID).orders] == ["order-patient-1"]
        assert [one.study_instance_uid for one in why(databases.app, "A1").studies] == [STUDY_UID]

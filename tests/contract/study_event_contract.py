"""What the store promises of exams that are announced, with real messages: appointments, and images that are there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import select

from adapters.hl7.check import check
from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.identity import Identifier
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.message import LoggedMessage
from cds.domain.order import OrderStatus, ServiceRequest
from cds.render.why import as_text
from cds.store.study_events import StudyEventStore
from cds.store.tables import FeedRow, StudyEventRow, StudyRow
from cds.store.why import why
from tests.contract.closing import ClosingStudies
from tests.contract.identity_contract import ANNA, NOW, READER, Feed, pid
from tests.databases import Databases

BERLIN = ZoneInfo("Europe/Berlin")
TEN, TWELVE = (datetime(2026, 11, 25, hour, tzinfo=BERLIN) for hour in (10, 12))
UID, OTHER_UID = "1.2.840.1", "1.2.840.2"


class Exams(Feed):
    """A feed that books appointments and announces images."""

    def book(
        self,
        trigger: str,
        at: datetime | None,
        *,
        placer: str = "",
        filler: str = "",
        sent: str = "08",
        mode: str = "P",
    ) -> str:
        """An SIU about Anna, sent at an hour of the day."""
        start = f"{at:%Y%m%d%H%M%S}" if at else ""
        schedule = f"SCH|APT1|APT1{'|' * 9}^^30^{start}{'|' * 15}{placer}|{filler}"
        return self.send(f"SIU^{trigger}^SIU_S12", pid("P1"), schedule, mode=mode, sender=f"SCH{sent}")

    def announce(self, uid: str, accession: str = "A1", *, number: str = "P1", obr: str = "", mode: str = "P") -> str:
        """An ORU that says that the images of a study are there."""
        return self.send(
            "ORU^R01", f"PID|1||{number}^^^HOSP", obr or f"OBR|1||77^PACS|CT^CT^L{'|' * 14}{accession}",
            f"OBX|1|ST|110180^Study Instance UID^DCM||{uid}||||||F", mode=mode, sender="PACS",
        )  # fmt: skip

    def the_order(self, accession: str = "A1") -> ServiceRequest:
        """The one production order of an accession number."""
        (found,) = [order for order, _ in self.record.order_candidates(accession) if not order.test]
        return found

    def story(self, asked: str) -> str:
        """What `cds why` prints of a number."""
        return as_text(why(self.databases.app, asked), "Europe/Berlin")

    def rows(self) -> list[StudyEventRow]:
        """All events that were filed."""
        with self.databases.app.reading() as session:
            return list(session.exec(select(StudyEventRow)).all())


class StudyEventContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def exams(self, databases: Databases) -> Exams:
        """Anna has an order."""
        feed = Exams(databases)
        feed.register("P1")
        feed.order("P1", "A1")
        return feed

    @pytest.fixture
    def events(self, databases: Databases) -> StudyEventStore:
        """The store of events."""
        return StudyEventStore(databases.app)

    @pytest.fixture
    def studies(self, databases: Databases) -> ClosingStudies:
        """Where images arrive."""
        return ClosingStudies(databases.app, assigning_authority="HOSP", accession_issuer="RIS")

    def images(self, studies: ClosingStudies, uid: str, accession: str = "A1") -> None:
        """One instance of a study of Anna."""
        header = InstanceHeader(
            sop_instance_uid=f"{uid}.9",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            series_instance_uid=f"{uid}.1",
            study_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="CT",
            patient_id="P1",
            accession_number=accession,
            study_date=date(2026, 11, 20),
        )
        stored = StoredInstance(header, f"instances/{uid}.9", uid, 100)
        studies.add(stored, received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))

    # --- appointments

    def test_an_appointment_sets_the_time_of_its_order_and_another_moves_it(self, exams: Exams) -> None:
        assert exams.book("S12", TEN, placer="PL-A1^EHR") == "applied"
        assert exams.the_order().scheduled_at == TEN
        exams.book("S13", TWELVE, placer="PL-A1^EHR", sent="09")
        assert exams.the_order().scheduled_at == TWELVE
        assert exams.the_order().status is OrderStatus.ACTIVE

    @pytest.mark.parametrize("trigger", ["S15", "S16", "S17", "S26"])
    def test_an_appointment_that_is_gone_cancels_no_order(self, exams: Exams, trigger: str) -> None:
        exams.book("S12", TEN, placer="PL-A1^EHR")
        exams.book(trigger, TEN, placer="PL-A1^EHR")
        assert exams.the_order().scheduled_at is None
        assert exams.the_order().status is OrderStatus.ACTIVE

    def test_the_cancel_of_another_appointment_leaves_the_one_that_holds(self, exams: Exams) -> None:
        exams.book("S12", TEN, placer="PL-A1^EHR")
        exams.book("S13", TWELVE, placer="PL-A1^EHR")
        exams.book("S15", TEN, placer="PL-A1^EHR")
        assert exams.the_order().scheduled_at == TWELVE
        assert "it was another appointment than the one that holds" in exams.story("A1")

    def test_what_was_sent_before_does_not_win_because_it_comes_later(
        self, exams: Exams, events: StudyEventStore
    ) -> None:
        placer = Identifier("PL-A1", "EHR")
        later = StudyEvent(StudyEventKind.RESCHEDULED, "S", NOW, placer_order_number=placer, scheduled_at=TWELVE)
        earlier = StudyEvent(
            StudyEventKind.SCHEDULED, "S", NOW - timedelta(hours=1), placer_order_number=placer, scheduled_at=TEN
        )
        assert events.announce(later, NOW)
        assert events.announce(earlier, NOW)
        assert exams.the_order().scheduled_at == TWELVE

    def test_a_filler_number_finds_the_order_too(self, exams: Exams) -> None:
        exams.send(
            "ORM^O01", pid("P1"), "ORC|NW|PL-B1^EHR|FI-B1^RIS|||||||20261120080000", f"OBR|1{'|' * 17}B1"
        )  # fmt: skip
        exams.book("S12", TEN, filler="FI-B1^RIS")
        assert exams.the_order("B1").scheduled_at == TEN
        assert exams.the_order("A1").scheduled_at is None

    def test_an_appointment_far_ahead_is_still_that_of_its_order(self, exams: Exams) -> None:
        next_year = datetime(2027, 10, 1, 10, tzinfo=BERLIN)
        exams.book("S12", next_year, placer="PL-A1^EHR")
        assert exams.the_order().scheduled_at == next_year

    def test_an_appointment_without_an_order_is_filed_under_its_patient(self, exams: Exams) -> None:
        assert exams.book("S12", TEN) == "applied"
        (row,) = exams.rows()
        assert (row.kind, row.order_id, row.patient_id) == ("scheduled", None, exams.patient(ANNA).id)
        assert exams.the_order().scheduled_at is None
        assert "exam: scheduled for 2026-11-25 10:00 +0100 by HL7 SCH08|HOSP" in exams.story("P1")

    def test_an_appointment_of_another_patient_does_not_move_the_order(self, exams: Exams) -> None:
        exams.register("P2")
        exams.send("SIU^S12", pid("P2"), f"SCH|1|1{'|' * 9}^^30^20261125100000{'|' * 15}PL-A1^EHR")
        assert exams.the_order().scheduled_at is None
        assert [row.order_id for row in exams.rows()] == [None]

    def test_the_same_appointment_twice_is_filed_once(self, exams: Exams) -> None:
        for _ in range(2):
            exams.book("S12", TEN, placer="PL-A1^EHR")
        assert len(exams.rows()) == 1
        assert exams.story("A1").count("exam: scheduled") == 1

    def test_a_test_appointment_moves_no_order_of_production(self, exams: Exams) -> None:
        exams.order("P1", "A1", mode="T")
        exams.book("S12", TEN, placer="PL-A1^EHR", mode="T")
        times = {order.test: order.scheduled_at for order, _ in exams.record.order_candidates("A1")}
        assert times == {False: None, True: TEN}

    def test_an_appointment_rematches_only_images_that_fit_by_its_time(
        self, exams: Exams, studies: ClosingStudies
    ) -> None:
        self.images(studies, UID)
        exams.book("S12", TEN, placer="PL-A1^EHR")
        assert exams.study(UID).match_revision == 1
        exams.book("S13", TEN + timedelta(days=365), placer="PL-A1^EHR", sent="09")
        assert exams.study(UID).match_revision == 2

    # --- images

    def test_announced_images_give_the_order_its_study(self, exams: Exams, events: StudyEventStore) -> None:
        assert exams.announce(UID) == "applied"
        assert exams.the_order().study_instance_uid == UID
        (event,) = events.of_study(UID)
        assert (event.kind, event.source) == (StudyEventKind.IMAGES_AVAILABLE, "HL7 PACS|HOSP")
        story = exams.story("A1")
        assert "exam: images announced by HL7 PACS|HOSP" in story
        assert exams.story(UID).count("exam: images announced") == 1

    def test_announced_images_are_no_result(self, exams: Exams, databases: Databases) -> None:
        exams.announce(UID)
        assert exams.record.statements(exams.patient(ANNA)).statements == ()
        with databases.app.reading() as session:
            heard = {row.source: row.message_type for row in session.exec(select(FeedRow)).all()}
        assert heard["HL7 PACS|HOSP"] == "ORU of images"
        searched = {one.source: one.covers for one in exams.record.statements(exams.patient(ANNA)).searched}
        assert searched["HL7 PACS|HOSP"] == ()

    def test_announcements_of_one_batch_are_all_filed(
        self, exams: Exams, events: StudyEventStore, databases: Databases
    ) -> None:
        block = "MSH|^~\\&|PACS|HOSP|S|S|20261120080000||ORU^R01|{0}|P|2.5.1\r{1}\rOBR|1||{0}^PACS\r{2}"
        obx = "OBX|1|ST|110180^Study Instance UID^DCM||1.2.{}||||||F"
        sent = [block.format(n, pid("P1"), obx.format(n)).encode() for n in (901, 902)]
        messages = [LoggedMessage(901 + n, check(raw, "peer", NOW)) for n, raw in enumerate(sent)]
        exams.record.apply([(logged, READER(logged.message)) for logged in messages], NOW)
        assert {event.study_instance_uid for event in events.pending()} == {"1.2.901", "1.2.902"}
        with databases.app.reading() as session:
            assert session.get_one(FeedRow, ("HL7 PACS|HOSP", "ORU of images")).messages == 2

    def test_another_study_of_an_order_that_has_one_changes_nothing_and_is_told(self, exams: Exams) -> None:
        exams.announce(UID)
        exams.announce(OTHER_UID)
        assert exams.the_order().study_instance_uid == UID
        assert "exam: another study was announced" in exams.story("A1")

    def test_a_study_that_is_here_under_the_number_is_not_contradicted(
        self, exams: Exams, studies: ClosingStudies
    ) -> None:
        self.images(studies, OTHER_UID)
        exams.announce(UID)
        assert exams.the_order().study_instance_uid is None
        assert exams.study(OTHER_UID).match_revision == 1

    def test_images_of_two_orders_with_one_number_are_matched_again(
        self, exams: Exams, studies: ClosingStudies
    ) -> None:
        exams.send("ORM^O01", pid("P1"), "ORC|NW|PL-X^EHR|||||||20261120080000", f"OBR|1{'|' * 17}A1")
        self.images(studies, UID)
        before = exams.study(UID).match_revision
        exams.announce(UID, obr=f"OBR|1|PL-X^EHR|77^PACS|CT^CT^L{'|' * 14}A1")
        named = {o.placer_order_number: o.study_instance_uid for o, _ in exams.record.order_candidates("A1")}
        assert named == {Identifier("PL-A1", "EHR"): None, Identifier("PL-X", "EHR"): UID}
        assert exams.study(UID).match_revision == before + 1

    def test_a_reused_accession_number_of_long_ago_is_another_exam(self, exams: Exams) -> None:
        exams.send("ORM^O01", pid("P1"), "ORC|NW|PL-OLD^EHR|||||||20250101080000", f"OBR|1{'|' * 17}OLD")
        exams.announce(UID, "OLD")
        assert exams.the_order("OLD").study_instance_uid is None

    def test_what_is_announced_and_not_here_is_pending_until_it_comes(
        self, exams: Exams, events: StudyEventStore, studies: ClosingStudies
    ) -> None:
        exams.announce(UID)
        exams.announce(OTHER_UID, "UNKNOWN")
        exams.announce("1.2.840.3", mode="T")
        assert [event.study_instance_uid for event in events.pending()] == [UID, OTHER_UID]
        self.images(studies, UID)
        assert [event.study_instance_uid for event in events.pending()] == [OTHER_UID]
        assert events.pending(limit=0) == []

    def test_an_announcement_by_any_wire_is_recorded_once(self, exams: Exams, events: StudyEventStore) -> None:
        accession = Identifier("A1", "RIS")
        event = StudyEvent(
            StudyEventKind.IMAGES_AVAILABLE, "DICOM PACS", NOW, study_instance_uid=UID, accession=accession
        )
        assert events.announce(event, NOW)
        assert not events.announce(event, NOW + timedelta(minutes=1))
        assert events.of_study(UID) == [event]
        assert exams.the_order().study_instance_uid == UID

    def test_a_number_of_two_patients_is_nobodys_without_a_patient(self, exams: Exams, events: StudyEventStore) -> None:
        exams.register("P2")
        exams.order("P2", "A1")
        event = StudyEvent(
            StudyEventKind.IMAGES_AVAILABLE,
            "DICOM PACS",
            NOW,
            study_instance_uid=UID,
            accession=Identifier("A1", "RIS"),
        )
        events.announce(event, NOW)
        assert {order.study_instance_uid for order, _ in exams.record.order_candidates("A1")} == {None}

    def test_the_announced_patient_may_be_one_who_was_merged(self, exams: Exams) -> None:
        exams.register("P2")
        exams.merge("P1", "P2")
        exams.announce(UID, number="P2")
        assert exams.the_order().study_instance_uid == UID

    def test_a_test_announcement_touches_no_study_of_production(
        self, exams: Exams, studies: ClosingStudies, databases: Databases
    ) -> None:
        self.images(studies, UID)
        exams.order("P1", "A1", mode="T")
        exams.announce(UID, mode="T")
        assert exams.the_order().study_instance_uid is None
        with databases.app.reading() as session:
            assert session.get_one(StudyRow, UID).match_revision == 1
        assert NOW.tzinfo is UTC

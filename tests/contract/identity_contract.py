"""What the store promises of who is who, with real messages through the reader (SAFETY section 1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select

from adapters.hl7.check import check
from adapters.hl7.read import Reader
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier, IdentityEvent, Patient, Sex
from cds.domain.imaging import InstanceHeader, StoredInstance
from cds.domain.matching import MatchState, match
from cds.domain.message import LoggedMessage
from cds.domain.order import OrderStatus
from cds.errors import Conflict, NotFound
from cds.store import timeline
from cds.store.holds import open_holds
from cds.store.identity_undo import history, undo
from cds.store.record import RecordStore
from cds.store.safety_tables import AuditRow
from cds.store.tables import FeedRow, MessageOutcomeRow, StudyRow
from tests.contract.closing import ClosingStudies
from tests.databases import Databases

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
READER = Reader("HOSP", "RIS", "ORC-3", "Europe/Berlin")
ANNA, BEA, CLEO = (Identifier(value, "HOSP") for value in ("P1", "P2", "P3"))


class Feed:
    """Sends messages to a record as the HL7 role does: checked, read, applied one after the other."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.record = RecordStore(databases.app)
        self.number = 0

    def send(self, kind: str, *lines: str, mode: str = "P", sender: str = "ADT") -> str:
        """Apply a message; answers what became of it, with the reason."""
        self.number += 1
        header = f"MSH|^~\\&|{sender}|HOSP|S|S|20261120080000||{kind}|{self.number}|{mode}|2.5.1"
        message = check("\r".join([header, *lines]).encode(), "peer", NOW + timedelta(seconds=self.number))
        self.again(self.number, LoggedMessage(self.number, message))
        with self.databases.app.reading() as session:
            outcome = session.get_one(MessageOutcomeRow, self.number)
            return f"{outcome.state}: {outcome.reason}" if outcome.reason else outcome.state

    def again(self, _number: int, logged: LoggedMessage) -> None:
        self.record.apply([(logged, READER(logged.message))], NOW + timedelta(minutes=self.number))

    def register(self, *numbers: str, born: str = "19600302", event: str = "A04", mode: str = "P") -> str:
        """A registration of a patient."""
        return self.send(f"ADT^{event}", pid(*numbers, born=born), mode=mode)

    def order(
        self, number: str, accession: str, control: str = "NW", *, account: str = "", visit: str = "", mode: str = "P"
    ) -> str:
        """An order of a patient under an account and a visit."""
        lines = (
            f"PID|1||{number}^^^HOSP{'|' * 15}{account}", f"PV1|1|O{'|' * 17}{visit}",
            f"ORC|{control}|PL-{accession}^EHR|||||||20261120080000", f"OBR|1{'|' * 17}{accession}",
        )  # fmt: skip
        return self.send("ORM^O01", *lines, mode=mode)

    def result(self, number: str, value: str, *, filler: str = "F1", account: str = "") -> str:
        """A laboratory result."""
        return self.send(
            "ORU^R01", f"PID|1||{number}^^^HOSP{'|' * 15}{account}", f"OBR|1||{filler}^LAB|24331-1^Lipids^LN",
            f"OBX|1|NM|2093-3^Cholesterol^LN||{value}|mg/dL|||||F|||20261101", sender="LAB",
        )  # fmt: skip

    def merge(self, prior: str, survivor: str, event: str = "A40") -> str:
        """Prior lives on as survivor."""
        return self.send(f"ADT^{event}", f"PID|1||{survivor}^^^HOSP", f"MRG|{prior}^^^HOSP")

    def link(self, one: str, other: str, event: str = "A24") -> str:
        """Two patients are one, or (A37) are not any more."""
        return self.send(f"ADT^{event}", f"PID|1||{one}^^^HOSP", f"PID|2||{other}^^^HOSP")

    def undo(self, change: int, by: str = "Dr. Rufer") -> None:
        """A person takes a change back."""
        with self.databases.app.writing() as session:
            undo(session, change, by, NOW + timedelta(hours=1))

    def changes(self) -> int:
        """How many changes of identity were applied so far."""
        return len(history(self.databases.app))

    def patient(self, identifier: Identifier) -> Patient:
        """The patient who owns an identifier."""
        found = self.record.patient(identifier)
        assert found is not None
        return found

    def one(self, *identifiers: Identifier) -> bool:
        """True where all of these name one patient."""
        return len({self.patient(identifier).id for identifier in identifiers}) == 1

    def cholesterol(self, identifier: Identifier) -> list[float]:
        """What the record says of a patient's cholesterol."""
        said = self.record.statements(self.patient(identifier)).statements
        return [s.value.value.value for s in said if hasattr(s.value.value, "value")]

    def study(self, uid: str) -> StudyRow:
        """A study's row."""
        with self.databases.app.reading() as session:
            return session.get_one(StudyRow, uid)

    def kinds(self) -> list[HoldKind]:
        """What waits for a person."""
        return [hold.kind for hold in open_holds(self.databases.app)]


def pid(*numbers: str, born: str = "19600302") -> str:
    """A PID of a woman with these numbers of the hospital."""
    return f"PID|1||{'~'.join(f'{number}^^^HOSP' for number in numbers)}||Test^Tina||{born}|F"


class IdentityContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def feed(self, databases: Databases) -> Feed:
        """Anna (P1) and Bea (P2), who are two patients as far as anybody knows."""
        feed = Feed(databases)
        feed.register("P1")
        feed.register("P2")
        return feed

    @pytest.fixture
    def studies(self, databases: Databases) -> ClosingStudies:
        """The studies of a site that names its authorities."""
        return ClosingStudies(databases.app, assigning_authority="HOSP", accession_issuer="RIS")

    def images(self, studies: ClosingStudies, accession: str, number: str, uid: str = "1.2") -> None:
        """A study of one instance, complete."""
        header = InstanceHeader(
            sop_instance_uid=f"{uid}.9",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            series_instance_uid=f"{uid}.1",
            study_instance_uid=uid,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="CT",
            patient_id=number,
            accession_number=accession,
            study_date=date(2026, 11, 20),
        )
        stored = StoredInstance(header, f"instances/{uid}.9", uid, 100)
        studies.add(stored, received_at=NOW, consumed=True, source="dicom")
        studies.close_quiet(NOW + timedelta(hours=1))

    # --- merge

    def test_after_a_merge_the_survivor_owns_everything(self, feed: Feed) -> None:
        feed.order("P1", "A1")
        feed.result("P1", "180", filler="F1")
        feed.result("P2", "210", filler="F2")
        assert feed.merge("P1", "P2") == "applied"
        survivor = feed.patient(ANNA)
        assert survivor == feed.patient(BEA)
        assert (survivor.identifiers, survivor.former) == ((BEA,), (ANNA,))
        assert sorted(feed.cholesterol(ANNA)) == [180, 210]
        [(_, patient)] = feed.record.order_candidates("A1")
        assert patient == survivor
        assert survivor.id
        assert feed.record.patient_by_id(survivor.id) == survivor

    def test_a_merge_counts_that_came_before_the_first_message_of_both(self, databases: Databases) -> None:
        feed = Feed(databases)
        assert feed.merge("P1", "P2", "A47") == "applied"
        feed.register("P1")
        feed.register("P2")
        assert feed.one(ANNA, BEA)

    def test_a_merge_is_undone_by_cutting_one_edge(self, feed: Feed) -> None:
        before = feed.patient(ANNA), feed.patient(BEA)
        feed.result("P1", "180")
        feed.merge("P1", "P2")
        feed.undo(1)
        assert [feed.patient(i).id for i in (ANNA, BEA)] == [patient.id for patient in before]
        assert feed.cholesterol(ANNA) == [180]
        assert feed.cholesterol(BEA) == []

    def test_what_came_during_a_merge_stays_with_the_number_that_it_named(self, feed: Feed) -> None:
        feed.merge("P1", "P2")
        feed.order("P1", "A1")
        feed.order("P2", "A2")
        feed.undo(1)
        owners = [feed.record.order_candidates(number)[0][1].identifiers for number in ("A1", "A2")]
        assert owners == [(ANNA,), (BEA,)]

    def test_a_merge_back_and_a_merge_again_are_already_one_and_never_a_circle(self, feed: Feed) -> None:
        assert [feed.merge("P1", "P2"), feed.merge("P2", "P1"), feed.merge("P1", "P2")] == ["applied"] * 3
        assert feed.one(ANNA, BEA)
        feed.undo(1)
        assert feed.one(ANNA, BEA)
        feed.undo(2)
        feed.undo(3)
        assert not feed.one(ANNA, BEA)

    def test_undoing_the_first_of_two_merges_leaves_the_second_and_nothing_else(self, feed: Feed) -> None:
        feed.register("P3")
        feed.merge("P1", "P2")
        feed.merge("P1", "P3")
        assert feed.one(ANNA, BEA, CLEO)
        feed.undo(1)
        assert feed.one(ANNA, CLEO)
        assert not feed.one(ANNA, BEA)

    def test_a_merge_matches_the_studies_of_both_again_once(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1")
        self.images(studies, "A1", "P2")
        held = match(studies.study("1.2"), feed.record.order_candidates("A1"))
        feed.merge("P1", "P2")
        assert feed.study("1.2").match_revision == 2
        found = match(studies.study("1.2"), feed.record.order_candidates("A1"))
        assert (held.state, found.state) == (MatchState.HELD, MatchState.MATCHED)
        assert found.patient_id == feed.patient(BEA).id
        feed.undo(1)
        assert feed.study("1.2").match_revision == 3
        assert match(studies.study("1.2"), feed.record.order_candidates("A1")).state is MatchState.HELD

    def test_the_survivor_has_the_newest_demographics_and_any_death(self, feed: Feed) -> None:
        feed.send("ADT^A08", "PID|1||P1^^^HOSP||Test^Tina||19600302|F" + "|" * 22 + "Y")
        feed.send("ADT^A40", pid("P2", born="19600303"), "MRG|P1^^^HOSP")
        survivor = feed.patient(ANNA)
        assert (survivor.birth_date, survivor.sex, survivor.deceased) == (date(1960, 3, 3), Sex.FEMALE, True)

    def test_identifiers_of_one_tree_are_one_patient_and_no_doubt(self, feed: Feed) -> None:
        assert feed.register("P1", "P2").startswith("quarantined")
        feed.merge("P1", "P2")
        assert feed.register("P1", "P2") == "applied"

    def test_a_new_number_is_filed_under_the_patient_who_is_named_with_it(self, feed: Feed) -> None:
        feed.merge("P1", "P2")
        feed.register("P1", "P9")
        feed.undo(1)
        assert feed.patient(Identifier("P9", "HOSP")).identifiers == (ANNA, Identifier("P9", "HOSP"))

    def test_a_merge_that_names_two_patients_as_one_side_is_quarantined(self, feed: Feed) -> None:
        feed.register("P3")
        outcome = feed.send("ADT^A40", pid("P3"), "MRG|P1^^^HOSP~P2^^^HOSP")
        assert outcome.startswith("quarantined: the identifiers of the prior patient (MRG-1)")
        assert not feed.one(ANNA, CLEO)

    def test_a_correction_by_the_survivor_replaces_what_the_prior_patient_was_told(self, feed: Feed) -> None:
        feed.result("P1", "180")
        feed.merge("P1", "P2")
        feed.result("P2", "190")
        assert feed.cholesterol(ANNA) == [190]
        feed.undo(1)
        assert (feed.cholesterol(ANNA), feed.cholesterol(BEA)) == ([180], [190])

    def test_an_order_is_cancelled_under_the_survivors_number(self, feed: Feed) -> None:
        feed.order("P1", "A1")
        feed.merge("P1", "P2")
        feed.order("P2", "A1", "CA")
        [(order, _)] = feed.record.order_candidates("A1")
        assert order.status is OrderStatus.REVOKED

    def test_a_message_changes_who_is_who_once(self, feed: Feed) -> None:
        feed.merge("P1", "P2")
        message = check(b"MSH|^~\\&|ADT|HOSP|S|S|20261120||ADT^A40|9|P|2.5\rPID|1||P1\rMRG|P2", "peer", NOW)
        for _ in range(2):
            feed.again(feed.number, LoggedMessage(feed.number, message))
        assert len(history(feed.databases.app)) == 1

    def test_timeline_audit_and_history_tell_a_merge_by_random_ids(self, feed: Feed) -> None:
        prior, survivor = feed.patient(ANNA).id, feed.patient(BEA).id
        feed.merge("P1", "P2")
        feed.undo(1)
        assert prior
        assert survivor
        with feed.databases.app.reading() as session:
            lines = timeline.read(session, studies=(), orders=(), patients=(prior,))
            audit = session.exec(select(AuditRow)).all()
        assert [line.outcome for line in lines if line.step == "identity"] == ["merged", "two again"]
        assert [(row.actor, row.action) for row in audit] == [("HL7 ADT|HOSP", "merge"), ("Dr. Rufer", "merge undone")]
        [change] = history(feed.databases.app, prior)
        assert (change.event, change.trigger, change.by) == (IdentityEvent.MERGE, "A40", "HL7 ADT|HOSP")
        assert (change.prior_id, change.survivor_id, change.undone_by) == (prior, survivor, "Dr. Rufer")
        assert history(feed.databases.app, "nobody") == []

    def test_what_is_not_there_or_undone_already_is_not_undone(self, feed: Feed) -> None:
        feed.merge("P1", "P2")
        feed.undo(1)
        with pytest.raises(Conflict, match=r"Dr\. Rufer"):
            feed.undo(1)
        with pytest.raises(NotFound):
            feed.undo(7)

    # --- link and unlink

    def test_an_unlink_ends_a_link_and_can_be_undone(self, feed: Feed) -> None:
        feed.link("P1", "P2")
        assert feed.one(ANNA, BEA)
        assert feed.link("P2", "P1", "A37") == "applied"
        assert not feed.one(ANNA, BEA)
        with pytest.raises(Conflict, match="ended by change 2"):
            feed.undo(1)
        feed.undo(2)
        assert feed.one(ANNA, BEA)

    def test_an_unlink_of_two_who_are_two_changes_nothing(self, feed: Feed) -> None:
        assert feed.link("P1", "P2", "A37") == "applied"
        assert not feed.one(ANNA, BEA)

    def test_an_unlink_of_two_who_are_one_by_others_waits_for_a_person(self, feed: Feed) -> None:
        feed.register("P3")
        feed.merge("P1", "P3")
        feed.merge("P2", "P3")
        assert feed.link("P1", "P2", "A37").startswith("quarantined: the two patients are one by other merges")
        assert feed.one(ANNA, BEA)

    def test_an_unlink_of_two_numbers_of_one_record_waits_for_a_person(self, feed: Feed) -> None:
        feed.register("P1", "P9")
        assert feed.link("P1", "P9", "A37").startswith("quarantined: both identifiers are of one record")

    # --- move

    def test_what_is_filed_under_an_account_moves_and_comes_back(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1", account="ACC1")
        feed.order("P1", "A2", account="ACC2")
        feed.result("P1", "180", account="ACC1")
        self.images(studies, "A1", "P2")
        assert feed.send("ADT^A44", pid("P2"), "MRG|P1^^^HOSP||ACC1") == "applied"
        owners = [feed.record.order_candidates(number)[0][1].identifiers for number in ("A1", "A2")]
        assert owners == [(BEA,), (ANNA,)]
        assert (feed.cholesterol(ANNA), feed.cholesterol(BEA)) == ([], [180])
        assert feed.study("1.2").match_revision == 2
        feed.undo(1)
        assert feed.record.order_candidates("A1")[0][1].identifiers == (ANNA,)
        assert (feed.cholesterol(ANNA), feed.cholesterol(BEA)) == ([180], [])

    def test_a_visit_moves_and_has_its_new_numbers(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1", visit="V1")
        self.images(studies, "A1", "P2")
        feed.send("ADT^A45", pid("P2"), "MRG|P1^^^HOSP||||V1", f"PV1|1|O{'|' * 17}V2")
        assert feed.record.order_candidates("A1")[0][1].identifiers == (BEA,)
        feed.send("ADT^A11", pid("P2"), f"PV1|1|O{'|' * 17}V2")
        assert feed.study("1.2").stopped

    def test_numbers_of_accounts_change_within_one_patient(self, feed: Feed) -> None:
        feed.order("P1", "A1", account="ACC1")
        feed.send("ADT^A41", f"PID|1||P1^^^HOSP{'|' * 15}ACC2", "MRG|||ACC1")
        feed.send("ADT^A44", pid("P2"), "MRG|P1^^^HOSP||ACC1")
        assert feed.record.order_candidates("A1")[0][1].identifiers == (ANNA,)
        feed.send("ADT^A44", pid("P2"), "MRG|P1^^^HOSP||ACC2")
        assert feed.record.order_candidates("A1")[0][1].identifiers == (BEA,)

    def test_a_number_moves_with_what_is_filed_under_it(self, feed: Feed) -> None:
        feed.register("P1", "P7")
        feed.order("P1", "A1")
        feed.order("P7", "A7")
        feed.result("P7", "180")
        moved = Identifier("P7", "HOSP")
        assert feed.send("ADT^A43", pid("P2"), "MRG|P7^^^HOSP") == "applied"
        assert feed.one(moved, BEA)
        assert not feed.one(moved, ANNA)
        owners = [feed.record.order_candidates(number)[0][1].id for number in ("A1", "A7")]
        assert owners == [feed.patient(ANNA).id, feed.patient(BEA).id]
        assert feed.cholesterol(ANNA) == [180]
        feed.undo(1)
        assert feed.one(moved, ANNA)
        assert feed.record.order_candidates("A7")[0][1].id == feed.patient(ANNA).id

    def test_statements_move_with_the_last_number_of_their_patient(self, feed: Feed) -> None:
        feed.result("P1", "180")
        feed.result("P2", "210")
        feed.send("ADT^A43", pid("P2"), "MRG|P1^^^HOSP")
        assert sorted(feed.cholesterol(BEA)) == [180, 210]
        feed.undo(1)
        assert (feed.cholesterol(ANNA), feed.cholesterol(BEA)) == ([180], [210])

    def test_a_move_that_was_moved_on_is_undone_from_the_last_back(self, feed: Feed) -> None:
        feed.register("P3")
        feed.order("P1", "A1", account="ACC1")
        feed.send("ADT^A44", pid("P2"), "MRG|P1^^^HOSP||ACC1")
        feed.send("ADT^A44", pid("P3"), "MRG|P2^^^HOSP||ACC1")
        with pytest.raises(Conflict, match="later change"):
            feed.undo(1)
        assert feed.record.order_candidates("A1")[0][1].identifiers == (CLEO,)
        feed.undo(2)
        feed.undo(1)
        assert feed.record.order_candidates("A1")[0][1].identifiers == (ANNA,)

    # --- cancelled visits, deleted records, cancelled orders

    def test_the_studies_of_a_cancelled_visit_wait_for_a_person(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1", visit="V1")
        feed.order("P1", "A2", visit="V2")
        self.images(studies, "A1", "P1", "1.2")
        self.images(studies, "A2", "P1", "1.3")
        assert feed.send("ADT^A11", pid("P1"), f"PV1|1|O{'|' * 17}V1") == "applied"
        assert feed.study("1.2").stopped
        assert feed.study("1.3").stopped == ""
        assert feed.kinds() == [HoldKind.VISIT_CANCELLED]
        feed.undo(1)
        assert feed.study("1.2").stopped == ""
        assert feed.kinds() == []

    def test_a_visit_that_two_messages_cancel_is_given_back_by_both(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1", visit="V1")
        self.images(studies, "A1", "P1")
        for event in ("A11", "A38"):
            feed.send(f"ADT^{event}", pid("P1"), f"PV1|1|O{'|' * 17}V1")
        feed.undo(1)
        assert feed.study("1.2").stopped
        feed.undo(2)
        assert feed.study("1.2").stopped == ""

    def test_a_cancelled_visit_without_a_number_stops_nothing(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1", visit="V1")
        self.images(studies, "A1", "P1")
        assert feed.send("ADT^A11", pid("P1")) == "applied"
        assert feed.study("1.2").stopped == ""
        [change] = history(feed.databases.app)
        assert change.event is IdentityEvent.CANCEL_VISIT

    def test_a_deleted_record_does_not_match_and_its_sender_brings_it_back(
        self, feed: Feed, studies: ClosingStudies
    ) -> None:
        feed.order("P1", "A1")
        self.images(studies, "A1", "P1")
        feed.send("ADT^A29", pid("P1"))
        assert "deleted (A29)" in feed.patient(ANNA).deleted
        assert match(studies.study("1.2"), feed.record.order_candidates("A1")).state is MatchState.HELD
        feed.send("ADT^A08", pid("P1"), sender="OTHER")
        assert feed.patient(ANNA).deleted
        assert feed.register("P1") == "applied"
        assert feed.patient(ANNA).deleted == ""
        assert feed.study("1.2").match_revision == 3
        assert match(studies.study("1.2"), feed.record.order_candidates("A1")).state is MatchState.MATCHED

    def test_a_deletion_is_undone(self, feed: Feed) -> None:
        feed.send("ADT^A29", pid("P1"))
        feed.undo(1)
        assert feed.patient(ANNA).deleted == ""

    def test_deleting_a_merged_record_leaves_its_survivor(self, feed: Feed) -> None:
        feed.merge("P1", "P2")
        feed.send("ADT^A29", pid("P1"))
        assert feed.patient(BEA).deleted == ""

    def test_an_order_cancelled_after_the_images_came_asks_a_person(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1")
        self.images(studies, "A1", "P1")
        feed.order("P1", "A1", "CA")
        assert feed.kinds() == [HoldKind.ORDER_CANCELLED]
        assert feed.study("1.2").match_revision == 2

    def test_an_order_cancelled_before_the_images_asks_nobody(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1")
        feed.order("P1", "A1", "CA")
        self.images(studies, "A1", "P1")
        assert feed.kinds() == []
        feed.order("P1", "A1")
        assert feed.record.order_candidates("A1")[0][0].status is OrderStatus.REVOKED

    def test_a_cancelled_duplicate_asks_nobody_while_the_other_order_stands(
        self, feed: Feed, studies: ClosingStudies
    ) -> None:
        feed.order("P1", "A1")
        twin = ("PID|1||P1^^^HOSP", "ORC|{}|PL-X^EHR|||||||20261120080000", f"OBR|1{'|' * 17}A1")
        feed.send("ORM^O01", twin[0], twin[1].format("NW"), twin[2])
        self.images(studies, "A1", "P1")
        feed.send("ORM^O01", twin[0], twin[1].format("CA"), twin[2])
        assert feed.kinds() == []
        assert match(studies.study("1.2"), feed.record.order_candidates("A1")).state is MatchState.MATCHED

    # --- test realm

    def test_a_test_message_is_applied_to_nobody_of_production(self, feed: Feed, studies: ClosingStudies) -> None:
        before = feed.patient(ANNA)
        assert feed.register("P1", born="19500101", mode="T") == "applied: message with MSH-11 T or D"
        assert feed.patient(ANNA) == before
        assert feed.patient(ANNA.in_test()).birth_date == date(1950, 1, 1)
        feed.order("P1", "A1", mode="D")
        [(order, patient)] = feed.record.order_candidates("A1")
        assert order.test
        assert patient.test
        self.images(studies, "A1", "P1")
        assert match(studies.study("1.2"), feed.record.order_candidates("A1")).patient_id == patient.id

    def test_a_test_merge_or_order_touches_no_study_of_production(self, feed: Feed, studies: ClosingStudies) -> None:
        feed.order("P1", "A1")
        self.images(studies, "A1", "P1")
        feed.order("P1", "A1", mode="T")
        feed.order("P1", "A1", "CA", mode="T")
        feed.send("ADT^A40", pid("P2"), "MRG|P1^^^HOSP", mode="T")
        assert feed.study("1.2").match_revision == 1
        assert feed.kinds() == []
        assert not feed.one(ANNA, BEA)
        assert feed.one(ANNA.in_test(), BEA.in_test())
        assert [o.test for o, _ in feed.record.order_candidates("A1") if o.status is OrderStatus.ACTIVE] == [False]

    def test_a_test_message_is_no_sign_of_life_of_a_feed(self, databases: Databases) -> None:
        feed = Feed(databases)
        feed.register("P1", mode="T")
        feed.register("P1")
        feed.register("P1")
        with databases.app.reading() as session:
            [row] = session.exec(select(FeedRow)).all()
        assert (row.messages, row.typical_s) == (2, 1.0)

    def test_a_patient_without_merges_is_looked_up_with_few_queries(self, feed: Feed) -> None:
        asked: list[str] = []

        def note(*arguments: object) -> None:
            asked.append(str(arguments[2]))

        feed.record.patient(ANNA)  # what the connection asks for itself is behind it
        sa.event.listen(feed.databases.app.reader, "before_cursor_execute", note)
        feed.patient(ANNA)
        assert len([query for query in asked if query.startswith("SELECT")]) <= 4

"""What replays promise: repaired is what was wrong, and nothing that was said since is undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.hl7.check import check
from cds.clock import SystemClock
from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent, MessageState, RecordValue
from cds.domain.message_story import Replayed
from cds.domain.order import OrderStatus
from cds.errors import InvalidMessage
from cds.intake import apply_singly
from cds.store.audit import AuditStore
from cds.store.decisions import DecisionStore, Said
from cds.store.holds import open_holds
from cds.store.replaying import Replays
from cds.store.tables import MessageOutcomeRow
from tests.contract.identity_contract import ANNA, BEA, NOW, READER, Feed, pid
from tests.databases import Databases

_LATER = NOW + timedelta(hours=2)


class Replaying(Feed):
    """A feed that remembers its messages and can apply them again."""

    def __init__(self, databases: Databases) -> None:
        super().__init__(databases)
        self.sent: dict[int, LoggedMessage] = {}

    def again(self, _number: int, logged: LoggedMessage) -> None:
        self.sent[logged.id] = logged
        super().again(_number, logged)

    def unread(self, kind: str, *lines: str) -> int:
        """A message that could not be read when it came; its id."""
        self.number += 1
        header = f"MSH|^~\\&|ADT|HOSP|S|S|20261120080000||{kind}|{self.number}|P|2.5.1"
        block = "\r".join([header, *lines]).encode()
        logged = LoggedMessage(self.number, check(block, "peer", NOW + timedelta(seconds=self.number)))
        self.sent[logged.id] = logged
        at = NOW + timedelta(minutes=self.number)
        self.record.apply([(logged, InvalidMessage("want an authority in PID-3.4"))], at)
        return logged.id

    def replay(self, *numbers: int, says: MessageContent | InvalidMessage | None = None) -> list[Replayed]:
        """Apply messages again, read by the reader or as `says`."""
        replays = Replays(self.databases.app, "eve")
        for number in numbers:
            logged = self.sent[number]
            replays.apply([(logged, says or READER(logged.message))], _LATER + timedelta(seconds=number))
        return replays.done

    def outcome(self, number: int) -> tuple[str, str]:
        """State and reason as they are kept."""
        with self.databases.app.reading() as session:
            row = session.get_one(MessageOutcomeRow, number)
            return row.state, row.reason

    def held(self) -> dict[int | None, str]:
        """What waits for a person."""
        return {hold.message_id: hold.reason for hold in open_holds(self.databases.app)}

    def family(self, identifier: Identifier) -> str:
        """The family name as it is known."""
        return self.patient(identifier).name.family


def named(family: str, number: str = "P1", born: str = "19600302") -> str:
    """PID with a name."""
    return f"PID|1||{number}^^^HOSP||{family}^Anna||{born}|F"


class ReplayContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def feed(self, databases: Databases) -> Replaying:
        """A feed into the databases."""
        return Replaying(databases)

    # --- what is repaired

    def test_a_quarantined_message_that_reads_well_now_is_applied_and_waits_for_nobody(
        self, feed: Replaying, databases: Databases
    ) -> None:
        number = feed.unread("ADT^A04", named("Berg"))
        assert feed.held() == {number: "want an authority in PID-3.4"}
        [done] = feed.replay(number)
        why = "replayed"
        assert done == Replayed(number, MessageState.QUARANTINED, MessageState.APPLIED, applied=True, reason=why)
        assert (feed.outcome(number), feed.held()) == (("applied", why), {})
        assert feed.family(ANNA) == "Berg"
        told = [(event.actor, event.action, event.detail) for event in AuditStore(databases.app).search()]
        assert ("eve", "message replayed", (f"message {number}", "quarantined, now applied")) in told
        assert any(actor == "eve" and action == "hold resolved" for actor, action, _ in told)

    def test_what_still_cannot_be_read_waits_for_the_reason_of_now(self, feed: Replaying) -> None:
        number = feed.unread("ADT^A04", named("Berg"))
        [done] = feed.replay(number, says=InvalidMessage("want a birth date"))
        assert (done.applied, done.now, done.reason) == (False, MessageState.QUARANTINED, "want a birth date")
        assert feed.held() == {number: "want a birth date"}
        assert feed.outcome(number) == ("quarantined", "want a birth date")

    def test_a_doubt_about_whom_it_speaks_of_stays_a_persons_to_decide(self, feed: Replaying) -> None:
        feed.register("P1")
        number = feed.unread("ORU^R01", named("Berg", born="19990101"), "OBR|1||F1^LAB|1^x^LN", "OBX|1|NM|1^x^LN||1")
        [done] = feed.replay(number)
        assert (done.applied, done.now) == (False, MessageState.QUARANTINED)
        assert "another birth date" in feed.held()[number]
        born = feed.patient(ANNA).birth_date
        assert born is not None
        assert born.year == 1960

    def test_an_ignored_message_that_is_read_now_is_applied(self, feed: Replaying) -> None:
        feed.send("ADT^A04", named("Berg"))
        feed.sent[2] = replace(feed.sent[1], id=2)
        feed.record.apply([(feed.sent[2], MessageContent(None, ignored="nobody reads it here"))], NOW)
        [done] = feed.replay(2)
        assert (done.was, done.now, done.applied) == (MessageState.IGNORED, MessageState.APPLIED, True)

    def test_what_breaks_our_code_again_has_failed_again(self, feed: Replaying, databases: Databases) -> None:
        number = feed.unread("ADT^A04", named("Berg"))
        broken = MessageContent(READER(feed.sent[number].message).patient, values=(None,))
        replays = Replays(databases.app, "eve")
        apply_singly([(feed.sent[number], broken)], replays, SystemClock())
        [done] = replays.done
        assert (done.applied, done.now) == (False, MessageState.FAILED)
        assert feed.held()[number] == done.reason == "applying the message broke with AttributeError"

    def test_a_name_that_was_read_wrongly_is_corrected(self, feed: Replaying) -> None:
        feed.send("ADT^A04", named("MÃ¼ller"))
        feed.send("ADT^A04", named("Roth", "P2"))
        said = READER(feed.sent[1].message)
        assert said.patient is not None
        right = replace(said, patient=replace(said.patient, name=replace(said.patient.name, family="Müller")))
        [done] = feed.replay(1, says=right)
        assert (done.was, done.now, done.applied) == (MessageState.APPLIED, MessageState.APPLIED, True)
        assert (feed.family(ANNA), feed.family(BEA)) == ("Müller", "Roth")

    # --- what is not undone

    def test_names_that_were_stated_since_stand(self, feed: Replaying) -> None:
        number = feed.unread("ADT^A04", named("Maiden", born="19600302"))
        feed.send("ADT^A08", "PID|1||P1^^^HOSP||Married^Anna")
        assert feed.replay(number)[0].applied
        assert feed.family(ANNA) == "Married"
        assert feed.patient(ANNA).birth_date is not None, "what nobody said since is taken from it"

    def test_all_in_their_order_leave_the_newest_name_however_often(self, feed: Replaying) -> None:
        for family in ("One", "Two", "Three"):
            feed.send("ADT^A08", named(family))
        for numbers in ((1, 2, 3), (1,), (2, 1), (1, 2, 3)):
            assert all(done.applied for done in feed.replay(*numbers))
            assert feed.family(ANNA) == "Three"

    def test_of_messages_that_were_applied_together_the_older_changes_no_name(self, feed: Replaying) -> None:
        feed.send("ADT^A08", named("One"))
        block = feed.sent[1].message.raw.replace(b"One^", b"Two^")
        feed.sent[2] = LoggedMessage(2, replace(feed.sent[1].message, raw=block, control_id="2"))
        feed.sent[3] = LoggedMessage(
            3, replace(feed.sent[1].message, raw=block.replace(b"Two", b"Three"), control_id="3")
        )
        feed.record.apply([(feed.sent[n], READER(feed.sent[n].message)) for n in (2, 3)], NOW + timedelta(hours=1))
        assert feed.replay(2)[0].applied
        assert feed.family(ANNA) == "Three"

    def test_a_value_that_its_sender_corrected_since_stands(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.result("P1", "200")
        feed.result("P1", "180")
        assert feed.replay(2)[0].applied
        assert feed.cholesterol(ANNA) == [180.0]

    def test_an_order_that_was_cancelled_since_is_not_revived(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.order("P1", "A1")
        feed.order("P1", "A1", "CA")
        assert feed.replay(2)[0].applied
        [(order, _)] = feed.record.order_candidates("A1")
        assert order.status is OrderStatus.REVOKED

    def test_a_merge_is_not_made_twice(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.register("P2")
        feed.merge("P2", "P1")
        assert feed.replay(3)[0].applied
        assert feed.changes() == 1
        feed.undo(1)
        assert not feed.one(ANNA, BEA)

    def test_a_merge_that_a_person_undid_stays_undone(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.register("P2")
        feed.merge("P2", "P1")
        feed.undo(1)
        [done] = feed.replay(3)
        assert (done.applied, done.was, done.now) == (False, MessageState.APPLIED, MessageState.APPLIED)
        assert "who is who has changed since" in done.reason
        assert not feed.one(ANNA, BEA)

    def test_a_merge_that_could_not_be_read_is_made_once(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.register("P2")
        number = feed.unread("ADT^A40", pid("P1"), "MRG|P2^^^HOSP")
        assert feed.replay(number)[0].applied
        assert feed.replay(number)[0].applied
        assert feed.one(ANNA, BEA)
        assert feed.changes() == 1

    def test_a_record_that_was_deleted_since_is_not_revived(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.send("ADT^A29", pid("P1"))
        assert feed.patient(ANNA).deleted
        [done] = feed.replay(1)
        assert not done.applied
        assert feed.patient(ANNA).deleted

    def test_what_was_moved_to_another_patient_since_is_not_filed_again_under_the_first(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.register("P2")
        feed.result("P1", "200", account="K1")
        feed.send("ADT^A44", f"PID|1||P2^^^HOSP{'|' * 15}K1", "MRG|P1^^^HOSP||K1")
        assert feed.cholesterol(BEA) == [200.0]
        [done] = feed.replay(3)
        assert not done.applied
        assert (feed.cholesterol(ANNA), feed.cholesterol(BEA)) == ([], [200.0])
        assert feed.outcome(3) == ("applied", "")

    def test_an_applied_message_that_cannot_be_read_any_more_stays_applied(self, feed: Replaying) -> None:
        feed.send("ADT^A04", named("Berg"))
        [done] = feed.replay(1, says=InvalidMessage("want a birth date"))
        assert (done.applied, done.now) == (False, MessageState.APPLIED)
        assert done.reason == "want a birth date; it stays as it was"
        assert (feed.outcome(1), feed.held()) == (("applied", ""), {})

    def test_what_a_person_discarded_stays_so_unless_it_can_be_applied(
        self, feed: Replaying, databases: Databases
    ) -> None:
        number = feed.unread("ADT^A04", named("Berg"))
        decisions = DecisionStore(databases.app, lambda _: pytest.fail("nothing is read"), lambda _: None)
        decisions.resolve(open_holds(databases.app)[0].id, Said("discard", "eve", NOW))
        [done] = feed.replay(number, says=InvalidMessage("want a birth date"))
        assert (done.applied, feed.held(), feed.outcome(number)[0]) == (False, {}, "discarded")
        assert feed.replay(number)[0].applied
        assert feed.family(ANNA) == "Berg"

    def test_a_message_whose_turn_has_not_come_waits(self, feed: Replaying) -> None:
        feed.send("ADT^A04", named("Berg"))
        feed.sent[5] = replace(feed.sent[1], id=5)
        [done] = feed.replay(5)
        assert (done.was, done.applied, done.reason) == (
            MessageState.RECEIVED,
            False,
            "it waits to be applied in its turn",
        )
        assert feed.record.applied_up_to() == 1

    def test_a_replay_of_values_keeps_those_of_other_messages(self, feed: Replaying) -> None:
        feed.register("P1")
        feed.result("P1", "200", filler="F1")
        feed.result("P1", "190", filler="F2")
        said = READER(feed.sent[2].message)
        assert feed.replay(2)[0].applied
        assert sorted(feed.cholesterol(ANNA)) == [190.0, 200.0]
        assert all(isinstance(value, RecordValue) for value in said.values)

"""What the message log promises, and what people see of it, on every database that it runs on."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cds.domain.message import LoggedMessage, MessageContent, MessageState, RawMessage
from cds.domain.report import DeliveryKind, DeliveryState
from cds.errors import BrokenMessage, InvalidMessage, NotFound
from cds.store.decisions import DecisionStore, Said
from cds.store.deliveries import enqueue
from cds.store.holds import HoldStore
from cds.store.message_log import SqlMessageLog
from cds.store.message_outcomes import entries, entry, outcomes, raw, story, with_state
from cds.store.record import RecordStore
from tests.contract.store_contract import NOW, PATIENT
from tests.databases import Databases

WINDOW = timedelta(hours=168)


def message(control_id: str, body: bytes = b"MSH|...", **changed: object) -> RawMessage:
    """A message of the laboratory that was accepted."""
    known = RawMessage(
        raw=body, sha256=hashlib.sha256(body).hexdigest(), sending_application="LAB", sending_facility="HOSP",
        control_id=control_id, message_type="ORU", trigger_event="R01", version="2.5.1", processing_id="P",
        character_set="", peer="127.0.0.1", received_at=NOW, answered="AA",
    )  # fmt: skip
    return replace(known, **changed)


class MessageLogContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def log(self, databases: Databases) -> SqlMessageLog:
        """A message log."""
        return SqlMessageLog(databases.messages)

    # --- appending

    def test_every_field_comes_back_as_it_was_kept(self, log: SqlMessageLog) -> None:
        kept = message(
            "Ä-1", bytes(range(256)), sending_application="Büro", trigger_event="", character_set="8859/1",
            peer="::1", answered="CE", refusal="want a patient", wants_result="AL", processing_id="T",
            received_at=NOW + timedelta(microseconds=7),
        )  # fmt: skip
        (logged,) = log.append([kept])
        assert logged == LoggedMessage(logged.id, kept)
        assert log.after(0, 10) == [logged]

    def test_an_empty_group_is_nothing(self, log: SqlMessageLog) -> None:
        assert log.append([]) == []
        assert log.newest_id() == 0

    def test_the_newest_id_is_that_of_the_last_message(self, log: SqlMessageLog) -> None:
        logged = log.append([message(str(n), b"%d" % n) for n in range(2500)])
        assert [one.id for one in logged] == list(range(logged[0].id, logged[0].id + 2500))
        assert log.newest_id() == logged[-1].id

    def test_ids_become_visible_in_their_order_however_many_write(self, databases: Databases) -> None:
        done = threading.Event()

        def write(writer: int) -> list[int]:
            log = SqlMessageLog(databases.messages)
            groups = [[message(f"{writer}-{n}-{m}", b"%d %d %d" % (writer, n, m)) for m in range(3)] for n in range(20)]
            return [one.id for group in groups for one in log.append(group)]

        def follow() -> list[int]:
            log, found, last = SqlMessageLog(databases.messages), list[int](), False
            while not last:
                last = done.is_set()
                found += [one.id for one in log.after(found[-1] if found else 0, 7)]
            while more := log.after(found[-1], 100):
                found += [one.id for one in more]
            return found

        with ThreadPoolExecutor(5) as pool:
            reading = pool.submit(follow)
            written = [number for ids in pool.map(write, range(4)) for number in ids]
            done.set()
        assert reading.result() == sorted(written)

    def test_what_no_text_column_can_hold_fails_no_neighbour(self, log: SqlMessageLog) -> None:
        nasty = message(
            "A\0B", b"\x00\xff", sending_application="\ud800", message_type="Z\0", version="x" * 9000,
            sending_facility="\N{OK HAND SIGN}" * 9000, refusal="want text", answered="AR",
        )  # fmt: skip
        logged = log.append([message("before", b"1"), nasty, message("behind", b"2")])
        before, kept, behind = (one.message for one in log.after(0, 10))
        assert (before.control_id, behind.control_id) == ("before", "behind")
        assert kept == logged[1].message
        assert (kept.raw, kept.sha256) == (nasty.raw, nasty.sha256)
        assert (kept.control_id, kept.sending_application) == ("A\N{REPLACEMENT CHARACTER}B", "?")
        assert len(kept.sending_facility) == len(kept.version) == 200
        (again,) = log.append([nasty])
        assert again.duplicate

    # --- repeats

    def test_a_repeat_is_answered_with_what_was_committed_then(self, log: SqlMessageLog) -> None:
        (first,) = log.append([message("1", answered="CA", wants_result="AL")])
        (again,) = log.append([message("1", peer="10.1.1.1", received_at=NOW + timedelta(hours=1))])
        assert again == LoggedMessage(first.id, first.message, duplicate=True)
        assert log.newest_id() == first.id

    def test_a_repeat_within_a_group_is_a_repeat(self, log: SqlMessageLog) -> None:
        first, again, other, last = log.append([message("1"), message("1"), message("1", b"MSH|other"), message("1")])
        assert [one.duplicate for one in (first, again, other, last)] == [False, True, False, True]
        assert first.id == again.id == last.id
        assert [one.duplicate for one in log.append([again.message] * 2)] == [True, True]
        assert [one.duplicate for one in log.append([message("2")] * 2)] == [False, True]
        assert other.doubt == f"the control id was used before for other content: message {first.id}"
        assert len(log.after(0, 10)) == 3

    def test_after_the_window_the_same_bytes_are_a_message_again(self, log: SqlMessageLog) -> None:
        times = [NOW, NOW + WINDOW, NOW + WINDOW + timedelta(seconds=1)]
        first, repeat, late = (log.append([message("1", received_at=at)])[0] for at in times)
        assert (repeat.duplicate, repeat.id) == (True, first.id)
        assert (late.duplicate, late.doubt) == (False, "")
        (again,) = log.append([message("1", received_at=times[2] + timedelta(hours=1))])
        assert (again.duplicate, again.id) == (True, late.id)

    def test_after_the_window_a_control_id_may_be_used_again_without_a_doubt(self, log: SqlMessageLog) -> None:
        log.append([message("1")])
        (other,) = log.append([message("1", b"MSH|other", received_at=NOW + WINDOW + timedelta(seconds=1))])
        assert (other.duplicate, other.doubt) == (False, "")

    def test_a_doubt_names_the_newest_message_with_the_control_id_and_stays_in_the_log(
        self, log: SqlMessageLog
    ) -> None:
        log.append([message("1", b"MSH|one")])
        (second,) = log.append([message("1", b"MSH|two")])
        (third,) = log.append([message("1", b"MSH|three")])
        assert third.doubt.endswith(f"message {second.id}")
        assert log.after(second.id, 1)[0].doubt == third.doubt

    @pytest.mark.parametrize(
        "changed", [{"sending_application": "RIS"}, {"sending_facility": "CLINIC"}, {"control_id": "2"}], ids=str
    )
    def test_the_same_bytes_under_another_key_are_another_message(
        self, changed: dict[str, str], log: SqlMessageLog
    ) -> None:
        log.append([message("1")])
        (other,) = log.append([replace(message("1"), **changed)])
        assert (other.duplicate, other.doubt) == (False, "")

    def test_without_a_control_id_nothing_is_a_repeat(self, log: SqlMessageLog) -> None:
        log.append([message("", b"no HL7", refusal="want MSH", answered="AR")])
        again, other = log.append([message("", b"no HL7", refusal="want MSH", answered="AR"), message("", b"more")])
        assert (again.duplicate, again.doubt, other.doubt) == (False, "", "")
        assert len(log.after(0, 10)) == 3

    def test_what_was_refused_and_is_taken_now_is_a_message(self, log: SqlMessageLog) -> None:
        refused = message("1", refusal="want a patient", answered="AE")
        (first,) = log.append([refused])
        (again,) = log.append([refused])
        assert (again.duplicate, again.id, again.message.answered) == (True, first.id, "AE")
        (taken,) = log.append([message("1")])
        assert (taken.duplicate, taken.doubt) == (False, "")
        (later,) = log.append([refused])
        assert (later.duplicate, later.id, later.message.answered) == (True, taken.id, "AA")

    # --- looking at it

    def test_the_log_is_told_newest_first_with_what_became_of_each(
        self, databases: Databases, log: SqlMessageLog
    ) -> None:
        feed(databases, log)
        found = entries(databases.messages, databases.app)
        assert [one.id for one in found] == [6, 5, 4, 3, 2, 1]
        assert [one.state for one in found] == [
            MessageState.RECEIVED, MessageState.IGNORED, MessageState.FAILED, MessageState.QUARANTINED,
            MessageState.IGNORED, MessageState.APPLIED,
        ]  # fmt: skip
        newest, refused, broken, unread, unwanted, applied = found
        assert (newest.doubts, newest.applied_at) == (
            ("the control id was used before for other content: message 1",),
            None,
        )
        assert (refused.answered, refused.reason) == ("AE", "refused with AE: want an order")
        assert broken.reason == "applying the message broke with KeyError"
        assert unread.reason == "want a patient in PID-3"
        assert unwanted.reason == "nobody reads it here"
        assert (applied.reason, applied.doubts, applied.applied_at) == ("", ("guessed the character set",), NOW)
        assert (applied.size, applied.sender, applied.sha256) == (6, "LAB|HOSP", hashlib.sha256(b"body 1").hexdigest())
        assert [one.id for one in entries(databases.messages, databases.app, limit=2)] == [6, 5]

    @pytest.mark.parametrize(
        ("wanted", "ids"),
        [
            ({"state": MessageState.APPLIED}, [1]),
            ({"state": MessageState.RECEIVED}, [6]),
            ({"state": MessageState.QUARANTINED}, [3]),
            ({"state": MessageState.FAILED}, [4]),
            ({"state": MessageState.IGNORED}, [5, 2]),
            ({"state": MessageState.IGNORED, "limit": 1}, [5]),
            ({"state": MessageState.QUARANTINED, "control_id": "1"}, []),
            ({"state": MessageState.QUARANTINED, "message_type": "ADT"}, []),
            ({"state": MessageState.QUARANTINED, "sender": "LAB"}, [3]),
            ({"sender": "RIS"}, [5]),
            ({"sender": "RIS|HOSP"}, [5]),
            ({"sender": "RIS|CLINIC"}, []),
            ({"message_type": "MFN"}, [2]),
            ({"message_type": "oru_r01"}, [6, 4, 3, 1]),
            ({"message_type": "ORU^R02"}, []),
            ({"control_id": "1"}, [6, 1]),
            ({"control_id": "1", "state": MessageState.APPLIED}, [1]),
            ({"since": NOW + timedelta(hours=3)}, [6, 5, 4]),
            ({"since": NOW + timedelta(hours=3), "message_type": "ORM"}, [5]),
            ({"since": NOW + timedelta(days=9)}, []),
        ],
        ids=str,
    )
    def test_the_log_is_asked_by(
        self, wanted: dict[str, object], ids: list[int], databases: Databases, log: SqlMessageLog
    ) -> None:
        feed(databases, log)
        found = entries(databases.messages, databases.app, **wanted)
        assert [one.id for one in found] == ids

    def test_a_state_that_many_have_is_found_over_several_pages(self, databases: Databases, log: SqlMessageLog) -> None:
        batch = log.append([message(str(n), b"%d" % n) for n in range(1300)])
        unwanted, unread = MessageContent(None, ignored="nobody reads it here"), InvalidMessage("want a patient")
        RecordStore(databases.app).apply([(one, unread if one.id % 2 else unwanted) for one in batch], NOW)
        for state, odd in ((MessageState.IGNORED, 0), (MessageState.QUARANTINED, 1)):
            found = entries(databases.messages, databases.app, state=state, limit=640)
            assert [one.id for one in found] == [n for n in range(1300, 0, -1) if n % 2 == odd][:640]
            assert with_state(databases.app, state) == [n for n in range(1, 1301) if n % 2 == odd]

    def test_outcomes_are_told_for_those_that_have_one(self, databases: Databases, log: SqlMessageLog) -> None:
        feed(databases, log)
        assert outcomes(databases.app, [1, 3, 6, 99]) == {
            1: (MessageState.APPLIED, ""),
            3: (MessageState.QUARANTINED, "want a patient in PID-3"),
        }
        assert outcomes(databases.app, []) == {}

    def test_one_message_is_told_with_its_hold_and_its_deferred_answer(
        self, databases: Databases, log: SqlMessageLog
    ) -> None:
        feed(databases, log)
        with databases.app.writing() as session:
            enqueue(session, delivery_id="acknowledgment:3", destination="acknowledgment:LAB",
                    kind=DeliveryKind.ACKNOWLEDGMENT, payload=b"MSH|", now=NOW)  # fmt: skip
        told = story(databases.messages, databases.app, 3)
        assert told.entry == entry(databases.messages, databases.app, 3)
        assert told.hold is not None
        assert (told.hold.message_id, told.hold.resolved_at) == (3, None)
        assert told.told is not None
        assert (told.told.destination, told.told.state) == ("acknowledgment:LAB", DeliveryState.PENDING)
        plain = story(databases.messages, databases.app, 5)
        assert (plain.hold, plain.told, plain.refusal) == (None, None, "want an order")

    def test_the_bytes_come_back_as_they_came(self, databases: Databases, log: SqlMessageLog) -> None:
        log.append([message("1", bytes(range(256)) * 4096)])
        assert raw(databases.messages, 1) == bytes(range(256)) * 4096
        assert entry(databases.messages, databases.app, 1).size == 256 * 4096

    def test_what_is_not_in_the_log_is_not_found(self, databases: Databases, log: SqlMessageLog) -> None:
        with pytest.raises(NotFound):
            story(databases.messages, databases.app, 1)
        with pytest.raises(NotFound):
            raw(databases.messages, 1)

    def test_what_a_person_discarded_is_told_as_ignored(self, databases: Databases, log: SqlMessageLog) -> None:
        feed(databases, log)
        [hold] = [one for one in HoldStore(databases.app).open() if one.message_id == 3]
        decisions = DecisionStore(databases.app, lambda _: pytest.fail("nothing is read"), lambda _: None)
        decisions.resolve(hold.id, Said("discard", "eve", NOW))
        found = entries(databases.messages, databases.app, state=MessageState.IGNORED)
        assert [one.id for one in found] == [5, 3, 2]
        assert found[1].reason == "want a patient in PID-3; a person discarded it"


def feed(databases: Databases, log: SqlMessageLog) -> None:
    """Six messages, one an hour: applied, ignored, quarantined, failed, refused, and one that waits."""
    said: list[tuple[RawMessage, MessageContent | InvalidMessage | None]] = [
        (message("1", b"body 1"), MessageContent(PATIENT, warnings=("guessed the character set",))),
        (message("2", b"body 2", message_type="MFN"), MessageContent(None, ignored="nobody reads it here")),
        (message("3", b"body 3"), InvalidMessage("want a patient in PID-3")),
        (message("4", b"body 4"), BrokenMessage("applying the message broke with KeyError")),
        (
            message("5", b"body 5", sending_application="RIS", message_type="ORM", trigger_event="O01",
                    refusal="want an order", answered="AE"),
            MessageContent(None, ignored="refused with AE: want an order"),
        ),
        (message("1", b"body 6"), None),
    ]  # fmt: skip
    times = [NOW + timedelta(hours=n) for n in range(len(said))]
    logged = log.append([replace(one, received_at=at) for (one, _), at in zip(said, times, strict=True)])
    read = [(one, content) for one, (_, content) in zip(logged, said, strict=True) if content is not None]
    RecordStore(databases.app).apply(read, NOW)

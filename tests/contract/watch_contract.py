"""What the watch promises: each alarm is raised once, cleared once and told both times, whoever looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import SQLModel, select

from cds.domain.critical import CriticalState
from cds.domain.hold import HoldKind
from cds.domain.report import DeliveryKind
from cds.store.deliveries import DeliveryStore, enqueue
from cds.store.safety_tables import AlarmRow, AuditRow, CriticalResultRow, SwitchRow
from cds.store.tables import DeliveryRow, FeedRow, HeartbeatRow, HoldRow
from cds.store.watch import Watch, banner, feeds, tell_once
from cds.watch import Change, Limits
from tests.databases import Databases

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=15))
FEED = "HL7 LAB|HOSP"


def ago(**how: float) -> datetime:
    return NOW - timedelta(**how)


def put(databases: Databases, *rows: SQLModel) -> None:
    with databases.app.writing() as session:
        for row in rows:
            session.merge(row)


def feed(last_at: datetime) -> FeedRow:
    """A sender that is normally heard every two minutes."""
    return FeedRow(
        source=FEED, message_type="ORU", first_at=ago(days=30), last_at=last_at, messages=900, typical_s=120.0,
        longest_s=300.0,
    )  # fmt: skip


def hold(kind: HoldKind, at: datetime, **more: datetime) -> HoldRow:
    return HoldRow(key=f"{kind.value}:{at}", id="12345678", kind=kind.value, reason="a reason", created_at=at, **more)


def critical(state: CriticalState) -> CriticalResultRow:
    return CriticalResultRow(
        id=state.value, token=state.value, study_uid="1.2", episode=1, work_id="w", finding=state.value, title="bleed",
        category=1, route="ward", state=state.value, created_at=ago(hours=1), due_at=ago(minutes=45),
    )  # fmt: skip


def tell(change: Change) -> Sequence[tuple[str, bytes]]:
    """By mail and by webhook."""
    return [(f"alarm:{channel}", change.title.encode()) for channel in ("mail", "webhook")]


def deliver(databases: Databases, at: datetime) -> None:
    """The channels take what waits."""
    store = DeliveryStore(databases.app)
    for due in store.pending():
        store.sent(due.id, "taken", at)


class WatchContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def watch(self, databases: Databases) -> Watch:
        """A worker's watch."""
        return Watch(databases.app, LIMITS, tell)

    def test_a_feed_that_falls_silent_is_told_once_and_again_when_it_is_back(
        self, databases: Databases, watch: Watch
    ) -> None:
        put(databases, feed(ago(minutes=5)))
        assert watch.look(NOW).alarms == ()
        (raised,) = watch.look(NOW + timedelta(minutes=42)).changes
        assert raised.title == "Alarm: HL7 LAB|HOSP: last message (ORU) 47 min ago, normally every 2 min"
        deliver(databases, NOW)
        later = watch.look(NOW + timedelta(hours=2))
        assert later.changes == ()
        assert "125 min" not in later.alarms[0].text
        assert "2 h ago" in later.alarms[0].text
        put(databases, feed(NOW + timedelta(hours=3)))
        (over,) = watch.look(NOW + timedelta(hours=3)).changes
        assert not over.raised
        with databases.app.reading() as session:
            (row,) = session.exec(select(AlarmRow)).all()
            assert (row.raised_at, row.cleared_at) == (NOW + timedelta(minutes=42), NOW + timedelta(hours=3))
            assert [line.action for line in session.exec(select(AuditRow))] == ["alarm raised", "alarm cleared"]

    def test_both_channels_are_sent_one_message_for_each_change(self, databases: Databases, watch: Watch) -> None:
        put(databases, feed(ago(hours=1)))
        for minutes in range(5):
            watch.look(NOW + timedelta(minutes=minutes))
        deliveries = DeliveryStore(databases.app)
        sent = [deliveries.delivery(due.id) for due in deliveries.pending()]
        assert [d.destination for d in sent] == ["alarm:mail", "alarm:webhook"]
        assert {(d.kind, d.subject) for d in sent} == {(DeliveryKind.ALERT, f"feed:{FEED}")}
        assert all(b"60 min ago" in d.payload for d in sent)

    def test_the_same_cause_a_second_time_is_a_second_alarm(self, databases: Databases, watch: Watch) -> None:
        for at in (NOW, NOW + timedelta(hours=5)):
            put(databases, feed(at - timedelta(hours=1)))
            assert [change.raised for change in watch.look(at).changes] == [True]
            put(databases, feed(at))
            assert [change.raised for change in watch.look(at).changes] == [False]
            assert len(DeliveryStore(databases.app).pending()) == 4
            deliver(databases, at)

    def test_an_alarm_channel_that_is_stuck_is_told_by_the_other_one(self, databases: Databases, watch: Watch) -> None:
        put(databases, hold(HoldKind.WORK_FAILED, NOW))
        watch.look(NOW)
        store = DeliveryStore(databases.app)
        store.sent(next(due.id for due in store.pending() if due.destination == "alarm:webhook"), "taken", NOW)
        (stuck,) = watch.look(NOW + timedelta(minutes=16)).changes
        assert stuck.alarm.key == "delivery:alarm:mail"
        told = [store.delivery(due.id) for due in store.pending()]
        assert [(d.destination, d.subject) for d in told] == [
            ("alarm:mail", "hold:work-failed"),
            ("alarm:webhook", "delivery:alarm:mail"),
        ]

    def test_workers_that_look_at_the_same_time_tell_it_once(self, databases: Databases) -> None:
        put(databases, feed(ago(hours=1)), hold(HoldKind.QUARANTINED, ago(hours=1)))
        watches = [Watch(databases.app, LIMITS, tell) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            looked = list(pool.map(lambda watch: watch.look(NOW), watches))
        assert sum(len(one.changes) for one in looked) == 2
        assert len(DeliveryStore(databases.app).pending()) == 4

    def test_a_delivery_that_waits_is_stuck_after_the_sites_limit(self, databases: Databases, watch: Watch) -> None:
        with databases.app.writing() as session:
            for number in range(3):
                enqueue(
                    session, delivery_id=str(number), destination="ehr", kind=DeliveryKind.REPORT, payload=b"",
                    now=ago(minutes=20 - number),
                )  # fmt: skip
        deliveries = DeliveryStore(databases.app)
        deliveries.attempted("0", "the HL7 destination does not answer", NOW)
        (alarm,) = watch.look(NOW).alarms
        assert alarm.text == "3 deliveries to ehr not sent, the oldest for 20 min: 1 attempt failed"
        put(databases, SwitchRow(kind="destination", name="ehr", actor="ada", at=NOW, reason="maintenance"))
        assert [alarm.key for alarm in watch.look(NOW).alarms] == ["off:ehr"]
        for number in range(3):
            deliveries.sent(str(number), "AA", NOW)
        assert watch.look(NOW).alarms == ()

    def test_only_what_nobody_has_resolved_waits_for_a_person(self, databases: Databases, watch: Watch) -> None:
        put(databases, hold(HoldKind.QUARANTINED, ago(hours=3)), hold(HoldKind.QUARANTINED, ago(hours=2)))
        put(databases, hold(HoldKind.MATCH_IN_DOUBT, ago(hours=3), resolved_at=NOW), hold(HoldKind.DISCORDANT, NOW))
        assert [alarm.text for alarm in watch.look(NOW).alarms] == [
            "2 items held (quarantined) wait for a person, the oldest for 3 h"
        ]

    def test_a_critical_result_that_alarms_is_told_and_those_on_their_way_are_counted(
        self, databases: Databases, watch: Watch
    ) -> None:
        put(databases, *(critical(state) for state in CriticalState))
        looked = watch.look(NOW)
        assert [alarm.key for alarm in looked.alarms] == ["critical"]
        assert looked.seen.criticals == {
            CriticalState.OPEN: 1, CriticalState.ESCALATED: 1, CriticalState.ALARMED: 1,
        }  # fmt: skip

    def test_a_role_that_ends_is_missed_after_a_minute_and_a_new_worker_does_not_clear_that(
        self, databases: Databases
    ) -> None:
        limits = Limits(timedelta(minutes=15), {}, ("worker", "hl7"))
        watch = Watch(databases.app, limits, tell)
        put(databases, HeartbeatRow(name="h/hl7", role="hl7", at=ago(seconds=30)))
        for seconds in (0, 30, 59):
            put(databases, HeartbeatRow(name="h/worker-0", role="worker", at=NOW + timedelta(seconds=seconds)))
            assert watch.look(NOW + timedelta(seconds=seconds)).alarms == ()
        put(databases, HeartbeatRow(name="h/worker-0", role="worker", at=NOW + timedelta(seconds=60)))
        assert [c.alarm.key for c in watch.look(NOW + timedelta(seconds=60)).changes] == ["role:hl7"]
        fresh = Watch(databases.app, limits, tell).look(NOW + timedelta(seconds=61))
        assert ([alarm.key for alarm in fresh.alarms], fresh.changes) == (["role:hl7"], ())
        put(databases, HeartbeatRow(name="h/hl7", role="hl7", at=NOW + timedelta(seconds=62)))
        assert [c.raised for c in watch.look(NOW + timedelta(seconds=63)).changes] == [False]

    def test_the_banner_tells_what_is_alarming_now_without_waiting_for_a_worker(self, databases: Databases) -> None:
        limits = Limits(timedelta(minutes=15), {"HL7 RIS|HOSP": 60.0}, ("worker",))
        assert banner(databases.app, limits, NOW) == (
            "the role worker is not heard",
            "HL7 RIS|HOSP: never heard, normally every 60 s",
        )
        put(databases, HeartbeatRow(name="h/worker-0", role="worker", at=NOW))
        assert banner(databases.app, LIMITS, NOW) == ()
        with databases.app.reading() as session:
            assert session.exec(select(AlarmRow)).all() == []

    def test_the_feeds_are_listed_as_they_were_heard(self, databases: Databases) -> None:
        put(databases, feed(NOW))
        (heard,) = feeds(databases.app)
        assert (heard.source, heard.last_at, heard.messages, heard.typical_s) == (FEED, NOW, 900, 120.0)

    def test_what_happened_is_told_once_and_is_no_alarm_that_holds(self, databases: Databases, watch: Watch) -> None:
        assert tell_once(databases.app, tell, "retracted:w1", "A result was taken back.", NOW)
        assert not tell_once(databases.app, tell, "retracted:w1", "A result was taken back.", NOW)
        assert (watch.look(NOW).alarms, banner(databases.app, LIMITS, NOW)) == ((), ())
        store = DeliveryStore(databases.app)
        sent = [store.delivery(due.id) for due in store.pending()]
        assert [(d.subject, d.payload) for d in sent] == [("retracted:w1", b"Notice: A result was taken back.")] * 2
        with databases.app.reading() as session:
            assert [line.action for line in session.exec(select(AuditRow))] == ["notice raised"]

    def test_nothing_is_written_while_nothing_changes(self, databases: Databases, watch: Watch) -> None:
        put(databases, hold(HoldKind.QUARANTINED, ago(hours=3)))
        watch.look(NOW)
        with databases.app.writing():  # SQLite has one writer: a second would wait for this one
            assert watch.look(NOW + timedelta(seconds=10)).changes == ()

    def test_a_delivery_row_tells_no_patient(self, databases: Databases, watch: Watch) -> None:
        put(databases, hold(HoldKind.WORK_FAILED, NOW))
        watch.look(NOW)
        with databases.app.reading() as session:
            rows = session.exec(select(DeliveryRow)).all()
        assert {(row.patient_id, row.study_uid, row.work_id) for row in rows} == {(None, None, "")}

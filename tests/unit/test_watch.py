"""What counts as silent and as stuck, with numbers on both sides of every limit (SAFETY section 7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cds.domain.critical import CriticalState
from cds.domain.hold import HoldKind
from cds.watch import AlarmKind, Change, Feed, Held, Limits, Seen, Waiting, alarms, heard, span

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=15), {}, ("worker", "hl7"))
#: One message every two minutes, once an hour apart.
LEARNED = Feed("HL7 LAB|HOSP", "ORU", NOW, messages=20, typical_s=120.0, longest_s=300.0)


def ago(**how: float) -> datetime:
    return NOW - timedelta(**how)


def silent(feed: Feed, intervals: dict[str, float] | None = None) -> bool:
    (told,) = heard([feed], intervals or {})
    return told.is_silent(NOW)


def texts(seen: Seen, limits: Limits = LIMITS) -> list[str]:
    return [alarm.text for alarm in alarms(seen, limits, NOW)]


@pytest.mark.parametrize(
    ("typical_s", "longest_s", "silence_s", "alarming"),
    [
        (120.0, 300.0, 480, False),
        (120.0, 300.0, 481, True),
        (120.0, 3600.0, 5400, False),
        (120.0, 3600.0, 5401, True),
        (1.0, 2.0, 60, False),
        (1.0, 2.0, 61, True),
        (120.0, None, 481, True),
    ],
)
def test_what_was_learned_is_silent_after_four_times_the_typical_and_clearly_more_than_the_longest(
    typical_s: float, longest_s: float | None, silence_s: float, alarming: bool
) -> None:
    feed = replace(LEARNED, typical_s=typical_s, longest_s=longest_s, last_at=ago(seconds=silence_s))
    assert silent(feed) is alarming


def test_too_little_was_heard_to_know_what_is_normal() -> None:
    long_ago = replace(LEARNED, last_at=ago(days=30))
    assert silent(long_ago)
    assert not silent(replace(long_ago, messages=19))
    assert not silent(replace(long_ago, typical_s=None))


@pytest.mark.parametrize(("silence_s", "alarming"), [(1200, False), (1201, True)])
def test_a_stated_interval_counts_from_the_first_message_at_twice_its_length(silence_s: float, alarming: bool) -> None:
    once = Feed("HL7 LAB|HOSP", "ORU", ago(seconds=silence_s), messages=1)
    assert silent(once, {"HL7 LAB|HOSP": 600.0}) is alarming


def test_a_stated_interval_beats_what_was_learned_and_counts_for_all_that_a_sender_sends() -> None:
    results, orders = (
        replace(LEARNED, last_at=ago(hours=2)),
        replace(LEARNED, message_type="ORM", last_at=ago(minutes=1)),
    )
    (one,) = heard([results, orders], {"HL7 LAB|HOSP": 600.0})
    assert (one.messages, one.message_type, one.is_silent(NOW)) == (40, "", False)
    assert [told.is_silent(NOW) for told in heard([results, orders], {})] == [True, False]


def test_a_sender_that_was_announced_and_never_heard_is_silent() -> None:
    (told,) = texts(Seen(), replace(LIMITS, intervals={"HL7 RIS|HOSP": 600.0}))
    assert told == "HL7 RIS|HOSP: never heard, normally every 10 min"


def test_silence_is_told_in_words_that_a_person_uses() -> None:
    seen = Seen(feeds=(replace(LEARNED, last_at=ago(minutes=47)),))
    assert texts(seen) == ["HL7 LAB|HOSP: last message (ORU) 47 min ago, normally every 2 min"]
    stated = replace(LIMITS, intervals={"HL7 LAB|HOSP": 120.0})
    assert texts(seen, stated) == ["HL7 LAB|HOSP: last message 47 min ago, normally every 2 min"]


def test_a_sender_that_is_gone_is_one_alarm_whatever_it_sent() -> None:
    gone = replace(LEARNED, last_at=ago(hours=5))
    (alarm,) = alarms(Seen(feeds=(gone, replace(gone, message_type="ORM"))), LIMITS, NOW)
    assert (alarm.key, alarm.kind) == ("feed:HL7 LAB|HOSP", AlarmKind.FEED_SILENT)
    assert "(ORU)" in alarm.text
    assert "(ORM)" in alarm.text


@pytest.mark.parametrize(("minutes", "alarming"), [(15.0, False), (15.1, True)])
def test_a_delivery_that_waits_too_long_is_stuck(minutes: float, alarming: bool) -> None:
    told = texts(Seen(waiting=(Waiting("ehr", 3, ago(minutes=minutes), 12),)))
    assert told == (["3 deliveries to ehr not sent, the oldest for 15 min: 12 attempts failed"] if alarming else [])


def test_a_destination_that_is_off_is_told_at_once_where_something_waits_for_it() -> None:
    seen = Seen(waiting=(Waiting("ehr", 1, ago(minutes=1), 0),), off=frozenset({"ehr", "pacs"}))
    (alarm,) = alarms(seen, LIMITS, NOW)
    assert (alarm.kind, alarm.text) == (
        AlarmKind.DESTINATION_OFF,
        "1 delivery to ehr not sent, for 60 s: it is switched off",
    )


@pytest.mark.parametrize(
    ("kind", "minutes", "alarming"),
    [
        (HoldKind.QUARANTINED, 15.0, False),
        (HoldKind.QUARANTINED, 15.1, True),
        (HoldKind.WORK_FAILED, 0.0, True),
        (HoldKind.CRITICAL_UNACKNOWLEDGED, 0.0, True),
    ],
)
def test_what_waits_for_a_person_is_told_when_it_waited_too_long(
    kind: HoldKind, minutes: float, alarming: bool
) -> None:
    found = alarms(Seen(holds=(Held(kind, 2, ago(minutes=minutes)),)), LIMITS, NOW)
    assert [alarm.key for alarm in found] == ([f"hold:{kind.value}"] if alarming else [])


def test_a_critical_result_is_one_alarm_and_the_first() -> None:
    seen = Seen(
        feeds=(replace(LEARNED, last_at=ago(hours=5)),),
        holds=(Held(HoldKind.CRITICAL_UNACKNOWLEDGED, 1, ago(hours=1)),),
        criticals={CriticalState.ALARMED: 1, CriticalState.OPEN: 4},
    )
    assert [alarm.kind for alarm in alarms(seen, LIMITS, NOW)] == [
        AlarmKind.CRITICAL_UNACKNOWLEDGED,
        AlarmKind.FEED_SILENT,
    ]
    assert texts(replace(seen, feeds=())) == ["1 critical result that nobody has acknowledged in time"]
    assert texts(Seen(criticals={CriticalState.ESCALATED: 1})) == []


@pytest.mark.parametrize(("seconds", "alarming"), [(59, False), (60, True)])
def test_a_role_has_a_minute_to_restart(seconds: float, alarming: bool) -> None:
    told = texts(Seen(missing={"hl7": ago(seconds=seconds)}))
    assert told == (["the role hl7 is not heard"] if alarming else [])


def test_a_quiet_house_alarms_nobody() -> None:
    assert texts(Seen(feeds=(LEARNED,), waiting=(Waiting("ehr", 1, NOW, 0),), off=frozenset({"pacs"}))) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 days")],
)
def test_times_are_told_in_the_largest_unit_of_which_there_are_two(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_people_are_told_what_began_and_what_is_over() -> None:
    (alarm,) = alarms(Seen(missing={"hl7": ago(hours=1)}), LIMITS, NOW)
    assert Change(alarm, True, NOW).title == "Alarm: the role hl7 is not heard"
    assert Change(alarm, False, NOW).title == "Alarm is over: the role hl7 is not heard"
    ids = {
        Change(alarm, raised, at).delivery_id("alarm:mail") for raised in (True, False) for at in (NOW, ago(hours=1))
    }
    assert len(ids) == 4
    assert all(one.startswith("alarm-mail-") for one in ids)

"""What the people who run the site must look at: silent feeds and stuck things (SAFETY section 7). Pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cds.domain import fhir_news
from cds.domain.critical import WAITING, CriticalState
from cds.domain.hold import HoldKind
from cds.domain.quality import Crossed
from cds.domain.subscription import Subscription, SubscriptionState

#: A site that states an interval means what is normal: twice that is silence.
_STATED_TIMES = 2.0
#: What was learned counts after this many messages; silence is clearly more than was ever normal.
LEARNED_AFTER = 20
_TYPICAL_TIMES, _LONGEST_TIMES, _SHORTEST_S = 4.0, 1.5, 60.0
#: A role that restarts is missed for a moment.
_ROLE_GRACE = timedelta(seconds=60)
#: These wait for nobody's patience: they are told at once.
_AT_ONCE = frozenset({HoldKind.WORK_FAILED, HoldKind.CRITICAL_UNACKNOWLEDGED})
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class AlarmKind(StrEnum):
    """What an alarm is about. The values are stable: they stand in tables and metrics. A NOTICE is told and over."""

    FEED_SILENT = "feed-silent"
    FHIR_SILENT = "fhir-silent"
    DELIVERY_STUCK = "delivery-stuck"
    DESTINATION_OFF = "destination-off"
    HOLD_WAITING = "hold-waiting"
    CRITICAL_UNACKNOWLEDGED = "critical-unacknowledged"
    ROLE_MISSING = "role-missing"
    QUALITY_BOUND = "quality-bound"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One cause for an alarm: its stable key, and what to tell people, without PHI."""

    key: str
    kind: AlarmKind
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that was raised or cleared just now."""

    alarm: Alarm
    raised: bool
    at: datetime

    @property
    def kind(self) -> str:
        """What people are told: alarm, alarm-over or notice."""
        if self.alarm.kind is AlarmKind.NOTICE:
            return "notice"
        return "alarm" if self.raised else "alarm-over"

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.kind.capitalize().replace('-over', ' is over')}: {self.alarm.text}"

    def delivery_id(self, destination: str) -> str:
        """The same for the same change at the same destination."""
        what = f"{destination}/{self.alarm.key}/{self.kind}/{self.at.isoformat()}"
        return f"{destination.replace(':', '-')}-{hashlib.sha256(what.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class Feed:
    """A sender of one type of message as it was heard: seconds between two messages, smoothed and the longest."""

    source: str
    message_type: str
    last_at: datetime
    messages: int = 0
    typical_s: float | None = None
    longest_s: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A feed as it is judged: when last, what is normal, and after how much silence it counts as silent.

    `message_type` is empty where a site's own interval counts for all that the sender sends; `last_at` is None where
    such a sender was never heard; `normal_s` and `silent_after_s` are None while too little was heard to learn from.
    """

    source: str
    message_type: str
    messages: int
    last_at: datetime | None
    normal_s: float | None
    silent_after_s: float | None
    stated: bool = False

    def is_silent(self, now: datetime) -> bool:
        """True where it is silent for longer than is normal."""
        if self.silent_after_s is None:
            return False
        return self.last_at is None or (now - self.last_at).total_seconds() > self.silent_after_s

    def text(self, now: datetime) -> str:
        """ "last message 47 min ago, normally every 2 min"."""
        what = f"message ({self.message_type})" if self.message_type else "message"
        last = f"last {what} {span(now - self.last_at)} ago" if self.last_at else "never heard"
        return f"{last}, {self.normal}"

    @property
    def normal(self) -> str:
        """What is normal, in words."""
        if self.normal_s is None:
            return f"what is normal is not known before {LEARNED_AFTER} messages"
        return f"normally every {span(timedelta(seconds=self.normal_s))}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The deliveries that one destination has not taken yet; `attempts` are those of the one that goes first."""

    destination: str
    count: int
    oldest_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Held:
    """What waits for a person of one kind."""

    kind: HoldKind
    count: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """What a site finds normal. `intervals` maps feeds to the seconds that the site stated."""

    stuck_after: timedelta
    intervals: Mapping[str, float] = field(default_factory=dict)
    expected_roles: tuple[str, ...] = ()
    #: FHIR servers that are listened to.
    fhir_sources: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """How things stand. `off` are the destinations that are switched off, `missing` roles and since when."""

    feeds: tuple[Feed, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    off: frozenset[str] = frozenset()
    holds: tuple[Held, ...] = ()
    criticals: Mapping[CriticalState, int] = field(default_factory=dict)
    missing: Mapping[str, datetime] = field(default_factory=dict)
    fhir_feeds: tuple[fhir_news.Feed, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    #: FHIR server, resource type → how much of what it told waits to be worked off, and for a person.
    fhir_waiting: Mapping[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    #: What the last run of the quality figures found beyond a bound of the site.
    quality: tuple[Crossed, ...] = ()


def heard(feeds: Iterable[Feed], intervals: Mapping[str, float]) -> tuple[Heard, ...]:
    """Every feed as it is judged, by sender; a sender with a stated interval once, whatever it sends."""
    known: dict[str, list[Feed]] = {source: [] for source in intervals}
    for feed in feeds:
        known.setdefault(feed.source, []).append(feed)
    return tuple(
        judged
        for source, mine in sorted(known.items())
        for judged in ([_stated(source, mine, intervals[source])] if source in intervals else map(_learned, mine))
    )


def _stated(source: str, feeds: Sequence[Feed], interval_s: float) -> Heard:
    last, messages = max((feed.last_at for feed in feeds), default=None), sum(feed.messages for feed in feeds)
    return Heard(source, "", messages, last, interval_s, _STATED_TIMES * interval_s, stated=True)


def _learned(feed: Feed) -> Heard:
    known = Heard(feed.source, feed.message_type, feed.messages, feed.last_at, None, None)
    if feed.messages < LEARNED_AFTER or feed.typical_s is None:
        return known
    silent_after_s = max(_TYPICAL_TIMES * feed.typical_s, _LONGEST_TIMES * (feed.longest_s or 0.0), _SHORTEST_S)
    return Heard(feed.source, feed.message_type, feed.messages, feed.last_at, feed.typical_s, silent_after_s)


def alarms(seen: Seen, limits: Limits, now: datetime) -> tuple[Alarm, ...]:
    """Everything that people must look at now, one alarm per cause, the most urgent kind first."""
    return (
        *_criticals(seen),
        *_roles(seen, now),
        *_holds(seen, limits, now),
        *_deliveries(seen, limits, now),
        *_feeds(seen, limits, now),
        *_fhir(seen, limits, now),
        *(Alarm(one.key, AlarmKind.QUALITY_BOUND, one.text) for one in seen.quality),
    )


def _criticals(seen: Seen) -> Iterator[Alarm]:
    count = seen.criticals.get(CriticalState.ALARMED, 0)
    if count:
        text = f"{_number(count, 'critical result')} that nobody has acknowledged in time"
        yield Alarm("critical", AlarmKind.CRITICAL_UNACKNOWLEDGED, text)


def _roles(seen: Seen, now: datetime) -> Iterator[Alarm]:
    for role, since in sorted(seen.missing.items()):
        if now - since >= _ROLE_GRACE:
            yield Alarm(f"role:{role}", AlarmKind.ROLE_MISSING, f"the role {role} is not heard")


def _holds(seen: Seen, limits: Limits, now: datetime) -> Iterator[Alarm]:
    told = HoldKind.CRITICAL_UNACKNOWLEDGED if seen.criticals.get(CriticalState.ALARMED) else None
    for held in sorted(seen.holds, key=lambda one: one.kind):
        age = now - held.oldest_at
        if held.kind is not told and (held.kind in _AT_ONCE or age > limits.stuck_after):
            wait = "waits" if held.count == 1 else "wait"
            text = f"{_number(held.count, 'item')} held ({held.kind.value}) {wait} for a person, {_oldest(held, age)}"
            yield Alarm(f"hold:{held.kind.value}", AlarmKind.HOLD_WAITING, text)


def _oldest(some: Held | Waiting, age: timedelta) -> str:
    return f"for {span(age)}" if some.count == 1 else f"the oldest for {span(age)}"


def _deliveries(seen: Seen, limits: Limits, now: datetime) -> Iterator[Alarm]:
    for waiting in sorted(seen.waiting, key=lambda one: one.destination):
        age, name = now - waiting.oldest_at, waiting.destination
        told = f"{_number(waiting.count, 'delivery', 'deliveries')} to {name} not sent, {_oldest(waiting, age)}"
        if name in seen.off:
            yield Alarm(f"off:{name}", AlarmKind.DESTINATION_OFF, f"{told}: it is switched off")
        elif age > limits.stuck_after:
            tried = f"{_number(waiting.attempts, 'attempt')} failed" if waiting.attempts else "not tried yet"
            yield Alarm(f"delivery:{name}", AlarmKind.DELIVERY_STUCK, f"{told}: {tried}")


def _feeds(seen: Seen, limits: Limits, now: datetime) -> Iterator[Alarm]:
    texts: dict[str, list[str]] = {}
    for feed in heard(seen.feeds, limits.intervals):
        if feed.is_silent(now):
            texts.setdefault(feed.source, []).append(feed.text(now))
    for source, told in texts.items():
        yield Alarm(f"feed:{source}", AlarmKind.FEED_SILENT, f"{source}: {'; '.join(told)}")


def _fhir(seen: Seen, limits: Limits, now: datetime) -> Iterator[Alarm]:
    texts: dict[str, list[str]] = {}
    for feed in seen.fhir_feeds:
        since = feed.answered_at or feed.read_up_to or now
        if feed.failures and now - since > limits.stuck_after:
            text = f"{feed.resource_type} could not be read for {span(now - since)} ({feed.error})"
            texts.setdefault(feed.server, []).append(text)
    for one in seen.subscriptions:
        broken = bool(one.failures) or one.state is SubscriptionState.SILENT
        since = one.since or now
        if broken and one.state is not SubscriptionState.ACTIVE and now - since > limits.stuck_after:
            text = f"the Subscription for {one.resource_type} does not work for {span(now - since)} ({one.error})"
            texts.setdefault(one.server, []).append(text)
    for server in sorted(texts.keys() & limits.fhir_sources):
        yield Alarm(f"fhir:{server}", AlarmKind.FHIR_SILENT, f"FHIR {server}: {'; '.join(texts[server])}")


def critical_counts(seen: Seen) -> dict[CriticalState, int]:
    """Critical results that wait, by every state in which they can."""
    return {state: seen.criticals.get(state, 0) for state in WAITING}


def span(length: timedelta) -> str:
    """A time in words, in the largest unit of which there are at least two: "90 s", "47 min", "5 h", "3 days"."""
    seconds = max(length.total_seconds(), 0.0)
    for unit_s, unit in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"

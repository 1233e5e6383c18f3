"""The watch over feeds, deliveries and held items: what a site finds normal, who is told, and the gauges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cds import metrics
from cds.bootstrap.people import switchable
from cds.domain.fhir_news import Feed
from cds.domain.hold import HoldKind
from cds.domain.subscription import Subscription
from cds.domain.switch import SwitchKind
from cds.errors import SightlineError
from cds.fhir_peers import FhirSource
from cds.hook_peers import INSECURE
from cds.ports import Clock
from cds.settings import Settings
from cds.store import watch as store
from cds.store.engine import Database
from cds.store.fhir_feeds import feeds as stored_feeds
from cds.store.fhir_notices import NoticeQueue
from cds.store.fhir_subscriptions import subscriptions
from cds.watch import Alarm, AlarmKind, Change, Heard, Limits, Seen, critical_counts, heard


def limits(settings: Settings) -> Limits:
    """What this site finds normal."""
    stated = {f"HL7 {name}": s.expected_interval_s for name, s in settings.senders.items() if s.expected_interval_s}
    listened = frozenset(name for name, source in settings.fhir_sources.items() if source.events != "none")
    return Limits(timedelta(minutes=settings.stuck_after_minutes), stated, settings.expected_roles, listened)


def watch(settings: Settings, database: Database) -> Callable[[datetime], None]:
    """One look, for a worker's timer; raises Unavailable where the database is away."""
    watching = store.Watch(database, limits(settings), messages(settings))
    destinations = set(switchable(settings)[SwitchKind.DESTINATION])

    def look(now: datetime) -> None:
        looked = watching.look(now)
        destinations.update(waiting.destination for waiting in looked.seen.waiting)
        _measure(looked.seen, looked.alarms, destinations, now)
        for name in settings.fhir_sources:
            told = sum(sum(counts) for (server, _), counts in looked.seen.fhir_waiting.items() if server == name)
            metrics.FHIR_WAITING.set(told, source=name)

    return look


def alarm(settings: Settings, database: Database, clock: Clock) -> Callable[[str, str], None]:
    """Tells the people who run the site what happened, once per key: (key, text without PHI)."""
    notify = messages(settings)

    def tell(key: str, text: str) -> None:
        store.tell_once(database, notify, key, text, clock.now())

    return tell


def messages(settings: Settings) -> store.Notify:
    """How a change is said over each channel that the site has."""
    from adapters.notify.mail import mail_message
    from adapters.notify.webhook import webhook_body

    def mail(change: Change, delivery_id: str) -> bytes:
        return mail_message(
            sender=settings.smtp_from,
            to=settings.alarm_mail_to,
            subject=f"[{settings.site_name}] {change.title}",
            lines=(change.title, "", "cds holds list, cds feeds and the page /holds tell more."),
            message_id=delivery_id,
            at=change.at,
            urgent=change.raised and change.alarm.kind is AlarmKind.CRITICAL_UNACKNOWLEDGED,
        )

    def webhook(change: Change, delivery_id: str) -> bytes:
        fields = {"alarm": change.alarm.kind.value, "key": change.alarm.key, "site": settings.site_name}
        return webhook_body(delivery_id, kind=change.kind, title=change.title, at=change.at, fields=fields)

    ways = {"alarm:mail": mail} if settings.alarm_mail_to else {}
    ways |= {"alarm:webhook": webhook} if settings.alarm_webhook_url else {}

    return lambda change: [(name, way(change, change.delivery_id(name))) for name, way in ways.items()]


def banner(settings: Settings, database: Database, clock: Clock) -> Callable[[], tuple[str, ...]]:
    """What is alarming now, for pages and lists; without alarms where the database is away, which readiness says."""
    always = (INSECURE,) if settings.insecure else ()

    def lines() -> tuple[str, ...]:
        try:
            return (*always, *store.banner(database, limits(settings), clock.now()))
        except SightlineError:
            return always

    return lines


def feeds(settings: Settings, database: Database) -> tuple[Heard, ...]:
    """Every feed as it is judged."""
    return heard(store.feeds(database), limits(settings).intervals)


@dataclass(frozen=True, slots=True)
class FhirFeed:
    """A type of resource of a FHIR server, as it is listened to, with what it told and is not worked off."""

    server: str
    resource_type: str
    source: FhirSource
    feed: Feed | None = None
    subscription: Subscription | None = None
    waiting: int = 0
    held: int = 0


def fhir_feeds(settings: Settings, database: Database) -> tuple[FhirFeed, ...]:
    """Every type that is listened to at the configured servers, with what is known of it."""
    feeds = {(one.server, one.resource_type): one for one in stored_feeds(database)}
    kept = {(one.server, one.resource_type): one for one in subscriptions(database)}
    counts = NoticeQueue(database).counts()
    found = []
    for server, source in settings.fhir_sources.items():
        for resource_type in source.resources if source.events != "none" else ():
            key = (server, resource_type)
            waiting, held = counts.get(key, (0, 0))
            found.append(FhirFeed(server, resource_type, source, feeds.get(key), kept.get(key), waiting, held))
    return tuple(found)


def _measure(seen: Seen, alarms: tuple[Alarm, ...], destinations: set[str], now: datetime) -> None:
    """Every label at every look: what is gone is 0, and not what it was."""
    holds = {held.kind: held.count for held in seen.holds}
    for kind in HoldKind:
        metrics.HOLDS.set(holds.get(kind, 0), kind=kind.value)
    waiting = {one.destination: one for one in seen.waiting}
    for name in destinations:
        one = waiting.get(name)
        metrics.DELIVERIES_WAITING.set(one.count if one else 0, destination=name)
        oldest_s = (now - one.oldest_at).total_seconds() if one else 0.0
        metrics.DELIVERY_OLDEST_SECONDS.set(max(oldest_s, 0.0), destination=name)
    for state, count in critical_counts(seen).items():
        metrics.CRITICAL_WAITING.set(count, state=state.value)
    kinds = [alarm.kind for alarm in alarms]
    for alarm_kind in AlarmKind:
        metrics.ALARMS.set(kinds.count(alarm_kind), kind=alarm_kind.value)
    metrics.FEEDS_SILENT.set(kinds.count(AlarmKind.FEED_SILENT))

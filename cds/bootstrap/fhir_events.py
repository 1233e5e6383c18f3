"""What FHIR servers tell of studies and reports: the timers that listen, and who is notified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cds import metrics
from cds.bootstrap import dicom
from cds.errors import Unauthorized
from cds.fhir_peers import FhirSource
from cds.listening.listening import listen
from cds.listening.parts import Listening
from cds.ports import Clock
from cds.settings import Settings
from cds.store.engine import Database
from cds.store.fhir_events import FhirEventStore
from cds.store.fhir_feeds import FeedStore
from cds.store.fhir_subscriptions import SubscriptionStore

if TYPE_CHECKING:
    from adapters.fhir.client import FhirClient
    from adapters.fhir.intake import NewsReader
    from cds.workflow import Timer

#: Opens the client of a server of CDS_FHIR_SOURCES by its name.
Open = Callable[[str], "FhirClient"]
_EVERY_S = 1.0


def timers(settings: Settings, database: Database, clock: Clock, open_client: Open) -> list[Timer]:
    """One timer for each server that is listened to, so that none waits for another; `database` is a durable one."""
    from cds.workflow import Timer

    found = []
    for name in settings.fhir_sources:
        line = listening(settings, database, clock, name, open_client(name))
        found.append(Timer(f"fhir {name}", _EVERY_S, partial(_listen, line)))
    return found


def _listen(line: Listening, _now: datetime) -> None:
    listen(line)


def listening(settings: Settings, database: Database, clock: Clock, name: str, client: FhirClient) -> Listening:
    """The line of `cds.listening` for one server."""
    from adapters.fhir.polling import EventServer
    from adapters.fhir.subscription import Subscriptions

    source = settings.fhir_sources[name]
    subscriptions = Subscriptions(client, source)
    return Listening(
        clock=clock,
        source=source,
        server=EventServer(client, news_reader(settings, f"FHIR {name}")),
        subscriptions=subscriptions,
        feeds=FeedStore(database),
        notices=FhirEventStore(database),
        kept=SubscriptionStore(database),
        notify_url=source.notify_url or settings.public_url,
    )


def news_reader(settings: Settings, source: str) -> NewsReader:
    """How ImagingStudies and DiagnosticReports are read, whichever way they come; `source` names wire and sender."""
    from adapters.fhir.imaging_study import StudyReader
    from adapters.fhir.intake import NewsReader

    read = {reader.modality for reader in dicom.readers(settings)}
    return NewsReader(
        StudyReader(
            source=source,
            identifier_systems=settings.identifier_systems,
            accession_issuer=settings.accession_issuer,
            zone=ZoneInfo(settings.time_zone),
            consumes=lambda modality: modality in read or (bool(read) and not modality),
        )
    )


@dataclass(frozen=True, slots=True)
class Notifications:
    """Who is notified by the servers of `sources`; see `cds.web.subscriptions`."""

    sources: Mapping[str, FhirSource]
    store: SubscriptionStore
    clock: Clock

    def allow(self, subscription_id: str, secret: str) -> None:
        """Raise Unauthorized where the secret is not that of the subscription, or its server is not listened to."""
        if self.store.authorized(subscription_id, secret).server not in self.sources:
            raise Unauthorized

    def take(self, subscription_id: str, secret: str, body: bytes, *, resource_type: str, resource_id: str) -> None:
        """Keep a notification before it is answered. Raise Unauthorized, and InvalidResource with nothing kept."""
        from adapters.fhir.notification import read_notification

        server = self.store.authorized(subscription_id, secret).server
        url = self.sources[server].url
        said = read_notification(body, url, resource_type=resource_type, resource_id=resource_id)
        self.store.receive(subscription_id, secret, said, self.clock.now())
        metrics.FHIR_NOTIFICATIONS.inc(source=server, kind=said.type.value)


def notifications(settings: Settings, database: Database, clock: Clock) -> Notifications:
    """Who is notified; `database` is a durable one: what is answered is kept."""
    return Notifications(settings.fhir_sources, SubscriptionStore(database), clock)

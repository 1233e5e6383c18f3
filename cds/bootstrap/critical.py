"""The ways to the recipients of critical results and alarms, and what people do about critical results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cds.bootstrap import stores
from cds.clock import SystemClock
from cds.destinations import CriticalRoute, FhirDestination
from cds.domain.critical import CriticalResult, Tell
from cds.errors import InvalidInput, NotFound
from cds.ports import Channel, Clock
from cds.settings import Settings
from cds.store.criticals import DESTINATION, CriticalStore

if TYPE_CHECKING:
    from adapters.fhir.communication import CommunicationChannel

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Desk:
    """What a person at the command line may ask and do."""

    clock: Clock
    criticals: CriticalStore


def desk(settings: Settings) -> Desk:
    """Open what `cds critical` asks of."""
    return Desk(SystemClock(settings.time_zone), stores(settings, durable=True).criticals)


def critical_channels(settings: Settings) -> dict[str, Channel]:
    """The routes of critical results, by destination."""
    return {DESTINATION + name: _way(settings, name, route)[0] for name, route in settings.critical_routes.items()}


def alarm_channels(settings: Settings) -> dict[str, Channel]:
    """Where alarms go, by destination: mail and webhook, as far as the site has them."""
    from adapters.notify.mail import MailChannel
    from adapters.notify.webhook import WebhookChannel

    found: dict[str, Channel] = {}
    if settings.alarm_mail_to:
        found["alarm:mail"] = MailChannel("alarm:mail", settings.smtp_host, settings.smtp_port)
    if settings.alarm_webhook_url:
        found["alarm:webhook"] = WebhookChannel("alarm:webhook", settings.alarm_webhook_url)
    return found


def tellers(settings: Settings) -> dict[str, Tell]:
    """How each route says a critical result, by the route's name."""
    return {name: _way(settings, name, route)[1] for name, route in settings.critical_routes.items()}


def acknowledge(criticals: CriticalStore, clock: Clock) -> Callable[[str, str], CriticalResult]:
    """(the secret of a link, a person's name) → the critical result afterwards. Raises NotFound and InvalidInput."""

    def acknowledged(token: str, by: str) -> CriticalResult:
        if not by.strip() or len(by) > _LONGEST_NAME or not by.isprintable():
            raise InvalidInput(f"want the name of the person who acknowledges, at most {_LONGEST_NAME} characters")
        return criticals.acknowledge_by_token(token, by.strip(), clock.now())

    return acknowledged


def acknowledge_communication(criticals: CriticalStore, clock: Clock) -> Callable[[Mapping[str, object]], None]:
    """What a FHIR Communication does that answers ours. Raises InvalidResource, NotFound where it is none of ours."""
    from adapters.fhir.communication import read_acknowledgment

    def acknowledged(body: Mapping[str, object]) -> None:
        number, by = read_acknowledgment(body)
        if not criticals.acknowledge_message(number, by, clock.now()):
            raise NotFound("no critical result was sent under the number in inResponseTo")

    return acknowledged


def _way(settings: Settings, name: str, route: CriticalRoute) -> tuple[Channel, Tell]:
    """A route's channel, and how it says a critical result."""
    from adapters.hl7.critical import CriticalOru
    from adapters.notify.critical import critical_mail, critical_webhook
    from adapters.notify.mail import MailChannel
    from adapters.notify.webhook import WebhookChannel

    destination = DESTINATION + name
    if route.hl7 is not None:
        oru = CriticalOru(destination, route.hl7, facility=settings.site_name, time_zone=settings.time_zone)
        return oru, oru.encode
    if route.fhir is not None:
        server = _communication(settings, destination, route.fhir)
        return server, server.encode
    if route.webhook_url is not None:
        return WebhookChannel(destination, route.webhook_url), critical_webhook
    mail = MailChannel(destination, settings.smtp_host, settings.smtp_port)
    return mail, partial(critical_mail, sender=settings.smtp_from, to=route.mail_to)


def _communication(settings: Settings, destination: str, server: FhirDestination) -> CommunicationChannel:
    """A FHIR server as a channel, with its way by HL7 v2 where the site has one."""
    from adapters.fhir.client import open_client
    from adapters.fhir.communication import CommunicationChannel
    from adapters.fhir.keys import SmartKeys
    from adapters.hl7.critical import CriticalOru

    site, zone, otherwise = settings.site_name, settings.time_zone, None
    if server.hl7 is not None:
        to = server.hl7.model_copy(update={"processing": server.processing})
        otherwise = CriticalOru(destination, to, facility=site, time_zone=zone)
    client = open_client(destination, server, SmartKeys(settings.smart_key_files))
    systems = settings.identifier_systems
    return CommunicationChannel(destination, server, client=client, identifier_systems=systems, otherwise=otherwise)

"""What people do at the command line, over the stores: holds, decisions, switches, the audit log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cds.bootstrap import stores
from cds.bootstrap.hl7 import reader
from cds.bootstrap.installed import manifests
from cds.clock import SystemClock
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.switch import SwitchKind
from cds.errors import NotFound
from cds.ports import Clock
from cds.settings import Settings
from cds.store.audit import AuditStore
from cds.store.decisions import DecisionStore
from cds.store.engine import open_messages
from cds.store.holds import HoldStore
from cds.store.message_log import SqlMessageLog
from cds.store.switches import SwitchStore


@dataclass(frozen=True, slots=True)
class Desk:
    """What a person at the command line may look at and decide."""

    clock: Clock
    holds: HoldStore
    decisions: DecisionStore
    switches: SwitchStore
    audit: AuditStore
    #: What is alarming now, a line each.
    banner: Callable[[], tuple[str, ...]]
    #: What can be switched off, by kind.
    names: Mapping[SwitchKind, tuple[str, ...]]

    def known(self, kind: SwitchKind, name: str) -> str:
        """The name of something that can be switched; raise NotFound with what there is."""
        if name not in self.names[kind]:
            there = ", ".join(self.names[kind]) or "none"
            raise NotFound(f"there is no {kind.value} of this name; there is: {there}")
        return name


def desk(settings: Settings) -> Desk:
    """Open what people ask of."""
    from adapters.dicom.files import InstanceFiles
    from cds.bootstrap.watch import banner  # which asks here what a site has

    held = stores(settings, durable=True)
    files = InstanceFiles(settings.data_dir, settings.minimum_free_bytes)
    clock = SystemClock(settings.time_zone)
    return Desk(
        clock=clock,
        holds=HoldStore(held.database),
        decisions=DecisionStore(held.database, lambda message_id: _reread(settings, message_id), files.remove),
        switches=held.switches,
        audit=held.audit,
        banner=banner(settings, held.database, clock),
        names=switchable(settings),
    )


def switchable(settings: Settings) -> dict[SwitchKind, tuple[str, ...]]:
    """The names of the installed models and pathways and of the configured destinations."""
    from cds import pathways

    alarms = (("alarm:mail", settings.alarm_mail_to), ("alarm:webhook", settings.alarm_webhook_url))
    destinations = (
        *settings.oru_destinations,
        *settings.fhir_destinations,
        *settings.pacs_destinations,
        *settings.priority_destinations,
        *(f"critical:{route}" for route in settings.critical_routes),
        *(f"follow-up:{route}" for route in settings.follow_ups.routes),
        *(name for name, address in alarms if address),
    )
    return {
        SwitchKind.MODEL: tuple(sorted(manifests(settings))),
        SwitchKind.PATHWAY: tuple(sorted(pathways.load())),
        SwitchKind.DESTINATION: tuple(sorted(destinations)),
    }


def _reread(settings: Settings, message_id: int) -> tuple[LoggedMessage, MessageContent]:
    """A message of the inbox, read with the settings of now; raise NotFound or InvalidMessage."""
    inbox = open_messages(settings.data_dir, settings.database_url)
    found = SqlMessageLog(inbox).after(message_id - 1, 1)
    inbox.dispose()
    if not found or found[0].id != message_id:
        raise NotFound("the message is not in the inbox any more")
    return found[0], reader(settings)(found[0].message)

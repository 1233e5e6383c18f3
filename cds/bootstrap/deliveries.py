"""Deliveries for people: what was sent, to whom, what was answered, and the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.hl7.header import read_header
from cds.bootstrap import stores
from cds.clock import SystemClock
from cds.domain.audit import AuditEvent
from cds.domain.delivery_story import DeliveryEntry, DeliveryStory
from cds.domain.report import DeliveryState
from cds.errors import InvalidMessage
from cds.ports import Clock
from cds.settings import Settings
from cds.store import sent
from cds.store.audit import AuditStore
from cds.store.engine import Database


@dataclass(frozen=True, slots=True)
class Outbox:
    """What a person at the command line may ask of the deliveries."""

    clock: Clock
    database: Database
    audit: AuditStore

    def entries(
        self, *, destination: str = "", state: DeliveryState | None = None, study_uid: str = "", limit: int = 50
    ) -> Sequence[DeliveryEntry]:
        """The newest deliveries that fit, newest first."""
        return sent.entries(
            self.database, control_id, destination=destination, state=state, study_uid=study_uid, limit=limit
        )

    def story(self, asked: str) -> DeliveryStory:
        """Everything about one delivery; raise NotFound, or Conflict where several ids begin so."""
        return sent.story(self.database, control_id, asked)

    def raw(self, asked: str, by: str) -> bytes:
        """What is sent, shown to somebody: the audit log has who; raise NotFound or Conflict."""
        found = sent.payload(self.database, asked)
        detail = (f"delivery {found.delivery_id}",)
        shown = AuditEvent(
            self.clock.now(), by, "delivery shown", found.study_instance_uid, found.patient_id, detail=detail
        )
        self.audit.write(shown)
        return found.content


def outbox(settings: Settings) -> Outbox:
    """Open the deliveries; raise ConfigurationError where the tables are not at the newest revision."""
    held = stores(settings, durable=True)
    return Outbox(SystemClock(settings.time_zone), held.database, held.audit)


def control_id(beginning: bytes) -> str:
    """MSH-10 of what begins so; empty where it is no HL7 v2 message."""
    try:
        return read_header(beginning).component(10)
    except InvalidMessage:
        return ""

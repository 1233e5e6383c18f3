"""What an HL7 v2 message says, once read: a patient, values of the record, orders. No wire format in here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from cds.domain.coding import Coding, Quantity
from cds.domain.identity import Identifier, IdentityChange, Patient
from cds.domain.order import OrderChange
from cds.domain.verification import FinalReport


@dataclass(frozen=True, slots=True)
class RawMessage:
    """One HL7 v2 block as received, with the little that the bounded check read of it."""

    raw: bytes
    sha256: str
    sending_application: str
    sending_facility: str
    control_id: str
    message_type: str
    trigger_event: str
    version: str
    processing_id: str
    character_set: str
    peer: str
    received_at: datetime

    @property
    def sender(self) -> str:
        """Application and facility, as logs, feeds and sources name a sender."""
        return f"{self.sending_application}|{self.sending_facility}"


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """A message of the log with its place in it. `duplicate` is True where the same bytes had been committed before."""

    id: int
    message: RawMessage
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class RecordValue:
    """One statement about a patient: an observation, a condition, a procedure or a symptom.

    `status` is final, preliminary, corrected or entered-in-error. `value`: a number with unit, a code, a date or text.
    `key` identifies the statement within its sender, so that a correction replaces it.
    """

    category: Literal["observation", "condition", "procedure", "symptom"]
    key: str
    code: Coding
    value: Quantity | Coding | date | str | None
    effective: date | None
    status: str = "final"


@dataclass(frozen=True, slots=True)
class Statement:
    """A value of the record with the wire and sender that stated it ("HL7 LAB|HOSPITAL", "FHIR prefetch")."""

    value: RecordValue
    source: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Searched:
    """A source that was asked, and since when it knows anything; None where it holds the whole record.

    `covers` names the value sets of `cds.codes` that it was asked for; None where it was asked for all.
    """

    source: str
    since: date | None
    covers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class RecordStatements:
    """Everything said about one patient, and where it was looked for."""

    statements: tuple[Statement, ...] = ()
    searched: tuple[Searched, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageContent:
    """All that Sightline takes from one message. `test` is MSH-11 T or D: never reaches a production sink.

    `account` (PID-18) and `visit` (PV1-19) are what its orders and values are filed under, so that both can be moved.
    `acknowledges` is the MSH-10 of a critical result that the sender acknowledges, by the person `acknowledged_by`.
    """

    patient: Patient | None
    orders: tuple[OrderChange, ...] = ()
    values: tuple[RecordValue, ...] = ()
    ignored: str = ""
    warnings: tuple[str, ...] = ()
    test: bool = False
    occurred_at: datetime | None = None
    identity: tuple[IdentityChange, ...] = ()
    final_reports: tuple[FinalReport, ...] = ()
    account: Identifier | None = None
    visit: Identifier | None = None
    acknowledges: str = ""
    acknowledged_by: str = ""


__all__ = [
    "LoggedMessage",
    "MessageContent",
    "OrderChange",
    "RawMessage",
    "RecordStatements",
    "RecordValue",
    "Searched",
    "Statement",
]

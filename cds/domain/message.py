"""What an HL7 v2 message says, once read: a patient, values of the record, orders. No wire format in here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from cds.domain.coding import Coding, Quantity
from cds.domain.event import StudyEvent
from cds.domain.identity import Identifier, IdentityChange, Patient, Sex
from cds.domain.order import OrderChange
from cds.domain.value import value_type
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
    #: What the sender was told at once (MSA-1): AA, AE, AR, CA, CE, CR; empty where it wanted no answer.
    answered: str = ""
    #: Why the message was refused, in the words of the answer; such a message is kept, and never applied.
    refusal: str = ""
    #: When the sender wants an application acknowledgment of its own once the message is applied (HL7 table 0155):
    #: AL, ER, SU; empty where the answer at once was all.
    wants_result: str = ""

    @property
    def sender(self) -> str:
        """Application and facility, as logs, feeds and sources name a sender."""
        return f"{self.sending_application}|{self.sending_facility}"


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """A message of the log with its place in it.

    `duplicate` is True where the same bytes had been committed within the time window: `id` is that message's place,
    `message` the one that was committed then. `doubt` says that the control id was used before for other content.
    """

    id: int
    message: RawMessage
    duplicate: bool = False
    doubt: str = ""


class MessageState(StrEnum):
    """What became of a message. RECEIVED: in the log, not applied yet. Values are stable: tables and metrics have them.

    IGNORED has a reason; a refused message is ignored too. QUARANTINED waits for a person, because it cannot be read or
    applying it might be wrong; FAILED does, because applying it broke our code.
    """

    RECEIVED = "received"
    APPLIED = "applied"
    IGNORED = "ignored"
    FAILED = "failed"
    QUARANTINED = "quarantined"


def in_words(answered: str, refusal: str) -> str:
    """What is said of a message that was refused: with what it was answered, and why."""
    how = f"refused with {answered}" if answered else "refused, unanswered as its sender asked"
    return f"{how}: {refusal}"


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One line of the message log as `cds hl7 log` shows it; nothing of a patient. `size` in bytes."""

    id: int
    received_at: datetime
    sender: str
    peer: str
    message_type: str
    trigger_event: str
    version: str
    control_id: str
    processing_id: str
    size: int
    sha256: str
    answered: str
    state: MessageState
    reason: str = ""
    doubts: tuple[str, ...] = ()
    applied_at: datetime | None = None


#: What a statement is about: of the patient, of a relative (family-history), or only ordered (request).
Category = Literal[
    "observation",
    "condition",
    "procedure",
    "symptom",
    "allergy",
    "medication",
    "immunization",
    "family-history",
    "request",
]


@value_type(frozen=True, slots=True)
class RecordValue:
    """One statement about a patient: an observation, condition, procedure, symptom, allergy, drug or vaccination,
    what runs in the family, or what was ordered and is not done.

    `status` is final, preliminary, corrected or entered-in-error. `value`: a number with unit, a code, a date or text.
    `key` identifies the statement within its sender, so that a correction replaces it.
    """

    category: Category
    key: str
    code: Coding
    value: Quantity | Coding | date | str | None
    effective: date | None
    status: str = "final"


@value_type(frozen=True, slots=True)
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
class Unasked:
    """A source that does not answer for value sets (`covers`; None: for any), and why: `reason` follows its name.

    `blind` is True where it may hold what was asked for, so that nothing may be called absent without it; False where
    it holds nothing of it, such as a server that does not know the patient.
    """

    source: str
    reason: str
    covers: tuple[str, ...] | None = None
    blind: bool = True


@dataclass(frozen=True, slots=True)
class Demographics:
    """What a source says of who the patient is; it contradicts nothing that was known."""

    source: str
    birth_date: date | None = None
    sex: Sex = Sex.UNKNOWN
    deceased: bool | None = None


@dataclass(frozen=True, slots=True)
class RecordStatements:
    """Everything said about one patient, and where it was looked for.

    `away` names sources that could not be asked now and may tell more when asked again; `unasked` says of what.
    """

    statements: tuple[Statement, ...] = ()
    searched: tuple[Searched, ...] = ()
    away: tuple[str, ...] = ()
    unasked: tuple[Unasked, ...] = ()
    demographics: tuple[Demographics, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageContent:
    """All that Sightline takes from one message. `test` is MSH-11 T or D: never reaches a production sink.

    `account` (PID-18) and `visit` (PV1-19) are what its orders and values are filed under, so that both can be moved.
    `events` is what it says of exams: scheduled, cancelled, images there. `acknowledges` is the MSH-10 of a critical
    result that the sender acknowledges, by the person `acknowledged_by`. `deletes` is what the sender wants deleted of
    the patient (`""`), which an empty field does not say: of name, birth_date, sex, deceased.
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
    events: tuple[StudyEvent, ...] = ()
    deletes: frozenset[str] = frozenset()


__all__ = [
    "Category",
    "Demographics",
    "LoggedMessage",
    "MessageContent",
    "MessageEntry",
    "MessageState",
    "OrderChange",
    "RawMessage",
    "RecordStatements",
    "RecordValue",
    "Searched",
    "Statement",
    "Unasked",
]

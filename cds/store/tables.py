"""The tables. Times are UTC; JSON columns hold domain values written by `cds.store.values`."""

from __future__ import annotations

from datetime import UTC, date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlmodel import Field, MetaData, SQLModel


class UtcDateTime(sa.TypeDecorator[datetime]):
    """Aware datetimes in and out, UTC in the database, also where the database knows no zones."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: nobody would know what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("want a timezone-aware datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite forgets the zone; it is UTC."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class CodePointText(sa.TypeDecorator[str]):
    """Text in the order of its code points, so that what begins alike stands together in every database."""

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[str]:
        """SQLite does so anyway; PostgreSQL has a collation for it."""
        return dialect.type_descriptor(sa.String(collation="C" if dialect.name == "postgresql" else None))


class InboxBase(SQLModel):
    """Tables of the message log, which lives in a file of its own."""

    metadata = MetaData()


class MessageRow(InboxBase, table=True):
    """One HL7 v2 message as received. Rows are never changed. `raw` stands last: the others are read without it."""

    __tablename__ = "message"
    __table_args__ = (
        sa.Index("ix_message_key", "control_id", "sending_application", "sending_facility", "sha256"),
        sa.Index("ix_message_log", "received_at", "id", "sending_application", "sending_facility", "message_type"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    sending_application: str
    sending_facility: str
    control_id: str
    sha256: str
    message_type: str
    trigger_event: str
    version: str
    processing_id: str
    character_set: str
    peer: str
    received_at: datetime = Field(sa_type=UtcDateTime)
    answered: str = ""
    refusal: str = ""
    wants_result: str = ""
    doubt: str = ""
    raw: bytes


class AppBase(SQLModel):
    """Tables of the application."""

    metadata = MetaData()


class MessageOutcomeRow(AppBase, table=True):
    """What applying a message did; written in the transaction of its effects, so it is applied once."""

    __tablename__ = "message_outcome"
    message_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    state: str
    reason: str = ""
    #: What had to be guessed or left out, one line each.
    notes: str = ""
    applied_at: datetime = Field(sa_type=UtcDateTime)


class FeedRow(AppBase, table=True):
    """A sender of one kind of message, and since when it is heard: how far back an absence reaches."""

    __tablename__ = "feed"
    source: str = Field(primary_key=True)
    message_type: str = Field(primary_key=True)
    first_at: datetime = Field(sa_type=UtcDateTime)
    last_at: datetime = Field(sa_type=UtcDateTime)
    #: Heard so far, and the time between two of them in seconds: smoothed, and the longest that was normal.
    messages: int = 0
    typical_s: float | None = None
    longest_s: float | None = None


class PatientRow(AppBase, table=True):
    """A patient under Sightline's own random id."""

    __tablename__ = "patient"
    id: str = Field(primary_key=True)
    family: str = ""
    given: str = ""
    birth_date: date | None = None
    sex: str = "unknown"
    deceased: bool | None = None
    #: The survivor of a merge, while it holds: a chain of these ends at the patient who owns everything.
    merged_into: str | None = Field(default=None, index=True)
    #: Why the record does not hold any more.
    deleted: str = ""
    updated_at: datetime = Field(sa_type=UtcDateTime)


class PatientIdentifierRow(AppBase, table=True):
    """(value, authority) → patient."""

    __tablename__ = "patient_identifier"
    value: str = Field(primary_key=True)
    assigner: str = Field(primary_key=True)
    patient_id: str = Field(index=True)


class StatementRow(AppBase, table=True):
    """One statement of the record, replaced by its own correction."""

    __tablename__ = "statement"
    __table_args__ = (sa.UniqueConstraint("patient_id", "source", "key", name="uq_statement_key"),)
    id: int | None = Field(default=None, primary_key=True)
    patient_id: str = Field(index=True)
    source: str
    key: str
    body: str
    account: str = ""
    visit: str = ""
    received_at: datetime = Field(sa_type=UtcDateTime)
    message_id: int


class OrderRow(AppBase, table=True):
    """An imaging order; `body` is the ServiceRequest, the other columns find it."""

    __tablename__ = "service_request"
    id: str = Field(primary_key=True)
    patient_id: str = Field(index=True)
    placer_order_number: str | None = Field(default=None, index=True)
    filler_order_number: str | None = Field(default=None, index=True)
    accession_number: str | None = Field(default=None, index=True)
    status: str
    #: "value|authority" of the account and visit that the order is filed under; empty where none was stated.
    account: str = Field(default="", index=True)
    visit: str = Field(default="", index=True)
    body: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class StudyEventRow(AppBase, table=True):
    """What a wire said of an exam; `key` keeps the same event from being told twice, `body` is the StudyEvent."""

    __tablename__ = "study_event"
    key: str = Field(primary_key=True)
    kind: str
    study_uid: str | None = Field(default=None, index=True)
    order_id: str | None = Field(default=None, index=True)
    patient_id: str | None = Field(default=None, index=True)
    body: str
    received_at: datetime = Field(sa_type=UtcDateTime)


class StudyRow(AppBase, table=True):
    """A study with its three numbers. `revision_open` is True while instances may still join `image_revision`."""

    __tablename__ = "study"
    uid: str = Field(primary_key=True)
    public_id: str = Field(unique=True)
    source: str
    patient_value: str = Field(default="", index=True)
    patient_assigner: str = ""
    accession_number: str = Field(default="", index=True)
    accession_issuer: str = ""
    birth_date: date | None = None
    sex: str = "unknown"
    study_date: date | None = None
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    description: str = ""
    image_revision: int
    match_revision: int
    analysis_run: int
    contradiction: str = Field(default="", index=True)
    #: What a person decided about its match: "attach" (to `decided_order_id`), "leave" unmatched, or nothing yet.
    decided: str = ""
    decided_order_id: str | None = Field(default=None, index=True)
    decided_by: str = ""
    #: Why nobody may see it until a person decided (a visit that was cancelled, a wrong patient); empty otherwise.
    stopped: str = Field(default="", index=True)
    revision_open: bool = Field(index=True)
    #: When the open revision was opened: the hard deadline counts from here.
    revision_opened_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: Why the images of the last closed revision are not known to be all; empty where they are.
    incomplete: str = ""
    #: "prior" while the study is here only to be compared with: nothing runs and nothing is reported.
    purpose: str = ""
    instances: int = 0
    consumed_instances: int = 0
    first_instance_at: datetime = Field(sa_type=UtcDateTime)
    last_instance_at: datetime = Field(sa_type=UtcDateTime)


class InstanceRow(AppBase, table=True):
    """A stored instance; `image_revision` is the first one it belongs to."""

    __tablename__ = "instance"
    sop_instance_uid: str = Field(primary_key=True)
    study_uid: str = Field(index=True)
    series_uid: str = Field(index=True)
    sha256: str
    pixels_sha256: str = ""
    path: str
    size: int
    consumed: bool
    image_revision: int
    #: The revision from which it does not belong to the study any more, and the DCM code of the rejection note.
    left_revision: int | None = None
    rejected: str = ""
    header: str
    received_at: datetime = Field(sa_type=UtcDateTime)


class OwnInstanceRow(AppBase, table=True):
    """An instance that Sightline made: when it comes back it is recognised and ignored."""

    __tablename__ = "own_instance"
    sop_instance_uid: str = Field(primary_key=True)
    series_uid: str = Field(index=True)
    study_uid: str = Field(index=True)
    work_id: str
    kind: str
    at: datetime = Field(sa_type=UtcDateTime)


class WorkRow(AppBase, table=True):
    """One run of the pipeline, and the outbox of the durable engine: pending rows are not enqueued yet."""

    __tablename__ = "work"
    id: str = Field(primary_key=True)
    source: str
    study_uid: str = Field(index=True)
    image_revision: int
    match_revision: int
    analysis_run: int
    priority: int
    state: str = Field(index=True)
    reason: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class WorkStepRow(AppBase, table=True):
    """What a step of a work found, as JSON."""

    __tablename__ = "work_step"
    work_id: str = Field(primary_key=True)
    step: str = Field(primary_key=True)
    body: str
    at: datetime = Field(sa_type=UtcDateTime)


class ModelOutcomeRow(AppBase, table=True):
    """A model's answer on one image revision; a late order finds it here instead of running the model again."""

    __tablename__ = "model_outcome"
    study_uid: str = Field(primary_key=True)
    image_revision: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    analysis_run: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    model: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    body: str
    at: datetime = Field(sa_type=UtcDateTime)


class ReportRow(AppBase, table=True):
    """A committed report; one per work, versions count per study."""

    __tablename__ = "report"
    __table_args__ = (sa.UniqueConstraint("study_uid", "version", name="uq_report_version"),)
    work_id: str = Field(primary_key=True)
    study_uid: str = Field(index=True)
    version: int
    patient_id: str | None = Field(default=None, index=True)
    episode: int = 1
    body: str
    issued: datetime = Field(sa_type=UtcDateTime)


class DeliveryRow(AppBase, table=True):
    """One thing to send to one destination; `sequence` is the order within it. `work_id` is empty for alerts."""

    __tablename__ = "delivery"
    id: str = Field(primary_key=True)
    destination: str = Field(index=True)
    sequence: int
    work_id: str = Field(index=True)
    kind: str = "report"
    study_uid: str | None = Field(default=None, index=True)
    #: The patient it was made for, by random id: what a wrong patient's sinks hold.
    patient_id: str | None = Field(default=None, index=True)
    subject: str = Field(default="", index=True)
    payload: bytes
    state: str = Field(index=True)
    attempts: int = 0
    acknowledgment: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class HeartbeatRow(AppBase, table=True):
    """A role that is alive, wherever it runs."""

    __tablename__ = "heartbeat"
    name: str = Field(primary_key=True)
    role: str
    at: datetime = Field(sa_type=UtcDateTime)


class HoldRow(AppBase, table=True):
    """Something that waits for a person. `key` keeps the same doubt from being held twice."""

    __tablename__ = "hold"
    key: str = Field(primary_key=True)
    #: Short enough to type.
    id: str = Field(default="", index=True)
    kind: str
    reason: str
    owner: str = ""
    #: What the person will want to look at, below the data folder.
    path: str = ""
    study_uid: str | None = Field(default=None, index=True)
    work_id: str | None = None
    delivery_id: str | None = None
    message_id: int | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    resolved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    resolution: str = ""
    resolved_by: str = ""


class TimelineRow(AppBase, table=True):
    """One line of a study's life."""

    __tablename__ = "timeline"
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    step: str
    outcome: str
    study_uid: str | None = Field(default=None, index=True)
    order_id: str | None = Field(default=None, index=True)
    work_id: str | None = Field(default=None, index=True)
    patient_id: str | None = Field(default=None, index=True)
    detail: str = "[]"

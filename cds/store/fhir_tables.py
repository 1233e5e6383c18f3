"""The tables of the FHIR edge: what resources are searched by, what other servers told, what people accepted."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, CodePointText, UtcDateTime


def _of_current(name: str, *columns: str) -> sa.Index:
    """An index of the current versions of resources alone."""
    return sa.Index(name, *columns, sqlite_where=sa.text("is_current = 1"), postgresql_where=sa.text("is_current"))


class ResourceRow(AppBase, table=True):
    """One version of one FHIR resource. `number` is the resource's as long as a version is current: what was said
    before moves on under a number of its own, so that what points at a number points at what holds.
    """

    __tablename__ = "resource"
    __table_args__ = (
        sa.UniqueConstraint("type", "id", "version", name="uq_resource_version"),
        _of_current("ix_resource_order", "type", "last_updated", "number"),
        _of_current("ix_resource_patient", "patient_id", "last_updated", "number"),
        _of_current("ix_resource_indexed", "type", "indexed", "last_updated"),
    )
    number: int | None = Field(default=None, primary_key=True)
    type: str = Field(sa_type=CodePointText)
    id: str = Field(sa_type=CodePointText)
    version: int
    last_updated: datetime = Field(sa_type=UtcDateTime)
    patient_id: str | None = None
    #: The study whose report made it; None for what several studies share (Patient, Device).
    study_uid: str | None = Field(default=None, index=True)
    #: " model:x pathway:y ": what it rests on, so that a kill switch finds it.
    made_by: str = ""
    is_current: bool
    #: The edition of the search parameters that it was indexed by; 0: not yet.
    indexed: int = 0
    body: bytes


class ResourceIndexRow(AppBase, table=True):
    """One value of the current version of a resource under one search parameter (`cds.domain.search.IndexEntry`).

    The rows of a resource stand together under its number. `param` is "<type>.<parameter>". What is compared as text
    has no `low`; of a string `value` is folded and `system` the text as written.
    """

    __tablename__ = "resource_index"
    __table_args__ = (
        sa.Index(
            "ix_resource_index_value", "param", "value", "updated", "resource", "system", "low",
            sqlite_where=sa.text("low IS NULL"), postgresql_where=sa.text("low IS NULL"),
        ),
        sa.Index(
            "ix_resource_index_low", "param", "narrow", "low", "resource",
            sqlite_where=sa.text("low IS NOT NULL"), postgresql_where=sa.text("low IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )  # fmt: skip
    resource: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    entry: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    param: str = Field(sa_type=CodePointText)
    value: str = Field(default="", sa_type=CodePointText)
    system: str = ""
    #: Seconds since 1970, or the number; what is open ends at +-1e300. A quantity is the point in its middle.
    low: float | None = None
    high: float | None = None
    #: 1 where its resource has no other range under the parameter and it lasts a day at most: what `high` is compared
    #: with then tells where `low` must be.
    narrow: int = 0
    #: Resource.meta.lastUpdated in milliseconds since 1970.
    updated: int = Field(sa_type=sa.BigInteger)


class OwnKeyRow(AppBase, table=True):
    """A random key of this installation, made at first use: it seals the cursors of searches."""

    __tablename__ = "own_key"
    name: str = Field(primary_key=True)
    value: str
    created_at: datetime = Field(sa_type=UtcDateTime)


class SubscriptionRow(AppBase, table=True):
    """See `cds.domain.subscription.Subscription`; of its secret the digest alone."""

    __tablename__ = "subscription"
    __table_args__ = (sa.UniqueConstraint("server", "resource_type"),)
    id: str = Field(primary_key=True)
    server: str
    resource_type: str
    kind: str
    state: str
    remote_id: str = ""
    secret_sha256: str = ""
    #: The secret before the last renewal: notifications under way may still carry it.
    former_sha256: str = ""
    last_event: int = 0
    heard_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    error: str = ""
    #: Attempts in vain since the last that went well, and when it is looked at next.
    failures: int = 0
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    #: A new secret and end were sent, and nobody knows yet whether they arrived.
    renewing: bool = False


class NoticeRow(AppBase, table=True):
    """See `cds.domain.subscription.Notice`. Rows are done when they leave."""

    __tablename__ = "fhir_notice"
    __table_args__ = (
        sa.Index("ix_fhir_notice_due", "server", "not_before"),
        {"sqlite_autoincrement": True},
    )
    id: int | None = Field(default=None, primary_key=True)
    server: str
    kind: str
    resource_type: str
    reference: str = ""
    body: bytes = b""
    subscription: str = ""
    first: int = 0
    last: int = 0
    attempts: int = 0
    held: bool = False
    received_at: datetime = Field(sa_type=UtcDateTime)
    not_before: datetime = Field(sa_type=UtcDateTime)


#: The time of a version that has none.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class SeenResourceRow(AppBase, table=True):
    """A version of a resource of another server that was taken, however it came. `version` is its meta.versionId."""

    __tablename__ = "fhir_seen"
    server: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    at: datetime = Field(index=True, sa_type=UtcDateTime)


class FhirFeedRow(AppBase, table=True):
    """How far a type of a server was read: everything that changed up to `read_up_to` was seen."""

    __tablename__ = "fhir_feed"
    server: str = Field(primary_key=True)
    type: str = Field(primary_key=True)
    read_up_to: datetime | None = Field(default=None, sa_type=UtcDateTime)
    looked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failures: int = 0
    error: str = ""
    #: Of the row without a type: until when one worker listens to this server and the others do not.
    busy_until: datetime | None = Field(default=None, sa_type=UtcDateTime)


class AcceptanceRow(AppBase, table=True):
    """What a person did with a recommendation; `body` is the Acceptance. Never changed: the newest counts."""

    __tablename__ = "acceptance"
    id: int | None = Field(default=None, primary_key=True)
    study_uid: str = Field(index=True)
    pathway: str
    recommendation: str
    at: datetime = Field(sa_type=UtcDateTime)
    body: str


class EnrichAgainRow(AppBase, table=True):
    """A study that was decided while a source of the patient's record was away: decided again when it is back."""

    __tablename__ = "enrich_again"
    study_uid: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    work_id: str
    since: datetime = Field(sa_type=UtcDateTime)

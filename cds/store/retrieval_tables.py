"""The tables of what is fetched from a PACS, of what it said it has, and of what it promised to keep."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class StatedSeriesRow(AppBase, table=True):
    """What a PACS said of a series when it was last asked; `body` is the StatedSeries."""

    __tablename__ = "stated_series"
    study_uid: str = Field(primary_key=True)
    series_uid: str = Field(primary_key=True)
    source: str
    instances: int | None = None
    agreed: bool = False
    wanted: bool = False
    asked_at: datetime = Field(sa_type=UtcDateTime)
    body: str


class RetrievalRow(AppBase, table=True):
    """A study that is fetched, and the outbox of the durable engine: pending rows are not enqueued yet."""

    __tablename__ = "retrieval"
    #: The Study Instance UID, or "accession:" and the number with its issuer where no wire has named a UID.
    key: str = Field(primary_key=True)
    id: str = Field(unique=True)
    study_uid: str = Field(default="", index=True)
    accession_number: str = ""
    accession_issuer: str = ""
    purpose: str
    run: int = 1
    source: str = ""
    state: str = Field(index=True)
    announced: str = ""
    reason: str = ""
    priority: int = 0
    #: The newest event that it answers, by its key; another one is another run.
    event: str = ""
    #: Announced again while it was under way: at its end it begins anew.
    again: bool = False
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class AnnouncementRow(AppBase, table=True):
    """An event that images are there, by the key of its row, that no retrieval answers yet."""

    __tablename__ = "announcement"
    event_key: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)


class PriorRow(AppBase, table=True):
    """A study, and an earlier one that it is compared with."""

    __tablename__ = "prior"
    study_uid: str = Field(primary_key=True)
    prior_uid: str = Field(primary_key=True, index=True)
    source: str
    at: datetime = Field(sa_type=UtcDateTime)


class CommitmentRow(AppBase, table=True):
    """A PACS was asked to promise that it keeps what it was sent (PS3.4 annex J)."""

    __tablename__ = "commitment"
    transaction_uid: str = Field(primary_key=True)
    delivery_id: str = Field(index=True)
    #: JSON: the SOP Instance UIDs that it was asked about.
    body: str
    state: str = Field(index=True)
    reason: str = ""
    asked_at: datetime = Field(sa_type=UtcDateTime)
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

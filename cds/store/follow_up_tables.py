"""The tables of the care for follow-ups: owners and days, what may have closed them, reminders, and their log."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class FollowUpCareRow(AppBase, table=True):
    """What people set of a follow-up, over what its report says; no row where nobody did."""

    __tablename__ = "follow_up_care"
    follow_up_id: str = Field(primary_key=True)
    #: A person or a queue; empty: the site's default owner.
    owner: str = ""
    #: The day that it was moved to.
    due: date | None = None
    #: The day that what was recommended was done, where that is not the day on which somebody said so.
    done_on: date | None = None


class FollowUpEventRow(AppBase, table=True):
    """One line of a follow-up's log; never changed."""

    __tablename__ = "follow_up_event"
    id: int | None = Field(default=None, primary_key=True)
    follow_up_id: str = Field(index=True)
    at: datetime = Field(sa_type=UtcDateTime)
    by: str
    what: str
    detail: str = ""
    reason: str = ""


class FollowUpMatchRow(AppBase, table=True):
    """A result that is, or may be, what a follow-up asked for; one per follow-up and result."""

    __tablename__ = "follow_up_match"
    __table_args__ = (sa.UniqueConstraint("follow_up_id", "evidence", name="uq_follow_up_match"),)
    id: int | None = Field(default=None, primary_key=True)
    follow_up_id: str
    #: "report:<id>", "images:<Study Instance UID>" or "value:<id>".
    evidence: str
    certainty: str
    #: In words, without anything that tells a patient.
    said: str
    performed: date | None = None
    state: str = Field(index=True)
    at: datetime = Field(sa_type=UtcDateTime)
    decided_by: str = ""
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class FollowUpReminderRow(AppBase, table=True):
    """A reminder that was given: each step once for each due day."""

    __tablename__ = "follow_up_reminder"
    follow_up_id: str = Field(primary_key=True)
    step: str = Field(primary_key=True)
    due: date = Field(primary_key=True)
    recipient: str
    delivery_id: str
    at: datetime = Field(sa_type=UtcDateTime)

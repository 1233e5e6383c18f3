"""The tables of SAFETY: changes of identity, what people said, switches, the audit log, critical results, alarms."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class IdentityChangeRow(AppBase, table=True):
    """A merge, link, move, cancel or delete as it was applied; undone, never removed."""

    __tablename__ = "identity_change"
    id: int | None = Field(default=None, primary_key=True)
    event: str
    trigger: str
    at: datetime = Field(sa_type=UtcDateTime)
    survivor_id: str = Field(index=True)
    prior_id: str | None = Field(default=None, index=True)
    message_id: int | None = None
    actor: str
    #: What was moved, so that it can be put back: JSON.
    moved: str = "[]"
    undone_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    undone_by: str = ""


class VerificationRow(AppBase, table=True):
    """What a radiologist said of a finding; the newest of a finding counts, none is ever changed."""

    __tablename__ = "verification"
    id: int | None = Field(default=None, primary_key=True)
    study_uid: str = Field(index=True)
    image_revision: int
    model: str
    version: str
    finding_key: str
    verdict: str
    actor: str
    role: str
    at: datetime = Field(sa_type=UtcDateTime)
    reason: str = ""
    corrected: str | None = None


class FinalReportRow(AppBase, table=True):
    """A radiology report as the RIS signed it; `body` is the FinalReport. The newest of an accession number counts."""

    __tablename__ = "final_report"
    id: str = Field(primary_key=True)
    accession_number: str = Field(index=True)
    accession_issuer: str
    patient_id: str = Field(index=True)
    body: str
    received_at: datetime = Field(sa_type=UtcDateTime)
    message_id: int | None = None


class FollowUpRow(AppBase, table=True):
    """A recommendation that primary care was shown: open until it is done or withdrawn, with the reason."""

    __tablename__ = "follow_up"
    id: str = Field(primary_key=True)
    study_uid: str = Field(index=True)
    patient_id: str = Field(index=True)
    work_id: str
    pathway: str
    recommendation: str
    action: str
    due: date | None = None
    state: str
    reason: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class SwitchRow(AppBase, table=True):
    """Something that is switched off now; the audit log keeps what was."""

    __tablename__ = "switch"
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    actor: str
    at: datetime = Field(sa_type=UtcDateTime)
    reason: str


class AuditRow(AppBase, table=True):
    """One line of the audit log; never changed."""

    __tablename__ = "audit"
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    actor: str
    action: str
    study_uid: str | None = Field(default=None, index=True)
    patient_id: str | None = Field(default=None, index=True)
    detail: str = "[]"


class CriticalResultRow(AppBase, table=True):
    """A critical finding on its way to a person; one per finding, study and episode."""

    __tablename__ = "critical_result"
    __table_args__ = (sa.UniqueConstraint("study_uid", "finding", "episode", name="uq_critical_finding"),)
    id: str = Field(primary_key=True)
    token: str = Field(unique=True)
    study_uid: str
    episode: int
    work_id: str
    finding: str
    title: str
    category: int
    route: str
    state: str = Field(index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime)
    images_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_by: str = ""


class CriticalEventRow(AppBase, table=True):
    """One line of a critical result's log."""

    __tablename__ = "critical_event"
    id: int | None = Field(default=None, primary_key=True)
    critical_id: str = Field(index=True)
    at: datetime = Field(sa_type=UtcDateTime)
    what: str
    detail: str = ""


class AlarmRow(AppBase, table=True):
    """Something that the people who run the site must look at; one row per cause, while and after it holds."""

    __tablename__ = "alarm"
    key: str = Field(primary_key=True)
    kind: str
    text: str
    raised_at: datetime = Field(sa_type=UtcDateTime)
    cleared_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RejectedInstanceRow(AppBase, table=True):
    """An instance that a note rejected as part of a study, whether it came or not: it is rejected when it comes."""

    __tablename__ = "rejected_instance"
    sop_instance_uid: str = Field(primary_key=True)
    study_uid: str = Field(primary_key=True)
    code: str
    at: datetime = Field(sa_type=UtcDateTime)


class ConflictingInstanceRow(AppBase, table=True):
    """The instance with other pixels that a hold of kind instance-conflict is about, under the hold's key."""

    __tablename__ = "conflicting_instance"
    key: str = Field(primary_key=True)
    body: str

"""The tables of the worklist: a row for each study, what changed since, and what its filters offer."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime

#: What a filter looks at stands in the indexes, so that a rare value is found without reading every row.
_FILTERED = ("status", "site", "modalities", "findings")


class WorklistRow(AppBase, table=True):
    """One study as the worklist shows it: `body` is the Entry, the other columns order, filter and renew it."""

    __tablename__ = "worklist"
    __table_args__ = (
        sa.Index("ix_worklist_open", "is_open", "urgency", "since", "study_uid", *_FILTERED),
        sa.Index("ix_worklist_finished", "is_open", "since", "study_uid", *_FILTERED),
        sa.Index("ix_worklist_rules", "is_open", "rules"),
    )
    study_uid: str = Field(primary_key=True)
    is_open: bool
    urgency: int
    since: datetime = Field(sa_type=UtcDateTime)
    status: str
    site: str
    #: Each between bars, "|CT|PT|", so that one is found as "|CT|"; empty where there is none.
    modalities: str
    findings: str
    #: Our id of whose it is, as the study was matched; merges are followed when it is asked for.
    patient_id: str | None = Field(default=None, index=True)
    #: How many of its instances were here, and under which settings and release it was made.
    instances: int
    rules: str
    body: str


class WorklistMarkRow(AppBase, table=True):
    """Something that a row may rest on has changed. The database writes it in the transaction of the change.

    `kind` says what `about` names: a study, an accession number, an order, a patient or a model.
    """

    __tablename__ = "worklist_mark"
    __table_args__ = (sa.Index("ix_worklist_mark", "kind", "about"),)
    id: int | None = Field(default=None, primary_key=True)
    kind: str
    about: str


class WorklistChoiceRow(AppBase, table=True):
    """A value that some row had, by the filter that offers it."""

    __tablename__ = "worklist_choice"
    filter: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    title: str

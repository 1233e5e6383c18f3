"""The table of second reading: what people and models said of a screening exam, one row each, never changed."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class SecondReadingRow(AppBase, table=True):
    """One own reading, comparison, arbitration or result; `body` is the value, the other columns find it.

    `state` is that of a comparison, empty otherwise; `model` is empty for a result, which is of the study.
    """

    __tablename__ = "second_reading"
    __table_args__ = (
        sa.Index("ix_second_reading_about", "study_uid", "image_revision", "model", "kind"),
        sa.Index("ix_second_reading_kind", "kind", "state", "at"),
    )
    id: int | None = Field(default=None, primary_key=True)
    study_uid: str
    image_revision: int
    model: str
    kind: str
    state: str = ""
    actor: str
    role: str
    at: datetime = Field(sa_type=UtcDateTime)
    body: str

"""The tables of the quality page: what models were given to look at, and what each run computed."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, ModelOutcomeRow, UtcDateTime


class QualityInputRow(AppBase, table=True):
    """What one version of a model was given of one image revision; `numbers` is JSON, small values by name."""

    __tablename__ = "quality_input"
    study_uid: str = Field(primary_key=True)
    image_revision: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    analysis_run: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    model: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    scanner: str
    numbers: str
    at: datetime = Field(sa_type=UtcDateTime)


class QualityRunRow(AppBase, table=True):
    """One run, never changed: the newest of a day counts. `crossed` is read often, so it stands before `body`."""

    __tablename__ = "quality_run"
    id: int | None = Field(default=None, primary_key=True)
    day: date = Field(index=True)
    method: str
    computed_at: datetime = Field(sa_type=UtcDateTime)
    #: JSON, the bounds that are crossed.
    crossed: str
    #: JSON, the whole QualityDay.
    body: str


#: Without it a night would read every answer that a model ever gave.
sa.Index(
    "ix_model_outcome_read",
    *(AppBase.metadata.tables[str(ModelOutcomeRow.__tablename__)].c[name] for name in ("model", "version", "at")),
)

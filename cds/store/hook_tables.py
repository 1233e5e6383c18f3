"""The tables of CDS Hooks: cards as they were shown or held back, what people did with them, tokens that were used.

They are written by `cds.store.grouped` with the statements of `cds.store.card_rows`.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class HookCardRow(AppBase, table=True):
    """A card of one answer: feedback names it by its uuid. Never changed."""

    __tablename__ = "hook_card"
    uuid: str = Field(primary_key=True)
    service: str
    hook: str
    instance: str
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    client: str
    user_id: str
    #: JSON, as are `models` and `suggestions` (uuid → key of the recommendation).
    roles: str
    whose: str
    study_uid: str | None = None
    episode: int
    pathway: str
    key: str
    digest: str
    indicator: str
    site: str
    models: str
    suggestions: str


class HookSeenRow(AppBase, table=True):
    """When a reader was last shown an advice of a patient: one row however often, so that a call reads few.

    Nothing is kept of readers whom the hook does not name.
    """

    __tablename__ = "hook_seen"
    __table_args__ = (
        sa.Index("ix_hook_seen_today", "client", "user_id", "at"),
        {"sqlite_with_rowid": False},
    )
    client: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
    whose: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    is_critical: bool


class HookSuppressedRow(AppBase, table=True):
    """A card that was held back in one call, and why."""

    __tablename__ = "hook_suppressed"
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    service: str
    pathway: str
    key: str
    why: str
    client: str
    user_id: str
    whose: str
    study_uid: str | None = None
    site: str
    models: str


class HookAnswerRow(AppBase, table=True):
    """What a person did with a card, as the client told it: `at` is its outcomeTimestamp, `taken_at` when we heard.

    What the card was about stands here again: the answers of a patient are read at every call.
    """

    __tablename__ = "hook_answer"
    __table_args__ = (
        sa.UniqueConstraint("card", "outcome", "at", name="uq_hook_answer"),
        sa.Index("ix_hook_answer_whose", "whose", "at"),
    )
    id: int | None = Field(default=None, primary_key=True)
    card: str
    outcome: str
    at: datetime = Field(sa_type=UtcDateTime)
    taken_at: datetime = Field(sa_type=UtcDateTime)
    #: JSON: the keys of the recommendations.
    accepted: str
    reason_system: str
    #: Empty where no reason was given.
    reason_code: str
    reason_display: str
    comment: str
    whose: str
    key: str
    digest: str
    client: str
    user_id: str
    roles: str
    service: str
    pathway: str
    site: str
    models: str


class HookTokenRow(AppBase, table=True):
    """A client's token that was used, until it would count no more. `jti` is a SHA-256 of the claim."""

    __tablename__ = "hook_token"
    issuer: str = Field(primary_key=True)
    jti: str = Field(primary_key=True)
    until: datetime = Field(sa_type=UtcDateTime, index=True)

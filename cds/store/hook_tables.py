"""The tables of CDS Hooks: calls with what they showed or held back, what people did with it, tokens that were used.

They are written by `cds.store.grouped` with the statements of `cds.store.card_rows`.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class HookCallRow(AppBase, table=True):
    """An answered call, never changed. `id` is what the uuids of its cards begin with: feedback names one of them."""

    __tablename__ = "hook_call"
    id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    service: str
    hook: str
    instance: str
    client: str
    user_id: str
    #: JSON, as is `names`: for each card its uuid and those of its suggestions, see `cds.store.card_contents`.
    roles: str
    whose: str
    names: str
    content: str = Field(index=True)


class HookContentRow(AppBase, table=True):
    """What a call showed, held back and noted: most calls say what another one said before. `id` is its digest."""

    __tablename__ = "hook_content"
    id: str = Field(primary_key=True)
    #: JSON, see `cds.store.card_contents`.
    body: str


class HookAboutRow(AppBase, table=True):
    """The studies and patients that a content is about."""

    __tablename__ = "hook_about"
    __table_args__ = ({"sqlite_with_rowid": False},)
    about: str = Field(primary_key=True)
    content: str = Field(primary_key=True)


class HookSeenRow(AppBase, table=True):
    """When a reader was last shown these advices of a patient: one row however often, so that a call reads few.

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
    #: The digest of `advices`.
    shown: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    #: JSON: key, digest and whether it is critical, of each.
    advices: str


class HookAnswerRow(AppBase, table=True):
    """What a person did with a card, as the client told it: `at` is its outcomeTimestamp, `taken_at` when we heard.

    What the card was about and when it was shown stands here again: the answers of a patient are read at every call.
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
    shown_at: datetime = Field(sa_type=UtcDateTime, index=True)
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

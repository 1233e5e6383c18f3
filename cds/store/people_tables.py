"""The tables of who may see the pages: local users, and sessions of everybody who is signed in."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class UserRow(AppBase, table=True):
    """A local user. `password` is a salted hash with its parameters, `roles` their names, by commas."""

    __tablename__ = "ui_user"
    name: str = Field(primary_key=True)
    password: str
    roles: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class SessionRow(AppBase, table=True):
    """Somebody who is signed in. `id` is the digest of the secret that their browser keeps.

    `way` is how they came: "password", "oidc" or "launch". `granted` is what the provider said of them (JSON), of which
    the settings of now make roles; `patient_id` is the patient of a launch.
    """

    __tablename__ = "ui_session"
    id: str = Field(primary_key=True)
    user_id: str = Field(index=True)
    name: str
    way: str
    granted: str = "[]"
    patient_id: str | None = None
    begun_at: datetime = Field(sa_type=UtcDateTime)
    seen_at: datetime = Field(sa_type=UtcDateTime)
    until: datetime = Field(sa_type=UtcDateTime, index=True)

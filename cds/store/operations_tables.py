"""The table of the operations page: what the last check of each peer said, for every process that shows it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field

from cds.store.tables import AppBase, UtcDateTime


class PeerCheckRow(AppBase, table=True):
    """The newest check of a peer: who asked for it and when, and its answer once there is one."""

    __tablename__ = "peer_check"
    name: str = Field(primary_key=True)
    asked_at: datetime = Field(sa_type=UtcDateTime)
    asked_by: str
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ok: bool = False
    warns: bool = False
    detail: str = ""
    how_to_fix: str = ""

"""A fresh database for a test, on SQLite or on a PostgreSQL that the peers' tests start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from cds.store import schema
from cds.store.engine import Database, open_app, open_messages


@dataclass(frozen=True)
class Databases:
    """The two databases of one data folder, at their newest revision."""

    data_dir: Path
    url: str
    app: Database
    messages: Database

    def __enter__(self) -> Databases:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.dispose()
        self.messages.dispose()


def fresh(data_dir: Path, url: str = "") -> Databases:
    """Both databases, empty; a PostgreSQL is emptied first."""
    if url:
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA IF EXISTS dbos CASCADE"))
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()
    app, messages = open_app(data_dir, url), open_messages(data_dir, url)
    schema.upgrade(app, "app")
    schema.upgrade(messages, "inbox")
    return Databases(data_dir, url, app, messages)

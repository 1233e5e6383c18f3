"""A fresh database for a test, on SQLite or on a PostgreSQL that the peers' tests start."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from cds.errors import ConfigurationError
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
    if not url:
        data_dir.mkdir(parents=True, exist_ok=True)
        shutil.copytree(_empty(), data_dir, dirs_exist_ok=True)
        return Databases(data_dir, url, open_app(data_dir, url), open_messages(data_dir, url))
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA IF EXISTS dbos CASCADE"))
        if not _emptied(connection, data_dir, url):
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()
    return _upgraded(data_dir, url)


def _emptied(connection: sa.Connection, data_dir: Path, url: str) -> bool:
    """Empty tables that are at the newest revision already; False where they are not."""
    names = [name for name in sa.inspect(connection).get_table_names() if not name.startswith("alembic_version")]
    for branch, database in (("app", open_app(data_dir, url)), ("inbox", open_messages(data_dir, url))):
        try:
            schema.check(database, branch)
        except ConfigurationError:
            return False
        finally:
            database.dispose()
    connection.execute(sa.text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY"))
    return True


def _upgraded(data_dir: Path, url: str) -> Databases:
    app, messages = open_app(data_dir, url), open_messages(data_dir, url)
    schema.upgrade(app, "app")
    schema.upgrade(messages, "inbox")
    return Databases(data_dir, url, app, messages)


@functools.cache
def _empty() -> Path:
    """Empty files at the newest revision, made once in a process: the migrations take longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="sightline-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with _upgraded(folder, ""):
        pass
    return folder

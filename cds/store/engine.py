"""Database engines: three SQLite files in one folder, or one PostgreSQL database (DESIGN section 4).

Reading and writing are apart: a reader never waits for a writer (deferred, query_only), a writer takes the lock at
BEGIN IMMEDIATE, so that a read-modify-write cannot fail half-way. `durable` engines sync every commit to disk.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from cds.errors import ConfigurationError, OutOfResources, SightlineError, Unavailable

#: Predecessors can corrupt a WAL database that several processes write and checkpoint (sqlite.org/wal.html).
OLDEST_SQLITE = (3, 51, 3)
_PATIENCE_MS = 30_000
#: SQLite's own choice; and where `cds.store.checkpoint.Checkpoints` copies beside the writers: 64 MiB.
_WAL_PAGES = 1000
_LONG_WAL_PAGES = 16_384
_PAGE_BYTES = 4096
#: What this thread is looking at, by the engine.
#: Rows that a connection of SQLite has found, by what they were asked with, and how many lists of them it keeps.
_FOUND, _MOST_FOUND = "sightline_found", 2048
_LOOKING = threading.local()
_FULL_DISK = ("database or disk is full", "disk i/o error", "no space left", "file too large")


def sqlite_module() -> Any:  # a DB-API module has no type
    """The DB-API module to use; raise ConfigurationError where every SQLite at hand is too old."""
    import sqlite3

    try:
        from pysqlite3 import dbapi2
    except ImportError:
        dbapi2 = sqlite3
    if dbapi2.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise ConfigurationError([f"SQLite {dbapi2.sqlite_version} is too old, want {wanted}: install pysqlite3"])
    return dbapi2


def sqlite_engine(
    file: Path,
    *,
    durable: bool = False,
    read_only: bool = False,
    patience_ms: int = _PATIENCE_MS,
    wal_pages: int = _WAL_PAGES,
) -> sa.Engine:
    """An engine on one SQLite file in WAL mode; `patience_ms` is how long a writer waits for the lock.

    `wal_pages`: how long the write-ahead log is when the writer that makes it so copies it into the file.
    """
    engine = sa.create_engine(f"sqlite:///{file}", module=sqlite_module(), connect_args={"timeout": patience_ms / 1000})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:  # DB-API connection
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={patience_ms}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint={wal_pages}")
        connection.execute(f"PRAGMA journal_size_limit={wal_pages * _PAGE_BYTES}")  # of a log that is begun anew
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def workflow_engine(data_dir: Path, database_url: str) -> sa.Engine:
    """The durable engine's own database: it opens its transactions itself, so no begin hook."""
    if database_url:
        return sa.create_engine(_psycopg(database_url), pool_size=20, pool_pre_ping=True)
    engine = sa.create_engine(f"sqlite:///{data_dir / 'workflow.sqlite'}", module=sqlite_module())

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:  # DB-API connection
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _psycopg(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@dataclass(frozen=True, slots=True)
class Look:
    """A reader's cursor as the driver has it, and rows that were found: they hold as long as the look."""

    cursor: Any
    foreseen: dict[Any, Any] = field(default_factory=dict)
    #: Whether rows that are found are worth keeping in `foreseen`: the next look of the connection begins with them.
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class Database:
    """Two engines on the same tables: one to read, one to write."""

    reader: sa.Engine
    writer: sa.Engine

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A snapshot for queries; raise Unavailable where the database cannot be used."""
        with translated(), Session(self.reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction, committed at the end; raise OutOfResources on a full disk, else Unavailable."""
        with translated(), Session(self.writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def driven(self) -> Iterator[Any]:
        """A writer's connection as the driver has it, for rows that somebody waits for; errors as in `writing`."""
        with _driven(self.writer) as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Look]:
        """One look at what is committed, without a transaction; within another one of this thread, that one again.

        Raise Unavailable as `reading` does.
        """
        if (begun := self.look()) is not None:
            with _as_ours(self.reader):
                yield begun
            return
        with _pooled(self.reader) as pooled, _each_for_itself(pooled.driver_connection, self.reader) as cursor:
            looking: dict[str, Look] = _LOOKING.__dict__
            look = looking[str(id(self.reader))] = _look(pooled, cursor, self.reader)
            try:
                yield look
            finally:
                del looking[str(id(self.reader))]

    def look(self) -> Look | None:
        """What this thread is looking at; None where it is not."""
        return _LOOKING.__dict__.get(str(id(self.reader)))

    @contextmanager
    def inserting(self) -> Iterator[Any]:
        """As `writing`, with a cursor of the driver."""
        with self.driven() as connection:
            cursor = connection.cursor()
            if self.writer.dialect.name == "sqlite":
                cursor.execute("BEGIN IMMEDIATE")
            yield cursor
            connection.commit()

    def dispose(self) -> None:
        """Close all connections."""
        self.reader.dispose()
        self.writer.dispose()


def open_app(data_dir: Path, database_url: str, *, durable: bool = False, patience_ms: int = _PATIENCE_MS) -> Database:
    """The application's tables. `durable` is for roles that acknowledge what they commit."""
    return _open(data_dir / "app.sqlite", database_url, durable=durable, patience_ms=patience_ms)


def open_messages(data_dir: Path, database_url: str, *, checkpointed: bool = False) -> Database:
    """The HL7 v2 inbox: always durable, in a file of its own so that no other writer delays an ACK.

    `checkpointed` is for the role that runs `cds.store.checkpoint.Checkpoints` beside its writers.
    """
    wal_pages = _LONG_WAL_PAGES if checkpointed else _WAL_PAGES
    return _open(data_dir / "messages.sqlite", database_url, durable=True, wal_pages=wal_pages)


def _open(
    file: Path, database_url: str, *, durable: bool, patience_ms: int = _PATIENCE_MS, wal_pages: int = _WAL_PAGES
) -> Database:
    if database_url:
        engine = sa.create_engine(_psycopg(database_url), pool_pre_ping=True)
        reader = engine.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
        return Database(reader, engine)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError([f"CDS_DATA_DIR: {file.parent} cannot be made: {error.strerror}"]) from error
    writer = sqlite_engine(file, durable=durable, patience_ms=patience_ms, wal_pages=wal_pages)
    return Database(sqlite_engine(file, read_only=True), writer)


def lock(session: Session | sa.Connection, *parts: str) -> None:
    """Serialise writers of one thing until the transaction ends. SQLite's writers are serial already."""
    bound = session if isinstance(session, sa.Connection) else session.get_bind()
    if bound.dialect.name != "postgresql":
        return
    session.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(*parts)})


def lock_all(session: Session, kind: str, names: Collection[str]) -> None:
    """`lock` for many things of one kind with one statement, in an order that is the same for everybody."""
    if not names or session.get_bind().dialect.name != "postgresql":
        return
    keys = sorted(lock_key(kind, name) for name in names)
    session.execute(
        sa.text("SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:keys AS bigint[])) AS key"), {"keys": keys}
    )


def lock_key(*parts: str) -> int:
    """What PostgreSQL's advisory locks know a thing by."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@contextmanager
def _each_for_itself(connection: Any, engine: sa.Engine) -> Iterator[Any]:
    """A cursor whose statements are in no transaction, as SQLite's are where none is begun."""
    if engine.dialect.name == "sqlite":
        yield connection.cursor()
        return
    connection.autocommit = True
    try:
        yield connection.cursor()
    finally:
        connection.autocommit = False


def _look(pooled: Any, cursor: Any, engine: sa.Engine) -> Look:
    """What this connection found before holds until anybody commits (sqlite.org/pragma.html#pragma_data_version)."""
    if engine.dialect.name != "sqlite":
        return Look(cursor)
    (version,) = cursor.execute("PRAGMA data_version").fetchone()
    known = pooled.info.get(_FOUND)
    if known is None or known[0] != version or len(known[1]) > _MOST_FOUND:
        known = pooled.info[_FOUND] = (version, {})
    return Look(cursor, known[1], lasts=True)


@contextmanager
def _driven(engine: sa.Engine) -> Iterator[Any]:
    """A pooled connection as the driver has it; errors as `_pooled`."""
    with _pooled(engine) as pooled:
        yield pooled.driver_connection


@contextmanager
def _pooled(engine: sa.Engine) -> Iterator[Any]:
    """A connection of the pool; raise Unavailable or OutOfResources for the driver's errors."""
    with translated():
        pooled = engine.raw_connection()
    try:
        with _as_ours(engine):
            yield pooled
    finally:
        pooled.close()  # what is not committed is rolled back


@contextmanager
def _as_ours(engine: sa.Engine) -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except engine.dialect.loaded_dbapi.Error as error:
        raise as_unavailable(_wrapped(error, engine.dialect.loaded_dbapi.Error)) from error


@contextmanager
def translated() -> Iterator[None]:
    """A database's errors as ours."""
    try:
        yield
    except SightlineError:
        raise
    except DBAPIError as error:
        raise as_unavailable(error) from error


def _wrapped(error: Exception, base: type[Exception]) -> DBAPIError:
    """An error of the driver as SQLAlchemy would raise it."""
    wrapped = DBAPIError.instance(None, None, error, base)
    if not isinstance(wrapped, DBAPIError):
        raise error
    return wrapped


def as_unavailable(error: DBAPIError) -> SightlineError:
    """What a database error means to a sender: no room, or try again. Programming errors stay what they are."""
    text = str(error.orig).lower()
    if any(sign in text for sign in _FULL_DISK):
        return OutOfResources("there is no space left to store this; try again later")
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return Unavailable("the database cannot be used now; try again later")
    raise error

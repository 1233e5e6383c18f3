"""Values as the driver takes and gives them: for statements that somebody waits for, past the ORM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa

from cds.store.tables import UtcDateTime

#: More of a text would not fit into an index of PostgreSQL, beside the others of its key.
_LONGEST_KEY = 200
_TIME_LENGTH = len("2026-11-01 08:30:00.000000")


def times(dialect: sa.Dialect) -> tuple[Callable[[datetime], object], Callable[[Any], datetime]]:
    """How times are written for the driver, and read from it."""
    known = UtcDateTime().dialect_impl(dialect)
    written: Callable[[datetime], object] | None = known.bind_processor(dialect)
    read = cast("Callable[[Any], datetime] | None", known.result_processor(dialect, None))
    if dialect.name == "sqlite":  # the same text in a third of the time
        return lambda at: at.astimezone(UTC).isoformat(" ", "microseconds")[:_TIME_LENGTH], read or (lambda at: at)
    return written or (lambda at: at), read or (lambda at: at)


def marked(statement: str, dialect: sa.Dialect) -> str:
    """A statement with the marks of this database in the place of `?`."""
    return statement if dialect.name == "sqlite" else statement.replace("?", "%s")


def insertion(table: str, columns: tuple[str, ...], dialect: sa.Dialect, *, then: str = "", rows: int = 1) -> str:
    """The statement that inserts rows of these columns."""
    one = ", ".join("?" * len(columns))
    values = ", ".join([f"({one})"] * rows)
    words = ("INSERT INTO", table, "(", ", ".join(columns), ") VALUES", values, then)
    return marked(" ".join(words), dialect)


def text(value: str) -> str:
    """A text that every database takes: no NUL, no lone surrogate."""
    if value.isascii() and "\0" not in value:
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def key_text(value: str) -> str:
    """As `text`, of a length that an index takes; what is longer is told apart by its digest."""
    known = text(value)
    if len(known) <= _LONGEST_KEY:
        return known
    return known[: _LONGEST_KEY // 2] + "#" + hashlib.sha256(known.encode()).hexdigest()

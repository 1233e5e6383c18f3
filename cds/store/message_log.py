"""The append-only HL7 v2 inbox: raw bytes, committed with fsync before the acknowledgment.

Implements `cds.ports.MessageLog`. Who calls `append` groups what came in meanwhile: one fsync for all of it, one query
for the repeats and one statement for the rows. A sender waits for these: they go to the driver as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from cds.domain.message import LoggedMessage, RawMessage
from cds.store.driver_values import times
from cds.store.engine import Database, lock_key
from cds.store.tables import InboxBase

#: The columns of a message in the order of its fields.
FIELDS = tuple(field.name for field in fields(RawMessage))
MESSAGE = InboxBase.metadata.tables["message"]

_REUSED = "the control id was used before for other content: message"
#: Messages of one statement: a turn of the interpreter's lock for all of them.
_AT_ONCE = 64
#: More of a field would not fit into an index of PostgreSQL; `raw` has all of it.
_LONGEST_TEXT = 200
_TEXTS = tuple(name for name in FIELDS if name not in ("raw", "sha256", "received_at"))
_values, _texts = attrgetter(*FIELDS), attrgetter(*_TEXTS)
_RECEIVED_AT = FIELDS.index("received_at")

_AFTER = (
    sa.select(MESSAGE.c.id, MESSAGE.c.doubt, *(MESSAGE.c[name] for name in FIELDS))
    .where(MESSAGE.c.id > sa.bindparam("message_id"))
    .order_by(MESSAGE.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)

#: Which of these keys messages are under: a few steps down an index for each.
_USED = """
WITH k (c, a, f) AS (VALUES {keys}) SELECT {found} FROM k WHERE
(SELECT 1 FROM message WHERE control_id = c AND sending_application = a AND sending_facility = f LIMIT 1) = 1"""
#: SQLite: the last id, and how many of the keys messages are under.
_LAST = "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'message'), 0)"
_UNDER = "FROM message WHERE control_id = ? AND sending_application = ? AND sending_facility = ?"
#: The newest with the same bytes, without its own: they are read for nobody who has them.
_SAME = f"SELECT id, doubt, {', '.join(FIELDS[1:])} {_UNDER} AND sha256 = ? ORDER BY id DESC LIMIT 1"
#: The newest of a few with other bytes since then. Some senders number all their messages 1: not all are looked at.
_OTHER = f"SELECT max(id) FROM (SELECT id {_UNDER} AND sha256 <> ? AND received_at >= ? LIMIT 4) AS few"  # noqa: S608 - constants
_INSERT = f"INTO message (id, doubt, {', '.join(FIELDS)}) VALUES "


@dataclass(frozen=True, slots=True)
class _Sql:
    """The statements in the words of one database. `ids` answers the next ones, which the lock of `append` keeps.

    `lock` keeps other writers out until the transaction ends; empty where its beginning does.
    """

    mark: str
    lock: str
    ids: str
    verb: str

    def one(self, statement: str) -> str:
        """A statement with the marks of this database."""
        return statement.replace("?", self.mark)

    @lru_cache(maxsize=2 * _AT_ONCE)  # noqa: B019 - the two of this module live as long as it does
    def used(self, count: int, found: str = "c, a, f") -> str:
        """`_USED` for so many keys."""
        return self.one(_USED.format(keys=", ".join(["(?, ?, ?)"] * count), found=found))

    @lru_cache(maxsize=2 * _AT_ONCE)  # noqa: B019 - as above
    def insert(self, count: int) -> str:
        """`_INSERT` for so many messages."""
        row = f"({', '.join(['?'] * (2 + len(FIELDS)))})"
        return self.one(self.verb + _INSERT + ", ".join([row] * count))


_SQL = {
    "sqlite": _Sql(
        "?",
        "",
        f"WITH RECURSIVE next(id, left) AS (SELECT {_LAST} + 1, ? - 1"  # noqa: S608 - constants
        " UNION ALL SELECT id + 1, left - 1 FROM next WHERE left > 0) SELECT id FROM next",
        "INSERT OR ROLLBACK ",  # without what a statement alone would need to be undone
    ),
    "postgresql": _Sql(
        "%s",
        f"SELECT pg_advisory_xact_lock({lock_key('message-log')})",
        "SELECT nextval(pg_get_serial_sequence('message', 'id')) FROM generate_series(1, %s)",
        "INSERT ",
    ),
}

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Kept:
    """A message that is in the log, or will be with this transaction; without its bytes where it was there before."""

    message: RawMessage
    id: int
    doubt: str = ""


class SqlMessageLog:
    """A message log in a database. `window_h`: hours in which the same bytes under the same key are a repeat."""

    def __init__(self, database: Database, *, window_h: float = 168.0) -> None:
        self._database = database
        self._window = timedelta(hours=window_h)
        dialect = database.writer.dialect
        self._sql = _SQL[dialect.name]
        self._is_sqlite = dialect.name == "sqlite"
        self._taken = dialect.loaded_dbapi.IntegrityError
        self._written, self._read = times(dialect)

    def append(self, messages: Sequence[RawMessage]) -> Sequence[LoggedMessage]:
        """See the port. What a text column cannot hold is written in its place; the bytes are kept as they came."""
        messages = [_storable(message) for message in messages]
        keys = [_key(message) for message in messages]
        if self._is_sqlite and 0 < len(set(keys)) == len(keys) <= _AT_ONCE and all(key[0] for key in keys):
            logged_at_once = self._append_new(messages, keys)
            if logged_at_once is not None:
                return logged_at_once
        with self._database.inserting() as cursor:
            if self._sql.lock:
                cursor.execute(self._sql.lock)  # ids become visible in their order
            logged: list[LoggedMessage] = []
            for start in range(0, len(messages), _AT_ONCE):
                logged += self._append(cursor, messages[start : start + _AT_ONCE])
            return logged

    def after(self, message_id: int, limit: int) -> Sequence[LoggedMessage]:
        """The next messages in order of arrival."""
        with self._database.reading() as session:
            rows = session.connection().execute(_AFTER, {"message_id": message_id, "most": limit}).all()
        return [LoggedMessage(row[0], RawMessage(*row[2:]), doubt=row[1]) for row in rows]

    def newest_id(self) -> int:
        """The id of the last message; 0 where there is none."""
        with self._database.reading() as session:
            return session.connection().scalar(sa.select(sa.func.max(MESSAGE.c.id))) or 0

    def _append_new(self, messages: Sequence[RawMessage], keys: Sequence[_Key]) -> list[LoggedMessage] | None:
        """Commit messages under keys that nobody used, without a lock; None where that was not so.

        A statement that reads and one that writes: each turn of the interpreter's lock makes all connections wait.
        Another process that appends between them takes the same ids, and then this one fails as a whole.
        """
        with self._database.driven() as connection:
            cursor = connection.cursor()
            asked = self._sql.used(len(keys), f"{_LAST}, count(*)")
            last, used = cursor.execute(asked, list(chain.from_iterable(keys))).fetchone()
            if used:
                return None
            new = [_Kept(message, number) for number, message in enumerate(messages, last + 1)]
            try:
                self._insert(cursor, new)
            except self._taken:
                return None
        return [LoggedMessage(one.id, one.message) for one in new]

    def _append(self, cursor: Any, messages: Sequence[RawMessage]) -> list[LoggedMessage]:
        keys = [_key(message) for message in messages]
        used = self._used(cursor, keys)
        ids = iter(cursor.execute(self._sql.ids, (len(messages),)).fetchall())
        logged: list[LoggedMessage] = []
        new: list[_Kept] = []
        group: dict[_Key, list[_Kept]] = {}
        for message, key in zip(messages, keys, strict=True):
            before = group.setdefault(key, []) if key[0] else []
            was_used = key in used
            same = self._same(cursor, message, before, was_used=was_used)
            if same is not None:
                logged.append(LoggedMessage(same.id, replace(same.message, raw=message.raw), True, same.doubt))
                continue
            reused = self._other(cursor, message, before, was_used=was_used)
            one = _Kept(message, next(ids)[0], f"{_REUSED} {reused}" if reused else "")
            before.append(one)
            new.append(one)
            logged.append(LoggedMessage(one.id, message, False, one.doubt))
        self._insert(cursor, new)
        return logged

    def _insert(self, cursor: Any, new: Sequence[_Kept]) -> None:
        if not new:
            return
        row: list[object] = []
        for one in new:
            row += (one.id, one.doubt)
            row += _values(one.message)
            row[_RECEIVED_AT - len(FIELDS)] = self._written(one.message.received_at)
        cursor.execute(self._sql.insert(len(new)), row)

    def _used(self, cursor: Any, keys: Sequence[_Key]) -> set[_Key]:
        """Those of the keys that messages in the log have."""
        asked = [key for key in keys if key[0]]
        if not asked:
            return set()
        return set(cursor.execute(self._sql.used(len(asked)), list(chain.from_iterable(asked))).fetchall())

    def _same(self, cursor: Any, message: RawMessage, before: Sequence[_Kept], *, was_used: bool) -> _Kept | None:
        """The newest with the same bytes, within the window. What was refused then and is taken now is no repeat."""
        same = next((one for one in reversed(before) if one.message.sha256 == message.sha256), None)
        if same is None and was_used:
            row = cursor.execute(self._sql.one(_SAME), (*_key(message), message.sha256)).fetchone()
            same = self._known(row) if row else None
        if same is None or same.message.received_at < message.received_at - self._window:
            return None
        return None if same.message.refusal and not message.refusal else same

    def _other(self, cursor: Any, message: RawMessage, before: Sequence[_Kept], *, was_used: bool) -> int | None:
        """The newest with other bytes, within the window, or one of the newest."""
        since = message.received_at - self._window
        others = (one for one in reversed(before) if one.message.sha256 != message.sha256)
        found = next((one.id for one in others if one.message.received_at >= since), None)
        if found is None and was_used:
            wanted = (*_key(message), message.sha256, self._written(since))
            found = cursor.execute(self._sql.one(_OTHER), wanted).fetchone()[0]
        return found

    def _known(self, row: Sequence[Any]) -> _Kept:
        values = [b"", *row[2:]]
        values[_RECEIVED_AT] = self._read(values[_RECEIVED_AT])
        return _Kept(RawMessage(*values), row[0], row[1])


def _key(message: RawMessage) -> _Key:
    return message.control_id, message.sending_application, message.sending_facility


def _storable(message: RawMessage) -> RawMessage:
    """The message with texts that every database takes: no NUL, no lone surrogate, none too long for an index."""
    texts = _texts(message)
    joined = "".join(texts)
    if len(joined) <= _LONGEST_TEXT and joined.isascii() and "\0" not in joined:
        return message
    clean: dict[str, Any] = dict(zip(_TEXTS, map(_clean, texts), strict=True))
    return replace(message, **clean)


def _clean(text: str) -> str:
    known = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return known[:_LONGEST_TEXT]

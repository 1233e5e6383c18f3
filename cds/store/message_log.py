"""The append-only HL7 v2 inbox: raw bytes, committed with fsync before the acknowledgment.

Implements `cds.ports.MessageLog`. Who calls `append` groups what came in meanwhile: one fsync for all of it, one query
for the repeats and one statement for the rows. A sender waits for these: they go to the driver as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from cds.domain.message import LoggedMessage, RawMessage
from cds.store.engine import Database, lock
from cds.store.tables import InboxBase, UtcDateTime

#: The columns of a message in the order of its fields.
FIELDS = tuple(field.name for field in fields(RawMessage))
MESSAGE = InboxBase.metadata.tables["message"]

_REUSED = "the control id was used before for other content: message"
_AT_ONCE = 1000
#: More of a field would not fit into an index of PostgreSQL; `raw` has all of it.
_LONGEST_TEXT = 200
_TEXTS = tuple(name for name in FIELDS if name not in ("raw", "sha256", "received_at"))
_values, _texts = attrgetter(*FIELDS), attrgetter(*_TEXTS)
_RECEIVED_AT = 2 + FIELDS.index("received_at")

_AFTER = (
    sa.select(MESSAGE.c.id, MESSAGE.c.doubt, *(MESSAGE.c[name] for name in FIELDS))
    .where(MESSAGE.c.id > sa.bindparam("message_id"))
    .order_by(MESSAGE.c.id)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
#: A message without its bytes: they are read for nobody who has them.
_KNOWN = sa.select(MESSAGE.c.id, MESSAGE.c.doubt, *(MESSAGE.c[name] for name in FIELDS if name != "raw"))

#: For each key the newest message under it, and the newest with the same bytes: a few steps down an index, however
#: many there are. Some senders number all their messages 1; `|| ''` keeps the second search off their index.
_BEFORE = """
SELECT (SELECT max(id) FROM message WHERE control_id = k.value ->> 0 AND sending_application = k.value ->> 1
          AND sending_facility = k.value ->> 2),
       (SELECT max(id) FROM message WHERE sha256 = k.value ->> 3 AND control_id || '' = k.value ->> 0
          AND sending_application || '' = k.value ->> 1 AND sending_facility || '' = k.value ->> 2)
FROM {keys}"""
_INSERT = "INSERT INTO message (id, doubt, {columns}) VALUES ({values})"


@dataclass(frozen=True, slots=True)
class _Sql:
    """The statements in the words of one database. `ids` answers the next ones, which the lock of `append` keeps."""

    before: str
    ids: str
    insert: str


def _sql(mark: str, keys: str, ids: str) -> _Sql:
    columns, values = ", ".join(FIELDS), ", ".join([mark] * (2 + len(FIELDS)))
    return _Sql(_BEFORE.format(keys=keys), ids, _INSERT.format(columns=columns, values=values))


_SQL = {
    "sqlite": _sql(
        "?",
        "json_each(?) AS k",
        "WITH RECURSIVE next(id, left) AS (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'message'), 0)"
        " + 1, ? - 1 UNION ALL SELECT id + 1, left - 1 FROM next WHERE left > 0) SELECT id FROM next",
    ),
    "postgresql": _sql(
        "%s",
        "jsonb_array_elements(CAST(%s AS jsonb)) AS k(value)",
        "SELECT nextval(pg_get_serial_sequence('message', 'id')) FROM generate_series(1, %s)",
    ),
}

_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Kept:
    """A message that is in the log, or will be with this transaction, and then its id comes last.

    `message` is without its bytes where it was there before; `reuses` is one that had its control id before.
    """

    message: RawMessage
    id: int = 0
    doubt: str = ""
    reuses: _Kept | None = None


class SqlMessageLog:
    """A message log in a database. `window_h`: hours in which the same bytes under the same key are a repeat."""

    def __init__(self, database: Database, *, window_h: float = 168.0) -> None:
        self._database = database
        self._window = timedelta(hours=window_h)
        dialect = database.writer.dialect
        self._sql = _SQL[dialect.name]
        self._time: Callable[[datetime], object] = _time(dialect)

    def append(self, messages: Sequence[RawMessage]) -> Sequence[LoggedMessage]:
        """See the port. What a text column cannot hold is written in its place; the bytes are kept as they came."""
        messages = [_storable(message) for message in messages]
        with self._database.inserting() as connection:
            lock(connection, "message-log")  # ids become visible in their order
            logged: list[LoggedMessage] = []
            for start in range(0, len(messages), _AT_ONCE):
                logged += self._append(connection, messages[start : start + _AT_ONCE])
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

    def _append(self, connection: sa.Connection, messages: Sequence[RawMessage]) -> list[LoggedMessage]:
        before = self._before(connection, messages)
        found: list[tuple[RawMessage, _Kept, bool]] = []
        for message in messages:
            kept = before.setdefault(_key(message), []) if message.control_id else []
            same = self._same(message, kept)
            if same is None:
                new = _Kept(message, reuses=self._other(message, kept) if kept else None)
                kept.append(new)
            found.append((message, same or new, same is not None))
        self._insert(connection, [one for _, one, repeated in found if not repeated])
        return [_logged(message, one, repeated=repeated) for message, one, repeated in found]

    def _insert(self, connection: sa.Connection, new: Sequence[_Kept]) -> None:
        if not new:
            return
        ids = connection.exec_driver_sql(self._sql.ids, (len(new),)).scalars()
        for one, number in zip(new, ids, strict=True):
            one.id = number
            one.doubt = f"{_REUSED} {one.reuses.id}" if one.reuses else ""
        connection.exec_driver_sql(self._sql.insert, [self._row(one) for one in new])

    def _before(self, connection: sa.Connection, messages: Sequence[RawMessage]) -> dict[_Key, list[_Kept]]:
        """What is known under the keys of these messages, oldest first: of each key the newest, and the same bytes."""
        keys = json.dumps([[*_key(message), message.sha256] for message in messages if message.control_id])
        newest = connection.exec_driver_sql(self._sql.before, (keys,)).all()
        found: dict[_Key, list[_Kept]] = {}
        for row in _rows(connection, {number for pair in newest for number in pair if number is not None}):
            one = _Kept(RawMessage(b"", *row[2:]), row[0], row[1])
            found.setdefault(_key(one.message), []).append(one)
        return found

    def _row(self, one: _Kept) -> tuple[object, ...]:
        values = [one.id, one.doubt, *_values(one.message)]
        values[_RECEIVED_AT] = self._time(one.message.received_at)
        return tuple(values)

    def _same(self, message: RawMessage, kept: Sequence[_Kept]) -> _Kept | None:
        """The newest with the same bytes, within the window. What was refused then and is taken now is no repeat."""
        same = next((one for one in reversed(kept) if one.message.sha256 == message.sha256), None)
        if same is None or not self._within(message, same.message):
            return None
        return None if same.message.refusal and not message.refusal else same

    def _other(self, message: RawMessage, kept: Sequence[_Kept]) -> _Kept | None:
        """The newest with other bytes, within the window."""
        others = (one for one in reversed(kept) if one.message.sha256 != message.sha256)
        return next((one for one in others if self._within(message, one.message)), None)

    def _within(self, message: RawMessage, then: RawMessage) -> bool:
        return then.received_at >= message.received_at - self._window


def _time(dialect: sa.Dialect) -> Callable[[datetime], object]:
    """Times as the driver wants them, which the ORM would have written."""
    processor: Callable[[datetime], object] | None = UtcDateTime().dialect_impl(dialect).bind_processor(dialect)
    return processor or (lambda at: at)


def _logged(message: RawMessage, one: _Kept, *, repeated: bool) -> LoggedMessage:
    if not repeated:
        return LoggedMessage(one.id, message, doubt=one.doubt)
    return LoggedMessage(one.id, replace(one.message, raw=message.raw), duplicate=True, doubt=one.doubt)


def _key(message: RawMessage) -> _Key:
    return message.control_id, message.sending_application, message.sending_facility


def _rows(connection: sa.Connection, ids: set[int]) -> Iterator[sa.Row[*tuple[Any, ...]]]:
    if ids:
        yield from connection.execute(_KNOWN.where(MESSAGE.c.id.in_(ids)).order_by(MESSAGE.c.id))


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

"""The inbox of the first release brought to the newest revision and back, on any database."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import sqlalchemy as sa

from cds.store import schema
from cds.store.message_log import SqlMessageLog
from tests.contract.message_log_contract import message
from tests.databases import Databases

_FIRST = "0001"
_AT = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)


def up_and_down(databases: Databases) -> None:
    """Rows of before survive both ways; what before could not hold is gone after the way back."""
    schema.downgrade(databases.messages, "inbox", _FIRST)
    bodies = [b"body %d" % n + bytes(range(256)) * 40 for n in range(3)]
    with databases.messages.writer.begin() as connection:
        table = sa.Table("message", sa.MetaData(), autoload_with=connection)
        for number, body in enumerate(bodies, 1):
            connection.execute(sa.insert(table), {**_row(str(number), body), "id": number + 10})
    schema.upgrade(databases.messages, "inbox")
    schema.check(databases.messages, "inbox")
    log = SqlMessageLog(databases.messages, window_h=1e6)
    if databases.url:
        with databases.messages.writer.begin() as connection:
            connection.execute(sa.text("SELECT setval(pg_get_serial_sequence('message', 'id'), 13)"))
    kept = log.after(0, 10)
    assert [(one.id, one.message.raw) for one in kept] == [(n + 11, body) for n, body in enumerate(bodies)]
    assert {(m.message.answered, m.message.refusal, m.message.wants_result, m.doubt) for m in kept} == {
        ("AA", "", "", "")
    }
    assert kept[0].message.received_at == _AT
    (repeat,) = log.append([message("1", bodies[0])])
    assert (repeat.duplicate, repeat.id) == (True, 11)
    late = message("1", bodies[0], received_at=datetime(2126, 11, 1, tzinfo=UTC))
    once, refused = SqlMessageLog(databases.messages, window_h=1).append(
        [late, message("R", refusal="no", answered="AE")]
    )
    assert 13 < once.id < refused.id
    schema.downgrade(databases.messages, "inbox", _FIRST)
    with databases.messages.writer.connect() as connection:
        left = connection.execute(sa.text("SELECT id, raw FROM message ORDER BY id")).all()
    assert [(number, bytes(raw)) for number, raw in left] == [(n + 11, body) for n, body in enumerate(bodies)]
    schema.upgrade(databases.messages, "inbox")
    (next_one,) = log.append([message("N", b"next")])
    assert next_one.id > 13


def _row(control_id: str, body: bytes) -> dict[str, object]:
    known = message(control_id, body)
    names = ("sending_application", "sending_facility", "control_id", "message_type", "trigger_event", "version",
             "processing_id", "character_set", "peer")  # fmt: skip
    digest = hashlib.sha256(body).hexdigest()
    return {**{name: getattr(known, name) for name in names}, "sha256": digest, "received_at": _AT, "raw": body}

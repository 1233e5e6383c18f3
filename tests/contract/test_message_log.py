"""The message log and its replays on SQLite, its migration, and what its queries cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cds.domain.message import LoggedMessage
from cds.store.checkpoint import Checkpoints
from cds.store.engine import Database, open_messages, sqlite_engine
from cds.store.message_log import SqlMessageLog
from tests.contract.message_log_contract import MessageLogContract, message
from tests.contract.message_migration import up_and_down
from tests.contract.replay_contract import ReplayContract
from tests.databases import Databases, fresh
from tests.e2e.site import until


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """Two fresh files."""
    with fresh(tmp_path) as databases:
        yield databases


class TestLogOnSqlite(MessageLogContract):
    """Every promise of the log on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases


class TestReplaysOnSqlite(ReplayContract):
    """Every promise of replays on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases


def test_messages_of_before_keep_their_ids_and_bytes_up_and_down(databases: Databases) -> None:
    up_and_down(databases)


def test_appending_searches_an_index_alone_so_that_a_sender_may_number_all_its_messages_1(databases: Databases) -> None:
    asked: list[str] = []

    @sa.event.listens_for(databases.messages.writer, "checkout")
    def _note(connection: Any, *_: object) -> None:  # a DB-API connection has no type
        connection.set_trace_callback(asked.append)

    log = SqlMessageLog(databases.messages)
    log.append([message("1", b"one")])
    log.append([message("1", b"two"), message("1", b"one")])
    selects = [text for text in asked if "SELECT" in text and "FROM message" in text]
    assert len(selects) == 1 + 1 + 2 + 1  # nobody used it; somebody did: the same bytes and others, the same bytes
    for text in selects:
        steps = [step for *_, step in _explained(databases, text) if "message" in step.split()]
        assert steps
        for step in steps:
            assert step.startswith("SEARCH message USING"), text
            assert "(control_id=? AND sending_application=? AND sending_facility=?" in step, text
        assert ("sha256 =" in text) == any("sha256=?" in step for step in steps), text


def _explained(databases: Databases, text: str) -> Sequence[Sequence[Any]]:
    with databases.messages.reader.connect() as connection:
        return connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").all()


def test_a_repeat_that_another_process_commits_between_question_and_rows_is_a_repeat(databases: Databases) -> None:
    here, other = SqlMessageLog(databases.messages), open_messages(databases.data_dir, "")
    between: list[LoggedMessage] = []

    def trace(text: str) -> None:
        if text.startswith("INSERT") and not between:
            between.extend(SqlMessageLog(other).append([message("1", b"one")]))

    @sa.event.listens_for(databases.messages.writer, "checkout")
    def _listen(connection: Any, *_: object) -> None:
        connection.set_trace_callback(trace)

    first, second = here.append([message("1", b"one"), message("2", b"two")])
    other.dispose()
    assert between
    assert (first.duplicate, first.id) == (True, between[0].id)
    assert (second.duplicate, second.id) == (False, between[0].id + 1)
    assert [one.id for one in here.after(0, 10)] == [first.id, second.id]


def test_what_was_committed_is_copied_into_the_file_beside_the_writers(tmp_path: Path) -> None:
    with fresh(tmp_path) as databases:
        log = SqlMessageLog(_checkpointed(databases, wal_pages=100_000))
        file = tmp_path / "messages.sqlite"
        with Checkpoints(databases.messages):
            log.append([message("1", bytes(1_000_000))])
            until(lambda: file.stat().st_size > 1_000_000, 10, "the checkpoint")


def test_the_write_ahead_log_stays_short_under_load_and_after_a_reader_that_kept_it_long(tmp_path: Path) -> None:
    pages = 250
    wal = tmp_path / "messages.sqlite-wal"

    def write(name: str, megabytes: int) -> int:
        longest = 0
        for number in range(10 * megabytes):
            log.append([message(f"{name}-{number}", b"%d" % number + bytes(100_000))])
            longest = max(longest, wal.stat().st_size)
        return longest

    with fresh(tmp_path) as databases:
        database = _checkpointed(databases, wal_pages=pages)
        log = SqlMessageLog(database)
        with Checkpoints(database):
            assert write("a", 10) < 2.5 * 4096 * pages
            with databases.messages.reading() as session:
                assert session.connection().scalar(sa.text("SELECT count(*) FROM message")) == 100
                assert write("b", 5) > 4_000_000
            write("c", 2)
            assert wal.stat().st_size < 2.5 * 4096 * pages
        assert len(log.after(0, 1000)) == 170


def _checkpointed(databases: Databases, *, wal_pages: int) -> Database:
    file = databases.data_dir / "messages.sqlite"
    return Database(databases.messages.reader, sqlite_engine(file, durable=True, wal_pages=wal_pages))

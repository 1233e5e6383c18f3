"""The message log and its replays on SQLite, its migration, and what its queries cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cds.store.message_log import SqlMessageLog
from tests.contract.message_log_contract import MessageLogContract, message
from tests.contract.message_migration import up_and_down
from tests.contract.replay_contract import ReplayContract
from tests.databases import Databases, fresh


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


def test_appending_searches_indexes_alone_so_that_a_sender_may_number_all_its_messages_1(databases: Databases) -> None:
    asked: list[tuple[str, object]] = []

    @sa.event.listens_for(databases.messages.writer, "before_cursor_execute")
    def _note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    log = SqlMessageLog(databases.messages)
    log.append([message("1", b"one")])
    log.append([message("1", b"two"), message("1", b"one")])
    selects = [(text, values) for text, values in asked if "SELECT" in text and "FROM message" in text]
    assert selects
    with databases.messages.reader.connect() as connection:
        for text, values in selects:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all()  # type: ignore[arg-type]
            assert not [step for *_, step in plan if "SCAN message" in step], plan
            assert not [step for *_, step in plan if "sha256" in text and "(sending_application=?)" in step], plan
    assert any("ix_message_sha256" in step for step in _plans(databases, selects))


def _plans(databases: Databases, selects: list[tuple[str, object]]) -> Iterator[str]:
    with databases.messages.reader.connect() as connection:
        for text, values in selects:
            for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values):  # type: ignore[arg-type]
                yield step

"""The message log and its replays on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.message_log_contract import MessageLogContract
from tests.contract.message_migration import up_and_down
from tests.contract.replay_contract import ReplayContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestLogOnPostgres(MessageLogContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


class TestReplaysOnPostgres(ReplayContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


def test_messages_of_before_keep_their_ids_and_bytes_up_and_down(tmp_path: Path, postgres_url: str) -> None:
    with fresh(tmp_path, postgres_url) as databases:
        up_and_down(databases)

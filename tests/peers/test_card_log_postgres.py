"""Cards and tokens that are remembered, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.card_log_contract import CardLogContract
from tests.contract.grouped_contract import GroupedContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class _OnPostgres:
    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


class TestCardLogOnPostgres(_OnPostgres, CardLogContract):
    """Every promise that is kept on SQLite."""


class TestGroupedWritesOnPostgres(_OnPostgres, GroupedContract):
    """Every promise that is kept on SQLite."""

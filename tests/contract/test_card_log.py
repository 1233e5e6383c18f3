"""Cards and tokens that are remembered, on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.card_log_contract import CardLogContract
from tests.contract.grouped_contract import GroupedContract
from tests.databases import Databases, fresh


class _OnSqlite:
    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases


class TestCardLogOnSqlite(_OnSqlite, CardLogContract):
    """Every promise on the embedded default."""


class TestGroupedWritesOnSqlite(_OnSqlite, GroupedContract):
    """Every promise on the embedded default."""

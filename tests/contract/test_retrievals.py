"""Retrievals, completeness and storage commitment on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.retrieval_contract import RetrievalContract
from tests.databases import Databases, fresh


class TestRetrievalsOnSqlite(RetrievalContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Fresh files."""
        with fresh(tmp_path / "data") as databases:
            yield databases

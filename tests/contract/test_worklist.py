"""The store of the worklist on the embedded default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.worklist_contract import WorklistContract
from tests.databases import Databases, fresh


class TestWorklistOnSqlite(WorklistContract):
    """Every promise on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh one."""
        with fresh(tmp_path) as databases:
            yield databases

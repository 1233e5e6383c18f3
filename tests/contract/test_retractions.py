"""What is taken back, on the embedded default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.retraction_contract import RetractionContract
from tests.databases import Databases, fresh


class TestRetractionsOnSqlite(RetractionContract):
    """Every promise on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases

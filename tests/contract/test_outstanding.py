"""What is not arranged yet for a patient, on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.outstanding_contract import OutstandingContract
from tests.databases import Databases, fresh


class TestOutstandingOnSqlite(OutstandingContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path / "site") as databases:
            yield databases

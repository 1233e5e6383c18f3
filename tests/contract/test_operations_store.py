"""How the installation stands, and the audit log searched, on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.operations_store_contract import OperationsStoreContract
from tests.databases import Databases, fresh


class TestOperationsStoreOnSqlite(OperationsStoreContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases

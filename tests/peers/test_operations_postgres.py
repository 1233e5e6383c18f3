"""How the installation stands, and the audit log searched, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.operations_store_contract import OperationsStoreContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestOperationsStoreOnPostgres(OperationsStoreContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

"""The store of emitted FHIR resources on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.resource_index_contract import ResourceIndexContract
from tests.contract.resource_sql_contract import ResourceVisibilityContract, SqlResourceStoreContract
from tests.databases import Databases, fresh


class _OnSqlite:
    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases


class TestResourcesOnSqlite(_OnSqlite, SqlResourceStoreContract):
    """The contract of the FHIR routes' store, on the tables."""


class TestVisibilityOnSqlite(_OnSqlite, ResourceVisibilityContract):
    """What is switched off is not there."""


class TestIndexOnSqlite(_OnSqlite, ResourceIndexContract):
    """The rows that resources are searched by."""

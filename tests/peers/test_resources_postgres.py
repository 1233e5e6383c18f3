"""The store of emitted FHIR resources on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.resource_index_contract import ResourceIndexContract
from tests.contract.resource_sql_contract import ResourceVisibilityContract, SqlResourceStoreContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class _OnPostgres:
    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


class TestResourcesOnPostgres(_OnPostgres, SqlResourceStoreContract):
    """The contract of the FHIR routes' store, on the tables."""


class TestVisibilityOnPostgres(_OnPostgres, ResourceVisibilityContract):
    """What is switched off is not there."""


class TestIndexOnPostgres(_OnPostgres, ResourceIndexContract):
    """The rows that resources are searched by."""

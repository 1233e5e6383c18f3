"""Critical results on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.criticals_contract import CriticalsContract, emptied
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Databases]:
    with fresh(tmp_path_factory.mktemp("criticals"), postgres_url) as databases:
        yield databases


class TestCriticalsOnPostgres(CriticalsContract):
    """Every promise of critical results."""

    @pytest.fixture
    def databases(self, tables: Databases) -> Databases:
        """The database, emptied."""
        return emptied(tables)

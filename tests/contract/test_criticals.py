"""Critical results on SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.criticals_contract import CriticalsContract, emptied
from tests.databases import Databases, fresh


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with fresh(tmp_path_factory.mktemp("criticals")) as databases:
        yield databases


class TestCriticals(CriticalsContract):
    """Every promise of critical results."""

    @pytest.fixture
    def databases(self, tables: Databases) -> Databases:
        """A database in a file, emptied."""
        return emptied(tables)

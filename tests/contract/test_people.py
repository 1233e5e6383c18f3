"""What people can do and see, on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.decision_contract import DecisionContract
from tests.contract.people_contract import PeopleContract
from tests.databases import Databases, fresh


class TestPeopleOnSqlite(PeopleContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases


class TestDecisionsOnSqlite(DecisionContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases

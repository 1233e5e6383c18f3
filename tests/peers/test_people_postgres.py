"""What people can do and see, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.decision_contract import DecisionContract
from tests.contract.people_contract import PeopleContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestPeopleOnPostgres(PeopleContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


class TestDecisionsOnPostgres(DecisionContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

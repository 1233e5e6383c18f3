"""`cds why` and the watch on PostgreSQL, where several workers write at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.watch_contract import WatchContract
from tests.contract.why_contract import WhyContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestWatchOnPostgres(WatchContract):
    """Every promise that it makes on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


class TestWhyOnPostgres(WhyContract):
    """Every promise that it makes on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

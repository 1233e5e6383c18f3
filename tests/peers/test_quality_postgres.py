"""Runs of the quality figures on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.quality_contract import QualityContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestQualityOnPostgres(QualityContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

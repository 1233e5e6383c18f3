"""What is taken back, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.retraction_contract import RetractionContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestRetractionsOnPostgres(RetractionContract):
    """Every promise on PostgreSQL."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """A fresh database."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

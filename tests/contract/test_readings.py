"""Second reading on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.readings_contract import ReadingsContract
from tests.databases import Databases, fresh


class TestReadingsOnSqlite(ReadingsContract):
    """What a small site gets."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Files in a temporary folder."""
        with fresh(tmp_path) as databases:
            yield databases

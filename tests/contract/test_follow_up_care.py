"""The care for follow-ups, on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.follow_up_care_contract import FollowUpCareContract
from tests.databases import Databases, fresh


class TestFollowUpCareOnSqlite(FollowUpCareContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path / "site") as databases:
            yield databases

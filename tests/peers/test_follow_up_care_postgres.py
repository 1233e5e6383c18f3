"""The care for follow-ups, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.follow_up_care_contract import FollowUpCareContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestFollowUpCareOnPostgres(FollowUpCareContract):
    """Every promise that is kept on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

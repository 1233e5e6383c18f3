"""Who is who on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.identity_contract import IdentityContract
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers


class TestIdentityOnPostgres(IdentityContract):
    """Every promise of who is who."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

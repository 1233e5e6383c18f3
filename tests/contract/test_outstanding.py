"""What is not arranged yet for a patient, on SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.store.engine import open_app, open_messages
from tests.contract.outstanding_contract import OutstandingContract
from tests.databases import Databases, fresh


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty tables, upgraded once."""
    folder = tmp_path_factory.mktemp("empty")
    with fresh(folder):
        pass
    return folder


class TestOutstandingOnSqlite(OutstandingContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path, empty: Path) -> Iterator[Databases]:
        """Two fresh files."""
        folder = Path(shutil.copytree(empty, tmp_path / "site"))
        with Databases(folder, "", open_app(folder, ""), open_messages(folder, "")) as databases:
            yield databases

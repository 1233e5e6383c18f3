"""What instances that arrive do, on SQLite."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.store.engine import open_app, open_messages
from tests.contract.instance_contract import InstanceContract
from tests.databases import Databases, fresh


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fresh files that are copied for each test: making the tables takes longer than the test."""
    folder = tmp_path_factory.mktemp("empty")
    with fresh(folder):
        return folder


class TestInstancesOnSqlite(InstanceContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path, empty: Path) -> Iterator[Databases]:
        """A copy of the fresh files."""
        folder = Path(shutil.copytree(empty, tmp_path / "data"))
        with Databases(folder, "", open_app(folder, ""), open_messages(folder, "")) as databases:
            yield databases

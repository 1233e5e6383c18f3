"""The priorities of studies on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.test_priority import TestWhatWaits, TestWhenItEnds, TestWhenItIsRaised, site
from tests.databases import Databases, fresh

pytestmark = pytest.mark.peers

__all__ = ["TestWhatWaits", "TestWhenItEnds", "TestWhenItIsRaised", "site"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Databases]:
    folder: Path = tmp_path_factory.mktemp("priority")
    with fresh(folder, postgres_url) as databases:
        yield databases

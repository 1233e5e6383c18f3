"""The store of the worklist, on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.store.tables import StudyRow
from cds.ui.worklist import Wanted
from tests.contract.worklist_contract import WorklistContract, put, store, work
from tests.databases import Databases, fresh
from tests.unit.clinical import STUDY_UID

pytestmark = pytest.mark.peers


class TestWorklistOnPostgres(WorklistContract):
    """Every promise that is kept on SQLite, and those of many writers at once."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases

    def test_a_change_that_is_committed_while_the_row_is_made_is_not_forgotten(self, here: Databases) -> None:
        rows, written, looked = store(here), threading.Event(), threading.Event()

        def write() -> None:
            with here.app.writing() as session:
                session.get_one(StudyRow, STUDY_UID).description = "late"
                session.flush()
                written.set()
                looked.wait(10)

        put(here, work("reported"))
        writer = threading.Thread(target=write)
        writer.start()
        written.wait(10)
        [early] = rows.fresh(Wanted()).entries
        looked.set()
        writer.join(10)
        [late] = rows.fresh(Wanted()).entries
        assert (early.description, late.description) == ("", "late")

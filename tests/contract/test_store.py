"""The store on SQLite, and what only SQLite's files can show: a full disk, migrations down and up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cds.errors import ConfigurationError
from cds.store import schema
from cds.store.engine import open_app
from cds.store.tables import AppBase, InboxBase
from tests.contract.report_store_contract import ReportStoreContract
from tests.contract.store_contract import StoreContract
from tests.databases import Databases, fresh

FULL_DISK = """
import resource, sys
from pathlib import Path
from cds.errors import OutOfResources
from cds.store.message_log import SqlMessageLog
from tests.contract.store_contract import raw
from tests.databases import fresh

databases = fresh(Path(sys.argv[1]))
log = SqlMessageLog(databases.messages)
(kept,) = log.append([raw("first")])
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
refused = None
for n in range(50):
    try:
        log.append([raw(str(n), b"x" * 50_000)])
    except OutOfResources as error:
        refused = error
        break
assert refused is not None, "the disk never filled"
answered = [m.message.control_id for m in log.after(0, 100)]
assert answered == ["first", *map(str, range(n))], answered
print("refused after", n)
"""


class TestOnSqlite(StoreContract):
    """Every promise on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases


def test_a_full_disk_refuses_the_message_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        timeout=60,
    )
    assert told.returncode == 0, told.stderr
    assert "refused after" in told.stdout


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    databases = fresh(tmp_path)
    for database, base, branch in ((databases.app, AppBase, "app"), (databases.messages, InboxBase, "inbox")):
        with database.writer.connect() as connection:
            options = {"version_table": f"alembic_version_{branch}", "compare_type": True}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, base.metadata) == []


def test_the_tables_can_be_taken_down_and_up_again(tmp_path: Path) -> None:
    databases = fresh(tmp_path)
    schema.downgrade(databases.app, "app")
    with databases.app.writer.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version_app"]
    schema.upgrade(databases.app, "app")
    schema.check(databases.app, "app")


def test_tables_that_are_not_upgraded_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="run cds db upgrade"):
        schema.check(open_app(tmp_path, ""), "app")


class TestReportsOnSqlite(ReportStoreContract):
    """Every promise of committing reports on the embedded default."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """Two fresh files."""
        with fresh(tmp_path) as databases:
            yield databases

"""The store and the whole line on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from cds.demo.engine import Engine
from cds.store import schema
from cds.store.tables import AppBase, InboxBase
from tests.contract.report_store_contract import ReportStoreContract
from tests.contract.store_contract import StoreContract
from tests.databases import Databases, fresh
from tests.e2e.site import Person, order, series, serving, site, smoking

pytestmark = pytest.mark.peers


class TestOnPostgres(StoreContract):
    """Every promise that the store makes on SQLite."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


class TestReportsOnPostgres(ReportStoreContract):
    """Every promise of committing reports."""

    @pytest.fixture
    def databases(self, tmp_path: Path, postgres_url: str) -> Iterator[Databases]:
        """The database, emptied."""
        with fresh(tmp_path, postgres_url) as databases:
            yield databases


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path, postgres_url: str) -> None:
    tables = set(AppBase.metadata.tables) | set(InboxBase.metadata.tables)
    with fresh(tmp_path, postgres_url) as databases, databases.app.writer.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": "alembic_version_app",
                "compare_type": True,
                "include_name": lambda name, kind, _parents: kind != "table" or name in tables,
            },
        )
        assert compare_metadata(context, [AppBase.metadata, InboxBase.metadata]) == []


def test_the_tables_can_be_taken_down_and_up_again(tmp_path: Path, postgres_url: str) -> None:
    with fresh(tmp_path, postgres_url) as databases:
        schema.downgrade(databases.app, "app")
        schema.upgrade(databases.app, "app")
        schema.check(databases.app, "app")


def test_one_order_and_one_study_become_a_report_and_a_card(tmp_path: Path, postgres_url: str) -> None:
    with fresh(tmp_path, postgres_url):
        pass
    person = Person(accession_number="ACC-PG")
    with Engine() as engine:
        destinations = json.dumps({"ehr": {"host": "127.0.0.1", "port": engine.port}})
        one = site(tmp_path / "site", CDS_DATABASE_URL=postgres_url, CDS_ORU_DESTINATIONS=destinations, CDS_WORKERS="2")
        with serving(one):
            one.hl7(smoking("1", person))
            one.hl7(order("2", person))
            one.store(series(tmp_path / "ct", person))
            story = one.wait_for_report("ACC-PG")
            assert story["studies"][0]["report"]["match"]["state"] == "matched"
            assert engine.wait(20) is not None
            assert len(one.cards(person)) == 1
            assert one.cds("check").returncode == 0

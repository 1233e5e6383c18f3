"""`cds quality`: computes, shows, and prints CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.commands.quality import app
from cds.render.quality import tables
from tests.contract.quality_site import MODEL, VERSION, Case, put
from tests.databases import Databases, fresh


@pytest.fixture(autouse=True)
def databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    with fresh(tmp_path / "data") as found:
        put(found, Case(1, datetime(2026, 11, 21, 12, tzinfo=UTC)))
        yield found


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    assert result.exit_code == code, result.output
    return result.output


def test_a_run_is_computed_shown_and_printed_as_csv() -> None:
    assert "Computed: 1 model versions, 0 pathways." in said("run", "--day", "2026-11-21")
    assert "Window 2026-10-25 to 2026-11-21" in said("show", "models")
    shown = said("show")
    assert all(f"\n{table}\n" in shown for table in tables())
    (row,) = csv.DictReader(io.StringIO(said("csv", "models", "--day", "2026-11-21"), newline=""))
    assert (row["model"], row["version"], row["read"], row["positive_of"]) == (MODEL, VERSION, "1", "1")


def test_what_was_not_computed_and_what_is_no_table_is_refused() -> None:
    assert said("show", code=1) == ""
    said("run", "--day", "2026-11-21")
    said("csv", "models", "--day", "2026-11-20", code=1)
    assert "want one of: models" in said("csv", "audit", code=2)

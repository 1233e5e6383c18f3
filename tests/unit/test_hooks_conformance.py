"""The statement of conformance to CDS Hooks 2.0: every requirement has a row, every row that is met a test."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.clinical import reference

DOCS = Path(__file__).parents[2] / "docs"
STATUSES = {"met", "not applicable", "deliberately not"}


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cds_hooks_tables", DOCS / "cds_hooks_tables.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_document_has_the_tables_of_the_tests(tables: ModuleType) -> None:
    written = (DOCS / "cds-hooks-conformance.md").read_text()
    assert tables.rendered(written) == written, "run .venv/bin/python docs/cds_hooks_tables.py"


def test_every_requirement_that_is_met_has_a_test_and_every_marked_number_a_row(tables: ModuleType) -> None:
    listed, proven = tables.requirements(), tables.proofs()
    assert {one.id for one in listed if one.status == "met"} - proven.keys() == set()
    assert proven.keys() - {one.id for one in listed} == set()


def test_what_is_not_met_says_why_and_every_row_stands_once(tables: ModuleType) -> None:
    listed = tables.requirements()
    assert len({one.id for one in listed}) == len(listed)
    assert {one.status for one in listed} == STATUSES
    assert all(bool(one.reason) == (one.status != "met") for one in listed)
    assert all(len(one.requirement.split()) <= 15 for one in listed)


def test_no_demand_is_left_unmet_but_that_tls_is_a_proxys(tables: ModuleType) -> None:
    unmet = {one.id for one in tables.requirements() if one.status == "deliberately not" and one.level.startswith("SH")}
    assert unmet == {2, 168}


def test_the_rows_are_those_of_the_sheet_with_its_levels_and_sections(tables: ModuleType, reference_dir: Path) -> None:
    sheet = reference(reference_dir) / "cds-hooks" / "requirements_cds-hooks_2.0_service.csv"
    with sheet.open(newline="", encoding="utf-8") as lines:
        wanted = [(int(row["ID"]), row["Conformance"], row["URL"].partition("#")[2]) for row in csv.DictReader(lines)]
    assert [(one.id, one.level, one.section) for one in tables.requirements()] == wanted

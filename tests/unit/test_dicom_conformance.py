"""The DICOM conformance statement has the tables of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_conformance_statement_has_the_tables_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("dicom_tables", DOCS / "dicom_tables.py")
    assert spec
    assert spec.loader
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    written = (DOCS / "dicom-conformance.md").read_text()
    assert tables.rendered(written) == written

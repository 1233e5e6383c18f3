"""Runs of the quality figures on SQLite."""

from __future__ import annotations

from tests.contract.quality_contract import QualityContract


class TestQualityOnSqlite(QualityContract):
    """In a file of its own for every test."""

"""Stores with thousands or a million findings, filled by the database itself from one patient's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from cds.domain.audit import CARD_SHOWN
from cds.domain.finding import Findings
from cds.domain.message import RecordValue
from cds.domain.report import Report
from cds.store.engine import Database
from cds.store.safety_tables import AuditRow
from cds.store.tables import FeedRow, PatientIdentifierRow, PatientRow, ReportRow, StatementRow, StudyRow
from cds.store.values import dump
from tests.bench import hook_chart as chart
from tests.unit.clinical import DAILY, PACK_YEARS, SMOKING

Row = dict[str, Any]
_HEARD = datetime(2025, 1, 2, tzinfo=UTC)
#: The number of the patient whose rows are written for all others: nothing else in them looks like it.
_TEMPLATE = 98765432
#: Patients of one statement.
_AT_ONCE = 600


def per_patient() -> int:
    """The findings of each patient's reports."""
    found = (o for report in chart.reports(0) for o in report.outcomes if isinstance(o, Findings))
    return sum(len(one.findings) for one in found)


def fill(database: Database, findings: int, *, with_ehr: bool = True) -> int:
    """Store patients until there are so many findings; answers how many patients.

    Without what was known of the patient when each was decided, which no hook reads, a million fit on a small disk.
    """
    patients = -(-findings // per_patient())
    template, written = _Rows(_TEMPLATE, with_ehr=with_ehr).of(), str(_TEMPLATE)
    with database.writer.begin() as connection:
        connection.execute(sa.insert(FeedRow), [{
            "source": "LAB|HOSP", "message_type": "ORU^R01", "first_at": _HEARD, "last_at": chart.ISSUED,
        }])  # fmt: skip
        for at in range(0, patients, _AT_ONCE):
            numbers = range(at, min(at + _AT_ONCE, patients))
            for table, rows in template.items():
                told = [{k: _renumbered(v, written, n) for k, v in row.items()} for n in numbers for row in rows]
                connection.execute(sa.insert(table), told)
    _settle(database)
    return patients


def _renumbered(value: object, written: str, number: int) -> object:
    return value.replace(written, f"{number:08d}") if isinstance(value, str) else value


class _Rows:
    """The rows of one patient."""

    def __init__(self, number: int, *, with_ehr: bool) -> None:
        self._who = chart.patient(number)
        self._reports = [one if with_ehr else replace(one, ehr=None) for one in chart.reports(number)]

    def of(self) -> dict[type[Any], list[Row]]:
        """By table; the number of the patient stands in every id."""
        identifier = self._who.identifiers[0]
        return {
            PatientRow: [{
                "id": self._who.id, "family": self._who.name.family, "given": self._who.name.given,
                "birth_date": chart.BORN, "sex": self._who.sex.value, "updated_at": chart.ISSUED,
            }],
            PatientIdentifierRow: [
                {"value": identifier.value, "assigner": identifier.assigner, "patient_id": self._who.id}
            ],
            StatementRow: list(self._statements()),
            StudyRow: [self._study(one) for one in self._reports],
            ReportRow: [self._report(one) for one in self._reports],
            AuditRow: [self._shown(one) for one in self._reports],
        }  # fmt: skip

    def _statements(self) -> Iterator[Row]:
        values = (SMOKING, DAILY), (PACK_YEARS, None)
        for code, value in values:
            said = RecordValue("observation", code.code, code, value, chart.TODAY, "final")
            yield {
                "patient_id": self._who.id, "source": "LAB|HOSP", "key": code.code, "body": dump(RecordValue, said),
                "received_at": chart.ISSUED, "message_id": 1,
            }  # fmt: skip

    def _study(self, one: Report) -> Row:
        study, identifier = one.study, self._who.identifiers[0]
        return {
            "uid": study.study_instance_uid, "public_id": study.public_id, "source": "dicom",
            "patient_value": identifier.value, "patient_assigner": identifier.assigner, "birth_date": chart.BORN,
            "sex": self._who.sex.value, "study_date": study.study_date, "image_revision": 1, "match_revision": 1,
            "analysis_run": 1, "revision_open": False, "first_instance_at": chart.ISSUED,
            "last_instance_at": chart.ISSUED,
        }  # fmt: skip

    def _report(self, one: Report) -> Row:
        return {
            "work_id": f"dicom-{one.study.study_instance_uid}", "study_uid": one.study.study_instance_uid,
            "version": one.version, "patient_id": self._who.id, "body": dump(Report, one), "issued": one.issued,
        }  # fmt: skip

    def _shown(self, one: Report) -> Row:
        return {
            "at": chart.ISSUED, "actor": "Practitioner/123", "action": CARD_SHOWN,
            "study_uid": one.study.study_instance_uid, "patient_id": self._who.id,
        }  # fmt: skip


def _settle(database: Database) -> None:
    """As after a night: PostgreSQL's autovacuum has run, SQLite's log is copied."""
    commands = {"postgresql": "VACUUM ANALYZE", "sqlite": "PRAGMA wal_checkpoint(TRUNCATE)"}
    with database.driven() as connection:
        if database.writer.dialect.name == "postgresql":
            connection.autocommit = True
        connection.execute(commands[database.writer.dialect.name]).close()

"""What a call reads with one statement is what its queries find one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from cds.domain.identity import Identifier
from cds.domain.report import Report
from cds.store.at_once import foresee
from cds.store.engine import Database
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.standing import standing
from cds.store.tables import PatientRow, ReportRow, StudyRow
from tests.bench import hook_chart as chart
from tests.bench.hook_fill import fill
from tests.databases import fresh

FIRST, SECOND = (Identifier(chart.mrn(number), chart.AUTHORITY) for number in (0, 1))
STUDIES = {report.study.study_instance_uid for report in chart.reports(0)}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Two patients with three reports each."""
    with fresh(tmp_path / "data") as databases:
        assert fill(databases.app, 20) == 2
        yield databases.app


def change(database: Database, statement: sa.Update) -> None:
    """Commit a change."""
    with database.writer.begin() as connection:
        connection.execute(statement)


def seen(reports: list[Report]) -> set[str]:
    """The studies of reports."""
    return {report.study.study_instance_uid for report in reports}


def test_a_call_reads_the_tables_with_one_statement_and_none_where_nobody_has_written_since(database: Database) -> None:
    asked: list[str] = []
    reports, record = SqlReportStore(database), RecordStore(database)
    reports.latest_of_patient(FIRST)
    change(database, sa.update(ReportRow).values(version=ReportRow.version))
    with database.looking() as look:
        look.cursor.connection.set_trace_callback(asked.append)
        found = reports.latest_of_patient(FIRST)
        assert seen(list(found)) == STUDIES
        assert reports.owners([FIRST]) == {"patient-00000000"}
        assert not reports.withdrawn_of_patient(FIRST, chart.ISSUED - timedelta(days=9))
        assert [standing(database, uid).contradiction for uid in STUDIES] == ["", "", ""]
        assert len(record.statements(chart.patient(0)).statements) == 2
        look.cursor.connection.set_trace_callback(None)
    assert len(asked) == 1
    with database.looking() as look:
        look.cursor.connection.set_trace_callback(asked.append)
        assert reports.latest_of_patient(FIRST) == found
        look.cursor.connection.set_trace_callback(None)
    assert len(asked) == 1


def test_what_is_foreseen_is_what_is_found_without_it(database: Database) -> None:
    reports, record = SqlReportStore(database), RecordStore(database)
    alone = record.statements(chart.patient(1))
    with database.looking():
        foresee(database, SECOND)
        assert record.statements(chart.patient(1)) == alone
        assert standing(database, chart.reports(1)[0].study.study_instance_uid).patient == SECOND
        assert reports.survivor("patient-00000001") == "patient-00000001"


def test_a_call_after_a_withdrawal_does_not_find_the_report(database: Database) -> None:
    reports, (lost, *_) = SqlReportStore(database), sorted(STUDIES)
    assert seen(list(reports.latest_of_patient(FIRST))) == STUDIES
    newer = {"work_id": "dicom-newer", "study_uid": lost, "version": 2, "patient_id": None, "issued": chart.ISSUED}
    [report] = [one for one in chart.reports(0) if one.study.study_instance_uid == lost]
    with database.writer.begin() as connection:
        body = connection.execute(sa.select(ReportRow.body).where(ReportRow.study_uid == lost)).scalar_one()
        connection.execute(sa.insert(ReportRow).values(**newer, episode=2, body=body))
    assert seen(list(reports.latest_of_patient(FIRST))) == STUDIES - {lost}
    [withdrawn] = reports.withdrawn_of_patient(FIRST, chart.ISSUED - timedelta(days=1))
    assert (withdrawn.study_instance_uid, withdrawn.study_date) == (lost, report.study.study_date)


def test_a_merge_counts_at_the_next_call(database: Database) -> None:
    reports = SqlReportStore(database)
    assert len(reports.latest_of_patient(FIRST)) == 3
    change(
        database,
        sa.update(PatientRow).where(PatientRow.id == "patient-00000001").values(merged_into="patient-00000000"),
    )
    with database.looking():
        assert len(reports.latest_of_patient(FIRST)) == len(reports.latest_of_patient(SECOND)) == 6
        assert reports.owners([FIRST, SECOND]) == {"patient-00000000"}


def test_a_study_that_is_stopped_says_so_at_the_next_call(database: Database) -> None:
    uid = min(STUDIES)
    assert standing(database, uid).contradiction == ""
    change(database, sa.update(StudyRow).where(StudyRow.uid == uid).values(stopped="wrong patient"))
    assert standing(database, uid).contradiction == "wrong patient"


def test_nobody_is_found_under_an_identifier_that_nobody_has(database: Database) -> None:
    reports, nobody = SqlReportStore(database), Identifier("M99999999", chart.AUTHORITY)
    with database.looking():
        assert not reports.latest_of_patient(nobody)
        assert not reports.knows_patient(nobody)
        assert reports.knows_patient(FIRST)

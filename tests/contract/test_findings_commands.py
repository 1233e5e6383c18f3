"""`cds findings` over a real data folder: listed, confirmed, refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.commands.findings import app
from cds.domain.report import Report
from cds.domain.verification import Agreement, Comparison, Verdict
from cds.store.opinions import OpinionStore
from cds.store.studies import StudyStore
from cds.store.tables import ReportRow
from cds.store.values import dump
from cds.store.works import WorkStore
from tests.contract.closing import close_quiet
from tests.contract.opinions_contract import answer, report_of
from tests.contract.store_contract import NOW, instance
from tests.databases import Databases, fresh


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Databases]:
    """A data folder with study 1.2 of accession number A1, reported, whose final report contradicts a finding."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    with fresh(tmp_path) as databases:
        studies = StudyStore(databases.app, assigning_authority="HOSP", accession_issuer="RIS")
        studies.add(instance("1.2.9"), received_at=NOW, consumed=True, source="dicom")
        [work] = close_quiet(databases.app, NOW + timedelta(hours=1))
        WorkStore(databases.app).save_outcome(work, answer(), NOW)
        report = report_of(studies, 1, Comparison("m.bleed", Agreement.DISCORDANT, "the report says otherwise"))
        with databases.app.writing() as session:
            body = dump(Report, report)
            session.add(ReportRow(work_id=work.id, study_uid="1.2", version=1, body=body, issued=NOW))
        yield databases


def cds(*arguments: str) -> str:
    """What a command prints, or the error that the program would tell."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exit_code == 0:
        return result.output
    return str(result.exception) if not isinstance(result.exception, SystemExit) else "usage"


def verdicts(site: Databases) -> dict[str, Verdict]:
    """What counts."""
    return {one.finding.name: one.verdict for one in OpinionStore(site.app).verifications("1.2", 1)}


RADIOLOGIST = ("--by", "Dr Roe", "--role", "radiologist")


def test_findings_are_listed_with_what_was_said_of_them(site: Databases) -> None:
    assert cds("list", "A1").splitlines() == [
        "study 1.2, image revision 1, report version 1",
        "m.volume: Volume measured 4 mL (m 1)",
        "m.bleed: Bleed present (m 1)",
        "  final report: discordant: the report says otherwise",
    ]
    assert cds("correct", "m.volume", "--study", "A1", *RADIOLOGIST, "--value", "4.2") == "m.volume: corrected\n"
    assert "  corrected to 4.2 mL by Dr Roe (radiologist), " in cds("list", "1.2")


def test_a_radiologist_confirms_and_rejects(site: Databases) -> None:
    confirm = ("confirm", "m.bleed", "--study", "1.2", *RADIOLOGIST)
    assert cds(*confirm) == "m.bleed: confirmed\n"
    assert cds(*confirm) == "m.bleed: confirmed before, nothing changed\n"
    assert cds("reject", "m.bleed", "--study", "A1", *RADIOLOGIST, "--reason", "artefact") == "m.bleed: rejected\n"
    assert verdicts(site) == {"m.bleed": Verdict.REJECTED}


def test_who_acts_is_the_account_where_nobody_is_named(site: Databases) -> None:
    assert cds("confirm", "m.bleed", "--study", "1.2", "--role", "radiologist") == "m.bleed: confirmed\n"
    [said] = OpinionStore(site.app).verifications("1.2", 1)
    assert said.by


@pytest.mark.usefixtures("site")
def test_what_cannot_be_done_is_refused_in_words() -> None:
    study = ("--study", "A1")
    refusals = {
        ("confirm", "m.bleed", *study, "--role", "nurse"): "want the role radiologist",
        ("confirm", "m.other", *study, *RADIOLOGIST): "m.bleed, m.volume",
        ("confirm", "m.bleed", "--study", "A9", *RADIOLOGIST): "no such study",
        ("correct", "m.bleed", *study, *RADIOLOGIST, "--value", "1"): "confirm or reject it",
        ("correct", "m.volume", *study, *RADIOLOGIST): "usage",
        ("confirm", "m.bleed", *study): "usage",
        ("list", "A9"): "no such study",
    }
    for arguments, wanted in refusals.items():
        assert wanted in cds(*arguments), arguments

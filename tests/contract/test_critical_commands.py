"""`cds critical` over a real data folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.alerting import alert
from cds.commands.critical import app
from cds.domain.critical import CriticalState
from cds.errors import NotFound
from tests.contract.critical_site import CriticalSite
from tests.contract.criticals_contract import only
from tests.databases import fresh


def test_what_waits_is_listed_and_acknowledged_by_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    run = CliRunner().invoke
    with fresh(tmp_path) as databases:
        site = CriticalSite(databases)
        alert(site, site.work(match=site.matched()).id)
        result = only(site)
        listed = run(app, ["list"]).output
        assert f"{result.id}  ACR category 1  open  Intracranial hemorrhage" in listed
        assert "route first, due 2026-11-20 10:15 UTC" in listed
        assert "opened: route first" in listed
        assert result.token not in listed
        assert "Unmistakable" not in listed
        assert isinstance(run(app, ["acknowledge", "nothing", "--by", "Dr. Duty"]).exception, NotFound)
        done = run(app, ["acknowledge", result.id[:8], "--by", "Dr. Duty"])
        assert "acknowledged by Dr. Duty" in done.output
        assert only(site).state is CriticalState.ACKNOWLEDGED
        assert run(app, ["list"]).output == "No critical result waits for anybody.\n"
        assert "acknowledged by Dr. Duty" in run(app, ["list", "--all"]).output

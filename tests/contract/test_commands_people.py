"""What a person types: held items, switches, studies, the audit log and the replay, over real tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds import bootstrap, intake
from cds.bootstrap.hl7 import reader
from cds.cli import app
from cds.clock import SystemClock
from cds.domain.hold import HoldKind
from cds.domain.identity import Identifier
from cds.domain.message import LoggedMessage, MessageContent
from cds.domain.order import OrderChange
from cds.errors import ConfigurationError, Conflict, InvalidInput, InvalidMessage, NotFound
from cds.settings import Settings
from cds.store import holds
from cds.store.engine import open_messages
from cds.store.message_log import SqlMessageLog
from cds.store.studies import StudyStore
from tests.contract.closing import close_quiet
from tests.contract.store_contract import NOW, ORDER, PATIENT, instance, raw

#: A patient whose identifier names no authority: a site without one of its own cannot know whose it is.
ADMISSION = b"MSH|^~\\&|ADT|HOSP|||20261120100000+0000||ADT^A01^ADT_A01|7|P|2.5.1\rPID|1||P7^^^^MR||Test^Tom\rPV1|1|I\r"

Cds = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A fresh installation, that the environment names."""
    given = {
        "CDS_DATA_DIR": str(tmp_path / "data"),
        "CDS_ORU_DESTINATIONS": json.dumps({"ehr": {"host": "127.0.0.1", "port": 9}}),
        "CDS_ALARM_WEBHOOK_URL": "http://127.0.0.1:9/",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = Settings()
    bootstrap.upgrade(found)
    return found


@pytest.fixture
def cds(settings: Settings) -> Cds:
    """Run the program; what it says, or the error that it would tell."""

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def quarantined(settings: Settings) -> str:
    """An admission that the site could not read; the id of its hold."""
    inbox = open_messages(settings.data_dir, "")
    log = SqlMessageLog(inbox)
    (kept,) = log.append([replace(raw("7", ADMISSION), message_type="ADT", trigger_event="A01")])
    record = bootstrap.stores(settings).record
    intake.apply_next(log, reader(settings), record, SystemClock())
    inbox.dispose()
    return holds.short_id(f"message:{kept.id}")


def study(settings: Settings) -> None:
    """A complete study and its order."""
    held = bootstrap.stores(settings)
    studies = StudyStore(held.database, assigning_authority="HOSP", accession_issuer="RIS")
    studies.add(instance("1.2.1"), received_at=NOW, consumed=True, source="dicom")
    close_quiet(held.database, NOW + timedelta(hours=1))
    held.record.apply([(LoggedMessage(1, raw("1")), MessageContent(PATIENT, orders=(OrderChange(ORDER, "NW"),)))], NOW)


def test_a_message_is_applied_once_the_site_can_read_it(
    settings: Settings, cds: Cds, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = quarantined(settings)
    assert "! the role worker is not heard\n" in cds("holds", "list")
    assert "quarantined" in cds("holds", "list")
    with pytest.raises(InvalidMessage):
        cds("holds", "resolve", short, "apply", "--by", "Ada")
    monkeypatch.setenv("CDS_ASSIGNING_AUTHORITY", "HOSP")
    assert cds("holds", "resolve", short[:6], "apply", "--by", "Ada") == f"{short} is resolved: apply, by Ada.\n"
    assert bootstrap.stores(settings).record.patient(Identifier("P7", "HOSP")) is not None
    assert cds("holds", "list").endswith("Nothing waits for a person.\n")
    assert "apply, by Ada" in cds("holds", "list", "--all")


def test_a_held_item_is_listed_shown_taken_and_resolved(settings: Settings, cds: Cds) -> None:
    study(settings)
    held = bootstrap.stores(settings)
    with held.database.writing() as session:
        holds.put(session, "k", HoldKind.MATCH_IN_DOUBT, "it is in doubt", NOW, study_uid="1.2")
    short = holds.short_id("k")
    [told] = json.loads(cds("holds", "list", "--json"))
    assert (told["id"], told["kind"], told["owner"]) == (short, "match-in-doubt", "")
    assert f"cds holds resolve {short} attach --to ORDER" in cds("holds", "show", short)
    assert cds("holds", "take", short, "--by", "Ada") == f"{short} is owned by Ada.\n"
    with pytest.raises(InvalidInput, match="leave, attach, retract"):
        cds("holds", "resolve", short, "burn")
    cds("holds", "resolve", short, "attach", "--to", "A1", "--reason", "seen on the ward", "--by", "Ada")
    with pytest.raises(Conflict, match="attach: seen on the ward, by Ada"):
        cds("holds", "resolve", short, "leave")
    assert held.studies.study("1.2").decided == "attach"
    lines = cds("audit", "--study", "1.2").splitlines()
    assert [line.partition("Ada: ")[2].partition("  ")[0] for line in lines] == [
        "hold taken", "match decided: attach", "hold resolved",
    ]  # fmt: skip


def test_a_switch_is_turned_by_name_and_told(cds: Cds) -> None:
    with pytest.raises(NotFound, match=r"there is no model of this name; there is: .*ct_lung_density"):
        cds("disable", "model", "ct_lung_densty", "--reason", "ghosts")
    with pytest.raises(NotFound, match="alarm:webhook, ehr"):
        cds("disable", "destination", "elsewhere", "--reason", "ghosts")
    said = cds("disable", "model", "ct_lung_density", "--by", "Ada", "--reason", "it sees ghosts")
    assert said == "model ct_lung_density is off.\n0 reports are decided again.\n"
    assert cds("disable", "destination", "ehr", "--by", "Ada", "--reason", "moving") == "destination ehr is off.\n"
    assert [off["name"] for off in json.loads(cds("switches", "--json"))] == ["ehr", "ct_lung_density"]
    assert "by Ada: it sees ghosts" in cds("switches")
    cds("enable", "model", "ct_lung_density", "--by", "Ben")
    cds("enable", "destination", "ehr", "--by", "Ben")
    assert cds("switches") == "Nothing is switched off.\n"
    told = [(line["actor"], line["action"], line["detail"][0]) for line in json.loads(cds("audit", "--json"))]
    assert told[0] == ("Ada", "switch off", "model ct_lung_density")
    assert told[3] == ("Ben", "switch on", "destination ehr")


def test_a_wrong_patient_is_stopped_and_put_right(settings: Settings, cds: Cds) -> None:
    study(settings)
    assert "Stopped." in cds("studies", "wrong-patient", "A1", "--reason", "swapped at the scanner", "--by", "Ada")
    assert "swapped at the scanner; seen by: nobody that is known of" in cds("holds", "list")
    cds("studies", "attach", "1.2", "A1", "--by", "Ada")
    assert cds("holds", "list").endswith("Nothing waits for a person.\n")


def test_a_replay_is_asked_in_the_sites_time_and_noted(
    settings: Settings, cds: Cds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_TIME_ZONE", "Europe/Berlin")
    assert cds("replay", "--from", "2026-11-20", "--to", "2026-11-21", "--by", "Ada").endswith("sent: 0\n")
    [line] = json.loads(cds("audit", "--since", "2026-01-01", "--json"))
    assert line["detail"][:3] == ["from 2026-11-20T00:00:00+01:00", "to 2026-11-21T00:00:00+01:00", "0 studies"]
    assert cds("audit", "--since", "2126-01-01T00:00:00+00:00") == "The audit log has no such line.\n"


def test_without_tables_a_person_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "none"))
    result = CliRunner().invoke(app, ["switches"])
    assert isinstance(result.exception, ConfigurationError)
    assert "run cds serve or cds db upgrade" in str(result.exception)

"""`cds check` finds an inbox that is older than the tables: its new messages would never be applied."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cds import bootstrap
from cds.bootstrap import readiness
from cds.bootstrap.hl7 import message_log
from cds.checks import Check
from cds.domain.message import LoggedMessage, MessageContent
from cds.settings import Settings
from tests.contract.store_contract import raw
from tests.contract.test_checks import free_port

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def inbox(settings: Settings) -> Check:
    """What the check says of the inbox."""
    (found,) = [check for check in readiness.checks(settings) if check.name == "inbox"]
    return found


def test_an_inbox_that_is_older_than_the_tables_is_found(tmp_path: Path) -> None:
    ports = {"http_port": free_port(), "hl7_port": free_port(), "dicom_port": free_port()}
    settings = Settings(data_dir=tmp_path / "data", **ports)
    assert inbox(settings).ok
    bootstrap.upgrade(settings)
    message_log(settings).append([raw("1"), raw("2")])
    assert (inbox(settings).ok, inbox(settings).detail) == (True, "2 messages wait to be applied")
    ignored = MessageContent(None, ignored="not read")
    bootstrap.stores(settings).record.apply([(LoggedMessage(3, raw("3")), ignored)], NOW)
    assert not inbox(settings).ok
    assert "one backup" in inbox(settings).how_to_fix

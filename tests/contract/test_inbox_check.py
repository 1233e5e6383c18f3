"""`cds check` finds an inbox that is full or older than the tables, and a drop folder that cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cds import bootstrap
from cds.bootstrap import readiness
from cds.bootstrap.hl7 import message_log
from cds.checks import Check
from cds.domain.message import LoggedMessage, MessageContent
from cds.limits import Hl7Limits
from cds.settings import Settings
from tests.contract.store_contract import raw
from tests.contract.test_checks import free_port

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def inbox(settings: Settings) -> Check:
    """What the check says of the inbox."""
    (found,) = [check for check in readiness.checks(settings) if check.name == "inbox"]
    return found


def test_an_inbox_that_is_older_than_the_tables_is_found(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("http_port", "ui_port", "hl7_port", "dicom_port")}
    settings = Settings(data_dir=tmp_path / "data", **ports)
    assert inbox(settings).ok
    bootstrap.upgrade(settings)
    message_log(settings).append([raw("1"), raw("2")])
    assert (inbox(settings).ok, inbox(settings).detail) == (
        True,
        "2 messages wait to be applied, senders wait at 100000",
    )
    small = settings.model_copy(update={"hl7_limits": Hl7Limits(max_inbox_depth=2)})
    assert not inbox(small).ok
    ignored = MessageContent(None, ignored="not read")
    bootstrap.stores(settings).record.apply([(LoggedMessage(3, raw("3")), ignored)], NOW)
    assert not inbox(settings).ok
    assert "one backup" in inbox(settings).how_to_fix


@pytest.mark.parametrize(("name", "usable"), [("", True), ("file", False), ("absent", False)])
def test_a_drop_folder_that_cannot_be_used_is_found(tmp_path: Path, name: str, usable: bool) -> None:
    (tmp_path / "file").touch()
    settings = Settings(data_dir=tmp_path / "data", hl7_folder=tmp_path / name)
    (found,) = [check for check in readiness.checks(settings) if check.name == "HL7 folder"]
    assert found.ok is usable
    assert usable or "CDS_HL7_FOLDER" in found.how_to_fix

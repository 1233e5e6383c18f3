"""What an engineer looks at first: feeds and their silence, GPUs, the disk, and alarms with their beginning."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cds import bootstrap
from cds.bootstrap.ui_operations_overview import disk, overview
from cds.settings import Settings
from cds.store.engine import open_messages
from cds.store.fhir_tables import FhirFeedRow
from cds.store.safety_tables import AlarmRow
from cds.store.tables import FeedRow, HeartbeatRow
from cds.ui.operations_values import Gpu, ModelDevice, Overview
from cds.web.ui.app import create_ui
from tests.contract.ui_operations_site import Browser, MovedClock, Site, again, site
from tests.databases import fresh

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def looked(tmp_path: Path, *rows: object, **settings: object) -> Overview:
    """The overview of an installation with these rows."""
    with fresh(tmp_path / "data"):
        pass
    given = Settings(**{"data_dir": tmp_path / "data", "expected_roles": ("worker",), **settings})
    database = bootstrap.stores(given).database
    with database.writing() as session:
        session.add_all([HeartbeatRow(name="h/worker-0", role="worker", at=NOW), *rows])
    inbox = open_messages(given.data_dir, "")
    found = overview(given, database, inbox, MovedClock(NOW))()
    inbox.dispose()
    return found


def feed(source: str, minutes_ago: float, *, messages: int = 100, typical_s: float | None = 120.0) -> FeedRow:
    """A sender of laboratory results."""
    last = NOW - timedelta(minutes=minutes_ago)
    return FeedRow(
        source=source, message_type="ORU", first_at=last - timedelta(days=9), last_at=last, messages=messages,
        typical_s=typical_s, longest_s=typical_s,
    )  # fmt: skip


def test_a_feed_is_silent_after_longer_than_is_normal_and_learning_before_it_is_known(tmp_path: Path) -> None:
    rows = (
        feed("HL7 LAB|HOSP", 47), feed("HL7 RIS|HOSP", 1), feed("HL7 NEW|HOSP", 500, messages=3, typical_s=None),
    )  # fmt: skip
    found = {one.name: one for one in looked(tmp_path, *rows).feeds}
    assert {name: one.mark for name, one in found.items()} == {
        "HL7 LAB|HOSP ORU": "silent",
        "HL7 RIS|HOSP ORU": "ok",
        "HL7 NEW|HOSP ORU": "learning",
    }
    assert found["HL7 LAB|HOSP ORU"].said == "normally every 2 min; 100 messages"
    assert found["HL7 LAB|HOSP ORU"].last == NOW - timedelta(minutes=47)


def test_a_sender_that_the_site_expects_and_never_heard_is_silent(tmp_path: Path) -> None:
    (found,) = looked(tmp_path, senders={"ADT|HOSP": {"expected_interval_s": 60}}).feeds
    assert (found.name, found.mark, found.last) == ("HL7 ADT|HOSP", "silent", None)
    assert found.said.endswith("0 messages, interval set by this site")


def test_a_fhir_server_that_is_looked_at_in_vain_fails(tmp_path: Path) -> None:
    source = {"epic": {"url": "http://127.0.0.1:9/fhir", "resources": ["ImagingStudy", "DiagnosticReport"]}}
    row = FhirFeedRow(
        server="epic", type="ImagingStudy", answered_at=NOW - timedelta(hours=1), failures=3,
        error="it does not answer",
    )  # fmt: skip
    found = {one.name: one for one in looked(tmp_path, row, fhir_sources=source).feeds}
    failing, unheard = found["FHIR epic ImagingStudy"], found["FHIR epic DiagnosticReport"]
    assert (failing.mark, failing.last) == ("failing", NOW - timedelta(hours=1))
    assert failing.said == "polled every 60 s; looked 3 times in vain: it does not answer"
    assert (unheard.mark, unheard.last) == ("learning", None)


def test_an_alarm_is_told_in_the_words_of_now_with_when_it_was_raised(tmp_path: Path) -> None:
    raised = AlarmRow(
        key="feed:HL7 LAB|HOSP", kind="feed-silent", text="HL7 LAB|HOSP: last message 10 min ago", raised_at=NOW
    )
    over = AlarmRow(key="role:hl7", kind="role-missing", text="the role hl7 is not heard", raised_at=NOW)
    seen = looked(tmp_path, feed("HL7 LAB|HOSP", 47), raised, over)
    (alarm,) = seen.standing.alarms
    assert alarm.text.startswith("HL7 LAB|HOSP: last message (ORU) 47 min ago")
    assert alarm.since == NOW


def test_an_alarm_that_no_worker_raised_yet_has_no_beginning(tmp_path: Path) -> None:
    seen = looked(tmp_path, expected_roles=("worker", "hl7"))
    assert [(one.text, one.since) for one in seen.standing.alarms] == [("the role hl7 is not heard", None)]
    assert seen.missing == ("hl7",)


def test_the_disk_is_looked_at_with_what_the_databases_take(tmp_path: Path) -> None:
    seen = looked(tmp_path, minimum_free_bytes=2**60)
    assert seen.disk.is_short
    assert dict(seen.disk.files)["app.sqlite"] == (tmp_path / "data" / "app.sqlite").stat().st_size
    assert disk(Settings(data_dir=tmp_path / "nowhere")).is_short


def test_gpus_and_devices_are_told_and_what_is_not_known_is_said(tmp_path: Path) -> None:
    made = site(tmp_path)
    assert made.services.operations is not None
    seen = made.services.operations.overview()
    gpus = (Gpu("0", "NVIDIA H200", 143_771, 1_024, 37, 41), Gpu("1", "NVIDIA H200 MIG", None, None, None, None))
    devices = (ModelDevice("heart", "1", "cuda:0", NOW), ModelDevice("liver", "2", "", NOW))
    told = replace(seen, gpus=gpus, standing=replace(seen.standing, devices=devices))
    page = browser_of(made, told).open("/operations")
    assert page.row("0: NVIDIA H200").split()[3:] == ["1024", "of", "143771", "MiB", "37", "%", "41", "°C"]
    assert page.row("1: NVIDIA H200 MIG").count("not said") == 3
    assert "cuda:0" in page.row("heart")
    assert "none: it refused" in page.row("liver")


def browser_of(made: Site, told: Overview) -> Browser:
    """An engineer's browser where the overview says this."""
    assert made.services.operations is not None
    operations = replace(made.services.operations, overview=lambda: told)
    app = create_ui(replace(made.services, operations=operations))
    return replace(made, app=app).browser("engineer")


def test_an_installation_that_heard_nothing_says_so(tmp_path: Path) -> None:
    with fresh(tmp_path / "data"):
        pass
    page = again(tmp_path).browser("engineer").open("/operations")
    assert "No feed was heard yet." in page.text
    assert "never" not in page.text

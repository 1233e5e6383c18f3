"""The watch as it is wired: the gauges, what a site states, and `cds feeds`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds import metrics
from cds.bootstrap.watch import alarm, banner, feeds, watch
from cds.commands.feeds import app
from cds.domain.hold import HoldKind
from cds.hook_peers import INSECURE
from cds.settings import Settings
from cds.store.deliveries import DeliveryStore
from cds.store.tables import FeedRow
from tests.contract.watch_contract import NOW, ago, feed, hold, put
from tests.databases import Databases, fresh
from tests.unit.clinical import StillClock

CHANNELS = {
    "alarm_mail_to": "site@example.org", "smtp_host": "localhost", "smtp_from": "sightline@example.org",
    "alarm_webhook_url": "https://chat.example.org/hook",
}  # fmt: skip


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """Two fresh files."""
    with fresh(tmp_path) as databases:
        yield databases


def site(databases: Databases, **settings: object) -> Settings:
    return Settings(data_dir=databases.data_dir, expected_roles=(), **settings)


def gauge(name: str, labels: str = "") -> float:
    found = re.search(rf"^{name}{re.escape(labels)} (\S+)$", metrics.render().decode(), re.MULTILINE)
    assert found, name + labels
    return float(found[1])


def test_the_gauges_say_how_things_stand_and_fall_back_to_zero(databases: Databases) -> None:
    look = watch(site(databases, **CHANNELS), databases.app)
    put(databases, feed(ago(hours=1)), hold(HoldKind.QUARANTINED, ago(hours=1)))
    look(NOW)
    look(NOW + timedelta(minutes=5))
    assert gauge("sightline_holds", '{kind="quarantined"}') == 1
    assert gauge("sightline_holds", '{kind="work-failed"}') == 0
    assert gauge("sightline_deliveries_waiting", '{destination="alarm:mail"}') == 2
    assert gauge("sightline_delivery_oldest_seconds", '{destination="alarm:mail"}') == 300
    assert gauge("sightline_feeds_silent") == 1
    assert gauge("sightline_alarms", '{kind="hold-waiting"}') == 1
    assert gauge("sightline_critical_waiting", '{state="alarmed"}') == 0
    put(databases, feed(NOW))
    deliveries = DeliveryStore(databases.app)
    for due in deliveries.pending():
        deliveries.sent(due.id, "taken", NOW)
    look(NOW + timedelta(minutes=6))
    assert gauge("sightline_feeds_silent") == 0
    assert gauge("sightline_deliveries_waiting", '{destination="alarm:webhook"}') == 0
    assert gauge("sightline_delivery_oldest_seconds", '{destination="alarm:mail"}') == 0


def test_mail_and_webhook_say_what_began_and_what_is_over(databases: Databases) -> None:
    look = watch(site(databases, **CHANNELS), databases.app)
    put(databases, feed(ago(minutes=47)))
    look(NOW)
    put(databases, feed(NOW))
    look(NOW + timedelta(seconds=10))
    deliveries = DeliveryStore(databases.app)
    sent = [deliveries.delivery(due.id) for due in deliveries.pending()]
    began, over = (message_from_bytes(d.payload, policy=SMTP) for d in sent if d.destination == "alarm:mail")
    silent = "HL7 LAB|HOSP: last message (ORU) 47 min ago, normally every 2 min"
    assert began["Subject"] == f"[Sightline] Alarm: {silent}"
    assert began["To"] == "site@example.org"
    assert began["Message-ID"] == f"<{sent[0].id}@example.org>"
    assert began["Importance"] is None
    assert over["Subject"] == f"[Sightline] Alarm is over: {silent}"
    first, second = (json.loads(d.payload) for d in sent if d.destination == "alarm:webhook")
    assert (first["kind"], first["alarm"], first["key"]) == ("alarm", "feed-silent", "feed:HL7 LAB|HOSP")
    assert (second["kind"], second["title"]) == ("alarm-over", f"Alarm is over: {silent}")


def test_a_site_without_channels_is_told_by_the_banner_alone(databases: Databases) -> None:
    put(databases, feed(ago(hours=1)))
    watch(site(databases), databases.app)(NOW)
    alarm(site(databases), databases.app, StillClock(NOW))("retracted:w1", "A result was taken back.")
    assert DeliveryStore(databases.app).pending() == []
    assert len(banner(site(databases), databases.app, StillClock(NOW))()) == 1


def test_what_happened_goes_to_every_channel_once(databases: Databases) -> None:
    tell = alarm(site(databases, **CHANNELS), databases.app, StillClock(NOW))
    for _ in range(2):
        tell("retracted:w1", "A result was taken back.")
    deliveries = DeliveryStore(databases.app)
    mail, webhook = (deliveries.delivery(due.id) for due in deliveries.pending())
    subject = message_from_bytes(mail.payload, policy=SMTP)["Subject"]
    assert subject == "[Sightline] Notice: A result was taken back."
    assert json.loads(webhook.payload)["kind"] == "notice"


def test_a_sites_own_interval_is_that_of_the_sender(databases: Databases) -> None:
    put(databases, FeedRow(source="HL7 LAB|HOSP", message_type="ORU", first_at=ago(days=1), last_at=ago(minutes=30)))
    stated = site(databases, senders={"LAB|HOSP": {"expected_interval_s": 600}})
    (one,) = feeds(stated, databases.app)
    assert (one.stated, one.normal_s) == (True, 600)
    (line,) = banner(stated, databases.app, StillClock(NOW))()
    assert line == "HL7 LAB|HOSP: last message 30 min ago, normally every 10 min"
    assert banner(site(databases), databases.app, StillClock(NOW))() == ()


def test_development_mode_is_told_first_whatever_else_there_is(databases: Databases) -> None:
    open_to_all = site(databases, insecure=True)
    assert banner(open_to_all, databases.app, StillClock(NOW))() == (INSECURE,)
    put(databases, feed(ago(hours=1)))
    assert banner(open_to_all, databases.app, StillClock(NOW))()[0] == INSECURE


def test_the_banner_leaves_it_to_readiness_to_say_that_the_database_is_away(databases: Databases) -> None:
    lines = banner(site(databases, senders={"A|B": {"expected_interval_s": 1}}), databases.app, StillClock(NOW))
    assert len(lines()) == 1
    databases.app.dispose()
    for file in databases.data_dir.glob("app.sqlite*"):
        file.unlink()
    databases.data_dir.joinpath("app.sqlite").mkdir()
    assert lines() == ()


def test_the_command_tells_who_is_silent_and_what_is_normal(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    silent, known = feed(now - timedelta(minutes=47)), feed(now)
    known.source = "HL7 ADT|HOSP"
    young = FeedRow(source="HL7 NEW|HOSP", message_type="ADT", first_at=now, last_at=now, messages=7)
    put(databases, silent, known, young)
    monkeypatch.setenv("CDS_DATA_DIR", str(databases.data_dir))
    monkeypatch.setenv("CDS_SENDERS", '{"RIS|HOSP": {"expected_interval_s": 600}}')
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0, result.output
    adt, lab, new, ris = result.output.splitlines()
    assert adt.startswith("ok      HL7 ADT|HOSP ORU: last ")
    assert lab.startswith("SILENT  HL7 LAB|HOSP ORU: last ")
    assert lab.endswith(", 47 min ago; normally every 2 min (learned from 900 messages)")
    assert new.endswith("what is normal is not known before 20 messages (heard: 7)")
    assert ris == "SILENT  HL7 RIS|HOSP: never heard; normally every 10 min (set by this site)"


def test_before_the_first_message_the_command_says_so(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA_DIR", str(databases.data_dir))
    assert CliRunner().invoke(app, []).output == "No message was heard yet.\n"

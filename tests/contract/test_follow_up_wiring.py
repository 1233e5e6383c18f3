"""The timers and ways of follow-ups as a worker has them: what they count, whom they alarm, and how they send."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from adapters.fhir.reminder import ReminderChannel
from adapters.hl7.reminder import ReminderOru
from adapters.notify.mail import MailChannel
from adapters.notify.webhook import WebhookChannel
from cds import metrics
from cds.bootstrap.follow_up_care import reminder_channels, timers
from cds.domain.follow_up import FollowUpState
from cds.errors import InvalidResource
from cds.following_up import count, remind
from cds.settings import Settings
from cds.store.safety_tables import AlarmRow
from tests.contract.follow_up_site import CT_CHEST, DUE, CareSite
from tests.databases import Databases, fresh

WAYS = {
    "oru": {"recipient": "RIS", "channel": "hl7", "hl7": {"host": "127.0.0.1", "port": 9}},
    "ehr": {"recipient": "EHR", "channel": "fhir", "fhir": {"url": "http://127.0.0.1:9"}},
    "mail": {"recipient": "Desk", "channel": "mail", "mail_to": "desk@site.example"},
    "hook": {"recipient": "Chat", "channel": "webhook", "webhook_url": "http://127.0.0.1:9/x"},
}


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """Two fresh files."""
    with fresh(tmp_path / "site") as found:
        yield found


def alarms(site: CareSite) -> list[str]:
    """What the people who run the site were told."""
    with site.databases.app.reading() as session:
        return [row.text for row in session.exec(select(AlarmRow)).all()]


def test_each_way_is_a_channel_of_its_own_destination() -> None:
    settings = Settings(smtp_host="127.0.0.1", follow_ups={"routes": WAYS})
    channels = reminder_channels(settings)
    kinds = {name: type(channel) for name, channel in channels.items()}
    assert kinds == {
        "follow-up:oru": ReminderOru,
        "follow-up:ehr": ReminderChannel,
        "follow-up:mail": MailChannel,
        "follow-up:hook": WebhookChannel,
    }
    assert {name: channel.name for name, channel in channels.items()} == {name: name for name in channels}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_each_way_says_a_reminder_in_its_own_form(databases: Databases, way: str) -> None:
    site = CareSite(databases, routes=WAYS, remind=way, escalate_to="")
    site.clock.on(DUE)
    assert remind(site.line, site.clock.now(), site.clock.today()) == 2
    body = site.payload(site.one().id)
    assert {"oru": "MSH|", "ehr": '{"resourceType":"Bundle"', "mail": "From: ", "hook": '{"id"'}[way] in body
    assert ("P1" in body) is (way in ("oru", "ehr"))


def test_the_timers_of_a_worker_close_what_is_done_and_remind_of_what_is_not(databases: Databases) -> None:
    site = CareSite(databases)
    matching, reminding = timers(site.settings, site.held, site.clock)
    site.order("A2", CT_CHEST)
    site.sign("A2")
    site.clock.on(DUE)
    matching.run(site.clock.now())
    reminding.run(site.clock.now())
    assert site.one().state is FollowUpState.COMPLETED
    assert site.waiting(site.one().id) == []
    assert site.waiting(site.one("visit").id) == [("follow-up:head", "pending")]


def test_a_reminder_that_cannot_be_written_is_told_once_and_holds_up_no_other(databases: Databases) -> None:
    site = CareSite(databases)
    said = dict(site.line.tell)

    def unwritable(notice: object, delivery_id: str) -> bytes:
        if delivery_id == next(iter(broken)):
            raise InvalidResource("want an identifier of the patient")
        return said["desk"](notice, delivery_id)

    site.clock.on(DUE)
    dues = site.line.reminders.to_give(site.clock.today())
    broken = {next(due.delivery_id for due in dues if due.follow_up.recommendation == "scan")}
    site.line.tell["desk"] = unwritable
    assert [remind(site.line, site.clock.now(), site.clock.today()) for _ in range(2)] == [1, 0]
    [told] = alarms(site)
    assert told.endswith("cannot be written for route desk: want an identifier of the patient")


def test_the_figures_are_metrics_and_what_has_no_owner_is_told_once(databases: Databases) -> None:
    site = CareSite(databases, owners={})
    site.clock.on(DUE + timedelta(days=1))
    for _ in range(2):
        count(site.line, site.clock.today())
    told = metrics.render().decode()
    for state, number in (("open", 2), ("overdue", 2), ("no-owner", 2), ("fell-due", 2), ("closed-on-time", 0)):
        assert f'sightline_follow_ups{{state="{state}"}} {number}.0' in told
    assert alarms(site) == ["follow-ups of p have no owner: set owners in CDS_FOLLOW_UPS, or assign them"]

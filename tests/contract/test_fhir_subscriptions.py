"""Subscriptions at a FHIR server that really notifies us: nothing is lost and nothing is taken twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from cds.domain.subscription import NoticeKind, SubscriptionState
from cds.listening.subscribing import NO_SUBSCRIPTIONS
from cds.settings import Settings
from cds.store.fhir_subscriptions import SubscriptionStore, digest
from cds.store.fhir_tables import SubscriptionRow
from tests.contract.fhir_wire import Asked, Reply, outcome
from tests.contract.news_peer import BACKPORT, Ehr, ehr, instant
from tests.contract.news_site import SYSTEMS, TOPICS, Door, MovingClock, Site, door, study
from tests.databases import fresh

ACTIVE, SILENT, ERROR, REQUESTED = (
    SubscriptionState.ACTIVE,
    SubscriptionState.SILENT,
    SubscriptionState.ERROR,
    SubscriptionState.REQUESTED,
)


@pytest.fixture
def peer() -> Iterator[Ehr]:
    with ehr() as server:
        yield server


@contextmanager
def listening_by(peer: Ehr, folder: Path, **members: object) -> Iterator[tuple[Site, Door]]:
    """A site with its door, which has not looked yet."""
    source = {"url": peer.url, "resources": ["ImagingStudy"], "topics": TOPICS, "timeout_s": 2, **members}
    settings = Settings(
        data_dir=folder, fhir_sources={"ehr": source}, identifier_systems=SYSTEMS, accession_issuer="RIS"
    )
    clock = MovingClock()
    with ExitStack() as stack:
        databases = stack.enter_context(fresh(folder))
        opened = stack.enter_context(door(settings, databases, clock))
        site = stack.enter_context(Site(databases, peer, clock, settings))
        site.reconfigured(notify_url=opened.url)
        yield site, opened


@pytest.fixture
def site(peer: Ehr, tmp_path: Path) -> Iterator[Site]:
    """One with an active topic subscription that names ids."""
    with listening_by(peer, tmp_path, events="topic") as (one, _):
        one.look(times=2)
        assert one.subscription.state is ACTIVE
        yield one


@pytest.fixture
def native(peer: Ehr, tmp_path: Path) -> Iterator[Site]:
    """One with an active Subscription of R4's own."""
    with listening_by(peer, tmp_path, events="subscription") as (one, _):
        one.look(times=2)
        yield one


def secret_of(peer: Ehr) -> str:
    """What the server shows us."""
    [header] = peer.subscription["channel"]["header"]
    return str(header.removeprefix("Authorization: Bearer "))


def polls(peer: Ehr) -> int:
    return peer.asked("POST", "ImagingStudy/_search")


# --- making


def test_a_topic_subscription_is_made_as_the_backport_says(site: Site, peer: Ehr) -> None:
    one = peer.subscription
    assert one["meta"]["profile"] == [f"{BACKPORT}backport-subscription"]
    assert one["criteria"] == TOPICS["ImagingStudy"]
    [wanted] = one["_criteria"]["extension"]
    assert wanted["url"] == f"{BACKPORT}backport-filter-criteria"
    assert wanted["valueString"].startswith("ImagingStudy?status=available")
    channel = one["channel"]
    assert channel["type"] == "rest-hook"
    assert {e["url"].removeprefix(f"{BACKPORT}backport-"): list(e.values())[1] for e in channel["extension"]} == {
        "heartbeat-period": 60,
        "timeout": 60,
        "max-count": 20,
    }
    assert channel["_payload"]["extension"][0]["valueCode"] == "id-only"
    assert channel["endpoint"].endswith(f"/subscriptions/{site.subscription.id}")
    assert one["end"] == instant(site.clock.at + timedelta(hours=168)).replace(".000Z", "Z")
    assert [sent.kind for sent in peer.sent] == ["handshake"]


def test_of_the_secret_the_digest_alone_is_kept(site: Site, peer: Ehr) -> None:
    secret = secret_of(peer)
    assert len(secret) >= 43, "256 bits"
    with site.databases.app.reading() as session:
        row = session.get_one(SubscriptionRow, site.subscription.id)
        assert row.secret_sha256 == digest(secret)
        assert secret not in repr(row)


def test_no_secret_is_logged_whatever_fails(peer: Ehr, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with listening_by(peer, tmp_path, events="topic") as (site, opened):
        site.look(times=2)
        secret = secret_of(peer)
        opened.post(f"/subscriptions/{site.subscription.id}", b"{", secret)
        peer.fault = lambda asked: Reply(422, asked.body or outcome("invalid"))
        site.look(after=1000, times=3)
        assert site.subscription.error
        assert secret not in site.subscription.error
    logged = capfd.readouterr()
    assert "does not work" in logged.err
    assert secret not in logged.err + logged.out


def test_a_native_subscription_has_a_query_and_becomes_active_without_a_handshake(native: Site, peer: Ehr) -> None:
    assert peer.subscription["criteria"].startswith("ImagingStudy?status=available")
    assert "payload" not in peer.subscription["channel"]
    assert peer.sent == []
    assert native.subscription.state is ACTIVE


def test_there_is_one_for_each_type_and_a_restart_makes_no_other(peer: Ehr, tmp_path: Path) -> None:
    both = ["ImagingStudy", "DiagnosticReport"]
    with listening_by(peer, tmp_path, events="topic", resources=both) as (site, _):
        site.look(times=2)
        before = sorted(peer.subscriptions)
        site.start_again()
        site.look(after=1000)
    assert len(before) == 2
    assert sorted(peer.subscriptions) == before


def test_one_whose_making_was_cut_off_is_found_by_its_address_and_removed(peer: Ehr, tmp_path: Path) -> None:
    """The server made it, its answer never came: there must not be two."""
    with listening_by(peer, tmp_path, events="subscription") as (site, _):

        def cut(asked: Asked) -> Reply | None:
            if (asked.method, asked.path) != ("POST", "/fhir/Subscription"):
                return None
            peer.fault = lambda other: None
            peer(asked)
            return Reply(gone=True)

        peer.fault = cut
        site.look()
        assert len(peer.subscriptions) == 1
        orphan = next(iter(peer.subscriptions))
        assert site.subscription.remote_id == ""
        site.start_again()
        site.look(after=30)
        assert list(peer.subscriptions) == [site.subscription.remote_id]
        assert site.subscription.remote_id != orphan
        assert site.subscription.state is ACTIVE


def test_a_handshake_before_the_answer_of_the_making_was_lost_is_enough(peer: Ehr, tmp_path: Path) -> None:
    with listening_by(peer, tmp_path, events="topic") as (site, _):

        def cut(asked: Asked) -> Reply | None:
            if (asked.method, asked.path) != ("POST", "/fhir/Subscription"):
                return None
            peer.fault = lambda other: None
            peer(asked)
            return Reply(gone=True)

        peer.fault = cut
        site.look()
        site.look(after=30)
        assert list(peer.subscriptions) == [site.subscription.remote_id]
        assert site.subscription.state is ACTIVE
        site.look(after=60)
        assert site.subscription.ends_at is not None


def test_a_server_without_subscriptions_is_polled_and_that_is_said(peer: Ehr, tmp_path: Path) -> None:
    peer.can_subscribe = False
    with listening_by(peer, tmp_path, events="topic") as (site, _):
        site.look()
        peer.put(study())
        site.look(after=60)
        assert site.uids == ["1.2.840.1"]
        assert site.subscription.error == NO_SUBSCRIPTIONS
        assert peer.asked("POST", "Subscription") == 0
        peer.can_subscribe = True
        site.look(after=3700)
        assert site.subscription.error == NO_SUBSCRIPTIONS, "what it can is believed for an hour"
        site.start_again()
        site.look(after=3700)
        assert site.subscription.state is ACTIVE


def test_a_subscription_that_is_not_wanted_any_more_is_removed_at_the_server(site: Site, peer: Ehr) -> None:
    site.reconfigured(events="poll")
    site.look(after=1)
    assert peer.subscriptions == {}
    peer.put(study())
    site.look(after=60)
    assert site.uids == ["1.2.840.1"]


# --- events


def test_an_event_is_kept_before_it_is_answered_and_taken_once(site: Site, peer: Ehr) -> None:
    peer.put(study())
    assert [sent.status for sent in peer.sent] == [200, 200]
    [notice] = site.waiting
    assert (notice.kind, notice.reference) == (NoticeKind.RESOURCE, "ImagingStudy/is1")
    site.look(after=1, times=3)
    assert site.uids == ["1.2.840.1"]
    assert site.waiting == []


def test_an_event_that_is_told_three_times_is_one(site: Site, peer: Ehr) -> None:
    peer.put(study())
    one = peer.subscription["id"]
    peer.notify(one, [1])
    peer.notify(one, [1])
    assert len(site.waiting) == 1
    site.look(after=1)
    peer.notify(one, [1])
    assert site.waiting == []
    assert len(site.announced) == 1


def test_the_same_version_told_by_event_and_found_by_polling_is_one(site: Site, peer: Ehr) -> None:
    peer.put(study())
    site.reconfigured(poll_interval_s=1.0)
    site.look(after=3600, times=2)
    assert len(site.announced) == 1
    assert site.seen == ["ImagingStudy/is1/1"]


def test_a_gap_in_the_numbers_is_filled_by_asking_for_the_events(site: Site, peer: Ehr) -> None:
    peer.put(study(1))
    peer.put(study(2), tell=False)
    peer.put(study(3), tell=False)
    peer.put(study(4))
    before = polls(peer)
    site.look(after=1, times=2)
    assert site.uids == [f"1.2.840.{number}" for number in (1, 2, 3, 4)]
    events = [one for one in peer.wire.asked if one.path.endswith("$events")] if peer.wire else []
    assert [one.query for one in events] == [[("eventsSinceNumber", "2"), ("eventsUntilNumber", "3")]]
    assert polls(peer) == before


def test_a_heartbeat_tells_of_events_that_never_came(site: Site, peer: Ehr) -> None:
    peer.put(study(1), tell=False)
    peer.put(study(2), tell=False)
    peer.heartbeat()
    site.look(after=1, times=2)
    assert site.uids == ["1.2.840.1", "1.2.840.2"]


def test_where_the_server_cannot_tell_the_events_again_everything_new_is_looked_for(site: Site, peer: Ehr) -> None:
    peer.operations = False
    peer.put(study(1), tell=False)
    peer.put(study(2))
    site.look(after=1, times=2)
    assert site.uids == ["1.2.840.1", "1.2.840.2"]
    assert site.waiting == []


def test_a_server_that_fails_at_its_own_events_is_looked_through(site: Site, peer: Ehr) -> None:
    peer.fault = lambda asked: Reply(500, outcome("exception")) if asked.path.endswith("$events") else None
    peer.put(study(1), tell=False)
    peer.put(study(2))
    site.look(after=1, times=2)
    assert site.uids == ["1.2.840.1", "1.2.840.2"]


def test_events_that_come_out_of_order_are_all_taken(site: Site, peer: Ehr) -> None:
    for number in (1, 2, 3):
        peer.put(study(number), tell=False)
    one = peer.subscription["id"]
    for number in (3, 1, 2):
        peer.notify(one, [number])
    site.look(after=1, times=2)
    assert site.uids == [f"1.2.840.{number}" for number in (1, 2, 3)]


def test_several_events_in_one_notification_are_all_taken(site: Site, peer: Ehr) -> None:
    for number in (1, 2, 3):
        peer.put(study(number), tell=False)
    peer.notify(peer.subscription["id"], [1, 2, 3])
    assert len(site.waiting) == 3
    site.look(after=1)
    assert len(site.uids) == 3


def test_a_full_payload_is_taken_without_reading_it_again(peer: Ehr, tmp_path: Path) -> None:
    with listening_by(peer, tmp_path, events="topic", payload="full-resource") as (site, _):
        site.look(times=2)
        peer.put(study())
        site.look(after=1)
        assert site.uids == ["1.2.840.1"]
    assert peer.asked("GET", "ImagingStudy/is1") == 0


def test_an_empty_payload_is_a_reason_to_look(peer: Ehr, tmp_path: Path) -> None:
    with listening_by(peer, tmp_path, events="topic", payload="empty") as (site, _):
        site.look(times=2)
        peer.put(study())
        site.look(after=1)
        assert site.uids == ["1.2.840.1"]


def test_a_native_ping_is_a_reason_to_look(native: Site, peer: Ehr) -> None:
    peer.put(study(1))
    peer.put(study(2))
    before = polls(peer)
    native.look(after=1)
    assert native.uids == ["1.2.840.1", "1.2.840.2"]
    assert polls(peer) == before + 1, "one look answers all pings before it"


def test_a_native_resource_is_taken_as_it_comes(peer: Ehr, tmp_path: Path) -> None:
    with listening_by(peer, tmp_path, events="subscription", payload="full-resource") as (site, _):
        site.look(times=2)
        peer.put(study())
        assert [sent.kind for sent in peer.sent] == ["resource"]
        before = polls(peer)
        site.look(after=1)
        assert site.uids == ["1.2.840.1"]
        assert polls(peer) == before


def test_an_older_version_that_comes_late_changes_nothing(peer: Ehr, tmp_path: Path) -> None:
    with listening_by(peer, tmp_path, events="subscription", payload="full-resource") as (site, opened):
        site.look(times=2)
        old = peer.put(study(), tell=False)
        peer.put(study(series=[{**study()["series"][0], "numberOfInstances": 120}]))
        site.look(after=1)
        late = opened.post(f"/subscriptions/{site.subscription.id}", old, secret_of(peer))
        assert late.status_code == 200
        site.look(after=1)
        assert [event.series[0][1] for event in site.announced] == [120]
        assert site.waiting == []


def test_what_is_gone_when_it_is_read_is_done(site: Site, peer: Ehr) -> None:
    peer.put(study())
    peer.deleted.add(("ImagingStudy", "is1"))
    site.look(after=1)
    assert site.waiting == []
    assert site.announced == []


def test_a_lost_notification_of_a_native_subscription_is_found_by_a_look_now_and_then(native: Site, peer: Ehr) -> None:
    peer.put(study(), tell=False)
    native.look(after=300)
    assert native.announced == []
    native.look(after=400)
    assert native.uids == ["1.2.840.1"]


def test_while_notifications_come_the_server_is_polled_ten_times_less(site: Site, peer: Ehr) -> None:
    before = polls(peer)
    for _ in range(20):
        peer.heartbeat()
        site.look(after=60)
    assert polls(peer) - before == 2


# --- silence, errors, outages


def test_heartbeats_that_stay_away_make_it_silent_and_the_server_is_polled(site: Site, peer: Ehr) -> None:
    peer.delivers = False
    site.look(after=140)
    assert site.subscription.state is ACTIVE
    site.look(after=20)
    assert site.subscription.state is SILENT
    peer.put(study(1))
    site.look(after=60)
    assert site.uids == ["1.2.840.1"]
    before = polls(peer)
    site.look(after=60, times=3)
    assert polls(peer) == before + 3
    peer.delivers = True
    peer.put(study(2))
    site.look(after=1)
    assert site.subscription.state is ACTIVE
    assert site.uids == ["1.2.840.1", "1.2.840.2"]


def test_the_status_tells_what_was_missed_in_silence(site: Site, peer: Ehr) -> None:
    peer.delivers = False
    peer.put(study(), tell=False)
    peer.fault = lambda asked: Reply(503) if asked.path.endswith("_search") else None  # it cannot be polled
    site.look(after=200, times=2)
    assert site.subscription.state is SILENT
    assert site.uids == ["1.2.840.1"]


def test_one_that_stays_silent_is_made_anew(site: Site, peer: Ehr) -> None:
    first = site.subscription
    peer.delivers = False
    site.look(after=200)
    peer.delivers = True
    site.look(after=3700)
    site.look(after=30)
    site.look(after=1)
    assert site.subscription.state is ACTIVE
    assert site.subscription.id != first.id
    assert list(peer.subscriptions) == [site.subscription.remote_id]


def test_one_that_the_server_lost_is_made_anew_and_what_came_meanwhile_is_taken(site: Site, peer: Ehr) -> None:
    peer.subscriptions.clear()
    peer.put(study())
    site.look(after=1000)
    site.look(after=30, times=2)
    assert site.subscription.state is ACTIVE
    assert len(peer.subscriptions) == 1
    assert site.uids == ["1.2.840.1"]


@pytest.mark.parametrize("status", ["error", "off"])
def test_one_that_the_server_gave_up_is_made_anew(native: Site, peer: Ehr, status: str) -> None:
    gone = peer.subscription["id"]
    peer.subscriptions[gone]["status"] = status
    native.look(after=1000)
    assert native.subscription.state in (ERROR, SubscriptionState.OFF)
    native.look(after=30, times=2)
    assert native.subscription.state is ACTIVE
    assert gone not in peer.subscriptions


def test_a_notification_that_says_error_is_acted_on_at_once(site: Site, peer: Ehr) -> None:
    one = peer.subscription
    one["status"] = "error"
    peer.heartbeat()
    assert site.subscription.state is ERROR
    site.look(after=1)
    assert site.subscription.state is ACTIVE


def test_making_that_fails_is_tried_less_and_less_often_and_polled_meanwhile(peer: Ehr, tmp_path: Path) -> None:
    peer.fault = lambda asked: Reply(422, outcome("business-rule")) if asked.path == "/fhir/Subscription" else None
    with listening_by(peer, tmp_path, events="topic") as (site, _):
        site.look(times=1)
        for _ in range(60):
            site.look(after=60)
        assert 5 <= peer.asked("POST", "Subscription") <= 15
        assert site.subscription.error == "the FHIR server ehr refuses it: 422 (business-rule)"
        peer.put(study())
        site.look(after=60)
        assert site.uids == ["1.2.840.1"]


def test_one_that_never_shakes_hands_is_made_anew(peer: Ehr, tmp_path: Path) -> None:
    peer.handshakes = False
    with listening_by(peer, tmp_path, events="topic") as (site, _):
        site.look()
        assert site.subscription.state is REQUESTED
        first = site.subscription.remote_id
        peer.handshakes = True
        site.look(after=601)
        site.look(after=60, times=2)
        assert site.subscription.state is ACTIVE
        assert first not in peer.subscriptions


def test_a_server_that_is_down_for_an_hour_loses_nothing(site: Site, peer: Ehr) -> None:
    peer.put(study(1))
    peer.delivers = False
    peer.fault = lambda asked: Reply(gone=True)
    for number in range(60):
        peer.put(study(10 + number), tell=False)
        site.look(after=60)
    peer.fault, peer.delivers = (lambda asked: None), True
    peer.heartbeat()
    for _ in range(3):
        site.look(after=300)
    assert len(site.uids) == 61
    assert site.holds == []


def test_notifications_that_nobody_hears_for_an_hour_are_not_lost(site: Site, peer: Ehr) -> None:
    peer.delivers = False
    for number in range(10):
        peer.put(study(number))
    site.look(after=3600)
    peer.delivers = True
    site.look(after=60, times=2)
    assert len(site.uids) == 10


# --- renewal


def test_it_is_renewed_at_half_of_its_life_with_a_new_secret(site: Site, peer: Ehr) -> None:
    old, ends = secret_of(peer), site.subscription.ends_at
    site.look(after=84 * 3600 - 120)
    assert secret_of(peer) == old
    site.look(after=240)
    assert secret_of(peer) != old
    assert ends is not None
    assert site.subscription.ends_at is not None
    assert site.subscription.ends_at > ends + timedelta(hours=80)
    assert list(peer.subscriptions) == [site.subscription.remote_id]


def test_the_old_secret_is_accepted_until_the_new_one_is_shown(peer: Ehr, tmp_path: Path) -> None:
    with listening_by(peer, tmp_path, events="subscription") as (site, opened):
        site.look(times=2)
        old, path = secret_of(peer), f"/subscriptions/{site.subscription.id}"
        site.look(after=84 * 3600 + 60)
        new = secret_of(peer)
        assert new != old
        assert opened.post(path, None, old).status_code == 200, "a notification that was under way"
        assert opened.post(path, None, new).status_code == 200
        assert opened.post(path, None, old).status_code == 401


@pytest.mark.parametrize("arrived", [True, False])
def test_a_renewal_of_which_no_answer_came_keeps_the_door_open(peer: Ehr, tmp_path: Path, arrived: bool) -> None:
    """Whether the server has the old secret or the new one: it is heard, and in the end it has one that we know."""
    with listening_by(peer, tmp_path, events="topic") as (site, _):
        site.look(times=2)

        def cut(asked: Asked) -> Reply | None:
            if asked.method != "PUT":
                return None
            if arrived:
                peer.fault = lambda other: Reply(gone=True) if other.method == "PUT" else None
                peer(asked)
            return Reply(gone=True)

        peer.fault = cut
        site.look(after=84 * 3600 + 60)
        peer.fault = lambda asked: None
        peer.heartbeat()
        assert peer.sent[-1].status == 200
        site.start_again()
        site.look(after=60, times=3)
        peer.put(study())
        assert peer.sent[-1].status == 200
        site.look(after=1)
        assert site.uids == ["1.2.840.1"]
        assert not site.subscription.renewing
        assert site.subscription.ends_at is not None
        assert site.subscription.ends_at > site.clock.at + timedelta(hours=160)


def test_a_server_that_takes_no_updates_gets_another_one(site: Site, peer: Ehr) -> None:
    peer.fault = lambda asked: Reply(405, outcome("not-supported")) if asked.method == "PUT" else None
    first = site.subscription.remote_id
    site.look(after=84 * 3600 + 60)
    site.look(after=1)
    assert site.subscription.state is ACTIVE
    assert first not in peer.subscriptions
    assert len(peer.subscriptions) == 1


def test_a_change_of_the_settings_reaches_the_server(site: Site, peer: Ehr) -> None:
    site.reconfigured(payload="full-resource", heartbeat_s=30)
    site.look(after=1000)
    channel = peer.subscription["channel"]
    assert channel["_payload"]["extension"][0]["valueCode"] == "full-resource"
    assert channel["extension"][0]["valueUnsignedInt"] == 30


# --- the door


@pytest.fixture
def opened(peer: Ehr, tmp_path: Path) -> Iterator[tuple[Site, Door]]:
    with listening_by(peer, tmp_path, events="topic") as (site, at):
        site.look(times=2)
        yield site, at


def test_a_wrong_secret_is_refused_without_a_word(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, at = opened
    path = f"/subscriptions/{site.subscription.id}"
    bundle = peer.bundle(peer.subscription, "heartbeat", [])
    answers = [
        at.post(path, bundle, "not the secret"),
        at.post(path, bundle, ""),
        at.post("/subscriptions/unknown", bundle, secret_of(peer)),
        at.post("/subscriptions/%00", bundle, secret_of(peer)),
        at.post(path, b"{", "not the secret"),
    ]
    assert [one.status_code for one in answers] == [401] * 5
    assert len({one.text for one in answers}) == 1
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"


def test_the_secret_of_one_subscription_opens_no_other_door(opened: tuple[Site, Door], peer: Ehr) -> None:
    _, at = opened
    assert at.post("/subscriptions/", None, secret_of(peer)).status_code == 404
    assert at.post("/fhir/DiagnosticReport", {}, secret_of(peer)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"{}",
        b'"a string"',
        json.dumps({"resourceType": "Bundle", "type": "history", "entry": []}).encode(),
        json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": []}).encode(),
        json.dumps({"resourceType": "ImagingStudy", "id": "../../etc"}).encode(),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_and_nothing_is_kept(
    opened: tuple[Site, Door], peer: Ehr, body: bytes
) -> None:
    site, at = opened
    before = site.waiting
    answer = at.post(f"/subscriptions/{site.subscription.id}", body, secret_of(peer))
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert site.waiting == before


def test_half_a_notification_that_is_wrong_keeps_nothing_of_it(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, at = opened
    for number in (1, 2):
        peer.put(study(number), tell=False)
    bundle = peer.bundle(peer.subscription, "event-notification", [1, 2])
    parameters = bundle["entry"][0]["resource"]["parameter"]
    parameters[-1]["part"][0]["valueString"] = "not a number"
    assert at.post(f"/subscriptions/{site.subscription.id}", bundle, secret_of(peer)).status_code == 400
    assert site.waiting == []
    assert site.subscription.last_event == 0


def test_other_formats_and_too_much_are_refused(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, at = opened
    path, secret = f"/subscriptions/{site.subscription.id}", secret_of(peer)
    assert at.post(path, b"<Bundle/>", secret, **{"Content-Type": "application/fhir+xml"}).status_code == 415
    assert at.post(path, b" " * (5 * 1024 * 1024), secret).status_code == 413


def test_a_reference_to_another_server_is_never_followed(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, at = opened
    peer.put(study(), tell=False)
    with ehr() as elsewhere:
        bundle = peer.bundle(peer.subscription, "event-notification", [1], url=elsewhere.url)
        assert at.post(f"/subscriptions/{site.subscription.id}", bundle, secret_of(peer)).status_code == 200
        site.look(after=1)
        assert elsewhere.wire is not None
        assert elsewhere.wire.asked == []
    assert site.uids == ["1.2.840.1"], "what is new is looked for at the server itself"


def test_the_numbers_of_another_subscription_mean_nothing(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, at = opened
    peer.put(study(), tell=False)
    stranger = {**peer.subscription, "id": "another"}
    peer.events["another"] = ["ImagingStudy/is1"] * 40
    bundle = peer.bundle(stranger, "heartbeat", [])
    assert at.post(f"/subscriptions/{site.subscription.id}", bundle, secret_of(peer)).status_code == 200
    assert site.subscription.last_event == 0
    assert [notice.kind for notice in site.waiting] == [NoticeKind.LOOK]


def test_a_number_beyond_all_reason_makes_one_look(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, at = opened
    bundle = peer.bundle(peer.subscription, "heartbeat", [])
    bundle["entry"][0]["resource"]["parameter"][3]["valueString"] = "2000000000"
    assert at.post(f"/subscriptions/{site.subscription.id}", bundle, secret_of(peer)).status_code == 200
    assert [notice.kind for notice in site.waiting] == [NoticeKind.LOOK]


def test_a_server_that_is_not_configured_any_more_is_not_heard(opened: tuple[Site, Door], peer: Ehr) -> None:
    site, _ = opened
    settings = site.settings.model_copy(update={"fhir_sources": {}})
    with door(settings, site.databases, site.clock) as other:
        answer = other.post(f"/subscriptions/{site.subscription.id}", None, secret_of(peer))
    assert answer.status_code == 401


def test_a_database_that_is_away_is_no_success(opened: tuple[Site, Door], peer: Ehr) -> None:
    """What could not be kept is sent again by the server."""
    site, at = opened
    store = SubscriptionStore(site.databases.app)
    assert store.of("ehr")
    path = f"/subscriptions/{site.subscription.id}"
    (site.settings.data_dir / "app.sqlite").rename(site.settings.data_dir / "elsewhere.sqlite")
    site.databases.app.dispose()
    answer = at.post(path, peer.bundle(peer.subscription, "heartbeat", []), secret_of(peer))
    assert answer.status_code >= 500

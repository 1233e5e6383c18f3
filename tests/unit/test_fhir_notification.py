"""What FHIR servers notify, as R4, R4B and R5 write it, and what each notification changes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir.notification import found_in, local_reference, read_notification
from cds.domain.notification import Notification, NotificationType, Told, answered, judge
from cds.domain.subscription import Notice, NoticeKind, Subscription, SubscriptionState
from cds.errors import InvalidResource
from tests.unit.clinical import reference

Json = dict[str, Any]

BASE = "https://ehr.example.org/fhir"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACTIVE, SILENT, ERROR = SubscriptionState.ACTIVE, SubscriptionState.SILENT, SubscriptionState.ERROR
RESOURCE, EVENTS, LOOK = NoticeKind.RESOURCE, NoticeKind.EVENTS, NoticeKind.LOOK


def sample(name: str) -> bytes:
    """A sample notification of the backport."""
    folder = os.environ.get("CDS_REFERENCE_DIR")
    if folder is None:
        pytest.skip("CDS_REFERENCE_DIR is not set: the samples are not in this repository")
    return (reference(Path(folder)) / "subscriptions" / name).read_bytes()


def test_the_samples_of_the_r4_backport_are_read() -> None:
    handshake, heartbeat, named, full = (
        read_notification(sample(f"r4_backport_{name}.json"), BASE)
        for name in ("handshake", "heartbeat", "event_id-only", "event_full")
    )
    assert (handshake.type, handshake.count, handshake.subscription) == (NotificationType.HANDSHAKE, 0, "sub-1")
    assert handshake.state is SubscriptionState.REQUESTED
    assert (heartbeat.type, heartbeat.count, heartbeat.events) == (NotificationType.HEARTBEAT, 2, ())
    assert (named.count, named.events) == (3, (Told(3, "ImagingStudy/is1"),))
    assert (full.count, full.events) == (4, (Told(4, "ImagingStudy/is1"),)), "without its version it is read"


def status(**members: object) -> Json:
    """A SubscriptionStatus as R4B and R5 write it."""
    said = {
        "resourceType": "SubscriptionStatus",
        "status": "active",
        "type": "event-notification",
        "eventsSinceSubscriptionStart": "4",
        "subscription": {"reference": f"{BASE}/Subscription/s1"},
        "notificationEvent": [{"eventNumber": "4", "focus": {"reference": f"{BASE}/ImagingStudy/is1"}}],
        **members,
    }
    return {name: value for name, value in said.items() if value is not None}


def bundle(*resources: Json, kind: str = "subscription-notification") -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": [{"resource": r} for r in resources]}).encode()


def study(version: str | None = "2", **members: object) -> Json:
    meta = {"versionId": version, "lastUpdated": "2026-11-20T11:00:00Z"} if version else {}
    return {"resourceType": "ImagingStudy", "id": "is1", "meta": meta, **members}


def test_a_notification_of_r5_is_read_with_the_resource_that_came_along() -> None:
    said = read_notification(bundle(status(), study()), BASE)
    assert (said.type, said.subscription, said.count) == (NotificationType.EVENTS, "s1", 4)
    [told] = said.events
    assert (told.number, told.reference) == (4, "ImagingStudy/is1/_history/2")
    assert json.loads(told.body) == study()


def test_numbers_may_be_integers() -> None:
    said = read_notification(
        bundle(status(eventsSinceSubscriptionStart=7, notificationEvent=[{"eventNumber": 7}])), BASE
    )
    assert (said.count, said.events) == (7, (Told(7, ""),))


def test_what_the_server_says_of_an_error_is_kept_by_its_codes() -> None:
    error = [{"coding": [{"code": "no-response"}], "text": "Quentina Unmistakable"}]
    said = read_notification(bundle(status(status="error", type="query-status", error=error)), BASE)
    assert (said.state, said.error) == (ERROR, "no-response")


def test_an_empty_body_is_a_ping_and_a_resource_is_taken_as_it_comes() -> None:
    assert read_notification(b" \n", BASE) == Notification(NotificationType.PING)
    came = read_notification(json.dumps(study()).encode(), BASE, resource_type="ImagingStudy", resource_id="is1")
    assert came.events[0].reference == "ImagingStudy/is1/_history/2"
    assert read_notification(json.dumps(study(None)).encode(), BASE).events == (Told(None, "ImagingStudy/is1"),)


@pytest.mark.parametrize(
    "body",
    [
        b"<Bundle/>",
        b"\xff\xfe",
        b"[]",
        b"7",
        bundle(),
        bundle(study()),
        bundle(status(), kind="transaction"),
        bundle(status(type="gossip")),
        bundle(status(eventsSinceSubscriptionStart="-1")),
        bundle(status(eventsSinceSubscriptionStart="99999999999")),
        bundle(status(eventsSinceSubscriptionStart=True)),
        bundle(status(notificationEvent=[{"eventNumber": "four"}])),
        json.dumps({"resourceType": "ImagingStudy"}).encode(),
        json.dumps({"resourceType": "ImagingStudy", "id": ".."}).encode(),
    ],
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidResource):
        read_notification(body, BASE)


def test_a_resource_under_another_address_is_refused() -> None:
    for resource_type, resource_id in (("ImagingStudy", "is2"), ("Patient", "is1")):
        with pytest.raises(InvalidResource, match="the type and the id of the address"):
            read_notification(json.dumps(study()).encode(), BASE, resource_type=resource_type, resource_id=resource_id)


@pytest.mark.parametrize(
    ("named", "local"),
    [
        (f"{BASE}/ImagingStudy/is1", "ImagingStudy/is1"),
        (f"{BASE}/ImagingStudy/is1/_history/3", "ImagingStudy/is1"),
        ("ImagingStudy/is1", "ImagingStudy/is1"),
        ("https://ehr.example.org/fhir2/ImagingStudy/is1", ""),
        ("https://evil.example/fhir/ImagingStudy/is1", ""),
        (f"{BASE}/ImagingStudy/../Patient/p1", ""),
        (f"{BASE}/ImagingStudy/is1?_format=xml", ""),
        ("urn:uuid:65f90859-cc12-5a61-8121-9e34e7f08407", ""),
        ("#contained", ""),
        (None, ""),
    ],
)
def test_only_what_the_server_itself_has_is_asked_for(named: object, local: str) -> None:
    assert local_reference(named, BASE) == local


def test_a_version_without_a_number_is_told_by_its_time_and_else_by_its_content() -> None:
    timed = found_in({**study(None), "meta": {"lastUpdated": "2026-11-20T11:00:00Z"}})
    assert timed.version == "2026-11-20T11:00:00+00:00"
    plain = found_in(study(None))
    assert plain.version.startswith("sha256-")
    assert plain.version == found_in(dict(reversed(study(None).items()))).version
    assert plain.version != found_in(study(None, status="available")).version


@pytest.mark.parametrize(
    "meta",
    [
        {"versionId": "a\0b", "lastUpdated": "2026-11-20T11:00:00Z"},
        {"versionId": "x" * 200, "lastUpdated": "2026-11-20T11:00:00Z"},
        {"versionId": 7, "lastUpdated": "2026-11-20T12:00:00+01:00"},
    ],
)
def test_a_version_that_no_table_could_keep_is_told_by_its_time(meta: Json) -> None:
    assert found_in({**study(None), "meta": meta}).version == "2026-11-20T11:00:00+00:00"


@pytest.mark.parametrize(
    "at", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-11-20", "2026-11-20T11:00:00", "now", 7]
)
def test_a_time_that_is_none_is_none(at: object) -> None:
    assert found_in({**study(), "meta": {"versionId": "1", "lastUpdated": at}}).last_updated is None


def test_a_resource_that_is_nested_too_deeply_to_be_kept_is_read_where_it_is_wanted() -> None:
    deep: object = "end"
    for _ in range(400):
        deep = {"extension": [deep]}
    found = found_in(study(extension=deep))
    assert (found.version, found.body) == ("2", b"")


# --- what each changes

ONE = Subscription("id", "ehr", "ImagingStudy", "topic", ACTIVE, "s1", last_event=3, heard_at=NOW, since=NOW)
LATER = NOW + timedelta(minutes=5)
CT = "ImagingStudy"


def events(*numbers: int, count: int | None = None, **members: Any) -> Notification:
    told = tuple(Told(number, f"ImagingStudy/is{number}") for number in numbers)
    return Notification(NotificationType.EVENTS, "s1", ACTIVE, count or max(numbers, default=None), told, **members)


def heartbeat(count: int | None, kind: NotificationType = NotificationType.HEARTBEAT) -> Notification:
    return Notification(kind, "s1", ACTIVE, count)


def kinds(notices: tuple[Notice, ...]) -> list[tuple[object, ...]]:
    return [(one.kind, one.first, one.last) if one.kind is EVENTS else (one.kind, one.reference) for one in notices]


@pytest.mark.parametrize(
    ("said", "last_event", "done"),
    [
        (events(4), 4, [(RESOURCE, "ImagingStudy/is4")]),
        (events(5, 4), 5, [(RESOURCE, "ImagingStudy/is4"), (RESOURCE, "ImagingStudy/is5")]),
        (events(4, count=9), 4, [(RESOURCE, "ImagingStudy/is4")]),
        (events(3), 3, []),
        (events(1, 2, 3), 3, []),
        (events(6), 6, [(EVENTS, 4, 5), (RESOURCE, "ImagingStudy/is6")]),
        (events(5, 8), 8, [(EVENTS, 4, 4), (EVENTS, 6, 7), *((RESOURCE, f"ImagingStudy/is{n}") for n in (5, 8))]),
        (events(3, 4), 4, [(RESOURCE, "ImagingStudy/is4")]),
        (events(500), 500, [(LOOK, ""), (RESOURCE, "ImagingStudy/is500")]),
        (heartbeat(3), 3, []),
        (heartbeat(None), 3, []),
        (heartbeat(5), 5, [(EVENTS, 4, 5)]),
        (heartbeat(1), 1, [(LOOK, "")]),
        (heartbeat(0, NotificationType.HANDSHAKE), 0, [(LOOK, "")]),
        (heartbeat(4, NotificationType.QUERY_STATUS), 4, [(EVENTS, 4, 4)]),
        (Notification(NotificationType.EVENTS, "s1", ACTIVE, 4), 4, [(LOOK, "")]),
        (Notification(NotificationType.EVENTS, "s1", ACTIVE, 3), 3, []),
        (Notification(NotificationType.EVENTS, "s1", ACTIVE, None), 3, [(LOOK, "")]),
        (Notification(NotificationType.EVENTS, "s1", ACTIVE, 4, (Told(4, ""),)), 4, [(LOOK, "")]),
        (Notification(NotificationType.EVENTS, "s1", ACTIVE, 6, (Told(6, ""),)), 6, [(LOOK, "")]),
        (Notification(NotificationType.EVENTS, "s1", ACTIVE, 4, (Told(4, "Patient/p1"),)), 4, [(LOOK, "")]),
        (Notification(NotificationType.PING), 3, [(LOOK, "")]),
        (Notification(NotificationType.PING, events=(Told(None, f"{CT}/x"),)), 3, [(RESOURCE, f"{CT}/x")]),
        (Notification(NotificationType.HEARTBEAT, "another", ACTIVE, 40), 3, [(LOOK, "")]),
        (Notification(NotificationType.QUERY_EVENT, "s1", ACTIVE, 9), 3, []),
    ],
)  # fmt: skip
def test_numbers_that_were_told_are_repeats_and_those_that_are_missing_are_asked_for(
    said: Notification, last_event: int, done: list[tuple[object, ...]]
) -> None:
    judged = judge(ONE, said, LATER)
    assert judged.subscription.last_event == last_event
    assert kinds(judged.notices) == done


@pytest.mark.parametrize("state", [SILENT, ERROR, SubscriptionState.REQUESTED, SubscriptionState.WANTED])
def test_whatever_is_heard_makes_it_active_and_what_came_before_is_looked_for(state: SubscriptionState) -> None:
    judged = judge(replace(ONE, state=state, failures=3, error="it was silent"), events(4), LATER)
    after = judged.subscription
    assert (after.state, after.since, after.heard_at, after.failures, after.error) == (ACTIVE, LATER, LATER, 0, "")
    assert kinds(judged.notices) == [(LOOK, ""), (RESOURCE, "ImagingStudy/is4")]


def test_an_answer_to_our_own_question_does_not_show_that_we_are_reached() -> None:
    judged = judge(replace(ONE, state=SILENT), heartbeat(4, NotificationType.QUERY_STATUS), LATER)
    assert (judged.subscription.state, judged.subscription.heard_at) == (SILENT, NOW)


def test_a_server_that_says_error_is_believed_and_looked_at_at_once() -> None:
    said = Notification(NotificationType.QUERY_STATUS, "s1", ERROR, 3, error="no-response")
    after = judge(replace(ONE, due_at=NOW + timedelta(days=1)), said, LATER).subscription
    assert (after.state, after.since, after.error, after.due_at) == (ERROR, LATER, "no-response", LATER)


def test_a_handshake_names_the_subscription_whose_making_was_cut_off() -> None:
    said = heartbeat(0, NotificationType.HANDSHAKE)
    after = judge(Subscription("id", "ehr", "ImagingStudy", "topic", SubscriptionState.WANTED), said, NOW).subscription
    assert (after.remote_id, after.state) == ("s1", ACTIVE)


def test_an_answer_that_does_not_fill_the_gap_is_a_reason_to_look() -> None:
    said = Notification(NotificationType.QUERY_EVENT, "s1", events=(Told(4, "ImagingStudy/is4"),))
    assert kinds(answered(ONE, said, 4, 4)) == [(RESOURCE, "ImagingStudy/is4")]
    assert kinds(answered(ONE, said, 4, 5)) == [(LOOK, "")]
    assert kinds(answered(ONE, Notification(NotificationType.QUERY_EVENT), 4, 4)) == [(LOOK, "")]


@given(st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=4), max_size=12))
def test_in_whatever_order_events_come_each_is_told_or_asked_for(told: list[list[int]]) -> None:
    """Every number up to the highest is covered, by the resource itself or by a gap that is asked for."""
    subscription, covered = replace(ONE, last_event=0), set[int]()
    for numbers in told:
        judged = judge(subscription, events(*numbers), NOW)
        subscription = judged.subscription
        for notice in judged.notices:
            covered |= set(range(notice.first, notice.last + 1)) if notice.kind is EVENTS else set()
            covered |= {int(notice.reference.removeprefix("ImagingStudy/is"))} if notice.kind is RESOURCE else set()
    assert covered >= set(range(1, subscription.last_event + 1))
    assert subscription.last_event == max((n for numbers in told for n in numbers), default=0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ("type", "status", "subscription", "eventsSinceSubscriptionStart", "notificationEvent", "error")


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=4), JSON)
def test_whatever_shape_a_notification_has_it_is_read_or_refused(members: Json, other: object) -> None:
    with suppress(InvalidResource):
        judge(ONE, read_notification(bundle(status(**members)), BASE), NOW)
    with suppress(InvalidResource):
        read_notification(json.dumps({"resourceType": "Bundle", "type": "history", "entry": other}).encode(), BASE)
    with suppress(InvalidResource):
        read_notification(json.dumps(other).encode(), BASE)

"""The FHIR client against real servers: what it asks, what it believes, and what it does when they misbehave."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir.client import FhirClient, FhirRefused, Issue, NotAllowed, authorized, open_client
from adapters.fhir.keys import SmartKeys
from cds.destinations import FhirServer, PeerTls
from cds.errors import InvalidResource, NotFound, PeerFailed, PeerRefused, SightlineError, Unavailable
from tests.contract.certificates import Authority
from tests.contract.fhir_wire import (
    PHI,
    Answering,
    Asked,
    FhirWire,
    Reply,
    capability_statement,
    outcome,
    searchset,
    serving,
)
from tests.e2e.site import free_port

NOBODY = ("identifier", "urn:oid:1.2|4711")
ONE, TWO, THREE = ({"resourceType": "Observation", "id": one} for one in ("1", "2", "3"))


@contextlib.contextmanager
def client(url: str, slept: list[float] | None = None, **server: Any) -> Iterator[FhirClient]:
    """A client that waits in no time; `slept` has what it would have waited."""
    opened = open_client(
        "ehr",
        FhirServer(url=url, **{"timeout_s": 5.0} | server),
        SmartKeys(()),
        sleep=(slept if slept is not None else []).append,
    )
    try:
        yield opened
    finally:
        opened.close()


@contextlib.contextmanager
def talking(
    answering: Answering, slept: list[float] | None = None, **server: Any
) -> Iterator[tuple[FhirClient, FhirWire]]:
    """A client and the server that it asks."""
    with serving(answering) as wire, client(wire.url, slept, **server) as opened:
        yield opened, wire


def always(reply: Reply) -> Answering:
    return lambda asked: reply


def in_turn(*replies: Reply) -> Answering:
    """One reply after the other, the last for ever."""
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def test_a_search_goes_by_post_so_that_no_address_has_a_patients_number() -> None:
    with talking(always(Reply(body=searchset(ONE, TWO)))) as (ehr, wire):
        assert list(ehr.search("Observation", [NOBODY, ("code", "a,b c")])) == [ONE, TWO]
        (asked,) = wire.asked
    assert (asked.method, asked.path, asked.query) == ("POST", "/fhir/Observation/_search", [])
    assert asked.form == [NOBODY, ("code", "a,b c")]
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/fhir+json"
    assert asked.headers["Prefer"] == "handling=strict"
    assert "Authorization" not in asked.headers


def test_a_search_goes_by_get_where_the_site_says_so() -> None:
    with talking(always(Reply(body=searchset())), search="get") as (ehr, wire):
        assert list(ehr.search("Observation", [NOBODY])) == []
        assert [(one.method, one.path, one.query) for one in wire.asked] == [("GET", "/fhir/Observation", [NOBODY])]


def paged(*pages: dict[str, Any], next_url: Callable[[int], str]) -> Answering:
    """The first page by POST _search, the others by the number in their address."""

    def answering(asked: Asked) -> Reply:
        number = int(dict(asked.query).get("page", "0"))
        link = next_url(number + 1) if number + 1 < len(pages) else ""
        return Reply(body=pages[number] | {"link": [{"relation": "next", "url": link}] if link else []})

    return answering


@pytest.mark.parametrize("link", ["{base}/Observation?page={n}", "?page={n}", "Observation?page={n}", "/fhir?page={n}"])
def test_pages_are_followed_to_the_end_in_their_order(link: str) -> None:
    base: list[str] = []
    pages = searchset(ONE, total=3), searchset(TWO), searchset(THREE)
    with talking(paged(*pages, next_url=lambda n: link.format(base=base[0], n=n))) as (ehr, wire):
        base.append(wire.url)
        found = list(ehr.pages("Observation", [NOBODY]))
        assert [page.matches for page in found] == [(ONE,), (TWO,), (THREE,)]
        assert [page.total for page in found] == [3, None, None]
        assert [one.method for one in wire.asked] == ["POST", "GET", "GET"]


def test_what_came_along_is_no_match_and_warnings_are_told_by_their_codes() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    prior = {"resourceType": "Observation", "id": "prior"}
    bundle = searchset(ONE)
    bundle["entry"] += [
        {"resource": patient, "search": {"mode": "include"}},
        {"resource": prior, "search": {"mode": "include"}},
        {"resource": outcome("not-supported", PHI, severity="warning"), "search": {"mode": "outcome"}},
    ]
    with talking(always(Reply(body=bundle))) as (ehr, _):
        (page,) = ehr.pages("Observation", [NOBODY])
    assert (page.matches, page.included) == ((ONE,), (patient, prior))
    assert page.outcomes == (Issue("warning", "not-supported"), Issue("warning", ""))


def test_a_searchset_without_modes_is_understood_by_its_types() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    entries = [{"resource": r} for r in (ONE, patient, outcome("informational", severity="information"))]
    with talking(always(Reply(body={"resourceType": "Bundle", "type": "searchset", "entry": entries}))) as (ehr, _):
        (page,) = ehr.pages("Observation", [NOBODY])
    assert (page.matches, page.included) == ((ONE,), (patient,))
    assert page.outcomes == (Issue("information", "informational"),)


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        outcome("informational"),
        b"[]",
        b'"x"',
        b"<Bundle/>",
        b"",
        {"resourceType": "Bundle", "entry": {}},
        {"resourceType": "Bundle", "entry": [5]},
        {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:1"}]},
        {"resourceType": "Bundle", "entry": [{"resource": {}}]},
        searchset(ONE, outcome("processing")),
        searchset(ONE, outcome("exception", severity="fatal")),
        searchset(ONE, outcome("incomplete", severity="warning")),
    ],
)
def test_what_is_no_whole_searchset_is_never_taken_for_one(body: object) -> None:
    with talking(always(Reply(body=body))) as (ehr, _), pytest.raises(PeerFailed) as caught:
        list(ehr.search("Observation", [NOBODY]))
    assert PHI not in str(caught.value)


@pytest.mark.parametrize(
    "half",
    [
        Reply(body=searchset(TWO), cut=True),
        Reply(body=searchset(TWO), length=5),
        Reply(body=searchset(TWO), length=100_000),
        Reply(body=b'{"resourceType": "Bundle", "entry": [', headers={"Transfer-Encoding": "chunked"}, length=0),
        Reply(500),
        Reply(404),
    ],
)
def test_half_a_page_in_the_middle_is_an_error_and_no_end(half: Reply) -> None:
    def answering(asked: Asked) -> Reply:
        return half if asked.query else Reply(body=searchset(ONE, next_url="?page=1"))

    with talking(answering) as (ehr, _):
        found = ehr.search("Observation", [NOBODY])
        assert next(found) == ONE
        with pytest.raises((Unavailable, FhirRefused)):
            next(found)


def test_a_page_that_broke_off_is_asked_for_again() -> None:
    replies = Reply(body=searchset(ONE), cut=True), Reply(gone=True), Reply(body=searchset(ONE))
    slept: list[float] = []
    with talking(in_turn(*replies), slept) as (ehr, wire):
        assert list(ehr.search("Observation", [NOBODY])) == [ONE]
        assert (len(wire.asked), len(slept)) == (3, 2)


def test_a_next_page_elsewhere_is_not_followed_and_the_token_stays_here(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    links: list[str] = []
    with (
        serving(always(Reply(body=searchset(TWO)))) as other,
        talking(lambda asked: Reply(body=searchset(ONE, next_url=links[-1])), token_file=token) as (ehr, wire),
    ):
        own = wire.root.rpartition(":")[2]
        for link in (
            f"{other.url}/Observation?page=1",
            f"http://localhost:{own}/fhir?page=1",
            f"https://127.0.0.1:{own}/fhir?page=1",
            f"//127.0.0.1:{other.root.rpartition(':')[2]}/fhir?page=1",
            f"http://user:word@127.0.0.1:{own}/fhir?page=1",
            f"http://127.0.0.1:{own}@127.0.0.1:{other.root.rpartition(':')[2]}/",
            "file:///etc/passwd",
            "http://[",
        ):
            links.append(link)
            with pytest.raises(PeerFailed, match="next page") as caught:
                list(ehr.search("Observation", [NOBODY]))
            assert "://" not in str(caught.value)
        assert other.asked == []
        assert {one.token for one in wire.asked} == {"secret"}
        assert len(wire.asked) == len(links)


def test_pages_in_a_circle_or_without_end_are_left() -> None:
    def circle(asked: Asked) -> Reply:
        return Reply(body=searchset(ONE, next_url=f"?page={(int(dict(asked.query).get('page', '0')) + 1) % 3}"))

    def endless(asked: Asked) -> Reply:
        return Reply(body=searchset(next_url=f"?page={int(dict(asked.query).get('page', '0')) + 1}"))

    with talking(circle) as (ehr, wire), pytest.raises(PeerFailed, match="without end"):
        list(ehr.search("Observation", [NOBODY]))
    assert len(wire.asked) == 4
    with talking(endless) as (ehr, wire), pytest.raises(PeerFailed, match="without end"):
        list(ehr.pages("Observation", [NOBODY], most=5))
    assert len(wire.asked) == 5


def test_more_matches_than_wanted_are_an_error_and_not_a_part_taken_for_all() -> None:
    with talking(always(Reply(body=searchset(ONE, TWO, THREE)))) as (ehr, _):
        assert len(list(ehr.search("Observation", [NOBODY], most=3))) == 3
        with pytest.raises(PeerFailed, match="more than 2 of Observation"):
            list(ehr.search("Observation", [NOBODY], most=2))


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_a_server_that_is_busy_for_a_moment_is_asked_again(status: int) -> None:
    slept: list[float] = []
    with talking(in_turn(Reply(status), Reply(status), Reply(body=ONE)), slept) as (ehr, wire):
        assert ehr.read("Observation/1") == ONE
        assert len(wire.asked) == 3
    assert 0.1 < slept[0] < 1.5
    assert 0.1 < slept[1] < 2.5


def test_it_waits_as_long_as_the_server_asks_in_seconds_or_by_the_servers_own_clock() -> None:
    theirs = datetime(2020, 1, 1, tzinfo=UTC)
    dates = {"Date": format_datetime(theirs, usegmt=True)}
    late = format_datetime(theirs + timedelta(seconds=4), usegmt=True)
    slept: list[float] = []
    with talking(
        in_turn(
            Reply(429, headers={"Retry-After": "3"}),
            Reply(503, headers={"Retry-After": late} | dates),
            Reply(503, headers={"Retry-After": "soon"}),
            Reply(body=ONE),
        ),
        slept,
    ) as (ehr, _):
        assert ehr.read("Observation/1") == ONE
    assert [int(one) for one in slept[:2]] == [3, 4]
    assert slept[2] < 3


def test_a_server_that_asks_to_wait_longer_than_a_request_may_take_is_left_with_the_reason() -> None:
    slept: list[float] = []
    with talking(always(Reply(429, outcome("throttled"), {"Retry-After": "3600"})), slept) as (ehr, wire):
        with pytest.raises(Unavailable) as caught:
            ehr.read("Observation/1")
        assert len(wire.asked) == 1
    assert slept == []
    assert str(caught.value) == (
        "the FHIR server ehr does not take it now: 429 (throttled), which asks to wait 3600 s, "
        "which is longer than the 10 s that a request may take"
    )


def test_it_gives_up_after_a_few_attempts() -> None:
    slept: list[float] = []
    with talking(always(Reply(503, headers={"Retry-After": "1"})), slept) as (ehr, wire):
        with pytest.raises(Unavailable, match="503, which asks to wait 1 s"):
            ehr.read("Observation/1")
        assert (len(wire.asked), len(slept)) == (4, 3)


@pytest.mark.parametrize(
    ("method", "options", "times"),
    [
        ("POST", {}, 1),
        ("POST", {"if_none_exist": "identifier=urn%3Ax%7C1"}, 4),
        ("POST", {"repeatable": True}, 4),
        ("PUT", {}, 4),
        ("PUT", {"if_match": 'W/"1"'}, 1),
        ("PUT", {"repeatable": False}, 1),
        ("PATCH", {}, 1),
        ("DELETE", {}, 4),
    ],
)
@pytest.mark.parametrize("fault", [Reply(503), Reply(gone=True)])
def test_only_what_does_no_harm_twice_is_sent_again(method: Any, options: Any, times: int, fault: Reply) -> None:
    with talking(always(fault)) as (ehr, wire):
        with pytest.raises(Unavailable):
            ehr.send(method, "Observation/1" if method != "POST" else "Observation", ONE, **options)
        assert len(wire.asked) == times
        assert len({one.body for one in wire.asked}) == 1


@pytest.mark.parametrize("status", [500, 501])
def test_a_server_that_failed_is_not_pressed(status: int) -> None:
    with talking(always(Reply(status, b"<html>"))) as (ehr, wire):
        with pytest.raises(PeerFailed, match=rf"the FHIR server ehr could not take it: {status}$"):
            ehr.read("Observation/1")
        assert len(wire.asked) == 1


def test_versions_and_conditions_go_as_the_standard_says_and_come_back() -> None:
    said = Reply(201, ONE, {"ETag": 'W/"3"', "Location": "http://x/fhir/Observation/1/_history/3"})
    with talking(always(said)) as (ehr, wire):
        answer = ehr.send("POST", "Observation", ONE, if_none_exist="identifier=urn%3Ax%7C1", prefer="return=minimal")
        assert (answer.status, answer.body, answer.etag) == (201, ONE, 'W/"3"')
        assert answer.location.endswith("/_history/3")
        ehr.send("PUT", "Observation/1", ONE, if_match=answer.etag)
        ehr.send("PUT", "Observation?identifier=urn%3Ax%7C1", ONE)
        ehr.send("POST", "", {"resourceType": "Bundle"})
        ehr.send("PATCH", "Observation/1", b"[]")
        ehr.send("DELETE", "Observation/1", None)
        created, updated, conditional, bundle, patched, deleted = wire.asked
    assert created.headers["If-None-Exist"] == "identifier=urn%3Ax%7C1"
    assert created.headers["Prefer"] == "return=minimal"
    assert created.headers["Content-Type"] == "application/fhir+json"
    assert created.json == ONE
    assert updated.headers["If-Match"] == 'W/"3"'
    assert "If-None-Exist" not in updated.headers
    assert (conditional.path, conditional.query) == ("/fhir/Observation", [("identifier", "urn:x|1")])
    assert bundle.path == "/fhir"
    assert patched.headers["Content-Type"] == "application/json-patch+json"
    assert (deleted.method, deleted.body, deleted.headers["Content-Type"]) == ("DELETE", b"", None)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 412, 422])
def test_a_refusal_has_its_status_and_codes_and_nothing_that_the_server_says_of_a_patient(status: int) -> None:
    with talking(always(Reply(status, outcome("conflict", PHI, "conflict", "duplicate")))) as (ehr, wire):
        with pytest.raises(FhirRefused) as caught:
            ehr.send("PUT", "Observation/1", ONE)
        assert len(wire.asked) == 1
    assert isinstance(caught.value, PeerRefused)
    assert (caught.value.status, caught.value.issues) == (status, ("conflict", "duplicate"))
    assert str(caught.value) == f"the FHIR server ehr refuses it: {status} (conflict, duplicate)"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_server_that_does_not_let_us_in_says_nothing_of_the_request(status: int) -> None:
    with talking(always(Reply(status, outcome("forbidden")))) as (ehr, wire):
        with pytest.raises(NotAllowed, match=f"{status} "):
            ehr.read("Observation/1")
        assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_token_stays_here(status: int, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    with serving(always(Reply(body=ONE))) as other:
        there = Reply(status, headers={"Location": f"{other.url}/Observation/1"})
        with talking(always(there), token_file=token) as (ehr, _):
            for ask in (
                lambda: ehr.read("Observation/1"),
                lambda: ehr.send("POST", "Observation", ONE),
                lambda: list(ehr.search("Observation", [NOBODY])),
            ):
                with pytest.raises(Unavailable, match=f"{status}, and a redirect is not followed"):
                    ask()
        assert other.asked == []


def test_no_error_quotes_what_the_server_says_or_what_was_asked() -> None:
    for status in (400, 401, 403, 404, 409, 422, 429, 500, 503):
        with talking(always(Reply(status, outcome(PHI), {"Retry-After": PHI}))) as (ehr, _):
            for ask in (
                lambda: ehr.get("Patient/Quentina", [("name", "Quentina")]),
                lambda: list(ehr.search("Patient", [("name", "Quentina")])),
                lambda: ehr.send("PUT", "Patient?name=Quentina", {"name": "Quentina"}),
            ):
                with pytest.raises(SightlineError) as caught:
                    ask()
                assert "Quentina" not in str(caught.value)
                assert caught.value.__cause__ is None


def test_a_read_finds_the_resource_or_says_that_it_is_not_there() -> None:
    def answering(asked: Asked) -> Reply:
        known = {"/fhir/Observation/1": ONE, "/fhir/Observation/1/_history/2": ONE, "/fhir/Observation/2": ONE}
        return (
            Reply(410 if asked.path.endswith("gone") else 404, outcome("deleted"))
            if (asked.path not in known)
            else Reply(body=known[asked.path])
        )

    with talking(answering) as (ehr, wire):
        assert ehr.read("Observation/1") == ehr.read("Observation/1/_history/2") == ONE
        for absent in ("Observation/3", "Observation/gone"):
            with pytest.raises(NotFound):
                ehr.read(absent)
        with pytest.raises(PeerFailed, match="another resource"):
            ehr.read("Observation/2")
        count = len(wire.asked)
        for elsewhere in (
            "http://evil.example/fhir/Patient/1", f"{wire.url}/Patient/1", "#x", "urn:uuid:1", "Patient", "Patient/",
            "Patient/..", "Patient/../metadata", "Patient/1?x=1", "Patient/1/_history/", "Patient/1/$everything", "",
            "Patient/a b",
        ):  # fmt: skip
            with pytest.raises(NotFound, match="Type/id"):
                ehr.read(elsewhere)
        assert len(wire.asked) == count


@pytest.mark.parametrize("path", ["http://evil.example", "//evil.example/x", "../x", "a/../../b", "a b", "Ä", "a\r\nb"])
def test_a_path_that_leads_elsewhere_is_not_asked_for(path: str) -> None:
    with talking(always(Reply(body=ONE))) as (ehr, wire):
        if path.startswith("//"):
            ehr.get(path)  # below the base URL, whatever it looks like
            assert wire.paths == ["GET /fhir/evil.example/x"]
            return
        with pytest.raises(InvalidResource, match="below the base URL"):
            ehr.get(path)
        with pytest.raises(InvalidResource, match="percent-encoded"):
            ehr.send("POST", "Patient", ONE, if_none_exist="name=Ä")
        with pytest.raises(InvalidResource, match="percent-encoded"):
            ehr.send("POST", "Patient", ONE, if_none_exist="a\r\nX-Evil: 1")
        assert wire.asked == []


def test_an_operation_is_asked_for_below_the_base() -> None:
    with talking(always(Reply(body={"resourceType": "Bundle"}))) as (ehr, wire):
        assert ehr.get("Subscription/1/$events", [("eventsSinceNumber", "5")]).body == {"resourceType": "Bundle"}
        assert wire.asked[0].path == "/fhir/Subscription/1/$events"
        assert wire.asked[0].query == [("eventsSinceNumber", "5")]


def test_what_it_can_do_is_asked_once_an_hour_and_when_wanted() -> None:
    said = capability_statement({"type": "Patient", "interaction": [{"code": "read"}]})
    with talking(always(Reply(body=said))) as (ehr, wire):
        assert ehr.capability().can("Patient", "read")
        assert ehr.capability() is ehr.capability()
        assert wire.paths == ["GET /fhir/metadata"]
        ehr.capability(fresh=True)
        assert len(wire.asked) == 2


@pytest.mark.parametrize("reply", [Reply(404), Reply(500), Reply(403), Reply(body=ONE), Reply(body=b"<x/>")])
def test_without_a_statement_nothing_is_known_of_what_it_can_do(reply: Reply) -> None:
    with talking(always(reply)) as (ehr, _), pytest.raises(Unavailable):
        ehr.capability()


def test_nobody_listening_is_asked_again_for_a_while() -> None:
    slept: list[float] = []
    with client(f"http://127.0.0.1:{free_port()}/fhir", slept) as ehr:
        with pytest.raises(Unavailable, match=r"^the FHIR server ehr does not answer: ConnectError$"):
            ehr.read("Observation/1")
        assert len(slept) == 3
        with pytest.raises(Unavailable):
            ehr.send("POST", "Observation", ONE)
        assert len(slept) == 3


@pytest.mark.parametrize("fault", [{"pause_s": 1.0}, {"drip_s": 0.02}])
def test_a_slow_server_holds_a_request_for_twice_its_timeout_at_most(fault: dict[str, float]) -> None:
    with talking(always(Reply(body=searchset(ONE), **fault)), timeout_s=0.3) as (ehr, wire):
        began = time.monotonic()
        with pytest.raises(Unavailable, match="ReadTimeout"):
            list(ehr.search("Observation", [NOBODY]))
        assert time.monotonic() - began < 1.2
        assert len(wire.asked) >= 2


def test_a_listener_that_never_answers_is_left_too() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        client(f"http://127.0.0.1:{listener.getsockname()[1]}/fhir", timeout_s=0.2) as ehr,
    ):
        began = time.monotonic()
        with pytest.raises(Unavailable, match="ReadTimeout"):
            ehr.read("Observation/1")
        assert time.monotonic() - began < 1.5


HUGE = b" " * (17 * 1024 * 1024)


@pytest.mark.parametrize(
    "reply", [Reply(body=HUGE), Reply(body=gzip.compress(HUGE), headers={"Content-Encoding": "gzip"})]
)
def test_an_answer_without_end_is_left(reply: Reply) -> None:
    with talking(always(reply)) as (ehr, wire):
        with pytest.raises(PeerFailed, match="too many bytes"):
            ehr.read("Observation/1")
        assert len(wire.asked) == 1


class Crowd:
    """Counts how many are answered at once."""

    def __init__(self, pause_s: float = 0.05) -> None:
        self.now = self.most = 0
        self._pause_s, self._lock = pause_s, threading.Lock()

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._pause_s)
        with self._lock:
            self.now -= 1
        return Reply(body=ONE)


def test_many_threads_and_two_clients_of_one_server_keep_to_its_number_of_requests() -> None:
    crowd = Crowd()
    with talking(crowd.answer, parallel=3) as (first, wire), client(wire.url, parallel=3) as second:
        asking = [
            threading.Thread(target=one.read, args=("Observation/1",)) for one in (first, second) for _ in range(6)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(10)
        assert len(wire.asked) == 12
    assert crowd.most == 3


def test_who_finds_no_room_in_time_is_told_so() -> None:
    crowd = Crowd(pause_s=1.0)
    with talking(crowd.answer, parallel=1, timeout_s=5.0) as (slow, wire):
        holding = threading.Thread(target=slow.read, args=("Observation/1",))
        holding.start()
        while not wire.asked:
            time.sleep(0.01)
        with client(wire.url, parallel=1, timeout_s=0.1) as hasty, pytest.raises(Unavailable, match="too much at once"):
            hasty.read("Observation/1")
        holding.join(10)


def test_an_answer_may_be_compressed_and_half_of_one_is_none() -> None:
    whole = gzip.compress(json.dumps(searchset(ONE)).encode())
    packed = {"Content-Encoding": "gzip"}
    with talking(always(Reply(body=whole, headers=packed))) as (ehr, _):
        assert list(ehr.search("Observation", [NOBODY])) == [ONE]
    for half in (whole[: len(whole) // 2], b"no gzip"):
        with talking(always(Reply(body=half, headers=packed))) as (ehr, _), pytest.raises(Unavailable):
            list(ehr.search("Observation", [NOBODY]))


def test_connections_are_kept_and_cookies_are_not() -> None:
    with talking(always(Reply(body=ONE, headers={"Set-Cookie": "a=b"}))) as (ehr, wire):
        for _ in range(3):
            ehr.read("Observation/1")
        assert {one.headers["Cookie"] for one in wire.asked} == {None}
        assert len({one.port for one in wire.asked}) == 1


def test_a_server_behind_tls_is_believed_by_its_authority_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, other = Authority(tmp_path), Authority(tmp_path / "other")
    with serving(always(Reply(body=ONE)), tls=ours.listener()) as wire:
        with client(wire.url, tls=PeerTls(ca_file=ours.ca_file)) as ehr:
            assert ehr.read("Observation/1") == ONE
        for tls in (PeerTls(ca_file=other.ca_file), None):
            with client(wire.url, tls=tls) as ehr, pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
                ehr.read("Observation/1")
        assert len(wire.asked) == 1


def test_a_server_that_wants_our_certificate_sees_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("sightline")
    with serving(always(Reply(body=ONE)), tls=authority.listener(clients=True)) as wire:
        shown = PeerTls(ca_file=authority.ca_file, certificate_file=certificate, key_file=key)
        with client(wire.url, tls=shown) as ehr:
            assert ehr.read("Observation/1") == ONE
        assert [one.client for one in wire.asked] == ["sightline"]
        with client(wire.url, tls=PeerTls(ca_file=authority.ca_file)) as ehr, pytest.raises(Unavailable):
            ehr.read("Observation/1")
        assert len(wire.asked) == 1


def test_the_token_of_a_hook_call_goes_to_its_server() -> None:
    with serving(always(Reply(body=ONE))) as wire:
        ehr = authorized(wire.url, "of-this-call", timeout_s=1.0, sleep=[].append)
        assert ehr.read("Observation/1") == ONE
        ehr.close()
        assert [one.token for one in wire.asked] == ["of-this-call"]
    with serving(always(Reply(401))) as wire:
        ehr = authorized(wire.url, "ended", timeout_s=1.0, sleep=[].append)
        with pytest.raises(NotAllowed, match="the FHIR server of the hook call"):
            ehr.read("Observation/1")
        ehr.close()
        assert len(wire.asked) == 1


@pytest.mark.parametrize(
    "url", ["http://ehr.example/fhir", "ftp://ehr.example", "ehr", "https://user:word@ehr.example", "http://[", ""]
)
def test_a_hook_call_whose_server_would_hear_the_token_in_the_clear_is_refused(url: str) -> None:
    with pytest.raises(InvalidResource, match="https://"):
        authorized(url, "secret", timeout_s=1.0)


def test_a_hook_call_with_a_token_that_is_none_is_refused() -> None:
    for token in ("two\r\nlines", "é"):
        with pytest.raises(InvalidResource, match="access_token"):
            authorized("https://ehr.example", token, timeout_s=1.0)

"""A FHIR server as a destination: an answer is read before it is believed, and its faults are told apart."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cds.errors import InvalidInput, PeerFailed, PeerRefused, Unavailable
from tests.contract.fhir_proxy import proxy
from tests.contract.fhir_server import FhirServer
from tests.contract.fhir_sink_contract import entries, sent, sink_to
from tests.contract.fhir_store_peer import Can, FhirStore
from tests.contract.fhir_wire import Asked, FhirWire, Reply, outcome, searchset, serving
from tests.unit.fhir_samples import report

STATEMENT = FhirStore().statement()
Bundle = dict[str, Any]


def done(bundle: Bundle, status: str = "201 Created") -> Bundle:
    """The answer of a server that took everything."""
    entries = [{"response": {"status": status}} for _ in bundle["entry"]]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


def transactions(answer: Callable[[Bundle], Reply]) -> Callable[[Asked], Reply]:
    """A server that has nothing yet, and answers a transaction as a test wants."""

    def answering(asked: Asked) -> Reply:
        if asked.path == "/fhir/metadata":
            return Reply(200, STATEMENT)
        return Reply(200, searchset()) if asked.path.endswith("/_search") else answer(asked.json)

    return answering


def written(wire: FhirWire) -> list[Asked]:
    """The transactions that came."""
    return [asked for asked in wire.asked if asked.method == "POST" and asked.path == "/fhir"]


def attempt(reply: Reply, body: Callable[[Bundle], object] | None = None, **options: Any) -> str:
    """What one attempt came to, where transactions are answered so."""
    answering = transactions(lambda bundle: replace(reply, body=body(bundle)) if body else reply)
    with serving(answering) as wire:
        return sent(wire.url, report(), **options)


def test_a_server_that_takes_everything_is_believed() -> None:
    with serving(transactions(lambda bundle: Reply(200, done(bundle)))) as wire:
        assert sent(wire.url, report()) == f"200 for {entries(report())} entries"
    [asked] = written(wire)
    assert asked.headers["Content-Type"] == "application/fhir+json"
    assert "Authorization" not in asked.headers
    assert asked.json["identifier"] == {"system": "urn:sightline:delivery-id", "value": "delivery-1"}
    assert {entry["request"]["method"] for entry in asked.json["entry"]} == {"PUT"}
    assert all("?" in entry["request"]["url"] for entry in asked.json["entry"])


def test_the_token_is_read_at_every_attempt_and_without_one_nothing_is_sent(tmp_path: Path) -> None:
    token = tmp_path / "token"
    answering = transactions(lambda bundle: Reply(200, done(bundle)))
    with serving(answering) as wire, sink_to(wire.url, token_file=token) as sink:
        payload = sink.encode(report(), "delivery-1")
        for value in ("first", "second"):
            token.write_text(f"{value}\n")
            sink.send(payload)
        assert [asked.token for asked in written(wire)] == ["first", "second"]
        asked = len(wire.asked)
        for useless in (b"", b"\xff", b"two\nlines"):
            token.write_bytes(useless)
            with pytest.raises(Unavailable, match="token"):
                sink.send(payload)
        token.unlink()
        with pytest.raises(Unavailable, match="token"):
            sink.send(payload)
        assert len(wire.asked) == asked


@pytest.mark.parametrize("status", [301, 401, 403, 408, 429, 502, 503, 504])
def test_an_answer_that_says_nothing_of_the_report_means_again(status: int) -> None:
    with pytest.raises(Unavailable, match=str(status)) as caught:
        attempt(Reply(status, outcome("throttled")))
    assert not isinstance(caught.value, PeerFailed)


def test_a_server_that_failed_is_asked_again_but_not_for_ever() -> None:
    with pytest.raises(PeerFailed, match="500"):
        attempt(Reply(500, b"<html>Unmistakable</html>"))


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_is_for_good_and_is_told_by_its_codes_alone(status: int) -> None:
    with pytest.raises(PeerRefused) as caught:
        attempt(Reply(status, outcome("invariant", "Unmistakable", "invariant", "value")))
    assert str(caught.value) == f"the FHIR server ehr refuses it: {status} (invariant, value)"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"issue": 5}', b'{"issue": [5, {"code": ["invalid"]}]}'])
def test_a_refusal_without_a_readable_outcome_is_a_refusal(body: bytes) -> None:
    with pytest.raises(PeerRefused, match=r"refuses it: 422$"):
        attempt(Reply(422, body))


@pytest.mark.parametrize(
    "body",
    [
        lambda _: b"",
        lambda _: b"<html/>",
        lambda _: b"[]",
        lambda _: outcome("informational"),
        lambda bundle: {**done(bundle), "type": "batch-response"},
        lambda bundle: {**done(bundle), "entry": done(bundle)["entry"][1:]},
        lambda bundle: {**done(bundle), "entry": [{} for _ in bundle["entry"]]},
        lambda bundle: {**done(bundle), "entry": [5 for _ in bundle["entry"]]},
        lambda bundle: done(bundle, "fine"),
    ],
)
def test_a_success_that_does_not_say_what_was_done_is_not_believed(body: Callable[[Bundle], object]) -> None:
    with pytest.raises(PeerFailed):
        attempt(Reply(200), body)


@pytest.mark.parametrize(
    ("status", "wanted"), [("422 Unprocessable", PeerRefused), ("503", Unavailable), ("500", PeerFailed)]
)
def test_one_entry_that_failed_is_a_failure_of_all(status: str, wanted: type[Exception]) -> None:
    def body(bundle: Bundle) -> object:
        answer = done(bundle)
        answer["entry"][2] = {"response": {"status": status, "outcome": outcome("business-rule")}}
        return answer

    with pytest.raises(wanted, match="business-rule") as caught:
        attempt(Reply(200), body)
    assert "Unmistakable" not in str(caught.value)


def test_half_an_answer_is_no_answer() -> None:
    with pytest.raises(Unavailable, match="RemoteProtocolError"):
        attempt(Reply(200, cut=True), done)


@pytest.mark.parametrize("reply", [Reply(200, pause_s=2.0), Reply(200, drip_s=0.05)])
def test_a_server_that_takes_too_long_is_not_waited_for(reply: Reply) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="ReadTimeout"):
        attempt(reply, done, timeout_s=0.5)
    assert time.monotonic() - began < 5


def test_nobody_listening_means_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unavailable, match="ConnectError"):
        sent(f"http://127.0.0.1:{port}/fhir", report())


def test_no_error_quotes_what_the_peer_says_of_a_patient() -> None:
    for status in (400, 401, 422, 429, 500, 503):
        with pytest.raises((Unavailable, PeerRefused)) as caught:
            attempt(Reply(status, outcome("Unmistakable"), {"Retry-After": "Unmistakable"}))
        assert "Unmistakable" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"MSH|", b'{"resourceType": "Bundle"}', b'{"hl7": "!"}'])
def test_what_is_no_payload_of_ours_is_not_sent(payload: bytes) -> None:
    with serving(transactions(lambda bundle: Reply(200, done(bundle)))) as wire:
        with sink_to(wire.url) as sink, pytest.raises(InvalidInput, match="want"):
            sink.send(payload)
        assert wire.asked == []


def test_a_server_without_a_capability_statement_is_asked_again() -> None:
    with serving(lambda _: Reply(404, outcome("not-found"))) as wire:
        with pytest.raises(Unavailable, match="CapabilityStatement"):
            sent(wire.url, report())
        assert written(wire) == []


# --- what changes there at the same moment


@pytest.mark.parametrize("status", ["409", "412"])
@pytest.mark.parametrize("transaction", [True, False])
def test_a_change_at_the_same_moment_is_looked_at_again_but_not_for_ever(status: str, transaction: bool) -> None:
    with (
        FhirStore(Can(transaction=transaction)).serving() as wire,
        proxy(FhirServer(wire.url)) as door,
        sink_to(door.url) as sink,
    ):
        payload = sink.encode(report(), "d1")
        door.fault = lambda _: status
        with pytest.raises(Unavailable, match=f"changes there at the same moment.*{status}"):
            sink.send(payload)
        assert door.writes == 3
        door.fault = lambda number: status if number == 4 else None
        assert "entries" in sink.send(payload)
        versions = door.server.every_version()
        assert versions == dict.fromkeys(versions, 1)


def test_an_update_is_of_the_version_that_was_compared() -> None:
    store = FhirStore(Can(transaction=False, versions=True))
    with store.serving() as wire, proxy(FhirServer(wire.url)) as door, sink_to(door.url) as sink:
        sink.send(sink.encode(report(), "d1"))
        [main] = door.server.all("DiagnosticReport")
        meddling = threading.Event()

        def fault(_: int) -> str | None:
            if not meddling.is_set():  # between our look and our write
                meddling.set()
                door.server.change(main, conclusion="Somebody was quicker.")
            return None

        door.fault = fault
        sink.send(sink.encode(report(version=2), "d2", report()))
        [main] = door.server.all("DiagnosticReport")
        assert (main["meta"]["versionId"], "Version 2" in main["conclusion"]) == ("3", True)


def test_what_was_deleted_there_is_made_again() -> None:
    store = FhirStore()
    with store.serving() as wire:
        sent(wire.url, report())
        for key in [key for key in store.versions if key[0] == "Observation"]:
            del store.versions[key]
        answer = sent(wire.url, report())
        assert answer.startswith("200 for")
        assert FhirServer(wire.url).dangling() == set()
        assert len(store.of_type("Observation")) == 2


# --- a refusal in the middle of one-by-one


def test_a_resource_that_is_refused_in_the_middle_is_held_and_the_report_does_not_stand() -> None:
    with (
        FhirStore(Can(transaction=False)).serving() as wire,
        proxy(FhirServer(wire.url)) as door,
        sink_to(door.url) as sink,
    ):
        door.fault = lambda number: "422" if number == 3 else None
        with pytest.raises(PeerRefused) as caught:
            sink.send(sink.encode(report(), "d1"))
        total = entries(report())
        assert (
            str(caught.value)
            == f"the FHIR server ehr refuses it: 422 (transient), at Observation after 2 of {total} entries"
        )
        assert door.server.all("DiagnosticReport") == []
        assert door.dangling == set()


def test_the_bytes_are_the_same_on_every_attempt() -> None:
    with sink_to("http://127.0.0.1:1/fhir") as sink:
        assert sink.encode(report(), "d1") == sink.encode(report(), "d1")
        assert json.loads(sink.encode(report(), "d1"))["type"] == "transaction"

"""A FHIR server as a destination: what it does not take is left out, or goes by HL7 v2, or is held."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.hl7.critical import CriticalOru
from adapters.hl7.message import Message
from adapters.hl7.report import OruSink
from cds.demo.engine import Engine
from cds.destinations import MllpDestination
from cds.domain.critical import delivery_id, message_number
from cds.domain.report import Audience
from cds.errors import ConfigurationError, PeerRefused
from tests.contract.critical_notices import NOTICE, RESULT
from tests.contract.fhir_critical_contract import channel
from tests.contract.fhir_proxy import proxy
from tests.contract.fhir_server import HOSPITAL_KINDS
from tests.contract.fhir_sink_contract import SAID, entries, sent, sink_to
from tests.contract.fhir_store_peer import EVERYTHING, Can, server
from tests.contract.fhir_wire import Asked, Reply, serving
from tests.unit.fhir_samples import UNMATCHED, emitted, report

ALL = frozenset(HOSPITAL_KINDS)
NO_REPORTS = Can(read_only=frozenset({"DiagnosticReport"}))


@contextmanager
def oru(**options: object) -> Iterator[tuple[Engine, OruSink]]:
    """An interface engine, and the way to it."""
    with Engine() as engine:
        to = MllpDestination.model_validate({"host": "127.0.0.1", "port": engine.port, **options})
        yield engine, OruSink("ehr", to, facility="SITE", time_zone="Europe/Berlin")


# --- types that it does not take


@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.parametrize(
    "missing",
    [{"RiskAssessment", "Provenance"}, {"Device"}, {"Observation"}, {"Task", "Flag"}, {"Device", "Observation"}],
    ids=lambda missing: "+".join(sorted(missing)),
)
def test_types_that_it_has_not_are_left_out_and_named(missing: set[str], transaction: bool) -> None:
    with server(types=ALL - missing, transaction=transaction) as (store, there):
        answer = sent(there.url, SAID)
        made = {resource.type for resource in emitted(SAID)} & missing
        assert f"without {', '.join(sorted(made))}: the server does not take them" in answer
        assert sum(answer.count(kind) for kind in made) == len(made)
        assert there.dangling() == set()
        [main] = store.of_type("DiagnosticReport")
        assert len(main.get("result", [])) == len(store.of_type("Observation"))
        assert "urn:uuid" not in json.dumps(store.of_type("DiagnosticReport") + store.of_type("Provenance"))
        assert "stood there already" in sent(there.url, SAID)


def test_a_device_that_is_left_out_is_still_named_by_its_model() -> None:
    with server(types=ALL - {"Device"}) as (store, there):
        sent(there.url, report())
        devices = [one["device"] for one in store.of_type("Observation")]
        assert devices == [{"display": "ct_lung_density 1.0.0"}] * 2


def test_a_type_that_cannot_be_found_again_is_left_out() -> None:
    with server(searches=frozenset({"identifier"})) as (store, there):
        assert "without Provenance: the server does not take them" in sent(there.url, report())
        assert store.of_type("Provenance") == []


def test_what_can_be_made_and_never_changed_again_is_no_place_for_a_result() -> None:
    with server() as (store, there), proxy(there) as door:
        wanted = store.statement()
        for one in wanted["rest"][0]["resource"]:
            one["interaction"] = [code for code in one["interaction"] if code["code"] != "update"]

        def answering(asked: Asked) -> Reply:
            return Reply(200, wanted) if asked.path == "/fhir/metadata" else door.answer(asked)

        with serving(answering) as wire, pytest.raises(PeerRefused, match="takes no DiagnosticReport"):
            sent(wire.url, report())
        assert store.writes == []


# --- servers that take no report


@pytest.mark.parametrize(
    "can",
    [
        NO_REPORTS,
        Can(types=ALL - {"DiagnosticReport"}),
        Can(searches=frozenset(), conditional_update=True),
        Can(searches=frozenset(), conditional_update=False, conditional_create=False),
    ],
    ids=["read only", "not there", "conditions that it cannot search by", "neither conditions nor search"],
)
def test_a_server_that_takes_no_report_gets_nothing_and_it_is_said(can: Can) -> None:
    with server(can) as (store, there):
        with pytest.raises(PeerRefused, match=r"^undeliverable: the server takes no DiagnosticReport .*; set hl7"):
            sent(there.url, report())
        assert store.writes == []


def test_without_conditions_and_search_our_own_ids_do() -> None:
    can = Can(searches=frozenset(), conditional_update=False, conditional_create=False, update_create=True)
    with server(can) as (_, there):
        sent(there.url, SAID)
        assert sent(there.url, SAID) == f"all {entries(SAID)} entries stood there already"
        made = {f"{r.type}/{r.id}" for r in emitted(SAID) if r.type != "Patient"}
        assert there.every_version() == dict.fromkeys(made, 1)


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_server_that_takes_no_transaction_after_all_gets_it_entry_by_entry(status: int) -> None:
    with server(transaction=False, refuses_transactions=status) as (store, there):
        assert sent(there.url, report()) == f"{entries(report())} entries one by one"
        assert there.dangling() == set()
        assert len(store.of_type("DiagnosticReport")) == 1


@pytest.mark.parametrize("conditional", [True, False])
def test_a_server_that_does_not_say_what_it_made_is_asked(conditional: bool) -> None:
    can = Can(transaction=False, silent=True, conditional_update=conditional)
    with server(can) as (_, there):
        assert sent(there.url, report()) == f"{entries(report())} entries one by one"
        assert there.dangling() == set()
        assert "stood there already" in sent(there.url, report())


def test_what_stands_under_the_servers_ids_keeps_them_when_ours_are_chosen_later() -> None:
    with server(update_create=True) as (_, there):
        sent(there.url, report())
        made = set(there.every_version())
        sent(there.url, report(version=2), report(), own_ids=True)
        kinds = [name.partition("/")[0] for name in there.every_version()]
        assert set(there.every_version()) > made
        assert kinds.count("DiagnosticReport") == 1
        assert kinds.count("Provenance") == 2


def test_a_server_that_learned_to_take_reports_is_believed_at_once() -> None:
    with server(NO_REPORTS) as (store, there), sink_to(there.url) as sink:
        payload = sink.encode(report(), "d1")
        with pytest.raises(PeerRefused, match="undeliverable"):
            sink.send(payload)
        store.can = EVERYTHING
        assert sink.send(payload) == f"200 for {entries(report())} entries"


# --- the other way


def test_what_it_does_not_take_goes_by_oru_and_the_answer_says_so() -> None:
    with oru() as (engine, other), server(NO_REPORTS) as (store, there):
        answer = sent(there.url, report(), otherwise=other)
        assert answer.startswith("by HL7 v2, for the server takes no DiagnosticReport")
        assert answer.endswith(": AA for message " + answer.rpartition(" ")[2])
        block = engine.wait(5)
        assert block is not None
        assert Message(block).first("MSH").text(9, 1) == "ORU"
        with sink_to(there.url, otherwise=other) as sink:
            sink.send(sink.retract(report(), "d2", "it was of another patient"))
        block = engine.wait(5)
        assert block is not None
        assert Message(block).first("OBR").text(25) == "X"
        assert store.writes == []


def test_what_it_takes_does_not_go_by_oru() -> None:
    with oru() as (engine, other), server() as (_, there):
        assert sent(there.url, report(), otherwise=other) == f"200 for {entries(report())} entries"
        with sink_to(there.url, otherwise=other) as sink:
            sink.send(sink.retract(report(), "d2", "it was of another patient"))
        assert engine.wait(0.2) is None
        assert {body["status"] for body in there.all("DiagnosticReport")} == {"entered-in-error"}


def test_what_may_have_gone_by_oru_before_is_taken_back_both_ways() -> None:
    with oru() as (engine, other), server() as (_, there), sink_to(there.url, otherwise=other) as sink:
        answer = sink.send(sink.retract(report(), "d2", "it was of another patient"))
        assert "; by HL7 v2 too: AA for message " in answer
        block = engine.wait(5)
        assert block is not None
        assert Message(block).first("OBR").text(25) == "X"
        assert {body["status"] for body in there.all("DiagnosticReport")} == {"entered-in-error"}


def test_a_report_that_no_oru_can_be_made_of_is_held_with_the_reason() -> None:
    nobody = report(match=UNMATCHED, patient=None, advice=())
    with oru() as (_, other):
        with server() as (_, there):
            assert sent(there.url, nobody, otherwise=other).startswith("200 for")
        with server(NO_REPORTS) as (_, there), pytest.raises(PeerRefused, match=r"no ORU.* want a patient in a report"):
            sent(there.url, nobody, otherwise=other)


def test_what_was_encoded_before_the_other_way_was_set_is_still_sent() -> None:
    with sink_to("http://127.0.0.1:1/fhir") as plain:
        payload = plain.encode(report(), "d1")
    with oru() as (_, other):
        with server() as (_, there), sink_to(there.url, otherwise=other) as sink:
            assert sink.send(payload) == f"200 for {entries(report())} entries"
        with (
            server(NO_REPORTS) as (_, there),
            sink_to(there.url, otherwise=other) as sink,
            pytest.raises(PeerRefused, match="before hl7 was set"),
        ):
            sink.send(payload)


def test_what_was_encoded_with_another_way_is_still_sent_without_it() -> None:
    with oru() as (_, other), sink_to("http://127.0.0.1:1/fhir", otherwise=other) as both:
        payload = both.encode(report(), "d1")
        assert both.made(payload) == ()
    with server() as (_, there), sink_to(there.url) as sink:
        assert sink.send(payload) == f"200 for {entries(report())} entries"


def test_what_was_encoded_under_our_own_ids_before_is_still_sent() -> None:
    with sink_to("http://127.0.0.1:1/fhir") as sink:
        bundle = json.loads(sink.encode(report(), "d1"))
    for entry in bundle["entry"]:
        own = entry["fullUrl"].removeprefix("urn:uuid:")
        entry["resource"]["id"] = own
        entry["request"]["url"] = f"{entry['resource']['resourceType']}/{own}"
    with server() as (_, there), sink_to(there.url) as sink:
        assert sink.send(json.dumps(bundle).encode()) == f"200 for {entries(report())} entries"
        assert "stood there already" in sent(there.url, report())


def test_the_other_way_is_for_the_same_eyes() -> None:
    for options in ({"audience": Audience.RADIOLOGIST}, {"processing": "T"}):
        with oru(**options) as (_, other), pytest.raises(ConfigurationError, match="audience and processing"):
            sent("http://127.0.0.1:1/fhir", report(), otherwise=other)


def test_a_critical_result_goes_by_oru_where_the_server_takes_no_communication() -> None:
    number = delivery_id(RESULT.id, "duty")
    with Engine() as engine, server(read_only=frozenset({"Communication"})) as (_, there):
        to = MllpDestination(host="127.0.0.1", port=engine.port)
        other = CriticalOru("critical:duty", to, facility="SITE", time_zone="Europe/Berlin")
        with channel(there.url, other) as duty:
            answer = duty.send(duty.encode(NOTICE, number))
        assert answer.endswith(f": AA for message {message_number(number)}")
        assert engine.wait(5) is not None
        with channel(there.url) as duty, pytest.raises(PeerRefused, match=r"^undeliverable: the server takes no Comm"):
            duty.send(duty.encode(NOTICE, number))

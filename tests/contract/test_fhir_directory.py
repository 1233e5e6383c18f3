"""What a FHIR server itself has under our numbers is looked up before anything is written, and never written."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cds.errors import PeerFailed, PeerRefused, Unavailable
from tests.contract.fhir_proxy import proxy
from tests.contract.fhir_server import patient_of_the_hospital
from tests.contract.fhir_sink_contract import entries, sent, sink_to
from tests.contract.fhir_store_peer import server
from tests.contract.fhir_wire import Asked, Reply, outcome, serving
from tests.unit.fhir_samples import report


def refusing(door: Any, kind: str, status: int) -> Any:
    """A server that does not let us search a type."""

    def answering(asked: Asked) -> Reply:
        searched = asked.path == f"/fhir/{kind}/_search"
        return Reply(status, outcome("forbidden")) if searched else door.answer(asked)

    return answering


@pytest.mark.parametrize(("status", "said"), [(400, "400"), (403, "it does not let us")])
def test_a_look_up_that_is_refused_leaves_the_logical_reference_and_is_said(status: int, said: str) -> None:
    with server() as (store, there), proxy(there) as door, serving(refusing(door, "Patient", status)) as wire:
        patient_of_the_hospital(there)
        assert f"; Patient not looked up: {said}" in sent(wire.url, report())
        [main] = store.of_type("DiagnosticReport")
        assert "reference" not in main["subject"]


def test_a_look_up_that_fails_writes_nothing() -> None:
    with server() as (store, there), proxy(there) as door, serving(refusing(door, "Patient", 500)) as wire:
        with pytest.raises(PeerFailed):
            sent(wire.url, report())
        assert store.writes == []


def test_a_server_that_lets_us_write_and_not_look_gets_conditional_updates() -> None:
    with server() as (store, there), proxy(there) as door, serving(refusing(door, "Observation", 403)) as wire:
        sent(wire.url, report())
        assert sent(wire.url, report()).startswith("200 for")
        assert len(store.of_type("Observation")) == 2
        assert there.dangling() == set()


def test_look_ups_are_believed_for_minutes() -> None:
    with server() as (_, there), proxy(there) as door:
        patient_of_the_hospital(there)
        searched = []

        def answering(asked: Asked) -> Reply:
            searched.append(asked.path)
            return door.answer(asked)

        with serving(answering) as wire, sink_to(wire.url) as sink:
            for number in range(3):
                sink.send(sink.encode(report(version=number + 1), f"d{number}"))
        assert searched.count("/fhir/Patient/_search") == 1
        assert searched.count("/fhir/metadata") == 1
        assert searched.count("/fhir/DiagnosticReport/_search") == 3


def test_an_order_of_another_patient_under_the_same_accession_number_is_not_ours() -> None:
    with server() as (store, there):
        patient_of_the_hospital(there)
        other = there.create({"resourceType": "Patient", "name": [{"family": "Other"}]})
        accession = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
        there.create(
            {
                "resourceType": "ServiceRequest", "status": "active", "intent": "order",
                "subject": {"reference": f"Patient/{other['id']}"},
                "identifier": [{"type": accession, "system": "https://hospital.example/acc", "value": "ACC1"}],
            }
        )  # fmt: skip
        sent(there.url, report())
        [main] = store.of_type("DiagnosticReport")
        assert "reference" not in main["basedOn"][0]


def test_what_a_person_mended_there_is_looked_up_anew() -> None:
    with server() as (store, there), sink_to(there.url) as sink:
        kept, doubled = patient_of_the_hospital(there), patient_of_the_hospital(there)
        payload = sink.encode(report(), "d1")
        with pytest.raises(PeerRefused, match="several Patients"):
            sink.send(payload)
        link = {"other": {"reference": f"Patient/{kept['id']}"}, "type": "replaced-by"}
        there.change(doubled, link=[link])
        sink.send(payload)
        [main] = store.of_type("DiagnosticReport")
        assert main["subject"]["reference"] == f"Patient/{kept['id']}"


def test_two_deliveries_at_once_do_not_make_two_of_anything() -> None:
    with server() as (store, there), sink_to(there.url) as sink:
        payload = sink.encode(report(), "d1")
        wrong: list[BaseException] = []

        def send() -> None:
            try:
                sink.send(payload)
            except Unavailable as error:
                wrong.append(error)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(store.versions) == entries(report())

"""A FHIR server of another project (Medplum's router and its store in memory) takes reports, and gives them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.fhir.sink import FhirSink
from cds.destinations import FhirDestination
from cds.domain.identity import HumanName, Identifier
from cds.domain.verification import Agreement, Verdict
from cds.errors import PeerRefused
from tests.peers.medplum import FhirServer, of_the_hospital, running
from tests.unit.fhir_samples import DENSITY, LAA, PATIENT, SYSTEMS, emitted, report
from tests.unit.opinions import compared, verified

pytestmark = pytest.mark.peers

WITHDRAWN = ("DiagnosticReport", "Observation", "RiskAssessment")
KINDS = (*WITHDRAWN, "Device", "Provenance")


@pytest.fixture
def server() -> Iterator[FhirServer]:
    """An empty one."""
    with running() as server:
        yield server


def sink_to(server: FhirServer, *, own_ids: bool = False) -> FhirSink:
    """A sink to it."""
    return FhirSink(
        "ehr",
        FhirDestination(url=server.url),
        identifier_systems=SYSTEMS,
        site_name="Sample Hospital",
        own_ids=own_ids,
    )


def test_a_report_arrives_with_its_observations_devices_and_provenances(server: FhirServer) -> None:
    said = compared(verified(report(), Verdict.CONFIRMED), Agreement.AGREES)
    sink = sink_to(server)
    assert sink.send(sink.encode(said, "d1")) == "200 for 7 entries"
    [main] = server.all("DiagnosticReport")
    observations = server.all("Observation")
    assert main["status"] == "preliminary"
    assert {r["reference"] for r in main["result"]} == {f"Observation/{o['id']}" for o in observations}
    [device] = server.all("Device")
    assert {o["device"]["reference"] for o in observations} == {f"Device/{device['id']}"}
    assert len(server.all("RiskAssessment")) == 1
    assert len(server.all("Provenance")) == 2
    assert server.all("Patient") == []


def test_a_repeat_makes_no_second_resource_and_changes_no_content(server: FhirServer) -> None:
    sink = sink_to(server)
    payload = sink.encode(verified(report(), Verdict.CONFIRMED), "d1")
    sink.send(payload)
    before = {kind: [_content(body) for body in server.all(kind)] for kind in KINDS}
    sink.send(payload)
    assert {kind: [_content(body) for body in server.all(kind)] for kind in KINDS} == before
    # R4 leaves it to the server whether an update that changes nothing makes a version: this one makes one.
    assert server.versions(server.all("DiagnosticReport")[0]) == 2


def test_a_new_version_updates_the_same_resources(server: FhirServer) -> None:
    sink = sink_to(server)
    sink.send(sink.encode(report(), "d1"))
    fewer = report(replace(DENSITY, findings=(LAA,)), version=2)
    sink.send(sink.encode(fewer, "d2", report()))
    [main] = server.all("DiagnosticReport")
    assert "Version 2, replaces version 1." in main["conclusion"]
    assert sorted(o["status"] for o in server.all("Observation")) == ["entered-in-error", "preliminary"]
    assert len(server.all("Provenance")) == 2


def test_what_the_hospital_has_is_unchanged_by_a_report_and_by_its_retraction(server: FhirServer) -> None:
    theirs = of_the_hospital(server)
    sink = sink_to(server)
    sink.send(sink.encode(report(), "d1"))
    assert server.unchanged(theirs)
    sink.send(sink.retract(report(), "d2", "it was of another patient"))
    assert server.unchanged(theirs)
    assert len(server.all("Patient")) == 1
    assert len(server.all("DiagnosticReport")) == 2


def test_a_report_of_the_wrong_patient_is_taken_back_and_the_right_one_has_its_own(server: FhirServer) -> None:
    sink = sink_to(server)
    sink.send(sink.encode(report(), "d1"))
    right = replace(PATIENT, identifiers=(Identifier("777", "HOSPITAL"),), name=HumanName("Other", "Olga"), id="p2")
    assert sink.send(sink.retract(report(), "d2", "it was of another patient")) == "200 for 5 entries"
    for kind in WITHDRAWN:
        assert {body["status"] for body in server.ours(kind)} == {"entered-in-error"}
        assert all(body["subject"]["identifier"]["value"] == "12345" for body in server.ours(kind))
    assert "12.5" not in json.dumps(server.all("Observation"))
    sink.send(sink.encode(replace(report(patient=right), episode=2), "d3"))
    for kind in WITHDRAWN:
        standing = [body for body in server.ours(kind) if body["status"] == "preliminary"]
        assert len(standing) == len(server.ours(kind)) / 2
        assert {body["subject"]["identifier"]["value"] for body in standing} == {"777"}


def test_a_transaction_that_is_longer_than_this_server_takes_is_refused_as_a_whole(server: FhirServer) -> None:
    # Medplum takes eight entries at most where one of them is conditional.
    many = replace(DENSITY, findings=tuple(replace(LAA, key=f"laa-{number}") for number in range(8)))
    sink = sink_to(server)
    with pytest.raises(PeerRefused, match=r"400 \(invalid\)"):
        sink.send(sink.encode(report(many), "d1"))
    assert server.all("Observation") == []
    sink = sink_to(server, own_ids=True)
    assert sink.send(sink.encode(report(many), "d1")) == "200 for 12 entries"


def test_a_server_that_lets_us_choose_ids_has_ours(server: FhirServer) -> None:
    sink = sink_to(server, own_ids=True)
    said = verified(report(), Verdict.CONFIRMED)
    sink.send(sink.encode(said, "d1"))
    sink.send(sink.encode(said, "d1"))
    made = {(r.type, r.id) for r in emitted(said) if r.type != "Patient"}
    assert {(body["resourceType"], body["id"]) for kind in KINDS for body in server.all(kind)} == made
    sink.send(sink.retract(said, "d2", "it was of another patient"))
    assert {body["status"] for kind in WITHDRAWN for body in server.ours(kind)} == {"entered-in-error"}
    assert len(server.all("Provenance")) == 3


def _content(body: dict[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in body.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    return {**body, "meta": meta}

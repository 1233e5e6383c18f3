"""What every FHIR server keeps of a report, whichever way it got there. Runs against the store peer and Medplum."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from adapters.fhir.client import open_client
from adapters.fhir.keys import SmartKeys
from adapters.fhir.sink import FhirSink
from cds.destinations import FhirDestination
from cds.domain.identity import HumanName, Identifier
from cds.domain.report import Report
from cds.domain.resource import WITHDRAWABLE
from cds.domain.verification import Agreement, Verdict
from cds.errors import PeerRefused, Unavailable
from cds.ports import ReportSink
from tests.contract.fhir_proxy import proxy
from tests.contract.fhir_server import KINDS, FhirServer, Json, of_the_hospital, patient_of_the_hospital
from tests.unit.clinical import StillClock
from tests.unit.fhir_samples import DENSITY, HEAD, LAA, PATIENT, STUDY_UID, SYSTEMS, emitted, report, samples
from tests.unit.opinions import compared, verified
from tests.unit.test_fhir_transaction import AT

#: How a server takes a report: as one, entry by entry with conditions, or entry by entry by search.
Way = Literal["transaction", "conditional", "search"]

SAID = compared(verified(report(), Verdict.CONFIRMED), Agreement.AGREES)
#: A report with a draft order, a task and a flag.
FULL = replace(
    samples()["follow-up accepted"], outcomes=(DENSITY, HEAD), critical=("head_bleed.haemorrhage",), version=1
)


@contextlib.contextmanager
def sink_to(url: str, *, own_ids: bool = False, otherwise: ReportSink | None = None, **more: Any) -> Iterator[FhirSink]:
    """A sink to a server, which waits for nobody."""
    to = FhirDestination(url=url, own_ids=own_ids, **more)
    client = open_client("ehr", to, SmartKeys(()), sleep=lambda _: None)
    try:
        yield FhirSink(
            "ehr", to, client=client, identifier_systems=SYSTEMS, site_name="Sample Hospital", otherwise=otherwise,
            clock=StillClock(AT),
        )  # fmt: skip
    finally:
        client.close()


def sent(url: str, said: Report, earlier: Report | None = None, **options: Any) -> str:
    """What one attempt came to."""
    with sink_to(url, **options) as sink:
        return sink.send(sink.encode(said, f"delivery-{said.version}", earlier))


def entries(said: Report) -> int:
    """How many resources a report has for another server."""
    return len([resource for resource in emitted(said) if resource.type != "Patient"])


def content(server: FhirServer) -> dict[str, Json]:
    """What there is of ours, without what the server stamps on it."""
    found = {}
    for kind in KINDS:
        for body in server.all(kind):
            meta = {name: value for name, value in body["meta"].items() if name not in ("versionId", "lastUpdated")}
            found[f"{kind}/{body['id']}"] = {**body, "meta": meta}
    return found


class FhirSinkContract:
    """`way` says what the server of the fixture can do."""

    @pytest.fixture(params=["transaction", "conditional", "search"])
    def way(self, request: pytest.FixtureRequest) -> Way:
        """How it takes a report."""
        found: Way = request.param
        return found

    def test_a_report_arrives_with_its_observations_devices_and_provenances(self, server: FhirServer, way: Way) -> None:
        answer = sent(server.url, SAID)
        wanted = entries(SAID)
        assert answer == (f"200 for {wanted} entries" if way == "transaction" else f"{wanted} entries one by one")
        [main] = server.all("DiagnosticReport")
        observations = server.all("Observation")
        assert main["status"] == "preliminary"
        assert {r["reference"] for r in main["result"]} == {f"Observation/{o['id']}" for o in observations}
        [device] = server.all("Device")
        assert {o["device"]["reference"] for o in observations} == {f"Device/{device['id']}"}
        assert len(server.all("RiskAssessment")) == 1
        assert len(server.all("Provenance")) == 2
        assert server.all("Patient") == []
        assert server.dangling() == set()
        assert "urn:uuid" not in json.dumps(content(server))

    def test_orders_tasks_and_flags_arrive_with_it_and_a_repeat_changes_nothing(self, server: FhirServer) -> None:
        theirs = of_the_hospital(server)
        with proxy(server) as door, sink_to(door.url) as sink:
            payload = sink.encode(FULL, "d1")
            sink.send(payload)
            assert door.dangling == set()
            made = server.every_version()
            assert {name.partition("/")[0] for name in made} >= {"ServiceRequest", "Task", "Flag", "RiskAssessment"}
            assert sink.send(payload).startswith("all ")
            assert server.every_version() == made
            sink.send(sink.retract(FULL, "d2", "it was of another patient"))
            assert door.dangling == set()
        assert {b["status"] for kind in WITHDRAWABLE for b in server.ours(kind)} == {"entered-in-error"}
        assert server.unchanged(theirs)

    def test_an_order_that_somebody_signed_is_theirs_whatever_becomes_of_the_report(self, server: FhirServer) -> None:
        sent(server.url, FULL)
        [draft] = server.all("ServiceRequest")
        signed = server.change(draft, status="active", intent="order")
        declined = replace(samples()["follow-up declined"], outcomes=FULL.outcomes, version=2, replaces=1)
        left = "the ServiceRequest there is active and was left as it is"
        assert left in sent(server.url, declined, FULL)
        with sink_to(server.url) as sink:
            assert left in sink.send(sink.retract(FULL, "d3", "it was of another patient"))
        assert server.all("ServiceRequest") == [signed]
        assert {body["status"] for body in server.all("Task")} == {"entered-in-error"}

    def test_a_repeat_makes_no_second_resource_and_no_new_version(self, server: FhirServer) -> None:
        with sink_to(server.url) as sink:
            payload = sink.encode(SAID, "d1")
            sink.send(payload)
            before, versions = content(server), server.every_version()
            assert sink.send(payload) == f"all {entries(SAID)} entries stood there already"
        with sink_to(server.url) as other:  # after a restart too
            assert other.send(payload) == f"all {entries(SAID)} entries stood there already"
        assert content(server) == before
        assert server.every_version() == versions == dict.fromkeys(versions, 1)

    def test_a_new_version_updates_the_same_resources_and_leaves_the_device_alone(self, server: FhirServer) -> None:
        sent(server.url, report())
        fewer = report(replace(DENSITY, findings=(LAA,)), version=2)
        assert sent(server.url, fewer, report()).endswith(", 4 stood there already")
        [main] = server.all("DiagnosticReport")
        assert "Version 2, replaces version 1." in main["conclusion"]
        assert server.versions(main) == 2
        assert sorted(o["status"] for o in server.all("Observation")) == ["entered-in-error", "preliminary"]
        assert len(server.all("Provenance")) == 2
        [device] = server.all("Device")
        assert server.versions(device) == 1

    def test_what_the_hospital_has_is_unchanged_by_a_report_and_by_its_retraction(self, server: FhirServer) -> None:
        theirs = of_the_hospital(server)
        sent(server.url, report())
        assert server.unchanged(theirs)
        with sink_to(server.url) as sink:
            sink.send(sink.retract(report(), "d2", "it was of another patient"))
        assert server.unchanged(theirs)
        assert len(server.all("Patient")) == 1
        assert len(server.all("DiagnosticReport")) == 2

    def test_a_report_of_the_wrong_patient_is_taken_back_and_the_right_one_has_its_own(
        self, server: FhirServer
    ) -> None:
        sent(server.url, report())
        right = replace(PATIENT, identifiers=(Identifier("777", "HOSPITAL"),), name=HumanName("Other", "Olga"), id="p2")
        with sink_to(server.url) as sink:
            for _ in range(2):
                sink.send(sink.retract(report(), "d2", "it was of another patient"))
        for kind in ("DiagnosticReport", "Observation", "RiskAssessment"):
            assert {body["status"] for body in server.ours(kind)} == {"entered-in-error"}
            assert all(body["subject"]["identifier"]["value"] == "12345" for body in server.ours(kind))
        assert "12.5" not in json.dumps([body for name, body in content(server).items() if "Observation" in name])
        sent(server.url, replace(report(patient=right), episode=2))
        for kind in ("DiagnosticReport", "Observation", "RiskAssessment"):
            standing = [body for body in server.ours(kind) if body["status"] == "preliminary"]
            assert len(standing) == len(server.ours(kind)) / 2
            assert {body["subject"]["identifier"]["value"] for body in standing} == {"777"}
        assert server.dangling() == set()

    def test_a_report_that_is_longer_than_a_transaction_may_be_arrives_entry_by_entry(
        self, server: FhirServer, way: Way
    ) -> None:
        # Medplum takes eight entries at most where one of them is conditional.
        many = report(replace(DENSITY, findings=tuple(replace(LAA, key=f"laa-{number}") for number in range(8))))
        assert sent(server.url, many) == f"{entries(many)} entries one by one"
        assert len(server.all("DiagnosticReport")[0]["result"]) == 8
        assert server.dangling() == set()
        assert sent(server.url, many) == f"all {entries(many)} entries stood there already"

    def test_a_server_that_lets_us_choose_ids_has_ours(self, server: FhirServer, way: Way) -> None:
        if way == "search":
            pytest.skip("it does not")
        with sink_to(server.url, own_ids=True) as sink:
            sink.send(sink.encode(SAID, "d1"))
            sink.send(sink.encode(SAID, "d1"))
            made = {f"{r.type}/{r.id}" for r in emitted(SAID) if r.type != "Patient"}
            assert server.every_version() == dict.fromkeys(made, 1)
            assert server.dangling() == set()
            sink.send(sink.retract(SAID, "d2", "it was of another patient"))
        standing = {body["status"] for kind in WITHDRAWABLE for body in server.ours(kind)}
        assert standing == {"entered-in-error"}
        assert len(server.all("Provenance")) == 3

    def test_its_own_patient_order_and_images_are_named_by_their_addresses_too(self, server: FhirServer) -> None:
        patient = patient_of_the_hospital(server)
        subject = {"reference": f"Patient/{patient['id']}"}
        images = server.create(
            {
                "resourceType": "ImagingStudy", "status": "available", "subject": subject,
                "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}],
            }
        )  # fmt: skip
        accession = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
        order = server.create(
            {
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": subject,
                "identifier": [{"type": accession, "system": "https://hospital.example/accession", "value": "ACC1"}],
            }
        )  # fmt: skip
        sent(server.url, report())
        [main] = server.ours("DiagnosticReport")
        assert main["subject"]["reference"] == f"Patient/{patient['id']}"
        assert main["subject"]["identifier"]["value"] == "12345"
        assert [one["reference"] for one in main["basedOn"]] == [f"ServiceRequest/{order['id']}"]
        assert [one["reference"] for one in main["imagingStudy"]] == [f"ImagingStudy/{images['id']}"]
        assert {o["subject"]["reference"] for o in server.ours("Observation")} == {f"Patient/{patient['id']}"}
        assert server.unchanged([patient, images, order])
        assert sent(server.url, report()).startswith("all ")

    def test_several_patients_with_the_number_are_a_question_for_a_person(self, server: FhirServer) -> None:
        patient_of_the_hospital(server)
        patient_of_the_hospital(server)
        with pytest.raises(PeerRefused, match="several Patients there"):
            sent(server.url, report())
        assert server.every_version() == {}

    def test_a_patient_who_was_replaced_leaves_one(self, server: FhirServer) -> None:
        kept = patient_of_the_hospital(server)
        link = {"other": {"reference": f"Patient/{kept['id']}"}, "type": "replaced-by"}
        patient_of_the_hospital(server, active=False, link=[link])
        sent(server.url, report())
        assert {body["subject"]["reference"] for body in server.ours("Observation")} == {f"Patient/{kept['id']}"}

    def test_images_that_the_server_has_under_another_patient_are_a_contradiction(self, server: FhirServer) -> None:
        patient_of_the_hospital(server)
        other = server.create({"resourceType": "Patient", "name": [{"family": "Other"}]})
        server.create(
            {
                "resourceType": "ImagingStudy", "status": "available",
                "subject": {"reference": f"Patient/{other['id']}"},
                "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY_UID}"}],
            }
        )  # fmt: skip
        with pytest.raises(PeerRefused, match="another Patient's"):
            sent(server.url, report())
        assert server.every_version() == {}
        with sink_to(server.url) as sink:  # what was told wrongly is taken back all the same
            sink.send(sink.retract(report(), "d2", "it was of another patient"))
        assert {body["status"] for body in server.ours("DiagnosticReport")} == {"entered-in-error"}

    def test_two_copies_of_ours_are_a_question_for_a_person(self, server: FhirServer) -> None:
        sent(server.url, report())
        [main] = server.all("DiagnosticReport")
        server.create({name: value for name, value in main.items() if name not in ("id", "meta")})
        versions = server.every_version()
        with pytest.raises(PeerRefused, match="several DiagnosticReport there have one number of ours"):
            sent(server.url, report(version=2), report())
        assert server.every_version() == versions

    @pytest.mark.parametrize("wrong", ["before", "lost", "500"])
    def test_killed_in_the_middle_and_sent_again_there_is_one_of_each_and_never_a_dangling_reference(
        self, server: FhirServer, way: Way, wrong: str
    ) -> None:
        theirs = of_the_hospital(server)
        first, second = report(), report(replace(DENSITY, findings=(LAA,)), version=2)
        told = [(first, None), (second, first)]
        with proxy(server) as door, sink_to(door.url) as sink:
            for said, earlier in told:
                payload = sink.encode(said, f"d{said.version}", earlier)
                for _ in range(2 * entries(first)):  # each attempt gets one write further
                    failing = door.writes + (1 if way == "transaction" and not door.writes else 2)
                    door.fault = {failing: wrong}.get
                    with contextlib.suppress(Unavailable):
                        sink.send(payload)
                        break
                else:
                    pytest.fail("it never arrived")
            assert door.dangling == set()
            made = server.every_version()
            assert sink.send(payload).startswith("all ")
        assert server.every_version() == made
        assert len(server.ours("DiagnosticReport")) == 1
        assert sorted(o["status"] for o in server.ours("Observation")) == ["entered-in-error", "preliminary"]
        assert (len(server.all("Device")), len(server.all("Provenance"))) == (1, 2)
        assert max(made.values()) == 2
        assert server.unchanged(theirs)

    def test_a_retraction_that_is_killed_in_the_middle_took_back_the_report_first(
        self, server: FhirServer, way: Way
    ) -> None:
        if way == "transaction":
            pytest.skip("a transaction has no middle")
        sent(server.url, report())
        with proxy(server) as door, sink_to(door.url) as sink:
            door.fault = lambda number: "500" if number == 2 else None
            payload = sink.retract(report(), "d2", "it was of another patient")
            with pytest.raises(Unavailable):
                sink.send(payload)
            assert [body["status"] for body in server.ours("DiagnosticReport")] == ["entered-in-error"]
            assert {body["status"] for body in server.ours("Observation")} == {"preliminary"}
            sink.send(payload)
            assert door.dangling == set()
        assert {b["status"] for kind in WITHDRAWABLE for b in server.ours(kind)} == {"entered-in-error"}

    def test_an_hour_without_the_server_is_unavailable_each_time_and_then_it_arrives_once(
        self, server: FhirServer
    ) -> None:
        with proxy(server) as door, sink_to(door.url) as sink:
            payload = sink.encode(report(), "d1")
            door.down = True
            for _ in range(3):
                with pytest.raises(Unavailable):
                    sink.send(payload)
            door.down = False
            sink.send(payload)
        versions = server.every_version()
        assert versions == dict.fromkeys(versions, 1)
        assert len(versions) == entries(report())

    def test_what_somebody_there_made_of_our_report_is_said_and_our_next_version_stands(
        self, server: FhirServer
    ) -> None:
        sent(server.url, report())
        [main] = server.all("DiagnosticReport")
        server.change(main, status="amended", conclusion="Somebody wrote this.")
        assert "the DiagnosticReport there was amended" in sent(server.url, report(version=2), report())
        [main] = server.all("DiagnosticReport")
        assert main["status"] == "preliminary"

    def test_a_task_that_people_there_took_up_is_left_to_them(self, server: FhirServer) -> None:
        sent(server.url, report())
        [task] = server.all("Task")
        begun = server.change(task, status="in-progress")
        answer = sent(server.url, report(version=2), report())
        assert "the Task there is in-progress and was left as it is" in answer
        assert server.all("Task") == [begun]

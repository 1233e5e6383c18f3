"""A FHIR server of another project (Medplum's router over its store in memory) as the EHR that is polled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from adapters.fhir.client import FhirClient, open_client
from adapters.fhir.keys import SmartKeys
from cds.bootstrap.fhir_events import listening
from cds.listening.listening import listen
from cds.listening.parts import Listening
from cds.settings import Settings
from cds.store.fhir_feeds import feeds
from cds.store.holds import open_holds
from cds.store.safety_tables import FinalReportRow
from cds.store.study_events import StudyEventStore
from cds.store.values import parse
from tests.contract.identity_contract import Feed
from tests.databases import Databases, fresh
from tests.peers.medplum import FhirServer, running

pytestmark = pytest.mark.peers

Json = dict[str, Any]

MRN = "https://hospital.example/mrn"
V2 = "http://terminology.hl7.org/CodeSystem/v2-0203"
ACCESSION = {"type": {"coding": [{"system": V2, "code": "ACSN"}]}, "value": "A1"}


class RealClock:
    """The machine's, which is the server's too; `ahead` is what a test waits for without waiting."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def today(self) -> date:
        return self.now().date()


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with running() as server:
        yield server


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    with fresh(tmp_path) as databases:
        feed = Feed(databases)
        feed.register("P1")
        feed.order("P1", "A1")
        yield databases


@pytest.fixture
def line(server: FhirServer, databases: Databases) -> Iterator[Listening]:
    """A worker that has looked once."""
    source = {"url": server.url, "poll_interval_s": 1, "overlap_s": 60}
    settings = Settings(
        data_dir=databases.data_dir,
        fhir_sources={"ehr": source},
        identifier_systems={MRN: "HOSP"},
        accession_issuer="RIS",
    )
    client: FhirClient = open_client("ehr", settings.fhir_sources["ehr"], SmartKeys(()))
    made = listening(settings, databases.app, RealClock(), "ehr", client)
    listen(made)
    yield made
    client.close()


def look(line: Listening) -> None:
    """Later."""
    time.sleep(0.05)
    RealClock.ahead += timedelta(seconds=2)
    listen(line)


def study(**members: object) -> Json:
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}, ACCESSION],
        "subject": {"reference": "Patient/unknown"},
        "started": "2026-11-20T09:50:00Z",
        "series": [{"uid": "1.2.840.1.1", "modality": {"code": "CT"}, "numberOfInstances": 100}],
        **members,
    }


def reports(databases: Databases) -> list[Json]:
    with databases.app.reading() as session:
        return [parse(Json, row.body) for row in session.exec(select(FinalReportRow)).all()]


def test_a_study_is_announced_once_with_its_order_and_where_it_is(
    server: FhirServer, databases: Databases, line: Listening
) -> None:
    wado = {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "dicom-wado-rs"}
    endpoint = server.create(
        {
            "resourceType": "Endpoint",
            "status": "active",
            "connectionType": wado,
            "payloadType": [{"text": "DICOM"}],
            "address": "https://pacs.example/dicom-web",
        }
    )
    server.create(study(endpoint=[{"reference": f"Endpoint/{endpoint['id']}"}]))
    for _ in range(3):
        look(line)
    [event] = StudyEventStore(databases.app).of_study("1.2.840.1")
    assert event.accession is not None
    assert (event.accession.value, event.endpoint) == ("A1", "https://pacs.example/dicom-web")
    assert event.series == (("1.2.840.1.1", 100),)
    assert open_holds(databases.app) == []
    assert [feed.failures for feed in feeds(databases.app)] == [0, 0]


def test_a_change_that_says_nothing_new_is_taken_and_announces_nothing(
    server: FhirServer, databases: Databases, line: Listening
) -> None:
    made = server.create(study())
    look(line)
    server.change(made, description="CT chest, read")
    look(line)
    assert len(StudyEventStore(databases.app).of_study("1.2.840.1")) == 1
    assert line.notices.due("ehr", line.clock.now()) == []


def test_many_studies_are_read_over_many_pages(server: FhirServer, databases: Databases, line: Listening) -> None:
    for number in range(230):
        uid = f"1.2.840.{1000 + number}"
        series = [{"uid": f"{uid}.1", "modality": {"code": "CT"}, "numberOfInstances": 1}]
        server.create(study(identifier=[{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}], series=series))
    for _ in range(3):
        look(line)
    assert len(StudyEventStore(databases.app).pending(limit=1000)) == 230


def test_a_signed_report_is_filed_with_patient_and_order_by_reference_and_our_own_is_not(
    server: FhirServer, databases: Databases, line: Listening
) -> None:
    patient = server.create({"resourceType": "Patient", "identifier": [{"system": MRN, "value": "P1"}]})
    subject = {"reference": f"Patient/{patient['id']}"}
    order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": subject}
    made = server.create({**order, "identifier": [ACCESSION]})
    radiology = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}]
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "category": radiology,
        "code": {"text": "CT chest"},
        "subject": subject,
        "basedOn": [{"reference": f"ServiceRequest/{made['id']}"}],
        "conclusion": "No nodule.",
    }
    server.create(report)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}
    server.create({**report, "meta": {"security": [label]}})
    for _ in range(3):
        look(line)
    [filed] = reports(databases)
    assert filed["patient"] == {"value": "P1", "assigner": "HOSP"}
    assert filed["accession"] == {"value": "A1", "assigner": "RIS"}
    assert open_holds(databases.app) == []

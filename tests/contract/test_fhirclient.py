"""fhirclient, the SMART client of another project, reads our FHIR API over loopback; its models are strict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fhirclient._utils import iter_pages
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.device import Device
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.fhirsearch import FHIRSearch
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.models.provenance import Provenance
from fhirclient.models.resource import Resource
from fhirclient.server import FHIRNotFoundException, FHIRPermissionDeniedException
from requests import HTTPError

from cds.settings import Settings
from tests.contract.fhir_api import Granted, Site, commits, free_port, serving, sqlite_store
from tests.unit.fhir_samples import HEAD, PATIENT_ID, PUBLIC_ID, emitted, report

REPORT = next(r.id for r in emitted(report()) if r.type == "DiagnosticReport")


@pytest.fixture(scope="module")
def smart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FHIRClient]:
    """The client of a server with the sample reports in the real store."""
    port = free_port()
    settings = Settings(base_url=f"http://127.0.0.1:{port}", time_zone="Europe/Berlin")
    stored = sqlite_store(tmp_path_factory.mktemp("data"), commits())
    with serving(Site(stored, settings=settings), port=port) as url:
        yield FHIRClient(settings={"app_id": "test", "api_base": url})


def found(smart: FHIRClient, kind: type[Resource], **params: str) -> list[Any]:
    """Everything that a search brings, page by page."""
    named = {name.replace("__", ":"): text for name, text in params.items()}
    return list(FHIRSearch(kind, named).perform_resources_iter(smart.server))


def test_it_reads_what_the_server_can_do_and_needs_no_login_on_loopback(smart: FHIRClient) -> None:
    assert smart.prepare()
    assert smart.ready
    statement = smart.server.capabilityStatement
    assert statement.fhirVersion == "4.0.1"
    assert {one.type for one in statement.rest[0].resource} > {"DiagnosticReport", "Observation", "Patient"}


def test_it_reads_a_report_and_follows_what_it_refers_to(smart: FHIRClient) -> None:
    main = DiagnosticReport.read(REPORT, smart.server)
    assert (main.status, main.meta.versionId) == ("preliminary", "2")
    assert main.subject.resolved(Patient).name[0].family == "Unmistakable"
    observations = [reference.resolved(Observation) for reference in main.result]
    assert {one.device.resolved(Device).modelNumber for one in observations} == {"ct_lung_density", "head_bleed"}


def test_it_searches_by_every_kind_of_parameter(smart: FHIRClient) -> None:
    [main] = found(smart, DiagnosticReport, identifier=f"urn:sightline:report|{PUBLIC_ID}")
    assert main.id == REPORT
    assert [one.id for one in found(smart, Patient, family="unmis", birthdate="1958-04-05", identifier="12345")] == [
        PATIENT_ID
    ]
    [measured] = found(smart, Observation, patient=PATIENT_ID, **{"value-quantity": "gt10||%"})
    assert measured.valueQuantity.value == 12.5
    assert len(found(smart, Observation, date="2026-03-04", subject__Patient=PATIENT_ID)) == 3
    assert len(found(smart, Provenance, target=f"DiagnosticReport/{REPORT}")) == 2


def test_it_follows_pages_to_the_end(smart: FHIRClient) -> None:
    search = FHIRSearch(Observation, {"patient.identifier": "12345", "_count": "1"})
    pages = list(search.perform_iter(smart.server))
    assert [len(page.entry) for page in pages] == [1, 1, 1]
    assert len({page.entry[0].resource.id for page in pages}) == 3
    assert all("12345" not in link.url for page in pages for link in page.link)


def test_what_comes_along_is_told_from_what_matches(smart: FHIRClient) -> None:
    search = FHIRSearch(Observation, {"patient": PATIENT_ID}).include("device").include("subject")
    [page] = search.perform_iter(smart.server)
    modes = [(entry.search.mode, entry.resource.resource_type) for entry in page.entry]
    assert sorted(modes) == [("include", "Device")] * 2 + [("include", "Patient")] + [("match", "Observation")] * 3
    reverse = FHIRSearch(Patient, {"_id": PATIENT_ID}).include("subject", Observation, reverse=True)
    [page] = reverse.perform_iter(smart.server)
    assert sorted(entry.search.mode for entry in page.entry) == ["include"] * 3 + ["match"]


def test_it_reads_the_history_of_a_report(smart: FHIRClient) -> None:
    history = Bundle.read_from(f"DiagnosticReport/{REPORT}/_history", smart.server)
    assert history.type == "history"
    assert [entry.resource.meta.versionId for entry in history.entry] == ["2", "1"]
    old = DiagnosticReport.read_from(f"DiagnosticReport/{REPORT}/_history/1", smart.server)
    assert "Version" not in old.conclusion


def test_it_reads_everything_of_a_patient_page_by_page(smart: FHIRClient) -> None:
    first = Bundle.read_from(f"Patient/{PATIENT_ID}/$everything?_count=5", smart.server)
    pages = list(iter_pages(first, smart.server))
    types = {entry.resource.resource_type for page in pages for entry in page.entry}
    assert types >= {"Patient", "Device", "Observation", "DiagnosticReport", "Provenance", "Task", "ServiceRequest"}
    assert len(pages) == 3


def test_it_understands_what_is_refused(smart: FHIRClient) -> None:
    with pytest.raises(FHIRNotFoundException):
        DiagnosticReport.read("none", smart.server)
    with pytest.raises(HTTPError, match="400"):
        found(smart, Observation, shoesize="43")


def test_it_understands_that_a_token_does_not_grant_something(tmp_path: Path) -> None:
    stored = sqlite_store(tmp_path, commits())
    with serving(Site(stored), Granted(frozenset({("Device", "r"), ("Device", "s")}))) as url:
        client = FHIRClient(settings={"app_id": "test", "api_base": url})
        assert {one.modelNumber for one in found(client, Device)} == {"ct_lung_density", HEAD.model}
        with pytest.raises(FHIRPermissionDeniedException):
            found(client, Patient)

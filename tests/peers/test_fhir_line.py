"""The whole line over FHIR: an ImagingStudy at the EHR leads to a report there, with its own data, and back again.

Medplum is the EHR, Orthanc the PACS. Nobody tells of images but the EHR; the order comes by HL7 v2, or from the EHR
alone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest

from cds.codes import DCM, LOINC, SNOMED
from tests.e2e.site import AUTHORITY, SYSTEM, Person, Site, free_port, order, series, serving, site, stop
from tests.peers import medplum
from tests.peers.conftest import Orthanc, OrthancFactory
from tests.peers.medplum import FhirServer

pytestmark = pytest.mark.peers

ACCESSION = f"urn:sightline:accession:{AUTHORITY}"
PERSON = Person()
#: Of whom no HL7 v2 message is ever sent.
UNSENT = Person("MRN-4711", "Qwertzopolis", "Wilma", date(1957, 8, 9), "F", "ACC-2")


@dataclass
class Hospital:
    """An EHR, a PACS and a site that is told of nothing but where they are."""

    ehr: FhirServer
    pacs: Orthanc
    site: Site
    patient: dict[str, Any]

    def about(self, kind: str, **members: Any) -> dict[str, Any]:
        """A resource of the patient, as the EHR keeps it."""
        subject = {"reference": f"Patient/{self.patient['id']}"}
        return self.ehr.create({"resourceType": kind, "subject": subject, **members})

    def ours(self, kind: str) -> list[dict[str, Any]]:
        """What we wrote of the patient."""
        subject = f"Patient/{self.patient['id']}"
        return [one for one in self.ehr.ours(kind) if one["subject"].get("reference") == subject]


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """All of it, running; the EHR knows the patient and what she smokes."""
    if shutil.which("Orthanc") is None:
        pytest.skip("Orthanc is not installed: make test-peers installs it")
    with ExitStack() as stack:
        ehr = stack.enter_context(medplum.running())
        pacs, process = OrthancFactory(tmp_path_factory.mktemp("pacs")).start(free_port(), dicomweb=True)
        stack.callback(stop, process)
        patient = registered(ehr, PERSON)
        one = site(
            tmp_path_factory.mktemp("site"),
            CDS_PACS_SOURCES=json.dumps({"pacs": {"retrieve": "wado-rs", "dicomweb": {"url": pacs.dicomweb}}}),
            CDS_FHIR_SOURCES=json.dumps({"ehr": {"url": ehr.url, "poll_interval_s": 1}}),
            CDS_FHIR_DESTINATIONS=json.dumps({"ehr-results": {"url": ehr.url}}),
            CDS_COUNT_INTERVAL_S="1",
        )
        yield stack.enter_context(_served(Hospital(ehr, pacs, one, patient)))


def registered(ehr: FhirServer, person: Person) -> dict[str, Any]:
    """A patient of the EHR."""
    return ehr.create(
        {
            "resourceType": "Patient",
            "identifier": [{"system": SYSTEM, "value": person.mrn}],
            "name": [{"family": person.family, "given": [person.given]}],
            "birthDate": person.birth_date.isoformat(),
            "gender": "female",
        }
    )


class _served:
    """The hospital while its site runs."""

    def __init__(self, hospital: Hospital) -> None:
        self._hospital, self._running = hospital, serving(hospital.site)

    def __enter__(self) -> Hospital:
        self._running.__enter__()
        return self._hospital

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)


def test_an_imaging_study_at_the_ehr_leads_to_a_report_at_the_ehr(hospital: Hospital, tmp_path: Path) -> None:
    smokes(hospital)
    paths = series(tmp_path, PERSON)
    for path in paths:
        hospital.pacs.post("/instances", path.read_bytes())
    assert hospital.site.hl7(order("O1", PERSON)).code == "AA"
    announce(hospital, paths, identifier=[accession(PERSON)])

    story = hospital.site.wait_for_report(PERSON.accession_number)
    [study] = story["studies"]
    assert study["instances"] == len(paths)
    told = json.dumps(story)
    assert "120 instances of series 1 (CT) came from pacs" in told
    [report] = hospital.ours("DiagnosticReport")
    assert report["status"] == "preliminary"
    assert report["subject"]["reference"] == f"Patient/{hospital.patient['id']}"
    assert report["imagingStudy"][0]["reference"].startswith("ImagingStudy/")
    assert {form["contentType"] for form in report["presentedForm"]} == {"text/html", "application/pdf"}
    assert "FHIR ehr" in hospital.site.cards(PERSON)[0]["detail"]
    results = {f"Observation/{one['id']}" for one in hospital.ours("Observation")}
    assert {one["reference"] for one in report["result"]} <= results

    conclusion = "Centrilobular emphysema."
    hospital.about(
        "DiagnosticReport",
        identifier=[accession(PERSON)],
        status="final",
        category=[{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        code={"coding": [{"system": LOINC, "code": "24627-2"}]},
        conclusion=conclusion,
        conclusionCode=[{"coding": [{"system": SNOMED, "code": "87433001"}]}],
    )
    later = hospital.site.wait_for_report(PERSON.accession_number, version=2)
    assert "radiolog" in json.dumps(later)
    signed = [one for one in hospital.ehr.all("DiagnosticReport") if one.get("conclusion") == conclusion]
    assert [hospital.ehr.versions(one) for one in signed] == [1]
    assert len(hospital.ours("DiagnosticReport")) == 1


def test_an_order_at_the_ehr_is_enough_without_any_message(hospital: Hospital, tmp_path: Path) -> None:
    hers = replace(hospital, patient=registered(hospital.ehr, UNSENT))
    smokes(hers)
    paths = series(tmp_path, UNSENT)
    for path in paths:
        hers.pacs.post("/instances", path.read_bytes())
    order = hers.about(
        "ServiceRequest",
        identifier=[accession(UNSENT)],
        status="active",
        intent="order",
        code={"coding": [{"system": LOINC, "code": "24627-2", "display": "CT Chest"}]},
        authoredOn=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    announce(hers, paths, basedOn=[{"reference": f"ServiceRequest/{order['id']}"}])

    story = hers.site.wait_for_report(UNSENT.accession_number)
    [study] = story["studies"]
    assert study["report"]["match"]["state"] == "matched"
    assert [one["source"] for one in story["orders"]] == ["FHIR ehr"]
    [report] = hers.ours("DiagnosticReport")
    assert report["status"] == "preliminary"
    assert [one.get("reference") for one in report["basedOn"]] == [f"ServiceRequest/{order['id']}"]
    assert "FHIR ehr" in hers.site.cards(UNSENT)[0]["detail"]


def accession(person: Person) -> dict[str, Any]:
    """The number of a person's exam."""
    return {"type": {"coding": [ACSN]}, "system": ACCESSION, "value": person.accession_number}


ACSN = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}


def smokes(hospital: Hospital) -> None:
    """US Core smoking status and pack-years, a month ago."""
    then = datetime.now(UTC) - timedelta(days=30)
    for code, value in (
        ({"system": LOINC, "code": "72166-2"}, {"valueCodeableConcept": {"coding": [CURRENT]}}),
        ({"system": SNOMED, "code": "401201003"}, {"valueQuantity": PACK_YEARS}),
    ):
        dated = {"effectiveDateTime": then.isoformat(timespec="seconds")}
        hospital.about("Observation", status="final", code={"coding": [code]}, **dated, **value)


CURRENT = {"system": SNOMED, "code": "449868002"}
PACK_YEARS = {"value": 35, "unit": "{pack-years}", "system": "http://unitsofmeasure.org", "code": "{pack-years}"}


def announce(
    hospital: Hospital, paths: list[Path], *, identifier: Sequence[dict[str, Any]] = (), **members: object
) -> None:
    """The VNA's ImagingStudy: its numbers, its series and whatever names its order, and nothing else."""
    header = pydicom.dcmread(paths[0], stop_before_pixels=True)
    series_of = {
        "uid": str(header.SeriesInstanceUID),
        "modality": {"system": DCM, "code": "CT"},
        "numberOfInstances": len(paths),
    }
    hospital.about(
        "ImagingStudy",
        status="available",
        identifier=[
            {"system": "urn:dicom:uid", "value": f"urn:oid:{header.StudyInstanceUID}"},
            *identifier,
        ],
        started=f"{date.today().isoformat()}T08:00:00Z",
        series=[series_of],
        **members,
    )

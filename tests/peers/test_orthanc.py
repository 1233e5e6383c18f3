"""An Orthanc that sends to Sightline, as a PACS would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.site import Person, order, series, serving, site, smoking, stop
from tests.peers.conftest import OrthancFactory

pytestmark = pytest.mark.peers


def test_a_study_sent_by_orthanc_becomes_a_report_and_a_card(tmp_path: Path, orthanc_factory: OrthancFactory) -> None:
    person = Person(accession_number="ACC-O")
    one = site(tmp_path / "site")
    with serving(one):
        orthanc, process = orthanc_factory.start(int(one.environment["CDS_DICOM_PORT"]))
        try:
            assert orthanc.post("/modalities/sightline/echo", b"{}") == {}
            one.hl7(smoking("1", person))
            one.hl7(order("2", person))
            paths = series(tmp_path / "ct", person)
            for path in paths:
                orthanc.post("/instances", path.read_bytes())
            [study] = orthanc.get("/studies")
            sent = orthanc.post("/modalities/sightline/store", str(study).encode())
            assert isinstance(sent, dict)
            assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (len(paths), 0)
            story = one.wait_for_report("ACC-O")
            assert story["studies"][0]["instances"] == len(paths)
            assert len(one.cards(person)) == 1
        finally:
            stop(process)

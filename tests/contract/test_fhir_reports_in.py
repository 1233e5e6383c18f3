"""Radiologists' reports that a FHIR server tells of: filed once, by what they refer to, and never one of our own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir.report import resources
from cds.settings import Settings
from tests.contract.fhir_wire import Asked, Reply, outcome
from tests.contract.identity_contract import Feed
from tests.contract.news_peer import Ehr, ehr
from tests.contract.news_site import SYSTEMS, MovingClock, Site
from tests.databases import fresh
from tests.unit.fhir_samples import report as ai_report

Json = dict[str, Any]

ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
RAD = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}]
MRN = "https://hospital.example/mrn"


@pytest.fixture
def peer() -> Iterator[Ehr]:
    with ehr() as server:
        server.put({"resourceType": "Patient", "id": "p1", "identifier": [{"system": MRN, "value": "P1"}]})
        server.put(
            {"resourceType": "ServiceRequest", "id": "o1", "identifier": [{"type": ACSN, "value": "A1"}]},
        )
        yield server


@pytest.fixture
def site(peer: Ehr, tmp_path: Path) -> Iterator[Site]:
    """One that knows Anna (P1) and her order A1, and polls for reports."""
    source = {"url": peer.url, "resources": ["DiagnosticReport"], "timeout_s": 2}
    settings = Settings(
        data_dir=tmp_path, fhir_sources={"ehr": source}, identifier_systems=SYSTEMS, accession_issuer="RIS"
    )
    with fresh(tmp_path) as databases, Site(databases, peer, MovingClock(), settings) as one:
        feed = Feed(databases)
        feed.register("P1")
        feed.order("P1", "A1")
        one.look()
        yield one


def signed(**members: object) -> Json:
    """A report as an EHR keeps it: patient and order are references."""
    return {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "category": RAD,
        "code": {"text": "CT chest"},
        "subject": {"reference": "Patient/p1"},
        "basedOn": [{"reference": "ServiceRequest/o1"}],
        "issued": "2026-11-20T11:00:00Z",
        "conclusion": "No nodule.",
        **members,
    }


def test_a_report_is_filed_once_with_the_number_of_its_order_and_its_patient(site: Site, peer: Ehr) -> None:
    peer.put(signed())
    site.look(after=60, times=4)
    [filed] = site.reports
    assert filed["accession"] == {"value": "A1", "assigner": "RIS"}
    assert filed["patient"] == {"value": "P1", "assigner": "HOSP"}
    assert filed["status"] == "final"
    assert site.waiting == []


def test_the_number_may_stand_at_the_study(site: Site, peer: Ehr) -> None:
    peer.put(
        {
            "resourceType": "ImagingStudy",
            "id": "s",
            "status": "available",
            "identifier": [{"type": ACSN, "value": "A1"}],
        }
    )
    peer.put(signed(basedOn=[], imagingStudy=[{"reference": "ImagingStudy/s"}]))
    site.look(after=60)
    assert [one["accession"]["value"] for one in site.reports] == ["A1"]


def test_an_absolute_reference_to_the_server_itself_is_followed_and_no_other(site: Site, peer: Ehr) -> None:
    peer.put(signed(subject={"reference": f"{peer.url}/Patient/p1"}))
    site.look(after=60)
    assert len(site.reports) == 1
    with ehr() as elsewhere:
        elsewhere.put({"resourceType": "Patient", "id": "p1", "identifier": [{"system": MRN, "value": "P1"}]})
        peer.put(signed(id="r2", subject={"reference": f"{elsewhere.url}/Patient/p1"}))
        site.look(after=60)
        assert elsewhere.wire is not None
        assert elsewhere.wire.asked == []
    assert len(site.holds) == 1


def test_what_its_observations_state_is_read_along(site: Site, peer: Ehr) -> None:
    snomed = "http://snomed.info/sct"
    peer.put(
        {
            "resourceType": "Observation", "id": "f1", "status": "final",
            "code": {"coding": [{"system": snomed, "code": "427359005"}]},
            "valueCodeableConcept": {"coding": [{"system": snomed, "code": "260415000"}]},
        }
    )  # fmt: skip
    peer.put(signed(result=[{"reference": "Observation/f1"}]))
    site.look(after=60)
    [filed] = site.reports
    assert [(one["code"]["code"], one["presence"]) for one in filed["stated"]] == [("427359005", "not-detected")]


def test_an_amended_version_and_its_withdrawal_are_filed_each(site: Site, peer: Ehr) -> None:
    for status in ("final", "amended", "entered-in-error"):
        peer.put(signed(status=status, conclusion=f"{status}."))
        site.look(after=60)
    assert sorted(one["status"] for one in site.reports) == ["amended", "entered-in-error", "final"]


def test_what_is_not_signed_is_not_asked_for_and_not_filed(site: Site, peer: Ehr) -> None:
    peer.put(signed(status="preliminary"))
    site.look(after=60)
    assert site.reports == []
    assert site.seen == []


def test_our_own_report_on_the_same_server_is_ignored(site: Site, peer: Ehr) -> None:
    """No loop: not by its label, nor by its identifier where the server drops labels, whatever status it is given."""
    emitted = resources(ai_report(), identifier_systems=SYSTEMS, site_name="S")
    own = next(one.body for one in emitted if one.type == "DiagnosticReport")
    peer.put({**own, "id": "own", "status": "final"})
    peer.put({**{k: v for k, v in own.items() if k != "meta"}, "id": "own2", "status": "amended"})
    site.look(after=60)
    assert site.reports == []
    assert site.holds == []
    assert len(site.seen) == 2
    assert peer.asked("GET", "Patient/p1") == 0


def test_a_laboratory_report_concerns_nobody(site: Site, peer: Ehr) -> None:
    lab = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}]
    peer.put(signed(category=lab))
    peer.put(signed(id="r2", category=[], basedOn=[]))
    site.look(after=60)
    assert (site.reports, site.holds) == ([], [])


def test_reports_of_radiology_that_name_no_exam_or_patient_are_held(site: Site, peer: Ehr) -> None:
    peer.put(signed(id="r1", basedOn=[]))
    peer.put(signed(id="r2", subject={"display": "somebody"}))
    site.look(after=60)
    reasons = sorted(hold.reason for hold in site.holds)
    assert [reason.split(":")[1].strip() for reason in reasons] == [
        "want the accession number",
        "want the patient",
    ]


def test_a_patient_who_becomes_known_within_three_days_gets_her_report(site: Site, peer: Ehr) -> None:
    peer.put({"resourceType": "Patient", "id": "p2", "identifier": [{"system": MRN, "value": "P2"}]})
    peer.put(signed(subject={"reference": "Patient/p2"}))
    site.look(after=60)
    assert len(site.waiting) == 1
    feed = Feed(site.databases)
    feed.number = 10
    for _ in range(48):
        site.look(after=3600)
    assert len(site.waiting) == 1
    feed.register("P2")
    site.look(after=3600)
    assert len(site.reports) == 1
    assert site.waiting == []


def test_the_report_of_somebody_whom_nobody_knows_concerns_nobody_after_three_days(site: Site, peer: Ehr) -> None:
    peer.put({"resourceType": "Patient", "id": "p9", "identifier": [{"system": MRN, "value": "P9"}]})
    peer.put(signed(subject={"reference": "Patient/p9"}))
    for _ in range(74):
        site.look(after=3600)
    assert (site.reports, site.waiting, site.holds) == ([], [], [])


def test_identifiers_of_two_patients_are_a_doubt_for_a_person(site: Site, peer: Ehr) -> None:
    feed = Feed(site.databases)
    feed.number = 10
    feed.register("P2")
    both = [{"system": MRN, "value": "P1"}, {"system": MRN, "value": "P2"}]
    peer.put({"resourceType": "Patient", "id": "p3", "identifier": both})
    peer.put(signed(subject={"reference": "Patient/p3"}))
    site.look(after=60)
    assert site.reports == []
    assert "several patients" in site.holds[0].reason


def test_a_patient_that_cannot_be_read_now_is_read_later(site: Site, peer: Ehr) -> None:
    peer.put(signed())
    peer.fault = lambda asked: Reply(503, outcome("throttled")) if asked.path == "/fhir/Patient/p1" else None
    site.look(after=60, times=2)
    assert (site.reports, len(site.waiting), site.holds) == ([], 1, [])
    peer.fault = lambda asked: None
    site.look(after=300)
    assert len(site.reports) == 1


def test_one_resource_at_which_the_server_fails_holds_up_no_other_and_is_held_in_the_end(site: Site, peer: Ehr) -> None:
    peer.put({"resourceType": "Patient", "id": "bad", "identifier": [{"system": MRN, "value": "P1"}]})
    peer.put(signed(id="r1", subject={"reference": "Patient/bad"}))
    peer.put(signed(id="r2"))

    def breaks(asked: Asked) -> Reply | None:
        return Reply(500, outcome("exception")) if asked.path == "/fhir/Patient/bad" else None

    peer.fault = breaks
    site.look(after=60)
    assert len(site.reports) == 1
    for _ in range(35):
        site.look(after=300)
    [hold] = site.holds
    assert hold.reason.endswith("could not take it: 500 (exception) (tried 30 times)")


def test_nothing_of_a_patient_is_in_what_people_and_logs_read(
    site: Site, peer: Ehr, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.put(signed(id="Unmistakable", status="bogus", conclusion="Unmistakable Quentina"))
    peer.put(signed(id="Quentina", subject={"display": "Unmistakable Quentina"}))
    site.look(after=60, times=3)
    told = [hold.reason for hold in site.holds] + site.timeline + [site.feed("DiagnosticReport").error]
    logged = capsys.readouterr()
    assert "Unmistakable" not in "".join(told) + logged.err + logged.out
    assert "Quentina" not in "".join(told) + logged.err + logged.out
    assert site.clock.at > peer.now - timedelta(days=1)

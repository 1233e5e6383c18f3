"""A radiology report as DiagnosticReport: whose, how far signed, what it says, and what is refused."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fhir.final_report import read_final_report, read_whose
from adapters.fhir.report import resources
from adapters.fhir.systems import ACCESSION_PREFIX, IDENTIFIER_TYPE, INTERPRETATION
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.finding import Presence
from cds.domain.identity import Identifier
from cds.domain.verification import FinalReport, Stated
from cds.errors import InsufficientData, InvalidResource
from cds.store.values import dump, parse
from tests.unit.clinical import reference
from tests.unit.fhir_samples import report as ai_report

Json = dict[str, Any]
MRN_SYSTEM = "https://hospital.example/mrn"
SYSTEMS = {MRN_SYSTEM: "HOSPITAL", "https://ris.example/acc": "RIS", "https://other.example/mrn": "OTHER"}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ACSN = {"coding": [{"system": IDENTIFIER_TYPE, "code": "ACSN"}]}
PNEUMOTHORAX = {"system": SNOMED, "code": "36118008"}
CODED = Coding(SNOMED, "36118008")


def diagnostic_report(**changes: object) -> Json:
    """A signed report with accession number and patient."""
    body: Json = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "identifier": [
            {"system": "https://ris.example/reports", "value": "R77"},
            {"type": ACSN, "system": "https://ris.example/acc", "value": "ACC1"},
        ],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]},
        "subject": {"identifier": {"system": MRN_SYSTEM, "value": "4711"}},
        "issued": "2026-11-21T10:00:00+01:00",
        "conclusion": "No pneumothorax.",
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def read(body: Json) -> FinalReport:
    """As the site reads it."""
    return read_final_report(body, SYSTEMS, accession_issuer="SITE", received_at=NOW)


def test_a_signed_report_names_accession_number_patient_and_itself() -> None:
    report = read(diagnostic_report())
    assert (report.accession, report.patient) == (Identifier("ACC1", "RIS"), Identifier("4711", "HOSPITAL"))
    assert (report.status, report.identifier) == ("final", "https://ris.example/reports|R77")
    assert (report.issued, report.received_at) == (datetime(2026, 11, 21, 9, tzinfo=UTC), NOW)
    assert report.text == "IMPRESSION:\nNo pneumothorax."
    assert report.source == "FHIR DiagnosticReport"


@pytest.mark.parametrize(
    ("identifier", "issuer"),
    [
        ({"type": ACSN, "value": "ACC1"}, "SITE"),
        ({"type": ACSN, "value": "ACC1", "system": f"{ACCESSION_PREFIX}RIS%202"}, "RIS 2"),
    ],
)
@pytest.mark.parametrize("place", ["identifier", "basedOn"])
def test_the_accession_number_stands_in_the_report_or_its_order(identifier: Json, issuer: str, place: str) -> None:
    stated: Json = {"identifier": [identifier], "basedOn": None}
    if place == "basedOn":
        stated = {"identifier": None, "basedOn": [{"reference": "ServiceRequest/1"}, {"identifier": identifier}]}
    assert read(diagnostic_report(**stated)).accession == Identifier("ACC1", issuer)


@pytest.mark.parametrize(
    "without",
    [
        {"identifier": None},
        {"identifier": [{"type": ACSN, "system": "https://nobody.example", "value": "ACC1"}]},
        {"identifier": [{"system": "https://ris.example/acc", "value": "ACC1"}]},
        {"subject": None},
        {"subject": {"identifier": {"system": "https://nobody.example", "value": "4711"}}},
        {"subject": {"reference": "Patient/1", "display": "Unmistakable, Ada"}},
    ],
)
def test_without_accession_number_or_patient_it_says_what_is_wanted(without: Json) -> None:
    with pytest.raises(InsufficientData, match=r"^want the (accession number|patient)") as refused:
        read(diagnostic_report(**without))
    assert refused.value.http_status == 422
    assert "4711" not in str(refused.value)
    assert "ACC1" not in str(refused.value)


def patient(*values: tuple[str, str]) -> Json:
    """A contained Patient."""
    identifiers = [{"system": system, "value": value} for system, value in values]
    return {"resourceType": "Patient", "id": "p", "identifier": identifiers}


def test_a_contained_patient_and_one_of_the_bundle_name_the_patient() -> None:
    mine = patient((MRN_SYSTEM, "4711"), ("https://other.example/mrn", "9"))
    contained = diagnostic_report(subject={"reference": "#p"}, contained=[mine])
    assert read(contained).patient == Identifier("4711", "HOSPITAL")
    assert read_whose(contained, SYSTEMS) == (Identifier("4711", "HOSPITAL"), Identifier("9", "OTHER"))
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": mine},
        {"resource": diagnostic_report(subject={"reference": "urn:uuid:1"})},
    ]
    assert read({"resourceType": "Bundle", "entry": entries}).patient == Identifier("4711", "HOSPITAL")


def test_a_subject_and_a_patient_who_differ_are_nobody() -> None:
    subject = {"reference": "#p", "identifier": {"system": MRN_SYSTEM, "value": "4711"}}
    with pytest.raises(InsufficientData, match="want one patient"):
        read(diagnostic_report(subject=subject, contained=[patient((MRN_SYSTEM, "4712"))]))
    same = diagnostic_report(subject=subject, contained=[patient((MRN_SYSTEM, "4711"))])
    assert read(same).patient.value == "4711"


def test_what_sightline_made_is_refused_in_every_disguise() -> None:
    made = resources(ai_report(), identifier_systems=SYSTEMS, site_name="Site")
    ours = next({**one.body, "status": "final"} for one in made if one.type == "DiagnosticReport")
    disguises: list[Json] = [
        ours,
        diagnostic_report(meta={"security": [{"code": "AIAST"}]}),
        diagnostic_report(code={"coding": [{"system": "urn:sightline:codes", "code": "ai-analysis"}]}),
        diagnostic_report(identifier=[{"system": "urn:sightline:report", "value": "1"}]),
    ]
    for disguise in disguises:
        with pytest.raises(InvalidResource, match="made by an AI"):
            read(disguise)


def test_another_diagnostic_service_is_refused() -> None:
    def category(code: str) -> list[Json]:
        return [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": code}]}]

    assert read(diagnostic_report(category=category("RAD"))).status == "final"
    with pytest.raises(InvalidResource, match="another diagnostic service"):
        read(diagnostic_report(category=category("LAB")))


def test_conclusion_codes_and_observations_that_come_with_it_are_stated() -> None:
    def observation(key: str, **said: object) -> Json:
        return {"resourceType": "Observation", "id": key, "status": "final", "code": {"coding": [PNEUMOTHORAX]}, **said}

    def detected(code: str) -> Json:
        return {"coding": [{"system": SNOMED, "code": code}]}

    not_detected = [{"coding": [{"system": INTERPRETATION, "code": "ND"}]}]
    contained = [
        observation("a", valueCodeableConcept=detected("260373001")),
        observation("b", interpretation=not_detected),
        observation("c", valueCodeableConcept=detected("260373001"), interpretation=not_detected),
        observation("d", valueCodeableConcept=detected("260373001"), status="preliminary"),
    ]
    for key, stated in (("a", Presence.PRESENT), ("b", Presence.NOT_DETECTED), ("c", None), ("d", None)):
        body = diagnostic_report(result=[{"reference": f"#{key}"}], contained=contained)
        assert read(body).stated == ((Stated(CODED, stated),) if stated else ()), key
    concluded = diagnostic_report(conclusionCode=[{"coding": [PNEUMOTHORAX]}])
    assert read(concluded).stated == (Stated(CODED, Presence.PRESENT),)


def test_attached_plain_text_is_read_and_a_document_is_not() -> None:
    def form(content_type: str, data: bytes) -> Json:
        return {"contentType": content_type, "data": base64.b64encode(data).decode()}

    attached = diagnostic_report(
        presentedForm=[form("text/plain; charset=utf-8", "Erguß.".encode()), form("application/pdf", b"%PDF")]
    )
    assert read(attached).text == "FINDINGS:\nErguß.\nIMPRESSION:\nNo pneumothorax."
    with pytest.raises(InvalidResource, match="UTF-8 in base64"):
        read(diagnostic_report(presentedForm=[{"contentType": "text/plain", "data": "%"}]))


@pytest.mark.parametrize("body", [{}, {"resourceType": "Observation"}, {"resourceType": "Bundle", "entry": [{}]}])
def test_another_resource_is_refused(body: Json) -> None:
    with pytest.raises(InvalidResource, match="want one DiagnosticReport"):
        read(body)


@pytest.mark.parametrize("status", ["", "signed", None])
def test_a_status_that_is_none_is_refused(status: str | None) -> None:
    with pytest.raises(InvalidResource, match="status wants a code"):
        read(diagnostic_report(status=status))


@pytest.mark.parametrize(
    ("issued", "at"),
    [
        ("2026-11-21T10:00:00-11:00", "2026-11-21T10:00:00-11:00"),
        ("2026-11-21T10:00:00", None),
        ("2026-11-21T10:00:00+14:30", None),
        ("2026-11-21T10:00:00+01:02:03", None),
        ("2026-11-21T10:00:00+23:59:59.5", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        (5, None),
    ],
)
def test_a_time_that_no_clock_shows_is_none_and_every_other_is_kept_as_it_was(issued: object, at: str | None) -> None:
    """What could be written and not read again would stop the exam for good."""
    report = read(diagnostic_report(issued=issued))
    assert report.issued == (datetime.fromisoformat(at) if at else None)
    assert parse(FinalReport, dump(FinalReport, report)) == report


@pytest.mark.parametrize("value", ["A\0CC1", "7" * 257])
def test_a_number_that_no_database_takes_is_none(value: str) -> None:
    with pytest.raises(InsufficientData, match="accession number"):
        read(diagnostic_report(identifier=[{"type": ACSN, "value": value}]))
    issuer = {"type": ACSN, "system": f"{ACCESSION_PREFIX}R%00IS", "value": "ACC1"}
    with pytest.raises(InsufficientData, match="accession number"):
        read(diagnostic_report(identifier=[issuer]))
    with pytest.raises(InsufficientData, match="want the patient"):
        read(diagnostic_report(subject={"identifier": {"system": MRN_SYSTEM, "value": value}}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(diagnostic_report())), JSON)
def test_no_odd_member_breaks_the_reader(name: str, odd: object) -> None:
    with suppress(InvalidResource, InsufficientData):
        read({**diagnostic_report(), name: odd})


def test_a_public_example_without_the_wanted_is_refused_in_words(reference_dir: Path) -> None:
    file = reference(reference_dir) / "fhir-examples" / "DiagnosticReport-ultrasound.json"
    with pytest.raises(InsufficientData, match="want the accession number"):
        read(json.loads(file.read_text()))

"""A FHIR server of another project (Medplum's router and its store in memory) as the EHR that is asked of a patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from typing import Any

import pytest

from adapters.fhir.client import open_client
from adapters.fhir.ehr import EhrSource
from adapters.fhir.keys import SmartKeys
from cds import codes
from cds.codes import LOINC, SNOMED, UCUM, Entry, ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, NotFoundSince, SmokingStatus
from cds.domain.identity import Identifier
from cds.domain.message import RecordStatements
from cds.fhir_peers import FhirSource
from cds.record import assemble
from tests.contract.ehr_wire import SYSTEM, SYSTEMS
from tests.peers.medplum import FhirServer, emptied, running
from tests.unit.clinical import NOW, TODAY, StillClock, patient

pytestmark = pytest.mark.peers

Json = dict[str, Any]
DRUG = ValueSet("a-drug", "a drug", "medication", (Entry(Coding("urn:test:drugs", "d1"), "a test"),))
RELATIVE = ValueSet("a-disease", "a disease in the family", "family-history", codes.EMPHYSEMA.entries)
ASKS = (
    codes.SMOKING_STATUS, codes.PACK_YEARS, codes.QUIT_DATE, codes.SPIROMETRY, codes.LOW_DOSE_CT, codes.COPD,
    codes.LUNG_CANCER, codes.SPIROMETRY_ORDERED, codes.loaded()["creatinine"], codes.loaded()["contrast-allergy"],
    codes.loaded()["systolic-blood-pressure"], DRUG, RELATIVE,
)  # fmt: skip


@pytest.fixture(scope="module")
def process() -> Iterator[FhirServer]:
    """One process for all tests."""
    with running() as server:
        yield server


@pytest.fixture
def server(process: FhirServer) -> FhirServer:
    """The same, emptied."""
    return emptied(process)


def concept(code: str, system: str = SNOMED) -> Json:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}]}


def registered(server: FhirServer, number: str = "4711", **members: Any) -> Json:
    """The patient of `tests.unit.clinical`."""
    who: Json = {"resourceType": "Patient", "birthDate": "1963-05-01", "gender": "female"}
    return server.create({**who, "identifier": [{"system": SYSTEM, "value": number}], **members})


def told(server: FhirServer, asks: Sequence[ValueSet] = ASKS, **who: Any) -> RecordStatements:
    """What the server says of the patient."""
    table = FhirSource(url=server.url, timeout_s=60)
    client = open_client("ehr", table, SmartKeys(()))
    found = EhrSource(client, table, identifier_systems=SYSTEMS, asks=asks, clock=StillClock())
    with closing(found):
        return found.statements(patient(**who))


def known(server: FhirServer, **who: Any) -> EhrData:
    """As pathways see it."""
    sets = {**codes.loaded(), DRUG.name: DRUG, RELATIVE.name: RELATIVE}
    return assemble(patient(**who), told(server, **who), now=NOW, today=TODAY, value_sets=sets)


def charted(server: FhirServer) -> None:
    """A chart with something of every type, of her and of somebody else."""
    hers, his = (f"Patient/{registered(server, number)['id']}" for number in ("4711", "4712"))
    of_her, of_him = {"subject": {"reference": hers}}, {"subject": {"reference": his}}
    observed = {"resourceType": "Observation", "status": "final"}
    smoking = {**observed, "code": concept("72166-2", LOINC)}
    packs = {"value": 38, "unit": "Pack years", "system": UCUM, "code": "{pack-years}"}
    pressure = {"code": concept("8480-6", LOINC), "valueQuantity": {"value": 141, "system": UCUM, "code": "mm[Hg]"}}
    drug = server.create({"resourceType": "Medication", "code": concept("d1", "urn:test:drugs")})
    named = {"medicationReference": {"reference": f"Medication/{drug['id']}"}}
    listed: list[Json] = [
        {**smoking, **of_her, "valueCodeableConcept": concept("8517006"), "effectiveDateTime": "2026-10-01"},
        {**smoking, **of_her, "valueCodeableConcept": concept("449868002"), "effectiveDateTime": "2019-10-01"},
        {**smoking, **of_him, "valueCodeableConcept": concept("266919005"), "effectiveDateTime": "2026-11-01"},
        {**observed, **of_her, "code": concept("401201003"), "valueQuantity": packs, "effectiveDateTime": "2026-10-01"},
        {**observed, **of_her, "code": concept("85354-9", LOINC), "component": [pressure],
         "effectiveDateTime": "2026-11-02T08:00:00Z"},
        {**observed, **of_her, "code": concept("14682-9", LOINC), "effectiveDateTime": "2026-11-01",
         "valueQuantity": {"value": 88.4, "system": UCUM, "code": "umol/L"}},
        {**observed, **of_her, "status": "entered-in-error", "code": concept("2160-0", LOINC),
         "effectiveDateTime": "2026-11-20", "valueQuantity": {"value": 9, "system": UCUM, "code": "mg/dL"}},
        {"resourceType": "Procedure", "status": "completed", **of_her, "code": concept("127783003"),
         "performedDateTime": "2024-05-06"},
        {"resourceType": "Procedure", "status": "not-done", **of_her, "code": concept("16334891000119106"),
         "performedDateTime": "2026-05-06"},
        {"resourceType": "Condition", **of_her, "code": concept("J44.9", "http://hl7.org/fhir/sid/icd-10-cm"),
         "onsetDateTime": "2020-01-02", "verificationStatus": concept("confirmed", "urn:x")},
        {"resourceType": "AllergyIntolerance", "patient": {"reference": hers}, "code": concept("716186003"),
         "recordedDate": "2025-01-01"},
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order", **of_her, **named,
         "authoredOn": "2026-02-03"},
        {"resourceType": "FamilyMemberHistory", "status": "completed", "patient": {"reference": hers},
         "relationship": {"text": "father"}, "condition": [{"code": concept("87433001")}], "date": "2021-01-01"},
        {"resourceType": "ServiceRequest", "status": "active", "intent": "order", **of_her,
         "code": concept("127783003"), "authoredOn": "2026-11-01"},
        {"resourceType": "ServiceRequest", "status": "active", "intent": "order", **of_him,
         "code": concept("16334891000119106"), "authoredOn": "2026-11-01"},
    ]  # fmt: skip
    for one in listed:
        server.create(one)


def test_the_chart_of_a_patient_becomes_ehr_data(server: FhirServer) -> None:
    charted(server)
    data = known(server)
    assert data.smoking_status == Known(SmokingStatus.FORMER, date(2026, 10, 1), "FHIR ehr")
    assert data.pack_years == Known(Quantity(38.0, "{pack-years}"), date(2026, 10, 1), "FHIR ehr")
    dated = {
        "spirometry": data.procedure("spirometry"),
        "copd": data.condition("copd"),
        "drug": data.medication("a-drug"),
        "father": data.relative("a-disease"),
        "ordered": data.request("spirometry-request"),
    }
    assert {name: fact.effective for name, fact in dated.items() if isinstance(fact, Known)} == {
        "spirometry": date(2024, 5, 6),
        "copd": date(2020, 1, 2),
        "drug": date(2026, 2, 3),
        "father": date(2021, 1, 1),
        "ordered": date(2026, 11, 1),
    }
    creatinine, pressure = data.measurement("creatinine"), data.measurement("systolic-blood-pressure")
    assert isinstance(creatinine, Known)
    assert creatinine.value.quantity.value == pytest.approx(1.0, rel=1e-3)
    assert isinstance(pressure, Known)
    assert pressure.value.quantity.value == 141


def test_what_is_not_there_was_searched_for_in_the_whole_record(server: FhirServer) -> None:
    charted(server)
    data = known(server)
    for absent in (
        data.quit_date,
        data.procedure("low-dose-chest-ct"),
        data.condition("lung-cancer"),
    ):
        assert absent == NotFoundSince(("FHIR ehr",), None)
    assert data.allergy("contrast-allergy") == NotFoundSince(("FHIR ehr (recorded as absent on 2025-01-01)",), None)


def test_a_patient_whom_the_server_does_not_know_is_told_nothing_of(server: FhirServer) -> None:
    charted(server)
    registered(server, "4713")
    (unasked,) = told(server, former=(), identifiers=(Identifier("999", "HOSPITAL"),)).unasked
    assert unasked.reason == "does not know this patient"


def test_a_merged_patient_is_followed_to_whoever_replaced_her(server: FhirServer) -> None:
    now = registered(server, "after the merge")
    link = [{"type": "replaced-by", "other": {"reference": f"Patient/{now['id']}"}}]
    registered(server, active=False, link=link)
    smoking: Json = {"resourceType": "Observation", "status": "final", "code": concept("72166-2", LOINC)}
    whose = {"subject": {"reference": f"Patient/{now['id']}"}, "effectiveDateTime": "2026-10-01"}
    server.create({**smoking, **whose, "valueCodeableConcept": concept("449868002")})
    assert isinstance(known(server).smoking_status, Known)


def test_a_server_that_gives_a_part_and_no_next_page_is_not_believed_to_have_given_all(server: FhirServer) -> None:
    """The store in memory gives as many as it is asked for, the number of all, and no link to the others."""
    hers = f"Patient/{registered(server)['id']}"
    for number in range(230):
        server.create(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": concept("8480-6", LOINC),
                "subject": {"reference": hers},
                "effectiveDateTime": f"20{10 + number // 20:02d}-{1 + number % 12:02d}-{1 + number % 28:02d}",
                "valueQuantity": {"value": 100 + number % 50, "system": UCUM, "code": "mm[Hg]"},
            }
        )
    pressure = codes.loaded()["systolic-blood-pressure"]
    found = told(server, (pressure,))
    assert len(found.statements) == 200
    assert [(one.reason, one.covers) for one in found.unasked] == [("has more than it gave", (pressure.name,))]
    newest = assemble(patient(), found, now=NOW, today=TODAY).measurement(pressure.name)
    assert isinstance(newest, Known)
    assert newest.effective == max(one.value.effective for one in found.statements if one.value.effective)
    assert newest.effective == date(2021, 12, 4)

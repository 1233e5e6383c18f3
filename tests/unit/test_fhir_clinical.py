"""What each type of resource states: only what holds, under its own kind, and nothing of Sightline's own."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.clinical import lacks_drug
from adapters.fhir.read import read_statements, statements
from adapters.fhir.report import resources
from cds import codes
from cds.codes import SNOMED, UCUM
from cds.domain.coding import Coding, Quantity
from cds.domain.message import RecordValue
from tests.unit.clinical import reference
from tests.unit.fhir_samples import SYSTEMS, report

TODAY = date(2026, 3, 5)
TYPES = (
    "Observation", "DiagnosticReport", "Condition", "Procedure", "AllergyIntolerance", "MedicationRequest",
    "MedicationStatement", "Immunization", "FamilyMemberHistory", "ServiceRequest",
)  # fmt: skip
ELEMENTS = (
    "code", "coding", "system", "status", "clinicalStatus", "verificationStatus", "component", "reaction", "substance",
    "manifestation", "condition", "relationship", "medicationReference", "medicationCodeableConcept", "reference",
    "contained", "id", "vaccineCode", "effectivePeriod", "start", "valueQuantity", "value", "unit", "dosage", "text",
    "authoredOn", "meta", "security", "lastUpdated", "identifier", "doNotPerform", "intent", "dosageInstruction",
)  # fmt: skip
Json = dict[str, Any]
IOHEXOL = {"coding": [{"system": SNOMED, "code": "109218004", "display": "Iohexol"}]}
NO_KNOWN = {"coding": [{"system": SNOMED, "code": "716186003", "display": "No known allergy"}]}
LUNG_CANCER = {"coding": [{"system": SNOMED, "code": "363358000"}], "text": "Lung cancer"}
SPIROMETRY = {"coding": [{"system": SNOMED, "code": "127783003"}]}
DRUG = {"coding": [{"system": "urn:test:drugs", "code": "d1", "display": "Drug one"}]}


def values(*listed: Json) -> list[RecordValue]:
    """What resources state."""
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in listed]}
    return [s.value for s in read_statements({"all": bundle}, TODAY)]


def concept(code: str) -> Json:
    """A CodeableConcept with a code alone."""
    return {"coding": [{"code": code}]}


class TestAllergies:
    """AllergyIntolerance: the substance, its reactions, and "none"."""

    def allergy(self, code: Json = IOHEXOL, **members: Any) -> Json:
        """An active, confirmed allergy."""
        return {
            "resourceType": "AllergyIntolerance",
            "id": "a",
            "code": code,
            "clinicalStatus": concept("active"),
            "verificationStatus": concept("confirmed"),
            "recordedDate": "2020-02-03",
            **members,
        }

    def test_it_states_the_substance_with_its_risk_and_reactions(self) -> None:
        reaction = {"manifestation": [{"text": "hives"}]}
        [value] = values(self.allergy(type="allergy", criticality="high", reaction=[reaction]))
        assert (value.category, value.code) == ("allergy", Coding(SNOMED, "109218004", "Iohexol"))
        assert (value.value, value.effective, value.status) == ("allergy; high risk; hives", date(2020, 2, 3), "final")

    def test_the_substance_of_a_reaction_is_an_allergen_too(self) -> None:
        read = values(self.allergy({"text": "contrast"}, reaction=[{"substance": IOHEXOL, "manifestation": []}]))
        assert [value.code.code for value in read] == ["109218004"]

    @pytest.mark.parametrize(
        ("members", "status", "negative"),
        [
            ({"verificationStatus": concept("unconfirmed")}, "preliminary", False),
            ({"verificationStatus": concept("refuted")}, "final", True),
            ({"verificationStatus": concept("entered-in-error")}, "entered-in-error", False),
            ({"clinicalStatus": concept("resolved")}, "final", True),
            ({"clinicalStatus": concept("inactive")}, "final", True),
        ],
    )
    def test_both_statuses_count(self, members: Json, status: str, *, negative: bool) -> None:
        [value] = values(self.allergy(**members))
        assert value.status == status
        assert (isinstance(value.value, Coding) and codes.is_negative(value.value)) is negative

    def test_no_known_allergy_is_stated_and_its_refutation_says_nothing(self) -> None:
        [none] = values(self.allergy(NO_KNOWN))
        assert codes.is_no_known_allergy(none.code)
        assert values(self.allergy(NO_KNOWN, verificationStatus=concept("refuted"))) == []


class TestDrugs:
    """MedicationRequest, MedicationStatement: what is prescribed or taken now."""

    def prescription(self, **members: Any) -> Json:
        """An active order of a drug."""
        base = {"resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order"}
        return {**base, "medicationCodeableConcept": DRUG, "authoredOn": "2025-01-02", **members}

    def test_a_prescription_states_its_drug_with_the_dose_in_words(self) -> None:
        [value] = values(self.prescription(dosageInstruction=[{"text": "one a day"}]))
        assert (value.category, value.code.code, value.value) == ("medication", "d1", "one a day")
        assert value.effective == date(2025, 1, 2)

    @pytest.mark.parametrize("status", ["cancelled", "completed", "stopped", "draft", "unknown", "bogus", None])
    def test_a_prescription_that_does_not_stand_says_nothing(self, status: str | None) -> None:
        assert values(self.prescription(status=status)) == []

    @pytest.mark.parametrize("members", [{"intent": "proposal"}, {"intent": "plan"}, {"doNotPerform": True}])
    def test_what_nobody_prescribed_says_nothing(self, members: Json) -> None:
        assert values(self.prescription(**members)) == []

    def test_the_drug_is_found_where_it_is_contained_or_came_along(self) -> None:
        medication = {"resourceType": "Medication", "id": "x", "code": DRUG}
        contained = self.prescription(
            medicationCodeableConcept=None, medicationReference={"reference": "#x"}, contained=[medication]
        )
        named = self.prescription(medicationCodeableConcept=None, medicationReference={"reference": "Medication/x"})
        assert [value.code.code for value in values(contained)] == ["d1"]
        assert [value.code.code for value in values(named, medication)] == ["d1"]
        assert values(named) == []

    @pytest.mark.parametrize(
        ("status", "stated"),
        [("active", 1), ("on-hold", 1), ("completed", 0), ("stopped", 0), ("intended", 0), ("unknown", 0)],
    )
    def test_a_statement_counts_while_the_drug_is_taken(self, status: str, stated: int) -> None:
        statement = {"resourceType": "MedicationStatement", "id": "s", "medicationCodeableConcept": DRUG}
        period = {"start": "2025-01-02", "end": "2099-01-02"}
        read = values({**statement, "status": status, "effectivePeriod": period})
        assert [value.effective for value in read] == [date(2025, 1, 2)] * stated

    def test_a_drug_that_is_not_taken_is_known_to_be_absent(self) -> None:
        statement = {"resourceType": "MedicationStatement", "status": "not-taken", "medicationCodeableConcept": DRUG}
        [value] = values(statement)
        assert isinstance(value.value, Coding)
        assert codes.is_negative(value.value)

    def test_a_drug_entered_in_error_takes_back_what_was_said(self) -> None:
        [value] = values(self.prescription(status="entered-in-error", intent="proposal"))
        assert value.status == "entered-in-error"


class TestOtherLists:
    """Immunization, FamilyMemberHistory, ServiceRequest."""

    @pytest.mark.parametrize(
        ("status", "read"), [("completed", "final"), ("not-done", None), ("entered-in-error", "entered-in-error")]
    )
    def test_a_vaccination_counts_where_it_was_given(self, status: str, read: str | None) -> None:
        given = {"resourceType": "Immunization", "id": "i", "status": status, "vaccineCode": DRUG}
        stated = values({**given, "occurrenceDateTime": "2024-10-11"})
        assert [(v.category, v.status, v.effective) for v in stated] == (
            [("immunization", read, date(2024, 10, 11))] if read else []
        )

    def test_a_relatives_disease_is_the_relatives(self) -> None:
        history = {
            "resourceType": "FamilyMemberHistory",
            "id": "f",
            "status": "partial",
            "date": "2019-05",
            "relationship": {"coding": [{"code": "FTH", "display": "father"}]},
            "condition": [{"code": LUNG_CANCER}, {"code": {"text": "uncoded"}}],
        }
        [value] = values(history)
        assert (value.category, value.value, value.effective) == ("family-history", "father", date(2019, 5, 1))
        assert values({**history, "status": "health-unknown"}) == []

    @pytest.mark.parametrize(
        ("members", "status"),
        [
            ({}, "final"),
            ({"status": "on-hold"}, "final"),
            ({"status": "draft"}, "preliminary"),
            ({"status": "entered-in-error"}, "entered-in-error"),
            ({"status": "revoked"}, None),
            ({"status": "completed"}, None),
            ({"status": "unknown"}, None),
            ({"intent": "option"}, None),
            ({"doNotPerform": True}, None),
        ],
    )
    def test_an_order_counts_while_it_is_open(self, members: Json, status: str | None) -> None:
        order = {"resourceType": "ServiceRequest", "id": "r", "status": "active", "intent": "order"}
        stated = values({**order, "code": SPIROMETRY, "authoredOn": "2026-02-01T10:00:00+01:00", **members})
        assert [(v.category, v.status, v.effective) for v in stated] == (
            [("request", status, date(2026, 2, 1))] if status else []
        )

    def test_a_report_says_that_the_examination_was_done(self) -> None:
        done = {"resourceType": "DiagnosticReport", "id": "d", "status": "final", "code": SPIROMETRY}
        [value] = values({**done, "effectivePeriod": {"start": "2025-01-01", "end": "2025-01-02"}})
        assert (value.category, value.effective) == ("observation", date(2025, 1, 2))

    def test_the_day_of_a_report_is_none_of_the_examination_and_that_of_an_observation_is(self) -> None:
        issued = {"id": "d", "status": "final", "code": SPIROMETRY, "issued": "2026-02-01T10:00:00+01:00"}
        [report] = values({"resourceType": "DiagnosticReport", **issued})
        [observation] = values({"resourceType": "Observation", **issued})
        assert (report.effective, observation.effective) == (None, date(2026, 2, 1))


@pytest.mark.parametrize(
    ("quantity", "unit"),
    [
        ({"code": "mg/dL", "unit": "milligram", "system": UCUM}, "mg/dL"),
        ({"code": "{pack-years}"}, "{pack-years}"),
        ({"unit": "MG/DL"}, "mg/dL"),
        ({"unit": "lbs"}, "[lb_av]"),
        ({"code": "MGDL", "system": "urn:local", "unit": "mg/dl"}, "mg/dL"),
        ({"unit": "furlongs"}, "furlongs"),
        ({}, ""),
    ],
)
def test_a_unit_is_that_of_ucum_or_what_its_spelling_stands_for(quantity: Json, unit: str) -> None:
    observed = {"resourceType": "Observation", "status": "final", "code": DRUG}
    [value] = values({**observed, "valueQuantity": {"value": 1.5, **quantity}})
    assert value.value == Quantity(1.5, unit)


def test_what_sightline_made_comes_back_as_no_fact_of_the_record() -> None:
    made = [one.body for one in resources(report(), identifier_systems=SYSTEMS, site_name="S")]
    types = {str(body["resourceType"]) for body in made}
    assert {"Observation", "DiagnosticReport"} <= types
    assert values(*(dict(body) for body in made)) == []


def test_what_an_ai_asserted_is_no_fact_whoever_made_it() -> None:
    observed = {"resourceType": "Observation", "status": "final", "code": SPIROMETRY}
    label = {"security": [{"system": "urn:any", "code": "AIAST"}]}
    assert values({**observed, "meta": label}) == []
    assert len(values({**observed, "meta": {"security": [{"code": "R"}]}})) == 1


def test_a_statement_is_as_old_as_the_server_says_and_never_from_the_future() -> None:
    observed = {"resourceType": "Observation", "id": "o", "status": "final", "code": SPIROMETRY}

    def received(changed: object) -> datetime:
        [one] = read_statements({"a": {**observed, "meta": {"lastUpdated": changed}}}, TODAY)
        return one.received_at

    assert received("2026-01-02T03:04:05.678+01:00") == datetime(2026, 1, 2, 2, 4, 5, 678000, UTC)
    assert received("2099-01-02T03:04:05Z").date() == TODAY
    assert received("2026-01-02T03:04:05") == received(7) == datetime(2026, 3, 5, tzinfo=UTC)


def test_the_standards_examples_say_what_they_say(reference_dir: Path) -> None:
    folder = reference(reference_dir) / "fhir-examples"
    names = ("ServiceRequest-example", "ServiceRequest-ambulation", "DiagnosticReport-ultrasound", "Condition-example")
    examples = {name: json.loads((folder / f"{name}.json").read_text()) for name in names}
    done = examples["ServiceRequest-example"]
    assert values(done) == [], "it is completed"
    [open_one] = values({**done, "status": "active"})
    assert (open_one.category, open_one.code.code, open_one.key) == ("request", "303653007", "ServiceRequest/example")
    assert values(examples["ServiceRequest-ambulation"]) == []
    assert {value.category for value in values(examples["DiagnosticReport-ultrasound"])} == {"observation"}
    assert {value.category for value in values(examples["Condition-example"])} == {"condition"}


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from(["active", "final", "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ELEMENTS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(ELEMENTS), ODD, max_size=6))
def test_no_resource_however_odd_raises(kind: str, members: dict[str, Any]) -> None:
    resource = {"status": "active", **members, "resourceType": kind}
    lacks_drug(resource, {})
    for index in (None, codes.index()):
        list(statements([resource], "FHIR odd", latest=datetime(2026, 3, 5, tzinfo=UTC), others={}, index=index))

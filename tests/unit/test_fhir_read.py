"""What EHRs send, read tolerantly: nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir.read import read_patient, read_statements
from adapters.fhir.report import resources
from cds import codes, record
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.identity import HumanName, Identifier, Patient, Sex
from cds.domain.message import RecordStatements, RecordValue, Searched
from cds.errors import InvalidResource
from tests.unit.fhir_samples import PATIENT, SYSTEMS, report

TODAY = date(2026, 3, 5)
NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
SMOKING = {"coding": [{"system": codes.LOINC, "code": "72166-2"}]}
EX_SMOKER = {"coding": [{"system": codes.SNOMED, "code": "8517006", "display": "Ex-smoker"}]}
PACK_YEARS = {"coding": [{"system": codes.SNOMED, "code": "401201003"}]}
QUIT = {"coding": [{"system": codes.LOINC, "code": "74010-0"}]}
COPD = {"coding": [{"system": codes.SNOMED, "code": "13645005", "display": "COPD"}]}
HAEMOPTYSIS = {"coding": [{"system": codes.SNOMED, "code": "66857006"}]}
SPIROMETRY = {"coding": [{"system": codes.SNOMED, "code": "127783003"}]}


def bundle(*entries: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A searchset of resources."""
    entry = {"entry": [{"resource": resource} for resource in entries]} if entries else {}
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), **entry, **members}


def observation(code: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A final Observation of a day."""
    base = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "effectiveDateTime": "2026-01-02T23:30:00-05:00",
    }
    return {**base, "code": code, **members}


def condition(
    code: dict[str, Any], *, clinical: str = "active", verification: str = "confirmed", **members: Any
) -> dict[str, Any]:
    """A Condition with its two statuses."""
    return {
        "resourceType": "Condition",
        "id": "c",
        "code": code,
        "clinicalStatus": {"coding": [{"code": clinical}]},
        "verificationStatus": {"coding": [{"code": verification}]},
        **members,
    }


def values(*entries: dict[str, Any]) -> list[RecordValue]:
    """What a bundle of resources states."""
    return [s.value for s in read_statements({"all": bundle(*entries)}, TODAY)]


class TestPatients:
    """Identity by configured systems, never by name or by the EHR's logical id."""

    def test_the_standards_example_is_read(self, reference_dir: Path) -> None:
        resource = json.loads((reference_dir / "reference" / "fhir-examples/Patient-example.json").read_text())
        patient = read_patient(resource, {"urn:oid:1.2.36.146.595.217.0.1": "ACME"})
        assert patient == Patient(
            (Identifier("12345", "ACME"),), HumanName("Chalmers", "Peter James"), date(1974, 12, 25), Sex.MALE, False
        )

    def test_identifiers_of_other_systems_and_old_ones_identify_nobody(self) -> None:
        identifiers = [
            {"system": "https://hospital.example/mrn", "value": "1", "use": "old"},
            {"system": "https://elsewhere.example", "value": "2"},
            {"value": "3"},
            {"system": "https://hospital.example/mrn"},
            "odd",
        ]
        assert read_patient({"resourceType": "Patient", "identifier": identifiers}, SYSTEMS).identifiers == ()

    def test_our_own_patient_comes_back_as_it_was(self) -> None:
        body = resources(report(), identifier_systems=SYSTEMS, site_name="Site")[0].body
        read = read_patient(body, SYSTEMS)
        assert (read.identifiers, read.name, read.birth_date) == (PATIENT.identifiers, PATIENT.name, PATIENT.birth_date)
        assert read.id is None

    @pytest.mark.parametrize("birth_date", ["1974", "1974-12", "1974-13-01", "x", None, 7])
    def test_a_birth_date_without_its_day_is_unknown(self, birth_date: object) -> None:
        assert read_patient({"resourceType": "Patient", "birthDate": birth_date}, {}).birth_date is None

    def test_a_date_of_death_means_deceased_and_nothing_means_not_known(self) -> None:
        assert read_patient({"resourceType": "Patient", "deceasedDateTime": "2025"}, {}).deceased is True
        assert read_patient({"resourceType": "Patient"}, {}).deceased is None

    def test_another_resource_is_refused(self) -> None:
        with pytest.raises(InvalidResource):
            read_patient({"resourceType": "Practitioner"}, {})


class TestObservations:
    """Values, components, dates and status."""

    def test_a_coded_answer_is_read_with_the_day_as_written(self) -> None:
        [value] = values(observation(SMOKING, valueCodeableConcept=EX_SMOKER))
        assert value.code == Coding(codes.LOINC, "72166-2")
        assert value.value == Coding(codes.SNOMED, "8517006", "Ex-smoker")
        assert (value.effective, value.status, value.category) == (date(2026, 1, 2), "final", "observation")

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ({"valueQuantity": {"value": 30, "unit": "packs", "code": "{pack-years}"}}, Quantity(30.0, "{pack-years}")),
            ({"valueQuantity": {"value": 1.5, "unit": "L"}}, Quantity(1.5, "L")),
            ({"valueQuantity": {"value": 5, "comparator": "<", "unit": "L"}}, "<5 L"),
            ({"valueQuantity": {"value": "5"}}, None),
            ({"valueQuantity": {"value": True}}, None),
            ({"valueInteger": 30}, Quantity(30.0, "1")),
            ({"valueDateTime": "2010-05-06T01:02:03Z"}, date(2010, 5, 6)),
            ({"valueDateTime": "2010"}, "2010"),
            ({"valuePeriod": {"start": "2010-05-06"}}, date(2010, 5, 6)),
            ({"valueString": " about a pack "}, "about a pack"),
            ({"valueBoolean": False}, "false"),
            ({"valueCodeableConcept": {"text": "never"}}, "never"),
            ({}, None),
        ],
    )  # fmt: skip
    def test_each_type_of_value_is_read(self, member: dict[str, Any], value: object) -> None:
        [read] = values(observation(PACK_YEARS, **member))
        assert read.value == value

    def test_snomed_is_preferred_among_the_codings_of_an_answer(self) -> None:
        answer = {"coding": [{"system": "urn:local", "code": "7"}, *EX_SMOKER["coding"]]}
        [read] = values(observation(SMOKING, valueCodeableConcept=answer))
        assert read.value == Coding(codes.SNOMED, "8517006", "Ex-smoker")

    def test_components_are_statements_of_their_own(self) -> None:
        components = [
            {"code": PACK_YEARS, "valueQuantity": {"value": 30, "code": "{pack-years}"}},
            {"code": QUIT, "valueDateTime": "2015-06-07"},
            {"code": QUIT, "dataAbsentReason": {"coding": [{"code": "unknown"}]}},
        ]
        read = values(observation(SMOKING, valueCodeableConcept=EX_SMOKER, component=components))
        assert [value.value for value in read[1:]] == [Quantity(30.0, "{pack-years}"), date(2015, 6, 7)]
        assert {value.effective for value in read} == {date(2026, 1, 2)}
        assert len({value.key for value in read}) == 3

    def test_every_coding_of_a_code_can_be_found(self) -> None:
        code = {"coding": [{"system": "urn:local", "code": "SMK"}, *SMOKING["coding"]]}
        read = values(observation(code, valueCodeableConcept=EX_SMOKER))
        assert [value.code.code for value in read] == ["SMK", "72166-2"]
        assert len({value.key for value in read}) == 2

    @pytest.mark.parametrize(
        ("status", "read"),
        [
            ("final", "final"),
            ("amended", "corrected"),
            ("corrected", "corrected"),
            ("preliminary", "preliminary"),
            ("unknown", "preliminary"),
            ("entered-in-error", "entered-in-error"),
            ("cancelled", None),
            ("registered", None),
            ("bogus", None),
            (None, None),
        ],
    )
    def test_the_status_decides_whether_it_counts(self, status: object, read: str | None) -> None:
        stated = values(observation(SMOKING, status=status, valueCodeableConcept=EX_SMOKER))
        assert [value.status for value in stated] == ([read] if read else [])

    @pytest.mark.parametrize(
        ("members", "day"),
        [
            ({"effectiveDateTime": "2019"}, date(2019, 1, 1)),
            ({"effectiveDateTime": "2019-05"}, date(2019, 5, 1)),
            ({"effectiveDateTime": None, "effectivePeriod": {"start": "2019", "end": "2019-02-03"}}, date(2019, 2, 3)),
            ({"effectiveDateTime": None, "effectiveInstant": "2019-02-03T01:02:03Z"}, date(2019, 2, 3)),
            ({"effectiveDateTime": None, "issued": "2019-02-03T01:02:03Z"}, date(2019, 2, 3)),
            ({"effectiveDateTime": "last week"}, None),
        ],
    )  # fmt: skip
    def test_each_form_of_date_is_read(self, members: dict[str, Any], day: date | None) -> None:
        [read] = values(observation(SMOKING, **members))
        assert read.effective == day


class TestConditionsAndProcedures:
    """Doubt, error, absence and what was only planned."""

    @pytest.mark.parametrize(
        ("verification", "status"), [("confirmed", "final"), ("provisional", "preliminary"), ("entered-in-error",) * 2]
    )
    def test_verification_becomes_the_status(self, verification: str, status: str) -> None:
        [read] = values(condition(COPD, verification=verification, onsetDateTime="2020-01-02"))
        assert (read.status, read.effective, read.value) == (status, date(2020, 1, 2), None)

    def test_a_refuted_condition_is_known_to_be_absent_since_it_was_refuted(self) -> None:
        [read] = values(condition(COPD, verification="refuted", onsetDateTime="2019-01-01", recordedDate="2025-01-02"))
        assert isinstance(read.value, Coding)
        assert codes.is_negative(read.value)
        assert read.effective == date(2025, 1, 2)

    @pytest.mark.parametrize("clinical", ["resolved", "inactive", "remission"])
    def test_a_symptom_that_is_over_is_absent_and_a_past_disease_stays(self, clinical: str) -> None:
        [symptom] = values(
            condition(HAEMOPTYSIS, clinical=clinical, onsetDateTime="2019", abatementDateTime="2020-02-03")
        )
        [disease] = values(condition(COPD, clinical=clinical, onsetDateTime="2019-01-01"))
        assert isinstance(symptom.value, Coding)
        assert codes.is_negative(symptom.value)
        assert symptom.effective == date(2020, 2, 3)
        assert disease.value is None

    @pytest.mark.parametrize(
        ("status", "read"),
        [("completed", "final"), ("in-progress", "preliminary"), ("not-done", None), ("stopped", None)],
    )  # fmt: skip
    def test_only_a_procedure_that_was_done_counts(self, status: str, read: str | None) -> None:
        procedure = {"resourceType": "Procedure", "status": status, "code": SPIROMETRY}
        stated = values({**procedure, "performedPeriod": {"start": "2025-01-01", "end": "2025-01-02"}})
        assert [(v.status, v.effective) for v in stated] == ([(read, date(2025, 1, 2))] if read else [])

    def test_the_standards_example_is_read(self, reference_dir: Path) -> None:
        resource = json.loads((reference_dir / "reference" / "fhir-examples/Condition-example.json").read_text())
        [read] = values(resource)
        assert (read.code.code, read.effective, read.key) == ("39065001", date(2012, 5, 24), "Condition/example")


class TestAsARecord:
    """Through `cds.record`, as a hook uses it."""

    def ehr(self, *entries: dict[str, Any]) -> EhrData:
        """What pathways see of a bundle that was searched for smoking and spirometry."""
        said = RecordStatements(
            read_statements({"smoking": bundle(*entries)}, TODAY),
            (Searched("FHIR prefetch", None, ("smoking-status", "spirometry")),),
        )
        return record.assemble(PATIENT, said, now=NOW)

    def test_prefetch_becomes_ehr_data_with_dates_and_source(self) -> None:
        ehr = self.ehr(
            observation(
                SMOKING,
                valueCodeableConcept=EX_SMOKER,
                component=[{"code": PACK_YEARS, "valueQuantity": {"value": 30, "code": "{pack-years}"}}],
            )
        )
        assert ehr.smoking_status == Known(SmokingStatus.FORMER, date(2026, 1, 2), "FHIR prefetch")
        assert isinstance(ehr.pack_years, Known)
        assert ehr.pack_years.value.value == 30
        assert isinstance(ehr.procedure("spirometry"), NotFoundSince)
        assert isinstance(ehr.condition("copd"), Unknown)

    def test_what_was_entered_in_error_is_not_used(self) -> None:
        wrong = observation(SMOKING, status="entered-in-error", valueCodeableConcept=EX_SMOKER)
        assert isinstance(self.ehr(wrong).smoking_status, NotFoundSince)

    @pytest.mark.parametrize("verification", ["unconfirmed", "provisional", "differential"])
    def test_a_disease_that_nobody_confirmed_is_suspected(self, verification: str) -> None:
        ehr = self.ehr(condition(COPD, verification=verification, onsetDateTime="2026-01-02"))
        assert ehr.condition("copd") == Unknown("COPD is suspected since 2026-01-02 (FHIR prefetch), not confirmed")


def test_one_resource_in_two_bundles_is_stated_once() -> None:
    mine = observation(SMOKING, valueCodeableConcept=EX_SMOKER)
    assert len(read_statements({"one": bundle(mine), "two": bundle(mine)}, TODAY)) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceType",
                    "entry",
                    "resource",
                    "code",
                    "coding",
                    "status",
                    "component",
                    "valueQuantity",
                    "value",
                    "identifier",
                    "system",
                    "name",
                    "given",
                    "onsetPeriod",
                    "start",
                    "valueDateTime",
                    "issue",
                    "link",
                    "subject",
                ]
            ),
            inner
            | st.sampled_from(["Bundle", "Observation", "Condition", "Procedure", "Patient", "final", "2020-01-01"]),
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(json_values)
def test_no_json_however_odd_raises(value: object) -> None:
    read_statements({"a": value, "b": bundle({"resourceType": "Observation", "status": "final", "code": value})}, TODAY)
    read_patient({"resourceType": "Patient", "identifier": value, "name": value, "birthDate": value}, SYSTEMS)


def test_the_standards_examples_are_read_without_error(reference_dir: Path) -> None:
    for file in sorted((reference_dir / "reference" / "fhir-examples").glob("*.json")):
        read_statements({"a": json.loads(file.read_text())}, TODAY)

"""An EHR as a source of the record, over real sockets: whose, what is asked, what is read, faults, and the cache."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest

from adapters.fhir.ehr import EhrSources
from cds import codes
from cds.codes import LOINC, Entry, ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, Measurement, NotFoundSince, SmokingStatus, Unknown
from cds.domain.identity import Identifier, Sex
from cds.domain.message import RecordStatements
from cds.record import assemble, merge
from tests.contract.ehr_wire import (
    PACK_YEARS,
    PARAMETERS,
    SMOKES,
    SYSTEM,
    Ehr,
    Json,
    code,
    person,
    resource,
    source,
)
from tests.contract.fhir_wire import PHI, Asked, FhirWire, Reply, outcome
from tests.unit.clinical import NOW, TODAY, patient, record

SPIROMETRY = resource("Procedure", "spiro", code("127783003"), performedDateTime="2024-05-06")
COPD = resource("Condition", "copd", code("J44.9", "http://hl7.org/fhir/sid/icd-10-cm"), onsetDateTime="2020-01-02")
DRUG = ValueSet("a-drug", "a drug", "medication", (Entry(Coding("urn:test:drugs", "d1"), "a test"),))
VACCINE = ValueSet("a-vaccine", "a vaccine", "immunization", (Entry(Coding("urn:test:vaccines", "v1"), "a test"),))
RELATIVE = ValueSet("a-disease", "a disease in the family", "family-history", codes.EMPHYSEMA.entries)


def known(told: RecordStatements, **how: Any) -> EhrData:
    """What pathways see of what the source says alone."""
    return assemble(patient(), told, now=NOW, today=TODAY, **how)


def searched(wire: FhirWire) -> list[str]:
    """The types that were searched."""
    return sorted(one.path.split("/")[2] for one in wire.asked if one.path.endswith("_search"))


def failing(status: int, *issues: str) -> Callable[[Asked], Reply]:
    """An answer of an error that quotes the patient."""
    return lambda _: Reply(status, outcome(*(issues or ("exception",))))


class TestWhose:
    """The patient is found by identifier, exactly one, and nothing contradicts."""

    def reason(self, *people: Json, **who: Any) -> tuple[str, bool]:
        """Why nothing is told of a patient."""
        with source(Ehr(resources=[*people, SMOKES])) as (ehr, _):
            told = ehr.statements(patient(**who))
        assert told.statements == told.searched == told.away == ()
        (unasked,) = told.unasked
        return unasked.reason, unasked.blind

    def test_an_identifier_goes_in_the_body_and_never_in_an_address(self) -> None:
        with source(Ehr()) as (ehr, wire):
            assert len(ehr.statements(patient()).statements) == 2
        (look_up,) = [one for one in wire.asked if one.path.startswith("/fhir/Patient")]
        assert (look_up.method, look_up.path, look_up.query) == ("POST", "/fhir/Patient/_search", [])
        assert look_up.form == [("identifier", f"{SYSTEM}|4711")]
        assert not any("4711" in f"{one.path} {one.query}" for one in wire.asked)

    def test_nobody_there_is_no_absence_of_anything(self) -> None:
        assert self.reason() == ("does not know this patient", False)

    def test_whoever_does_not_carry_the_identifier_is_not_used_though_the_server_found_her(self) -> None:
        ehr = Ehr(resources=[SMOKES])
        found = person(number="9999")
        ehr.faults["Patient"] = lambda _: Reply(
            body={"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": found}]}
        )
        with source(ehr) as (asked, _):
            told = asked.statements(patient())
        assert told.statements == ()
        assert told.unasked[0].reason == "does not know this patient"

    def test_several_patients_are_not_used_and_it_is_said(self) -> None:
        assert self.reason(person(), person("p2")) == ("has several patients under these identifiers", True)

    def test_an_inactive_patient_is_not_used(self) -> None:
        assert self.reason(person(active=False)) == (
            "has this patient only as one who was replaced or is inactive",
            True,
        )

    @pytest.mark.parametrize(
        ("who", "differs"),
        [({"birthDate": "1970-01-01"}, "birth date"), ({"gender": "male"}, "sex")],
    )
    def test_a_contradiction_is_not_used_and_it_is_said_what_differs(self, who: Json, differs: str) -> None:
        assert self.reason(person(**who)) == (f"has a patient of another {differs} under these identifiers", True)

    def test_whoever_replaced_the_patient_is_followed(self) -> None:
        link = [{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]
        old, now = person("old", active=False, link=link), person("p1", number="after the merge")
        with source(Ehr(resources=[old, now, SMOKES])) as (ehr, _):
            assert isinstance(known(ehr.statements(patient())).smoking_status, Known)

    @pytest.mark.parametrize("other", ["Patient/gone", "Patient/old", "https://elsewhere.example/fhir/Patient/p1"])
    def test_a_link_that_leads_nowhere_or_elsewhere_is_not_followed(self, other: str) -> None:
        link = [{"type": "replaced-by", "other": {"reference": other}}]
        assert self.reason(person("old", link=link))[1] is True

    def test_a_patient_of_an_authority_that_no_system_is_mapped_to_is_not_looked_up(self) -> None:
        with source(Ehr()) as (ehr, wire):
            told = ehr.statements(patient(identifiers=(Identifier("4711", "ELSEWHERE"),)))
        assert wire.asked == []
        assert told.unasked[0].reason == "knows none of this patient's identifiers"

    def test_a_test_patient_is_never_asked_for(self) -> None:
        with source(Ehr()) as (ehr, wire):
            ehr.statements(patient(identifiers=(Identifier("4711", "HOSPITAL").in_test(),)))
        assert wire.asked == []

    def test_only_the_authorities_of_the_source_are_asked_for(self) -> None:
        with source(Ehr(), issuers=("ANOTHER",)) as (ehr, wire):
            ehr.statements(patient())
        assert wire.asked == []

    def test_former_identifiers_find_her_too_and_both_are_one_patient(self) -> None:
        merged = patient(identifiers=(Identifier("1", "HOSPITAL"),), former=(Identifier("4711", "HOSPITAL"),))
        both = person(identifier=[{"system": SYSTEM, "value": "1"}, {"system": SYSTEM, "value": "4711"}])
        with source(Ehr(resources=[both, SMOKES])) as (ehr, _):
            assert len(ehr.statements(merged).statements) == 1

    def test_the_ehr_tells_who_she_is(self) -> None:
        with source(Ehr(resources=[person(deceasedDateTime="2026-10-01")])) as (ehr, _):
            told = ehr.statements(patient(birth_date=None, sex=Sex.UNKNOWN))
        data = assemble(patient(birth_date=None, sex=Sex.UNKNOWN), told, now=NOW)
        assert data.birth_date == Known(date(1963, 5, 1), None, "FHIR ehr")
        assert data.deceased == Known(True, None, "FHIR ehr")


class TestWhatIsAsked:
    """Only what some pathway needs, in as few searches as its codes allow."""

    def test_only_what_is_asked_for_is_searched(self) -> None:
        with source(Ehr(), asks=(codes.SMOKING_STATUS,)) as (ehr, wire):
            told = ehr.statements(patient())
        assert searched(wire) == ["Observation", "Patient"]
        (search,) = [one for one in wire.asked if one.path.startswith("/fhir/Observation")]
        assert ("code", f"{LOINC}|72166-2") in search.form
        assert {("patient", "p1"), ("_sort", "-date")} <= set(search.form)
        assert told.searched[0].covers == ("smoking-status",)

    def test_where_no_pathway_asks_anything_the_ehr_is_left_alone(self) -> None:
        with source(Ehr(), asks=()) as (ehr, wire):
            assert ehr.statements(patient()) == RecordStatements()
        assert wire.asked == []

    def test_a_call_may_ask_for_less(self) -> None:
        with source(Ehr(resources=[person(), COPD])) as (ehr, wire):
            told = ehr.ask(patient(), {"copd"}, within_s=5)
        assert searched(wire) == ["Condition", "Patient"]
        assert "copd" in (told.searched[0].covers or ())
        assert "spirometry" not in (told.searched[0].covers or ())

    def test_without_a_code_parameter_all_of_the_type_is_asked_for_once_and_what_is_not_meant_is_left(self) -> None:
        weight = resource("Observation", "w", code("29463-7", LOINC), valueQuantity={"value": 70, "unit": "kg"})
        own = {kind: names for kind, names in PARAMETERS.items() if kind != "Observation"}
        ehr = Ehr(resources=[person(), SMOKES, PACK_YEARS, weight, resource("Observation", "x", code("1", "urn:x"))])
        ehr.parameters = {**own, "Observation": ("patient",)}
        with source(ehr, asks=(codes.SMOKING_STATUS, codes.PACK_YEARS)) as (asked, wire):
            told = asked.statements(patient())
        assert searched(wire) == ["Observation", "Patient"]
        assert {one.value.key for one in told.statements} == {f"Observation/{n}" for n in ("smoking", "packs", "w")}
        assert set(told.searched[0].covers or ()) == {"smoking-status", "pack-years"}

    def test_a_server_that_knows_the_patient_as_subject_alone_is_asked_so(self) -> None:
        ehr = Ehr(parameters={**PARAMETERS, "Observation": ("subject", "code")})
        with source(ehr, asks=(codes.SMOKING_STATUS,)) as (asked, wire):
            assert len(asked.statements(patient()).statements) == 1
        assert ("subject", "Patient/p1") in wire.asked[-1].form

    def test_a_server_that_finds_nothing_under_a_bare_id_is_asked_the_other_way_and_then_only_so(self) -> None:
        with source(Ehr(typed=True), asks=(codes.SMOKING_STATUS,)) as (ehr, wire):
            assert len(ehr.statements(patient()).statements) == 1
            ehr.statements(patient(former=(Identifier("1", "HOSPITAL"),)))
        named = [dict(one.form)["patient"] for one in wire.asked if one.path.startswith("/fhir/Observation")]
        assert named == ["p1", "Patient/p1", "Patient/p1"]

    def test_searches_that_run_at_once_all_find_out_how_the_patient_is_named(self) -> None:
        for _ in range(5):
            with source(Ehr(resources=[person(), SMOKES, PACK_YEARS, SPIROMETRY, COPD], typed=True)) as (ehr, _wire):
                data = known(ehr.statements(patient()))
            facts = (data.smoking_status, data.pack_years, data.procedure("spirometry"), data.condition("copd"))
            assert all(isinstance(fact, Known) for fact in facts)

    def test_a_value_may_be_a_component_whether_or_not_the_server_searches_components(self) -> None:
        part = {"code": code("8480-6", LOINC), "valueQuantity": {"value": 141, "code": "mm[Hg]"}}
        alone = resource("Observation", "bp", code("x", "urn:x"), component=[part], effectiveDateTime="2026-11-01")
        panel = {**alone, "code": code("85354-9", LOINC)}
        combo = {**PARAMETERS, "Observation": ("patient", "code", "combo-code")}
        for listed, parameters in ((alone, combo), (panel, combo), (panel, PARAMETERS)):
            ehr = Ehr(resources=[person(), listed], parameters=parameters)
            with source(ehr, asks=(codes.loaded()["systolic-blood-pressure"],)) as (asked, _):
                pressure = known(asked.statements(patient())).measurement("systolic-blood-pressure")
            assert isinstance(pressure, Known), parameters
            assert pressure.value.quantity == Quantity(141.0, "mm[Hg]")

    def test_a_type_that_the_server_does_not_have_is_not_asked_and_takes_no_absence_away(self) -> None:
        ehr = Ehr(parameters={k: v for k, v in PARAMETERS.items() if k not in ("DiagnosticReport", "ServiceRequest")})
        with source(ehr) as (asked, wire):
            told = asked.statements(patient())
        assert not {"DiagnosticReport", "ServiceRequest"} & set(searched(wire))
        data = known(merge(record(), told))
        assert isinstance(data.procedure("spirometry"), NotFoundSince)
        alone = known(told).request("spirometry-request")
        assert alone == Unknown("FHIR ehr holds no ServiceRequest that can be asked for")
        assert told.away == ()

    def test_a_parameter_that_is_refused_is_left_out(self) -> None:
        with source(Ehr(refused=frozenset({"_sort", "_include"})), asks=(codes.SMOKING_STATUS, DRUG)) as (ehr, _):
            told = ehr.statements(patient())
        assert isinstance(known(told).smoking_status, Known)
        assert {"smoking-status", "a-drug"} <= set(told.searched[0].covers or ())


class TestWhatIsRead:
    """Every type of resource, through the wire, as EhrData."""

    def test_smoking_with_pack_years_as_us_core_has_them(self) -> None:
        with source(Ehr()) as (ehr, _):
            data = known(ehr.statements(patient()))
        assert data.smoking_status == Known(SmokingStatus.CURRENT, date(2026, 10, 1), "FHIR ehr")
        assert data.pack_years == Known(Quantity(38.0, "{pack-years}"), date(2026, 10, 1), "FHIR ehr")

    def test_everything_else_that_a_pathway_may_ask(self) -> None:
        own = {"medicationCodeableConcept": code("d1", "urn:test:drugs"), "intent": "order", "authoredOn": "2025-02-03"}
        confirmed = {"verificationStatus": {"coding": [{"code": "confirmed"}]}}
        creatinine = {"valueQuantity": {"value": 88.4, "code": "umol/L"}, "effectiveDateTime": "2026-11-01T09:00:00Z"}
        father = {"relationship": {"text": "father"}, "condition": [{"code": code("87433001")}], "status": "completed"}
        ehr = Ehr(
            resources=[
                person(),
                SPIROMETRY,
                COPD,
                resource("AllergyIntolerance", "a", code("109218004"), recordedDate="2019-01-01", **confirmed),
                resource("Observation", "crea", code("14682-9", LOINC), **creatinine),
                resource("MedicationRequest", "m", {}, status="active", **own),
                resource("Immunization", "i", {}, status="completed", vaccineCode=code("v1", "urn:test:vaccines")),
                resource("FamilyMemberHistory", "f", {}, **father),
                resource("ServiceRequest", "r", code("16334891000119106"), intent="order", authoredOn="2026-11-01"),
                resource("DiagnosticReport", "d", code("16334891000119106"), effectiveDateTime="2026-01-05"),
            ]
        )
        asks = (
            codes.SPIROMETRY, codes.LOW_DOSE_CT, codes.COPD, codes.loaded()["contrast-allergy"],
            codes.loaded()["creatinine"], DRUG, VACCINE, RELATIVE, codes.LOW_DOSE_CT_ORDERED,
        )  # fmt: skip
        with source(ehr, asks=asks) as (asked, _):
            told = asked.statements(patient())
        data = known(told, value_sets={**codes.loaded(), **{one.name: one for one in (DRUG, VACCINE, RELATIVE)}})
        facts = (
            data.procedure("spirometry"), data.condition("copd"), data.allergy("contrast-allergy"),
            data.medication("a-drug"), data.immunization("a-vaccine"), data.relative("a-disease"),
            data.request("low-dose-chest-ct-request"), data.procedure("low-dose-chest-ct"),
        )  # fmt: skip
        assert [fact.effective for fact in facts if isinstance(fact, Known)] == [
            date(2024, 5, 6), date(2020, 1, 2), date(2019, 1, 1), date(2025, 2, 3), None, None, date(2026, 11, 1),
            date(2026, 1, 5),
        ]  # fmt: skip
        creatinine_fact = data.measurement("creatinine")
        assert isinstance(creatinine_fact, Known)
        assert isinstance(creatinine_fact.value, Measurement)
        assert creatinine_fact.value.quantity.value == pytest.approx(1.0, rel=1e-3)
        assert set(told.searched[0].covers or ()) >= {one.name for one in asks}

    def test_a_drug_that_is_a_resource_of_its_own_comes_along_or_is_read(self) -> None:
        drug = {"resourceType": "Medication", "id": "x", "code": code("d1", "urn:test:drugs")}
        own = {"medicationReference": {"reference": "Medication/x"}, "intent": "order", "authoredOn": "2025-02-03"}
        listed = [person(), drug, resource("MedicationRequest", "m", {}, status="active", **own)]
        for refused, reads in ((frozenset[str](), 0), (frozenset({"_include"}), 1)):
            with source(Ehr(resources=listed, refused=refused), asks=(DRUG,)) as (ehr, wire):
                data = known(ehr.statements(patient()), value_sets={DRUG.name: DRUG})
            assert isinstance(data.medication("a-drug"), Known)
            assert wire.paths.count("GET /fhir/Medication/x") == reads

    def test_a_drug_that_cannot_be_read_proves_no_absence(self) -> None:
        own = {"medicationReference": {"reference": "Medication/gone"}, "intent": "order"}
        listed = [person(), resource("MedicationRequest", "m", {}, status="active", **own)]
        with source(Ehr(resources=listed), asks=(DRUG,)) as (ehr, _):
            data = known(ehr.statements(patient()), value_sets={DRUG.name: DRUG})
        assert data.medication("a-drug") == Unknown("FHIR ehr names drugs that could not be read")

    def test_all_pages_are_read(self) -> None:
        many = [
            resource("Observation", f"s{n}", code("72166-2", LOINC), valueCodeableConcept=code("266919005"),
                     effectiveDateTime=f"20{n:02d}-01-01")
            for n in range(1, 26)
        ]  # fmt: skip
        with source(Ehr(resources=[person(), *many], page=4), asks=(codes.SMOKING_STATUS,)) as (ehr, _):
            told = ehr.statements(patient())
        assert len(told.statements) == 25
        assert known(told).smoking_status == Known(SmokingStatus.NEVER, date(2025, 1, 1), "FHIR ehr")

    def test_what_has_no_id_is_told_apart_by_where_it_was_found(self) -> None:
        nameless = [{name: value for name, value in one.items() if name != "id"} for one in (SMOKES, PACK_YEARS)]

        def each(asked: Asked) -> Reply:
            wanted = dict(asked.form)["code"]
            found = [one for one in nameless if one["code"]["coding"][0]["code"] in wanted]
            return Reply(body={"resourceType": "Bundle", "entry": [{"resource": one} for one in found]})

        with source(Ehr(faults={"Observation": each})) as (ehr, _):
            told = ehr.statements(patient())
        assert len(told.statements) == 2

    def test_what_names_another_patient_is_left_out_and_proves_no_absence(self) -> None:
        ehr = Ehr()
        other = {**COPD, "subject": {"reference": "Patient/p2"}}
        page = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": other}]}
        ehr.faults["Condition"] = lambda _: Reply(body=page)
        with source(ehr) as (asked, _):
            told = asked.statements(patient())
        assert known(told).condition("copd") == Unknown("FHIR ehr answered with what is another patient's")


class TestFaults:
    """What one search cannot tell is not known; the others stand, and nothing of the patient is in any text."""

    @pytest.mark.parametrize(
        ("fault", "reason", "again"),
        [
            (failing(500), "failed when it was asked", True),
            (failing(401, "login"), "does not let us ask", True),
            (failing(403, "forbidden"), "does not let us ask", True),
            (failing(404, "not-found"), "refused to be asked", False),
            (lambda _: Reply(body=b'{"resourceType": "Bundle", "entry": [{"reso'), "failed when it was asked", True),
            (lambda _: Reply(body={"resourceType": "Bundle"}, cut=True), "could not be asked", True),
            (lambda _: Reply(gone=True), "could not be asked", True),
            (lambda _: Reply(body=outcome("incomplete")), "failed when it was asked", True),
        ],
    )
    def test_one_search_that_fails_is_named_and_the_others_stand(
        self, fault: Callable[[Asked], Reply], reason: str, *, again: bool
    ) -> None:
        with source(Ehr(faults={"Procedure": fault})) as (ehr, _):
            told = ehr.statements(patient())
        data = known(merge(record(), told))
        assert isinstance(data.smoking_status, Known)
        assert isinstance(data.condition("copd"), NotFoundSince)
        fact = data.procedure("spirometry")
        assert isinstance(fact, Unknown)
        assert fact.reason.startswith(f"FHIR ehr {reason}; no spirometry found in")
        assert (told.away == ("FHIR ehr",)) is again
        assert not any(word in str(told.unasked) for word in (*PHI.split(), "4711"))

    def test_a_spirometry_that_another_search_found_is_known_though_one_failed(self) -> None:
        ehr = Ehr(resources=[person(), SPIROMETRY], faults={"DiagnosticReport": failing(500)})
        with source(ehr) as (asked, _):
            assert isinstance(known(asked.statements(patient())).procedure("spirometry"), Known)

    @pytest.mark.parametrize("fault", [failing(503), lambda _: Reply(gone=True)])
    @pytest.mark.parametrize("where", ["Patient", "metadata"])
    def test_a_server_that_is_away_makes_everything_unknown_and_is_named(
        self, fault: Callable[[Asked], Reply], where: str
    ) -> None:
        with source(Ehr(faults={where: fault})) as (ehr, _):
            told = ehr.statements(patient())
        assert (told.statements, told.searched, told.away) == ((), (), ("FHIR ehr",))
        fact = known(merge(record(), told)).procedure("spirometry")
        assert isinstance(fact, Unknown)
        assert fact.reason.startswith("FHIR ehr could not be asked; no spirometry found in HL7 LAB|HOSPITAL since")

    def test_what_did_not_come_in_time_is_named_and_what_came_stands(self) -> None:
        slow = Ehr(faults={"Procedure": lambda _: Reply(pause_s=3)})
        with source(slow) as (ehr, _):
            begun = time.monotonic()
            told = ehr.ask(patient(), within_s=0.7)
            took_s = time.monotonic() - begun
        assert took_s < 1.5
        data = known(told)
        assert isinstance(data.smoking_status, Known)
        assert data.procedure("spirometry") == Unknown("FHIR ehr did not answer in time")
        assert told.away == ("FHIR ehr",)

    def test_a_server_that_hangs_is_away_within_the_deadline(self) -> None:
        with source(Ehr(faults={"Patient": lambda _: Reply(pause_s=3)})) as (ehr, _):
            begun = time.monotonic()
            told = ehr.ask(patient(), within_s=0.3)
            assert time.monotonic() - begun < 1.0
        assert told.unasked[0].reason == "did not answer in time"
        assert told.away == ("FHIR ehr",)

    def test_half_the_pages_tell_what_they_hold_but_no_absence(self) -> None:
        def second_fails(asked: Asked) -> Reply:
            return Reply(500, outcome("exception")) if asked.method == "GET" else full.answer(asked)

        shown = resource("Condition", "c1", code("13645005"), onsetDateTime="2020-01-02")
        full = Ehr(resources=[person(), shown, *({**COPD, "id": f"x{n}"} for n in range(3))], page=1)
        half = Ehr(resources=full.resources, page=1, faults={"Condition": second_fails})
        with source(half) as (ehr, _):
            told = ehr.statements(patient())
        data = known(told)
        assert isinstance(data.condition("copd"), Known)
        assert data.condition("lung-cancer") == Unknown("FHIR ehr failed when it was asked")

    @pytest.mark.parametrize("newest_first", [True, False])
    def test_half_of_the_values_count_only_where_what_is_missing_is_older(self, *, newest_first: bool) -> None:
        days = ["2026-03-01", "2025-03-01"] if newest_first else ["2025-03-01", "2026-03-01"]
        shown = [
            resource("Observation", f"s{n}", code("72166-2", LOINC), valueCodeableConcept=code("449868002"),
                     effectiveDateTime=day)
            for n, day in enumerate(days)
        ]  # fmt: skip

        def half(asked: Asked) -> Reply:
            if asked.method == "GET":
                return Reply(500, outcome("exception"))
            link = [{"relation": "next", "url": f"http://{asked.headers['Host']}/fhir/Observation?_page=1"}]
            entries = [{"resource": one} for one in shown]
            return Reply(body={"resourceType": "Bundle", "type": "searchset", "entry": entries, "link": link})

        with source(Ehr(faults={"Observation": half}), asks=(codes.SMOKING_STATUS,)) as (ehr, _):
            status = known(ehr.statements(patient())).smoking_status
        assert isinstance(status, Known) is newest_first

    def test_a_result_that_is_cut_off_proves_no_absence(self) -> None:
        many = [{**COPD, "id": f"x{n}"} for n in range(9)]
        with source(Ehr(resources=[person(), *many], page=2), most=3) as (ehr, wire):
            data = known(ehr.statements(patient()))
        assert isinstance(data.condition("copd"), Known)
        assert data.condition("lung-cancer") == Unknown(
            "FHIR ehr has more than 3 that could be meant: not all were read"
        )
        assert sum(one.path.startswith("/fhir/Condition") for one in wire.asked) == 2

    def test_a_server_that_says_that_there_is_more_than_it_gave_proves_no_absence(self) -> None:
        page = {"resourceType": "Bundle", "type": "searchset", "total": 3, "entry": [{"resource": COPD}]}
        with source(Ehr(faults={"Condition": lambda _: Reply(body=page)})) as (ehr, _):
            assert known(ehr.statements(patient())).condition("lung-cancer") == Unknown(
                "FHIR ehr has more than it gave"
            )

    def test_a_server_that_was_away_is_left_alone_for_a_while(self) -> None:
        ehr = Ehr(faults={"Patient": failing(503)})
        with source(ehr, rest_s=0.5) as (asked, wire):
            asked.statements(patient())
            before = len(wire.asked)
            ehr.faults.clear()
            assert asked.statements(patient()).away == ("FHIR ehr",)
            assert len(wire.asked) == before
            time.sleep(0.6)
            assert asked.statements(patient()).away == ()


class TestTheCache:
    """Minutes, in memory, by patient; one request for all who ask at once."""

    def test_many_who_ask_at_once_make_one_request_each(self) -> None:
        ehr = Ehr()
        gate = threading.Barrier(16)

        def ask(_: int) -> RecordStatements:
            gate.wait(5)
            return asked.statements(patient())

        with source(ehr) as (asked, wire), ThreadPoolExecutor(16) as pool:
            told = list(pool.map(ask, range(16)))
        assert len({str(one.statements) for one in told}) == 1
        assert all(len(one.statements) == 2 for one in told)
        made = [(one.path, one.body) for one in wire.asked]
        assert len(made) == len(set(made))

    def test_what_was_told_is_believed_for_a_while_and_asked_again_after(self) -> None:
        ehr = Ehr()
        with source(ehr, cache_s=0.4) as (asked, wire):
            asked.statements(patient())
            first = len(wire.asked)
            ehr.resources.append(SPIROMETRY)
            assert isinstance(known(asked.statements(patient())).procedure("spirometry"), NotFoundSince)
            assert len(wire.asked) == first
            time.sleep(0.5)
            assert isinstance(known(asked.statements(patient())).procedure("spirometry"), Known)

    def test_another_patient_is_never_told_what_is_hers(self) -> None:
        other = person("p2", number="4712", birthDate="1970-01-01", gender="male")
        with source(Ehr(resources=[person(), other, SMOKES])) as (ehr, _):
            hers = ehr.statements(patient())
            his = ehr.statements(patient(identifiers=(Identifier("4712", "HOSPITAL"),), birth_date=None, sex=Sex.MALE))
        assert len(hers.statements) == 1
        assert his.statements == ()
        assert his.searched != ()

    def test_a_patient_whose_identifiers_changed_is_looked_up_again(self) -> None:
        with source(Ehr()) as (ehr, wire):
            ehr.statements(patient())
            ehr.statements(patient(former=(Identifier("1", "HOSPITAL"),)))
        assert searched(wire).count("Patient") == 2

    def test_a_failure_is_not_believed_and_what_came_is(self) -> None:
        ehr = Ehr(faults={"Procedure": failing(500)})
        with source(ehr) as (asked, wire):
            asked.statements(patient())
            ehr.faults.clear()
            before = len(wire.asked)
            told = asked.statements(patient())
            assert [one.path for one in wire.asked[before:]] == ["/fhir/Procedure/_search"]
        assert told.away == told.unasked == ()

    def test_no_more_requests_are_made_at_once_than_the_table_allows(self) -> None:
        at_once, most, lock = [0], [0], threading.Lock()

        def counted(asked: Asked) -> Reply:
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            time.sleep(0.05)
            with lock:
                at_once[0] -= 1
            return plain.answer(asked)

        plain = Ehr()
        counting = Ehr(faults={kind: counted for kind in (*PARAMETERS, "metadata")})
        with source(counting, parallel=3) as (ehr, _):
            assert ehr.statements(patient()).away == ()
        assert 2 <= most[0] <= 3


def test_several_servers_are_asked_at_the_same_time_and_one_that_is_away_does_not_hide_the_other() -> None:
    slow = Ehr(resources=[person(), SPIROMETRY], faults={})
    away = Ehr(faults={"Patient": lambda _: Reply(pause_s=2)})
    with source(slow, name="clinic") as (clinic, _), source(away, name="ehr") as (ehr, _):
        both = EhrSources([clinic, ehr])
        begun = time.monotonic()
        told = both.ask(patient(), within_s=0.8)
        assert time.monotonic() - begun < 1.6
    data = known(told)
    assert isinstance(data.procedure("spirometry"), Known)
    assert told.away == ("FHIR ehr",)
    copd = data.condition("copd")
    assert copd == Unknown("FHIR ehr did not answer in time; no COPD found in FHIR clinic")


def test_no_text_of_the_source_names_the_patient(capsys: pytest.CaptureFixture[str]) -> None:
    ehr = Ehr(faults={kind: failing(500) for kind in PARAMETERS})
    with source(ehr) as (asked, _):
        told = asked.statements(patient())
    seen = f"{capsys.readouterr()} {told.unasked} {told.away}"
    assert re.search(r"an EHR could not be asked", seen)
    assert not any(word in seen for word in (*PHI.split(), "4711", "Unmistakable", "p1/"))

"""Race as FHIR (US Core) and HL7 v2 (PID-10, PID-22) carry it: one category is believed; several, or none, are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from adapters.fhir.race import read_race
from adapters.fhir.read import read_statements
from cds import codes, race
from cds.codes import SNOMED
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Known, Unknown
from cds.domain.message import RecordStatements, RecordValue, Statement
from cds.record import assemble, merge
from tests.contract.ehr_wire import Ehr, person, source
from tests.unit.clinical import NOW, TODAY, patient
from tests.unit.hl7_content import content

CDCREC = "urn:oid:2.16.840.1.113883.6.238"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
URL = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
WHITE = Coding(CDCREC, "2106-3", "White")
BLACK = Coding(CDCREC, "2054-5", "Black or African American")
HISPANIC = Coding(CDCREC, "2135-2", "Hispanic or Latino")
ASKS = (codes.COPD,)
NONE_STATED = Unknown("no source states the race as a code of CDCREC")


def omb(kind: str, *categories: str, system: str = CDCREC) -> dict[str, Any]:
    """An extension of US Core, with a detailed code and the text that it requires."""
    stated = [{"url": "ombCategory", "valueCoding": {"system": system, "code": code}} for code in categories]
    detailed = {"url": "detailed", "valueCoding": {"system": CDCREC, "code": "2108-9", "display": "European"}}
    return {"url": f"{URL}{kind}", "extension": [*stated, detailed, {"url": "text", "valueString": "as said"}]}


def who(*extensions: Mapping[str, Any]) -> dict[str, Any]:
    """A Patient with these extensions."""
    return person(extension=list(extensions))


def known(*statements: Statement | RecordValue, by: str = "HL7 ADT|HOSPITAL") -> EhrData:
    """What pathways see of some statements."""
    told = [one if isinstance(one, Statement) else Statement(one, by, NOW) for one in statements]
    return assemble(patient(), RecordStatements(tuple(told)), now=NOW, today=TODAY)


def in_fhir(*extensions: Mapping[str, Any]) -> EhrData:
    stated = read_race(who(*extensions))
    return known(*([stated] if stated else []), by="FHIR ehr")


def in_hl7(pid_10: str, pid_22: str = "", kind: str = "ADT^A04") -> EhrData:
    return known(*content(registration(pid_10, pid_22), kind=kind).values)


def registration(pid_10: str, pid_22: str = "") -> str:
    return f"PID|1||4711^^^CLINIC^MR||Probe^Petra^M||19610203|F||{pid_10}||||||||||||{pid_22}"


class TestFhir:
    """US Core 7.0.0, StructureDefinition us-core-race and us-core-ethnicity."""

    @pytest.mark.parametrize(
        ("code", "display"),
        [
            ("2106-3", "White"),
            ("2054-5", "Black or African American"),
            ("2028-9", "Asian"),
            ("1002-5", "American Indian or Alaska Native"),
            ("2076-8", "Native Hawaiian or Other Pacific Islander"),
            ("2131-1", "Other Race"),
        ],
    )
    def test_one_category_is_the_race(self, code: str, display: str) -> None:
        assert in_fhir(omb("race", code)).race == Known(Coding(CDCREC, code, display), None, "FHIR ehr")

    def test_several_categories_are_unknown_with_the_reason(self) -> None:
        assert in_fhir(omb("race", "2106-3", "2054-5")).race == Unknown("several races are stated (FHIR ehr)")

    @pytest.mark.parametrize("code", ["UNK", "ASKU"])
    def test_who_was_asked_and_did_not_answer_has_none(self, code: str) -> None:
        assert in_fhir(omb("race", code, system=NULL_FLAVOR)).race == NONE_STATED

    def test_detail_and_text_alone_are_none(self) -> None:
        assert in_fhir(omb("race")).race == NONE_STATED

    def test_a_patient_without_the_extension_has_none(self) -> None:
        assert read_race(person()) is None
        assert in_fhir({"url": f"{URL}birthsex", "valueCode": "F"}).race == NONE_STATED

    @pytest.mark.parametrize("odd", [None, "2106-3", [1], [{"url": f"{URL}race", "extension": "2106-3"}], [{}]])
    def test_an_odd_extension_says_nothing(self, odd: object) -> None:
        assert read_race(person(extension=odd)) is None

    def test_white_and_hispanic_is_hispanic(self) -> None:
        assert in_fhir(omb("race", "2106-3"), omb("ethnicity", "2135-2")).race == Known(HISPANIC, None, "FHIR ehr")

    def test_hispanic_alone_is_hispanic(self) -> None:
        assert in_fhir(omb("ethnicity", "2135-2")).race == Known(HISPANIC, None, "FHIR ehr")

    def test_black_and_hispanic_are_several(self) -> None:
        found = in_fhir(omb("race", "2054-5"), omb("ethnicity", "2135-2")).race
        assert found == Unknown("several races are stated (FHIR ehr)")

    def test_not_hispanic_says_no_race(self) -> None:
        assert in_fhir(omb("ethnicity", "2186-5")).race == NONE_STATED
        assert in_fhir(omb("race", "2106-3"), omb("ethnicity", "2186-5")).race == Known(WHITE, None, "FHIR ehr")

    def test_an_ethnicity_that_is_not_known_is_no_other_race(self) -> None:
        assert in_fhir(omb("race", "2106-3"), omb("ethnicity", "2137-8")).race == Known(WHITE, None, "FHIR ehr")

    def test_the_patient_of_an_ehr_tells_it(self) -> None:
        with source(Ehr(resources=[who(omb("race", "2054-5"))]), asks=ASKS) as (ehr, _):
            told = ehr.statements(patient())
        assert assemble(patient(), told, now=NOW, today=TODAY).race == Known(BLACK, None, ehr.source)

    def test_whom_the_identifiers_do_not_find_tells_nothing(self) -> None:
        with source(Ehr(resources=[person(number="4712", extension=[omb("race", "2054-5")])]), asks=ASKS) as (ehr, _):
            told = ehr.statements(patient())
        assert told.statements == ()

    def test_the_patient_of_a_prefetch_tells_it(self) -> None:
        (found,) = read_statements({"patient": who(omb("race", "2106-3"))}, TODAY)
        assert known(found).race == Known(WHITE, None, "FHIR prefetch")

    def test_a_patient_among_the_results_of_a_search_is_another(self) -> None:
        bundle = {"resourceType": "Bundle", "entry": [{"resource": who(omb("race", "2106-3"))}]}
        assert read_statements({"conditions": bundle}, TODAY) == ()


class TestHl7:
    """HL7 v2.5.1 sections 3.4.2.10 and 3.4.2.22, user-defined tables 0005 and 0189."""

    @pytest.mark.parametrize(
        "pid_10",
        [
            "2106-3^White^CDCREC",
            "2106-3^White^HL70005",
            "2106-3^White^HL70005^CAUC^Caucasian^L",
            "W^White^L^2106-3^White^CDCREC",
            "2106-3",
            "2106-3^White^CDCREC~2106-3^White^CDCREC",
            "2106-3^White^CDCREC~UNK^Unknown^NULLFL",
        ],
    )
    def test_one_category_is_the_race(self, pid_10: str) -> None:
        assert in_hl7(pid_10).race == Known(WHITE, None, "HL7 ADT|HOSPITAL")

    @pytest.mark.parametrize(
        "pid_10",
        [
            "2106-3^White^HL70005~2028-9^Asian^HL70005",
            "2106-3^White^CDCREC~X^Mixed^L",
        ],
    )
    def test_several_are_unknown_with_the_reason(self, pid_10: str) -> None:
        assert in_hl7(pid_10).race == Unknown("several races are stated (HL7 ADT|HOSPITAL)")

    @pytest.mark.parametrize(
        "pid_10", ["", "W^White^L", "C", "UNK^Unknown^NULLFL", "U", "^White", "2034-7^Chinese^CDCREC"]
    )
    def test_what_is_no_category_says_nothing(self, pid_10: str) -> None:
        message = content(registration(pid_10), kind="ADT^A04")
        assert (message.values, message.warnings) == ((), ())

    @pytest.mark.parametrize("pid_22", ["2135-2^Hispanic or Latino^HL70189", "H^Hispanic^HL70189", "H"])
    def test_white_and_hispanic_is_hispanic(self, pid_22: str) -> None:
        assert in_hl7("2106-3^White^CDCREC", pid_22).race == Known(HISPANIC, None, "HL7 ADT|HOSPITAL")

    @pytest.mark.parametrize("pid_22", ["", "N^Not Hispanic^HL70189", "2186-5^Not Hispanic^CDCREC", "U", "X^odd^L"])
    def test_white_and_not_hispanic_is_white(self, pid_22: str) -> None:
        assert in_hl7("2106-3^White^CDCREC", pid_22).race == Known(WHITE, None, "HL7 ADT|HOSPITAL")

    def test_an_ethnicity_in_the_field_of_the_race_is_read_as_one(self) -> None:
        assert in_hl7("2106-3^White^CDCREC~2186-5^NotHispanic^CDCREC").race == Known(WHITE, None, "HL7 ADT|HOSPITAL")

    def test_an_empty_field_takes_nothing_back_and_a_deletion_does(self) -> None:
        said, empty, deleted = (
            content(registration(pid_10), kind="ADT^A08").values for pid_10 in ("2106-3^White^CDCREC", "", '""')
        )
        assert known(*said, *empty).race == Known(WHITE, None, "HL7 ADT|HOSPITAL")
        assert known(*said, *deleted).race == NONE_STATED

    def test_a_later_registration_replaces_what_was_said(self) -> None:
        first, second = (
            content(registration(f"{code}^x^CDCREC"), kind="ADT^A08").values for code in ("2106-3", "2054-5")
        )
        assert known(*first, *second).race == Known(BLACK, None, "HL7 ADT|HOSPITAL")

    def test_race_and_ethnic_group_are_deleted_apart(self) -> None:
        both = content(registration("2106-3^White^CDCREC", "H"), kind="ADT^A08").values
        only = content(registration("", '""'), kind="ADT^A08").values
        assert known(*both, *only).race == Known(WHITE, None, "HL7 ADT|HOSPITAL")

    @pytest.mark.parametrize("kind", ["ORU^R01", "VXU^V04", "PPR^PC1"])
    def test_only_registration_tells_it(self, kind: str) -> None:
        """A feed that only announces images must not count as one that tells results."""
        assert content(registration("2106-3^White^CDCREC"), kind=kind).values == ()


class TestRecord:
    """What several sources say of one person."""

    def test_sources_that_agree_are_named_together(self) -> None:
        data = known(said("a", "2106-3"), said("b", "2106-3", "2186-5"))
        assert data.race == Known(WHITE, None, "a and b")

    def test_sources_that_contradict_each_other_are_not_believed(self) -> None:
        assert known(said("a", "2106-3"), said("b", "2054-5")).race == Unknown("several races are stated (a and b)")

    def test_an_ethnicity_that_contradicts_itself_is_not_believed(self) -> None:
        data = known(said("a", "2106-3", "2186-5"), said("b", "2135-2"))
        assert data.race == Unknown("the ethnicity contradicts itself (a and b)")

    def test_the_order_of_the_sources_does_not_matter(self) -> None:
        told = [said("a", "2106-3"), said("b", "2135-2"), said("c", "2131-1")]
        assert known(*told).race == Known(HISPANIC, None, "a and b and c")
        assert isinstance(known(*reversed(told)).race, Known)

    def test_nobody_says_it(self) -> None:
        assert known().race == NONE_STATED

    def test_it_answers_no_other_question(self) -> None:
        told = RecordStatements((said("a", "2106-3"),))
        without = assemble(patient(), RecordStatements(), now=NOW, today=TODAY)
        with_it = assemble(patient(), merge(told), now=NOW, today=TODAY)
        assert (with_it.conditions, with_it.symptoms, with_it.measurements) == (
            without.conditions,
            without.symptoms,
            without.measurements,
        )

    def test_a_statement_with_another_code_is_none(self) -> None:
        other = RecordValue("observation", "k", Coding(SNOMED, "32624-9"), "2106-3", None)
        assert known(other).race == NONE_STATED


def said(by: str, *categories: str) -> Statement:
    """A statement of a source."""
    value = race.statement("who", categories)
    assert value is not None
    return Statement(value, by, NOW)

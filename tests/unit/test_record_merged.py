"""Records of several sources as one: the same fact once, lists entry by entry, and absence where all were asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from cds import codes
from cds.codes import SNOMED, Entry, ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, NotFoundSince, SmokingStatus, Unknown
from cds.domain.identity import Sex
from cds.domain.message import Category, Demographics, RecordStatements, RecordValue, Searched, Statement, Unasked
from cds.record import assemble, merge
from tests.unit.clinical import DAILY, NEVER, NOW, SINCE, SMOKING, SOURCE, patient, record, said

EHR = "FHIR ehr"
SPIROMETRY = Coding(SNOMED, "127783003", "Spirometry")
LUNG_CANCER = Coding(SNOMED, "363358000", "Malignant tumor of lung")
IOHEXOL = Coding(SNOMED, "109218004", "Iohexol")
GADOBUTROL = Coding(SNOMED, "407976008", "Gadobutrol")
NO_KNOWN = Coding(SNOMED, "716186003", "No known allergy")
ABSENT = Coding(SNOMED, "2667000", "Absent")
CREATININE = Coding(codes.LOINC, "2160-0")
DRUG = Coding("urn:test:drugs", "d1", "Drug one")
#: Value sets of a test alone: no drug, vaccine or relative's disease is asked for yet.
SETS = {
    kind: ValueSet(kind, kind, kind, (Entry(DRUG, "a test"),))
    for kind in ("medication", "immunization", "family-history", "request")
}


def of(
    category: Category, code: Coding, value: Coding | str | None = None, on: date | None = None, source: str = EHR
) -> Statement:
    """A statement of some kind."""
    return Statement(RecordValue(category, f"{category}/{code.code}/{on}", code, value, on), source, NOW)


def ehr(*records: RecordStatements) -> EhrData:
    """What several records come to."""
    return assemble(patient(birth_date=None, sex=Sex.UNKNOWN), merge(*records), now=NOW)


def whole(*statements: Statement, covers: tuple[str, ...] | None = None) -> RecordStatements:
    """A FHIR server that was asked for everything."""
    return RecordStatements(statements, (Searched(EHR, None, covers),))


def away(*covers: str, blind: bool = True, reason: str = "could not be asked") -> RecordStatements:
    """A FHIR server that did not answer."""
    return RecordStatements(away=(EHR,), unasked=(Unasked(EHR, reason, covers or None, blind=blind),))


class TestOneFact:
    """Rule 5: several sources, one fact."""

    def test_what_two_sources_state_alike_of_one_day_is_one_fact_that_names_both(self) -> None:
        day = date(2026, 9, 1)
        fact = ehr(record(said(SMOKING, DAILY, day)), whole(said(SMOKING, DAILY, day, source=EHR))).smoking_status
        assert isinstance(fact, Known)
        assert (fact.value, fact.effective) == (SmokingStatus.CURRENT, day)
        assert set(fact.source.split(" and ")) == {SOURCE, EHR}

    def test_a_value_in_another_unit_is_the_same_value(self) -> None:
        day = date(2026, 9, 1)
        mine = said(CREATININE, Quantity(1.0, "mg/dL"), day)
        theirs = said(CREATININE, Quantity(10.0, "mg/L"), day, source=EHR, received=NOW - timedelta(days=1))
        fact = ehr(record(mine), whole(theirs)).measurement("creatinine")
        assert isinstance(fact, Known)
        assert fact.source == f"{SOURCE} and {EHR}"

    def test_another_value_or_another_day_is_not_named(self) -> None:
        day = date(2026, 9, 1)
        other_day = whole(said(SMOKING, DAILY, day - timedelta(days=1), source=EHR))
        other_value = whole(said(SMOKING, NEVER, day, source=EHR, received=NOW - timedelta(days=1)))
        for other in (other_day, other_value):
            fact = ehr(record(said(SMOKING, DAILY, day)), other).smoking_status
            assert fact == Known(SmokingStatus.CURRENT, day, SOURCE)

    def test_the_newest_wins_whichever_wire_it_came_by(self) -> None:
        old, new = date(2025, 1, 1), date(2026, 1, 1)
        for mine, theirs, source in ((old, new, EHR), (new, old, SOURCE)):
            fact = ehr(record(said(SMOKING, DAILY, mine)), whole(said(SMOKING, DAILY, theirs, source=EHR)))
            assert fact.smoking_status == Known(SmokingStatus.CURRENT, new, source)


class TestAbsence:
    """Rule 9: only for who was asked, and only if nobody who may hold it was away."""

    def test_all_who_were_asked_are_named_each_with_its_reach(self) -> None:
        fact = ehr(record(), whole()).procedure("spirometry")
        assert isinstance(fact, NotFoundSince)
        sentence = fact.sentence("spirometry")
        assert sentence == f"no spirometry found in {SOURCE} (since {SINCE}) and {EHR} (whole record)"

    def test_while_a_source_is_away_nothing_is_absent_and_the_reason_says_who_and_what_was_searched(self) -> None:
        fact = ehr(record(), away()).procedure("spirometry")
        assert fact == Unknown(f"{EHR} could not be asked; no spirometry found in {SOURCE} since {SINCE}")

    def test_what_another_source_stated_stands_while_one_is_away(self) -> None:
        fact = ehr(record(said(SPIROMETRY, None, date(2025, 1, 1))), away()).procedure("spirometry")
        assert isinstance(fact, Known)
        assert fact.source == SOURCE

    def test_a_source_that_is_away_for_one_question_leaves_the_others(self) -> None:
        data = ehr(record(), away("spirometry"), whole(covers=("copd",)))
        assert isinstance(data.procedure("spirometry"), Unknown)
        assert isinstance(data.condition("copd"), NotFoundSince)

    def test_a_source_that_cannot_hold_it_takes_no_absence_away_and_explains_where_nobody_else_was_asked(self) -> None:
        unknown_there = away(blind=False, reason="does not know this patient")
        assert isinstance(ehr(record(), unknown_there).procedure("spirometry"), NotFoundSince)
        alone = ehr(replace(unknown_there, away=())).procedure("spirometry")
        assert alone == Unknown(f"{EHR} does not know this patient")

    def test_what_nobody_was_asked_for_says_so(self) -> None:
        assert ehr().procedure("spirometry") == Unknown("no source was asked for spirometry")

    def test_merging_keeps_who_was_away_once(self) -> None:
        merged = merge(record(), away(), away())
        assert merged.away == (EHR,)
        assert len(merged.unasked) == 1


class TestKinds:
    """Rule 2: statements answer questions of their own kind."""

    def test_an_order_is_nothing_that_was_done_and_the_other_way_round(self) -> None:
        day = date(2026, 2, 1)
        ordered = ehr(whole(of("request", SPIROMETRY, on=day)))
        assert ordered.request("spirometry-request") == Known(ordered.requests["spirometry-request"].value, day, EHR)
        assert isinstance(ordered.procedure("spirometry"), NotFoundSince)
        done = ehr(whole(of("procedure", SPIROMETRY, on=day)))
        assert isinstance(done.procedure("spirometry"), Known)
        assert isinstance(done.request("spirometry-request"), NotFoundSince)

    def test_a_relatives_disease_is_not_the_patients(self) -> None:
        data = ehr(whole(of("family-history", LUNG_CANCER, "father")))
        assert isinstance(data.condition("lung-cancer"), NotFoundSince)

    def test_a_drug_that_was_given_is_no_allergy_to_it(self) -> None:
        assert isinstance(ehr(whole(of("medication", IOHEXOL))).allergy("contrast-allergy"), NotFoundSince)
        assert isinstance(ehr(whole(of("allergy", IOHEXOL))).allergy("contrast-allergy"), Known)

    @pytest.mark.parametrize(
        ("category", "where"),
        [
            ("medication", "medications"),
            ("immunization", "immunizations"),
            ("family-history", "family_history"),
            ("request", "requests"),
        ],
    )
    @pytest.mark.parametrize("source", [EHR, "HL7 PHARMACY|HOSPITAL"])
    def test_lists_come_out_of_the_same_data_whichever_wire_told_them(
        self, category: Category, where: str, source: str
    ) -> None:
        told = RecordStatements((of(category, DRUG, "in words", date(2025, 1, 1), source),))
        data = assemble(patient(), told, now=NOW, value_sets=SETS)
        (fact,) = [fact for fact in getattr(data, where).values() if isinstance(fact, Known)]
        assert (fact.value.code, fact.effective, fact.source) == (DRUG, date(2025, 1, 1), source)
        others = {"medications", "immunizations", "family_history", "requests"} - {where}
        assert all(not isinstance(fact, Known) for other in others for fact in getattr(data, other).values())

    def test_what_was_not_asked_for_is_unknown_by_every_accessor(self) -> None:
        data = ehr(whole())
        for ask in (data.medication, data.immunization, data.relative, data.request, data.allergy):
            assert ask("nothing") == Unknown("nothing was not asked for")


class TestLists:
    """Rule 6: each entry of a list stands for itself."""

    def allergy(self, *statements: Statement) -> object:
        """The allergy to contrast media."""
        return ehr(whole(*statements)).allergy("contrast-allergy")

    def test_one_substance_that_is_refuted_leaves_the_other(self) -> None:
        refuted = of("allergy", GADOBUTROL, ABSENT, date(2026, 1, 1))
        fact = self.allergy(of("allergy", IOHEXOL, None, date(2015, 1, 1)), refuted)
        assert isinstance(fact, Known)
        assert fact.value.code == IOHEXOL
        assert fact.effective == date(2015, 1, 1)

    def test_a_substance_that_is_refuted_later_is_absent(self) -> None:
        fact = self.allergy(
            of("allergy", IOHEXOL, None, date(2015, 1, 1)), of("allergy", IOHEXOL, ABSENT, date(2026, 1, 1))
        )
        assert fact == NotFoundSince((f"{EHR} (recorded as absent on 2026-01-01)",), None)

    def test_no_known_allergies_is_an_absence_and_no_allergy(self) -> None:
        fact = self.allergy(of("allergy", NO_KNOWN, None, date(2026, 1, 1)))
        assert fact == NotFoundSince((f"{EHR} (recorded as absent on 2026-01-01)",), None)

    def test_no_known_allergies_takes_back_nothing_that_somebody_listed(self) -> None:
        fact = self.allergy(
            of("allergy", IOHEXOL, None, date(2015, 1, 1)), of("allergy", NO_KNOWN, None, date(2026, 1, 1))
        )
        assert isinstance(fact, Known)


class TestDemographics:
    """Who the patient is, where our own record does not say."""

    def test_an_ehr_fills_what_is_missing_and_is_named(self) -> None:
        told = RecordStatements(demographics=(Demographics(EHR, date(1963, 5, 1), Sex.FEMALE, False),))
        data = ehr(told)
        assert data.birth_date == Known(date(1963, 5, 1), None, EHR)
        assert data.sex == Known(Sex.FEMALE, None, EHR)
        assert data.deceased == Known(False, None, EHR)

    def test_our_own_record_comes_first(self) -> None:
        told = RecordStatements(demographics=(Demographics(EHR, date(1963, 5, 1), Sex.FEMALE),))
        data = assemble(patient(), told, now=NOW)
        assert data.birth_date == Known(date(1963, 5, 1), None, "patient demographics")

    def test_whoever_says_deceased_is_believed(self) -> None:
        told = RecordStatements(demographics=(Demographics(EHR, deceased=True),))
        assert assemble(patient(deceased=False), told, now=NOW).deceased == Known(True, None, EHR)

"""What holds for every check before an imaging order is signed."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds import codes, condition_codes, medication_codes, ordering
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Fact, Known, Unknown
from cds.domain.identity import Sex
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.recommendation import Advice, CouldNotTell, NothingToSay
from cds.pathways._guards import PALLIATIVE
from tests.unit.clinical import NOT_FOUND, SOURCE
from tests.unit.ordering_cases import (
    CT_ABDOMEN,
    CT_CHEST,
    CT_HEAD,
    CTPA,
    DYSPNOEA,
    HEADACHE,
    INJURY,
    LOW_BACK,
    MIGRAINE,
    MR_HEAD_WITH,
    MR_SPINE,
    asked,
    chart,
    draft,
    has,
    ordered,
    withdraws,
)

CHECKS = ordering.load()
DIABETES, METFORMIN = condition_codes.DIABETES, medication_codes.METFORMIN
EXAMS = (CT_CHEST, CTPA, CT_HEAD, CT_ABDOMEN, MR_SPINE, MR_HEAD_WITH, Exam("XA", "heart", Contrast.IODINATED))
REASONS = (LOW_BACK, MIGRAINE, HEADACHE, INJURY, DYSPNOEA)
SITE = {"gadolinium_contrast.group": "group_I", "metformin.policy": "fda_2016_label"}
KINDS = {
    "conditions": "condition",
    "procedures": "procedure",
    "symptoms": "symptom",
    "medications": "medication",
    "allergies": "allergy",
    "requests": "request",
    "measurements": "measurement",
}


class Asked(dict[str, Fact[object]]):
    """A part of a record in which nothing is known, that remembers what it was asked for."""

    def __init__(self, answer: Fact[object]) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.answer = answer

    def get(self, name: str, default: object = None) -> Fact[object]:
        self.names.add(name)
        return self.answer


def listening(answer: Fact[object], age: int) -> EhrData:
    """A woman of whom everything is answered alike."""
    data = chart(age, Sex.FEMALE)
    return replace(data, **{name: Asked(answer) for name in KINDS})


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_asks_the_record_for_nothing_that_it_does_not_declare(name: str) -> None:
    declared = {one.name for one in CHECKS[name].asks} | {PALLIATIVE.name}
    used: set[str] = set()
    for exam, reason, answer, age in product(EXAMS, REASONS, (Unknown("not asked"), NOT_FOUND), (30, 70)):
        data = listening(answer, age)
        for form in ((), asked(name)):
            CHECKS[name](ordered(draft(exam, reason, *form), data, SITE))
        for part in KINDS:
            used |= getattr(data, part).names
    assert used <= declared, used - declared


@pytest.mark.parametrize("name", CHECKS)
def test_every_value_set_that_a_check_declares_is_one_that_records_are_searched_for(name: str) -> None:
    loaded = codes.loaded()
    assert [one.name for one in CHECKS[name].asks if one.name not in loaded] == []


@pytest.mark.parametrize("name", CHECKS)
def test_without_an_order_a_check_is_silent_and_of_an_unknown_code_it_cannot_tell(name: str) -> None:
    nothing = CHECKS[name](ordered(None, chart()))
    assert isinstance(nothing, NothingToSay)
    assert nothing.reason == "no imaging order"
    unknown = CHECKS[name](ordered(draft(None, *REASONS), chart()))
    assert isinstance(unknown, CouldNotTell)
    assert not unknown.failed


@pytest.mark.parametrize("name", CHECKS)
def test_of_a_patient_who_died_no_check_speaks(name: str) -> None:
    dead = chart(deceased=Known(True, None, SOURCE))
    for exam in EXAMS:
        assert isinstance(CHECKS[name](ordered(draft(exam, *REASONS), dead, SITE)), NothingToSay)


@pytest.mark.parametrize(("exam", "reason"), list(product(EXAMS, REASONS)))
def test_no_exam_is_withdrawn_where_nothing_is_known(exam: Exam, reason: Coding) -> None:
    for age, form in product((None, 30, 70), (False, True)):
        told = [one for name in CHECKS for one in asked(name)] if form else []
        case = ordered(draft(exam, reason, *told), chart(age, None), SITE)
        assert not any(withdraws(one) for one in ordering.evaluate(case, CHECKS))


def test_all_checks_together_answer_for_one_order_and_merge_what_they_ask_alike() -> None:
    data = chart(70, Sex.FEMALE, conditions=has(DIABETES), medications=has(METFORMIN))
    outcomes = ordering.evaluate(ordered(draft(CT_ABDOMEN), data, SITE), CHECKS)
    steps = [step for one in outcomes if isinstance(one, Advice) for step in one.recommendations]
    assert [step.code.code for step in steps].count("creatinine-egfr") == 1
    assert len(outcomes) == len(CHECKS)


SETS = codes.loaded()


@st.composite
def records(draw: st.DrawFn) -> EhrData:
    """Any patient: some value sets on record, the others searched for or not."""
    there = draw(st.sets(st.sampled_from([name for name, one in SETS.items() if one.kind in KINDS.values()])))
    searched = draw(st.booleans())
    known = {
        part: {
            **(dict.fromkeys(SETS, NOT_FOUND) if searched else {}),
            **has(*(SETS[name] for name in sorted(there) if SETS[name].kind == kind and SETS[name].entries)),
        }
        for part, kind in KINDS.items()
        if kind != "measurement"
    }
    age = draw(st.none() | st.integers(0, 100))
    return chart(age, draw(st.sampled_from([None, Sex.FEMALE, Sex.MALE, Sex.OTHER])), **known)


@given(
    exam=st.sampled_from(EXAMS),
    reasons=st.lists(st.sampled_from(REASONS), max_size=3, unique=True),
    data=records(),
    form=st.booleans(),
)
def test_no_check_fails_and_the_order_of_reasons_does_not_matter(
    exam: Exam, reasons: list[Coding], data: EhrData, form: bool
) -> None:
    told = [one for name in CHECKS for one in asked(name)] if form else []
    cases = [ordered(draft(exam, *told, *some), data, SITE) for some in (reasons, list(reversed(reasons)))]
    first, second = (ordering.evaluate(case, CHECKS) for case in cases)
    assert not any(isinstance(one, CouldNotTell) and one.failed for one in first)
    assert first == second

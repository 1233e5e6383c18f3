"""Handmade draft orders for the tests of the order-select companion. Every patient is invented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import strategies as st

from cds import ordering
from cds.condition_codes import BACK_PAIN, HEAD_INJURY
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Fact, Known, Measurement, NotFoundSince, Unknown
from cds.domain.identity import Sex
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import (
    Advice,
    Case,
    CouldNotTell,
    Indicator,
    NothingToSay,
    PathwayOutcome,
    Recommendation,
)
from cds.ordering._order import SIGHTLINE_SIGN
from cds.ordering._signs import Sign
from cds.value_sets import ValueSet
from tests.unit.clinical import SOURCE, TODAY, ehr, known_item

ICD = "http://hl7.org/fhir/sid/icd-10"
LOW_BACK = Coding(ICD, "M54.5", BACK_PAIN.title)
INJURY = Coding(ICD, "S06.0", HEAD_INJURY.title)
MIGRAINE = Coding(ICD, "G43.0", "migraine")
HEADACHE = Coding(ICD, "R51", "headache")
THUNDERCLAP = Coding("http://hl7.org/fhir/sid/icd-10-cm", "G44.53", "thunderclap headache")
DYSPNOEA = Coding(ICD, "R06.0", "dyspnoea")
PNEUMONIA = Coding(ICD, "J18.9", "pneumonia")

CT_CHEST = Exam("CT", "chest", Contrast.IODINATED, angiography=False)
CT_CHEST_WITHOUT = Exam("CT", "chest", Contrast.NONE, angiography=False)
CT_CHEST_ANY = Exam("CT", "chest", None, angiography=False)
CTPA = Exam("CT", "chest", Contrast.IODINATED, angiography=True)
CT_HEAD = Exam("CT", "head", Contrast.NONE, angiography=False)
CT_HEAD_WITH = Exam("CT", "head", Contrast.IODINATED, angiography=False)
CT_ABDOMEN = Exam("CT", "abdomen", Contrast.IODINATED, angiography=False)
CT_SPINE = Exam("CT", "spine", Contrast.NONE, angiography=False)
MR_SPINE = Exam("MR", "spine", Contrast.NONE, angiography=False)
MR_HEAD = Exam("MR", "head", Contrast.NONE, angiography=False)
MR_HEAD_WITH = Exam("MR", "head", Contrast.GADOLINIUM, angiography=False)
MR_HEAD_ANY = Exam("MR", "head", None, angiography=False)
X_RAY_SPINE = Exam("DX", "spine", Contrast.NONE, angiography=False)

#: Searched for in the whole of the record, and not found.
NEVER = NotFoundSince((SOURCE,), None)
RANK = {Indicator.INFO: 1, Indicator.WARNING: 2, Indicator.CRITICAL: 3}


def asked(check: str, *signs: Sign) -> tuple[Coding, ...]:
    """What the form of an order says: it asked for the signs of a check, and these were answered yes."""
    return (Coding(SIGHTLINE_SIGN, f"asked-{check}"), *(sign.coding for sign in signs))


def asked_history(check: str, *value_sets: ValueSet) -> tuple[Coding, ...]:
    """What the form of an order says of the history: it asked for that of a check, and these were answered yes."""
    there = (Coding(SIGHTLINE_SIGN, one.name, one.title) for one in value_sets)
    return (Coding(SIGHTLINE_SIGN, f"asked-{check}-history"), *there)


def draft(
    exam: Exam | None,
    *reasons: Coding,
    wanted_on: date | None = None,
    codes: tuple[Coding, ...] = (),
    priority: Priority | None = None,
) -> ImagingOrder:
    """A draft order."""
    return ImagingOrder("draft-1", codes, exam, reasons=reasons, wanted_on=wanted_on, priority=priority)


def ordered(order: ImagingOrder | None, data: EhrData, site: Mapping[str, str] | None = None) -> Case:
    """An order that is about to be signed today."""
    return Case(TODAY, "", "", (), data, TODAY, dict(site or {}), order=order)


def says(check: str, case: Case) -> PathwayOutcome:
    """What one check says."""
    outcome = ordering.load()[check](case)
    assert not isinstance(outcome, CouldNotTell) or not outcome.failed
    return outcome


def advises(check: str, case: Case) -> Advice:
    """What one check says, where it has something to say."""
    outcome = says(check, case)
    assert isinstance(outcome, Advice), outcome
    assert len(outcome.summary) < 140
    return outcome


def step(check: str, case: Case) -> Recommendation:
    """The one step that a check suggests."""
    [only] = advises(check, case).recommendations
    return only


def silent(check: str, case: Case) -> str:
    """Why a check is silent."""
    outcome = says(check, case)
    assert isinstance(outcome, NothingToSay), outcome
    return outcome.reason


def untold(check: str, case: Case) -> CouldNotTell:
    """What a check misses that could not tell."""
    outcome = says(check, case)
    assert isinstance(outcome, CouldNotTell), outcome
    return outcome


def urgency(outcome: PathwayOutcome) -> int:
    """How loud an answer is: silent 0, could not tell 0.5 (as 0), info 1, warning 2, critical 3."""
    return RANK[outcome.indicator] if isinstance(outcome, Advice) else 0


def withdraws(outcome: PathwayOutcome) -> bool:
    """Whether an answer says that there should be no imaging now."""
    return isinstance(outcome, Advice) and any(one.code.code == "no-imaging" for one in outcome.recommendations)


def nothing_found(*value_sets: ValueSet) -> dict[str, Fact[ClinicalItem]]:
    """Each was searched for in the whole of the record and not found."""
    return {one.name: NEVER for one in value_sets}


def searched_since(data: EhrData, value_set: ValueSet, since: date | None) -> EhrData:
    """The same record, of which the search for a value set reached back to a day alone."""
    part = "medications" if value_set.kind == "medication" else "conditions"
    return replace(data, **{part: getattr(data, part) | {value_set.name: NotFoundSince((SOURCE,), since)}})


#: Reasons of which a check reads nothing, or which say that there is danger.
ODD_REASONS = st.builds(
    Coding,
    st.sampled_from([ICD, "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct", "urn:oid:1.2.3", ""]),
    st.from_regex(r"[A-Z][0-9]{2}(\.[0-9X]{1,2})?", fullmatch=True) | st.from_regex(r"[0-9]{6,9}", fullmatch=True),
) | st.builds(Coding, st.just(SIGHTLINE_SIGN), st.from_regex(r"[a-z]{3,9}(-[a-z]{3,9})?", fullmatch=True))


def against(outcome: PathwayOutcome) -> bool:
    """Whether an answer says anything against the exam: none, or something in its place."""
    return isinstance(outcome, Advice) and any(one.instead for one in outcome.recommendations)


def more_said(order: ImagingOrder) -> tuple[ImagingOrder, ...]:
    """The order with more than a check reads: written, pointed to, or in haste."""
    return (
        replace(order, reason_text="worst headache of life, neck stiffness"),
        replace(order, further=True),
        replace(order, priority=Priority.STAT),
        replace(order, priority=Priority.ASAP),
    )


def measured(value_set: ValueSet, value: float, days_ago: int = 0) -> dict[str, Fact[Measurement]]:
    """A value of some days ago."""
    quantity = Measurement(value_set.entries[0].coding, Quantity(value, value_set.unit))
    return {value_set.name: Known(quantity, TODAY - timedelta(days=days_ago), SOURCE)}


def has(*value_sets: ValueSet, days_ago: int = 10) -> dict[str, Fact[ClinicalItem]]:
    """Each is on record since some days."""
    return {
        one.name: known_item(one.entries[0].coding.code, one.title, TODAY - timedelta(days=days_ago))
        for one in value_sets
    }


def chart(
    age: int | None = 40,
    sex: Sex | None = Sex.MALE,
    searched: Iterable[ValueSet] = (),
    **changes: object,
) -> EhrData:
    """A patient of an age and sex of whom some value sets were searched for and not found; nothing else is known."""
    sets = tuple(searched)
    born: Fact[date] = (
        Unknown("not stated") if age is None else Known(date(TODAY.year - age, 1, 1), None, "patient demographics")
    )
    by_kind = {
        "conditions": "condition",
        "procedures": "procedure",
        "symptoms": "symptom",
        "medications": "medication",
        "allergies": "allergy",
        "requests": "request",
        "measurements": "measurement",
    }
    known: dict[str, object] = {
        field: {**nothing_found(*(one for one in sets if one.kind == kind)), **_stated(changes, field)}
        for field, kind in by_kind.items()
    }
    rest = {name: value for name, value in changes.items() if name not in by_kind}
    stated: Fact[Sex] = Unknown("not stated") if sex is None else Known(sex, None, "patient demographics")
    return ehr(birth_date=born, sex=stated, **known, **rest)


def _stated(changes: Mapping[str, object], field: str) -> dict[str, object]:
    given = changes.get(field, {})
    assert isinstance(given, dict)
    return given

"""Handmade radiographs with signs of pneumonia, and records of the days around them. Every number is invented."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from hypothesis import strategies as st

from cds import condition_codes, finding_codes, measurement_codes
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import EhrData, Fact, Known, Unknown
from cds.domain.finding import Finding, Presence
from cds.domain.recommendation import Case
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, case
from tests.unit.pathway_records import answer, item, record, value

#: Of 53 years on the day of the images.
BORN = date(1973, 1, 1)
#: Nothing of CURB-65 but confusion, of which nobody said anything; oxygen enough.
NO_POINTS: dict[ValueSet, Fact[object]] = {
    measurement_codes.UREA_NITROGEN: value(12, "mg/dL", STUDY_DATE),
    measurement_codes.RESPIRATORY_RATE: value(18, "/min", STUDY_DATE),
    measurement_codes.SYSTOLIC: value(125, "mm[Hg]", STUDY_DATE),
    measurement_codes.DIASTOLIC: value(75, "mm[Hg]", STUDY_DATE),
    measurement_codes.OXYGEN_SATURATION: value(97, "%", STUDY_DATE),
}
NOT_PREGNANT = Known(False, STUDY_DATE, SOURCE)
COUGHS: dict[ValueSet, Fact[object]] = {condition_codes.COUGH: item(STUDY_DATE)}
RANGES = {
    "urea-nitrogen": (5.0, 60.0),
    "respiratory-rate": (10.0, 45.0),
    "systolic-blood-pressure": (70.0, 180.0),
    "diastolic-blood-pressure": (40.0, 110.0),
    "body-temperature": (33.0, 42.0),
    "heart-rate": (50.0, 160.0),
    "arterial-ph": (7.1, 7.6),
    "sodium": (120.0, 150.0),
    "glucose": (60.0, 400.0),
    "haematocrit": (20.0, 55.0),
    "arterial-po2": (40.0, 110.0),
    "oxygen-saturation": (80.0, 100.0),
}


def seen(code: Coding, key: str, presence: Presence = Presence.PRESENT) -> Finding:
    """A finding with a probability."""
    return Finding(key, code, presence, confidence=0.62)


def consolidation(presence: Presence = Presence.PRESENT) -> Finding:
    return seen(finding_codes.CONSOLIDATION, "consolidation", presence)


def pneumonia_sign(presence: Presence = Presence.PRESENT) -> Finding:
    return seen(finding_codes.PNEUMONIA, "pneumonia", presence)


def effusion(presence: Presence = Presence.PRESENT) -> Finding:
    return seen(finding_codes.PLEURAL_EFFUSION, "effusion", presence)


def coded(asks: Iterable[ValueSet]) -> tuple[ValueSet, ...]:
    """What is no field of its own, as the smoking status is."""
    return tuple(one for one in asks if one.kind != "answer")


def patient(
    asks: Iterable[ValueSet], facts: dict[ValueSet, Fact[object]] | None = None, *, born: date = BORN, **more: object
) -> EhrData:
    """Somebody who coughs, has no point of CURB-65 and is not pregnant, changed."""
    known = COUGHS | NO_POINTS | (facts or {})
    chosen = {one: fact for one, fact in known.items() if one in set(asks)}
    plain: dict[str, object] = {"birth_date": Known(born, None, "patient demographics"), "pregnancy": NOT_PREGNANT}
    return record(coded(asks), chosen, **(plain | more))


def film(data: EhrData, *findings: Finding, site: dict[str, str] | None = None, today: date = STUDY_DATE) -> Case:
    """A chest radiograph of STUDY_DATE."""
    shown = answer(*(findings or (consolidation(),)))
    return replace(case(data, (shown,), site or {}, today), modality="CR")


def acute_records(asks: Iterable[ValueSet]) -> st.SearchStrategy[EhrData]:
    """Random records of the days around the images, of people of all ages."""
    wanted = coded(asks)
    near = st.dates(date(2026, 10, 31), date(2026, 11, 4)) | st.just(date(2026, 8, 1))

    def facts(one: ValueSet) -> st.SearchStrategy[Fact[object]]:
        found: st.SearchStrategy[Fact[object]]
        if one.kind == "measurement":
            low, high = RANGES[one.name]
            found = st.builds(lambda number, on: value(number, one.unit, on), st.floats(low, high), near)
        else:
            found = near.map(item)
        return st.one_of(found, found, st.just(NOT_FOUND), st.just(Unknown("nobody could be asked")))

    born = st.dates(date(1930, 1, 1), date(2000, 1, 1)).map(lambda day: Known(day, None, "patient demographics"))
    told = st.tuples(*(facts(one) for one in wanted))
    return st.builds(
        lambda chosen, birth: record(wanted, dict(zip(wanted, chosen, strict=True)), birth_date=birth), told, born
    )


FINDINGS = st.lists(
    st.sampled_from([
        consolidation(), pneumonia_sign(), effusion(), effusion(Presence.NOT_DETECTED),
        consolidation(Presence.NOT_DETECTED),
    ]),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.key,
)  # fmt: skip

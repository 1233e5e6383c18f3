"""What is known of each lung nodule of a study, and of the patient, as the nodule rules ask for it.

What is not known stays open: a rule is then asked for everything that it may be, and the soonest follow-up counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from cds import codes, condition_codes, finding_codes, medication_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, Fact, Known, SmokingStatus, Unknown
from cds.domain.finding import Finding
from cds.domain.identity import Sex
from cds.domain.recommendation import Case
from cds.pathways._change import Course, courses, millimetres
from cds.pathways._emphysema import emphysema
from cds.pathways._facts import Seen, add_months, findings
from cds.pathways._guards import age_on, stated
from cds.value_sets import SNOMED

#: SNOMED CT, structures of the lung: as DICOM PS3.16 and public segmentation tables name them.
_UPPER = frozenset({"42400003", "44714003", "45653009"})
_OTHER_LOBES = frozenset({"72481006", "266005", "41224006", "90572001"})
_KINDS = {
    finding_codes.NODULE_SOLID.code: "solid",
    finding_codes.NODULE_PART_SOLID.code: "part_solid",
    finding_codes.NODULE_GROUND_GLASS.code: "ground_glass",
}
KINDS = tuple(_KINDS.values())
#: A solid component of each class of Fleischner 2017 and of Lung-RADS, where it was not measured, mm.
_COMPONENTS = (3.0, 5.0, 7.0, 9.0)
#: ATC: systemic corticosteroids, which most take for days or weeks; who still does after a year is asked.
_STEROIDS = "H02AB"
_COURSE_MONTHS = 12
#: Code systems whose codes of a screening CT are known: another code of them is another exam.
_TELLING = frozenset(entry.coding.system for entry in codes.LOW_DOSE_CT.entries)


class Nodule(NamedTuple):
    """One nodule: mean diameters in mm, type, lobe, spiculation and course, each None or several where not known."""

    seen: Seen
    diameter: float
    kind: str | None
    component: float | None
    upper_lobe: bool | None
    spiculated: bool | None
    courses: tuple[Course, ...]

    @property
    def large(self) -> bool:
        """Whether it has, or may have, 8 mm or more, or a solid part of 6 mm or more."""
        return self.diameter >= 8.0 or any(part is not None and part >= 6.0 for _, part in self.forms)

    @property
    def forms(self) -> list[tuple[str, float | None]]:
        """The types that it may be; a part-solid one with each size that its solid part may have."""
        found: list[tuple[str, float | None]] = []
        for kind in (self.kind,) if self.kind else KINDS:
            if kind == "part_solid":
                sizes = _COMPONENTS if self.component is None else (self.component,)
                found += [(kind, size) for size in dict.fromkeys(min(size, self.diameter) for size in sizes)]
            else:
                found.append((kind, None))
        return found


class Person(NamedTuple):
    """What the rules ask of the patient; None where nobody can tell. `by_density`: LAA-950 alone tells of emphysema."""

    age: int | None
    sex: str | None
    cancer: bool | None
    immunosuppressed: bool | None
    smoked: bool | None
    family: bool | None
    emphysema: bool | None
    by_density: bool = False

    @property
    def child(self) -> bool:
        """Whether the patient is known to have been below 18 years."""
        return self.age is not None and self.age < 18


def nodules(case: Case, seen: Iterable[Seen], earlier: bool | None) -> tuple[Nodule, ...]:
    """Every nodule that has a diameter, the largest first, the same whatever the order of the answers."""
    parts = tuple(findings(case, finding_codes.NODULE_SOLID_PART, finding_codes.NODULE_SPICULATION))
    sized = ((one, millimetres(one.finding.value) if one.finding.value else None) for one in seen)
    found = (_nodule(one, size or 0.0, parts, courses(one, earlier)) for one, size in sized if _can_be(size))
    return tuple(sorted(found, key=lambda one: (-one.diameter, one.seen.by.model, one.seen.finding.key)))


def _can_be(size: float | None) -> bool:
    """Whether a diameter can be one of a nodule: CT resolves nothing below 1 mm, and no lung is larger than 300 mm."""
    return size is not None and 1.0 <= size <= 300.0


def count(seen: Iterable[Seen]) -> int:
    """How many nodules there are: two answers about one study may tell of the same ones."""
    by_answer: dict[tuple[str, str], int] = {}
    for one in seen:
        answer = one.by.model, one.finding.series_instance_uid or one.by.series_instance_uid
        by_answer[answer] = by_answer.get(answer, 0) + 1
    return max(by_answer.values(), default=0)


def screening_exam(case: Case) -> bool | None:
    """Whether the exam was a screening CT: by its codes; None where they do not tell."""
    if any(codes.LOW_DOSE_CT.contains(code) for code in case.procedures):
        return True
    return False if any(codes.system(code.system) in _TELLING for code in case.procedures) else None


def earlier_ct(case: Case) -> bool | None:
    """Whether a CT of the chest was made before this one; the record tells of the newest alone."""
    told = [_before(case, case.ehr.procedure(one.name)) for one in (procedure_codes.CHEST_CT, codes.LOW_DOSE_CT)]
    return True if True in told else None if None in told else False


def person(case: Case) -> Person:
    """What the record, and the images, tell of the patient."""
    ehr = case.ehr
    sex = ehr.sex.value.value if isinstance(ehr.sex, Known) and ehr.sex.value in (Sex.FEMALE, Sex.MALE) else None
    drug = ehr.medication(medication_codes.IMMUNOSUPPRESSANT.name)
    diagnosed, seen = stated(ehr.condition(codes.EMPHYSEMA.name)), emphysema(case)
    return Person(
        age=age_on(ehr.birth_date, case.study_date),
        sex=sex,
        cancer=either(
            stated(ehr.condition(condition_codes.CANCER.name)), stated(ehr.condition(codes.LUNG_CANCER.name))
        ),
        immunosuppressed=either(
            stated(ehr.condition(condition_codes.IMMUNOSUPPRESSION.name)), still_taken(drug, case.today)
        ),
        smoked=_smoked(ehr.smoking_status),
        family=stated(ehr.relative(condition_codes.FAMILY_LUNG_CANCER.name)),
        emphysema=either(seen.there, diagnosed),
        by_density=seen.by_density and not diagnosed,
    )


def either(one: bool | None, other: bool | None) -> bool | None:
    """Whether one of two holds, where not all may be known."""
    return True if one or other else None if None in (one, other) else False


def still_taken(drug: Fact[ClinicalItem], today: date) -> bool | None:
    """Whether an immunosuppressive drug is taken; a steroid of more than 12 months ago, or of no date, may not be."""
    if not isinstance(drug, Known) or not drug.value.code.code.startswith(_STEROIDS):
        return stated(drug)
    timely = drug.effective is not None and add_months(drug.effective, _COURSE_MONTHS) >= today
    return True if timely else None


def risk(who: Person, nodule: Nodule) -> bool | None:
    """Whether the risk is high as Fleischner 2017 says: one factor makes it so; low only where none is left open."""
    held = (who.smoked, who.family, who.emphysema, nodule.upper_lobe, nodule.spiculated)
    return True if True in held else None if None in held else False


def _smoked(fact: Fact[SmokingStatus]) -> bool | None:
    """A history of smoking; an absence of any word is no "never"."""
    if not isinstance(fact, Known) or fact.value is SmokingStatus.UNKNOWN:
        return None
    return fact.value is not SmokingStatus.NEVER


def _before(case: Case, fact: Fact[ClinicalItem]) -> bool | None:
    if not isinstance(fact, Known):
        return None if isinstance(fact, Unknown) else False
    return True if fact.effective is not None and fact.effective < case.study_date else None


def _nodule(one: Seen, diameter: float, parts: tuple[Seen, ...], course: tuple[Course, ...]) -> Nodule:
    mine = [part for part in parts if part.by is one.by and part.finding.tracking_id == one.finding.tracking_id]
    return Nodule(
        seen=one,
        diameter=diameter,
        kind=_KINDS.get(one.finding.category.code) if one.finding.category else None,
        component=_component(mine, diameter),
        upper_lobe=_upper_lobe(one.finding),
        spiculated=_spiculated(mine),
        courses=course,
    )


def _component(parts: Iterable[Seen], whole: float) -> float | None:
    """The solid part; None where none was measured, or where it cannot be part of so small a nodule."""
    sizes = (
        millimetres(part.finding.value)
        for part in parts
        if _is(part, finding_codes.NODULE_SOLID_PART) and part.finding.value is not None
    )
    largest = max((size for size in sizes if size is not None), default=None)
    return None if largest is None or largest > whole else largest


def _spiculated(parts: Iterable[Seen]) -> bool | None:
    """Whether a model saw spiculation; None where none looked."""
    looked = [part.present for part in parts if _is(part, finding_codes.NODULE_SPICULATION)]
    return any(looked) if looked else None


def _is(part: Seen, code: Coding) -> bool:
    return part.finding.code.same(code)


def _upper_lobe(finding: Finding) -> bool | None:
    lobe = finding.body_site
    if lobe is None or lobe.system != SNOMED:
        return None
    return True if lobe.code in _UPPER else False if lobe.code in _OTHER_LOBES else None

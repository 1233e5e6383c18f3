"""Handmade lung nodules, as a site's own model tells of them, and what the pathway says. All invented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from cds import codes, finding_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import EhrData, Known, SmokingStatus
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.recommendation import Advice, Case, PathwayOutcome
from cds.pathways.lung_nodule import lung_nodule
from cds.value_sets import SNOMED
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, STUDY_UID, TODAY, ehr

UPPER = Coding(SNOMED, "42400003", "Upper lobe of right lung")
LOWER = Coding(SNOMED, "266005", "Lower lobe of right lung")
SCREENING = (codes.LOW_DOSE_CT.entries[0].coding,)
OTHER_EXAM = (Coding(SNOMED, "169069000", "CT of chest"),)
KINDS = {
    "solid": finding_codes.NODULE_SOLID,
    "part": finding_codes.NODULE_PART_SOLID,
    "ground": finding_codes.NODULE_GROUND_GLASS,
}


def nodule(
    size: float | None = 7.0,
    kind: str = "solid",
    *,
    name: str = "1",
    lobe: Coding | None = LOWER,
    solid: float | None = None,
    spiculated: bool | None = False,
    change: Change | None = None,
) -> tuple[Finding, ...]:
    """What a model says of one nodule."""
    own = Finding(
        f"nodule-{name}",
        finding_codes.LUNG_NODULE,
        Presence.PRESENT,
        None if size is None else Quantity(size, "mm"),
        body_site=lobe,
        tracking_id=name,
        category=KINDS.get(kind),
        change=change,
    )
    parts: list[Finding] = []
    if solid is not None:
        part = Finding(f"solid-{name}", finding_codes.NODULE_SOLID_PART, Presence.MEASURED, Quantity(solid, "mm"))
        parts.append(replace(part, tracking_id=name))
    if spiculated is not None:
        seen = Presence.PRESENT if spiculated else Presence.NOT_DETECTED
        parts.append(Finding(f"spic-{name}", finding_codes.NODULE_SPICULATION, seen, tracking_id=name))
    return own, *parts


def no_emphysema() -> Finding:
    return Finding("emphysema", finding_codes.EMPHYSEMA, Presence.NOT_DETECTED)


def answer(*found: Sequence[Finding]) -> Findings:
    """One model's answer."""
    every = (*(one for several in found for one in several), no_emphysema())
    return Findings("site_nodules", "1.0", f"{STUDY_UID}.2", every, ("Calcium is not seen.",))


def person(**changes: Any) -> EhrData:
    """A man of 60 who never smoked; everything else was searched for and not found."""
    absent = {"cancer": NOT_FOUND, "lung-cancer": NOT_FOUND, "immunosuppression": NOT_FOUND, "emphysema": NOT_FOUND}
    data = ehr(
        birth_date=Known(date(1966, 1, 1), None, "patient demographics"),
        smoking_status=Known(SmokingStatus.NEVER, date(2026, 9, 1), SOURCE),
        conditions=absent,
        procedures={"chest-ct": NOT_FOUND, "low-dose-chest-ct": NOT_FOUND, "pet-ct": NOT_FOUND},
        medications={"immunosuppressant": NOT_FOUND},
        family_history={"family-lung-cancer": NOT_FOUND},
    )
    return replace(data, **changes)


def smoker(**changes: Any) -> EhrData:
    return person(smoking_status=Known(SmokingStatus.CURRENT, date(2026, 9, 1), SOURCE), **changes)


def case_of(
    *found: Sequence[Finding],
    data: EhrData | None = None,
    exam: tuple[Coding, ...] = OTHER_EXAM,
    modality: str = "CT",
    today: date = TODAY,
) -> Case:
    return Case(STUDY_DATE, STUDY_UID, modality, (answer(*found),), data or person(), today, procedures=exam)


def said(*found: Sequence[Finding], **how: Any) -> PathwayOutcome:
    return lung_nodule(case_of(*found, **how))


def advice(*found: Sequence[Finding], **how: Any) -> Advice:
    told = said(*found, **how)
    assert isinstance(told, Advice), told
    return told


def actions_of(told: PathwayOutcome) -> list[str]:
    return [one.code.code for one in told.recommendations] if isinstance(told, Advice) else []


def window(told: PathwayOutcome) -> tuple[date | None, date | None]:
    assert isinstance(told, Advice)
    return told.recommendations[0].not_before, told.recommendations[0].by


def applied(told: PathwayOutcome) -> dict[str, bool | None]:
    return {step.rule: step.held for step in told.steps}


def changed(by: float, days: int = 365, beyond: bool | None = True, prior: float = 5.0) -> Change:
    per_year = by / days * 365.25
    then = Quantity(prior, "mm")
    return Change("1.2.3", date(2025, 11, 2), days, then, by, 100 * by / prior, per_year, beyond, "a phantom study")

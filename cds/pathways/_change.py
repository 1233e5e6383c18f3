"""What became of a finding since the earlier study: growth, doubling, and whether a lesion is new.

Each threshold is a published one; whether a change is more than the measurement's own error is the comparison's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cds import action_codes as actions
from cds import finding_codes
from cds.domain.coding import Coding, Quantity
from cds.domain.finding import Change, Finding, Findings
from cds.domain.order import Priority
from cds.domain.recommendation import Indicator, Source
from cds.pathways._facts import Seen
from cds.pathways.declaration import Rule

LUNG_RADS = Source("ACR Lung-RADS v2022, Chest 2024;165:738", "https://doi.org/10.1016/j.chest.2023.10.028")
BTS = Source("BTS pulmonary nodule guideline 2015", "https://doi.org/10.1136/thoraxjnl-2015-207168")
ACC_AORTA = Source("ACC/AHA 2022, aortic disease", "https://doi.org/10.1161/CIR.0000000000001106")
EXPANSION = Source("Morotti 2022, intracerebral haemorrhage expansion", "https://doi.org/10.1016/S1474-4422(22)00338-6")

_MILLIMETRES = {"mm": 1.0, "cm": 10.0}
_MILLILITRES = {"mL": 1.0, "cm3": 1.0, "mm3": 0.001}
_YEAR, _HALF_YEAR = 366, 183

NODULE_GROWTH = Rule(
    "nodule-growth", "A lung nodule that grew by more than 1.5 mm within 12 months is looked at earlier.", LUNG_RADS
)
NODULE_DOUBLING = Rule(
    "nodule-doubling", "A lung nodule whose volume doubles in less than 400 days is referred to the nodule clinic.", BTS
)
NEW_NODULE = Rule(
    "new-nodule", "A lung nodule of 4 mm or more that the compared study did not have is looked at earlier.", LUNG_RADS
)
ABDOMINAL_GROWTH = Rule(
    "abdominal-aorta-growth",
    "An abdominal aneurysm of 30 mm that grew by 5 mm in 6 months or 10 mm a year goes to vascular surgery.",
    ACC_AORTA,
)
ASCENDING_GROWTH = Rule(
    "ascending-aorta-growth",
    "An ascending aorta of 40 mm that grew by 5 mm in a year is referred to cardiology or cardiac surgery.",
    ACC_AORTA,
)
HAEMATOMA_GROWTH = Rule(
    "haematoma-growth",
    "An intracerebral haemorrhage that grew by more than 6 mL or by more than 33 % is told at once.",
    EXPANSION,
)


class Course(StrEnum):
    """What became of a lesion, in the words of Lung-RADS."""

    BASELINE = "baseline"
    NEW = "new"
    GROWING = "growing"
    STABLE = "stable"


def millimetres(quantity: Quantity) -> float | None:
    """A length in mm; None where it is none."""
    factor = _MILLIMETRES.get(quantity.unit)
    return None if factor is None else quantity.value * factor


def grew_by(finding: Finding, change: Change, units: dict[str, float]) -> float | None:
    """How much a value grew, in the unit of the table; None where its unit is not in it."""
    factor = units.get(finding.value.unit) if finding.value else None
    return None if factor is None else change.absolute * factor


def nodule_grew(finding: Finding, change: Change, times: float = 1.0) -> bool:
    """More than 1.5 mm of mean diameter within 12 months; over a longer time by the year (Lung-RADS v2022)."""
    return _in_a_year(grew_by(finding, change, _MILLIMETRES), change, times) > 1.5 * times


def nodule_doubled(finding: Finding, change: Change, times: float = 1.0) -> bool:
    """A volume doubling time below 400 days; it has one where the volume grew by a quarter or more (BTS 2015)."""
    return change.doubling_days is not None and change.doubling_days < 400 / times


def abdominal_aorta_grew(finding: Finding, change: Change, times: float = 1.0) -> bool:
    """An aneurysm that grew by 5 mm or more within 6 months, or by 10 mm or more a year."""
    by = grew_by(finding, change, _MILLIMETRES)
    if by is None or not _is_wide(finding, 30.0):
        return False
    return (by >= 5.0 * times and change.days <= _HALF_YEAR) or _in_a_year(by, change, times) >= 10.0 * times


def ascending_aorta_grew(finding: Finding, change: Change, times: float = 1.0) -> bool:
    """5 mm or more in a year, of an aorta that is dilated."""
    return _is_wide(finding, 40.0) and _in_a_year(grew_by(finding, change, _MILLIMETRES), change, times) >= 5.0 * times


def haematoma_grew(finding: Finding, change: Change, times: float = 1.0) -> bool:
    """More than 6 mL or more than 33 %."""
    by = grew_by(finding, change, _MILLILITRES)
    return by is not None and (by > 6.0 * times or (change.percent is not None and change.percent > 33.0 * times))


def _is_wide(finding: Finding, least: float) -> bool:
    now = millimetres(finding.value) if finding.value else None
    return now is not None and now >= least


def as_yearly(by: float, days: int) -> float:
    """The larger of what grew in all and by the year: what grew as much in fewer days is never less."""
    return by * max(1.0, 365 / days) if days > 0 else by


def _in_a_year(by: float | None, change: Change, times: float) -> float:
    """What was measured within a year as it is; what took longer, by the year; above the limit the larger of both."""
    if by is None or change.days <= 0:
        return 0.0
    if times > 1.0:
        return as_yearly(by, change.days)
    return by if change.days <= _YEAR else by / change.days * 365.25


@dataclass(frozen=True, slots=True)
class Threshold:
    """A published limit of growth: for which findings, and what it calls for.

    `reached` is asked with how many times the limit; `urgent` is told in palliative care too.
    """

    rule: Rule
    codes: tuple[Coding, ...]
    reached: Callable[[Finding, Change, float], bool]
    action: Coding
    source: Source
    priority: Priority = Priority.URGENT
    indicator: Indicator = Indicator.WARNING
    acr_category: int | None = None

    @property
    def urgent(self) -> bool:
        """Whether minutes count."""
        return self.priority is Priority.STAT


THRESHOLDS = (
    Threshold(
        HAEMATOMA_GROWTH,
        (finding_codes.IPH_VOLUME, finding_codes.IPH_LESION, finding_codes.IPH_ABC2),
        haematoma_grew,
        actions.STROKE_TEAM_CALL,
        EXPANSION,
        Priority.STAT,
        Indicator.CRITICAL,
        1,
    ),
    Threshold(
        ABDOMINAL_GROWTH,
        (finding_codes.ABDOMINAL_AORTA,),
        abdominal_aorta_grew,
        actions.VASCULAR_SURGERY_REFERRAL,
        ACC_AORTA,
    ),
    Threshold(
        ASCENDING_GROWTH,
        (finding_codes.ASCENDING_AORTA,),
        ascending_aorta_grew,
        actions.THORACIC_AORTA_REFERRAL,
        ACC_AORTA,
    ),
    Threshold(NODULE_DOUBLING, (finding_codes.LUNG_NODULE,), nodule_doubled, actions.NODULE_CLINIC_REFERRAL, BTS),
    Threshold(
        NODULE_GROWTH,
        (finding_codes.LUNG_NODULE, finding_codes.NODULE_SOLID_PART),
        nodule_grew,
        actions.EARLIER_FOLLOW_UP,
        LUNG_RADS,
    ),
)
#: Findings whose change has no published threshold here: 1 where more is worse, -1 where less is.
WORSE = {
    one.code: direction
    for one, direction in (
        (finding_codes.LAA_950, 1),
        (finding_codes.PERC_15, -1),
        (finding_codes.DESCENDING_AORTA, 1),
        (finding_codes.CORONARY_CALCIUM_SCORE, 1),
        (finding_codes.CARDIOTHORACIC_RATIO, 1),
        (finding_codes.VERTEBRAL_ATTENUATION, -1),
        (finding_codes.VERTEBRAL_FRACTURE, 1),
        (finding_codes.LIVER_ATTENUATION, -1),
        (finding_codes.EAH_VOLUME, 1),
        (finding_codes.IVH_VOLUME, 1),
        (finding_codes.CEREBELLAR_HAEMORRHAGE, 1),
        (finding_codes.HIPPOCAMPAL_VOLUME, -1),
        (finding_codes.HIPPOCAMPAL_SHARE, -1),
        (finding_codes.LATERAL_VENTRICULAR_SHARE, 1),
        (finding_codes.TOTAL_BRAIN_VOLUME, -1),
    )
}


def compared(by: Findings) -> bool:
    """Whether this answer was compared with an earlier study: some finding of it has a change."""
    return any(finding.change is not None for finding in by.findings)


def is_new(seen: Seen) -> bool | None:
    """Whether the compared study did not have a lesion; None where nothing was compared, or it could be another."""
    if seen.finding.change is not None:
        return False
    if not compared(seen.by):
        return None
    name = seen.finding.tracking_id
    tracked = "." in name and name.replace(".", "").isdigit()
    return True if tracked else None


def courses(seen: Seen, earlier: bool | None) -> tuple[Course, ...]:
    """What may have become of a nodule, as far as is known; `earlier` is whether an earlier CT of the chest exists."""
    change = seen.finding.change
    if change is not None:
        if not nodule_grew(seen.finding, change) or change.beyond_error is False:
            return (Course.STABLE,)
        return (Course.GROWING,) if change.beyond_error else (Course.GROWING, Course.STABLE)
    if is_new(seen):
        return (Course.NEW,)
    return (Course.BASELINE,) if earlier is False else (Course.NEW, Course.BASELINE)

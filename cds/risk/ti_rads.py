"""ACR TI-RADS 2017: what follows a nodule of the thyroid on ultrasound.

Tessler et al., J Am Coll Radiol 2017;14:587-595, doi:10.1016/j.jacr.2017.01.046. Points of the echogenic foci add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cds.domain.recommendation import Source
from cds.risk import Answer, Given, Input, NotScored, Output, Score, Scored
from cds.risk._facts import first, number

#: The points that each feature can have.
FEATURES: Mapping[str, tuple[int, ...]] = {
    "composition": (0, 1, 2),
    "echogenicity": (0, 1, 2, 3),
    "shape": (0, 3),
    "margin": (0, 2, 3),
}
FOCI = (0, 1, 2, 3)
_FOCI = "echogenic_foci"
#: Diameters (cm) from which fine-needle aspiration, or follow-up, is advised.
SIZES = {"TR3": (2.5, 1.5), "TR4": (1.5, 1.0), "TR5": (1.0, 0.5)}


def _evaluate(given: Given) -> Answer:
    points = given.members_of("points")
    unfit = _unfit(points)
    if unfit is not None:
        return unfit
    total = sum(_points(points[name]) for name in (*FEATURES, _FOCI))
    level = _level(total)
    if not level:
        return NotScored(out_of_range=("points",), reasons=("a total of 1 point has no level",))
    action = _action(given, level)
    return action if isinstance(action, NotScored) else Scored({"total": total, "level": level, "action": action})


def _unfit(points: Mapping[str, object]) -> NotScored | None:
    """What is missing among the features, or has points that it cannot have."""
    names = (*FEATURES, _FOCI)
    missing = tuple(f"points.{name}" for name in names if points.get(name) in (None, [], ()))
    wrong = tuple(f"points.{name}" for name in names if points.get(name) is not None and not _fits(name, points[name]))
    reasons = tuple(f"{name} has points that the feature cannot have" for name in wrong)
    return NotScored(missing, wrong, reasons) if missing or wrong else None


def _fits(name: str, value: object) -> bool:
    """Echogenic foci are a list of what is there, and each kind counts once."""
    if name != _FOCI:
        return type(value) is int and value in FEATURES[name]
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return all(type(one) is int and one in FOCI for one in value) and len(set(value)) == len(value)


def _points(value: object) -> int:
    if isinstance(value, Sequence):
        return sum(_points(one) for one in value)
    return value if isinstance(value, int) else 0


def _level(total: int) -> str:
    """A nodule that is not TR1 has 2 points at least: there is no level for one point."""
    levels = {0: "TR1", 1: "", 2: "TR2", 3: "TR3", 4: "TR4", 5: "TR4", 6: "TR4"}
    return levels.get(total, "TR5")


def _action(given: Given, level: str) -> str | NotScored:
    if level not in SIZES:
        return "none"
    aspirate_cm, follow_cm = SIZES[level]
    rules = (
        (number(given, "max_dimension_cm", lambda cm: cm >= aspirate_cm), "fna"),
        (number(given, "max_dimension_cm", lambda cm: cm >= follow_cm), "follow_up"),
    )
    return first(rules, otherwise="none")


def _refused(name: str, reason: str) -> NotScored:
    return NotScored(out_of_range=(name,), reasons=(reason,))


SCORE = Score(
    id="ti_rads",
    title="ACR TI-RADS 2017",
    source=Source("Tessler 2017, ACR TI-RADS", "https://doi.org/10.1016/j.jacr.2017.01.046"),
    population="adults with a nodule of the thyroid on ultrasound",
    outcome="suspicion of malignancy, and what follows",
    horizon_years=None,
    inputs=(
        Input("points", "points by feature", kind="object"),
        # No thyroid nodule is larger than this: refuses millimetres.
        Input("max_dimension_cm", "largest diameter", unit="cm", low=0, high=20, needed=False),
    ),
    evaluate=_evaluate,
    outputs=(
        Output("total", "points"),
        Output("level", "TI-RADS level"),
        Output("action", "fine-needle aspiration, follow-up or none"),
    ),
    notes=(
        "Composition 0-2, echogenicity 0-3, shape 0 or 3, margin 0, 2 or 3; echogenic foci: a list, 0 none or large "
        "comet-tail, 1 macrocalcification, 2 peripheral, 3 punctate: every kind that is there adds its points.",
        "A spongiform or cystic nodule gets no further points. TR1 and TR2 need no size.",
    ),
    licence="RADS names and tables are the ACR's: ask it before commercial use.",
)

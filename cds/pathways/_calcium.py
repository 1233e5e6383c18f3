"""What images say of coronary calcium: a score where the scan was one for it, else a class.

CAC-DRS 2018 (doi:10.1016/j.jcct.2018.03.008): 1 to 99 mild, 100 to 299 moderate, from 300 severe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cds import finding_codes
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.recommendation import Case
from cds.errors import InvalidInput
from cds.pathways._facts import findings, values
from cds.pathways._reasoning import Reasoning
from cds.risk import Scored
from cds.risk.cac_drs import SCORE as CAC_DRS

#: Units that a calcium score comes in.
_UNITS = frozenset({"1", "{Agatston_score}", "{score}"})
#: Classes of a finding → 0 to 3 as CAC-DRS numbers them: of a scan without a score, and of one with.
_CLASSES = {
    code: level
    for level, name in enumerate(("none", "mild", "moderate", "severe"))
    for code in (f"coronary-calcium-{name}", f"cac-drs-a{level}", f"cac-drs-v{level}")
}
_DRS = ("A0", "A1", "A2", "A3")


@dataclass(frozen=True, slots=True)
class Calcium:
    """How much there is: `level` 0 to 3, None where its class is not known; `score` None where there is none."""

    level: int | None
    score: float | None
    finding: Finding
    by: Findings


def most(case: Case) -> Calcium | None:
    """What says most of all scores and classes, a score before a class of the same level; None where none was seen.

    Where one model saw calcium of no class and others none at all, nobody can tell how much there is.
    """
    found = _seen(case)
    if not any(one.finding.presence is not Presence.NOT_DETECTED for one in found):
        return None
    most = max(found, key=_rank)
    unclassed = [one for one in found if one.level is None]
    return max(unclassed, key=_rank) if unclassed and not most.level else most


def contradictions(found: Reasoning, calcium: Calcium) -> tuple[str, ...]:
    """What else was said of the calcium of this study, where that is another level."""
    others = sorted((one for one in _seen(found.case) if one.level not in (None, calcium.level)), key=_rank)
    told = [
        found.say(
            "{model} says otherwise: {said}. The higher one counts until a radiologist decides.",
            model=one.by.model,
            said=said(found, one),
        )
        for one in others
    ]
    return tuple(dict.fromkeys(told))


def said(found: Reasoning, calcium: Calcium) -> str:
    """The score or the class for the reader."""
    if calcium.score is not None:
        return found.say("Agatston score {score}", score=f"{calcium.score:.6g}")
    classes = (found.say("none"), found.say("mild"), found.say("moderate"), found.say("severe"))
    return found.say("class {name}, no score", name="?" if calcium.level is None else classes[calcium.level])


def _seen(case: Case) -> list[Calcium]:
    return [*_scores(case), *_classes(case)]


def _rank(one: Calcium) -> tuple[int, bool, float, str, str, str]:
    """By level, then by score; the rest makes the order of the answers not matter."""
    level = -1 if one.level is None else one.level
    return level, one.score is not None, one.score or 0.0, one.by.model, one.by.version, one.finding.key


def _scores(case: Case) -> Iterator[Calcium]:
    for one in values(case, finding_codes.CORONARY_CALCIUM_SCORE):
        if one.value.unit not in _UNITS:
            raise InvalidInput("want a calcium score without a unit")
        answer = CAC_DRS({"agatston": one.value.value})
        if not isinstance(answer, Scored):
            raise InvalidInput("want a calcium score from 0 to 100000")
        yield Calcium(_DRS.index(str(answer.outputs["cac_drs"])), one.value.value, one.finding, one.by)


def _classes(case: Case) -> Iterator[Calcium]:
    for seen in findings(case, finding_codes.CORONARY_CALCIFICATION):
        category = seen.finding.category
        level = _CLASSES.get(category.code) if category else None
        yield Calcium(level if seen.present else 0, None, seen.finding, seen.by)

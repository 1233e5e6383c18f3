"""A mass of the adrenal that nobody looked for: the next step by its size, its attenuation and the prior.

ACR Incidental Findings Committee (Mayo-Smith et al., J Am Coll Radiol 2017;14(8):1038-1044,
doi:10.1016/j.jacr.2017.05.001).
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes, units
from cds.domain.finding import Change
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation
from cds.pathways import Rule, pathway
from cds.pathways._facts import Measured, Missing, values, where
from cds.pathways._guards import asked_already, known
from cds.pathways._reasoning import Reasoning
from cds.risk import NotScored
from cds.risk.adrenal_acr_2017 import SCORE

ID = "adrenal"
TITLE = "Mass of the adrenal"
ACR = SCORE.source

SMALL = Rule("small", "An adrenal mass below 1 cm needs no follow-up.")
ADENOMA = Rule("adenoma", "An adrenal mass of 10 HU or less without contrast is an adenoma and needs no follow-up.")
STABLE = Rule("stable", "An adrenal mass that has been stable for a year or more needs no follow-up.")
WORK_UP = Rule("work-up", "Any other adrenal mass of 1 cm or more is worked up.")
ASKED = Rule("asked", "Where a work-up of the adrenal is open it is not asked for again.")

#: The steps of the white paper, in words; what is not here needs no follow-up.
_STEPS = {
    "adrenal_protocol_ct": "CT of the adrenals with washout",
    "probably_benign_consider_ct_12mo": "CT of the adrenals after 12 months",
    "consider_ct_12mo_or_resection": "CT of the adrenals after 12 months, or resection",
    "consider_resection": "referral for resection",
    "consider_biopsy_or_petct": "PET-CT or biopsy",
    "imaging_follow_up_biopsy_petct_or_resection": "imaging follow-up, biopsy, PET-CT or resection",
}
_YEAR = 365


@pathway(
    id=ID,
    title=TITLE,
    source=ACR,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.ADRENAL_MASS, finding_codes.ADRENAL_ATTENUATION),
    asks=(condition_codes.CANCER, procedure_codes.ORDERED[actions.ADRENAL_WORK_UP.code]),
    rules=(SMALL, ADENOMA, STABLE, WORK_UP, ASKED),
    scores=(SCORE.id,),
    limits=("Hormones are judged apart: every mass from 1 cm on may be tested.",),
)
def adrenal(case: Case) -> PathwayOutcome:
    """Advise on the largest adrenal mass that was measured."""
    largest = max(values(case, finding_codes.ADRENAL_MASS), key=_centimetres, default=None)
    found = Reasoning(ID, TITLE, ACR, case)
    if largest is None:
        return found.nothing("no adrenal mass was measured on this study")
    size = _centimetres(largest)
    attenuation = next((one.value.value for one in values(case, finding_codes.ADRENAL_ATTENUATION)), None)
    found.measured(found.say("largest diameter of the adrenal mass"), f"{size:.1f} cm", where(case, largest))
    answer = SCORE(
        {
            "size_cm": size,
            "hu_unenhanced": attenuation,
            "benign_features": False,
            "cancer_history": known(found, condition_codes.CANCER),
            "prior": _prior(largest.finding.change) or "none",
            "washout": "not_done",
        }
    )
    _told_of_the_prior(found, largest.finding.change)
    found.apply(SMALL, size < 1, f"{size:.1f} cm")
    found.apply(ADENOMA, None if attenuation is None else attenuation <= 10)
    found.apply(STABLE, _prior(largest.finding.change) == "stable_ge_1y")
    if isinstance(answer, NotScored):
        return found.could_not_tell(found.say("what decides is not known"))
    return _answered(found, largest, str(answer.outputs["action"]))


def _answered(found: Reasoning, largest: Measured, action: str) -> PathwayOutcome:
    if not found.apply(WORK_UP, action in _STEPS, action):
        return found.nothing("the adrenal mass needs no follow-up")
    size = f"{_centimetres(largest):.1f} cm"
    if not found.apply(ASKED, asked_already(found, actions.ADRENAL_WORK_UP)):
        found.recommend(
            Recommendation(
                key="work-up",
                action=found.say("Work-up of an adrenal mass: {step}", step=found.say(_STEPS[action])),
                code=actions.ADRENAL_WORK_UP,
                reason=found.say("The adrenal mass measures {size}.", size=size),
                source=ACR,
                would_change=(found.say("An earlier image that shows it unchanged for a year, or 10 HU or less."),),
            )
        )
    summary = found.say("Adrenal mass of {size} on {day} (AI).", size=size, day=found.case.study_date)
    return found.advice(summary, Indicator.INFO, (largest.finding.key,), seen=(summary,), limits=largest.by.limits)


def _told_of_the_prior(found: Reasoning, change: Change | None) -> None:
    """Without a prior the white paper wants more, not less: so the step is that, and the prior is asked for."""
    if _prior(change) is None:
        why = found.say("there is none that it could be compared with for certain")
        found.missing.append(Missing(found.say("earlier images"), why, found.say("look for them at other hospitals")))


def _prior(change: Change | None) -> str | None:
    """What the prior says; nothing where there is none, or where it is not known to be beyond the error."""
    if change is None or change.beyond_error is None:
        return None
    if change.beyond_error:
        return "enlarging" if change.absolute > 0 else None
    return "stable_ge_1y" if change.days >= _YEAR else None


def _centimetres(measured: Measured) -> float:
    return units.convert(measured.value, "cm").value

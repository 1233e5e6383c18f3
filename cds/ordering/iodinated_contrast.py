"""Iodinated contrast medium and the kidneys: saline before it, or creatinine first.

Davenport et al., ACR-NKF consensus, Radiology 2020;294:660-668, doi:10.1148/radiol.2019192094; whom to measure
creatinine in: ACR Manual on Contrast Media.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes
from cds.domain.imaging_order import Contrast
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation
from cds.ordering._kidney import (
    AKI_DAYS,
    ASKS,
    EGFR_DAYS,
    KIDNEY_RULES,
    MANUAL,
    RISK_ASKS,
    RISK_YEARS,
    SEVERE,
    Kidney,
    at_risk,
    creatinine_first,
    kidney,
    last_low,
    rate_text,
    shown,
)
from cds.ordering._order import asked, contrast_untold, known, needs, sought
from cds.pathways import Rule, pathway
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.risk import Scored
from cds.risk.contrast_safety import SCORE

ID = "iodinated_contrast"
TITLE = "Iodinated contrast medium and the kidneys"
CONSENSUS = SCORE.source

GIVEN = Rule("given", "Without iodinated contrast medium the check is silent.")
UNTOLD = Rule("untold", "Where the order does not say whether iodinated contrast is given the check cannot tell.")
DIALYSIS = Rule("dialysis", "On maintenance dialysis no saline is given before iodinated contrast.")
SALINE = Rule(
    "saline",
    "With acute kidney injury or an eGFR below 30 and no dialysis saline is given before iodinated contrast.",
)
BETWEEN = Rule("between", "With an eGFR from 30 to 44 the clinician considers saline where the risk is high.")
ENOUGH = Rule("enough", "With an eGFR of 45 or more and no acute kidney injury nothing is suggested.")
MEASURE = Rule(
    "measure", "Without a recent eGFR creatinine is measured first where a risk of kidney disease is on record.", MANUAL
)
NO_RISK = Rule("no-risk", "Without a recent eGFR and without a risk nothing is suggested.", MANUAL)
ASK = Rule("ask", "Without a recent eGFR and where a risk is not known the reader is told what to ask.", MANUAL)
CHILD = Rule(
    "child",
    "Below 18 years paediatric radiology is asked of an ill kidney on record, and else the check cannot tell.",
)

LIMITS = (
    "Contrast medium that is necessary is not withheld for the kidneys alone.",
    "The consensus is on intravenous contrast; an arterial study of heart or aorta has rules of its own.",
    "The list of risks is that of the ACR manual, which later editions made shorter; the site decides.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=CONSENSUS,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(*ASKS, *RISK_ASKS),
    rules=(GIVEN, UNTOLD, CHILD, DIALYSIS, SALINE, BETWEEN, ENOUGH, MEASURE, NO_RISK, ASK, *KIDNEY_RULES),
    options=(EGFR_DAYS, AKI_DAYS, RISK_YEARS),
    scores=(SCORE.id, "egfr_ckdepi_2021"),
    further=(MANUAL,),
    limits=LIMITS,
    urgent=True,
)
def iodinated_contrast(case: Case) -> PathwayOutcome:
    """Say what the kidneys ask for before iodinated contrast medium."""
    found = Reasoning(ID, TITLE, CONSENSUS, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    given = needs(wanted[1], Contrast.IODINATED)
    if found.apply(UNTOLD, given is None):
        return contrast_untold(found)
    if not found.apply(GIVEN, given):
        return found.nothing("no iodinated contrast medium is given")
    body = kidney(found, ID)
    if found.apply(CHILD, body.child):
        return _child(found, body)
    answer = SCORE({"agent": "iodinated_iv", "egfr": body.egfr, "aki": body.aki, "dialysis": body.dialysis})
    if not isinstance(answer, Scored):
        return _unknown(found, body)
    action = str(answer.outputs["action"])
    found.risk(SCORE, answer, action)
    found.missing.clear()
    return _decided(found, body, action)


def _child(found: Reasoning, body: Kidney) -> PathwayOutcome:
    """The consensus and its equation are for adults: nobody tells a child by them that there is no risk."""
    if not (body.ill or known(found, condition_codes.CHRONIC_KIDNEY_DISEASE)):
        return found.could_not_tell(found.say("the limits of the kidneys are those of adults"))
    found.recommend(
        Recommendation(
            key="paediatric-radiology",
            action=found.say("Ask paediatric radiology before iodinated contrast medium is given"),
            code=actions.ASK_PAEDIATRIC_RADIOLOGY,
            reason=found.say("The kidneys of a child may be ill, and the limits here are those of adults."),
            source=MANUAL,
            because=because(found),
            would_change=(found.say("A paediatric eGFR of these days."),),
        )
    )
    return _told(found, found.say("A child with an ill kidney: ask before iodinated contrast."), Indicator.WARNING, "")


def _decided(found: Reasoning, body: Kidney, action: str) -> PathwayOutcome:
    if found.apply(SALINE, action == "saline_prophylaxis_indicated", shown(body)):
        return _saline(found, body)
    if found.apply(BETWEEN, action == "no_routine_prophylaxis_consider_if_high_risk", shown(body)):
        return _told(
            found,
            found.say("eGFR from 30 to 44: consider saline before iodinated contrast."),
            Indicator.INFO,
            found.say("Saline is not given as a routine; it may be considered where the risk is high."),
        )
    if found.apply(DIALYSIS, body.dialysis):
        return found.nothing("on dialysis no saline is given before contrast")
    found.apply(ENOUGH, True, shown(body))
    return found.nothing("the kidneys ask for nothing before contrast")


def _saline(found: Reasoning, body: Kidney) -> PathwayOutcome:
    reason = (
        found.say("Acute kidney injury is on record.")
        if body.aki
        else found.say("The eGFR is {rate}.", rate=rate_text(body.egfr or 0.0))
    )
    found.recommend(
        Recommendation(
            key="saline",
            action=found.say("Intravenous saline before and after the contrast medium, or a test without it"),
            code=actions.SALINE,
            reason=reason,
            source=CONSENSUS,
            because=because(found),
            would_change=(
                found.say("Dialysis, or heart failure that does not allow the volume."),
                found.say("A newer creatinine."),
            ),
        )
    )
    return _told(found, found.say("Iodinated contrast at high kidney risk: saline first."), Indicator.WARNING, "")


def _unknown(found: Reasoning, body: Kidney) -> PathwayOutcome:
    """What decides is not known: creatinine first for who is at risk, questions where that is not known."""
    if body.egfr is not None:
        found.apply(ASK, True, shown(body))
        return _questions(found, severe=bool(body.aki) or body.egfr < SEVERE)
    risk = at_risk(found, ID, body)
    if found.apply(MEASURE, bool(risk) and not body.unread):
        return _measure(found, body)
    if found.apply(NO_RISK, risk is False):
        return found.nothing("no recent eGFR, and no risk that asks for one")
    found.apply(ASK, True, shown(body))
    return _questions(found, severe=bool(risk))


def _measure(found: Reasoning, body: Kidney) -> PathwayOutcome:
    last = last_low(found, body)
    reason = last or found.say("A risk of kidney disease is on record, and no recent eGFR.")
    creatinine_first(found, MANUAL, reason, because(found))
    return _told(found, found.say("Iodinated contrast: no recent eGFR, and a risk."), Indicator.WARNING, last)


def _questions(found: Reasoning, *, severe: bool) -> PathwayOutcome:
    return _told(
        found,
        found.say("Iodinated contrast: the kidneys are not known well enough."),
        Indicator.WARNING if severe else Indicator.INFO,
        found.say("Ask before the exam: {what}.", what=sought(found)),
    )


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: str) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for an exam with iodinated contrast medium."),),
        meaning=(meaning,) if meaning else (),
        limits=tuple(map(found.say, LIMITS)),
        further=(MANUAL,),
    )

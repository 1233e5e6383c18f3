"""Gadolinium and the kidneys, by the ACR group of the agent that the site gives.

ACR Manual on Contrast Media; Weinreb et al., ACR-NKF consensus, Radiology 2021, doi:10.1148/radiol.2020202903.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds.domain.imaging_order import Contrast
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.ordering._kidney import (
    AKI_DAYS,
    ASKS,
    EGFR_DAYS,
    KIDNEY_RULES,
    MANUAL,
    Kidney,
    creatinine_first,
    kidney,
    last_low,
    shown,
)
from cds.ordering._order import asked, contrast_untold, needs, sought
from cds.pathways import Option, Rule, pathway
from cds.pathways._facts import Missing
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import option
from cds.risk import NotScored
from cds.risk.contrast_safety import SCORE

ID = "gadolinium_contrast"
TITLE = "Gadolinium and the kidneys"
CONSENSUS = Source("ACR-NKF 2021, gadolinium agents", "https://doi.org/10.1148/radiol.2020202903")

GIVEN = Rule("given", "Without gadolinium the check is silent.")
UNTOLD = Rule("untold", "Where the order does not say whether gadolinium is given the check cannot tell.")
SITE = Rule("site", "Until the site has said which group of agent it gives the check cannot tell.")
GROUP_II = Rule("group-ii", "With an agent of group II the kidneys are not asked for.")
GROUP_I = Rule(
    "group-i",
    "With acute kidney injury, an eGFR below 30 or dialysis an agent of group I is replaced by one of group II.",
)
GROUP_I_FREE = Rule(
    "group-i-free",
    "With an eGFR of 30 or more and no acute kidney injury or dialysis an agent of group I needs no step.",
)
GROUP_III = Rule(
    "group-iii",
    "With acute kidney injury, an eGFR below 30 or dialysis an agent of group III is a decision for the radiologist.",
)
GROUP_III_REST = Rule("group-iii-rest", "With an eGFR of 30 or more the check cannot tell of an agent of group III.")
MEASURE = Rule("measure", "Before an agent of group I or III creatinine is measured where no recent eGFR is known.")

GROUP = Option(
    "group", "ACR group of the gadolinium agent that is given", None, choices=("group_I", "group_II", "group_III")
)
LIMITS = (
    "Which group an agent belongs to changes with the editions of the manual: the site says it.",
    "The label of the FDA warns of every gadolinium agent in severe kidney disease.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=MANUAL,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=ASKS,
    rules=(GIVEN, UNTOLD, SITE, GROUP_II, GROUP_I, GROUP_I_FREE, GROUP_III, GROUP_III_REST, MEASURE, *KIDNEY_RULES),
    options=(GROUP, EGFR_DAYS, AKI_DAYS),
    scores=(SCORE.id, "egfr_ckdepi_2021"),
    further=(CONSENSUS,),
    limits=LIMITS,
    urgent=True,
)
def gadolinium_contrast(case: Case) -> PathwayOutcome:
    """Say what the kidneys ask for before gadolinium."""
    found = Reasoning(ID, TITLE, MANUAL, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    given = needs(wanted[1], Contrast.GADOLINIUM)
    if found.apply(UNTOLD, given is None):
        return contrast_untold(found)
    if not found.apply(GIVEN, given):
        return found.nothing("no gadolinium is given")
    group = option(case, ID, GROUP)
    if found.apply(SITE, group is None) or group is None:
        return _site_decides(found)
    if found.apply(GROUP_II, group == "group_II"):
        return found.nothing("an agent of group II is given")
    return _by_group(found, group)


def _site_decides(found: Reasoning) -> PathwayOutcome:
    how = found.say("set the option {name}", name=f"{ID}.{GROUP.name}")
    found.missing.append(Missing(found.say("group of the agent"), found.say("the site has not said it"), how))
    return found.could_not_tell(found.say("it is not known which gadolinium agent is given"))


def _by_group(found: Reasoning, group: str) -> PathwayOutcome:
    body = kidney(found, ID)
    inputs = {"agent": f"gbca_{group}", "egfr": body.egfr, "aki": body.aki, "dialysis": body.dialysis}
    answer = SCORE(inputs)
    if isinstance(answer, NotScored):
        return _unknown(found, body, group, answer)
    action = str(answer.outputs["action"])
    found.risk(SCORE, answer, action)
    found.missing.clear()
    if found.apply(GROUP_I, action == "contraindicated", shown(body)):
        return _other_agent(found)
    if found.apply(GROUP_III, action == "benefit_may_outweigh_risk_individual_decision", shown(body)):
        return _decision(found)
    found.apply(GROUP_I_FREE, True, shown(body))
    return found.nothing("the kidneys ask for nothing before this agent")


def _unknown(found: Reasoning, body: Kidney, group: str, answer: NotScored) -> PathwayOutcome:
    if answer.out_of_range:
        found.apply(GROUP_III_REST, group == "group_III", shown(body))
        return found.could_not_tell(found.say("what the manual says of this agent was not verified"))
    last = last_low(found, body)
    told = (last,) if last else ()
    if found.apply(MEASURE, body.egfr is None and not (body.unread or body.child)):
        reason = last or found.say("No recent eGFR is known, and the agent asks for one.")
        creatinine_first(found, MANUAL, reason, because(found))
        return _told(found, found.say("Gadolinium: no recent eGFR."), Indicator.WARNING, told)
    ask = found.say("Ask before the exam: {what}.", what=sought(found))
    loud = Indicator.WARNING if body.egfr is None else Indicator.INFO
    return _told(found, found.say("Gadolinium: the kidneys are not known well enough."), loud, (*told, ask))


def _other_agent(found: Reasoning) -> PathwayOutcome:
    found.recommend(
        Recommendation(
            key="group-ii",
            action=found.say("Use an agent of group II, or an exam without gadolinium"),
            code=actions.OTHER_GADOLINIUM,
            reason=found.say("Agents of group I are contraindicated in severe or acute kidney disease."),
            source=MANUAL,
            because=because(found),
            would_change=(found.say("A newer eGFR of 30 or more without acute kidney injury."),),
        )
    )
    return _told(found, found.say("Gadolinium of group I is contraindicated: use group II."), Indicator.WARNING, ())


def _decision(found: Reasoning) -> PathwayOutcome:
    found.recommend(
        Recommendation(
            key="decision",
            action=found.say("Ask the radiologist whether the benefit of this agent outweighs its risk"),
            code=actions.CONTRAST_DECISION,
            reason=found.say("Little is known of agents of group III in severe or acute kidney disease."),
            source=MANUAL,
            because=because(found),
            would_change=(found.say("An agent of group II."),),
        )
    )
    return _told(found, found.say("Gadolinium of group III in kidney disease: ask first."), Indicator.WARNING, ())


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for an exam with gadolinium."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(CONSENSUS,),
    )

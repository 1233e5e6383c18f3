"""Metformin and contrast medium, by the policy that the site has chosen.

ACR Manual on Contrast Media, or the label of the FDA of 2016 as reviewed in doi:10.1681/ASN.2016121372, table 3.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, medication_codes
from cds.domain.imaging_order import Contrast, Exam
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.ordering._kidney import (
    AKI_DAYS,
    ASKS,
    EGFR_DAYS,
    KIDNEY_RULES,
    Kidney,
    creatinine_first,
    kidney,
    last_low,
    shown,
)
from cds.ordering._order import asked, contrast_untold, known, needs, sought, taken
from cds.pathways import Option, Rule, pathway
from cds.pathways._facts import Missing
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import option
from cds.risk import Scored
from cds.risk.metformin_contrast import SCORE

ID = "metformin"
TITLE = "Metformin and contrast medium"
ACR = SCORE.source
FDA = Source("FDA 2016 label of metformin, as reviewed", "https://doi.org/10.1681/ASN.2016121372")

GIVEN = Rule("given", "Without contrast medium the check of metformin is silent.")
UNTOLD = Rule("untold", "Where the order does not say whether contrast is given the check of metformin cannot tell.")
NOT_TAKEN = Rule("not-taken", "Where metformin is not taken the check is silent.")
NOT_KNOWN = Rule("not-known", "Where nobody knows whether metformin is taken the check cannot tell.")
BY_ACR = Rule(
    "acr",
    "By the ACR manual metformin is held for 48 hours with acute kidney injury or an eGFR below 30.",
    ACR,
)
BY_FDA = Rule(
    "fda",
    "By the FDA label an eGFR of 30 to 60, liver disease, alcoholism or heart failure holds metformin too.",
    FDA,
)
ARTERIAL = Rule(
    "arterial", "By the FDA label metformin is held around contrast medium that is given into an artery.", FDA
)
FDA_DRUG = Rule("fda-drug", "By the FDA label metformin is contraindicated with an eGFR below 30.", FDA)
DIALYSIS = Rule(
    "dialysis", "Dialysis counts as an eGFR below 30 for metformin, and where it is not known it is asked for."
)
INJURY = Rule(
    "injury", "Known acute kidney injury alone holds metformin around iodinated contrast, whatever the eGFR is.", ACR
)
GADOLINIUM = Rule("gadolinium", "By the ACR manual metformin goes on with gadolinium.", ACR)
SITE = Rule("site", "Where the two policies differ and the site has not chosen one the check cannot tell.")
MEASURE = Rule("measure", "Where the eGFR decides and is not known creatinine is measured first.")

POLICY = Option("policy", "Policy on metformin and contrast medium", None, choices=("acr_manual", "fda_2016_label"))
LIMITS = (
    "Whether an arterial study may send emboli to the renal arteries is for who does it.",
    "Metformin is started again after 48 hours where the kidney function was measured and found to be as before.",
)
_HISTORIES = ("liver_disease", "alcoholism", "heart_failure")
_HISTORY_SETS = (
    condition_codes.CHRONIC_LIVER_DISEASE,
    condition_codes.ALCOHOL_USE_DISORDER,
    condition_codes.HEART_FAILURE,
)
#: What each policy does not read: its answer is the same whatever stands there.
_UNREAD: dict[str, dict[str, bool]] = {
    "acr_manual": dict.fromkeys(_HISTORIES, False),
    "fda_2016_label": {"renal_emboli_possible": False},
}
_RULES = (BY_ACR, BY_FDA, ARTERIAL, FDA_DRUG, DIALYSIS, INJURY, GADOLINIUM, SITE, MEASURE)
#: What an eGFR may be that is not known: one for each answer of the policies. On dialysis it counts as none.
_ANY_RATE, _ON_DIALYSIS = (0.0, 45.0, 90.0), 0.0
#: How contrast medium gets in; an angiography by catheter may be of an artery or a vein.
_ROUTES = {"CT": "iv", "MR": "iv", "PT": "iv"}
_HELD = frozenset({"hold_48h", "hold_recheck_egfr_48h", "contraindicated_drug"})


@pathway(
    id=ID,
    title=TITLE,
    source=ACR,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(medication_codes.METFORMIN, *ASKS, *_HISTORY_SETS),
    rules=(GIVEN, UNTOLD, NOT_TAKEN, NOT_KNOWN, *_RULES, *KIDNEY_RULES),
    options=(POLICY, EGFR_DAYS, AKI_DAYS),
    scores=(SCORE.id, "egfr_ckdepi_2021"),
    further=(FDA,),
    limits=LIMITS,
    urgent=True,
)
def metformin(case: Case) -> PathwayOutcome:
    """Say whether metformin is held around the exam."""
    found = Reasoning(ID, TITLE, ACR, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    medium = _medium(wanted[1])
    on_it = taken(found, medication_codes.METFORMIN)
    if found.apply(NOT_TAKEN, on_it is False):
        return found.nothing("metformin is not taken")
    if found.apply(GIVEN, medium is Contrast.NONE):
        return found.nothing("no contrast medium is given")
    if found.apply(UNTOLD, medium is None) or medium is None:
        return contrast_untold(found)
    if found.apply(NOT_KNOWN, on_it is None):
        return found.could_not_tell(found.say("it is not known whether metformin is taken"))
    return _by_policy(found, wanted[1], medium)


def _medium(exam: Exam) -> Contrast | None:
    """The contrast medium that is given; None where the order does not say."""
    told = {medium: needs(exam, medium) for medium in (Contrast.IODINATED, Contrast.GADOLINIUM)}
    given = next((medium for medium, held in told.items() if held), None)
    return given or (None if None in told.values() else Contrast.NONE)


def _by_policy(found: Reasoning, exam: Exam, medium: Contrast) -> PathwayOutcome:
    """The answer of the site's policy; where it has none, what both say alike."""
    body = kidney(found, ID)
    route = _ROUTES.get(exam.modality)
    inputs: dict[str, object] = {"metformin": True, "agent": medium.value, "aki": body.aki, "route": route}
    inputs |= {name: known(found, one) for name, one in zip(_HISTORIES, _HISTORY_SETS, strict=True)}
    chosen = option(found.case, ID, POLICY)
    policies = (chosen,) if chosen else POLICY.choices
    actions_by = {policy: _action(inputs, policy, _rates(body)) for policy in policies}
    _steps(found, actions_by, shown(body), route)
    found.apply(DIALYSIS, body.dialysis, shown(body))
    found.apply(INJURY, body.aki, shown(body))
    held = {None if action is None else action in _HELD for action in actions_by.values()}
    if found.apply(SITE, held == {True, False}):
        return _site_decides(found)
    if None in held:
        return _unknown(found, exam, body)
    if body.egfr is not None:
        found.missing.clear()
    if held == {False}:
        return found.nothing("metformin goes on")
    return _hold(found, actions_by, body)


def _rates(body: Kidney) -> tuple[float, ...]:
    """What the eGFR may be: what is known of it, none on dialysis, and both where dialysis is not known."""
    if body.dialysis:
        return (_ON_DIALYSIS,)
    known_rates = _ANY_RATE if body.egfr is None else (body.egfr,)
    return known_rates if body.dialysis is False else (*known_rates, _ON_DIALYSIS)


def _action(inputs: dict[str, object], policy: str, rates: tuple[float, ...]) -> str | None:
    """What one policy says of every eGFR that may be, the milder hold where all hold; None where they differ."""
    told: list[str] = []
    for rate in rates:
        answer = SCORE({**inputs, "egfr": rate, **_UNREAD[policy]})
        if not isinstance(answer, Scored):
            return None
        told.append(str(answer.outputs[policy]))
    if len({one in _HELD for one in told}) > 1:
        return None
    return next((one for one in told if one != "contraindicated_drug"), told[0])


def _steps(found: Reasoning, by: dict[str, str | None], said: str, route: str | None) -> None:
    acr, fda = by.get("acr_manual"), by.get("fda_2016_label")
    if "acr_manual" in by:
        found.apply(BY_ACR, None if acr is None else acr == "hold_48h", said)
        found.apply(GADOLINIUM, None if acr is None else acr == "continue", said)
    if "fda_2016_label" in by:
        found.apply(BY_FDA, None if fda is None else fda == "hold_recheck_egfr_48h", said)
        found.apply(ARTERIAL, None if route is None else route != "iv", route or "")
        found.apply(FDA_DRUG, None if fda is None else fda == "contraindicated_drug", said)


def _site_decides(found: Reasoning) -> PathwayOutcome:
    how = found.say("set the option {name}", name=f"{ID}.{POLICY.name}")
    why = found.say("the ACR manual and the FDA label differ here, and the site has not chosen")
    found.missing.append(Missing(found.say("policy"), why, how))
    return found.could_not_tell(found.say("the site has not chosen a policy for metformin"))


def _unknown(found: Reasoning, exam: Exam, body: Kidney) -> PathwayOutcome:
    if exam.modality not in _ROUTES:
        why, how = found.say("the order does not say it"), found.say("ask who does the exam")
        found.missing.append(Missing(found.say("whether the contrast medium goes into an artery"), why, how))
    last = last_low(found, body)
    if found.apply(MEASURE, body.egfr is None and not (body.unread or body.child or body.dialysis)):
        reason = last or found.say("Metformin is taken, and no recent eGFR is known.")
        creatinine_first(found, ACR, reason, because(found))
    ask = found.say("Ask before the exam: {what}.", what=sought(found))
    return _told(
        found,
        found.say("Metformin and contrast: what decides is not known."),
        Indicator.WARNING,
        (last, ask) if last else (ask,),
    )


def _hold(found: Reasoning, by: dict[str, str | None], body: Kidney) -> PathwayOutcome:
    contraindicated = "contraindicated_drug" in by.values()
    found.recommend(
        Recommendation(
            key="hold",
            action=found.say(
                "Hold metformin from the exam on for 48 hours, and measure eGFR before it is started again"
            ),
            code=actions.METFORMIN_HOLD,
            reason=found.say("Contrast medium can raise metformin where the kidneys are ill."),
            source=ACR if "acr_manual" in by else FDA,
            because=because(found),
            would_change=(found.say("Another policy of the site, or a newer eGFR."),),
        )
    )
    drug = (
        found.say("On dialysis the label contraindicates metformin altogether: tell who prescribes it.")
        if body.dialysis
        else found.say("With this eGFR the label contraindicates metformin altogether: tell who prescribes it.")
    )
    summary = found.say("Metformin: hold it for 48 hours around the contrast medium.")
    return _told(found, summary, Indicator.WARNING, (drug,) if contraindicated or body.dialysis else ())


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for an exam with contrast medium, and metformin is on record."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(FDA,),
    )

"""Mammography: density and its notice, the next step by BI-RADS, and who should talk about her risk.

Density: FDA, MQSA final rule, 88 FR 15126 (in force since 10 September 2024). Assessment: ACR BI-RADS, 5th edition.
Until when: NBCCEDP, 60 days to the diagnosis (doi:10.2105/AJPH.2009.160184). Risk: BCRAT (Gail), 1.67 % in 5 years as
in the trials of prevention; USPSTF 2019 (doi:10.1001/jama.2019.11885) offers drugs to women at increased risk and names
no single cut-off. Family history: ACR 2018 (doi:10.1016/j.jacr.2017.11.034), MRI from a lifetime risk of 20 % on.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.finding import Presence
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Option, Rule, _gail, pathway
from cds.pathways._breast_steps import CLOSE_DAYS, ID, IMAGING, NBCCEDP, ORDERED, category_of, category_told, next_step
from cds.pathways._breast_steps import RULES as STEPS
from cds.pathways._facts import Missing, Seen, where, words
from cds.pathways._guards import stated
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import codes, looked, refusals
from cds.pathways._sentences import because, ordered_already
from cds.pathways.declaration import number, option
from cds.risk import Scored
from cds.risk.bi_rads import SCORE as BI_RADS
from cds.risk.breast_density_mqsa import SCORE as MQSA

TITLE = "Breast density, BI-RADS and risk of breast cancer"
FDA = MQSA.source
USPSTF = Source("USPSTF 2019, drugs that lower breast cancer risk", "https://doi.org/10.1001/jama.2019.11885")
ACR_RISK = Source("ACR 2018, women at higher than average risk", "https://doi.org/10.1016/j.jacr.2017.11.034")

DENSE = Rule("dense", "Breasts of density c or d lead to the dense notice and a visit to discuss it.")
NOT_DENSE = Rule("not-dense", "Breasts of density a or b lead to no visit.")
NOTICE = Rule("notice", "Where the site is not under the MQSA the notice is left out.")
NO_CATEGORY = Rule("no-category", "A density or an assessment without its category cannot be told.")
ROUTINE = Rule("routine", "A BI-RADS assessment of 1, 2 or 6 asks for nothing.", source=BI_RADS.source)
CONTRADICTION = Rule(
    "contradiction",
    "A category of what is told as not detected is a contradiction to ask about, and leads to no step.",
)
ELIGIBLE = Rule(
    "eligible",
    "BCRAT is for women from 35 years on without breast cancer, LCIS, BRCA or chest radiotherapy.",
    source=_gail.SCORE.source,
)
RACE = Rule("race", "Without a stated race BCRAT is not computed.", source=_gail.SCORE.source)
AT_LEAST = Rule(
    "at-least",
    "What BCRAT asks and nobody knows counts as its lowest category, so that the risk is at least what is told.",
    source=_gail.SCORE.source,
)
RISK = Rule("risk", "A 5-year risk of 1.67 % or more leads to a visit on lowering it.", source=USPSTF)
FAMILY = Rule(
    "family", "Breast cancer in the family leads to an assessment by a family-history model.", source=ACR_RISK
)
CARRIER = Rule("carrier", "With a BRCA mutation on record the family history is not asked for again.", source=ACR_RISK)

RISK_PERCENT = Option("risk_percent", "5-year risk from which lowering it is discussed", "1.67", "%", low=1.67, high=3)
MQSA_NOTICE = Option("mqsa_notice", "The site is under the MQSA of the United States", "yes", choices=("yes", "no"))

_WANTED = codes(finding_codes.BREAST_DENSITY, finding_codes.BREAST_ASSESSMENT)
_ASSESSMENTS = {text: int(text[0]) for text in ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")}
#: Categories by what they ask for, and how many of them a summary holds.
_BY_URGENCY = (5, 4, 0, 3, 6, 2, 1)
_SHOWN = 5
_DENSITIES = ("a", "b", "c", "d")
_VISIT, _RISK_VISIT = actions.BREAST_DENSITY_VISIT, actions.BREAST_RISK_VISIT
_SUGGESTED = (
    actions.BREAST_BIOPSY,
    actions.BREAST_RECALL,
    actions.BREAST_SHORT_FOLLOW_UP,
    _VISIT,
    _RISK_VISIT,
    actions.BREAST_GENETICS_REFERRAL,
)
LIMITS = (
    "Whether further imaging helps women with dense breasts is not settled (USPSTF 2024: insufficient evidence).",
    "BCRAT is no model for the 20 % lifetime risk from which MRI is offered, and knows no density.",
    "BCRAT uses race and ethnicity as they were stated: they stand for how women live, not for what they are.",
    "Drugs that lower the risk, as tamoxifen, were not looked for in the record.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=FDA,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=(finding_codes.BREAST_DENSITY, finding_codes.BREAST_ASSESSMENT),
    asks=(
        *_gail.ASKS,
        *IMAGING,
        *(procedure_codes.ORDERED[action.code] for action in _SUGGESTED),
    ),
    rules=(
        DENSE,
        NOT_DENSE,
        NOTICE,
        NO_CATEGORY,
        ROUTINE,
        CONTRADICTION,
        *STEPS,
        ELIGIBLE,
        RACE,
        AT_LEAST,
        RISK,
        FAMILY,
        CARRIER,
    ),
    options=(CLOSE_DAYS, RISK_PERCENT, MQSA_NOTICE),
    scores=(MQSA.id, BI_RADS.id, _gail.SCORE.id),
    further=(BI_RADS.source, NBCCEDP, USPSTF, ACR_RISK),
    limits=LIMITS,
)
def breast(case: Case) -> PathwayOutcome:
    """Advise on a mammogram that was read, by a model or a person."""
    seen = looked(case, _WANTED)
    found = Reasoning(ID, TITLE, FDA, case)
    if not seen:
        return _unseen(found)
    density, assessments = _density(found, seen), _assessments(found, seen)
    untold = found.apply(NO_CATEGORY, _untold(found))
    for categories in ((5, 4), (0,), (3,)):
        next_step(found, {one: assessments[one] for one in categories if one in assessments})
    if assessments:
        found.apply(ROUTINE, assessments.keys() <= {1, 2, 6}, ", ".join(map(str, sorted(assessments))))
    dense = _dense(found, density)
    _family(found)
    _risk(found)
    if found.recommendations or dense or assessments.keys() & {0, 3, 4, 5}:
        return _advised(found, seen, density, assessments)
    if untold:
        return found.could_not_tell(found.say("a category of the breast was not told"))
    return found.nothing("the images ask for no step; a risk that was not computed is not excluded")


def _unseen(found: Reasoning) -> PathwayOutcome:
    if _untold(found):
        return found.could_not_tell(found.say("the breast was not evaluated"))
    return found.nothing("neither a density nor an assessment of the breast is on this study")


def _untold(found: Reasoning) -> bool:
    """Whether something of the images is missing: a category that was not given, or a model that refused."""
    if reasons := refusals(found.case, _WANTED):
        how = found.say("ask the radiologist, who sees the images")
        found.missing.append(Missing(found.say("density and assessment of the breast"), "; ".join(reasons), how))
    return bool(found.missing)


def _advised(
    found: Reasoning, seen: tuple[Seen, ...], density: str | None, assessments: dict[int, tuple[Seen, ...]]
) -> PathwayOutcome:
    given = dict.fromkeys(category_told(found, one) for _, each in sorted(assessments.items()) for one in each)
    parts = [found.say("BI-RADS {category}", category=one) for one in given]
    parts += [found.say("density {density}", density=density)] if density else []
    said = ", ".join(parts)
    by = dict.fromkeys(limit for one in seen for limit in one.by.limits)
    return found.advice(
        _summary(found, parts, assessments),
        Indicator.WARNING if {0, 4, 5} & set(assessments) else Indicator.INFO,
        tuple(dict.fromkeys(one.finding.key for one in seen)),
        seen=(found.say("Mammography: {said}.", said=said),),
        meaning=_meaning(found, density),
        limits=(*by, *map(found.say, LIMITS)),
        further=(BI_RADS.source, NBCCEDP, USPSTF, ACR_RISK),
    )


def _summary(found: Reasoning, parts: list[str], assessments: dict[int, tuple[Seen, ...]]) -> str:
    """All categories where a line holds them, else the one that asks for most."""
    day = found.case.study_date
    if len(parts) <= _SHOWN:
        return found.say("Mammography of {day}: {said}.", day=day, said=", ".join(parts))
    worst = next(assessments[one] for one in _BY_URGENCY if one in assessments)
    most = found.say("BI-RADS {category}", category=category_told(found, worst[0]))
    return found.say("Mammography of {day}: {most}, and {count} more.", day=day, most=most, count=len(parts) - 1)


def _meaning(found: Reasoning, density: str | None) -> tuple[str, ...]:
    told = []
    if density in ("c", "d"):
        told.append(found.say("Dense tissue makes cancer harder to find on a mammogram and raises its risk."))
        if not found.apply(NOTICE, option(found.case, ID, MQSA_NOTICE) == "no"):
            told.append(found.say("The notice that the breasts are dense is due to the patient."))
    if isinstance(found.case.ehr.condition(condition_codes.BREAST_CANCER.name), Known):
        told.append(found.say("Breast cancer or carcinoma in situ is on record: who treats it decides."))
    return tuple(told)


# --- what was read ---------------------------------------------------------------------------------------------------


def _density(found: Reasoning, seen: tuple[Seen, ...]) -> str | None:
    """That of the denser breast; None where no category was told."""
    read = _stated(found, seen, finding_codes.BREAST_DENSITY, found.say("density of the breast"))
    told = [one for one in read if category_of(one) in _DENSITIES]
    if read and not told:
        _no_category(found, found.say("density of the breast"))
    densest = max(told, key=category_of, default=None)
    if densest is None:
        return None
    found.measured(found.say("density of the breast"), category_of(densest), where(found.case, densest))
    return category_of(densest)


def _assessments(found: Reasoning, seen: tuple[Seen, ...]) -> dict[int, tuple[Seen, ...]]:
    """Every category that was given, with the breasts that it was given to."""
    read = _stated(found, seen, finding_codes.BREAST_ASSESSMENT, found.say("BI-RADS assessment"))
    told: dict[int, tuple[Seen, ...]] = {}
    for one in (each for each in read if category_of(each) in _ASSESSMENTS):
        category = _ASSESSMENTS[category_of(one)]
        told[category] = (*told.get(category, ()), one)
        found.measured(found.say("BI-RADS assessment"), category_told(found, one), where(found.case, one))
    if sum(map(len, told.values())) < len(read):
        _no_category(found, found.say("BI-RADS assessment"))
    return told


def _stated(found: Reasoning, seen: tuple[Seen, ...], code: Coding, what: str) -> list[Seen]:
    """What was given of a code; what is not detected and has a category all the same is asked about."""
    read = [one for one in seen if one.finding.code.same(code)]
    denied = [one for one in read if one.finding.presence is Presence.NOT_DETECTED]
    contradicting = [one for one in denied if category_of(one)]
    if contradicting:
        said = "it is told as not detected and as category {category}: they contradict each other"
        why = found.say(said, category=", ".join(category_told(found, one) for one in contradicting))
        found.missing.append(Missing(what, why, found.say("ask the radiologist")))
        found.apply(CONTRADICTION, True)
    return [one for one in read if one not in contradicting]


def _no_category(found: Reasoning, what: str) -> None:
    found.missing.append(Missing(what, found.say("its category was not told"), found.say("ask the radiologist")))


def _dense(found: Reasoning, density: str | None) -> bool:
    """The visit about dense breasts; whether they are dense."""
    if density is None:
        return False
    answer = MQSA({"birads_density": density})
    notice = str(answer.outputs["patient_notice"]) if isinstance(answer, Scored) else ""
    found.risk(MQSA, answer, notice.replace("_", " "))
    dense = bool(found.apply(DENSE, notice == "dense", density))
    found.apply(NOT_DENSE, not dense, density)
    if dense and not found.apply(ORDERED, ordered_already(found, _VISIT)):
        found.recommend(
            Recommendation(
                key="density-visit",
                action=found.say("Visit to discuss dense breasts and what else could be done"),
                code=_VISIT,
                reason=found.say("Breast density {density}.", density=density),
                source=FDA,
                because=because(found, found.say("density of the breast")),
                would_change=(found.say("The patient was told of it, and has decided."),),
            )
        )
    return dense


# --- steps by the risk -----------------------------------------------------------------------------------------------


def _family(found: Reasoning) -> None:
    """A family-history model, not BCRAT, says who is offered MRI or genetic counselling."""
    value_set = condition_codes.FAMILY_BREAST_CANCER
    fact = found.case.ehr.relative(value_set.name)
    found.use(value_set.title, fact, words)
    found.unasked(value_set.title, fact, found.say("ask the patient"))
    if not found.apply(FAMILY, stated(fact)):
        return
    if found.apply(CARRIER, stated(found.case.ehr.condition(condition_codes.BRCA.name))):
        return
    if found.apply(ORDERED, ordered_already(found, actions.BREAST_GENETICS_REFERRAL)):
        return
    found.recommend(
        Recommendation(
            key="family-history",
            action=found.say("Assess the family history by a model made for it (MRI from a lifetime risk of 20 %)"),
            code=actions.BREAST_GENETICS_REFERRAL,
            reason=found.say("Breast cancer in the family is on record."),
            source=ACR_RISK,
            because=because(found, value_set.title),
            would_change=(found.say("The family history was assessed before."),),
        )
    )


def _risk(found: Reasoning) -> None:
    if not found.apply(ELIGIBLE, _gail.eligible(found)):
        return
    fitting = _gail.models(found)
    if found.apply(RACE, not fitting):
        return
    percent = _gail.five_year_risk(found, fitting)
    if percent is None:
        return
    limit, said = number(found.case, ID, RISK_PERCENT), f"{percent:.2f} %"
    found.apply(AT_LEAST, True, said)
    if not found.apply(RISK, True if percent >= limit else None, said):
        return
    if found.apply(ORDERED, ordered_already(found, _RISK_VISIT)):
        return
    found.recommend(
        Recommendation(
            key="risk-visit",
            action=found.say("Visit to discuss drugs that lower the risk of breast cancer"),
            code=_RISK_VISIT,
            reason=found.say("5-year risk by BCRAT at least {said}.", said=said),
            source=USPSTF,
            strength=found.say("grade B for women at increased risk"),
            because=because(found, *_gail.VALUES),
            would_change=(found.say("The patient takes such a drug already, or a reason speaks against it."),),
        )
    )

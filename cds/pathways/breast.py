"""Mammography: density and its notice, the next step by BI-RADS, and who should talk about her risk.

Density: FDA, MQSA final rule, 88 FR 15126 (in force since 10 September 2024). Assessment: ACR BI-RADS, 5th edition.
Until when: NBCCEDP, 60 days to the diagnosis (doi:10.2105/AJPH.2009.160184). Risk: BCRAT (Gail), 1.67 % in 5 years as
in the trials of prevention; USPSTF 2019 (doi:10.1001/jama.2019.11885) offers drugs to women at increased risk and names
no single cut-off. Family history: ACR 2018 (doi:10.1016/j.jacr.2017.11.034), MRI from a lifetime risk of 20 % on.
"""

from __future__ import annotations

from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, finding_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.ehr import Known
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Option, Rule, _gail, pathway
from cds.pathways._facts import Missing, Seen, add_months, where, words
from cds.pathways._guards import stated
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import codes, looked, refusals
from cds.pathways._sentences import because, done_since_images, ordered_already
from cds.pathways.declaration import number, option
from cds.risk import Scored
from cds.risk.bi_rads import SCORE as BI_RADS
from cds.risk.breast_density_mqsa import SCORE as MQSA

ID = "breast"
TITLE = "Breast density, BI-RADS and risk of breast cancer"
FDA = MQSA.source
NBCCEDP = Source("NBCCEDP, 60 days to diagnosis", "https://doi.org/10.2105/AJPH.2009.160184")
USPSTF = Source("USPSTF 2019, drugs that lower breast cancer risk", "https://doi.org/10.1001/jama.2019.11885")
ACR_RISK = Source("ACR 2018, women at higher than average risk", "https://doi.org/10.1016/j.jacr.2017.11.034")

DENSE = Rule("dense", "Breasts of density c or d lead to the dense notice and a visit to discuss it.")
NOT_DENSE = Rule("not-dense", "Breasts of density a or b lead to no visit.")
NOTICE = Rule("notice", "Where the site is not under the MQSA the notice is left out.")
NO_CATEGORY = Rule("no-category", "A density or an assessment without its category cannot be told.")
RECALL = Rule("recall", "A BI-RADS assessment of 0 is recalled within 60 days.", source=NBCCEDP)
SHORT = Rule("short", "A BI-RADS assessment of 3 is imaged again after 6 months.", source=BI_RADS.source)
BIOPSY = Rule("biopsy", "A BI-RADS assessment of 4 or 5 is biopsied within 60 days.", source=NBCCEDP)
ROUTINE = Rule("routine", "A BI-RADS assessment of 1, 2 or 6 asks for nothing.", source=BI_RADS.source)
IMAGED_SINCE = Rule(
    "imaged-since", "Where the breast was imaged again since, neither recall nor follow-up is asked for again."
)
ORDERED = Rule("ordered", "What is ordered for the breast already is not asked for again.")
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

CLOSE_DAYS = Option("close_days", "A recall or a biopsy is done within", "60", unit="d", low=14, high=60)
RISK_PERCENT = Option("risk_percent", "5-year risk from which lowering it is discussed", "1.67", "%", low=1.67, high=3)
MQSA_NOTICE = Option("mqsa_notice", "The site is under the MQSA of the United States", "yes", choices=("yes", "no"))

_WANTED = codes(finding_codes.BREAST_DENSITY, finding_codes.BREAST_ASSESSMENT)
_ASSESSMENTS = {text: int(text[0]) for text in ("0", "1", "2", "3", "4", "4a", "4b", "4c", "5", "6")}
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
        procedure_codes.MAMMOGRAPHY,
        procedure_codes.BREAST_MRI,
        *(procedure_codes.ORDERED[action.code] for action in _SUGGESTED),
    ),
    rules=(
        DENSE,
        NOT_DENSE,
        NOTICE,
        NO_CATEGORY,
        RECALL,
        SHORT,
        BIOPSY,
        ROUTINE,
        IMAGED_SINCE,
        ORDERED,
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
        _next(found, {one: assessments[one] for one in categories if one in assessments})
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
    found: Reasoning, seen: tuple[Seen, ...], density: str | None, assessments: dict[int, Seen]
) -> PathwayOutcome:
    parts = [found.say("BI-RADS {category}", category=_told(found, one)) for _, one in sorted(assessments.items())]
    parts += [found.say("density {density}", density=density)] if density else []
    said = ", ".join(parts)
    by = dict.fromkeys(limit for one in seen for limit in one.by.limits)
    return found.advice(
        found.say("Mammography of {day}: {said}.", day=found.case.study_date, said=said),
        Indicator.WARNING if {0, 4, 5} & set(assessments) else Indicator.INFO,
        tuple(dict.fromkeys(one.finding.key for one in seen)),
        seen=(found.say("Mammography: {said}.", said=said),),
        meaning=_meaning(found, density),
        limits=(*by, *map(found.say, LIMITS)),
        further=(BI_RADS.source, NBCCEDP, USPSTF, ACR_RISK),
    )


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


def _category(seen: Seen) -> str:
    category = seen.finding.category
    return category.code.lower() if category and category.system == finding_codes.BIRADS else ""


def _density(found: Reasoning, seen: tuple[Seen, ...]) -> str | None:
    """That of the denser breast; None where no category was told."""
    read = [one for one in seen if one.finding.code.same(finding_codes.BREAST_DENSITY)]
    told = [one for one in read if _category(one) in _DENSITIES]
    if read and not told:
        _no_category(found, found.say("density of the breast"))
    densest = max(told, key=_category, default=None)
    if densest is None:
        return None
    found.measured(found.say("density of the breast"), _category(densest), where(found.case, densest))
    return _category(densest)


def _assessments(found: Reasoning, seen: tuple[Seen, ...]) -> dict[int, Seen]:
    """Every category that was given, of whichever breast."""
    read = [one for one in seen if one.finding.code.same(finding_codes.BREAST_ASSESSMENT)]
    told = {_ASSESSMENTS[_category(one)]: one for one in read if _category(one) in _ASSESSMENTS}
    if len([one for one in read if _category(one) in _ASSESSMENTS]) < len(read):
        _no_category(found, found.say("BI-RADS assessment"))
    for one in told.values():
        found.measured(found.say("BI-RADS assessment"), _told(found, one), where(found.case, one))
    return told


def _told(found: Reasoning, seen: Seen) -> str:
    """A category with its breast, for the reader."""
    side = seen.finding.laterality
    return f"{_category(seen).upper()} {found.say(side)}" if side else _category(seen).upper()


def _no_category(found: Reasoning, what: str) -> None:
    found.missing.append(Missing(what, found.say("its category was not told"), found.say("ask the radiologist")))


# --- steps by the images ---------------------------------------------------------------------------------------------


def _next(found: Reasoning, given: dict[int, Seen]) -> None:
    """The one step that some categories ask for."""
    if not given:
        return
    answer = BI_RADS({"category": max(given)})
    meaning = str(answer.outputs["meaning"]) if isinstance(answer, Scored) else ""
    said = ", ".join(sorted({_category(seen).upper() for seen in given.values()}))
    key, rule, action, text, priority = _steps(found)[meaning]
    found.apply(rule, True, said)
    if found.apply(ORDERED, ordered_already(found, action)):
        return
    if action is not actions.BREAST_BIOPSY and found.apply(IMAGED_SINCE, _imaged_since(found)):
        found.note(found.say("The breast was imaged again since: go by that."), "the breast was imaged again since")
        return
    study = found.case.study_date
    soon = study + timedelta(days=number(found.case, ID, CLOSE_DAYS))
    found.recommend(
        Recommendation(
            key=key,
            action=text,
            code=action,
            reason=found.say("BI-RADS {category} on {day}.", category=said, day=study),
            source=BI_RADS.source,
            priority=priority,
            by=max(add_months(study, 6) if rule is SHORT else soon, found.case.today),
            because=because(found, found.say("BI-RADS assessment")),
            would_change=(found.say("It was done elsewhere, or an earlier image shows no change."),),
        )
    )


def _steps(found: Reasoning) -> dict[str, tuple[str, Rule, Coding, str, Priority]]:
    """What BI-RADS asks, by the meaning of the category."""
    biopsy = ("biopsy", BIOPSY, actions.BREAST_BIOPSY, found.say("Breast biopsy"), Priority.URGENT)
    return {
        "incomplete": (
            "recall",
            RECALL,
            actions.BREAST_RECALL,
            found.say("Recall for further breast imaging"),
            Priority.ROUTINE,
        ),
        "probably_benign_6mo": (
            "short-follow-up",
            SHORT,
            actions.BREAST_SHORT_FOLLOW_UP,
            found.say("Breast imaging after 6 months"),
            Priority.ROUTINE,
        ),
        "suspicious_biopsy": biopsy,
        "highly_suggestive_biopsy": biopsy,
    }


def _imaged_since(found: Reasoning) -> bool | None:
    done = [done_since_images(found, one) for one in (procedure_codes.MAMMOGRAPHY, procedure_codes.BREAST_MRI)]
    return True if True in done else None if None in done else False


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

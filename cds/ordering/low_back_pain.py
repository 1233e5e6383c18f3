"""Imaging for low back pain: none without signs of danger, MRI where they ask for it.

ACR Appropriateness Criteria, low back pain (topic 141): short facts of our own. Signs of danger as guidelines list
them: Verhagen et al., Eur Spine J 2016;25:2788-2802, doi:10.1007/s00586-016-4684-0.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from cds import action_codes, condition_codes
from cds import action_codes as actions
from cds import codes as value_sets
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.exam_codes import indicated
from cds.ordering import _spine as spine
from cds.ordering._order import (
    DISEASE_MONTHS,
    DRUG_MONTHS,
    REACH,
    REACH_LIMIT,
    UNREAD,
    age,
    asked,
    known,
    more_than_read,
    says_more,
    sought,
    taken,
)
from cds.ordering._signs import CONTRADICTED, FEVER_COUNTS, WEIGHT_LOSS_COUNTS, told
from cds.pathways import Option, Rule, pathway
from cds.pathways._guards import PALLIATIVE, stated
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.risk import Scored
from cds.risk.acr_appropriateness import NO, SCORE, YES

ID = "low_back_pain"
TITLE = "Imaging for low back pain"
ACR = SCORE.source
FLAGS = Source("Verhagen 2016, red flags of low back pain", "https://doi.org/10.1007/s00586-016-4684-0")

OTHER = Rule("other", "For other exams than of the spine, or other reasons than low back pain, the check is silent.")
UNCODED = Rule("uncoded", "Where the reason of an exam of the spine is not coded the check cannot tell.")
ADULTS = Rule("adults", "Below 18 years the check of low back pain is silent.")
NO_IMAGING = Rule("no-imaging", "Low back pain without any sign of danger needs no imaging.")
QUESTIONS = Rule(
    "questions", "Where a sign of danger is not known nothing is said against imaging and the signs are listed.", FLAGS
)
DANGER = Rule("danger", "With a sign of danger nothing is said against imaging of the low back.")
BETTER = Rule(
    "better",
    "Suspected cancer, infection or immunosuppression leads to urgent MRI without and with contrast of the low back.",
)
CAUDA_EQUINA = Rule(
    "cauda-equina",
    "A suspected cauda equina syndrome leads to MRI at once and a spinal surgeon now, whatever was ordered.",
)
AT_ONCE = Rule("at-once", "Only of an MRI to be made at once for a suspected cauda equina nothing is said.")
PALLIATIVE_CARE = Rule("palliative", "In palliative care only a suspected cauda equina is told of low back pain.")
OLD = Rule("old", "An age of 50 years or more counts as a sign of danger unless the site sets it higher.", FLAGS)

ELDERLY = Option("elderly_years", "Age from which low back pain is a sign of danger", "50", "a", 50, 65)
LIMITS = (
    REACH_LIMIT,
    "The list of signs is no examination: who sees the patient decides.",
    "Ratings are for the first imaging, and for the lumbar spine.",
)
_ADULT = 18


@pathway(
    id=ID,
    title=TITLE,
    source=ACR,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(
        *(value_set for value_set, _ in (*spine.DISEASES, *spine.DRUGS)),
        condition_codes.FEVER,
        value_sets.WEIGHT_LOSS,
        PALLIATIVE,
    ),
    rules=(
        CAUDA_EQUINA,
        AT_ONCE,
        PALLIATIVE_CARE,
        OTHER,
        UNCODED,
        ADULTS,
        NO_IMAGING,
        QUESTIONS,
        DANGER,
        BETTER,
        OLD,
        UNREAD,
        REACH,
        CONTRADICTED,
        FEVER_COUNTS,
        WEIGHT_LOSS_COUNTS,
    ),
    options=(ELDERLY,),
    scores=(SCORE.id,),
    further=(FLAGS,),
    limits=LIMITS,
    signs=spine.OWN,
    urgent=True,
)
def low_back_pain(case: Case) -> PathwayOutcome:
    """Say whether low back pain asks for the exam that is ordered."""
    found = Reasoning(ID, TITLE, ACR, case)
    if case.order is not None and found.apply(CAUDA_EQUINA, spine.emergency(case.order)):
        return _emergency(found, case.order)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    order, exam = wanted
    pain = indicated(order, condition_codes.BACK_PAIN)
    if found.apply(OTHER, exam.region not in ("spine", None) or pain is False):
        return found.nothing("it is no exam of the spine for low back pain")
    if found.apply(PALLIATIVE_CARE, stated(case.ehr.condition(PALLIATIVE.name))):
        return found.nothing("palliative or hospice care is on record")
    if found.apply(UNCODED, pain is None or exam.region is None):
        return found.could_not_tell(found.say("it is not known whether the low back is imaged for pain"))
    return _by_age(found, order, exam)


def _by_age(found: Reasoning, order: ImagingOrder, exam: Exam) -> PathwayOutcome:
    years = age(found)
    if found.apply(ADULTS, None if years is None else years < _ADULT):
        return found.nothing("the patient is a child")
    signs = _signs(found, order, years)
    there = dict.fromkeys(variant for variant, held in signs if held)
    if found.apply(DANGER, bool(there), ", ".join(there)):
        return _better(found, order, exam, list(there))
    if says_more(found, order, (condition_codes.BACK_PAIN,), spine.OWN):
        return more_than_read(found)
    if found.apply(QUESTIONS, any(held is None for _, held in signs)):
        return _questions(found)
    unneeded = all(_rating(("any_imaging",), variant) == {NO} for variant in spine.NO_SIGN)
    if not found.apply(NO_IMAGING, unneeded):
        return found.nothing("the table has no rating of low back pain without signs of danger")
    return _no_imaging(found)


def _signs(found: Reasoning, order: ImagingOrder, years: int | None) -> list[tuple[str, bool | None]]:
    """Each sign of danger, by the variant that it leads to, as yes, no or not known."""
    old = None if years is None else years >= number(found.case, ID, ELDERLY)
    found.apply(OLD, old)
    signs: list[tuple[str, bool | None]] = [(spine.FRAGILE, old)]
    signs += [(variant, known(found, one, back=DISEASE_MONTHS)) for one, variant in spine.DISEASES]
    signs += [(variant, taken(found, one, back=DRUG_MONTHS)) for one, variant in spine.DRUGS]
    signs += [(variant, told(found, order, ID, sign)) for sign, variant in spine.SIGNS]
    return signs


def _rating(procedures: Iterable[str], variant: str) -> frozenset[str | None]:
    """What the table says of each procedure that it may be; None where it has no rating."""
    answers = (SCORE({"topic": "low_back_pain", "variant": variant, "procedure": one}) for one in procedures)
    return frozenset(str(one.outputs["rating"]) if isinstance(one, Scored) else None for one in answers)


def _emergency(found: Reasoning, order: ImagingOrder) -> PathwayOutcome:
    """MRI at once and the surgeon, in place of what is ordered unless that may be needed beside it."""
    if found.apply(AT_ONCE, spine.at_once(order)):
        return found.nothing("MRI is ordered, to be made at once")
    signs = [(variant, told(found, order, ID, sign)) for sign, variant in spine.SIGNS]
    there = {variant for variant, held in signs if held}
    found.missing.clear()
    if stated(found.case.ehr.condition(PALLIATIVE.name)):
        found.note(found.say("Palliative care is on record: speak to who leads it, now."))
    gadolinium = order.exam is not None and order.exam.contrast is Contrast.GADOLINIUM
    beside = spine.FRAGILE in there or says_more(found, order, spine.READ, spine.OWN)
    found.recommend(
        Recommendation(
            key="emergency-mri",
            action=found.say("Emergency MRI and spinal surgeon now"),
            code=actions.LUMBAR_MRI_WITH if gadolinium or spine.CANCER_OR_INFECTION in there else actions.LUMBAR_MRI,
            reason=found.say("What presses on the cauda equina has to be found and relieved at once."),
            source=ACR,
            strength=found.say("usually appropriate"),
            priority=Priority.STAT,
            by=found.case.today,
            because=because(found),
            would_change=(found.say("An implant with which MRI must not be done, or MRI that cannot be had in time."),),
            instead=spine.is_mri(order) or not beside,
        )
    )
    summary = found.say("Suspected cauda equina syndrome: emergency MRI and spinal surgeon now.")
    seen = found.say("The order names a sign of a cauda equina syndrome.")
    return _told(found, summary, Indicator.CRITICAL, (), seen)


def _better(found: Reasoning, order: ImagingOrder, exam: Exam, variants: list[str]) -> PathwayOutcome:
    """MRI, where a sign asks for it and what is ordered is not rated as appropriate for any of the signs."""
    ratings = [_rating(spine.procedures(exam), variant) for variant in variants]
    ill = found.apply(BETTER, spine.CANCER_OR_INFECTION in variants)
    if not ill or any(YES in one or None in one for one in ratings):
        return found.nothing("a sign of danger is known: nothing is said against the exam")
    if not any(ratings):
        return found.nothing("the table has no rating of what is ordered")
    beside = says_more(found, order, spine.READ, spine.OWN)
    found.recommend(
        Recommendation(
            key="mri",
            action=found.say("MRI of the lumbar spine without and with contrast"),
            code=actions.LUMBAR_MRI_WITH,
            reason=found.say("With this sign of danger MRI shows what is looked for."),
            source=ACR,
            strength=found.say("usually appropriate"),
            priority=Priority.URGENT,
            because=because(found),
            would_change=(found.say("An implant with which MRI must not be done, or MRI that cannot be had in time."),),
            instead=not beside,
        )
    )
    return _told(found, found.say("Low back pain with a sign of danger: urgent MRI."), Indicator.WARNING, ())


def _questions(found: Reasoning) -> PathwayOutcome:
    ask = found.say("Ask before the exam: {what}.", what=sought(found))
    without = found.say("Where none of it is there, no imaging is needed at first.")
    return _told(found, found.say("Low back pain: ask for signs of danger first."), Indicator.INFO, (ask, without))


def _no_imaging(found: Reasoning) -> PathwayOutcome:
    found.recommend(
        Recommendation(
            key="no-imaging",
            action=found.say("No imaging now: treat, and look again after six weeks"),
            code=action_codes.NO_IMAGING,
            reason=found.say("None of the signs of danger is there."),
            source=ACR,
            strength=found.say("imaging is usually not appropriate"),
            because=because(found),
            would_change=(
                found.say("A sign of danger: fever, weight loss, weakness, numbness, loss of bladder control."),
                found.say("Six weeks of treatment without relief."),
            ),
            instead=True,
        )
    )
    return _told(found, found.say("Low back pain without signs of danger: no imaging."), Indicator.INFO, ())


def _told(
    found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...], seen: str = ""
) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(seen or found.say("The order is for the spine, because of low back pain."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(FLAGS,),
    )

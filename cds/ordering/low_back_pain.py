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
from cds.domain.imaging_order import Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.exam_codes import indicated
from cds.ordering import _spine as spine
from cds.ordering._order import age, asked, sought
from cds.ordering._signs import told
from cds.pathways import Option, Rule, pathway
from cds.pathways._guards import known, taken
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
    "better", "Suspected cancer, infection or immunosuppression leads to MRI without and with contrast of the low back."
)
CAUDA_EQUINA = Rule("cauda-equina", "A suspected cauda equina syndrome leads to MRI of the low back at once.")
OLD = Rule("old", "An age of 50 years or more counts as a sign of danger unless the site sets it higher.", FLAGS)

ELDERLY = Option("elderly_years", "Age from which low back pain is a sign of danger", "50", "a", 50, 75)
LIMITS = (
    "What was searched for and not found counts as no, as far back as the search reached: ask for what is older.",
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
    ),
    rules=(OTHER, UNCODED, ADULTS, NO_IMAGING, QUESTIONS, DANGER, BETTER, CAUDA_EQUINA, OLD),
    options=(ELDERLY,),
    scores=(SCORE.id,),
    further=(FLAGS,),
    limits=LIMITS,
)
def low_back_pain(case: Case) -> PathwayOutcome:
    """Say whether low back pain asks for the exam that is ordered."""
    found = Reasoning(ID, TITLE, ACR, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    order, exam = wanted
    pain = indicated(order, condition_codes.BACK_PAIN)
    if found.apply(OTHER, exam.region not in ("spine", None) or pain is False):
        return found.nothing("it is no exam of the spine for low back pain")
    if found.apply(UNCODED, pain is None or exam.region is None):
        return found.could_not_tell(found.say("it is not known whether the low back is imaged for pain"))
    years = age(found)
    if found.apply(ADULTS, None if years is None else years < _ADULT):
        return found.nothing("the patient is a child")
    return _by_signs(found, order, exam, years)


def _by_signs(found: Reasoning, order: ImagingOrder, exam: Exam, years: int | None) -> PathwayOutcome:
    signs = _signs(found, order, years)
    there = dict.fromkeys(variant for variant, held in signs if held)
    if found.apply(DANGER, bool(there), ", ".join(there)):
        return _better(found, exam, list(there))
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
    signs += [(variant, known(found, one)) for one, variant in spine.DISEASES]
    signs += [(variant, taken(found, one)) for one, variant in spine.DRUGS]
    signs += [(variant, told(found, order, ID, sign)) for sign, variant in spine.SIGNS]
    return signs


def _rating(procedures: Iterable[str], variant: str) -> frozenset[str | None]:
    """What the table says of each procedure that it may be; None where it has no rating."""
    answers = (SCORE({"topic": "low_back_pain", "variant": variant, "procedure": one}) for one in procedures)
    return frozenset(str(one.outputs["rating"]) if isinstance(one, Scored) else None for one in answers)


def _better(found: Reasoning, exam: Exam, variants: list[str]) -> PathwayOutcome:
    """MRI, where a sign asks for it and what is ordered is not rated as appropriate for any of the signs."""
    ratings = [_rating(spine.procedures(exam), variant) for variant in variants]
    cauda = found.apply(CAUDA_EQUINA, spine.CAUDA_EQUINA in variants)
    ill = found.apply(BETTER, spine.CANCER_OR_INFECTION in variants)
    if not (cauda or ill) or not ratings or any(YES in one or None in one for one in ratings):
        return found.nothing("a sign of danger is known: nothing is said against the exam")
    if not any(ratings):
        return found.nothing("the table has no rating of what is ordered")
    code = actions.LUMBAR_MRI if cauda else actions.LUMBAR_MRI_WITH
    found.recommend(
        Recommendation(
            key="mri",
            action=found.say("MRI of the lumbar spine"),
            code=code,
            reason=found.say("With this sign of danger MRI shows what is looked for."),
            source=ACR,
            strength=found.say("usually appropriate"),
            priority=Priority.URGENT if cauda else Priority.ROUTINE,
            because=because(found),
            would_change=(found.say("An implant with which MRI must not be done, or MRI that cannot be had in time."),),
            instead=True,
        )
    )
    return _told(found, found.say("Low back pain with a sign of danger: MRI first."), Indicator.WARNING, ())


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


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for the spine, because of low back pain."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(FLAGS,),
    )

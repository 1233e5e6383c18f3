"""Imaging for headache: CT without contrast for a thunderclap, none for a primary headache without signs of danger.

ACR Appropriateness Criteria, headache (topic 140): short facts of our own. Signs of danger: ACR 2019,
doi:10.1016/j.jacr.2019.05.030, and 2022.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes, condition_codes, medication_codes
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.exam_codes import indicated
from cds.ordering import _reasons as reasons
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
from cds.ordering._pregnancy import ASKS, NOT_PREGNANT_DAYS, pregnant
from cds.ordering._reasons import PLAIN_HEADACHE, PRIMARY_HEADACHE
from cds.ordering._signs import CONTRADICTED, FEVER_COUNTS, FEVER_DAYS, Sign, own_codings, told
from cds.pathways import Rule, pathway
from cds.pathways._bedside import any_of
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.risk import Scored
from cds.risk.acr_appropriateness import NO, SCORE

ID = "headache"
TITLE = "Imaging for headache"
ACR = Source(
    "ACR Appropriateness Criteria, headache (2022)", "https://gravitas.acr.org/ACPortal/TopicNarrative?topicId=140"
)
FLAGS = Source("ACR 2019, headache", "https://doi.org/10.1016/j.jacr.2019.05.030")

OTHER = Rule("other", "For other exams than CT or MRI of the head, or other reasons, the check of headache is silent.")
UNCODED = Rule("uncoded", "Where the reason of an exam of the head is not coded the check of headache cannot tell.")
ADULTS = Rule("adults", "Below 18 years the check of headache is silent.")
CHILD_THUNDERCLAP = Rule(
    "child-thunderclap", "Below 18 years a thunderclap headache is for paediatrics now: the check cannot tell."
)
THUNDERCLAP = Rule("thunderclap", "A headache that is worst within an hour leads to CT of the head without contrast.")
DANGER = Rule("danger", "With a sign of danger nothing is said against imaging of a headache.", FLAGS)
PRIMARY = Rule("primary", "Migraine or tension-type headache without any sign of danger needs no imaging.")
QUESTIONS = Rule("questions", "Where a sign of danger of a primary headache is not known the signs are listed.", FLAGS)
UNRATED = Rule("unrated", "Of a headache that is neither thunderclap, migraine nor tension-type nothing is said.")
ANTICOAGULATED = Rule("anticoagulated", "An anticoagulant counts as a sign of danger of a headache.")
OLD = Rule("old", "An age of 50 years or more counts as a sign of danger of a headache.", FLAGS)

_DISEASES = (condition_codes.CANCER, condition_codes.CANCER_HISTORY, condition_codes.IMMUNOSUPPRESSION)
_SUDDEN = Sign("thunderclap", "worst within an hour", (condition_codes.THUNDERCLAP_HEADACHE,))
SIGNS = (
    Sign("neurological-deficit", "a deficit on neurological examination", (reasons.DEFICIT,)),
    Sign("fever", "fever", (condition_codes.FEVER,), FEVER_DAYS, FEVER_COUNTS),
    Sign("head-trauma", "an accident with the head", (condition_codes.HEAD_INJURY, reasons.INJURED_HEAD)),
    Sign("new-or-worse", "a headache that is new or gets worse or more frequent"),
    Sign("exertion-or-position", "a headache by exertion, sexual activity or position", (reasons.EXERTION,)),
    Sign("papilloedema", "swelling of the optic disc", (reasons.PAPILLOEDEMA,)),
)
_OWN = own_codings((_SUDDEN, *SIGNS), (*_DISEASES, medication_codes.IMMUNOSUPPRESSANT, medication_codes.ANTICOAGULANT))
_COMPLAINT = (PRIMARY_HEADACHE, PLAIN_HEADACHE)
#: Every value set by which the check reads a reason of an order.
_READ = (
    *_COMPLAINT,
    condition_codes.HEADACHE,
    *_DISEASES,
    medication_codes.IMMUNOSUPPRESSANT,
    reasons.ANTICOAGULATED,
    *(value_set for sign in (_SUDDEN, *SIGNS) for value_set in sign.value_sets),
)
LIMITS = (
    REACH_LIMIT,
    "The list of signs is no examination: who sees the patient decides.",
    "The criteria are for adults and for the first imaging.",
)
_ADULT, _OLD = 18, 50
_PREFIX = {("CT", False): "ct_head", ("MR", False): "mri_head", ("MR", True): "mra_head"}


@pathway(
    id=ID,
    title=TITLE,
    source=ACR,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(
        *_DISEASES,
        medication_codes.IMMUNOSUPPRESSANT,
        medication_codes.ANTICOAGULANT,
        condition_codes.FEVER,
        condition_codes.THUNDERCLAP_HEADACHE,
        *ASKS,
    ),
    rules=(
        OTHER,
        UNCODED,
        CHILD_THUNDERCLAP,
        ADULTS,
        THUNDERCLAP,
        DANGER,
        PRIMARY,
        QUESTIONS,
        UNRATED,
        OLD,
        ANTICOAGULATED,
        UNREAD,
        REACH,
        CONTRADICTED,
        FEVER_COUNTS,
    ),
    options=(NOT_PREGNANT_DAYS,),
    scores=(SCORE.id,),
    further=(FLAGS,),
    limits=LIMITS,
    signs=_OWN,
)
def headache(case: Case) -> PathwayOutcome:
    """Say whether a headache asks for the exam that is ordered."""
    found = Reasoning(ID, TITLE, ACR, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    order, exam = wanted
    pain = indicated(order, condition_codes.HEADACHE, condition_codes.THUNDERCLAP_HEADACHE, PRIMARY_HEADACHE)
    of_head = exam.modality in ("CT", "MR") and exam.region in ("head", None)
    if found.apply(OTHER, not of_head or pain is False):
        return found.nothing("it is no CT or MRI of the head for headache")
    if found.apply(UNCODED, pain is None or exam.region is None):
        return found.could_not_tell(found.say("it is not known whether the head is imaged for headache"))
    return _by_age(found, order, exam)


def _by_age(found: Reasoning, order: ImagingOrder, exam: Exam) -> PathwayOutcome:
    years = age(found)
    child = None if years is None else years < _ADULT
    sudden = told(found, order, ID, _SUDDEN)
    if found.apply(CHILD_THUNDERCLAP, bool(child and sudden)):
        return found.could_not_tell(found.say("a child with a thunderclap headache: call paediatrics now"))
    if found.apply(ADULTS, child):
        return found.nothing("the patient is a child")
    if found.apply(THUNDERCLAP, sudden):
        return _sudden(found, order, exam)
    return _primary(found, order, exam, any_of((sudden, _danger(found, order, years))))


def _primary(found: Reasoning, order: ImagingOrder, exam: Exam, danger: bool | None) -> PathwayOutcome:
    """What a headache asks for that is not sudden, by whether there is a sign of danger."""
    if found.apply(UNRATED, indicated(order, PRIMARY_HEADACHE) is not True):
        return found.nothing("no rating of this headache was verified")
    if found.apply(DANGER, danger):
        return found.nothing("a sign of danger is known: nothing is said against the exam")
    if says_more(found, order, _COMPLAINT, _OWN):
        return more_than_read(found)
    if found.apply(QUESTIONS, danger is None):
        return _questions(found)
    if not found.apply(PRIMARY, _ratings(exam, "primary_migraine_or_tension_normal_exam") == {NO}):
        return found.nothing("the table has no rating of what is ordered")
    return _no_imaging(found)


def _danger(found: Reasoning, order: ImagingOrder, years: int | None) -> bool | None:
    """Whether there is a sign of danger; all are looked at, so that the reader has the whole list."""
    old = None if years is None else years >= _OLD
    found.apply(OLD, old)
    thinned = taken(
        found,
        medication_codes.ANTICOAGULANT,
        back=DRUG_MONTHS,
        reasons=(medication_codes.ANTICOAGULANT, reasons.ANTICOAGULATED),
    )
    found.apply(ANTICOAGULATED, thinned)
    held = [old, thinned, pregnant(found, number(found.case, ID, NOT_PREGNANT_DAYS))]
    held += [known(found, one, back=DISEASE_MONTHS) for one in _DISEASES]
    held += [taken(found, medication_codes.IMMUNOSUPPRESSANT, back=DRUG_MONTHS)]
    held += [told(found, order, ID, sign) for sign in SIGNS]
    return any_of(held)


def _procedures(exam: Exam) -> tuple[str, ...]:
    """The procedures of the table that an exam of the head may be; several where the order does not say which."""
    if exam.modality == "CT" and exam.angiography:
        return ("cta_head",)
    prefix = _PREFIX.get((exam.modality, bool(exam.angiography)), "")
    ways: tuple[str, ...] = ("without", "with", "without_and_with")
    if exam.contrast is Contrast.NONE:
        ways = ways[:1]
    elif exam.contrast is not None:
        ways = ways[1:]
    return tuple(f"{prefix}_{way}" for way in ways)


def _ratings(exam: Exam, variant: str) -> frozenset[str | None]:
    answers = (SCORE({"topic": "headache", "variant": variant, "procedure": one}) for one in _procedures(exam))
    return frozenset(str(one.outputs["rating"]) if isinstance(one, Scored) else None for one in answers)


def _sudden(found: Reasoning, order: ImagingOrder, exam: Exam) -> PathwayOutcome:
    """CT in place of what the table rates as not appropriate; beside it where the order says more than was read."""
    if _ratings(exam, "thunderclap_within_1h") != {NO}:
        return found.nothing("what is ordered may be appropriate for a thunderclap headache")
    beside = says_more(found, order, _READ, _OWN)
    found.recommend(
        Recommendation(
            key="ct",
            action=found.say("CT of the head without contrast, at once"),
            code=action_codes.CT_HEAD_UNENHANCED,
            reason=found.say("A headache that is worst within an hour can be a bleeding."),
            source=ACR,
            strength=found.say("usually appropriate"),
            priority=Priority.STAT,
            by=found.case.today,
            because=because(found),
            would_change=(found.say("A headache that came on slowly."),),
            instead=not beside,
        )
    )
    return _told(found, found.say("Thunderclap headache: CT of the head without contrast."), Indicator.WARNING, ())


def _questions(found: Reasoning) -> PathwayOutcome:
    ask = found.say("Ask before the exam: {what}.", what=sought(found))
    without = found.say("Where none of it is there, a primary headache needs no imaging.")
    return _told(found, found.say("Headache: ask for signs of danger first."), Indicator.INFO, (ask, without))


def _no_imaging(found: Reasoning) -> PathwayOutcome:
    found.recommend(
        Recommendation(
            key="no-imaging",
            action=found.say("No imaging now: treat the headache"),
            code=action_codes.NO_IMAGING,
            reason=found.say("A primary headache, and none of the signs of danger is there."),
            source=ACR,
            strength=found.say("imaging is usually not appropriate"),
            because=because(found),
            would_change=(found.say("A sign of danger, or a headache that is not as it used to be."),),
            instead=True,
        )
    )
    return _told(found, found.say("Primary headache without signs of danger: no imaging."), Indicator.INFO, ())


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for the head, because of headache."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
        further=(FLAGS,),
    )

"""Atrophy of the brain together with what else speaks for dementia: a cognitive test, or a memory assessment.

NICE NG97 (2018): cognitive testing in primary care, referral to a memory clinic. No cut-off of a volume is ours: norms
depend on the method. MoCA below 26: Nasreddine 2005 (doi:10.1111/j.1532-5415.2005.53221.x); MMSE below 24: Cochrane
review (doi:10.1002/14651858.CD011145.pub2). CAIDE, 9 or more of 15 points: Kivipelto 2006.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.coding import Coding
from cds.domain.finding import Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Option, Rule, pathway
from cds.pathways._bedside import any_of
from cds.pathways._brain_today import NICE, changed, confused, delirium, hydrocephalus
from cds.pathways._cognition import TESTS, TESTS_MONTHS, caide_high, earlier_low, tested, untested
from cds.pathways._facts import Missing, Seen, add_months, where, words
from cds.pathways._guards import known, recent, stated, taken
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import codes, looked, refusals
from cds.pathways._sentences import because, ordered_already, under_age
from cds.pathways.declaration import option
from cds.risk.caide import SCORE

ID = "brain"
TITLE = "Atrophy of the brain and memory"
MOCA = Source("Nasreddine 2005, MoCA", "https://doi.org/10.1111/j.1532-5415.2005.53221.x")
MMSE = Source("Cochrane review of the MMSE", "https://doi.org/10.1002/14651858.CD011145.pub2")
BARNES = Source("Barnes 2009, hippocampal atrophy rates", "https://doi.org/10.1016/j.neurobiolaging.2008.01.010")

#: Atrophy that a radiologist, or a model that judges it, reports.
ATROPHY = Coding(finding_codes.SIGHTLINE_OBSERVATION, "brain-atrophy", "Atrophy of the brain")

DECLINE = Rule(
    "decline", "Loss of brain or hippocampal volume, or growth of the ventricles, beyond the error is a decline."
)
TOO_SHORT = Rule("too-short", "A change over less than 6 months is no decline.")
ACUTE = Rule(
    "acute",
    "Ventricles that grow beyond the error within 90 days are told the same day as possible hydrocephalus.",
)
CONFUSED = Rule(
    "confused",
    "With confusion within 7 days of the images or of today delirium is looked for, and memory is not judged.",
)
CUT_OFF = Rule("cut-off", "A hippocampal share at or below the cut-off that the site set counts as small.")
REPORTED = Rule("reported", "Atrophy of the brain that is reported counts.")
ALONE = Rule("alone", "A volume without an earlier one, a cut-off of the site or a report cannot be judged.")
COMPLAINT = Rule("complaint", "Atrophy or decline with a memory complaint leads to a memory assessment.")
LOW = Rule(
    "low-test",
    "Atrophy or decline with a MoCA below 26 or an MMSE below 24 in a year leads to a memory assessment.",
    source=MOCA,
)
CAIDE = Rule(
    "caide", "Atrophy or decline with 9 or more points of CAIDE leads to a memory assessment.", source=SCORE.source
)
MIDLIFE = Rule("midlife", "CAIDE is computed from 39 to 64 years alone.", source=SCORE.source)
UNTESTED = Rule("untested", "Atrophy or decline without a cognitive test in the last 12 months leads to one.")
EARLIER = Rule(
    "earlier-test", "A low test of more than 12 months ago, or of no date, is told, and a new one is suggested."
)
ASK = Rule("ask", "Where nobody could be asked for a memory complaint, the step is to ask about memory.")
UNCLEAR = Rule("unclear", "What is missing makes no card without a step.")
NOTHING_ELSE = Rule(
    "nothing-else", "Atrophy or decline with a normal test, no complaint and no high CAIDE makes no card."
)
DEMENTIA = Rule("dementia", "Where dementia or a drug for it is on record the pathway is silent.")
ADULTS = Rule("adults", "Below 18 years the pathway is silent.")
AGE = Rule("age", "Without a known age nobody can tell whether the pathway is for the patient.")
ORDERED = Rule("ordered", "What is ordered for the memory already is not asked for again.")

SHARE_PERCENT = Option(
    "hippocampal_share_percent",
    "A hippocampus of this share of the brain or less counts as small",
    None,
    unit="%",
    low=0.1,
    high=0.6,
)

_WANTED = codes(
    ATROPHY,
    finding_codes.HIPPOCAMPAL_VOLUME,
    finding_codes.HIPPOCAMPAL_SHARE,
    finding_codes.LATERAL_VENTRICULAR_SHARE,
    finding_codes.TOTAL_BRAIN_VOLUME,
)
#: Ventricles that grow in days or weeks do not waste away; losses of a few months are water, or the measurement.
_ACUTE_DAYS, _DECLINE_MONTHS = 90, 6
_HIPPOCAMPUS = (finding_codes.HIPPOCAMPAL_VOLUME, finding_codes.HIPPOCAMPAL_SHARE)
LIMITS = (
    "Volumes are no diagnosis: brains lose volume with age, and scanners and water differ.",
    "Screening for dementia without a sign of it is not recommended (USPSTF 2020: insufficient evidence).",
    "CAIDE is for midlife and predicts dementia 20 years ahead: it does not say that there is one.",
    "Depression, delirium, hearing, sight and drugs are looked at first.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=NICE,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=tuple(_WANTED.values()),
    asks=(
        condition_codes.DEMENTIA,
        condition_codes.MILD_COGNITIVE_IMPAIRMENT,
        condition_codes.MEMORY_COMPLAINT,
        condition_codes.CONFUSION,
        medication_codes.DEMENTIA_DRUG,
        *TESTS,
        measurement_codes.EDUCATION_YEARS,
        measurement_codes.SYSTOLIC,
        measurement_codes.BODY_MASS_INDEX,
        measurement_codes.TOTAL_CHOLESTEROL,
        procedure_codes.COGNITIVE_ASSESSMENT,
        procedure_codes.ORDERED[actions.MEMORY_ASSESSMENT.code],
        procedure_codes.ORDERED[actions.COGNITIVE_TEST.code],
        procedure_codes.ORDERED[actions.COMPARE_STUDIES.code],
    ),
    rules=(
        DECLINE,
        TOO_SHORT,
        ACUTE,
        CONFUSED,
        CUT_OFF,
        REPORTED,
        ALONE,
        COMPLAINT,
        LOW,
        CAIDE,
        MIDLIFE,
        UNTESTED,
        EARLIER,
        ASK,
        UNCLEAR,
        NOTHING_ELSE,
        DEMENTIA,
        ADULTS,
        AGE,
        ORDERED,
    ),
    options=(SHARE_PERCENT,),
    scores=(SCORE.id,),
    further=(MOCA, MMSE, SCORE.source, BARNES),
    limits=LIMITS,
)
def brain(case: Case) -> PathwayOutcome:
    """Advise on atrophy of the brain, or a decline since an earlier study."""
    seen = looked(case, _WANTED)
    found = Reasoning(ID, TITLE, NICE, case)
    if not seen:
        return _unseen(found)
    if found.apply(ACUTE, bool(grown := [one for one in seen if _grew_fast(one)])):
        return hydrocephalus(found, grown, LIMITS)
    return _stopped(found, _triggered(found, seen)) or _answered(found, seen)


def _unseen(found: Reasoning) -> PathwayOutcome:
    if reasons := refusals(found.case, _WANTED):
        how = found.say("ask the radiologist, who sees the images")
        found.missing.append(Missing(found.say("volumes of the brain"), "; ".join(reasons), how))
        return found.could_not_tell(found.say("the volumes of the brain were not evaluated"))
    return found.nothing("no model looked at the volumes of the brain on this study")


# --- what the images show --------------------------------------------------------------------------------------------


def _grew_fast(seen: Seen) -> bool:
    """Whether the ventricles grew beyond the error in so few days that it may be hydrocephalus."""
    change = seen.finding.change
    if change is None or not seen.finding.code.same(finding_codes.LATERAL_VENTRICULAR_SHARE):
        return False
    return change.absolute > 0 and change.beyond_error is True and change.days <= _ACUTE_DAYS


def _triggered(found: Reasoning, seen: tuple[Seen, ...]) -> bool | None:
    """Whether one of them holds; not known where none could be judged, or a loss may be more than the error."""
    reported, declined, small = _reported(found, seen), _declined(found, seen), _small(found, seen)
    judged = (reported, declined, small)
    if True in judged:
        return True
    unclear = declined is None and any(one.finding.change is not None for one in seen)
    return None if unclear or False not in judged else False


def _reported(found: Reasoning, seen: tuple[Seen, ...]) -> bool | None:
    told = [one for one in seen if one.finding.code.same(ATROPHY)]
    for one in (each for each in told if each.present):
        found.measured(found.say("atrophy of the brain"), found.say("reported"), where(found.case, one))
    return found.apply(REPORTED, any(one.present for one in told) if told else None)


def _declined(found: Reasoning, seen: tuple[Seen, ...]) -> bool | None:
    """A change for the worse beyond the error; not known where none was compared, or it cannot be judged."""
    compared = [one for one in seen if one.finding.change is not None]
    held = [_worse(found, one) for one in compared]
    short = any(worse is None and _is_short(found, one) for worse, one in zip(held, compared, strict=True))
    if held:
        found.apply(TOO_SHORT, short)
    if not held or (None in held and True not in held):
        why = found.say("no earlier study was compared") if not held else found.say("its error is not known")
        how = found.say("look for earlier images, made alike")
        if short:
            why, how = (
                found.say("less than 6 months lie between both"),
                found.say("let a radiologist compare both today"),
            )
        found.missing.append(Missing(found.say("change since an earlier study"), why, how))
    return found.apply(DECLINE, any_of(held) if held else None)


def _worse(found: Reasoning, seen: Seen) -> bool | None:
    change = seen.finding.change
    grows = seen.finding.code.same(finding_codes.LATERAL_VENTRICULAR_SHARE)
    if change is None or not (change.absolute > 0 if grows else change.absolute < 0):
        return False
    if change.beyond_error is not False and _is_short(found, seen):
        return None
    if change.beyond_error:
        said = changed(found, seen)
        found.measured(found.say("change since {day}", day=change.prior_date), said, where(found.case, seen))
    return change.beyond_error


def _is_short(found: Reasoning, seen: Seen) -> bool:
    change = seen.finding.change
    return change is not None and add_months(change.prior_date, _DECLINE_MONTHS) > found.case.study_date


def _small(found: Reasoning, seen: tuple[Seen, ...]) -> bool | None:
    """By the site's own cut-off; where it set none, no share is small and none is normal."""
    text = option(found.case, ID, SHARE_PERCENT)
    shares = [
        (one.finding.value.value, one)
        for one in seen
        if one.finding.code.same(finding_codes.HIPPOCAMPAL_SHARE)
        and one.finding.presence is not Presence.NOT_DETECTED
        and one.finding.value is not None
        and one.finding.value.unit == "%"
    ]
    if text is None or not shares:
        return found.apply(CUT_OFF, None)
    smallest, one = min(shares, key=lambda each: each[0])
    if not found.apply(CUT_OFF, smallest <= float(text), f"{smallest:g} %"):
        return False
    found.measured(found.say("hippocampal share of the brain"), f"{smallest:g} %", where(found.case, one))
    found.measured(found.say("cut-off of the site"), f"{text} %", found.say("set by the site"))
    return True


# --- what the record says --------------------------------------------------------------------------------------------


def _stopped(found: Reasoning, trigger: bool | None) -> PathwayOutcome | None:
    """Why the pathway has nothing to say, or cannot tell; None where it speaks."""
    if trigger is False:
        return found.nothing("nothing that counts as atrophy or decline was seen, which does not exclude dementia")
    young = found.apply(ADULTS, under_age(found))
    if young:
        return found.nothing("the patient is a child")
    if found.apply(AGE, young is None):
        return found.could_not_tell(found.say("whether the patient is an adult is not known"))
    has = any_of((known(found, condition_codes.DEMENTIA), taken(found, medication_codes.DEMENTIA_DRUG)))
    if found.apply(DEMENTIA, has):
        return found.nothing("dementia or a drug for it is on record")
    if found.apply(ALONE, trigger is None):
        return found.could_not_tell(found.say("a volume alone, or a change that cannot be judged, decides nothing"))
    return None


def _answered(found: Reasoning, seen: tuple[Seen, ...]) -> PathwayOutcome:
    if found.apply(CONFUSED, confused(found)):
        return delirium(found, seen, LIMITS)
    complaint = found.case.ehr.symptom(condition_codes.MEMORY_COMPLAINT.name)
    found.use(condition_codes.MEMORY_COMPLAINT.title, complaint, words)
    found.unasked(condition_codes.MEMORY_COMPLAINT.title, complaint, found.say("ask the patient and the family"))
    low, test = tested(found)
    earlier = earlier_low(found)
    again = found.apply(EARLIER, bool(earlier) and not test)
    signs = (
        found.apply(COMPLAINT, stated(complaint)),
        found.apply(LOW, low),
        found.apply(CAIDE, caide_high(found, MIDLIFE)),
    )
    needed = any_of(signs)
    if needed:
        _assessment(found)
    if found.apply(NOTHING_ELSE, needed is False and not again):
        return found.nothing("atrophy or decline, without a complaint, a low test or a high risk in the record")
    _primary_care(found, test=test, again=bool(again), unasked=not needed and stated(complaint) is None)
    if found.apply(UNCLEAR, needed is None and not found.recommendations):
        if not test:
            untested(found)
        return found.could_not_tell(found.say("whether anything else speaks for dementia is not known"))
    return _advised(found, seen, earlier)


def _primary_care(found: Reasoning, *, test: bool, again: bool, unasked: bool) -> None:
    """A test where none of the last months is known of or the last was low; else the question that nobody asked."""
    done = any_of((test, recent(found, procedure_codes.COGNITIVE_ASSESSMENT, TESTS_MONTHS)))
    none = found.apply(UNTESTED, not done)
    if none or again:
        untested(found)
        said = "No cognitive test of the last 12 months is known of."
        reason = found.say(said) if none else found.say("The last cognitive test with a result was low, and is old.")
        _test(
            found, "cognitive-test", found.say("Ask about memory, and a brief cognitive test in primary care"), reason
        )
    elif found.apply(ASK, unasked):
        reason = found.say("Whether there is a memory complaint is not known.")
        _test(found, "ask-about-memory", found.say("Ask the patient and the family about memory"), reason)


def _advised(found: Reasoning, seen: tuple[Seen, ...], earlier: tuple[str, ...]) -> PathwayOutcome:
    case = found.case
    return found.advice(
        found.say(
            "Atrophy or decline of the brain on {modality} of {day}.", modality=case.modality, day=case.study_date
        ),
        Indicator.INFO,
        tuple(dict.fromkeys(one.finding.key for one in seen)),
        seen=_told(found, seen),
        meaning=(*earlier, *_meaning(found, seen)),
        limits=(*dict.fromkeys(limit for one in seen for limit in one.by.limits), *map(found.say, LIMITS)),
        further=(MOCA, MMSE, SCORE.source, BARNES),
    )


def _told(found: Reasoning, seen: tuple[Seen, ...]) -> tuple[str, ...]:
    course = [found.say("{said}.", said=changed(found, one)) for one in seen if one.finding.change is not None]
    reported = [one for one in seen if one.finding.code.same(ATROPHY) and one.present]
    return (*((found.say("Atrophy of the brain is reported."),) if reported else ()), *course)


def _meaning(found: Reasoning, seen: tuple[Seen, ...]) -> tuple[str, ...]:
    told = []
    compared = [one for one in seen if one.finding.change and not _is_short(found, one)]
    if any(one.finding.code.same(code) for one in compared for code in _HIPPOCAMPUS):
        told.append(
            found.say("Hippocampi lose 1.4 % a year without dementia and 4.7 % in Alzheimer's disease on average.")
        )
    if known(found, condition_codes.MILD_COGNITIVE_IMPAIRMENT):
        told.append(found.say("Mild cognitive impairment is on record: tell who follows it."))
    return tuple(told)


def _assessment(found: Reasoning) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.MEMORY_ASSESSMENT)):
        return
    found.recommend(
        Recommendation(
            key="memory-assessment",
            action=found.say("Memory assessment, after reversible causes were looked at"),
            code=actions.MEMORY_ASSESSMENT,
            reason=found.say("Atrophy or decline of the brain, and another sign of cognitive decline or its risk."),
            source=NICE,
            priority=Priority.ROUTINE,
            because=because(found),
            would_change=(found.say("Another cause of the complaint, as depression, delirium or a drug."),),
        )
    )


def _test(found: Reasoning, key: str, action: str, reason: str) -> None:
    if found.apply(ORDERED, ordered_already(found, actions.COGNITIVE_TEST)):
        return
    found.recommend(
        Recommendation(
            key=key,
            action=action,
            code=actions.COGNITIVE_TEST,
            reason=reason,
            source=NICE,
            because=because(found),
            would_change=(found.say("A test that was done elsewhere."),),
        )
    )

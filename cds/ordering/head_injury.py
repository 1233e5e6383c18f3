"""CT after a minor head injury, by the Canadian CT Head Rule.

Stiell et al., Lancet 2001;357:1391-1396, doi:10.1016/S0140-6736(00)04561-X. Nothing is said against CT while a sign
that decides is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from cds import action_codes, condition_codes, measurement_codes, medication_codes
from cds.domain.coding import Coding
from cds.domain.imaging_order import ImagingOrder
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation
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
    measured_lately,
    more_than_read,
    says_more,
    sought,
    taken,
)
from cds.ordering._pregnancy import ASKS, NOT_PREGNANT_DAYS, pregnant
from cds.ordering._reasons import MINOR
from cds.ordering._signs import Sign, own_codings, told
from cds.pathways import Rule, pathway
from cds.pathways._bedside import any_of
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.risk import Scored
from cds.risk.canadian_ct_head import SCORE
from cds.value_sets import ICD10_CM, Entry, ValueSet, icd, snomed

ID = "head_injury"
TITLE = "CT after a head injury"
STIELL = SCORE.source

OTHER = Rule("other", "For other exams than CT of the head, or other reasons than a head injury, the check is silent.")
UNCODED = Rule("uncoded", "Where the reason of a CT of the head is not coded the check of head injury cannot tell.")
OUTSIDE = Rule("outside", "Outside the population of the Canadian CT Head Rule nothing is said against CT.")
HAEMORRHAGE = Rule("haemorrhage", "A known intracranial haemorrhage is outside the Canadian CT Head Rule.")
BLOOD = Rule("blood", "With an antiplatelet drug or a bleeding disorder nothing is said against CT of a head injury.")
SAME_DAY = Rule("same-day", "Of the Glasgow Coma Score that of today alone counts.")
CT = Rule("ct", "With a criterion of the Canadian CT Head Rule nothing is said against CT.")
NO_CT = Rule("no-ct", "A head injury with every criterion of the Canadian CT Head Rule denied needs no CT.")
QUESTIONS = Rule("questions", "Where a criterion of the Canadian CT Head Rule is not known the criteria are listed.")

_WITH_LOSS = ValueSet(
    "loss-of-consciousness",
    "loss of consciousness",
    "condition",
    (
        snomed("62564004", "Concussion with loss of consciousness", "as in the value set of head injury"),
        Entry(
            Coding(ICD10_CM, "S06.0X1", "Concussion with loss of consciousness of 30 minutes or less"),
            "ICD-10-CM, tabular list; not in the WHO list",
            prefix=True,
        ),
        icd("R40.2", "Coma, unspecified", "ICD-10, WHO tabular list"),
        icd("R55", "Syncope and collapse", "ICD-10, WHO tabular list"),
    ),
)
#: Who the rule is not for, beside age, GCS, drugs and pregnancy.
EXCLUDING = (
    Sign("focal-deficit", "a focal neurological deficit", (reasons.DEFICIT,)),
    Sign("penetrating-or-open-skull", "a penetrating injury or an obvious depressed fracture of the skull"),
    Sign("older-than-a-day", "an injury more than 24 hours ago"),
)
BLEEDING = Sign("bleeding-disorder", "a bleeding disorder", (reasons.BLEEDING_DISORDER,))
SEIZURE = Sign("seizure-after-injury", "a seizure after the injury", (condition_codes.SEIZURE,))
LOSS = Sign("loss-amnesia-disorientation", "loss of consciousness, amnesia or disorientation", (_WITH_LOSS,))
#: Criteria by the score's input, with the value for yes and for no.
CRITERIA: tuple[tuple[str, Sign, object, object], ...] = (
    ("gcs_2h", Sign("gcs-below-15-after-2h", "a GCS below 15 two hours after the injury"), 14, 15),
    (
        "suspected_open_or_depressed_fracture",
        Sign("skull-fracture", "a suspected open or depressed fracture of the skull", (reasons.SKULL_FRACTURE,)),
        True,
        False,
    ),
    (
        "basal_skull_signs",
        Sign("basal-skull", "a sign of a fracture of the base of the skull", (reasons.SKULL_BASE_FRACTURE,)),
        True,
        False,
    ),
    ("vomiting", Sign("vomited-twice", "two or more episodes of vomiting", (reasons.VOMITING,)), 2, 0),
    ("retrograde_amnesia_min", Sign("amnesia-30-min", "amnesia for 30 minutes or more before the injury"), 30, 0),
    (
        "dangerous_mechanism",
        Sign(
            "dangerous-mechanism",
            "struck by a vehicle, thrown out of one, or a fall of 3 feet or 5 stairs",
            (reasons.DANGEROUS_MECHANISM,),
        ),
        True,
        False,
    ),
)
_UNREMARKABLE: Mapping[str, object] = {
    "age": 40,
    "gcs": 15,
    "loc_amnesia_or_disorientation": True,
    "anticoagulant": False,
    "seizure": False,
    **{name: no for name, _, _, no in CRITERIA},
}
_HISTORY = (
    medication_codes.ANTICOAGULANT,
    medication_codes.ANTIPLATELET,
    condition_codes.SEIZURE,
    condition_codes.INTRACRANIAL_HAEMORRHAGE,
)
_OWN = own_codings((*EXCLUDING, BLEEDING, SEIZURE, LOSS, *(sign for _, sign, _, _ in CRITERIA)), _HISTORY)
LIMITS = (
    REACH_LIMIT,
    "The rule is for adults with a GCS of 13 to 15, and no reason to send anybody home who should be watched.",
    "Of bleeding disorders the record is not asked: who sees the patient says it.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=STIELL,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    asks=(
        *_HISTORY,
        measurement_codes.GLASGOW_COMA_SCORE,
        *ASKS,
    ),
    rules=(OTHER, UNCODED, OUTSIDE, HAEMORRHAGE, BLOOD, SAME_DAY, CT, NO_CT, QUESTIONS, UNREAD, REACH),
    options=(NOT_PREGNANT_DAYS,),
    scores=(SCORE.id,),
    limits=LIMITS,
    signs=_OWN,
)
def head_injury(case: Case) -> PathwayOutcome:
    """Say whether a head injury asks for CT."""
    found = Reasoning(ID, TITLE, STIELL, case)
    wanted = asked(found)
    if not isinstance(wanted, tuple):
        return wanted
    order, exam = wanted
    injured = indicated(order, condition_codes.HEAD_INJURY, MINOR)
    if found.apply(OTHER, exam.modality != "CT" or exam.region not in ("head", None) or injured is False):
        return found.nothing("it is no CT of the head for a head injury")
    if found.apply(UNCODED, injured is None or exam.region is None):
        return found.could_not_tell(found.say("it is not known whether the head is imaged for an injury"))
    return _by_rule(found, order)


def _by_rule(found: Reasoning, order: ImagingOrder) -> PathwayOutcome:
    inputs, others = _inputs(found, order), _others(found, order)
    result = _result(inputs)
    if found.apply(OUTSIDE, others or result == "not_applicable"):
        return found.nothing("the rule is not for this patient")
    # What is not known is taken for unremarkable here: a criterion that is there asks for CT whatever the rest is.
    least = _result({**_UNREMARKABLE, **{name: value for name, value in inputs.items() if value is not None}})
    if found.apply(CT, least in ("ct_high", "ct_medium"), least):
        return found.nothing("a criterion of the rule asks for CT, or the rule is not for this patient")
    if says_more(found, order, (MINOR,), _OWN):
        return more_than_read(found)
    if found.apply(QUESTIONS, others is None or result != "no_ct"):
        return _questions(found)
    found.apply(NO_CT, True)
    return _no_ct(found)


def _others(found: Reasoning, order: ImagingOrder) -> bool | None:
    """Whether the rule is not for this patient by what is no input of it."""
    bled = known(found, condition_codes.INTRACRANIAL_HAEMORRHAGE, back=DISEASE_MONTHS)
    found.apply(HAEMORRHAGE, bled)
    antiplatelet = (medication_codes.ANTIPLATELET, reasons.WITH_ANTIPLATELET)
    inhibited = taken(found, medication_codes.ANTIPLATELET, back=DRUG_MONTHS, reasons=antiplatelet)
    blood = found.apply(BLOOD, any_of((inhibited, told(found, order, ID, BLEEDING))))
    expecting = pregnant(found, number(found.case, ID, NOT_PREGNANT_DAYS))
    return any_of((bled, blood, expecting, *[told(found, order, ID, sign) for sign in EXCLUDING]))


def _inputs(found: Reasoning, order: ImagingOrder) -> dict[str, object]:
    """The inputs of the rule as far as they are known; None where they are not."""
    how = found.say("examine the patient")
    thinned = (medication_codes.ANTICOAGULANT, reasons.ANTICOAGULATED)
    score = measured_lately(found, measurement_codes.GLASGOW_COMA_SCORE, 0, how)
    found.apply(SAME_DAY, score is not None)
    inputs: dict[str, object] = {
        "age": age(found),
        "gcs": score,
        "loc_amnesia_or_disorientation": told(found, order, ID, LOSS),
        "anticoagulant": taken(found, medication_codes.ANTICOAGULANT, back=DRUG_MONTHS, reasons=thinned),
        "seizure": any_of(
            (told(found, order, ID, SEIZURE), known(found, condition_codes.SEIZURE, back=DISEASE_MONTHS))
        ),
    }
    for name, sign, yes, no in CRITERIA:
        held = told(found, order, ID, sign)
        inputs[name] = None if held is None else yes if held else no
    return inputs


def _result(inputs: Mapping[str, object]) -> str:
    """What the rule says; "" where what decides is not known."""
    answer = SCORE(inputs)
    return str(answer.outputs["result"]) if isinstance(answer, Scored) else ""


def _questions(found: Reasoning) -> PathwayOutcome:
    ask = found.say("Ask and examine before the exam: {what}.", what=sought(found))
    without = found.say("Where the Canadian CT Head Rule is denied in all of it, CT is not needed.")
    return _told(found, found.say("Head injury: criteria for CT are not known yet."), Indicator.INFO, (ask, without))


def _no_ct(found: Reasoning) -> PathwayOutcome:
    found.recommend(
        Recommendation(
            key="no-ct",
            action=found.say("No CT now: watch the patient, with written advice on when to come back"),
            code=action_codes.NO_IMAGING,
            reason=found.say("No criterion of the Canadian CT Head Rule is there."),
            source=STIELL,
            because=because(found),
            would_change=(
                found.say("Vomiting, a falling GCS, or any other criterion that comes up later."),
                found.say("The judgement of who examines the patient."),
            ),
            instead=True,
        )
    )
    return _told(found, found.say("Minor head injury: CT is not needed by the Canadian rule."), Indicator.INFO, ())


def _told(found: Reasoning, summary: str, indicator: Indicator, meaning: tuple[str, ...]) -> PathwayOutcome:
    return found.advice(
        summary,
        indicator,
        (),
        seen=(found.say("The order is for CT of the head, because of an injury."),),
        meaning=meaning,
        limits=tuple(map(found.say, LIMITS)),
    )

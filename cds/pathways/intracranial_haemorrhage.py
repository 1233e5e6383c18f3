"""Blood inside the skull: told within minutes, with its volumes, what thins the blood, and when to call neurosurgery.

AHA/ASA 2022 (Greenberg et al., Stroke 2022;53:e282-e361, doi:10.1161/STR.0000000000000407): reversal (5.2.1), platelets
(5.2.2), hydrocephalus (5.5), evacuation and drainage (6.1), severity scores (7.1). How fast it is told: ACR Actionable
Reporting Work Group (Larson 2014). Coma is a Glasgow Coma Score of 8 or less.
"""

from __future__ import annotations

from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, measurement_codes, medication_codes, procedure_codes
from cds.codes import ValueSet
from cds.domain.ehr import ClinicalItem, Fact, Known, Measurement, Unknown
from cds.domain.order import Priority
from cds.domain.recommendation import Case, Indicator, PathwayOutcome, Recommendation, Source
from cds.pathways import Option, Rule, pathway
from cds.pathways._bedside import near
from cds.pathways._facts import Missing, words
from cds.pathways._guards import PALLIATIVE, age_on, known, stated
from cds.pathways._haemorrhage import READ, WANTED, Bleed, bleed, ich_points, looked_for, shown, told
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import asked_on, refusals
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.risk.ich_score import SCORE

ID = "intracranial_haemorrhage"
TITLE = "Haemorrhage inside the skull"
AHA_ASA = Source("AHA/ASA 2022, intracerebral haemorrhage", "https://doi.org/10.1161/STR.0000000000000407")
ACR = Source("ACR Actionable Reporting Work Group 2014", "https://doi.org/10.1016/j.jacr.2013.12.016")

TELL = Rule("tell", "A haemorrhage inside the skull is told by word of mouth within minutes.", source=ACR)
MEASURED = Rule("measured", "Where a model only measures blood, the volume that the site sets counts as a haemorrhage.")
NOT_SEEN = Rule("not-seen", "A haemorrhage that was not detected makes no card and is not excluded.")
ON_RECORD = Rule("on-record", "A haemorrhage that is on record already is told all the same.")
IN_PALLIATIVE_CARE = Rule("palliative", "In palliative care a haemorrhage is told all the same.")
CEREBELLAR = Rule("cerebellar", "A cerebellar haemorrhage of 15 mL or more is told to neurosurgery.")
VENTRICLES = Rule("ventricles", "Blood in the ventricles with a Glasgow Coma Score below 15 is told to neurosurgery.")
HYDROCEPHALUS = Rule("hydrocephalus", "Hydrocephalus with a Glasgow Coma Score below 15 is told to neurosurgery.")
NO_GCS = Rule(
    "no-gcs",
    "Without a Glasgow Coma Score of the day, hydrocephalus or blood in the ventricles is told to neurosurgery too.",
)
LARGE = Rule("large", "A haemorrhage of more than 30 mL within the brain is told to neurosurgery.")
COMA = Rule("coma", "A haemorrhage with a Glasgow Coma Score of 8 or less is told to neurosurgery.")
ANTICOAGULANT = Rule(
    "anticoagulant", "With an anticoagulant on the medication list, stopping and reversing it is considered at once."
)
INR = Rule("inr", "An INR of 2.0 or more counts as anticoagulation, whatever the medication list says.")
ANTIPLATELET = Rule("antiplatelet", "An antiplatelet drug is shown, and platelets are not suggested.")
SEVERITY = Rule(
    "ich-score", "The ICH score is shown for blood within the brain and decides nothing.", source=SCORE.source
)
INJURED = Rule("injured", "After a head injury the ICH score is not shown.", source=SCORE.source)

BLOOD_ML = Option("blood_ml", "Blood counts from this volume on", "0.5", unit="mL", low=0.1, high=2)
LARGE_ML = Option("large_ml", "A haemorrhage within the brain is large above this volume", "30", "mL", low=20, high=30)

#: Whether a reason holds, the reason in words, and how strongly the guideline recommends what follows from it.
_Reason = tuple[bool | None, str, str]
#: Whose refusal of a whole study is a bleed that nobody looked for.
_MODELS = ("head_ct_hemorrhage",)
_LARGE_CEREBELLAR_ML = 15.0
_CLEAR, _COMA = 15, 8
_ANTICOAGULATED = 2.0
#: A head injury of these days around the images may be what they were made for.
_INJURY_DAYS = 7
LIMITS = (
    "The ICH score is never a reason to limit care: it must not be the only basis of a forecast.",
    "The guideline is for bleeding without an injury: after an injury trauma rules come first.",
    "What looks like blood may be calcium or contrast medium: a radiologist looks at once.",
)


@pathway(
    id=ID,
    title=TITLE,
    source=AHA_ASA,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=READ,
    refused_by=_MODELS,
    asks=(
        PALLIATIVE,
        condition_codes.INTRACRANIAL_HAEMORRHAGE,
        condition_codes.HEAD_INJURY,
        medication_codes.ANTICOAGULANT,
        medication_codes.ANTIPLATELET,
        measurement_codes.GLASGOW_COMA_SCORE,
        measurement_codes.INR,
        procedure_codes.ORDERED[actions.STROKE_TEAM_CALL.code],
        procedure_codes.ORDERED[actions.NEUROSURGERY_CALL.code],
        procedure_codes.ORDERED[actions.ANTICOAGULATION_REVERSAL.code],
    ),
    rules=(
        TELL,
        MEASURED,
        NOT_SEEN,
        ON_RECORD,
        IN_PALLIATIVE_CARE,
        CEREBELLAR,
        VENTRICLES,
        HYDROCEPHALUS,
        NO_GCS,
        LARGE,
        COMA,
        ANTICOAGULANT,
        INR,
        ANTIPLATELET,
        SEVERITY,
        INJURED,
    ),
    options=(BLOOD_ML, LARGE_ML),
    scores=(SCORE.id,),
    further=(ACR, SCORE.source),
    limits=LIMITS,
    urgent=True,
)
def intracranial_haemorrhage(case: Case) -> PathwayOutcome:
    """Tell a bleed at once, and what decides about it."""
    seen = looked_for(case)
    found = Reasoning(ID, TITLE, AHA_ASA, case)
    least = number(case, ID, BLOOD_ML) if seen else 0.0
    one = bleed(seen, least)
    if one is None:
        return _unseen(found, looked=bool(seen))
    found.apply(TELL, True)
    found.apply(MEASURED, not any(each.present for each in one.by))
    told(found, seen, one)
    if one.hydrocephalus is None:
        why, how = found.say("no model tells"), found.say("look at the images")
        found.missing.append(Missing(found.say("hydrocephalus"), why, how))
    gcs = _since(found, measurement_codes.GLASGOW_COMA_SCORE, case.study_date, found.say("examine the patient now"))
    meaning = _record(found)
    values = because(found)
    _call(found, values)
    _neurosurgery(found, values, _surgical(found, one, least, gcs))
    _reversal(found)
    return found.advice(
        _summary(found, one),
        Indicator.CRITICAL,
        tuple(dict.fromkeys(each.finding.key for each in one.by)),
        seen=_told_volumes(found, one),
        meaning=(*meaning, *_severity(found, one, least, gcs)),
        limits=(*dict.fromkeys(limit for each in one.by for limit in each.by.limits), *map(found.say, LIMITS)),
        further=(ACR, SCORE.source),
    )


def _unseen(found: Reasoning, *, looked: bool) -> PathwayOutcome:
    """Nobody looked, nobody could, or nothing was detected: three answers."""
    if reasons := refusals(found.case, WANTED, _MODELS):
        how = found.say("ask the radiologist, who sees the images")
        found.missing.append(Missing(found.say("blood inside the skull"), "; ".join(reasons), how))
        return found.could_not_tell(found.say("whether there is blood inside the skull was not evaluated"))
    if not looked:
        return found.nothing("no model looked for blood inside the skull on this study")
    found.apply(NOT_SEEN, True)
    return found.nothing("no haemorrhage inside the skull was detected, which does not exclude one")


def _summary(found: Reasoning, one: Bleed) -> str:
    day = found.case.study_date
    if one.total is None:
        return found.say("Blood inside the skull on {day} (AI): tell who treats the patient now.", day=day)
    said = "Blood inside the skull, {volume}, on {day} (AI): tell who treats the patient now."
    return found.say(said, volume=shown(one.total), day=day)


def _told_volumes(found: Reasoning, one: Bleed) -> tuple[str, ...]:
    parts = (
        (found.say("within the brain"), one.within),
        (found.say("within the brain by ABC/2"), one.by_diameters),
        (found.say("outside the brain"), one.outside),
        (found.say("in the ventricles"), one.ventricular),
        (found.say("in the cerebellum"), one.cerebellar),
    )
    measured = [found.say("{where} {volume}", where=name, volume=shown(ml)) for name, ml in parts if ml is not None]
    if not measured:
        return (found.say("A haemorrhage inside the skull; its volume was not measured."),)
    return (found.say("A haemorrhage inside the skull: {parts}.", parts=", ".join(measured)),)


# --- what the record says --------------------------------------------------------------------------------------------


def _since(found: Reasoning, value_set: ValueSet, first: date, how: str) -> float | None:
    """The newest value from a day on: an earlier one says nothing of this bleed, and is missing."""
    fact: Fact[Measurement] = found.case.ehr.measurement(value_set.name)
    if isinstance(fact, Known) and (fact.effective is None or fact.effective < first):
        day = fact.effective or found.say("no date")
        fact = Unknown(found.say("the newest is of {day}, before the images", day=day))
    found.use(value_set.title, fact, lambda one: one.quantity.digits)
    found.lacks(value_set.title, fact, how)
    return fact.value.quantity.value if isinstance(fact, Known) else None


def _record(found: Reasoning) -> tuple[str, ...]:
    meaning = [found.say("Acute bleeding until a radiologist says otherwise.")]
    if found.apply(ON_RECORD, known(found, condition_codes.INTRACRANIAL_HAEMORRHAGE)):
        meaning.append(found.say("A haemorrhage is on record already: compare with the earlier images at once."))
    care = found.case.ehr.condition(PALLIATIVE.name)
    if found.apply(IN_PALLIATIVE_CARE, stated(care)):
        found.use(PALLIATIVE.title, care, words)
        meaning.append(found.say("Palliative or hospice care is on record: speak to who leads it."))
    return tuple(meaning)


def _severity(found: Reasoning, one: Bleed, least: float, gcs: float | None) -> tuple[str, ...]:
    """The ICH score of a bleed within the brain; a range where only the place of the blood is not known."""
    if found.apply(SEVERITY, None if one.largest is None else one.largest > 0) is False:
        return ()
    injury = found.case.ehr.condition(condition_codes.HEAD_INJURY.name)
    found.unasked(condition_codes.HEAD_INJURY.title, injury, found.say("ask how it began"))
    if found.apply(INJURED, near(injury, found.case.study_date, _INJURY_DAYS)):
        found.use(condition_codes.HEAD_INJURY.title, injury, words)
        found.note(found.say("The ICH score: not after a head injury."))
        return ()
    born = found.case.ehr.birth_date
    found.lacks(found.say("age"), born, found.say("correct the birth date in the registration"))
    answer, points = ich_points(gcs, one, least, age_on(born, found.case.study_date))
    said = found.say(" or ").join(str(each) for each in dict.fromkeys(points))
    found.risk(SCORE, answer, said)
    _ask_place(found, one, least)
    if len(set(points)) > 1:
        return (found.say("ICH score {said} of 6: more if the blood lies below the tentorium.", said=said),)
    return (found.say("ICH score {said} of 6.", said=said),) if said else ()


def _ask_place(found: Reasoning, one: Bleed, least: float) -> None:
    """What the score needs of the images and no model tells."""
    how, why = found.say("look at the images"), found.say("no model tells")
    wanted = (
        (found.say("whether the blood lies below the tentorium"), one.infratentorial),
        (found.say("whether there is blood in the ventricles"), one.in_ventricles(least)),
        (found.say("volume of the blood within the brain"), one.largest),
    )
    found.missing += [Missing(what, why, how) for what, value in wanted if value is None]


# --- steps -----------------------------------------------------------------------------------------------------------


def _call(found: Reasoning, why: tuple[str, ...]) -> None:
    found.recommend(
        Recommendation(
            key="tell-now",
            action=found.say("Call who treats the patient now: haemorrhage inside the skull"),
            code=actions.STROKE_TEAM_CALL,
            reason=found.say("A haemorrhage inside the skull is told by word of mouth within minutes."),
            source=ACR,
            priority=Priority.STAT,
            by=found.case.today,
            because=(*why, *asked_on(found, actions.STROKE_TEAM_CALL)),
            acr_category=1,
            would_change=(found.say("A radiologist who sees no blood on the images."),),
        )
    )


def _neurosurgery(found: Reasoning, why: tuple[str, ...], reasons: tuple[_Reason, ...]) -> None:
    holding = [(reason, grade) for held, reason, grade in reasons if held]
    if not holding:
        return
    found.recommend(
        Recommendation(
            key="neurosurgery-now",
            action=found.say("Call neurosurgery now"),
            code=actions.NEUROSURGERY_CALL,
            reason=" ".join(reason for reason, _ in holding),
            source=AHA_ASA,
            strength=next((grade for _, grade in holding if grade), ""),
            priority=Priority.STAT,
            by=found.case.today,
            because=(*why, *asked_on(found, actions.NEUROSURGERY_CALL)),
            acr_category=1,
            would_change=(found.say("Neurosurgery knows the patient and has decided."),),
        )
    )


def _surgical(found: Reasoning, one: Bleed, least: float, gcs: float | None) -> tuple[_Reason, ...]:
    """What calls for a neurosurgeon, the most strongly recommended first: whether it holds, in words, its grade."""
    ventricular, hydrocephalus = one.in_ventricles(least), one.hydrocephalus
    reduced = None if gcs is None else gcs < _CLEAR
    cerebellar = None if one.cerebellar is None else one.cerebellar >= _LARGE_CEREBELLAR_ML
    limit = number(found.case, ID, LARGE_ML)
    large = None if one.largest is None else one.largest > limit
    moderate = gcs is not None and 5 <= gcs <= 12
    unclear = gcs is None and (ventricular is True or hydrocephalus is True)
    strong = found.say("class 1, level B-NR")
    return (
        (found.apply(CEREBELLAR, cerebellar), found.say("Cerebellar haemorrhage of 15 mL or more."), strong),
        (
            found.apply(HYDROCEPHALUS, _both(hydrocephalus, reduced)),
            found.say("Hydrocephalus, and a Glasgow Coma Score below 15."),
            strong,
        ),
        (
            found.apply(VENTRICLES, _both(ventricular, reduced)),
            found.say("Blood in the ventricles, and a Glasgow Coma Score below 15."),
            strong,
        ),
        (
            found.apply(NO_GCS, unclear),
            found.say("Hydrocephalus or blood in the ventricles, and no Glasgow Coma Score of the day is known."),
            "",
        ),
        (
            found.apply(LARGE, large),
            found.say("More than {limit} mL within the brain.", limit=f"{limit:g}"),
            found.say("class 2a, level B-R") if moderate else "",
        ),
        (
            found.apply(COMA, None if gcs is None else gcs <= _COMA),
            found.say("Glasgow Coma Score of 8 or less."),
            found.say("class 2b, level C-LD"),
        ),
    )


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _reversal(found: Reasoning) -> None:
    """What thins the blood: a list that nobody could read is no list without it."""
    how = found.say("ask the patient, the family and the pharmacy now")
    listed = found.apply(ANTICOAGULANT, _taken(found, medication_codes.ANTICOAGULANT, how))
    day_before = found.case.study_date - timedelta(days=1)
    inr = _since(found, measurement_codes.INR, day_before, found.say("measure it now"))
    high = found.apply(INR, None if inr is None else inr >= _ANTICOAGULATED)
    why = because(found, medication_codes.ANTICOAGULANT.title, measurement_codes.INR.title)
    if found.apply(ANTIPLATELET, _taken(found, medication_codes.ANTIPLATELET, how)):
        found.note(
            found.say("Platelets: potentially harmful unless surgery is planned (class 3: harm, level B-R, aspirin).")
        )
    if not listed and not high:
        return
    found.recommend(
        Recommendation(
            key="reversal-now",
            action=found.say("Stop anticoagulation and consider its reversal now"),
            code=actions.ANTICOAGULATION_REVERSAL,
            reason=found.say("An anticoagulant is on the medication list: find out which, how much and when last.")
            if listed
            else found.say("The INR is 2.0 or more, and no anticoagulant is known of: find out why."),
            source=AHA_ASA,
            strength=found.say("class 1, level C-LD") if listed else "",
            priority=Priority.STAT,
            by=found.case.today,
            because=(*why, *asked_on(found, actions.ANTICOAGULATION_REVERSAL)),
            acr_category=1,
            would_change=(
                found.say("The drug was stopped long enough ago, or another test shows no effect of it."),
                found.say("A reason that weighs more, as a mechanical heart valve: then a specialist decides."),
            ),
        )
    )


def _taken(found: Reasoning, value_set: ValueSet, how: str) -> bool | None:
    """Whether a drug is on the list; it is shown by its name with its dose, for which one it is decides."""
    fact = found.case.ehr.medication(value_set.name)
    found.use(value_set.title, fact, _drug)
    found.unasked(value_set.title, fact, how)
    return stated(fact)


def _drug(item: ClinicalItem) -> str:
    dose = f", {item.text}" if item.code.display and item.text not in ("", item.code.display) else ""
    return f"{item.code.display or item.text or item.code.code}{dose} ({item.code.code})"

"""Blood inside the skull: told within minutes, with its volumes, what thins the blood, and when to call neurosurgery.

AHA/ASA 2022 (Greenberg et al., Stroke 2022;53:e282-e361, doi:10.1161/STR.0000000000000407): reversal (5.2.1), platelets
(5.2.2), hydrocephalus (5.5), evacuation and drainage (6.1), severity scores (7.1). How fast it is told: ACR Actionable
Reporting Work Group (Larson 2014). Coma is a Glasgow Coma Score of 8 or less.
"""

from __future__ import annotations

from datetime import date

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, medication_codes, procedure_codes
from cds.domain.recommendation import Case, PathwayOutcome, Recommendation, Source
from cds.pathways import Option, Rule, pathway
from cds.pathways._facts import Missing, Seen, where, words
from cds.pathways._guards import PALLIATIVE, known, stated
from cds.pathways._haemorrhage import (
    READ,
    WANTED,
    Bleed,
    below_least,
    bleed,
    counts,
    hydrocephalic,
    looked_for,
    shown,
    told,
)
from cds.pathways._haemorrhage_steps import AHA_ASA, ID, IMAGES_DAYS, Haste, coma_score, haste, reversal, severity
from cds.pathways._haemorrhage_steps import RULES as STEPS
from cds.pathways._reasoning import Reasoning
from cds.pathways._seen import asked_on, refusals
from cds.pathways._sentences import because
from cds.pathways.declaration import number
from cds.risk.ich_score import SCORE

TITLE = "Haemorrhage or hydrocephalus inside the skull"
ACR = Source("ACR Actionable Reporting Work Group 2014", "https://doi.org/10.1016/j.jacr.2013.12.016")

TELL = Rule("tell", "A haemorrhage inside the skull is told by word of mouth within minutes.", source=ACR)
MEASURED = Rule(
    "measured", "Where a model only measures blood, the volume in all that the site sets counts as a haemorrhage."
)
DENIED = Rule(
    "denied", "A volume that counts is told even where its own model detected no haemorrhage, with the contradiction."
)
NOT_SEEN = Rule("not-seen", "A haemorrhage that was not detected makes no card and is not excluded.")
BELOW = Rule("below", "Less blood than the site counts is not called undetected, and makes no card.")
ALONE = Rule(
    "hydrocephalus-alone",
    "Hydrocephalus without blood is told by word of mouth within minutes, and to neurosurgery.",
    source=ACR,
)
ON_RECORD = Rule("on-record", "A haemorrhage that is on record already is told all the same.")
IN_PALLIATIVE_CARE = Rule("palliative", "In palliative care a haemorrhage is told all the same.")
CEREBELLAR = Rule("cerebellar", "A cerebellar haemorrhage of 15 mL or more is told to neurosurgery.")
UNMEASURED = Rule(
    "cerebellar-unmeasured", "A cerebellar haemorrhage whose volume was not measured is told to neurosurgery."
)
VENTRICLES = Rule("ventricles", "Blood in the ventricles with a Glasgow Coma Score below 15 is told to neurosurgery.")
HYDROCEPHALUS = Rule("hydrocephalus", "Hydrocephalus with a Glasgow Coma Score below 15 is told to neurosurgery.")
NO_GCS = Rule(
    "no-gcs",
    "Without a Glasgow Coma Score of the day, hydrocephalus or blood in the ventricles is told to neurosurgery too.",
)
LARGE = Rule("large", "A haemorrhage of more than 30 mL within the brain is told to neurosurgery.")
COMA = Rule("coma", "A haemorrhage with a Glasgow Coma Score of 8 or less is told to neurosurgery.")
OUTSIDE = Rule(
    "outside", "Blood outside the brain is told to neurosurgery, as what calls for surgery there is not judged here."
)

BLOOD_ML = Option("blood_ml", "Blood counts from this volume on", "0.5", unit="mL", low=0.1, high=2)
LARGE_ML = Option("large_ml", "A haemorrhage within the brain is large above this volume", "30", "mL", low=20, high=30)

#: Whether a reason holds, the reason in words, and how strongly the guideline recommends what follows from it.
_Reason = tuple[bool | None, str, str]
#: Whose refusal of a whole study is a bleed that nobody looked for.
_MODELS = ("head_ct_hemorrhage",)
_LARGE_CEREBELLAR_ML = 15.0
_CLEAR, _COMA = 15, 8
LIMITS = (
    "The ICH score is never a reason to limit care: it must not be the only basis of a forecast.",
    "The guideline is for bleeding without an injury: after an injury trauma rules come first.",
    "What looks like blood may be calcium or contrast medium: a radiologist looks at once.",
    "What calls for surgery of blood outside the brain is not judged here.",
    "Hydrocephalus may be old, or treated by a shunt: earlier images tell.",
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
        DENIED,
        NOT_SEEN,
        BELOW,
        ALONE,
        ON_RECORD,
        IN_PALLIATIVE_CARE,
        CEREBELLAR,
        UNMEASURED,
        VENTRICLES,
        HYDROCEPHALUS,
        NO_GCS,
        LARGE,
        COMA,
        OUTSIDE,
        *STEPS,
    ),
    options=(BLOOD_ML, LARGE_ML, IMAGES_DAYS),
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
        return _unseen(found, seen)
    fast = haste(found)
    found.apply(TELL, True)
    found.apply(MEASURED, not any(each.present for each in one.by))
    found.apply(DENIED, one.denied)
    told(found, seen, one)
    if one.hydrocephalus is None:
        why, how = found.say("no model tells"), found.say("look at the images")
        found.missing.append(Missing(found.say("hydrocephalus"), why, how))
    gcs = coma_score(found)
    meaning = _record(found, one)
    values = because(found)
    _call(found, fast, values)
    outside = counts(one.outside, least)
    _neurosurgery(found, fast, values, _surgical(found, one, least, gcs), outside=outside)
    reversal(found, fast)
    return found.advice(
        _summary(found, fast, one),
        fast.indicator,
        tuple(dict.fromkeys(each.finding.key for each in one.by)),
        seen=(*_told_volumes(found, one), *_aged(found, fast)),
        meaning=(*meaning, *severity(found, one, least, gcs)),
        limits=(*dict.fromkeys(limit for each in one.by for limit in each.by.limits), *map(found.say, LIMITS)),
        further=(ACR, SCORE.source),
    )


def _unseen(found: Reasoning, seen: tuple[Seen, ...]) -> PathwayOutcome:
    """Nobody looked, nobody could, or nothing that counts was detected: each is an answer of its own."""
    if reasons := refusals(found.case, WANTED, _MODELS):
        how = found.say("ask the radiologist, who sees the images")
        found.missing.append(Missing(found.say("blood inside the skull"), "; ".join(reasons), how))
    if found.apply(ALONE, hydrocephalic(seen)):
        return _hydrocephalus(found, seen)
    if reasons:
        return found.could_not_tell(found.say("whether there is blood inside the skull was not evaluated"))
    if not _looked(seen):
        return found.nothing("no model looked for blood inside the skull on this study")
    if found.apply(BELOW, below_least(seen)):
        return found.nothing("the blood that was measured is below what the site counts, which excludes nothing")
    found.apply(NOT_SEEN, True)
    return found.nothing("no haemorrhage inside the skull was detected, which does not exclude one")


def _hydrocephalus(found: Reasoning, seen: tuple[Seen, ...]) -> PathwayOutcome:
    """Hydrocephalus of which no blood is known: whoever treats the patient hears of it as fast as of blood."""
    by = tuple(one for one in seen if one.present and one.finding.code.same(finding_codes.HYDROCEPHALUS))
    fast, day = haste(found), found.case.study_date
    for one in by:
        found.measured(found.say("hydrocephalus"), found.say("seen"), where(found.case, one))
    coma_score(found)
    found.recommend(
        Recommendation(
            key="tell-now",
            action=_now(found, fast, "Tell who treats the patient and call neurosurgery {now}: hydrocephalus"),
            code=actions.NEUROSURGERY_CALL,
            reason=found.say("Hydrocephalus can raise the pressure inside the skull within hours."),
            source=ACR,
            priority=fast.priority,
            by=found.case.today,
            because=(*because(found), *asked_on(found, actions.NEUROSURGERY_CALL)),
            acr_category=fast.category,
            would_change=(found.say("A radiologist who sees no hydrocephalus, or the same on earlier images."),),
        )
    )
    said = "Hydrocephalus on {day} (AI): tell who treats the patient and call neurosurgery {now}."
    return found.advice(
        _now(found, fast, said, day=day),
        fast.indicator,
        tuple(dict.fromkeys(one.finding.key for one in by)),
        seen=(found.say("Hydrocephalus."), _bloodless(found, seen), *_aged(found, fast)),
        meaning=(
            found.say("Acute hydrocephalus until a radiologist says otherwise: compare with earlier images at once."),
            *_in_palliative_care(found),
        ),
        limits=(*dict.fromkeys(limit for one in by for limit in one.by.limits), *map(found.say, LIMITS)),
        further=(ACR, SCORE.source),
    )


def _bloodless(found: Reasoning, seen: tuple[Seen, ...]) -> str:
    if not _looked(seen):
        return found.say("Nobody could look for blood, or did.")
    return found.say("Blood was not detected, or is below what the site counts: that excludes none.")


def _looked(seen: tuple[Seen, ...]) -> bool:
    return any(not one.finding.code.same(finding_codes.HYDROCEPHALUS) for one in seen)


def _now(found: Reasoning, fast: Haste, said: str, **values: object) -> str:
    return found.say(said, now=found.say("today") if fast.days else found.say("now"), **values)


def _aged(found: Reasoning, fast: Haste) -> tuple[str, ...]:
    """The day and not how long ago it is: what a card says must not change each day."""
    if not fast.days:
        return ()
    said = "The images are of {day}, not of today: find out whether it was told and treated."
    return (found.say(said, day=found.case.study_date),)


def _summary(found: Reasoning, fast: Haste, one: Bleed) -> str:
    day = found.case.study_date
    told_of = found.say("Blood inside the skull")
    if one.total:
        told_of = found.say("Blood inside the skull, {volume}", volume=shown(one.total))
    said = "{told_of}, on {day} (AI): tell who treats the patient {now}."
    if fast.days:
        said = "{told_of}, on images of {day} (AI), not of today: tell who treats the patient {now}."
    return _now(found, fast, said, told_of=told_of, day=day)


def _told_volumes(found: Reasoning, one: Bleed) -> tuple[str, ...]:
    parts = (
        (found.say("within the brain"), one.within),
        (found.say("within the brain by ABC/2"), one.by_diameters),
        (found.say("outside the brain"), one.outside),
        (found.say("in the ventricles"), one.ventricular),
        (found.say("in the cerebellum"), one.cerebellar),
    )
    measured = [found.say("{where} {volume}", where=name, volume=shown(ml)) for name, ml in parts if ml is not None]
    if one.cerebellar_unmeasured:
        measured.append(found.say("in the cerebellum, not measured"))
    if not measured:
        return (found.say("A haemorrhage inside the skull; its volume was not measured."),)
    return (found.say("A haemorrhage inside the skull: {parts}.", parts=", ".join(measured)),)


# --- what the record says --------------------------------------------------------------------------------------------


def _record(found: Reasoning, one: Bleed) -> tuple[str, ...]:
    meaning = [found.say("Acute bleeding until a radiologist says otherwise.")]
    if one.denied:
        said = "Its model also says that it detected no haemorrhage: the two contradict each other, look at once."
        meaning.append(found.say(said))
    if found.apply(ON_RECORD, known(found, condition_codes.INTRACRANIAL_HAEMORRHAGE)):
        meaning.append(found.say("A haemorrhage is on record already: compare with the earlier images at once."))
    return (*meaning, *_in_palliative_care(found))


def _in_palliative_care(found: Reasoning) -> tuple[str, ...]:
    care = found.case.ehr.condition(PALLIATIVE.name)
    if not found.apply(IN_PALLIATIVE_CARE, stated(care)):
        return ()
    found.use(PALLIATIVE.title, care, words)
    return (found.say("Palliative or hospice care is on record: speak to who leads it."),)


# --- steps -----------------------------------------------------------------------------------------------------------


def _call(found: Reasoning, fast: Haste, why: tuple[str, ...]) -> None:
    found.recommend(
        Recommendation(
            key="tell-now",
            action=_now(found, fast, "Call who treats the patient {now}: haemorrhage inside the skull"),
            code=actions.STROKE_TEAM_CALL,
            reason=found.say("A haemorrhage on images of some days ago: nobody is known to have told it.")
            if fast.days
            else found.say("A haemorrhage inside the skull is told by word of mouth within minutes."),
            source=ACR,
            priority=fast.priority,
            by=found.case.today,
            because=(*why, *asked_on(found, actions.STROKE_TEAM_CALL)),
            acr_category=fast.category,
            would_change=(found.say("A radiologist who sees no blood on the images."),),
        )
    )


def _neurosurgery(
    found: Reasoning, fast: Haste, why: tuple[str, ...], reasons: tuple[_Reason, ...], *, outside: bool | None
) -> None:
    holding = [(reason, grade) for held, reason, grade in reasons if held]
    source = AHA_ASA if holding else ACR  # the guideline is on blood within the brain
    if found.apply(OUTSIDE, outside):
        said = "Blood outside the brain: what calls for its surgery is not judged here, ask neurosurgery."
        holding.append((found.say(said), ""))
    if not holding:
        return
    found.recommend(
        Recommendation(
            key="neurosurgery-now",
            action=_now(found, fast, "Call neurosurgery {now}"),
            code=actions.NEUROSURGERY_CALL,
            reason=" ".join(reason for reason, _ in holding),
            source=source,
            strength=next((grade for _, grade in holding if grade), ""),
            priority=fast.priority,
            by=found.case.today,
            because=(*why, *asked_on(found, actions.NEUROSURGERY_CALL)),
            acr_category=fast.category,
            would_change=(found.say("Neurosurgery knows the patient and has decided."),),
        )
    )


def _surgical(found: Reasoning, one: Bleed, least: float, gcs: float | None) -> tuple[_Reason, ...]:
    """What calls for a neurosurgeon, the most strongly recommended first: whether it holds, in words, its grade."""
    cerebellar = None if one.cerebellar is None else one.cerebellar >= _LARGE_CEREBELLAR_ML
    limit = number(found.case, ID, LARGE_ML)
    large = None if one.largest is None else one.largest > limit
    moderate = gcs is not None and 5 <= gcs <= 12
    said = found.say("Cerebellar haemorrhage of 15 mL or more.")
    return (
        (found.apply(CEREBELLAR, cerebellar), said, found.say("class 1, level B-NR")),
        *_fluid(found, one.in_ventricles(least), one.hydrocephalus, gcs),
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
        (
            found.apply(UNMEASURED, one.cerebellar_unmeasured),
            found.say("Cerebellar haemorrhage, its volume not measured."),
            "",
        ),
    )


def _fluid(
    found: Reasoning, ventricular: bool | None, hydrocephalus: bool | None, gcs: float | None
) -> tuple[_Reason, ...]:
    """Blood in the ventricles or hydrocephalus, in who is not awake or of whom nobody knows it."""
    reduced, strong = None if gcs is None else gcs < _CLEAR, found.say("class 1, level B-NR")
    unclear = gcs is None and (ventricular is True or hydrocephalus is True)
    return (
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
    )


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True

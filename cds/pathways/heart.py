"""Signs of heart failure on a chest image: NT-proBNP, and by its value how soon echocardiography.

NICE NG106 (chronic heart failure): 400 to 2000 ng/L within 6 weeks, above within 2. ESC 2021,
doi:10.1093/eurheartj/ehab368: below 125 ng/L heart failure is unlikely.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from cds import action_codes as actions
from cds import condition_codes, finding_codes, measurement_codes, procedure_codes, units
from cds.codes import ValueSet
from cds.domain.ehr import Known
from cds.domain.finding import Presence
from cds.domain.recommendation import Advice, Case, CouldNotTell, Indicator, NothingToSay, PathwayOutcome, Source
from cds.pathways import Need, Option, Rule, pathway
from cds.pathways._aortic import in_palliative_care, palliative_said
from cds.pathways._bedside import any_of, lately, near, place, unasked_symptoms, value_near
from cds.pathways._facts import Missing, Seen, findings, refused, where, words
from cds.pathways._guards import PALLIATIVE, age_on, fresh, known, recent, stated
from cds.pathways._heart_steps import (
    ACUTE,
    CONSIDER,
    ESC,
    LOW,
    LOWERED,
    MODIFIERS,
    NICE,
    ORDERED,
    RAISED,
    SIX_WEEKS,
    TEST,
    TWO_WEEKS,
    UNLIKELY,
    assess_today,
    by_value,
    test,
)
from cds.pathways._prevent import ASKS as PREVENT_ASKS
from cds.pathways._prevent import heart_failure10, installed
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import certainty
from cds.pathways.declaration import number
from cds.risk.ntprobnp_nice import SCORE

ID = "heart"
TITLE = "Signs of heart failure on a chest image"
#: The ratio is reliable on posteroanterior radiographs alone.
RATIO_SOURCE = Source("Chon 2011, cardiothoracic ratio", "https://pmc.ncbi.nlm.nih.gov/articles/PMC3207047")

LARGE = Rule("enlarged", "An enlarged heart counts, on a radiograph in PA view alone.", RATIO_SOURCE)
RATIO = Rule("ratio", "A cardiothoracic ratio above 0.5 counts, on a radiograph in PA view alone.", RATIO_SOURCE)
OEDEMA = Rule("oedema", "Oedema of the lung counts.")
EFFUSIONS = Rule("effusions", "Pleural effusions count where they are on both sides.")
RISK = Rule(
    "risk",
    "A sign leads to a step only with a symptom, hypertension, diabetes or chronic kidney disease.",
)
ADULTS = Rule("adults", "The pathway is for adults of 18 years or more.")
KNOWN = Rule("known", "Where heart failure is on record no test for it is suggested.")
ECHO = Rule("echocardiography-done", "Where echocardiography was done within 12 months no test is suggested.")
URGENT = Rule(
    "urgent",
    "Oedema with shortness of breath is seen by a clinician the same day, whatever is ordered, known or measured.",
    ACUTE,
)
LASTS = Rule("lasts", "The urgent case lasts 7 days after the images and after the shortness of breath.", ACUTE)
NEW_TEST = Rule("new-test", "In the urgent case an NT-proBNP counts only within 7 days of the images.", ACUTE)
LOW_BEFORE = Rule("low-before", "An NT-proBNP below 125 ng/L counts only from 14 days before the images on.")
IN_PALLIATIVE_CARE = Rule("palliative", "In palliative care oedema with shortness of breath alone is told.")

NT_PROBNP_MONTHS = Option("nt_probnp_months", "Age up to which an NT-proBNP counts", "3", "months", 1, 12)
_ACUTE_DAYS = 7
_LOW_DAYS = 14
_SYMPTOM_MONTHS = 12
_SIGNS = (
    finding_codes.CARDIOMEGALY,
    finding_codes.CARDIOTHORACIC_RATIO,
    finding_codes.PULMONARY_OEDEMA,
    finding_codes.PLEURAL_EFFUSION,
)
_SYMPTOMS = (condition_codes.DYSPNOEA, condition_codes.LEG_SWELLING)
_RISKS = (condition_codes.HYPERTENSION, condition_codes.DIABETES, condition_codes.CHRONIC_KIDNEY_DISEASE)
_STEPS = (actions.ACUTE_ASSESSMENT, actions.NT_PROBNP, actions.ECHOCARDIOGRAPHY, actions.HEART_FAILURE_REFERRAL)
_HOW_LOOK = "look at the images, or ask the radiologist"

_LIMITS = (
    "A chest image diagnoses no heart failure, and a normal one excludes none.",
    "PREVENT tells the risk of years to come: there is no published limit for a referral, and it decides nothing.",
)
_ASKS: tuple[ValueSet, ...] = (
    condition_codes.HEART_FAILURE,
    PALLIATIVE,
    condition_codes.ATRIAL_FIBRILLATION,
    *_SYMPTOMS,
    *_RISKS,
    procedure_codes.ECHOCARDIOGRAPHY,
    measurement_codes.NT_PROBNP,
    measurement_codes.BODY_MASS_INDEX,
    *(procedure_codes.ORDERED[one.code] for one in _STEPS),
    condition_codes.ASCVD,
    *PREVENT_ASKS,
)


@dataclass(frozen=True, slots=True)
class _Sign:
    """A sign on the image that counts: its finding and its words."""

    seen: Seen
    said: str


@pathway(
    id=ID,
    title=TITLE,
    source=NICE,
    version="1.0.0",
    reviewed=date(2026, 11, 22),
    reads=_SIGNS,
    needs=(Need.AGE,),
    asks=tuple(dict.fromkeys(_ASKS)),
    rules=(
        LARGE,
        RATIO,
        OEDEMA,
        EFFUSIONS,
        RISK,
        ADULTS,
        KNOWN,
        ECHO,
        TEST,
        UNLIKELY,
        CONSIDER,
        SIX_WEEKS,
        TWO_WEEKS,
        URGENT,
        LASTS,
        NEW_TEST,
        IN_PALLIATIVE_CARE,
        LOW_BEFORE,
        LOWERED,
        RAISED,
        ORDERED,
    ),
    options=(NT_PROBNP_MONTHS,),
    scores=(SCORE.id,),
    further=(ESC, ACUTE, RATIO_SOURCE, MODIFIERS),
    limits=_LIMITS,
    urgent=True,
)
def heart(case: Case) -> PathwayOutcome:
    """Advise on NT-proBNP and echocardiography where a chest image shows signs of heart failure."""
    found = Reasoning(ID, TITLE, NICE, case)
    signs = _signs(found)
    if not isinstance(signs, tuple):
        return signs
    if not found.apply(ADULTS, (age_on(case.ehr.birth_date, case.study_date) or 0) >= 18):
        return found.nothing("the pathway is for adults")
    # First of all, for nothing that is known, done or ordered takes the place of a look at the patient.
    urgent = _urgent(found, signs)
    if found.apply(IN_PALLIATIVE_CARE, in_palliative_care(found)):
        return _comforted(found, signs, urgent)
    return _judged(found, signs, urgent)


def _judged(found: Reasoning, signs: tuple[_Sign, ...], urgent: bool | None) -> PathwayOutcome:
    silent = _silent(found)
    if silent and not urgent:
        return found.nothing(silent) if urgent is False else _breathless(found)
    risk = found.apply(RISK, _risk(found))
    if risk:
        return _advised(found, signs, silent, urgent=bool(urgent))
    if risk is None:
        return found.could_not_tell(found.say("it is not known whether the patient has symptoms or a risk"))
    return found.nothing("a sign on the image, without symptoms or a risk of heart failure in the record")


def _comforted(found: Reasoning, signs: tuple[_Sign, ...], urgent: bool | None) -> PathwayOutcome:
    """In palliative care: breathlessness is for today whatever is treated or not, and tests are not."""
    if not urgent:
        return found.nothing("palliative or hospice care is on record") if urgent is False else _breathless(found)
    found.use(condition_codes.DYSPNOEA.title, found.case.ehr.symptom(condition_codes.DYSPNOEA.name), words)
    _measured(found, signs)
    return _told(found, signs, [*palliative_said(found), assess_today(found)], Indicator.WARNING, urgent=True)


def _breathless(found: Reasoning) -> CouldNotTell:
    return found.could_not_tell(found.say("it is not known whether there is shortness of breath with the oedema"))


# --- signs on the image ----------------------------------------------------------------------------------------------


def _signs(found: Reasoning) -> tuple[_Sign, ...] | NothingToSay | CouldNotTell:
    case = found.case
    seen = sorted(findings(case, *_SIGNS), key=place)
    if not seen:
        if not (reasons := refused(case, *_SIGNS)):
            return found.nothing("no sign of heart failure was looked for on this study")
        found.missing.append(Missing(found.say("signs of heart failure"), "; ".join(reasons), found.say(_HOW_LOOK)))
        return found.could_not_tell(found.say("the signs of heart failure could not be evaluated"))
    signs: list[_Sign] = []
    held = any_of(
        (
            _enlarged(found, seen, signs),
            _ratio(found, seen, signs),
            _oedema(found, seen, signs),
            _effusions(found, seen, signs),
        )
    )
    if held:
        return tuple(signs)
    if reasons := refused(case, *_SIGNS):
        found.missing.append(Missing(found.say("signs of heart failure"), "; ".join(reasons), found.say(_HOW_LOOK)))
    if held is None or reasons:
        return found.could_not_tell(found.say("the view of the radiograph or the side of an effusion is not known"))
    return found.nothing("no sign of heart failure was detected on the image, which does not exclude it")


def _enlarged(found: Reasoning, seen: list[Seen], signs: list[_Sign]) -> bool | None:
    large = [one for one in seen if one.present and one.finding.code.same(finding_codes.CARDIOMEGALY)]
    return _in_pa_view(found, LARGE, large, signs, found.say("enlarged heart"))


def _ratio(found: Reasoning, seen: list[Seen], signs: list[_Sign]) -> bool | None:
    ratios = [one for one in seen if one.finding.code.same(finding_codes.CARDIOTHORACIC_RATIO)]
    large = [one for one in ratios if _ratio_of(one) > 0.5]
    if ratios and not large:
        return found.apply(RATIO, False)
    return _in_pa_view(found, RATIO, large, signs, found.say("cardiothoracic ratio above 0.5"))


def _in_pa_view(found: Reasoning, rule: Rule, large: list[Seen], signs: list[_Sign], said: str) -> bool | None:
    """Whether one of them is of a PA view; other views make the heart look larger."""
    if not large:
        return False
    held = any_of(_is_pa(found.case, one) for one in large)
    if found.apply(rule, held, said):
        signs += (_Sign(one, said) for one in large if _is_pa(found.case, one))
    elif held is None:
        why = found.say("it is not stated for the image that the heart was measured on")
        found.missing.append(Missing(found.say("view of the radiograph"), why, found.say(_HOW_LOOK)))
    return held


def _is_pa(case: Case, seen: Seen) -> bool | None:
    """True on sections, which have no view; on a radiograph as the model's gate says it ("view: PA")."""
    if case.modality in ("CT", "MR"):
        return True
    views = next((gate.removeprefix("view: ") for gate in seen.finding.gates if gate.startswith("view: ")), "")
    if views == "PA":
        return True
    return None if not views or "PA" in views.split(", ") else False


def _ratio_of(seen: Seen) -> float:
    """The ratio; 0 where nothing was measured."""
    if seen.finding.value is None or seen.finding.presence is Presence.NOT_DETECTED:
        return 0.0
    return units.convert(seen.finding.value, "1").value


def _oedema(found: Reasoning, seen: list[Seen], signs: list[_Sign]) -> bool:
    wet = [one for one in seen if one.present and one.finding.code.same(finding_codes.PULMONARY_OEDEMA)]
    signs += (_Sign(one, found.say("oedema of the lung")) for one in wet)
    return bool(found.apply(OEDEMA, bool(wet)))


def _effusions(found: Reasoning, seen: list[Seen], signs: list[_Sign]) -> bool | None:
    """Whether there are effusions on both sides; None where the side of one is not known."""
    present = [one for one in seen if one.present and one.finding.code.same(finding_codes.PLEURAL_EFFUSION)]
    sides = {one.finding.laterality for one in present}
    held = True if "both" in sides or {"left", "right"} <= sides else None if "" in sides else False
    if found.apply(EFFUSIONS, held):
        signs += (_Sign(one, found.say("pleural effusion")) for one in present)
    elif held is None:
        why = found.say("a pleural effusion was found, and its side was not given")
        found.missing.append(Missing(found.say("side of the pleural effusion"), why, found.say(_HOW_LOOK)))
    return held


# --- guards ----------------------------------------------------------------------------------------------------------


def _silent(found: Reasoning) -> str:
    """Why no test is suggested to this patient; empty where nothing speaks against it."""
    if found.apply(KNOWN, known(found, condition_codes.HEART_FAILURE)):
        return "heart failure is on record"
    if found.apply(ECHO, recent(found, procedure_codes.ECHOCARDIOGRAPHY, months=12)):
        return "echocardiography was done within 12 months"
    return ""


def _risk(found: Reasoning) -> bool | None:
    """Whether there is a symptom of the last year or a disease that goes with heart failure; used where there is."""
    ehr, today = found.case.ehr, found.case.today
    symptoms = [lately(ehr.symptom(one.name), today, _SYMPTOM_MONTHS) for one in _SYMPTOMS]
    diseases = [stated(ehr.condition(one.name)) for one in _RISKS]
    held = any_of((*symptoms, *diseases))
    if held is None:
        unasked_symptoms(found, _SYMPTOMS)
    for symptom, there in zip(_SYMPTOMS, symptoms, strict=True):
        if there is not None:
            found.use(symptom.title, ehr.symptom(symptom.name), words)
    for disease in _RISKS:
        found.use(disease.title, ehr.condition(disease.name), words)
        if held is None:
            found.unasked(disease.title, ehr.condition(disease.name), found.say("look at the problem list"))
    return held


# --- the card --------------------------------------------------------------------------------------------------------


def _advised(found: Reasoning, signs: tuple[_Sign, ...], silent: str, *, urgent: bool) -> Advice | NothingToSay:
    _measured(found, signs)
    said = found.say(", ").join(dict.fromkeys(sign.said for sign in signs))
    value = None if silent else _nt_probnp(found, urgent=urgent)
    heart_failure10(found, installed())
    meaning = [assess_today(found)] if urgent else []
    if silent:
        found.note(found.say("NT-proBNP and echocardiography: not suggested, {why}.", why=found.say(silent)))
    elif value is None:
        test(found, said, urgent=urgent)
    else:
        meaning += by_value(found, value, said, urgent=urgent)
    if not found.recommendations and not meaning:
        return found.nothing("nothing is left to suggest: " + "; ".join(found.quiet))
    warns = urgent or (value is not None and value > 2000)
    return _told(found, signs, meaning, Indicator.WARNING if warns else Indicator.INFO, urgent=urgent)


def _measured(found: Reasoning, signs: tuple[_Sign, ...]) -> None:
    for sign in signs:
        found.measured(sign.said, certainty(found, sign.seen), where(found.case, sign.seen))


def _told(
    found: Reasoning, signs: tuple[_Sign, ...], meaning: list[str], indicator: Indicator, *, urgent: bool
) -> Advice:
    return found.advice(
        _summary(found, urgent=urgent),
        indicator,
        tuple(dict.fromkeys(sign.seen.finding.key for sign in signs)),
        seen=tuple(found.say("{sign}: {seen}.", sign=sign.said, seen=certainty(found, sign.seen)) for sign in signs),
        meaning=tuple(meaning),
        limits=(*dict.fromkeys(limit for sign in signs for limit in sign.seen.by.limits), *map(found.say, _LIMITS)),
        further=(ESC, ACUTE) if urgent else (ESC,),
    )


def _summary(found: Reasoning, *, urgent: bool) -> str:
    case = found.case
    if urgent:
        text = "Oedema of the lung on {modality} {day} (AI) with shortness of breath: clinical assessment today"
        return found.say(text, modality=case.modality, day=case.study_date)
    text = "Sign of heart failure on {modality} {day} (AI)"
    first = "".join(found.say(". To consider: {step}", step=one.action) for one in found.recommendations[:1])
    return found.say(text, modality=case.modality, day=case.study_date) + first


def _nt_probnp(found: Reasoning, *, urgent: bool) -> float | None:
    """The NT-proBNP (pg/mL, which is ng/L) that the decision may rest on: in the urgent case one of these days."""
    how = found.say("take blood for NT-proBNP")
    if urgent:
        value = value_near(found, measurement_codes.NT_PROBNP, _ACUTE_DAYS, how)
        found.apply(NEW_TEST, value is not None)
        return value
    value = fresh(found, measurement_codes.NT_PROBNP, int(number(found.case, ID, NT_PROBNP_MONTHS)), how)
    return None if value is not None and value < LOW and _was_before(found, how) else value


def _was_before(found: Reasoning, how: str) -> bool:
    """Whether the value is of long before the images: then a low one does not tell of what they show."""
    fact, title = found.case.ehr.measurement(measurement_codes.NT_PROBNP.name), measurement_codes.NT_PROBNP.title
    day = fact.effective if isinstance(fact, Known) else None
    if found.apply(LOW_BEFORE, day is not None and day >= found.case.study_date - timedelta(days=_LOW_DAYS)):
        return False
    why = found.say(
        "the newest is of {day}, a low one, more than {days} days before the images", day=day, days=_LOW_DAYS
    )
    found.missing.append(Missing(title, why, how))
    return True


def _urgent(found: Reasoning, signs: tuple[_Sign, ...]) -> bool | None:
    """Whether there is oedema with shortness of breath these days; what is not known is asked for."""
    if not any(one.seen.finding.code.same(finding_codes.PULMONARY_OEDEMA) for one in signs):
        return False
    case, days = found.case, timedelta(days=_ACUTE_DAYS)
    if not found.apply(LASTS, case.today - case.study_date <= days):
        return False
    acute = near(case.ehr.symptom(condition_codes.DYSPNOEA.name), case.today, _ACUTE_DAYS)
    if acute is None:
        unasked_symptoms(found, (condition_codes.DYSPNOEA,))
    return found.apply(URGENT, acute)

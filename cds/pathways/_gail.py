"""The 5-year risk of breast cancer by BCRAT (Gail model) of what the record knows: at least so much, never a guess.

What nobody knows counts as the lowest category, as the tool itself counts it; a stated race that several of its
models fit gives the lowest of them. So a risk at the threshold holds, and one below it says what is missing.
"""

from __future__ import annotations

from cds import condition_codes, measurement_codes, race
from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import Fact, Known, Measurement, NotFoundSince, Unknown
from cds.domain.identity import Sex
from cds.pathways._facts import Missing, words
from cds.pathways._guards import age_on, stated
from cds.pathways._reasoning import Reasoning
from cds.risk import Scored
from cds.risk.bcra_gail import SCORE

#: CDC race and ethnicity → the models of BCRAT that fit it: born in the US or elsewhere, which Asian or Pacific origin.
_MODELS = {
    "2106-3": (1,),
    "2054-5": (2,),
    "2135-2": (3, 5),
    "1002-5": (4,),
    "2028-9": (6, 7, 8, 11),
    "2076-8": (9, 10),
}
_YOUNGEST = 35
_UNKNOWN = 99
#: Nobody of these is whom the tool was made for.
EXCLUDED = (condition_codes.BREAST_CANCER, condition_codes.BRCA, condition_codes.CHEST_RADIATION)
#: What the tool asks of her: the years or the number, by its own name.
_ASKED = {
    "age_menarche": measurement_codes.MENARCHE_AGE,
    "age_first_birth": measurement_codes.FIRST_BIRTH_AGE,
    "n_biopsies": measurement_codes.BREAST_BIOPSIES,
}
#: The titles of the values that she stated.
VALUES = tuple(one.title for one in _ASKED.values())
ASKS = (*EXCLUDED, *_ASKED.values(), condition_codes.FAMILY_BREAST_CANCER)


def eligible(found: Reasoning) -> bool | None:
    """Whether she is one of those whom BCRAT is for; None where nobody can tell."""
    ehr, how = found.case.ehr, found.say("ask the patient")
    if isinstance(ehr.sex, Known) and ehr.sex.value is Sex.MALE:
        return False
    years = age_on(ehr.birth_date, found.case.study_date)
    if years is not None and years < _YOUNGEST:
        return False
    found.lacks(found.say("age"), ehr.birth_date, found.say("correct the birth date in the registration"))
    female = isinstance(ehr.sex, Known) and ehr.sex.value is Sex.FEMALE
    if not female:
        why = found.say("it is not stated as female or male")
        found.missing.append(Missing(found.say("sex"), why, found.say("correct the sex in the registration")))
    told = [_excluded(found, one, how) for one in EXCLUDED]
    if True in told:
        return False
    return None if None in told or years is None or not female else True


def _excluded(found: Reasoning, one: ValueSet, how: str) -> bool | None:
    fact = found.case.ehr.condition(one.name)
    found.unasked(one.title, fact, how)
    if isinstance(fact, Known):
        found.use(one.title, fact, words)
        found.note(found.say("5-year risk by BCRAT: not with {title} on record.", title=one.title))
    return stated(fact)


def models(found: Reasoning) -> tuple[int, ...]:
    """The models of the tool that fit the race as it is stated; none where it is not, and then it is missing."""
    fact: Fact[Coding] = found.case.ehr.race
    fitting = _MODELS.get(fact.value.code, ()) if isinstance(fact, Known) else ()
    if isinstance(fact, Known) and not fitting:
        fact = Unknown(found.say("BCRAT has no model for it"))
    title, how = (
        found.say("race or ethnicity, as the patient states it"),
        found.say("ask the patient, and enter it in the registration"),
    )
    found.use(title, fact, lambda one: one.display or one.code)
    found.lacks(title, fact, how)
    if len(fitting) > 1 and isinstance(fact, Known):
        asked = found.say("country of birth") if fact.value.code == race.HISPANIC.code else found.say("origin")
        found.missing.append(Missing(asked, found.say("the record does not tell"), found.say("ask the patient")))
    return fitting


def five_year_risk(found: Reasoning, fitting: tuple[int, ...]) -> float | None:
    """In percent, the lowest that fits what is known; None where the age is out of the tool's range."""
    years = age_on(found.case.ehr.birth_date, found.case.study_date)
    if years is None:
        return None
    inputs: dict[str, object] = {name: _stated(found, one) for name, one in _ASKED.items()}
    _relatives(found)
    biopsied = inputs["n_biopsies"] not in (0, _UNKNOWN)
    if biopsied:
        what, why = found.say("atypical hyperplasia in a biopsy"), found.say("the record does not tell")
        found.missing.append(Missing(what, why, found.say("look at the reports of pathology")))
    inputs |= {"age_start": years, "age_end": years + 5, "n_first_degree_relatives": _UNKNOWN}
    inputs["hyperplasia"] = 0 if biopsied else _UNKNOWN
    answers = [SCORE(inputs | {"race_code": code}) for code in fitting]
    scored = [one for one in answers if isinstance(one, Scored)]
    if len(scored) < len(answers):
        found.risk(SCORE, answers[0])
        return None
    lowest = min(scored, key=lambda one: one.number("absolute_risk_percent"))
    percent = lowest.number("absolute_risk_percent")
    found.risk(SCORE, lowest, found.say("at least {percent} % in 5 years", percent=f"{percent:.2f}"))
    return percent


def _stated(found: Reasoning, value_set: ValueSet) -> int:
    """A number that she stated, whenever that was; 99 where nobody knows it, and then it is missing."""
    fact: Fact[Measurement] = found.case.ehr.measurement(value_set.name)
    if isinstance(fact, Known) and not 0 <= fact.value.quantity.value < _UNKNOWN - 1:
        fact = Unknown(found.say("what is recorded cannot be one"))
    found.lacks(value_set.title, fact, found.say("ask the patient"))
    if not isinstance(fact, Known):
        return _UNKNOWN
    found.use(value_set.title, fact, lambda one: one.quantity.digits)
    return int(fact.value.quantity.value)


def _relatives(found: Reasoning) -> None:
    """The record tells neither how close nor how many: the tool counts none, and the reader is asked."""
    fact = found.case.ehr.relative(condition_codes.FAMILY_BREAST_CANCER.name)
    what, how = found.say("number of first-degree relatives with breast cancer"), found.say("ask the patient")
    if isinstance(fact, NotFoundSince):
        found.lacks(what, fact, how)
        return
    why = fact.reason if isinstance(fact, Unknown) else found.say("the record does not tell how close and how many")
    found.missing.append(Missing(what, why, how))


__all__ = ["ASKS", "EXCLUDED", "SCORE", "VALUES", "eligible", "five_year_risk", "models"]

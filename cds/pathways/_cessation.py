"""Help to stop smoking as a step of a pathway, and what its steps share: words on what the record has."""

from __future__ import annotations

from datetime import date

from cds import codes
from cds.codes import ValueSet
from cds.domain.ehr import ClinicalItem, Fact, Known, SmokingStatus
from cds.domain.recommendation import Recommendation, Source
from cds.pathways._facts import age_years, words
from cds.pathways._guards import open_request
from cds.pathways._lung_screening import age_is_missing, day_of
from cds.pathways._reasoning import Reasoning
from cds.pathways._sentences import because
from cds.pathways.declaration import Rule

USPSTF_TOBACCO = Source("USPSTF 2021, tobacco cessation", "https://doi.org/10.1001/jama.2020.25019")
CESSATION = Rule("cessation", "Adults of 18 years or more who smoke now are offered help to stop.", USPSTF_TOBACCO)
CESSATION_ORDERED = Rule("cessation-ordered", "Help to stop smoking that is ordered is not asked for again.")
RULES = (CESSATION, CESSATION_ORDERED)

#: USPSTF 2021 on tobacco is for "adults 18 years or older"; children and adolescents have one of their own.
_ADULT_AGE = 18


def cessation(found: Reasoning, status: Known[SmokingStatus]) -> None:
    """Help to stop for adults who smoke now."""
    if status.value is not SmokingStatus.CURRENT:
        found.apply(CESSATION, False)
        return
    adult = found.apply(CESSATION, of_age(found.case.ehr.birth_date, _ADULT_AGE, found.case.today))
    request = open_request(found.case, codes.CESSATION_ORDERED.name)
    if adult is None:
        age_is_missing(found)
    elif not adult:
        text = found.say("Help to stop smoking: the recommendation is for adults aged 18 and over.")
        found.note(text, "the recommendation is for adults aged 18 and over")
    elif found.apply(CESSATION_ORDERED, request is not None) and request is not None:
        text = found.say(
            "Help to stop smoking: an open request for help to stop smoking is on record ({day}, {source}).",
            **dated(found, request),
        )
        ordered(found, text, codes.CESSATION_ORDERED, request)
    else:
        _help_to_stop(found, status)


def _help_to_stop(found: Reasoning, status: Known[SmokingStatus]) -> None:
    day = status.effective.isoformat() if status.effective else found.say("no date")
    smokes = found.say("Smokes now ({day}, {source}).", day=day, source=status.source)
    found.recommend(
        Recommendation(
            key="cessation",
            action=found.say("Help to stop smoking: counselling and medication"),
            code=codes.CESSATION_REQUEST,
            reason=found.say("Smokes now, with emphysema on CT."),
            source=USPSTF_TOBACCO,
            strength="grade A",
            because=(smokes, *of_images(found)),
            would_change=(found.say("A newer smoking status."),),
        )
    )


def of_images(found: Reasoning) -> tuple[str, ...]:
    """What was seen, as sentences with day and source."""
    return because(found, found.say("LAA-950"), found.say("emphysema"))


def of_age(born: Fact[date], age: int, on: date) -> bool | None:
    """Whether somebody has reached an age on a day; None where the birth date is not known."""
    return age_years(born.value, on) >= age if isinstance(born, Known) else None


def dated(found: Reasoning, fact: Known[ClinicalItem]) -> dict[str, str]:
    """The day and the source of something of the record, for a sentence."""
    return {"day": day_of(found, fact), "source": fact.source}


def ordered(found: Reasoning, told: str, value_set: ValueSet, request: Known[ClinicalItem]) -> None:
    """What somebody has ordered already is not suggested again."""
    found.use(found.say(value_set.title), request, words)
    found.note(told, f"an {value_set.title} is on record")

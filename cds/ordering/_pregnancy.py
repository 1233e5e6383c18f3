"""Whether a patient may be pregnant: yes, no, or a question; who is asked by ACR-SPR (12 to 50 years)."""

from __future__ import annotations

from cds import codes
from cds.domain.ehr import Known
from cds.domain.identity import Sex
from cds.domain.recommendation import Source
from cds.ordering._order import within_days
from cds.pathways._facts import Missing
from cds.pathways._guards import age_on
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option

ACR_SPR = Source(
    "ACR-SPR practice parameter, imaging of pregnant patients with ionising radiation",
    "https://www.acr.org/Clinical-Resources/Practice-Parameters-and-Technical-Standards",
)
NOT_PREGNANT_DAYS = Option(
    "not_pregnant_days", "A word that she is not pregnant counts for so many days", "3", "d", 0, 30
)
#: What is recorded as a pregnancy is over after this.
_LONGEST_DAYS = 300
_FROM_YEARS, _TO_YEARS = 12, 50
ASKS = (codes.PREGNANCY,)


def askable(found: Reasoning) -> bool:
    """Whether a patient is one of those who are asked: not who is recorded as a man, nor below 12 or above 50 years."""
    sex = found.case.ehr.sex
    if isinstance(sex, Known) and sex.value is Sex.MALE:
        return False
    years = age_on(found.case.ehr.birth_date, found.case.today)
    return years is None or _FROM_YEARS <= years <= _TO_YEARS


def pregnant(found: Reasoning, days: float) -> bool | None:
    """Whether she is pregnant, by a word that is new enough; None where there is none, and then it is missing.

    A pregnancy on record counts whatever age and sex are recorded: one of them is wrong.
    """
    fact, today = found.case.ehr.pregnancy, found.case.today
    title = found.say("pregnancy")
    if isinstance(fact, Known) and fact.effective is not None:
        lasts = _LONGEST_DAYS if fact.value else days
        if within_days(fact.effective, today, lasts):
            found.use(title, fact, lambda said: found.say("pregnant") if said else found.say("not pregnant"))
            return fact.value
    if not askable(found):
        return False
    why = found.say("there is no word of it that is new enough")
    found.missing.append(Missing(title, why, found.say("ask the patient; a test where it cannot be excluded")))
    return None

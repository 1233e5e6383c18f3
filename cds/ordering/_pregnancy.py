"""Whether a patient may be pregnant: yes, no, or a question; who is asked by ACR-SPR (12 to 50 years)."""

from __future__ import annotations

from cds import codes
from cds.codes import ValueSet
from cds.domain.ehr import Known
from cds.domain.identity import Sex
from cds.domain.recommendation import Source
from cds.ordering._lately import by_order
from cds.ordering._order import stated, within_days
from cds.pathways._facts import Missing
from cds.pathways._guards import age_on
from cds.pathways._reasoning import Reasoning
from cds.pathways.declaration import Option
from cds.value_sets import icd, snomed

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
_WHO = "ICD-10, WHO tabular list (https://icd.who.int/browse10/2019/en)"
#: What as a reason of an order says that she is pregnant, or was until these days.
REASONS = ValueSet(
    "pregnancy-as-reason",
    "pregnancy",
    "condition",
    (
        snomed("77386006", "Pregnancy", "as in the value set of pregnancy"),
        *(icd(f"O{n}", "Pregnancy, childbirth and the puerperium", _WHO) for n in range(10)),
        icd("Z33", "Pregnant state, incidental", _WHO),
        icd("Z34", "Supervision of normal pregnancy", _WHO),
    ),
)


def askable(found: Reasoning) -> bool:
    """Whether a patient is one of those who are asked: not who is recorded as a man, nor below 12 or above 50 years."""
    sex = found.case.ehr.sex
    if isinstance(sex, Known) and sex.value is Sex.MALE:
        return False
    years = age_on(found.case.ehr.birth_date, found.case.today)
    return years is None or _FROM_YEARS <= years <= _TO_YEARS


def doubtful(found: Reasoning) -> bool:
    """Whether a pregnancy is on record of which nobody can tell whether it lasts: without a date that can be used.

    One that is over by its date counts where she may be pregnant again; one without a date in everybody.
    """
    fact, today = found.case.ehr.pregnancy, found.case.today
    if not isinstance(fact, Known) or not fact.value or stated(found.case.order, REASONS):
        return False
    if fact.effective is None or fact.effective > today:
        return True
    return askable(found) and not within_days(fact.effective, today, _LONGEST_DAYS)


def pregnant(found: Reasoning, days: float) -> bool | None:
    """Whether she is pregnant, by the order or a word that is new enough; None where there is none: it is missing then.

    A pregnancy of the order or on record counts whatever age and sex are recorded: one of them is wrong.
    """
    if by_order(found, REASONS):
        return True
    fact, today = found.case.ehr.pregnancy, found.case.today
    title = found.say("pregnancy")
    doubt = doubtful(found)
    if isinstance(fact, Known) and fact.effective is not None and not doubt and fact.effective <= today:
        lasts = _LONGEST_DAYS if fact.value else days
        if within_days(fact.effective, today, lasts):
            found.use(title, fact, lambda said: found.say("pregnant") if said else found.say("not pregnant"))
            return fact.value
    if not doubt and not askable(found):
        return False
    why = found.say("there is no word of it that is new enough")
    if doubt:
        why = found.say("a pregnancy is on record without a usable date")
    found.missing.append(Missing(title, why, found.say("ask the patient; a test where it cannot be excluded")))
    return None

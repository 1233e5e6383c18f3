"""What the checks of an order share: what is asked for, three-valued, and answers where nobody can tell it."""

from __future__ import annotations

from datetime import date, timedelta

from cds.codes import ValueSet
from cds.domain.ehr import Known, Unknown
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.domain.recommendation import CouldNotTell, NothingToSay
from cds.pathways._facts import Missing
from cds.pathways._guards import age_on
from cds.pathways._reasoning import Reasoning

NO_ORDER = "no imaging order"
#: Modalities in which contrast medium is given, and of which class it then is.
_MEDIUM = {
    "CT": Contrast.IODINATED,
    "XA": Contrast.IODINATED,
    "RF": Contrast.IODINATED,
    "PT": Contrast.IODINATED,
    "MR": Contrast.GADOLINIUM,
}


def asked(found: Reasoning) -> tuple[ImagingOrder, Exam] | NothingToSay | CouldNotTell:
    """The order and what it asks for; an answer where there is no order, or nobody knows its code."""
    order = found.case.order
    if order is None:
        return found.nothing(NO_ORDER)
    if order.exam is None:
        found.missing.append(
            Missing(
                found.say("what is ordered"),
                found.say("nobody here knows the code of the order"),
                found.say("say in the site's settings what the code asks for"),
            )
        )
        return found.could_not_tell(found.say("it is not known what is ordered"))
    return order, order.exam


def needs(exam: Exam, medium: Contrast) -> bool | None:
    """Whether an exam needs a class of contrast medium; None where it may, and the order does not say."""
    if exam.contrast is not None:
        return exam.contrast is medium
    return None if _MEDIUM.get(exam.modality) is medium else False


def contrast_untold(found: Reasoning) -> CouldNotTell:
    """It could not be evaluated, for the order does not say whether contrast medium is given."""
    found.missing.append(
        Missing(
            found.say("contrast medium"),
            found.say("the order does not say whether it is given"),
            found.say("ask the radiologist, or order the exam with or without contrast"),
        )
    )
    return found.could_not_tell(found.say("it is not known whether contrast medium is given"))


def age(found: Reasoning) -> int | None:
    """Completed years today; missing where the birth date is not known."""
    born = found.case.ehr.birth_date
    found.lacks(found.say("age"), born, found.say("correct the birth date in the registration"))
    years = age_on(born, found.case.today)
    if years is not None and isinstance(born, Known):
        found.measured(found.say("age"), found.say("{years} years", years=years), born.source, found.case.today)
    return years


def measured_lately(found: Reasoning, value_set: ValueSet, days: float, how: str) -> float | None:
    """The newest value of a measurement in its unit, not older than so many days; else it is missing."""
    fact = found.case.ehr.measurement(value_set.name)
    if isinstance(fact, Known) and fact.effective and within_days(fact.effective, found.case.today, days):
        found.use(value_set.title, fact, lambda m: f"{m.quantity.digits} {m.quantity.unit}")
        return fact.value.quantity.value
    stale = Unknown(found.say("there is no value of the last {days} days", days=f"{days:g}"))
    found.lacks(value_set.title, stale if isinstance(fact, Known) else fact, how)
    return None


def within_days(day: date, until: date, days: float) -> bool:
    """Whether something is not older than so many days on a day."""
    return day + timedelta(days=days) >= until


def sought(found: Reasoning) -> str:
    """What is still to be known, as the part of a sentence."""
    return "; ".join(dict.fromkeys(one.what for one in found.missing))

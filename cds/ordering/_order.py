"""What the checks of an order share: what is asked for and why, three-valued, and answers where nobody can tell it.

An order is a source of its own: what its reasons name is there, whatever the record lacks. One gate keeps every check
from speaking against an exam where the order says more than the check reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, timedelta

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.domain.ehr import ClinicalItem, Fact, Known, NotFoundSince, Unknown
from cds.domain.imaging_order import Contrast, Exam, ImagingOrder
from cds.domain.order import Priority
from cds.domain.recommendation import CouldNotTell, NothingToSay
from cds.pathways import Rule
from cds.pathways._facts import Missing, add_months
from cds.pathways._guards import age_on, noted
from cds.pathways._reasoning import Reasoning

#: Signs in ServiceRequest.reasonCode of an order whose form asks for them.
SIGHTLINE_SIGN = "urn:sightline:sign"
_ASKED = "asked-"

UNREAD = Rule("unread", "With a reason that the check does not read nothing is said against the exam.")
REACH = Rule("reach", "Not found counts as no where the search reached back 5 years, of drugs 12 months.")
#: How far back a search must have reached for what it did not find to be no, in months: diseases, drugs.
DISEASE_MONTHS, DRUG_MONTHS = 60, 12
#: The limit of a check that applies REACH.
REACH_LIMIT = "A search that reached back less than 5 years, of drugs 12 months, is a question and no answer."
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


def hurried(order: ImagingOrder) -> bool:
    """Whether an order is in such haste that nothing may stand in its way."""
    return order.priority in (Priority.STAT, Priority.ASAP)


def stated(order: ImagingOrder | None, *value_sets: ValueSet) -> Coding | None:
    """A reason of an order that is of one of some value sets, the same in whatever order its reasons stand."""
    reasons = () if order is None else order.reasons
    there = (one for one in reasons if any(value_set.contains(one) for value_set in value_sets))
    return min(there, key=_place, default=None)


def signed(order: ImagingOrder | None, code: str) -> bool:
    """Whether an order has one of Sightline's own signs among its reasons."""
    return order is not None and any(one.same(Coding(SIGHTLINE_SIGN, code)) for one in order.reasons)


def form_asked(order: ImagingOrder | None, what: str) -> bool:
    """Whether the order's form asked for the signs of a check, or for a part of them."""
    return signed(order, f"{_ASKED}{what}")


def says_more(found: Reasoning, order: ImagingOrder, own: Collection[ValueSet], signs: Collection[Coding] = ()) -> bool:
    """Whether an order says more than a check reads: then nothing is said against the exam (rule UNREAD).

    `own` are the value sets of the complaint, `signs` the check's own signs. Any other reason, what is
    written, what the order points to and its haste stand as missing in the answer.
    """
    read_it = found.say("read it, or ask who orders the exam")
    unread = sorted((one for one in order.reasons if not _is_read(one, own, signs)), key=_place)
    more = [found.say("the reason {code} of the order", code=one.code) for one in unread]
    if _written(order):
        more.append(found.say("what is written as the reason of the order"))
    if order.further:
        more.append(found.say("what the order points to as its reason"))
    found.missing += [Missing(one, found.say("this check does not read it"), read_it) for one in more]
    if hurried(order):
        found.missing.append(Missing(found.say("the haste"), found.say("the order is to be done at once"), read_it))
    return bool(found.apply(UNREAD, bool(more) or hurried(order)))


def more_than_read(found: Reasoning) -> CouldNotTell:
    """It could not be evaluated, for the order says more than this check reads."""
    return found.could_not_tell(found.say("the order says more than this check reads"))


def _place(reason: Coding) -> tuple[str, str, str]:
    """What reasons are sorted by, so that an answer does not depend on how they stand."""
    return reason.code, reason.system, reason.display


def _is_read(reason: Coding, own: Iterable[ValueSet], signs: Collection[Coding]) -> bool:
    if reason.system == SIGHTLINE_SIGN:
        return reason.code.startswith(_ASKED) or any(reason.same(sign) for sign in signs)
    return any(value_set.contains(reason) for value_set in own)


def _written(order: ImagingOrder) -> bool:
    """Whether something is written as the reason that the codes of the reasons do not say."""
    displays = {one.display.casefold() for one in order.reasons if one.display}
    parts = filter(None, (one.strip().casefold() for one in order.reason_text.split(";")))
    return order.reason_text.strip().casefold() not in displays and any(one not in displays for one in parts)


def known(
    found: Reasoning, value_set: ValueSet, *, back: int = 0, reasons: tuple[ValueSet, ...] | None = None
) -> bool | None:
    """Whether the patient has a disease, by the order's reasons or by the record; see `_held`."""
    fact = found.case.ehr.condition(value_set.name)
    return _held(found, fact, value_set, "look at the problem list", back=back, reasons=reasons)


def taken(
    found: Reasoning, value_set: ValueSet, *, back: int = 0, reasons: tuple[ValueSet, ...] | None = None
) -> bool | None:
    """Whether the patient takes a drug, by the order's reasons or by the record; see `_held`."""
    fact = found.case.ehr.medication(value_set.name)
    return _held(found, fact, value_set, "look at the medication list", back=back, reasons=reasons)


def _held(
    found: Reasoning,
    fact: Fact[ClinicalItem],
    value_set: ValueSet,
    how: str,
    *,
    back: int,
    reasons: tuple[ValueSet, ...] | None,
) -> bool | None:
    """Whether something is there; used, or missing, in the answer either way.

    `reasons` are the value sets by which an order says it, the same unless told. With `back` it is no only where the
    search reached back so many months (rule REACH), or where the order's form asked for the history and has no sign of
    it, which is the value set's name.
    """
    order, title = found.case.order, found.say(value_set.title)
    if isinstance(fact, Known):
        return noted(found, fact, value_set, how)
    by_order = signed(order, value_set.name) or stated(order, *((value_set,) if reasons is None else reasons))
    denied = bool(back) and form_asked(order, f"{found.pathway}-history")
    if by_order or denied:
        answer = found.say("yes") if by_order else found.say("no")
        found.measured(title, answer, found.say("the order"), found.case.today)
        return bool(by_order)
    if not back or not isinstance(fact, NotFoundSince):
        return noted(found, fact, value_set, how)
    if found.apply(REACH, reaches(fact, found.case.today, back), value_set.title):
        return noted(found, fact, value_set, how)
    found.lacks(title, fact, found.say("ask for what is older"))
    return None


def reaches(fact: NotFoundSince, today: date, months: int) -> bool:
    """Whether a search that found nothing reached back so many months, or the whole of the record."""
    return fact.since is None or add_months(fact.since, months) <= today


def measured_lately(found: Reasoning, value_set: ValueSet, days: float, how: str) -> float | None:
    """The newest value of a measurement in its unit, not older than so many days; else it is missing."""
    fact, today = found.case.ehr.measurement(value_set.name), found.case.today
    day = fact.effective if isinstance(fact, Known) else None
    if isinstance(fact, Known) and day is not None and day <= today and within_days(day, today, days):
        found.use(value_set.title, fact, lambda m: f"{m.quantity.digits} {m.quantity.unit}")
        return fact.value.quantity.value
    found.lacks(value_set.title, Unknown(_why_not(found, day, days)) if isinstance(fact, Known) else fact, how)
    return None


def _why_not(found: Reasoning, day: date | None, days: float) -> str:
    """Why a value of a day does not count."""
    if day is not None and day > found.case.today:
        return found.say("its date lies in the future")
    if days == 0:
        return found.say("there is no value of today")
    return found.say("there is no value of the last {days} days", days=f"{days:g}")


def within_days(day: date, until: date, days: float) -> bool:
    """Whether something is not older than so many days on a day."""
    return day + timedelta(days=days) >= until


def sought(found: Reasoning) -> str:
    """What is still to be known, as the part of a sentence."""
    return "; ".join(dict.fromkeys(one.what for one in found.missing))

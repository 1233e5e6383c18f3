"""What pathways share: findings of a case, facts as values used or as missing, and days between dates."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from enum import StrEnum
from typing import NamedTuple, TypeVar

from cds.condition_codes import PALLIATIVE_CARE
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, Fact, Known, NotFoundSince
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.identity import Sex
from cds.domain.recommendation import Case, CouldNotTell, NothingToSay

T = TypeVar("T")


class Need(StrEnum):
    """What a pathway cannot do without: where it is not known, the pathway could not tell (SAFETY section 6)."""

    AGE = "age"
    SEX = "sex"


#: The sexes that guidelines have limits for; any other says nothing about which of them to take.
_BINARY = (Sex.FEMALE, Sex.MALE)

#: How an absence that was searched for stands among the values used.
NONE_FOUND = "none found"
_NO_VALUE = (Presence.NOT_DETECTED, Presence.NOT_EVALUATED)


class Missing(NamedTuple):
    """Something that a pathway would need, why it is not known, and how to get it."""

    what: str
    why: str
    how: str
    #: All of it as one sentence, where it was made before.
    said: str = ""


class Measured(NamedTuple):
    """A measured finding with the model that measured it."""

    finding: Finding
    value: Quantity
    by: Findings


class Seen(NamedTuple):
    """A finding that is there or was not detected, with the model that looked."""

    finding: Finding
    by: Findings

    @property
    def present(self) -> bool:
        """Whether it is there; that it was not detected excludes nothing (SAFETY section 6)."""
        return self.finding.presence is Presence.PRESENT


def findings(case: Case, *codes: Coding) -> list[Seen]:
    """Every finding of some codes that was evaluated, whichever model found it, in the order of the answers."""
    return [seen for seen in _of(case, codes) if seen.finding.presence is not Presence.NOT_EVALUATED]


def values(case: Case, *codes: Coding) -> list[Measured]:
    """Every finding of some codes that has a value, measured or present."""
    return [
        Measured(finding, finding.value, by)
        for finding, by in _of(case, codes)
        if finding.value is not None and finding.presence not in _NO_VALUE
    ]


def _of(case: Case, codes: tuple[Coding, ...]) -> list[Seen]:
    """Every finding of some codes. Written out: each pathway asks for it, and most findings are none of its own."""
    found: list[Seen] = []
    for outcome in case.outcomes:
        if not isinstance(outcome, Findings):
            continue
        for finding in outcome.findings:
            code = finding.code
            for one in codes:
                if code.code == one.code and code.system == one.system:
                    found.append(Seen(finding, outcome))
                    break
    return found


def refused(case: Case, *codes: Coding) -> tuple[str, ...]:
    """Why findings of some codes were not evaluated, where a model that could have looked at them refused."""
    of_codes = _of(case, codes)
    if not of_codes:
        return ()
    told = [f"{by.model}: {seen.reason}" for seen, by in of_codes if seen.presence is Presence.NOT_EVALUATED]
    return tuple(dict.fromkeys(told))


def where(case: Case, seen: Seen | Measured) -> str:
    """Where a finding comes from, as the source of a value: modality, day of the images, model and version."""
    by = seen.by
    return f"{case.modality} {case.study_date.isoformat()}, {by.model} {by.version}"


def lack(what: str, fact: Fact[T], how: str) -> tuple[Missing, ...]:
    """A fact that is not known, as missing; nothing where it is known."""
    if isinstance(fact, Known):
        return ()
    why = fact.sentence(what) if isinstance(fact, NotFoundSince) else fact.reason
    return (Missing(what, why, how),)


def sex_lack(case: Case) -> tuple[Missing, ...]:
    """The sex as missing where it is neither female nor male: it is never taken for one of them."""
    sex, how = case.ehr.sex, "ask the patient which limits apply, or correct the sex in the registration"
    if isinstance(sex, Known) and sex.value not in _BINARY:
        return (Missing("sex", f"it is recorded as {sex.value.value}", how),)
    return lack("sex", sex, how)


def unfit(
    pathway: str, title: str, needs: Collection[Need], case: Case, *, urgent: bool = False, fit: bool = False
) -> NothingToSay | CouldNotTell | None:
    """Why no pathway may speak of this patient, or not this one; None where it may (SAFETY sections 1 and 6).

    One that is urgent speaks in palliative care too. `fit` where `nobody_barred` said so before.
    """
    barred = None if fit else _barred(pathway, title, case, urgent=urgent)
    if barred is not None:
        return barred
    lacking = _lacking(case, needs) if needs else ()
    if lacking:
        return _could_not_tell(pathway, title, f"it needs the {' and the '.join(m.what for m in lacking)}", *lacking)
    return None


def nobody_barred(case: Case) -> bool:
    """Whether the patient keeps no pathway from speaking, urgent or not: asked once for all pathways of a hook."""
    return _barred("", "", case, urgent=False) is None


def _barred(pathway: str, title: str, case: Case, *, urgent: bool) -> NothingToSay | CouldNotTell | None:
    deceased, born = case.ehr.deceased, case.ehr.birth_date
    if isinstance(deceased, Known) and deceased.value:
        return NothingToSay(pathway, "the patient is recorded as deceased")
    if not urgent and isinstance(case.ehr.condition(PALLIATIVE_CARE.name), Known):
        return NothingToSay(pathway, "palliative or hospice care is on record")
    if isinstance(born, Known) and born.value > case.study_date:
        doubt = Missing("age", "the birth date lies after the day of the images", "find out whose images these are")
        return _could_not_tell(pathway, title, "the birth date contradicts the images", doubt)
    return None


def _lacking(case: Case, needs: Collection[Need]) -> tuple[Missing, ...]:
    """What a pathway needs and nobody knows: an age, a sex that guidelines have limits for (SAFETY section 1)."""
    how = "correct the birth date in the registration"
    age = lack("age", case.ehr.birth_date, how) if Need.AGE in needs else ()
    return (*age, *(sex_lack(case) if Need.SEX in needs else ()))


def _could_not_tell(pathway: str, title: str, reason: str, *missing: Missing) -> CouldNotTell:
    """A pathway's answer where something that it needs is missing, and how to get it."""
    lacking = tuple(f"{m.what}: {m.why}" for m in missing)
    return CouldNotTell(pathway, title, reason, lacking, tuple(f"{m.what}: {m.how}" for m in missing))


def words(item: ClinicalItem) -> str:
    """A coded item in its own words with its code; what its code is called first where those do not say it.

    The words of a prescription are mostly its dose alone.
    """
    text, display = item.text, item.code.display
    if display and text and not _says(text, display):
        text = display if _says(display, text) else f"{display}, {text}"
    return f"{text or display or 'coded item'} ({item.code.code})"


def _says(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


def age_years(born: date, on: date) -> int:
    """Completed years on a day; negative before birth."""
    on_or_after = on.month > born.month or (on.month == born.month and on.day >= born.day)
    return on.year - born.year - (0 if on_or_after else 1)


def years_between(start: date, end: date) -> float:
    """Years from one day to a later one, not below 0: whole on the anniversary, more on the day after."""
    whole = age_years(start, end)
    if whole < 0:
        return 0.0
    return whole + (end - add_months(start, 12 * whole)).days / 366


def add_months(start: date, months: int) -> date:
    """The day `months` later; where that month is too short, the first of the next: never too early."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    try:
        return date(year, month + 1, start.day)
    except ValueError:
        return date(year, month + 2, 1)

"""What pathways share: findings of a case, facts as values used or as missing, and days between dates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from cds.codes import ValueSet
from cds.condition_codes import PALLIATIVE_CARE
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, Fact, Known, NotFoundSince
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.identity import Sex
from cds.domain.recommendation import Case, CouldNotTell, InputUsed, NothingToSay, Recommendation, RiskResult
from cds.pathways import markdown as md

T = TypeVar("T")


class Need(StrEnum):
    """What a pathway cannot do without: where it is not known, the pathway could not tell (SAFETY section 6)."""

    AGE = "age"
    SEX = "sex"


#: The sexes that guidelines have limits for; any other says nothing about which of them to take.
_BINARY = (Sex.FEMALE, Sex.MALE)

#: A request that is open for longer was forgotten, rather than waits to be carried out.
_REQUEST_STANDS_MONTHS = 12

#: How an absence that was searched for stands among the values used.
NONE_FOUND = "none found"


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a pathway would need, why it is not known, and how to get it."""

    what: str
    why: str
    how: str

    def sentence(self) -> str:
        """For the reader, as plain text."""
        return f"{self.what}: {self.why}. How to get it: {self.how}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured finding with the model that measured it."""

    finding: Finding
    value: Quantity
    by: Findings


@dataclass(frozen=True, slots=True)
class Part:
    """What one step of a guideline adds to the card: a suggestion, or why there is none.

    `note` tells the reader, with values of the record; `why` is the same without them, for `cds why`.
    """

    recommendation: Recommendation | None = None
    note: str = ""
    why: str = ""
    used: tuple[InputUsed, ...] = ()
    missing: tuple[Missing, ...] = ()
    risks: tuple[RiskResult, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding that is there or was not detected, with the model that looked."""

    finding: Finding
    by: Findings

    @property
    def present(self) -> bool:
        """Whether it is there; that it was not detected excludes nothing (SAFETY section 6)."""
        return self.finding.presence is Presence.PRESENT


def findings(case: Case, *codes: Coding) -> Iterator[Seen]:
    """Every finding of some codes that was evaluated, whichever model found it, in the order of the answers."""
    for outcome in case.outcomes:
        if isinstance(outcome, Findings):
            for finding in outcome.findings:
                if finding.presence is not Presence.NOT_EVALUATED and any(finding.code.same(code) for code in codes):
                    yield Seen(finding, outcome)


def values(case: Case, *codes: Coding) -> Iterator[Measured]:
    """Every finding of some codes that has a value, measured or present."""
    for seen in findings(case, *codes):
        if seen.finding.value is not None and seen.finding.presence is not Presence.NOT_DETECTED:
            yield Measured(seen.finding, seen.finding.value, seen.by)


def refused(case: Case, *codes: Coding) -> tuple[str, ...]:
    """Why findings of some codes were not evaluated, where a model that could have looked at them refused."""
    return tuple(
        dict.fromkeys(
            f"{outcome.model}: {finding.reason}"
            for outcome in case.outcomes
            if isinstance(outcome, Findings)
            for finding in outcome.findings
            if finding.presence is Presence.NOT_EVALUATED and any(finding.code.same(code) for code in codes)
        )
    )


def where(case: Case, seen: Seen | Measured) -> str:
    """Where a finding comes from, as the source of a value: modality, day of the images, model and version."""
    return f"{case.modality} {case.study_date}, {seen.by.model} {seen.by.version}"


def measured(case: Case, model: str, code: Coding) -> Measured | NotEvaluated | None:
    """The value that a model measured, the model's refusal, or None where the model did not look at the study."""
    outcomes = [outcome for outcome in case.outcomes if outcome.model == model]
    for outcome in (o for o in outcomes if isinstance(o, Findings)):
        for finding in outcome.findings:
            if finding.code.same(code) and finding.presence is Presence.MEASURED and finding.value is not None:
                return Measured(finding, finding.value, outcome)
    return next((_refusal(outcome, code) for outcome in outcomes), None)


def _refusal(outcome: Findings | NotEvaluated, code: Coding) -> NotEvaluated:
    if isinstance(outcome, NotEvaluated):
        return outcome
    reason = next((f.reason for f in outcome.findings if f.code.same(code) and f.reason), "it gave no such value")
    return NotEvaluated(outcome.model, outcome.version, (reason,))


def use(name: str, fact: Fact[T], show: Callable[[T], str]) -> tuple[InputUsed, ...]:
    """A fact as the value that a decision rests on; an absence that was searched for is a value, an unknown is none."""
    if isinstance(fact, Known):
        return (InputUsed(name, show(fact.value), fact.effective, fact.source),)
    if isinstance(fact, NotFoundSince):
        reach = f" since {fact.since}" if fact.since else ""
        return (InputUsed(name, NONE_FOUND, None, f"searched {' and '.join(fact.searched)}{reach}"),)
    return ()


def used(item: InputUsed) -> str:
    """One value with its date and source, or where it was searched for, as Markdown."""
    dated = "" if item.value == NONE_FOUND else f"{md.day(item.effective)}; "
    return f"{md.escape(item.name)}: {md.escape(item.value)} ({dated}{md.escape(item.source)})"


def lack(what: str, fact: Fact[T], how: str) -> tuple[Missing, ...]:
    """A fact that is not known, as missing; nothing where it is known."""
    if isinstance(fact, Known):
        return ()
    why = fact.sentence(what) if isinstance(fact, NotFoundSince) else fact.reason
    return (Missing(what, why, how),)


def age_lack(case: Case) -> tuple[Missing, ...]:
    """The age as missing where the birth date is not known (SAFETY section 1); nothing where it is."""
    return lack("age", case.ehr.birth_date, "correct the birth date in the registration")


def sex_lack(case: Case) -> tuple[Missing, ...]:
    """The sex as missing where it is neither female nor male: it is never taken for one of them."""
    sex, how = case.ehr.sex, "ask the patient which limits apply, or correct the sex in the registration"
    if isinstance(sex, Known) and sex.value not in _BINARY:
        return (Missing("sex", f"it is recorded as {sex.value.value}", how),)
    return lack("sex", sex, how)


def unfit(
    pathway: str, title: str, needs: Collection[Need], case: Case, *, urgent: bool = False
) -> NothingToSay | CouldNotTell | None:
    """Why no pathway may speak of this patient, or not this one; None where it may (SAFETY sections 1 and 6).

    One that is urgent speaks in palliative care too.
    """
    deceased, born = case.ehr.deceased, case.ehr.birth_date
    if isinstance(deceased, Known) and deceased.value:
        return NothingToSay(pathway, "the patient is recorded as deceased")
    if not urgent and isinstance(case.ehr.condition(PALLIATIVE_CARE.name), Known):
        return NothingToSay(pathway, "palliative or hospice care is on record")
    if isinstance(born, Known) and born.value > case.study_date:
        doubt = Missing("age", "the birth date lies after the day of the images", "find out whose images these are")
        return could_not_tell(pathway, title, "the birth date contradicts the images", doubt)
    lacking = (*(age_lack(case) if Need.AGE in needs else ()), *(sex_lack(case) if Need.SEX in needs else ()))
    if lacking:
        return could_not_tell(pathway, title, f"it needs the {' and the '.join(m.what for m in lacking)}", *lacking)
    return None


def could_not_tell(pathway: str, title: str, reason: str, *missing: Missing) -> CouldNotTell:
    """A pathway's answer where something that it needs is missing, and how to get it."""
    lacking = tuple(f"{m.what}: {m.why}" for m in missing)
    return CouldNotTell(pathway, title, reason, lacking, tuple(f"{m.what}: {m.how}" for m in missing))


def ordered(case: Case, value_set: ValueSet) -> Known[ClinicalItem] | None:
    """The open request of the last twelve months that a suggestion would repeat; None where there is none."""
    request = case.ehr.request(value_set.name)
    if not isinstance(request, Known) or request.effective is None:
        return None
    return request if add_months(request.effective, _REQUEST_STANDS_MONTHS) >= case.today else None


def words(item: ClinicalItem) -> str:
    """A coded item in its own words with its code."""
    text = item.text or item.code.display or "coded item"
    return f"{text} ({item.code.code})"


def age_years(born: date, on: date) -> int:
    """Completed years on a day; negative before birth."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


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

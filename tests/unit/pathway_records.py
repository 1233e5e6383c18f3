"""Records for tests of pathways: all that a pathway asks was searched for and not found, but what a test says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import strategies as st

from cds.codes import ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import ClinicalItem, EhrData, Fact, Known, Measurement, Unknown
from cds.domain.finding import Change, Finding, Findings, Presence
from cds.domain.order import Priority
from cds.domain.recommendation import Advice, Case, CouldNotTell, NothingToSay, PathwayOutcome
from cds.pathways import Pathway
from tests.unit.clinical import NOT_FOUND, SOURCE, STUDY_DATE, STUDY_UID, TODAY, ehr

#: What a value set is asked as → where `EhrData` keeps the answer.
_KEPT = {
    "condition": "conditions",
    "symptom": "symptoms",
    "procedure": "procedures",
    "measurement": "measurements",
    "medication": "medications",
    "request": "requests",
    "family-history": "family_history",
}
_URGENCY = (Priority.ROUTINE, Priority.URGENT, Priority.ASAP, Priority.STAT)
MODEL_LIMIT = "A limit of the model."


def record(
    asks: Iterable[ValueSet], facts: Mapping[ValueSet, Fact[object]] | None = None, **changes: object
) -> EhrData:
    """A record in which only these facts were found."""
    kept: dict[str, dict[str, object]] = {name: {} for name in _KEPT.values()}
    for one in asks:
        if one.kind in _KEPT:  # an answer, such as the smoking status, is a field of its own
            kept[_KEPT[one.kind]][one.name] = NOT_FOUND
    for one, fact in (facts or {}).items():
        kept[_KEPT[one.kind]][one.name] = fact
    return ehr(**kept, **changes)


def item(on: date | None = date(2025, 5, 6), text: str = "As written") -> Known[ClinicalItem]:
    """Something of the record, whatever its code."""
    return Known(ClinicalItem(Coding("urn:test", "1"), text), on, SOURCE)


def value(number: float, unit: str, on: date | None = date(2026, 9, 1)) -> Known[Measurement]:
    """A result of the laboratory or of the ward."""
    return Known(Measurement(Coding("urn:test", "1"), Quantity(number, unit)), on, SOURCE)


def measured(
    code: Coding, number: float, unit: str, *, key: str = "key", change: Change | None = None, **more: object
) -> Findings:
    """A model's answer with one measured finding."""
    finding = Finding(key, code, Presence.MEASURED, Quantity(number, unit), change=change, **more)
    return answer(finding)


def answer(*findings: Finding) -> Findings:
    """A model's answer."""
    return Findings("some_model", "1.0.0", f"{STUDY_UID}.2", findings, (MODEL_LIMIT,))


def changed(absolute: float, unit: str, days: int, beyond: bool | None = True) -> Change:
    """The same finding earlier."""
    before = STUDY_DATE - timedelta(days=days)
    yearly = absolute / days * 365.25 if days >= 30 else None
    return Change("1.2.3", before, days, Quantity(40.0, unit), absolute, per_year=yearly, beyond_error=beyond)


def study(data: EhrData, *outcomes: Findings, site: Mapping[str, str] | None = None, today: date = TODAY) -> Case:
    """A CT of STUDY_DATE."""
    return Case(STUDY_DATE, STUDY_UID, "CT", outcomes, data, today, dict(site or {}))


def advice(outcome: PathwayOutcome) -> Advice:
    """The outcome as an advice; fails where it is none."""
    assert isinstance(outcome, Advice), outcome
    return outcome


def nothing(outcome: PathwayOutcome) -> NothingToSay:
    """The outcome as nothing to say; fails where it is not."""
    assert isinstance(outcome, NothingToSay), outcome
    return outcome


def untold(outcome: PathwayOutcome) -> CouldNotTell:
    """The outcome as one that could not be told; fails where it is not."""
    assert isinstance(outcome, CouldNotTell), outcome
    return outcome


def keys(outcome: PathwayOutcome) -> tuple[str, ...]:
    """The keys of the steps, none where it is no advice."""
    return tuple(one.key for one in outcome.recommendations) if isinstance(outcome, Advice) else ()


def held(outcome: PathwayOutcome, rule: str) -> bool | None:
    """How a rule came out when it was applied last; fails where it was not applied."""
    return [step.held for step in outcome.steps if step.rule == rule][-1]


def urgency(outcome: PathwayOutcome) -> int:
    """How urgent the most urgent step is; -1 where there is none."""
    steps = outcome.recommendations if isinstance(outcome, Advice) else ()
    return max((_URGENCY.index(one.priority) for one in steps), default=-1)


def missing(outcome: PathwayOutcome) -> str:
    """Everything that is said to be missing, as one text."""
    return "\n".join(outcome.missing) if isinstance(outcome, Advice | CouldNotTell) else ""


def without(data: EhrData, one: ValueSet) -> EhrData:
    """The same record, of which one value set could not be asked."""
    return with_fact(data, one, Unknown("nobody could be asked"))


def with_fact(data: EhrData, one: ValueSet, fact: Fact[object]) -> EhrData:
    """The same record with one other fact."""
    name = _KEPT[one.kind]
    return replace(data, **{name: getattr(data, name) | {one.name: fact}})


def records(
    pathway: Pathway, numbers: Mapping[str, tuple[float, float]], **changes: object
) -> st.SearchStrategy[EhrData]:
    """Random records of what a pathway asks: found, not found, or unknown; results of the laboratory in ranges."""

    def facts(one: ValueSet) -> st.SearchStrategy[Fact[object]]:
        days = st.dates(date(2026, 6, 1), TODAY) | st.dates(date(2022, 1, 1), TODAY) | st.none()
        if one.kind == "measurement":
            low, high = numbers[one.name]
            found = st.builds(lambda number, on: value(number, one.unit, on), st.floats(low, high), days)
        else:
            found = days.map(item)
        absent = st.sampled_from((NOT_FOUND, Unknown("nobody could be asked")))
        return st.one_of(found, found, absent) if one.kind == "measurement" else st.one_of(absent, absent, found)

    coded = [one for one in pathway.asks if one.kind in _KEPT]
    chosen = st.tuples(*map(facts, coded))
    return chosen.map(lambda told: record(pathway.asks, dict(zip(coded, told, strict=True)), **changes))


def is_as_good(before: PathwayOutcome, after: PathwayOutcome, title: str) -> bool:
    """Whether an answer that lost an input is no milder, or says that something is missing."""
    return isinstance(after, CouldNotTell) or urgency(after) >= urgency(before) or title in missing(after)

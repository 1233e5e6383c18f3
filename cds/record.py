"""From statements to `EhrData`: the newest valid value per question, dated, with its source (SAFETY section 6).

The rules, in the order in which they are applied:

1. Of several statements with one key from one source the last received counts; entered-in-error removes it.
2. A value dated in the future is not used; the reason is given where nothing else is found.
3. The newest effective date wins; an undated value is older than every dated one. Where the newest cannot be read the
   answer is unknown, with the reason: an older value is told, but does not stand in for it.
4. A disease that is provisional, differential or a working diagnosis alone is not known: it is suspected since a day.
5. Two values that contradict each other ("never smoked", yet pack-years) are settled for the newer; the other becomes
   unknown with the reason. Of the same age, or undated, neither is believed.
6. What was not found is NotFoundSince if somebody was asked, Unknown if nobody was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

from cds import codes, units
from cds.codes import ValueSet
from cds.domain.coding import Coding, Quantity
from cds.domain.ehr import (
    ClinicalItem,
    EhrData,
    Fact,
    Known,
    Measurement,
    NotFoundSince,
    SmokingStatus,
    Unknown,
)
from cds.domain.identity import Patient, Sex
from cds.domain.message import RecordStatements, RecordValue, Searched, Statement
from cds.errors import InvalidInput

T = TypeVar("T")

DEMOGRAPHICS = "patient demographics"

#: Where the site's day is not given: a site east of UTC may already live in tomorrow.
_CLOCK_TOLERANCE = timedelta(days=1)
#: A feed that is younger has hardly told anything of a patient.
_YOUNG = timedelta(days=30)
_PRELIMINARY = "preliminary"
_STATUS_RANK = {_PRELIMINARY: 0, "final": 1, "corrected": 2, "entered-in-error": 3}
_CONTRADICTION = "contradicts a value of the same age or without a date: ask the patient"


@dataclass(frozen=True, slots=True)
class _Valid:
    """The statements that count on a day, and who was asked."""

    statements: tuple[Statement, ...]
    searched: tuple[Searched, ...]
    latest: date

    def newest_first(self, value_set: ValueSet) -> list[Statement]:
        """What was stated about one question, the newest first."""
        stated = [s for s in self.statements if value_set.contains(s.value.code)]
        return sorted(stated, key=_age, reverse=True)

    def is_future(self, day: date | None) -> bool:
        return day is not None and day > self.latest

    def of_status(self, value_set: ValueSet, *, suspected: bool) -> _Valid:
        """Only what is confirmed of one question, or only what is suspected."""
        kept = (s for s in self.newest_first(value_set) if (s.value.status == _PRELIMINARY) is suspected)
        return replace(self, statements=tuple(kept))


def merge(*records: RecordStatements) -> RecordStatements:
    """Several records of one patient as one, whatever wires they came by."""
    return RecordStatements(
        tuple(statement for record in records for statement in record.statements),
        tuple(searched for record in records for searched in record.searched),
    )


def suspicion(condition: str) -> str:
    """The name under which `EhrData.conditions` holds a disease that is suspected and not confirmed."""
    return f"suspected-{condition}"


def assemble(patient: Patient, record: RecordStatements, *, now: datetime, today: date | None = None) -> EhrData:
    """Everything that pathways and scores may ask about one patient, as of `now`, which is `today` at the site."""
    sets = codes.loaded()
    latest = now.date() + _CLOCK_TOLERANCE if today is None else today
    valid = _Valid(_standing(record.statements), record.searched, latest)
    status = _value(valid, sets[codes.SMOKING_STATUS.name], _smoking_status)
    pack_years = _value(valid, sets[codes.PACK_YEARS.name], _pack_years)
    quit_date = _value(valid, sets[codes.QUIT_DATE.name], lambda value: _quit_date(value, valid))
    status, pack_years, quit_date = _settled(status, pack_years, quit_date)
    items = {
        kind: {name: _item(valid, value_set) for name, value_set in sets.items() if value_set.kind == kind}
        for kind in ("procedure", "symptom", "allergy")
    }
    diseases = (_conditions(valid, value_set) for value_set in sets.values() if value_set.kind == "condition")
    return EhrData(
        birth_date=_demographic(patient.birth_date, "the birth date"),
        sex=_demographic(None if patient.sex is Sex.UNKNOWN else patient.sex, "the sex"),
        deceased=_demographic(patient.deceased, "whether the patient is alive"),
        smoking_status=status,
        pack_years=pack_years,
        quit_date=quit_date,
        measurements={
            name: _value(valid, value_set, partial(_measurement, value_set))
            for name, value_set in sets.items()
            if value_set.kind == "measurement"
        },
        conditions={name: fact for facts in diseases for name, fact in facts.items()},
        procedures=items["procedure"],
        symptoms=items["symptom"],
        assembled_at=now,
        allergies=items["allergy"],
        pregnancy=_value(valid, sets[codes.PREGNANCY.name], _pregnancy),
    )


def _demographic(value: T | None, what: str) -> Fact[T]:
    if value is None:
        return Unknown(f"{what} is not in the {DEMOGRAPHICS}")
    return Known(value, None, DEMOGRAPHICS)


def _standing(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """One statement per source and key: the last received, unless that one withdraws it."""
    last: dict[tuple[str, str], Statement] = {}
    for index, statement in enumerate(statements):
        key = (statement.source, statement.value.key or f"#{index}")
        if key not in last or _received(statement) >= _received(last[key]):
            last[key] = statement
    return tuple(s for s in last.values() if s.value.status != "entered-in-error")


def _received(statement: Statement) -> tuple[datetime, int]:
    return statement.received_at, _STATUS_RANK.get(statement.value.status, 0)


def _age(statement: Statement) -> tuple[date, datetime, int]:
    return statement.value.effective or date.min, *_received(statement)


def _value(valid: _Valid, value_set: ValueSet, read: Callable[[RecordValue], T]) -> Fact[T]:
    """The newest value; where that one cannot be read, why, and what the one before it said."""
    stated = valid.newest_first(value_set)
    timely = [statement for statement in stated if not valid.is_future(statement.value.effective)]
    if not timely:
        future = Unknown(f"{value_set.title} was found but cannot be used: it is dated in the future")
        return future if stated else _absent(valid, value_set)
    newest, *older = timely
    try:
        return Known(read(newest.value), newest.value.effective, newest.source)
    except InvalidInput as error:
        found = f"{value_set.title} was found ({_on(newest.value.effective)}) but cannot be used: {error}"
        return Unknown(found + _before(older, read))


def _before(older: Iterable[Statement], read: Callable[[RecordValue], T]) -> str:
    """What the newest readable one of older statements said: it is history, and does not stand in for today."""
    for statement in older:
        try:
            said = read(statement.value)
        except InvalidInput:
            continue
        return f"; an older value, not taken as current, was: {_words(said)} ({_on(statement.value.effective)})"
    return ""


def _words(said: object) -> str:
    if isinstance(said, Measurement):
        return f"{said.quantity.value:g} {said.quantity.unit}"
    return f"{said.value:g}" if isinstance(said, Quantity) else str(said)


def _on(day: date | None) -> str:
    return day.isoformat() if day else "no date"


def _conditions(valid: _Valid, value_set: ValueSet) -> dict[str, Fact[ClinicalItem]]:
    """A disease, and beside it the suspicion of one that nobody has confirmed.

    A suspicion makes the disease unknown unless it is confirmed, or was refuted since.
    """
    confirmed = _item(valid.of_status(value_set, suspected=False), value_set)
    suspected = _item(valid.of_status(value_set, suspected=True), value_set)
    refuted_since = _item(valid, value_set) == confirmed
    if isinstance(confirmed, Known) or not isinstance(suspected, Known) or refuted_since:
        return {value_set.name: confirmed}
    since = f" since {suspected.effective}" if suspected.effective else ""
    doubt = Unknown(f"{value_set.title} is suspected{since} ({suspected.source}), not confirmed")
    return {value_set.name: doubt, suspicion(value_set.name): suspected}


def _item(valid: _Valid, value_set: ValueSet) -> Fact[ClinicalItem]:
    """The newest item, unless the newest thing said is that there is none."""
    fact = _value(valid, value_set, lambda value: value)
    if not isinstance(fact, Known):
        return fact
    if isinstance(fact.value.value, Coding | str) and codes.is_negative(fact.value.value):
        recorded = f"recorded as absent on {fact.effective}" if fact.effective else "recorded as absent, undated"
        return NotFoundSince((f"{fact.source} ({recorded})",), None)
    text = fact.value.value if isinstance(fact.value.value, str) else ""
    return Known(ClinicalItem(fact.value.code, text or fact.value.code.display), fact.effective, fact.source)


def _absent(valid: _Valid, value_set: ValueSet) -> NotFoundSince | Unknown:
    """Who was asked and since when they know anything; one that has been heard for days only says so.

    Sources of one reach share it; where they differ each carries its own date, so that none seems to reach further
    than it does, and `since` is None.
    """
    asked: dict[str, date | None] = {}
    for source in valid.searched:
        if source.covers is None or value_set.name in source.covers:
            asked[source.source] = _longer(asked.get(source.source, source.since), source.since)
    if not asked:
        return Unknown(f"no source was asked for {value_set.title}")
    reaches = set(asked.values())
    if len(reaches) > 1:
        return NotFoundSince(tuple(f"{n} ({_reach(since, valid.latest)})" for n, since in asked.items()), None)
    since = reaches.pop()
    few = _few_days(since, valid.latest)
    return NotFoundSince(tuple(f"{name} ({few})" if few else name for name in asked), since)


def _longer(one: date | None, other: date | None) -> date | None:
    return None if one is None or other is None else min(one, other)


def _reach(since: date | None, latest: date) -> str:
    if since is None:
        return "whole record"
    return ", ".join(filter(None, (f"since {since.isoformat()}", _few_days(since, latest))))


def _few_days(since: date | None, latest: date) -> str:
    """That a source knows little, where it does; empty where its reach speaks for itself."""
    if since is None or latest - since >= _YOUNG:
        return ""
    days = max((latest - since).days, 0) + 1
    return f"heard for {days} day{'s' if days > 1 else ''} only"


def _smoking_status(value: RecordValue) -> SmokingStatus:
    status = codes.smoking_status(value.value) if isinstance(value.value, Coding) else None
    if status is None:
        raise InvalidInput("want an answer code of LOINC 72166-2")
    return status


def _pack_years(value: RecordValue) -> Quantity:
    if not isinstance(value.value, Quantity):
        raise InvalidInput("want a number of pack-years")
    # The code itself counts pack-years: a sender that leaves the unit out has said it already.
    unit = codes.PACK_YEARS.unit if value.value.unit in {"", "1"} else value.value.unit
    quantity = units.convert(Quantity(value.value.value, unit), codes.PACK_YEARS.unit)
    if not 0 <= quantity.value < float("inf"):
        raise InvalidInput("want a number of pack-years that is not negative")
    return quantity


def _measurement(value_set: ValueSet, value: RecordValue) -> Measurement:
    """A number in the unit of its value set; one that came without a unit is a number only where the set counts none.

    A preliminary value counts like any other: it says what was measured, and a correction replaces it.
    """
    if not isinstance(value.value, Quantity):
        raise InvalidInput("want a number with a unit")
    unit = value.value.unit or ("1" if value_set.unit == "1" else "")
    if not unit:
        raise InvalidInput("want its unit, none was sent")
    sent = Quantity(value.value.value, unit)
    quantity = units.convert(sent, value_set.unit, grams_per_mole=value_set.grams_per_mole)
    if not 0 <= quantity.value < float("inf"):
        raise InvalidInput("want a number that is not negative")
    return Measurement(value.code, quantity)


def _pregnancy(value: RecordValue) -> bool:
    """An answer to the question, or a condition that says it: there "no" stands only where it is stated."""
    if value.status == _PRELIMINARY:
        raise InvalidInput("want it confirmed, it is provisional")
    asked = codes.system(value.code.system) == codes.LOINC
    if not asked:
        return not (isinstance(value.value, Coding | str) and codes.is_negative(value.value))
    answer = codes.is_pregnant(value.value) if isinstance(value.value, Coding | str) else None
    if answer is None:
        raise InvalidInput("want an answer that says pregnant or not")
    return answer


def _quit_date(value: RecordValue, valid: _Valid) -> date:
    if not isinstance(value.value, date):
        raise InvalidInput("want a date of quitting")
    if valid.is_future(value.value):
        raise InvalidInput("it lies in the future")
    return value.value


def _settled(
    status: Fact[SmokingStatus], pack_years: Fact[Quantity], quit_date: Fact[date]
) -> tuple[Fact[SmokingStatus], Fact[Quantity], Fact[date]]:
    """Rule 5: never smoked excludes pack-years and a quit date; smoking now excludes having quit."""
    never, now = _says(status, SmokingStatus.NEVER), _says(status, SmokingStatus.CURRENT)
    if never and isinstance(pack_years, Known) and pack_years.value.value > 0:
        status, pack_years = _newer(status, "smoking status", pack_years, "pack-years")
    if (never or now) and isinstance(status, Known) and isinstance(quit_date, Known):
        status, quit_date = _newer(status, "smoking status", quit_date, "the date of quitting")
    return status, pack_years, quit_date


def _says(status: Fact[SmokingStatus], which: SmokingStatus) -> bool:
    return isinstance(status, Known) and status.value is which


U = TypeVar("U")


def _newer(one: Fact[T], one_name: str, other: Fact[U], other_name: str) -> tuple[Fact[T], Fact[U]]:
    first, second = _effective(one), _effective(other)
    if first and second and first != second:
        if first > second:
            return one, Unknown(f"{other_name} of {second} contradicts {one_name} of {first}, which is newer")
        return Unknown(f"{one_name} of {first} contradicts {other_name} of {second}, which is newer"), other
    return Unknown(f"{one_name} {_CONTRADICTION}"), Unknown(f"{other_name} {_CONTRADICTION}")


def _effective(fact: Fact[T]) -> date | None:
    return fact.effective if isinstance(fact, Known) else None

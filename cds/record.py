"""From statements to `EhrData`: the newest valid value per question, dated, with its source (SAFETY section 6).

The rules, in the order in which they are applied:

1. Of several statements with one key from one source the last received counts; entered-in-error removes it.
2. What was ordered, what runs in the family, drugs, vaccinations and allergies answer questions of their own kind
   alone: a relative's disease is not the patient's, and an order is nothing that was done.
3. A value dated in the future is not used; the reason is given where nothing else is found.
4. The newest effective date wins; an undated value is older than every dated one; of one day the last received. Where
   the newest cannot be read the answer is unknown, with the reason: an older value is told, but does not stand in.
5. What several sources state alike, of one day, is one fact, and its source names them all.
6. In a list (allergies, drugs, vaccinations, relatives, orders) each entry stands for itself: what says that there is
   none takes back its own code, or with "no known allergies" what nobody listed, and never another entry.
7. A disease that is provisional, differential or a working diagnosis alone is not known: it is suspected since a day.
8. Two values that contradict each other ("never smoked", yet pack-years) are settled for the newer; the other becomes
   unknown with the reason. Of the same age, or undated, neither is believed.
9. What was not found is NotFoundSince if somebody was asked and nobody who may hold it was away; Unknown, with the
   reason, if nobody was asked, or if a source that would have been asked was away. What another source stated stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import dropwhile
from typing import TypeVar

from cds import answers, codes, condition_codes, race
from cds.absence import Absences
from cds.answers import PRELIMINARY
from cds.codes import Index, ValueSet
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
from cds.domain.message import Demographics, RecordStatements, RecordValue, Statement
from cds.errors import InvalidInput
from cds.value_sets import Questions

T = TypeVar("T")

DEMOGRAPHICS = "patient demographics"

#: Where the site's day is not given: a site east of UTC may already live in tomorrow.
_CLOCK_TOLERANCE = timedelta(days=1)
_STATUS_RANK = {PRELIMINARY: 0, "final": 1, "corrected": 2, "entered-in-error": 3}


#: Statements that answer questions of their own kind alone, and questions that nothing else answers.
_APART = frozenset({"medication", "immunization", "family-history", "request"})
#: Kinds whose entries stand for themselves.
_LISTS = ("allergy", "medication", "immunization", "family-history", "request")


@dataclass(frozen=True, slots=True)
class _Valid:
    """The statements that count on a day by value set, the newest first, and who was asked."""

    stated: Mapping[str, tuple[Statement, ...]]
    absences: Absences
    latest: date

    def newest_first(self, value_set: ValueSet) -> tuple[Statement, ...]:
        """What was stated about one question, the newest first."""
        return self.stated.get(value_set.name, ())

    def is_future(self, day: date | None) -> bool:
        return day is not None and day > self.latest

    def of_status(self, value_set: ValueSet, *, suspected: bool) -> _Valid:
        """Only what is confirmed of one question, or only what is suspected."""
        kept = tuple(s for s in self.newest_first(value_set) if (s.value.status == PRELIMINARY) is suspected)
        return replace(self, stated={value_set.name: kept})


def merge(*records: RecordStatements) -> RecordStatements:
    """Several records of one patient as one, whatever wires they came by."""
    return RecordStatements(
        tuple(statement for record in records for statement in record.statements),
        tuple(searched for record in records for searched in record.searched),
        tuple(dict.fromkeys(source for record in records for source in record.away)),
        tuple(dict.fromkeys(unasked for record in records for unasked in record.unasked)),
        tuple(dict.fromkeys(who for record in records for who in record.demographics)),
    )


def suspicion(condition: str) -> str:
    """The name under which `EhrData.conditions` holds a disease that is suspected and not confirmed."""
    return f"suspected-{condition}"


def assemble(
    patient: Patient,
    record: RecordStatements,
    *,
    now: datetime,
    today: date | None = None,
    value_sets: Mapping[str, ValueSet] | None = None,
) -> EhrData:
    """Everything that pathways and scores may ask about one patient, as of `now`, which is `today` at the site.

    `value_sets` are the questions by name; unsaid: those of `cds.codes`.
    """
    sets = codes.loaded() if value_sets is None else value_sets
    latest = now.date() + _CLOCK_TOLERANCE if today is None else today
    valid = _Valid(_by_value_set(record.statements, sets), Absences(record, latest), latest)
    status, pack_years, quit_date = _smoking(valid)
    items = {kind: _items(valid, sets, kind) for kind in ("procedure", "symptom", *_LISTS)}
    known = (Demographics(DEMOGRAPHICS, patient.birth_date, patient.sex, patient.deceased), *record.demographics)
    return EhrData(
        birth_date=_demographic([(who.birth_date, who.source) for who in known], "the birth date"),
        sex=_demographic([(None if who.sex is Sex.UNKNOWN else who.sex, who.source) for who in known], "the sex"),
        deceased=_demographic(_dead_first(known), "whether the patient is alive"),
        smoking_status=status,
        pack_years=pack_years,
        quit_date=quit_date,
        measurements={s.name: _value(valid, s, partial(answers.measurement, s)) for s in _of(sets, "measurement")},
        conditions={name: fact for s in _of(sets, "condition") for name, fact in _conditions(valid, s).items()},
        procedures=items["procedure"],
        symptoms=items["symptom"],
        assembled_at=now,
        allergies=items["allergy"],
        pregnancy=_value(valid, codes.PREGNANCY, answers.pregnancy),
        medications=items["medication"],
        immunizations=items["immunization"],
        family_history=items["family-history"],
        requests=items["request"],
        race=race.of(_standing(filter(race.is_told, record.statements))),
    )


def _smoking(valid: _Valid) -> tuple[Fact[SmokingStatus], Fact[Quantity], Fact[date]]:
    """Rule 8."""
    status = _value(valid, codes.SMOKING_STATUS, answers.smoking_status)
    pack_years = _value(valid, codes.PACK_YEARS, answers.pack_years)
    quit_date = _value(valid, codes.QUIT_DATE, lambda value: _quit_date(value, valid))
    return answers.settled(status, pack_years, quit_date)


def _items(valid: _Valid, sets: Mapping[str, ValueSet], kind: str) -> dict[str, Fact[ClinicalItem]]:
    read = _listed if kind in _LISTS else _item
    return {
        one.name: read(valid, one) if one.name in valid.stated else valid.absences.of(one) for one in _of(sets, kind)
    }


def _of(sets: Mapping[str, ValueSet], kind: str) -> list[ValueSet]:
    return [value_set for value_set in sets.values() if value_set.kind == kind]


def _by_value_set(statements: Iterable[Statement], sets: Mapping[str, ValueSet]) -> dict[str, tuple[Statement, ...]]:
    """Rules 1 and 2: what is asked for of all that was stated, the newest first."""
    index = (
        codes.index() if sets is codes.loaded() else sets.index if isinstance(sets, Questions) else Index(sets.values())
    )
    found: dict[str, list[Statement]] = {}
    # Charts repeat codes, and whoever reads them makes each once.
    answered: dict[tuple[int, str], tuple[str, ...]] = {}
    for statement in _standing(statements):
        value = statement.value
        key = (id(value.code), value.category)
        if (names := answered.get(key)) is None:
            names = answered[key] = _answered(value, sets, index)
        for name in names:
            found.setdefault(name, []).append(statement)
    return {name: tuple(sorted(stated, key=_age, reverse=True)) for name, stated in found.items()}


def _answered(value: RecordValue, sets: Mapping[str, ValueSet], index: Index) -> tuple[str, ...]:
    """The names of the value sets that a value answers, by its code and category."""
    nothing = value.category == "allergy" and codes.is_no_known_allergy(value.code)
    asked = _of(sets, "allergy") if nothing else index.find(value.code)
    return tuple(value_set.name for value_set in asked if _answers(value_set, value))


def _answers(value_set: ValueSet, value: RecordValue) -> bool:
    category = "family-history" if condition_codes.is_of_family(value.code) else value.category
    if value_set.kind in _APART or category in _APART:
        return category == value_set.kind
    return category != "allergy" or value_set.kind == "allergy"


def _demographic(told: Sequence[tuple[T | None, str]], what: str) -> Fact[T]:
    """The first that says it: our own record before the others'."""
    for value, source in told:
        if value is not None:
            return Known(value, None, source)
    return Unknown(f"{what} is not in the {' or in '.join(source for _, source in told)}")


def _dead_first(known: Sequence[Demographics]) -> list[tuple[bool | None, str]]:
    """Deceased is who is so for anybody: the others may not have heard."""
    return sorted(((who.deceased, who.source) for who in known), key=lambda told: told[0] is not True)


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
    value = statement.value
    return value.effective or date.min, statement.received_at, _STATUS_RANK.get(value.status, 0)


def _value(valid: _Valid, value_set: ValueSet, read: Callable[[RecordValue], T]) -> Fact[T]:
    """The newest value; where that one cannot be read, why, and what the one before it said."""
    stated = valid.newest_first(value_set)
    # The newest come first: those of the future before all others.
    timely = tuple(dropwhile(lambda statement: valid.is_future(statement.value.effective), stated))
    if not timely:
        future = Unknown(f"{value_set.title} was found but cannot be used: it is dated in the future")
        return future if stated else valid.absences.of(value_set)
    newest, *older = timely
    try:
        said = read(newest.value)
    except InvalidInput as error:
        found = f"{value_set.title} was found ({_on(newest.value.effective)}) but cannot be used: {error}"
        return Unknown(found + _before(older, read))
    return Known(said, newest.value.effective, _sources(newest, said, older, read))


def _sources(newest: Statement, said: T, older: Iterable[Statement], read: Callable[[RecordValue], T]) -> str:
    """Rule 5: everybody who states the same of the same day, the one that is believed first."""
    named = {newest.source: None}
    for other in older:
        if other.source in named or other.value.effective != newest.value.effective:
            continue
        try:
            alike = _plain(read(other.value)) == _plain(said)
        except InvalidInput:
            continue
        if alike:
            named[other.source] = None
    return " and ".join(named)


def _plain(said: object) -> object:
    """What two statements of one fact have in common: numbers may have been converted, keys are each sender's own."""
    if isinstance(said, Measurement):
        return f"{said.quantity.value:.4g}"
    if isinstance(said, RecordValue):
        return codes.system(said.code.system), said.code.code, _is_negative(said)
    return said


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
    if value_set.name not in valid.stated:
        return {value_set.name: valid.absences.of(value_set)}
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
    if _is_negative(fact.value):
        recorded = f"recorded as absent on {fact.effective}" if fact.effective else "recorded as absent, undated"
        return NotFoundSince((f"{fact.source} ({recorded})",), None)
    text = fact.value.value if isinstance(fact.value.value, str) else ""
    return Known(ClinicalItem(fact.value.code, text or fact.value.code.display), fact.effective, fact.source)


def _listed(valid: _Valid, value_set: ValueSet) -> Fact[ClinicalItem]:
    """Rule 6: the newest entry that stands; that there is none only where no entry stands."""
    newest: dict[tuple[str, str], Statement] = {}
    for statement in valid.newest_first(value_set):
        if not valid.is_future(statement.value.effective):
            newest.setdefault((codes.system(statement.value.code.system), statement.value.code.code), statement)
    standing = {code: s for code, s in newest.items() if not _is_negative(s.value)}
    kept = tuple(
        s
        for s in valid.newest_first(value_set)
        if not standing or (codes.system(s.value.code.system), s.value.code.code) in standing
    )
    return _item(replace(valid, stated={value_set.name: kept}), value_set)


def _is_negative(value: RecordValue) -> bool:
    said_none = value.category == "allergy" and codes.is_no_known_allergy(value.code)
    return said_none or (isinstance(value.value, Coding | str) and codes.is_negative(value.value))


def _quit_date(value: RecordValue, valid: _Valid) -> date:
    if not isinstance(value.value, date):
        raise InvalidInput("want a date of quitting")
    if valid.is_future(value.value):
        raise InvalidInput("it lies in the future")
    return value.value

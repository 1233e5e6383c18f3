"""Race and ethnicity as the CDC codes them (CDCREC), for the few published scores that have a term for either.

It is said by people of themselves, so nothing is guessed: one category is believed, several or none are not. Those
scores count Hispanic or Latino among the races, apart from white, black and Asian: who is Hispanic and of no other
race than white is told as Hispanic.
"""

from __future__ import annotations

from collections.abc import Iterable

from cds.domain.coding import Coding
from cds.domain.ehr import Fact, Known, Unknown
from cds.domain.message import RecordValue, Statement

#: THO, code system CDCREC, which HL7 v2 table 0005 repeats (https://terminology.hl7.org/ValueSet-v2-0005.html).
CDCREC = "urn:oid:2.16.840.1.113883.6.238"
#: By what the statement of a race is told from others.
STATED = Coding("http://loinc.org", "32624-9", "Race")
#: US Core, value set omb-race-category, with "other race".
CATEGORIES = {
    code: Coding(CDCREC, code, display)
    for code, display in (
        ("1002-5", "American Indian or Alaska Native"),
        ("2028-9", "Asian"),
        ("2054-5", "Black or African American"),
        ("2076-8", "Native Hawaiian or Other Pacific Islander"),
        ("2106-3", "White"),
        ("2131-1", "Other Race"),
    )
}
#: US Core, value set omb-ethnicity-category.
HISPANIC = Coding(CDCREC, "2135-2", "Hispanic or Latino")
NOT_HISPANIC = Coding(CDCREC, "2186-5", "Not Hispanic or Latino")
#: Every code that is read.
KNOWN = CATEGORIES.keys() | {HISPANIC.code, NOT_HISPANIC.code}
#: Not asked, asked and not known, not answered: they say nothing (US Core; HL7 v2 tables 0005 and 0189 as sent).
_NOTHING = frozenset({"", "UNK", "ASKU", "NASK", "U", "PHC1175"})
#: A race of which nobody here knows which it is.
_ANOTHER = "another"
#: What a Hispanic may be beside it for these scores: white, and what is no race of its own.
_BESIDE_HISPANIC = frozenset({"2106-3", "2131-1"})


def statement(key: str, codes: Iterable[str], *, taken_back: bool = False) -> RecordValue | None:
    """What a source says under a key: all the codes that it gives; None where none of them is known here.

    A code that is not known stands for another race, beside one that is: of an ethnicity give the known ones alone.
    """
    if taken_back:
        return RecordValue("observation", key, STATED, None, None, "entered-in-error")
    said = {code if code in KNOWN else _ANOTHER for code in codes if code not in _NOTHING}
    return RecordValue("observation", key, STATED, " ".join(sorted(said)), None) if said & KNOWN else None


def is_told(one: Statement) -> bool:
    """True for what `statement` makes."""
    return one.value.code.code == STATED.code and one.value.code.same(STATED)


def of(statements: Iterable[Statement]) -> Fact[Coding]:
    """The one category that all statements which stand agree on, by whoever states it; Unknown with the reason else."""
    told = [one for one in statements if is_told(one) and isinstance(one.value.value, str)]
    by = " and ".join(dict.fromkeys(one.source for one in told))
    said = {code for one in told for code in str(one.value.value).split()}
    races = said - {HISPANIC.code, NOT_HISPANIC.code}
    if {HISPANIC.code, NOT_HISPANIC.code} <= said:
        return Unknown(f"the ethnicity contradicts itself ({by})")
    if HISPANIC.code in said and races <= _BESIDE_HISPANIC:
        return Known(HISPANIC, None, by)
    if len(races) + (HISPANIC.code in said) > 1:
        return Unknown(f"several races are stated ({by})")
    category = CATEGORIES.get(next(iter(races), ""))
    return Known(category, None, by) if category else Unknown("no source states the race as a code of CDCREC")

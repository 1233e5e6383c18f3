"""Days as nearly all are written, read without the pattern that reads all of them."""

from __future__ import annotations

import itertools
from datetime import date

import pytest

from adapters.fhir import tolerant

DAYS = ("2026-11-22", "2024-02-29", "2026-02-29", "2026-13-01", "0000-01-01", "2026-W01-1", "2026-1-1", "20261122")
ODD = (
    "\N{ARABIC-INDIC DIGIT TWO}026-11-22",
    "2026-11",
    "2026",
    "-026-11-22",
    "+026-11-22",
    "2026-11- 2",
    "",
    "2026-11-2T",
)
RESTS = (
    "",
    "T",
    "T08:00:00Z",
    "T08:00:00.123+01:00",
    " 08:00",
    "t08:00",
    "Z",
    "T08:00\n",
    "T08\n:00",
    "T\N{LINE SEPARATOR}",
)


def by_pattern(said: str, needed: int) -> date | None:
    """As the pattern alone reads it, where so many of year, month and day are given."""
    match = tolerant._DAY.fullmatch(said.strip())
    return tolerant._date(match) if match and match[needed] else None


@pytest.mark.parametrize(("day", "rest"), list(itertools.product((*DAYS, *ODD), RESTS)))
def test_a_day_is_what_the_pattern_says(day: str, rest: str) -> None:
    assert tolerant.earliest_day(day + rest) == by_pattern(day + rest, 1)
    assert tolerant.full_day(day + rest) == by_pattern(day + rest, 3)


def test_a_plain_day_needs_no_pattern() -> None:
    assert tolerant.plain_day("2026-11-22T08:00:00+01:00") == date(2026, 11, 22)
    assert tolerant.plain_day("2026-11") is None


def test_codes_of_any_length_are_read_alike() -> None:
    for length in (1, 399, 400, 5000):
        concept = {"coding": [{"system": "s", "code": "c" * length}], "text": "words"}
        [found] = tolerant.codings(concept)
        assert (found.system, found.code, found.display) == ("s", "c" * length, "words")

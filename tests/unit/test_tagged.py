"""Unions that say by their kind what they are: read at once, and as they were read before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from cds.domain.ehr import Known, NotFoundSince, Unknown
from cds.domain.recommendation import CouldNotTell, NothingToSay, PathwayOutcome
from cds.store.tagged import tagged
from cds.store.values import dump, parse

#: The facts of a day.
_Fact = Known[date] | NotFoundSince | Unknown
FACTS: tuple[_Fact, ...] = (
    Known(date(2026, 11, 22), None, "LAB"),
    NotFoundSince(("HL7 LAB",), date(2026, 3, 2)),
    Unknown("nobody was asked"),
)


@dataclass(frozen=True, slots=True)
class One:
    """Has the same kind as another."""

    number: int
    kind: Literal["same"] = "same"


@dataclass(frozen=True, slots=True)
class Other:
    """Has the same kind as one."""

    word: str
    kind: Literal["same"] = "same"


@pytest.mark.parametrize("fact", FACTS)
def test_each_of_a_union_comes_back_as_it_was(fact: _Fact) -> None:
    assert parse(_Fact, dump(_Fact, fact)) == fact


def test_a_union_is_told_apart_by_its_kind() -> None:
    schema = tagged(TypeAdapter(_Fact).core_schema)
    assert sorted(_tags(schema)) == ["known", "not-found", "unknown"]


def test_what_was_stored_without_its_kind_is_read_all_the_same() -> None:
    assert parse(_Fact, '{"reason": "nobody was asked"}') == Unknown("nobody was asked")


@pytest.mark.parametrize("text", ['{"kind": "other", "reason": "x"}', '{"kind": "known", "reason": "x"}', "{", "1"])
def test_what_is_none_of_them_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse(_Fact, text)


def test_a_list_of_a_union_is_read_in_its_order() -> None:
    said: tuple[PathwayOutcome, ...] = (NothingToSay("a", "idle"), CouldNotTell("b", "B", "it failed", failed=True))
    kind = tuple[PathwayOutcome, ...]
    assert parse(kind, dump(kind, said)) == said


def test_where_two_have_one_kind_both_are_tried() -> None:
    assert parse(One | Other, '{"word": "x", "kind": "same"}') == Other("x")
    assert parse(One | Other, '{"number": 1, "kind": "same"}') == One(1)


def test_a_union_of_plain_values_is_left_alone() -> None:
    assert [parse(int | str | None, text) for text in ("1", '"a"', "null")] == [1, "a", None]


def _tags(schema: object) -> list[str]:
    if isinstance(schema, dict):
        own = list(schema["choices"]) if schema.get("type") == "tagged-union" else []
        return own + [tag for part in schema.values() for tag in _tags(part)]
    return [tag for part in schema for tag in _tags(part)] if isinstance(schema, list | tuple) else []

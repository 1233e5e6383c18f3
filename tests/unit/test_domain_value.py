"""Values that are made by the dozen for every answer: equal, hashed and told apart as frozen ones are."""

from __future__ import annotations

from dataclasses import fields, replace

from cds.domain.recommendation import Advice, InputUsed, Recommendation, RiskResult, Step
from cds.risk import NotScored, Scored
from cds.store.values import dump, parse


def test_values_that_are_alike_are_one() -> None:
    said = InputUsed("age", "63 years", None, "registration")
    assert {said, InputUsed("age", "63 years", None, "registration")} == {said}
    assert replace(said, value="64 years") != said
    assert {Step("rule", None), Step("rule", None)} == {Step("rule", None)}
    assert Scored({"points": 1}) == Scored({"points": 1}) != NotScored(("points",))


def test_values_come_back_from_the_store_as_they_were() -> None:
    steps = (Step("rule", None), Step("other", True, "4.2 cm"))
    assert parse(tuple[Step, ...], dump(tuple[Step, ...], steps)) == steps


def test_a_value_has_no_room_for_what_it_does_not_declare() -> None:
    for kind in (Advice, InputUsed, Recommendation, RiskResult, Scored, Step):
        assert set(kind.__slots__) == {one.name for one in fields(kind)}

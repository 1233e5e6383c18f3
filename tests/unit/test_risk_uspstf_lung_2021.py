"""USPSTF 2021 lung cancer screening: the rule's vectors, and its borders as the recommendation words them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cds.risk import Inputs, NotScored, Scored, load
from cds.risk.check import check
from cds.risk.uspstf_lung_2021 import SCORE
from tests.unit.clinical import reference

ELIGIBLE = Scored({"eligible": True})
NOT_ELIGIBLE = Scored({"eligible": False})


def person(**changes: bool | float | None) -> Inputs:
    """Somebody who is eligible, changed."""
    base: dict[str, bool | float | None] = {"age": 63, "pack_years": 38, "current_smoker": True, "years_quit": None}
    return base | changes


def test_the_reference_vectors_agree(reference_dir: Path) -> None:
    report = check([reference(reference_dir) / "risk" / "vectors" / "uspstf_lung_2021.json"])
    assert report.mismatches == ()
    assert report.vectors == 4
    assert report.ok


# "adults aged 50 to 80 years who have a 20 pack-year smoking history and currently smoke or have quit within the
# past 15 years" (doi:10.1001/jama.2021.1117): each border from both sides.
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"age": 49}, NOT_ELIGIBLE),
        ({"age": 50}, ELIGIBLE),
        ({"age": 80}, ELIGIBLE),
        ({"age": 81}, NOT_ELIGIBLE),
        ({"pack_years": 19.99}, NOT_ELIGIBLE),
        ({"pack_years": 20}, ELIGIBLE),
        ({"pack_years": 0}, NOT_ELIGIBLE),
        ({"current_smoker": False, "years_quit": 15}, ELIGIBLE),
        ({"current_smoker": False, "years_quit": 15.003}, NOT_ELIGIBLE),
        ({"current_smoker": False, "years_quit": 0}, ELIGIBLE),
        ({"current_smoker": True, "years_quit": 40}, ELIGIBLE),
    ],
)
def test_each_border_of_the_recommendation(changes: dict[str, bool | float], expected: Scored) -> None:
    assert SCORE(person(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"age": None}, ("age",)),
        ({"pack_years": None}, ("pack_years",)),
        ({"current_smoker": None}, ("current_smoker",)),
        ({"current_smoker": False}, ("years_quit",)),
        ({"age": None, "pack_years": None, "current_smoker": None}, ("age", "pack_years", "current_smoker")),
    ],
)
def test_what_is_missing_is_named_and_never_assumed(changes: dict[str, bool | None], missing: tuple[str, ...]) -> None:
    assert SCORE(person(**changes)) == NotScored(missing=missing)


def test_one_criterion_that_fails_decides_whatever_is_missing() -> None:
    assert SCORE({"age": 30}) == NOT_ELIGIBLE
    assert SCORE({"pack_years": 5}) == NOT_ELIGIBLE
    assert SCORE({"current_smoker": False, "years_quit": 16}) == NOT_ELIGIBLE


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"age": -1}, ("age",)),
        ({"age": 131}, ("age",)),
        ({"age": float("nan")}, ("age",)),
        ({"age": True}, ("age",)),
        ({"pack_years": 501}, ("pack_years",)),
        ({"current_smoker": 1.0}, ("current_smoker",)),
        ({"years_quit": -0.5, "pack_years": -3}, ("pack_years", "years_quit")),
    ],
)
def test_out_of_range_is_an_answer_not_an_error(changes: dict[str, bool | float], refused: tuple[str, ...]) -> None:
    answer = SCORE(person(**changes))
    assert isinstance(answer, NotScored)
    assert answer.out_of_range == refused


def test_the_score_says_where_it_comes_from_and_for_whom_it_holds() -> None:
    assert load()[SCORE.id] is SCORE
    assert SCORE.source.url == "https://doi.org/10.1001/jama.2021.1117"
    assert {i.name: i.unit for i in SCORE.inputs if i.kind == "number"} == {
        "age": "a",
        "pack_years": "{pack-years}",
        "years_quit": "a",
    }

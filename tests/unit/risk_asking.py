"""How tests ask scores: a case that is complete, and what becomes of it where something is missing or impossible."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cds.risk import Answer, NotScored, Score, Scored
from cds.risk.check import check
from tests.unit.clinical import reference


def agrees_with_the_reference(reference_dir: Path, stem: str) -> None:
    """Every vector of one score, as the command runs them."""
    report = check([reference(reference_dir) / "risk" / "vectors" / f"{stem}.json"])
    assert report.mismatches == ()
    assert report.ok


def outputs(answer: Answer) -> Mapping[str, object]:
    """The outputs of a score that must have answered."""
    assert isinstance(answer, Scored), answer
    return answer.outputs


def number(answer: Answer, name: str) -> float:
    """One output that is a number."""
    assert isinstance(answer, Scored), answer
    return answer.number(name)


def answers_without(score: Score, case: Mapping[str, object]) -> dict[str, Answer]:
    """The answer without each input of a case, by the input that is missing."""
    return {name: score({**case, name: None}) for name in case}


def says_what_is_missing(score: Score, case: Mapping[str, object]) -> None:
    """A complete case has an answer; without any one input it has none, and that input is named."""
    assert isinstance(score(case), Scored)
    for name, answer in answers_without(score, case).items():
        assert answer == NotScored(missing=(name,)), name


def refused(answer: Answer) -> tuple[str, ...]:
    """The inputs that were refused; each has its reason."""
    assert isinstance(answer, NotScored), answer
    assert len(answer.reasons) == len(answer.out_of_range)
    return answer.out_of_range


def refuses_what_cannot_be(score: Score, case: Mapping[str, object]) -> None:
    """Each input alone: beside its range, of another kind, or no choice of it."""
    assert set(case) == {one.name for one in score.inputs}
    for one in score.inputs:
        wrong: tuple[object, ...] = ("perhaps", [], {}, float("nan"))
        if one.kind == "number":
            wrong += (one.low - 0.001, one.high + 0.001, True)
        for value in wrong:
            assert refused(score({**case, one.name: value})) == (one.name,), (one.name, value)

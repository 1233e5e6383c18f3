"""What holds for the inputs of every score: a missing one is named, one that cannot be is refused by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from importlib import import_module

from cds.risk import Input, Inputs, NotScored, Score, Scored

Case = Mapping[str, object]


def score(name: str) -> Score:
    """A score by id, whatever its source and whatever other files of the folder are like."""
    declared = import_module(f"cds.risk.{name}").SCORE
    assert isinstance(declared, Score)
    return declared


def outputs(name: str, inputs: Inputs) -> Mapping[str, object]:
    """The outputs of a case that is scored."""
    answer = score(name)(inputs)
    assert isinstance(answer, Scored), answer
    return answer.outputs


def ranges(one: Score) -> dict[str, tuple[float, float]]:
    """The range of every number that the score takes."""
    return {i.name: (i.low, i.high) for i in one.inputs if i.kind == "number"}


def names_each_missing_input(one: Score, case: Case) -> None:
    """Without any single needed input, absent or None, the answer names it and nothing else."""
    assert isinstance(one(case), Scored)
    for needed in (i.name for i in one.inputs if i.needed):
        without = {name: value for name, value in case.items() if name != needed}
        assert one(without) == NotScored(missing=(needed,))
        assert one({**case, needed: None}) == NotScored(missing=(needed,))


def refuses_what_cannot_be(one: Score, case: Case) -> None:
    """Each value outside its range, and of the wrong kind, is refused by name; those on the border are taken."""
    for given in one.inputs:
        for wrong in _wrong(given):
            answer = one({**case, given.name: wrong})
            assert isinstance(answer, NotScored), (given.name, wrong)
            assert answer.out_of_range == (given.name,), (given.name, wrong)
            assert answer.reasons
        for border in _borders(given):
            answer = one({**case, given.name: border})
            assert isinstance(answer, Scored) or given.name not in answer.out_of_range, (given.name, border)


def _wrong(given: Input) -> Iterator[object]:
    yield from {"number": ("5", True, math.nan), "boolean": ("no", 2), "choice": ("other", 1)}.get(given.kind, (3,))
    if given.kind == "number" and math.isfinite(given.low):
        yield given.low - 0.001
    if given.kind == "number" and math.isfinite(given.high):
        yield given.high if given.high_open else given.high + 0.001


def _borders(given: Input) -> Iterator[float]:
    if given.kind == "number":
        yield from (value for value in (given.low, given.high) if math.isfinite(value) and not given.high_open)

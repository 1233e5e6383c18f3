"""Runs scores against vectors that were made elsewhere: published answers, peers' runs, or the rule's own table.

A vector file is named after its score and holds a list of {id, inputs, expected, tolerance, source, kind}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cds.errors import InvalidInput
from cds.risk import Answer, Score, Scored, load


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One output of one vector that is not as expected; values in words."""

    score: str
    vector: str
    output: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """How many vectors were run, every mismatch, and the files whose score is not installed."""

    vectors: int
    mismatches: tuple[Mismatch, ...]
    not_installed: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True where something was run and everything agreed."""
        return self.vectors > 0 and not self.mismatches


def check(vector_files: Sequence[Path]) -> CheckReport:
    """Run every vector of every file; raise InvalidInput where a file is no vector file."""
    scores = load()
    mismatches: list[Mismatch] = []
    count = 0
    for path in vector_files:
        if path.stem not in scores:
            continue
        vectors = _read(path)
        count += len(vectors)
        for vector in vectors:
            mismatches += _mismatches(scores[path.stem], vector)
    absent = tuple(path.stem for path in vector_files if path.stem not in scores)
    return CheckReport(count, tuple(mismatches), absent)


def _read(path: Path) -> list[Mapping[str, object]]:
    vectors = json.loads(path.read_bytes())
    wanted = {"id", "inputs", "expected"}
    if not isinstance(vectors, list) or not all(isinstance(v, dict) and wanted <= v.keys() for v in vectors):
        raise InvalidInput(f"{path.name}: want a list of vectors with id, inputs and expected")
    return vectors


def _mismatches(score: Score, vector: Mapping[str, object]) -> list[Mismatch]:
    inputs, expected, tolerance = vector["inputs"], vector["expected"], vector.get("tolerance")
    if not isinstance(inputs, dict) or not isinstance(expected, dict):
        raise InvalidInput(f"{score.id}: want inputs and expected to be objects")
    answer = score(inputs)
    return [
        Mismatch(score.id, str(vector["id"]), name, repr(want), repr(_output(answer, name)))
        for name, want in expected.items()
        if not _agrees(want, _output(answer, name), tolerance.get(name) if isinstance(tolerance, dict) else tolerance)
    ]


def _output(answer: Answer, name: str) -> object:
    return answer.outputs.get(name) if isinstance(answer, Scored) else answer


def _agrees(want: object, got: object, tolerance: object) -> bool:
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, int | float) and isinstance(got, int | float):
        return abs(want - got) <= (tolerance if isinstance(tolerance, int | float) else 0)
    return want == got

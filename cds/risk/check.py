"""Runs scores against vectors that were made elsewhere: published answers, peers' runs, or the rule's own table.

A vector file is named after its score and holds a list of {id, inputs, expected, tolerance, source, kind}. A vector is
the short description of a case: what it does not mention is as the score's inputs say (`Input.unmentioned`). It may
expect `status` "out_of_range" or "missing", with a `reason` that begins with the score's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cds.errors import InvalidInput
from cds.risk import Answer, NotScored, Score, Scored, load


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
    """How many vectors were run, every mismatch, and the files whose score is not installed.

    `unverified` are the scores among them that are checked here and used nowhere, with what was not verified;
    `ignored` are the inputs of vectors that their score does not have, which its answer therefore cannot rest on.
    """

    vectors: int
    mismatches: tuple[Mismatch, ...]
    not_installed: tuple[str, ...]
    unverified: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()

    @property
    def ok(self) -> bool:
        """True where something was run, everything agreed, and every file has its score."""
        return self.vectors > 0 and not self.mismatches and not self.not_installed


def check(vector_files: Sequence[Path]) -> CheckReport:
    """Run every vector of every file; raise InvalidInput where a file is no vector file."""
    scores = load(unverified=True)
    mismatches: list[Mismatch] = []
    ignored: list[tuple[str, str]] = []
    count = 0
    known = [path for path in vector_files if path.stem in scores]
    for path in known:
        vectors = _read(path)
        count += len(vectors)
        for vector in vectors:
            mismatches += _mismatches(scores[path.stem], vector)
            ignored += [(str(vector["id"]), name) for name in _ignored(scores[path.stem], vector)]
    absent = tuple(path.stem for path in vector_files if path.stem not in scores)
    unverified = dict.fromkeys((s.id, s.unverified) for p in known if (s := scores[p.stem]).unverified)
    return CheckReport(count, tuple(mismatches), absent, tuple(unverified), tuple(ignored))


def _read(path: Path) -> list[Mapping[str, object]]:
    try:
        vectors = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path.name}: want JSON: {error}") from error
    wanted = {"id", "inputs", "expected"}
    if vectors == []:
        raise InvalidInput(f"{path.name}: want vectors, there are none in it")
    if not isinstance(vectors, list) or not all(isinstance(v, dict) and wanted <= v.keys() for v in vectors):
        raise InvalidInput(f"{path.name}: want a list of vectors with id, inputs and expected")
    return vectors


def _ignored(score: Score, vector: Mapping[str, object]) -> tuple[str, ...]:
    inputs = vector["inputs"]
    return score.unknown_names(inputs) if isinstance(inputs, dict) else ()


def _mismatches(score: Score, vector: Mapping[str, object]) -> list[Mismatch]:
    inputs, expected, tolerance = vector["inputs"], vector["expected"], vector.get("tolerance")
    if not isinstance(inputs, dict) or not isinstance(expected, dict) or not expected:
        raise InvalidInput(
            f"{score.id}: {vector['id']}: want inputs and expected to be objects, and something expected"
        )
    if not _is_tolerance(tolerance):
        raise InvalidInput(
            f"{score.id}: {vector['id']}: want a tolerance that is null, a number from 0, or such by output"
        )
    answer = score(score.described(inputs))
    return [
        Mismatch(score.id, str(vector["id"]), name, json.dumps(want), _shown(_output(answer, name)))
        for name, want in expected.items()
        if not _agrees(name, want, answer, tolerance.get(name) if isinstance(tolerance, dict) else tolerance)
    ]


def _is_tolerance(value: object) -> bool:
    if isinstance(value, dict):
        return all(not isinstance(one, dict) and _is_tolerance(one) for one in value.values())
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 0)


def _output(answer: Answer, name: str) -> object:
    if isinstance(answer, Scored):
        return answer.outputs.get(name)
    if name == "status":
        return "out_of_range" if answer.out_of_range else "missing"
    return "; ".join(answer.reasons) if name == "reason" else answer


def _shown(got: object) -> str:
    if isinstance(got, NotScored):
        return f"not evaluated (missing: {', '.join(got.missing) or 'nothing'}; {'; '.join(got.reasons) or 'in range'})"
    return json.dumps(got)


def _agrees(name: str, want: object, answer: Answer, tolerance: object) -> bool:
    got = _output(answer, name)
    if isinstance(answer, NotScored) and name == "reason":
        return bool(answer.reasons) and str(want).startswith(answer.reasons[0])
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, int | float) and isinstance(got, int | float):
        return abs(want - got) <= (tolerance if isinstance(tolerance, int | float) else 0)
    return want == got

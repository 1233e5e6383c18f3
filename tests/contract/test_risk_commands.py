"""`cds risk`: scores are listed, shown, run and held to vectors; what is missing is told, not assumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.cli import app
from cds.errors import SightlineError
from cds.risk import load


def invoke(*arguments: str) -> tuple[int, str]:
    """Exit code, and what was written to both streams."""
    result = CliRunner().invoke(app, ["risk", *arguments])
    if isinstance(result.exception, SightlineError):
        return 1, str(result.exception)
    return result.exit_code, result.output


def write(tmp_path: Path, content: object, name: str = "input.json") -> str:
    """A JSON file."""
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_every_score_is_listed_with_its_outcome() -> None:
    code, text = invoke("list")
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == list(load())
    assert "USPSTF 2021 lung cancer screening eligibility" in text


def test_a_list_for_programs_is_json_without_infinities() -> None:
    code, text = invoke("list", "--json")
    assert code == 0
    assert {one["id"] for one in json.loads(text)} == set(load())
    assert "Infinity" not in text


def test_a_score_shows_inputs_with_unit_and_range_and_its_source() -> None:
    code, text = invoke("show", "uspstf_lung_2021")
    assert code == 0
    assert "age: age, 0 to 130 a" in text
    assert "https://doi.org/10.1001/jama.2021.1117" in text


def test_a_score_is_run_on_a_file(tmp_path: Path) -> None:
    given = write(tmp_path, {"age": 63, "pack_years": 38, "current_smoker": True})
    assert invoke("run", "uspstf_lung_2021", given) == (0, "eligible: true\n")
    code, text = invoke("run", "uspstf_lung_2021", given, "--json")
    assert (code, json.loads(text)["outputs"]) == (0, {"eligible": True})


def test_what_is_missing_or_out_of_range_is_told_and_is_exit_code_1(tmp_path: Path) -> None:
    code, text = invoke("run", "uspstf_lung_2021", write(tmp_path, {"age": 63}))
    assert code == 1
    assert "missing: pack-years (pack_years)" in text
    code, text = invoke("run", "uspstf_lung_2021", write(tmp_path, {"age": 631}))
    assert code == 1
    assert "out of range: age above 130" in text


def test_a_short_description_is_taken_as_such_only_where_that_is_said(tmp_path: Path) -> None:
    given = write(tmp_path, {"age": 45, "sex": "male"})
    assert invoke("run", "psi", given)[0] == 1
    code, text = invoke("run", "psi", given, "--short")
    assert code == 0
    assert "psi: 45" in text


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("[1]", "want an object of inputs"),
        ("{", "want JSON"),
        ('{"agee": 4}', "has no input agee: want age, pack_years"),
    ],
)
def test_a_file_that_is_no_input_is_refused_in_words(tmp_path: Path, content: str, wanted: str) -> None:
    code, text = invoke("run", "uspstf_lung_2021", write(tmp_path, content))
    assert code == 2
    assert wanted in " ".join(text.replace("│", " ").split())


def test_a_score_that_does_not_exist_or_is_not_verified_is_refused() -> None:
    assert "no score 'nothing'" in invoke("show", "nothing")[1]
    code, text = invoke("show", "ottawa_knee")
    assert code != 0
    assert "its source was not verified" in text


def test_vectors_that_agree_are_exit_code_0_and_a_mismatch_is_1(tmp_path: Path) -> None:
    inputs = {"age": 63, "pack_years": 38, "current_smoker": True}
    right = {"id": "a", "inputs": inputs, "expected": {"eligible": True}}
    path = write(tmp_path, [right], "uspstf_lung_2021.json")
    assert invoke("check", path) == (0, "1 vectors, 0 mismatches\n")
    wrong = right | {"id": "b", "expected": {"eligible": False}}
    path = write(tmp_path, [right, wrong], "uspstf_lung_2021.json")
    code, text = invoke("check", path)
    assert code == 1
    assert "b: eligible is true, want false" in text
    code, text = invoke("check", path, "--json")
    assert code == 1
    report = json.loads(text)
    assert report["vectors"] == 2
    assert not report["ok"]


@pytest.mark.parametrize("tolerance", ["1", -1, True, {"eligible": "x"}])
def test_a_tolerance_that_is_none_is_refused(tmp_path: Path, tolerance: object) -> None:
    vector = {"id": "a", "inputs": {"age": 63}, "expected": {"eligible": True}, "tolerance": tolerance}
    code, text = invoke("check", write(tmp_path, [vector], "uspstf_lung_2021.json"))
    assert code == 1
    assert "want a tolerance that is null" in text


def test_vectors_of_a_score_that_is_not_there_are_no_agreement(tmp_path: Path) -> None:
    code, text = invoke("check", write(tmp_path, [], "herder.json"))
    assert code == 1
    assert "herder: no score of this name is installed; a file is named after its score" in text

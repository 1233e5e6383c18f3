"""Scores are found by listing their folder; what is wrong with a file stops loudly. The checker names each mismatch."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cds.errors import ConfigurationError, InvalidInput
from cds.risk import load
from cds.risk.check import CheckReport, Mismatch, check

GOOD = """
from cds.domain.recommendation import Source
from cds.risk import Input, Score, Scored
SOURCE = Source("s", "https://example.org")
SCORE = Score("{id}", "t", SOURCE, "p", "o", 1.0, (Input("x", "x"),), lambda i: Scored({{}}))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable folder of scores."""
    package = tmp_path / "some_scores"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.startswith("some_scores")]:
        del sys.modules[name]


def package() -> ModuleType:
    """The folder, imported."""
    importlib.invalidate_caches()
    return importlib.import_module("some_scores")


def test_a_score_is_one_file(folder: Path) -> None:
    (folder / "first.py").write_text(GOOD.format(id="first"))
    (folder / "_helper.py").write_text("raise RuntimeError")
    assert list(load(package())) == ["first"]


def test_every_mistake_is_named_at_once(folder: Path) -> None:
    (folder / "a.py").write_text(GOOD.format(id="same"))
    (folder / "b.py").write_text(GOOD.format(id="same"))
    (folder / "c.py").write_text("import nothing_of_that_name")
    (folder / "d.py").write_text("x = 1")
    with pytest.raises(ConfigurationError) as stopped:
        load(package())
    text = str(stopped.value)
    assert "some_scores.b: score id 'same' is already taken" in text
    assert "some_scores.c cannot be imported: ModuleNotFoundError" in text
    assert "some_scores.d declares no SCORE" in text


def test_the_installed_scores_load() -> None:
    assert "uspstf_lung_2021" in load()


def vectors(tmp_path: Path, *rows: dict[str, object]) -> Path:
    """A vector file of the installed score."""
    path = tmp_path / "uspstf_lung_2021.json"
    path.write_text(json.dumps(rows))
    return path


def test_every_mismatch_is_reported_and_the_rest_still_runs(tmp_path: Path) -> None:
    inputs = {"age": 63, "pack_years": 38, "current_smoker": True}
    path = vectors(
        tmp_path,
        {"id": "wrong", "inputs": inputs, "expected": {"eligible": False}, "tolerance": None},
        {"id": "other", "inputs": inputs, "expected": {"eligible": True, "points": 3}},
        {"id": "right", "inputs": inputs, "expected": {"eligible": True}, "tolerance": 0.1},
        {"id": "unscored", "inputs": {"age": 63}, "expected": {"eligible": True}},
    )
    report = check([path, tmp_path / "not_installed.json"])
    assert report.vectors == 4
    assert report.not_installed == ("not_installed",)
    assert not report.ok
    assert [m.vector for m in report.mismatches] == ["wrong", "other", "unscored"]
    assert report.mismatches[0] == Mismatch("uspstf_lung_2021", "wrong", "eligible", "false", "true")
    assert "missing: pack_years, current_smoker" in report.mismatches[2].got


def test_nothing_run_is_not_agreement(tmp_path: Path) -> None:
    assert check([tmp_path / "unheard_of.json"]) == CheckReport(0, (), ("unheard_of",))
    assert not check([]).ok


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '[{"id": "a", "inputs": {}, "expected": {}}]',
        "{}",
        '[{"id": 1}]',
        "[3]",
        '[{"id": "a", "inputs": [], "expected": {}}]',
    ],
)
def test_a_file_that_holds_no_vectors_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "uspstf_lung_2021.json"
    path.write_text(content)
    with pytest.raises(InvalidInput, match="want"):
        check([path])


def test_a_file_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "uspstf_lung_2021.json"
    path.write_text("[" * 100_000)
    with pytest.raises(InvalidInput, match="want JSON"):
        check([path])

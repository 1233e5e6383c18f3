"""Pathways are found by listing their folder; one that fails does not silence the others (SAFETY section 6)."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cds.domain.recommendation import CouldNotTell, NothingToSay
from cds.errors import ConfigurationError
from cds.pathways import evaluate, load
from tests.unit.clinical import case

FILE = """
from cds.domain.recommendation import NothingToSay, Source
from cds.errors import InsufficientData
from cds.pathways import pathway

@pathway(id="{id}", title="{id} title", source=Source("s", "https://example.org"))
def rule(case):
    {body}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable folder of pathways."""
    package = tmp_path / "some_pathways"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.startswith("some_pathways")]:
        del sys.modules[name]


def package() -> ModuleType:
    """The folder, imported."""
    importlib.invalidate_caches()
    return importlib.import_module("some_pathways")


def write(folder: Path, name: str, body: str, id: str | None = None) -> None:
    """One pathway file."""
    (folder / f"{name}.py").write_text(FILE.format(id=id or name, body=body))


def test_the_installed_pathways_load_and_declare_what_they_read() -> None:
    emphysema = load()["emphysema"]
    assert [code.code for code in emphysema.reads] == ["laa-950", "87433001", "RID50149"]
    assert emphysema.source.url.startswith("https://")


def test_one_that_fails_is_named_and_the_others_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "broken", 'raise ZeroDivisionError("Unmistakable")')
    write(folder, "lacking", 'raise InsufficientData("Patient.birthDate")')
    write(folder, "quiet", 'return NothingToSay("quiet", "does not apply")')
    broken, lacking, quiet, unheard_of = evaluate(case(), {"quiet", "lacking", "broken", "unheard-of"}, package())
    assert isinstance(broken, CouldNotTell)
    assert (broken.pathway, broken.title, broken.failed) == ("broken", "broken title", True)
    assert lacking == CouldNotTell(
        "lacking", "lacking title", "a value that it needs is missing", ("Patient.birthDate",)
    )
    assert quiet == NothingToSay("quiet", "does not apply")
    assert isinstance(unheard_of, CouldNotTell)
    assert not unheard_of.failed
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "a pathway failed" in line]
    assert [(line["pathway"], line["error"]) for line in lines] == [("broken", "ZeroDivisionError")]
    assert "Unmistakable" not in json.dumps(lines)


def test_only_enabled_pathways_are_evaluated(folder: Path) -> None:
    write(folder, "one", 'return NothingToSay("one", "")')
    write(folder, "two", 'raise ValueError("must not run")')
    assert evaluate(case(), {"one"}, package()) == (NothingToSay("one", ""),)
    assert evaluate(case(), (), package()) == ()


def test_every_mistake_is_named_at_once(folder: Path) -> None:
    write(folder, "a", "return None", id="same")
    write(folder, "b", "return None", id="same")
    (folder / "c.py").write_text("from cds.pathways import nothing_of_that_name")
    (folder / "d.py").write_text("x = 1")
    with pytest.raises(ConfigurationError) as stopped:
        load(package())
    text = str(stopped.value)
    assert "some_pathways.b: pathway id 'same' is already taken" in text
    assert "some_pathways.c cannot be imported: ImportError" in text
    assert "some_pathways.d declares no pathway" in text

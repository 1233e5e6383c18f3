"""The digest of a model: every file of its own counts, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.fingerprint import sha256


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with code, manifest and weights beside another one."""
    (tmp_path / "lung").mkdir()
    for name, content in {
        "lung.py": "1",
        "lung.toml": "2",
        "lung/weights.bin": "3",
        "lungs.py": "4",
        "b.py": "5",
    }.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def test_it_is_the_same_for_the_same_files(folder: Path) -> None:
    assert sha256("lung", folder) == sha256("lung", folder)
    assert len(bytes.fromhex(sha256("lung", folder))) == 32


@pytest.mark.parametrize("name", ["lung.py", "lung.toml", "lung/weights.bin", "lung/more.bin"])
def test_every_file_of_the_model_counts(folder: Path, name: str) -> None:
    before = sha256("lung", folder)
    (folder / name).write_text("changed")
    assert sha256("lung", folder) != before


def test_a_file_that_has_another_name_is_another_file(folder: Path) -> None:
    before = sha256("lung", folder)
    (folder / "lung/weights.bin").rename(folder / "lung/weights2.bin")
    assert sha256("lung", folder) != before


@pytest.mark.parametrize("name", ["lungs.py", "b.py", "lung/__pycache__/x.pyc"])
def test_files_of_others_and_what_python_leaves_do_not_count(folder: Path, name: str) -> None:
    before = sha256("lung", folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("changed")
    assert sha256("lung", folder) == before


def test_the_installed_model_has_one() -> None:
    assert sha256("ct_lung_density") != sha256("nothing")

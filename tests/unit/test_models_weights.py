"""Weights are used only if they are the bytes that the manifest names, and reading them executes nothing."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from cds.errors import ConfigurationError, NotEvaluable
from models import weights
from models.manifest import Manifest, Weights
from models.registry import load, missing
from tests.unit import site_models


class Executed:
    """A pickle that makes a file when it is read."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.touched,))


def manifest_of(folder: Path, content: bytes, form: str = "safetensors", name: str = "w.bin") -> Manifest:
    """A manifest with this one file, which lies in the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    one = Weights(name, hashlib.sha256(content).hexdigest(), form, "Made here", "None")
    return replace(load()["ct_lung_density"], weights=(one,), folders=(folder,))


TENSORS = {"a": torch.arange(3.0), "b.c": torch.ones(2, 2)}


def same(got: dict[str, torch.Tensor]) -> bool:
    return got.keys() == TENSORS.keys() and all(torch.equal(got[name], TENSORS[name]) for name in TENSORS)


def saved(content: object, path: Path) -> bytes:
    torch.save(content, path)
    return path.read_bytes()


def test_safetensors_come_back_by_their_names(tmp_path: Path) -> None:
    assert same(weights.load(manifest_of(tmp_path, save(TENSORS)), "w.bin"))


@pytest.mark.parametrize("key", ["", "state_dict", "model"])
def test_a_state_dict_comes_back_also_where_training_wrapped_it(tmp_path: Path, key: str) -> None:
    content = {key: TENSORS, "epoch": 3} if key else TENSORS
    manifest = manifest_of(tmp_path, saved(content, tmp_path / "x"), "state-dict")
    assert same(weights.load(manifest, "w.bin"))


def test_another_digest_is_refused_with_both_before_anything_is_parsed(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, b"what was hashed")
    (tmp_path / "w.bin").write_bytes(b"what lies there now")
    got, want = (hashlib.sha256(part).hexdigest() for part in (b"what lies there now", b"what was hashed"))
    for reading in (weights.load, weights.content, weights.path):
        with pytest.raises(ConfigurationError) as caught:
            reading(manifest, "w.bin")
        assert caught.value.mistakes == [f"ct_lung_density: w.bin has the SHA-256 {got}, want {want}"]


def test_the_path_of_a_file_with_its_digest_is_told(tmp_path: Path) -> None:
    assert weights.path(manifest_of(tmp_path, b"1"), "w.bin") == tmp_path / "w.bin"


def test_a_pickle_with_the_right_digest_executes_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    for content in (pickle.dumps(Executed(touched)), saved({"a": Executed(touched)}, tmp_path / "x")):
        with pytest.raises(ConfigurationError, match="no state dict of tensors alone"):
            weights.load(manifest_of(tmp_path, content, "state-dict"), "w.bin")
    assert not touched.exists()


@pytest.mark.parametrize("content", [{"a": 1}, [1, 2], {"a": torch.zeros(1), "b": "text"}], ids=["int", "list", "text"])
def test_a_state_dict_that_holds_other_things_than_tensors_is_refused(tmp_path: Path, content: object) -> None:
    manifest = manifest_of(tmp_path, saved(content, tmp_path / "x"), "state-dict")
    with pytest.raises(ConfigurationError, match="other things than tensors"):
        weights.load(manifest, "w.bin")


@pytest.mark.parametrize("form", ["safetensors", "state-dict"])
def test_what_is_of_another_format_is_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigurationError, match=r"w\.bin is no"):
        weights.load(manifest_of(tmp_path, b"neither of them", form), "w.bin")


def test_a_torchscript_file_is_no_state_dict(tmp_path: Path) -> None:
    content = site_models.scripted(site_models.Dense())
    with pytest.raises(ConfigurationError, match="no state dict"):
        weights.load(manifest_of(tmp_path, content, "state-dict"), "w.bin")


def test_a_model_whose_weights_are_not_here_is_not_installed_and_says_what_is_missing(tmp_path: Path) -> None:
    manifest = replace(manifest_of(tmp_path, b"1"), folders=(tmp_path / "elsewhere", tmp_path / "nowhere"))
    assert missing(manifest) == ("w.bin",)
    with pytest.raises(weights.NotInstalled, match=r"ct_lung_density is not installed: w\.bin is missing") as caught:
        weights.load(manifest, "w.bin")
    assert isinstance(caught.value, NotEvaluable)
    assert caught.value.gate == "weights"


def test_the_nearest_folder_that_has_the_file_counts(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path / "far", b"1")
    (tmp_path / "near").mkdir()
    manifest = replace(manifest, folders=(tmp_path / "near", tmp_path / "far"))
    assert weights.content(manifest, "w.bin") == b"1"
    (tmp_path / "near" / "w.bin").write_bytes(b"2")
    with pytest.raises(ConfigurationError, match="SHA-256"):
        weights.content(manifest, "w.bin")


def test_a_file_that_the_manifest_does_not_name_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"weights has no entry with file other\.bin"):
        weights.load(manifest_of(tmp_path, b"1"), "other.bin")

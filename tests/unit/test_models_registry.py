"""The models of an installation: shipped ones with code, a site's own without, each with its folders of weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import models
from cds.errors import ConfigurationError
from models import registry
from tests.unit import site_models

FOLDER = Path(models.__file__).parent
SHIPPED = (FOLDER / "ct_lung_density.toml").read_text()


def site_model(models_dir: Path, text: str, name: str = "sides") -> Path:
    """A site's own model as it is installed."""
    path = models_dir / name / f"{name}.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def mistakes(models_dir: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        registry.load(models_dir=models_dir)
    return caught.value.mistakes


def test_a_sites_own_model_stands_beside_the_shipped_ones(tmp_path: Path) -> None:
    site_model(tmp_path, site_models.manifest(b"x"))
    found = registry.load(models_dir=tmp_path)
    assert set(found) == {*registry.load(), "sides"}
    assert registry.is_own(found["sides"], tmp_path)
    assert not registry.is_own(found["ct_lung_density"], tmp_path)
    assert registry.module(found["sides"]).__name__ == "models.declared"
    assert registry.module(found["ct_lung_density"]).__name__ == "models.ct_lung_density"


def test_weights_are_looked_for_with_the_project_and_then_at_the_site(tmp_path: Path) -> None:
    site_model(tmp_path, site_models.manifest(b"x"))
    found = registry.load(models_dir=tmp_path)
    assert found["ct_lung_density"].folders == (FOLDER / "weights", tmp_path / "ct_lung_density")
    assert found["sides"].folders == (tmp_path / "sides",)
    assert registry.missing(found["sides"]) == ("sides.pt2",)
    (tmp_path / "sides" / "sides.pt2").touch()
    assert registry.missing(found["sides"]) == ()


def test_a_folder_of_weights_and_one_that_is_being_filled_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "ct_lung_density").mkdir()
    (tmp_path / "ct_lung_density" / "w.bin").touch()
    site_model(tmp_path, "id = ", ".installing-1")
    assert set(registry.load(models_dir=tmp_path)) == set(registry.load())
    assert registry.load(models_dir=tmp_path / "absent").keys() == registry.load().keys()


def test_one_wrong_manifest_of_a_site_leaves_all_other_models_in_use(tmp_path: Path) -> None:
    site_model(tmp_path, site_models.manifest(b"x"))
    site_model(tmp_path, "id = ", "torn")
    site_model(tmp_path, site_models.manifest(b"x", id="ct_lung_density"), "ct_lung_density")
    broken: dict[str, list[str]] = {}
    found = registry.load(models_dir=tmp_path, broken=broken)
    assert set(found) == {*registry.load(), "sides"}
    assert found["ct_lung_density"].runtime.network == "code"
    assert set(broken) == {"torn", "ct_lung_density"}
    assert broken["torn"][0].startswith("torn.toml: is no TOML")


def test_control_characters_do_not_come_in_by_a_manifest(tmp_path: Path) -> None:
    text = site_models.manifest(b"x")
    title = next(line for line in text.splitlines() if line.startswith("title"))
    site_model(tmp_path, text.replace(title, 'title = "x\\u001b[31m"'))
    assert mistakes(tmp_path) == ["sides.toml: title: has control characters"]


def test_a_site_brings_no_code(tmp_path: Path) -> None:
    path = site_model(tmp_path, SHIPPED.replace('id = "ct_lung_density"', 'id = "mine"'), "mine")
    path.with_suffix(".py").write_text("raise SystemExit")
    assert mistakes(tmp_path) == [
        "mine.toml: runtime.network: is code; a site's own model has none, want pt2, monai or torchscript"
    ]


def test_a_site_cannot_take_the_place_of_a_shipped_model(tmp_path: Path) -> None:
    site_model(tmp_path, site_models.manifest(b"x", id="ct_lung_density"), "ct_lung_density")
    assert mistakes(tmp_path) == ["ct_lung_density.toml: id: ct_lung_density is the id of another manifest too"]


def test_torchscript_runs_where_the_site_says_so_and_never_by_the_manifests_own_word(tmp_path: Path) -> None:
    text = site_models.manifest(b"x", network="torchscript", format="torchscript")
    path = site_model(tmp_path, text)
    assert not registry.load(models_dir=tmp_path)["sides"].may_execute
    assert registry.load(models_dir=tmp_path, torchscript=True)["sides"].may_execute
    path.write_text("may_execute = true\n" + text)
    assert mistakes(tmp_path) == ["sides.toml: may_execute: is the site's to say, in its settings"]


def test_a_manifest_does_not_say_where_its_files_lie(tmp_path: Path) -> None:
    site_model(tmp_path, 'folders = ["/etc"]\n' + site_models.manifest(b"x"))
    assert [text.split(": ")[1] for text in mistakes(tmp_path)] == ["folders"]


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ("answers = 2", "answers = 1", "readings: right: channel 1 is none of the 1 answers"),
        ('output = "right"', 'output = "up"', "readings: up: outputs has no entry with this key"),
        ('output = "right"', 'output = "up"', "readings: no channel is the output right"),
        ('output = "right"', 'output = "left"', "readings: left is there twice"),
        ('channel = 1, threshold = "half"', "channel = 1", "readings: right: a classification wants the name of its"),
        (
            'channel = 1, threshold = "half"',
            'channel = 1, threshold = "no"',
            "right: thresholds has no entry with name no",
        ),
        ('key = "left"\nunit = ""', 'key = "left"\nunit = "mL"', 'a classification has no value: want the unit ""'),
        ('scale = { by = "minmax" }', 'scale = { by = "minmax", low = 1.0 }', "scale: minmax has no low and high"),
        ('scale = { by = "minmax" }', 'scale = { by = "window" }', "scale: window wants low below high"),
        ('by = "minmax"', 'by = "percentile", low = 1, high = 101', "scale: percentiles lie between 0 and 100"),
        ('by = "minmax"', 'by = "minmax", mean = [0.5]', "scale: mean and std are there together"),
        (
            'by = "minmax"',
            'by = "minmax", mean = [0.5, 0.5], std = [1, 1]',
            "one number for each channel or one for all",
        ),
        ("image = { rows = 32, columns = 32 }\n", "", "image: is there for projections"),
        ('"projection-classification"', '"volume-segmentation"', "does not go with inputs.kind projection"),
        ('network = "pt2"', 'network = "monai"', "network: is there for runtime.network monai"),
        ('network = "pt2"', 'network = "monai"', "weights.format: pt2 does not go with monai"),
        ("max_batch = 4", 'max_batch = 4\nhalf = "bf16"', "runtime.half: a pt2 file has the precision"),
    ],
)
def test_what_a_declaration_gets_wrong_is_named(tmp_path: Path, before: str, after: str, mistake: str) -> None:
    text = site_models.manifest(b"x")
    assert before in text
    site_model(tmp_path, text.replace(before, after))
    found = mistakes(tmp_path)
    assert any(mistake in one for one in found), found
    assert all(one.startswith("sides.toml: ") for one in found)


@pytest.mark.parametrize(
    ("before", "after", "mistake"),
    [
        ('orientation = "RAS", sp', 'orientation = "RLS", sp', "orientation: wants one letter each of R or L, A or P"),
        ("channel = 1", "channel = 0", "readings: dense: with softmax channel 0 is what is no label"),
        ('activation = "softmax"', 'activation = "sigmoid"', "else a threshold is wanted"),
        ('unit = "mL"\ncode', 'unit = "mm"\ncode', "a segmentation is measured in mL, not mm"),
        ('name = "UNet"', 'name = "os.system"', "declared.network.name: os.system is none of AttentionUnet"),
        ("spatial_dims = 3", "spatial_dimensions = 3", "spatial_dimensions: is no argument of UNet"),
        ("strides = [2]", 'strides = [2], pretrained = "x"', "arguments.pretrained: is no argument of UNet"),
    ],
)
def test_what_a_declared_segmentation_gets_wrong_is_named(
    tmp_path: Path, before: str, after: str, mistake: str
) -> None:
    text = (site_models.bundle(tmp_path / "given", b"x", tmp_path) / "small_unet.toml").read_text()
    assert before in text
    site_model(tmp_path / "models", text.replace(before, after), "small_unet")
    found = mistakes(tmp_path / "models")
    assert any(mistake in one for one in found), found


@pytest.mark.parametrize("name", ["fracture", "spleen"])
def test_the_manifests_that_the_documentation_shows_are_taken(tmp_path: Path, name: str) -> None:
    shown = (FOLDER.parent / "docs" / "own-models.md").read_text()
    texts = re.findall(r"```toml\n(.*?)```", shown, re.DOTALL)
    [text] = [text for text in texts if f'id = "{name}"' in text]
    site_model(tmp_path, text, name)
    assert registry.missing(registry.load(models_dir=tmp_path)[name])

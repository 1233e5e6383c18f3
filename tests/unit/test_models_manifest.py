"""A manifest is read strictly: what is unknown, missing or wrong is named with its file and its key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import models
from cds import codes
from cds.errors import ConfigurationError
from models.manifest import Manifest, read
from models.registry import load

FOLDER = Path(models.__file__).parent
TOML = (FOLDER / "ct_lung_density.toml").read_text()


def written(folder: Path, text: str, name: str = "ct_lung_density", *, module: bool = True) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    if module:
        path.with_suffix(".py").touch()
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    return caught.value.mistakes


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load()["ct_lung_density"]


def test_the_installed_models_are_found_by_listing_the_folder() -> None:
    assert sorted(load()) == sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_every_installed_model_says_what_it_is_for_and_where_its_limits_lie() -> None:
    for manifest in load().values():
        assert manifest.intended_use
        assert manifest.limits
        assert manifest.performance
        assert manifest.licence
        assert manifest.source


def test_every_threshold_says_how_it_was_chosen(manifest: Manifest) -> None:
    assert all(threshold.chosen for threshold in manifest.thresholds)


def test_the_outputs_carry_the_codes_that_pathways_and_reports_know(manifest: Manifest) -> None:
    assert manifest.output("lung_volume").code == codes.LUNG_VOLUME
    assert manifest.output("laa_950").code == codes.LAA_950
    assert manifest.output("perc15").code == codes.PERC_15


def test_an_unknown_key_is_named_with_its_file(tmp_path: Path) -> None:
    found = mistakes(written(tmp_path, TOML.replace('licence = "', 'colour = "blue"\nlicence = "')))
    assert len(found) == 1
    assert found[0].startswith("ct_lung_density.toml: colour: ")


def test_an_unknown_key_deep_inside_is_named_with_its_place(tmp_path: Path) -> None:
    found = mistakes(written(tmp_path, TOML.replace("min_slices = 40", "min_slices = 40\nmax_slices = 9")))
    assert [text.split(": ")[1] for text in found] == ["inputs.ct.max_slices"]


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    found = mistakes(written(tmp_path, TOML.replace('version = "1.0.0"\n', "")))
    assert found == ["ct_lung_density.toml: version: Field required"]


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('version = "1.0.0"', 'version = "one"', "version"),
        ("min_slices = 40", 'min_slices = "40"', "inputs.ct.min_slices"),
        ("min_slices = 40", "min_slices = 0", "inputs.ct.min_slices"),
        ("max_pixel_spacing_mm = 2.0", "max_pixel_spacing_mm = -2.0", "inputs.ct.max_pixel_spacing_mm"),
        ('contrast = ["no", "unknown"]', 'contrast = ["perhaps"]', "inputs.ct.contrast.0"),
        ('"STANDARD|STND|SOFT"', '"STANDARD("', "inputs.ct.kernels.smooth.1"),
        ('id = "ct_lung_density"', 'id = "../../x"', "id"),
        ('"1.2.840.10008.5.1.4.1.1.2"', '"CT"', "inputs.sop_class_uids.0"),
        ("value = -950.0", "value = true", "thresholds.1.value"),
    ],
)
def test_a_bad_value_is_named_with_its_key(tmp_path: Path, before: str, after: str, key: str) -> None:
    assert before in TOML
    found = mistakes(written(tmp_path, TOML.replace(before, after, 1)))
    assert ["ct_lung_density.toml", key] in [text.split(": ")[:2] for text in found]


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = TOML.replace('version = "1.0.0"', 'version = "one"').replace("min_slices = 40", "min_slices = 0")
    assert len(mistakes(written(tmp_path, text))) == 2


def test_an_output_that_is_there_twice_is_named(tmp_path: Path) -> None:
    found = mistakes(written(tmp_path, TOML.replace('key = "perc15"', 'key = "laa_950"')))
    assert found == ["ct_lung_density.toml: laa_950 is there twice"]


def test_what_is_no_toml_is_named(tmp_path: Path) -> None:
    assert mistakes(written(tmp_path, "id = "))[0].startswith("ct_lung_density.toml: is no TOML")


def test_a_manifest_without_its_file_stops_the_start(tmp_path: Path) -> None:
    written(tmp_path, TOML, module=False)
    with pytest.raises(ConfigurationError, match=r"ct_lung_density\.py is missing"):
        load(tmp_path)


def test_two_manifests_with_one_id_stop_the_start(tmp_path: Path) -> None:
    written(tmp_path, TOML)
    written(tmp_path, TOML, "other")
    with pytest.raises(ConfigurationError, match=r"other\.toml: id: .*another manifest"):
        load(tmp_path)


def test_the_mistakes_of_all_manifests_are_reported_together(tmp_path: Path) -> None:
    written(tmp_path, "id = ", "first")
    written(tmp_path, "id = ", "second")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert len(caught.value.mistakes) == 2


def test_a_threshold_or_output_that_a_model_asks_for_in_vain_is_an_error(manifest: Manifest) -> None:
    with pytest.raises(ConfigurationError, match="thresholds has no entry"):
        manifest.threshold("nonsense")
    with pytest.raises(ConfigurationError, match="outputs has no entry"):
        manifest.output("nonsense")


def test_what_the_worker_and_the_receiver_import_loads_no_torch() -> None:
    program = (
        "import sys, models.registry, models.selection, models.runtime, models.phantom; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_model_compares_with_no_prior_unless_its_manifest_says_so(tmp_path: Path, manifest: Manifest) -> None:
    assert manifest.inputs.priors == 1
    assert read(written(tmp_path, TOML.replace("priors = 1\n", ""))).inputs.priors == 0
    too_many = TOML.replace("priors = 1", "priors = 50")
    assert any("inputs.priors" in mistake for mistake in mistakes(written(tmp_path, too_many)))

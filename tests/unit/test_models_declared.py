"""A model without code does what its manifest declares, measured against truths that this file makes itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import UNet

from cds.domain.finding import Findings, Presence
from cds.domain.imaging import VolumeRef
from cds.errors import ConfigurationError, NotEvaluable
from models import declared, direct
from models.declaration import ImageGrid, Scale, VolumeGrid
from models.declared_pixels import axes, fitted, framed, laid, on_file, scaled
from models.manifest import Manifest
from models.registry import load_one
from models.task import Refused, Task
from models.weights import NotInstalled
from tests.unit import site_models

#: The usual axial volume: slices fall towards the feet, rows to the back, columns to the left (LPS).
AXIAL = np.array([[0, 0, 1.5, 0], [0, 1.5, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
RISING = np.array([[0, 0, 1.5, 0], [0, 1.5, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
SPACING = (3.0, 1.5, 1.5)


def task(folder: Path) -> Task:
    return Task(folder, lambda: False)


def bright(side: str, rows: int = 100, columns: int = 60) -> np.ndarray:
    image = np.zeros((rows, columns), np.uint16)
    half = columns // 2
    image[:, slice(None, half) if side == "left" else slice(half, None)] = 900
    return image


def run(manifest: Manifest, given: object, folder: Path) -> Findings:
    found: Findings = direct.run(manifest, declared, given, task(folder))
    return found


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return load_one(site_models.classifier(tmp_path_factory.mktemp("c") / "sides") / "sides.toml")


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return load_one(site_models.segmenter(tmp_path_factory.mktemp("d") / "dense") / "dense.toml")


def block() -> np.ndarray:
    """Air with a dense block of 10 by 10 by 8 voxels."""
    hu = np.full((20, 30, 40), -900, np.int16)
    hu[4:14, 10:20, 4:12] = 900
    return hu


@pytest.mark.parametrize(("side", "other"), [("left", "right"), ("right", "left")])
def test_a_classifier_says_present_or_not_detected_at_its_threshold(
    sides: Manifest, tmp_path: Path, side: str, other: str
) -> None:
    found = run(sides, site_models.projections(tmp_path, bright(side)), tmp_path)
    by_key = {finding.key: finding for finding in found.findings}
    assert by_key[side].presence is Presence.PRESENT
    assert by_key[other].presence is Presence.NOT_DETECTED
    assert by_key[side].confidence == pytest.approx(1.0, abs=1e-3)
    assert by_key[other].confidence == pytest.approx(0.0, abs=1e-3)
    assert by_key[side].threshold is not None
    assert by_key[side].threshold.value == 0.5
    assert by_key[side].gates == ("view: PA",)
    assert (found.model, found.version, found.limits) == ("sides", "1.0.0", ("It knows one thing.",))


def test_of_several_images_the_highest_probability_is_told_with_its_image(sides: Manifest, tmp_path: Path) -> None:
    given = site_models.projections(tmp_path, np.eye(64, dtype=np.uint16), bright("left"), bright("right"))
    found = run(sides, given, tmp_path)
    assert [(f.presence, f.key_sop_instance_uid) for f in found.findings] == [
        (Presence.PRESENT, "1.2.1"),
        (Presence.PRESENT, "1.2.2"),
    ]
    assert "The highest probability of 3 images is told." in found.limits


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"modality": "MG"}, "modality"),
        ({"view": "LL"}, "view"),
        ({"view": ""}, "view"),
        ({"shape": (3, 100, 60)}, "image"),
        ({"shape": (1, 100, 60, 3)}, "image"),
        ({"shape": (1, 8, 60)}, "size"),
    ],
    ids=["modality", "lateral", "no view", "frames", "colour", "small"],
)
def test_an_image_that_does_not_fit_is_refused_with_its_gate(
    sides: Manifest, tmp_path: Path, change: dict[str, object], gate: str
) -> None:
    given = site_models.projections(tmp_path, bright("left"))
    with pytest.raises(Refused) as caught:
        run(sides, replace(given, images=(replace(given.images[0], **change),)), tmp_path)
    assert caught.value.gate == gate


def test_an_image_of_one_brightness_is_refused_and_another_one_still_read(sides: Manifest, tmp_path: Path) -> None:
    flat = np.full((50, 50), 7, np.uint16)
    with pytest.raises(NotEvaluable, match="one brightness"):
        run(sides, site_models.projections(tmp_path, flat), tmp_path)
    found = run(sides, site_models.projections(tmp_path, flat, bright("left")), tmp_path)
    assert found.findings[0].key_sop_instance_uid == "1.2.1"


@pytest.mark.parametrize("affine", [AXIAL, RISING], ids=["falling", "rising"])
def test_a_segmentation_measures_a_block_and_gives_its_mask_on_the_files_grid(
    dense: Manifest, tmp_path: Path, affine: np.ndarray
) -> None:
    hu = block()
    found = run(dense, site_models.volume(tmp_path, hu, SPACING, affine), tmp_path)
    [finding] = found.findings
    assert finding.presence is Presence.MEASURED
    assert finding.value is not None
    assert finding.value.value == pytest.approx(10 * 10 * 8 * 3.0 * 1.5 * 1.5 / 1000.0)
    assert finding.value.unit == "mL"
    [mask] = found.masks
    assert mask.labels == {1: "Dense tissue"}
    assert np.array_equal(np.load(mask.path), (hu > 0).astype(np.uint8))
    assert set(finding.key_slices) == {f"1.2.3.{index}" for index in range(4, 14)}


def test_the_slice_with_most_of_it_is_the_key_slice(dense: Manifest, tmp_path: Path) -> None:
    hu = block()
    hu[6, 5:25, 4:20] = 900
    for affine in (AXIAL, RISING):
        [finding] = run(dense, site_models.volume(tmp_path, hu, SPACING, affine), tmp_path).findings
        assert finding.key_sop_instance_uid == "1.2.3.6"


def test_nothing_found_is_measured_as_nothing_and_names_no_slice(dense: Manifest, tmp_path: Path) -> None:
    hu = np.full((20, 30, 40), -900, np.int16)
    hu[0, 0, 0] = -901
    [finding] = run(dense, site_models.volume(tmp_path, hu, SPACING, AXIAL), tmp_path).findings
    assert finding.presence is Presence.MEASURED
    assert finding.value is not None
    assert finding.value.value == 0.0
    assert finding.key_slices == ()


def test_parts_below_the_stated_minimum_are_left_out(dense: Manifest, tmp_path: Path) -> None:
    hu = block()
    hu[17:19, 25:27, 30:32] = 900  # 8 voxels, 0.05 mL: below 0.1 mL
    [finding] = run(dense, site_models.volume(tmp_path, hu, SPACING, AXIAL), tmp_path).findings
    assert finding.value is not None
    assert finding.value.value == pytest.approx(5.4)


def test_headers_are_asked_before_any_voxel_is_read(dense: Manifest, tmp_path: Path) -> None:
    given = replace(site_models.volume(tmp_path, block(), SPACING, AXIAL), path="absent.npy", orientation="coronal")
    with pytest.raises(Refused) as caught:
        run(dense, given, tmp_path)
    assert caught.value.gate == "orientation"


#: Where each patient direction is bright in a volume, and in which corner of the network's it must arrive.
def cube(affine: np.ndarray, direction: np.ndarray, folder: Path) -> VolumeRef:
    """A volume that grows brighter along a direction of the patient, in LPS."""
    index = np.stack(np.meshgrid(*(np.arange(8),) * 3, indexing="ij"))
    where = np.tensordot(affine[:3, :3] @ np.eye(3), index, axes=1)
    hu = np.tensordot(direction, where, axes=1)
    return site_models.volume(folder, (hu * 10).astype(np.int16), (1.0, 1.0, 1.0), affine)


ORIENTATIONS = {
    "axial": np.array([[0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]]),
    "axial rising": np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]),
    "sagittal": np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]),
    "coronal": np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]),
    "turned": np.array([[0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]]),
}
PATIENT = {"R": (-1, 0, 0), "L": (1, 0, 0), "A": (0, -1, 0), "P": (0, 1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAR", "IPL"])
@pytest.mark.parametrize("file", ORIENTATIONS)
def test_every_axis_of_the_network_grows_the_way_that_its_letter_names(
    tmp_path: Path, file: str, orientation: str
) -> None:
    grid = VolumeGrid(orientation, (1.0, 1.0, 1.0), (8, 8, 8))
    for axis, letter in enumerate(orientation):
        given = cube(ORIENTATIONS[file], np.array(PATIENT[letter]), tmp_path)
        values, how = laid(given, grid)
        assert torch.all(values.diff(dim=axis) == 10)
        marked = (values > values.mean()).to(torch.uint8)
        back = on_file(marked, how, given)
        cranial_first = np.load(given.path)[:: -1 if given.affine[8] > 0 else 1]
        assert np.array_equal(back, (cranial_first > cranial_first.mean()).astype(np.uint8))


def test_a_volume_that_lies_between_two_axes_is_refused(tmp_path: Path) -> None:
    half = np.sqrt(0.5)
    affine = np.array([[0, half, half, 0], [0, half, 0.9 * half, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]])
    with pytest.raises(NotEvaluable, match="too oblique"):
        axes(site_models.volume(tmp_path, block(), SPACING, affine), "RAS")


def test_a_network_of_monai_answers_as_monai_alone_would(tmp_path: Path) -> None:
    torch.manual_seed(3)
    unet = UNet(**site_models.UNET).eval()
    manifest = bundled(site_models.bundle(tmp_path / "b", site_models.saved(unet), tmp_path / "touched"))
    hu = np.random.default_rng(5).integers(-1000, 1000, (30, 30, 30), dtype=np.int16)
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])[[2, 1, 0, 3]]  # slices along z, rows along -y, columns along -x
    found = run(manifest, site_models.volume(tmp_path, hu, (2.0, 2.0, 2.0), affine), tmp_path)
    ras = torch.from_numpy(np.ascontiguousarray(_ras(hu, affine))).float().clamp(-1000, 1000) / 2000 + 0.5
    with torch.inference_mode():
        answered = sliding_window_inference(ras[None, None], (24, 24, 24), 4, unet, overlap=0.25, mode="gaussian")
    assert isinstance(answered, torch.Tensor)
    expected_ml = int((answered[0].argmax(dim=0) == 1).sum()) * 8.0 / 1000.0
    assert found.findings[0].value is not None
    assert found.findings[0].value.value == pytest.approx(expected_ml, rel=0.02)
    assert not (tmp_path / "touched").exists()


def _ras(hu: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """To right, anterior, superior by hand, for an affine whose axes are z, y, x."""
    turned = hu.transpose(2, 1, 0)
    flips = [axis for axis, (row, sign) in enumerate(((0, -1), (1, -1), (2, 1))) if affine[row, 2 - axis] * sign < 0]
    return np.flip(turned, flips)


def bundled(folder: Path) -> Manifest:
    """The manifest beside a bundle, with the bundle's own folder of weights."""
    return replace(load_one(folder / "small_unet.toml"), folders=(folder / "models",))


def wrong(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        declared.build(bundled(folder), torch.device("cpu"))
    return caught.value.mistakes


def test_weights_of_another_architecture_are_refused_with_the_keys(tmp_path: Path) -> None:
    other = UNet(**{**site_models.UNET, "channels": [4, 8, 16], "strides": [2, 2]})
    [mistake] = wrong(site_models.bundle(tmp_path / "b", site_models.saved(other), tmp_path))
    assert mistake.startswith("small_unet: model.pt does not fit UNet: ")
    assert "key(s) in state_dict" in mistake


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    other = UNet(**{**site_models.UNET, "channels": [8, 16]})
    [mistake] = wrong(site_models.bundle(tmp_path / "b", site_models.saved(other), tmp_path))
    assert "size mismatch" in mistake


def test_arguments_that_monai_refuses_are_a_mistake_of_the_manifest(tmp_path: Path) -> None:
    declared_part = site_models.SEGMENTS + site_models.ARCHITECTURE.replace("channels = [4, 8]", "channels = [4]")
    folder = site_models.bundle(
        tmp_path / "b", site_models.saved(torch.nn.Linear(1, 1)), tmp_path, declared=declared_part
    )
    [mistake] = wrong(folder)
    assert mistake.startswith("declared.network.arguments: UNet refuses them: ")


class Broken(torch.nn.Module):
    """Answers with numbers that are none, or with one answer too many."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean((1, 2, 3))
        if self.how == "nan":
            return torch.stack([mean, mean / (mean - mean)], dim=1)
        return torch.stack([mean, mean, mean], dim=1)


def test_an_answer_that_is_no_number_is_not_evaluated(tmp_path: Path) -> None:
    manifest = load_one(site_models.classifier(tmp_path / "c", Broken("nan")) / "sides.toml")
    with pytest.raises(NotEvaluable, match="values that are no numbers") as caught:
        run(manifest, site_models.projections(tmp_path, bright("left")), tmp_path)
    assert caught.value.gate == "answer"


def test_another_number_of_answers_than_declared_is_a_mistake_with_both(tmp_path: Path) -> None:
    manifest = load_one(site_models.classifier(tmp_path / "c", Broken("three")) / "sides.toml")
    with pytest.raises(ConfigurationError, match="the network answers 1x3 to 1 items, want 1x2"):
        run(manifest, site_models.projections(tmp_path, bright("left")), tmp_path)


def test_probabilities_that_are_none_are_not_evaluated(tmp_path: Path) -> None:
    text = site_models.CLASSIFIES.replace('activation = "sigmoid"', 'activation = "none"')
    manifest = load_one(site_models.classifier(tmp_path / "c", declared=text) / "sides.toml")
    with pytest.raises(NotEvaluable, match="no probabilities"):
        run(manifest, site_models.projections(tmp_path, bright("left")), tmp_path)


def torchscript(folder: Path) -> Manifest:
    content = site_models.scripted(site_models.Dense())
    parts = {**site_models.SEGMENTER, "network": "torchscript", "format": "torchscript", "file": "dense.ts"}
    folder.mkdir()
    (folder / "dense.ts").write_bytes(content)
    (folder / "dense.toml").write_text(site_models.manifest(content, **parts))
    return load_one(folder / "dense.toml")


def test_torchscript_is_not_installed_unless_the_site_allows_it(tmp_path: Path) -> None:
    manifest = torchscript(tmp_path / "t")
    with pytest.raises(NotInstalled, match="executable code; CDS_ALLOW_TORCHSCRIPT lets it run") as caught:
        declared.build(manifest, torch.device("cpu"))
    assert caught.value.gate == "weights"
    found = run(replace(manifest, may_execute=True), site_models.volume(tmp_path, block(), SPACING, AXIAL), tmp_path)
    assert found.findings[0].value is not None
    assert found.findings[0].value.value == pytest.approx(5.4)


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (Scale("window", 0.0, 100.0), [0.0, 0.5, 1.0, 1.0]),
        (Scale("window", 0.0, 100.0, -1.0, 1.0), [-1.0, 0.0, 1.0, 1.0]),
        (Scale("minmax"), [0.0, 0.25, 0.5, 1.0]),
        (Scale("percentile", 0.0, 100.0), [0.0, 0.25, 0.5, 1.0]),
        (Scale("zscore"), [-1.024695, -0.439155, 0.146385, 1.317465]),
    ],
    ids=["window", "to", "minmax", "percentile", "zscore"],
)
def test_values_are_scaled_as_declared(scale: Scale, expected: list[float]) -> None:
    assert scaled(torch.tensor([0.0, 50.0, 100.0, 200.0]), scale).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_volume_of_values_that_are_no_numbers_is_refused() -> None:
    with pytest.raises(NotEvaluable, match="no numbers"):
        scaled(torch.tensor([1.0, float("nan")]), Scale("minmax"))


def test_a_projection_keeps_its_proportions() -> None:
    image = torch.zeros(100, 50)
    image[40:60, 15:35] = 1.0
    padded = fitted(image, ImageGrid(50, 50))
    inside = padded > 0.5
    assert [int(inside.any(dim=axis).sum()) for axis in (0, 1)] == pytest.approx([10, 10], abs=1)
    cropped = fitted(image, ImageGrid(50, 50, "crop")) > 0.5
    assert [int(cropped.any(dim=axis).sum()) for axis in (0, 1)] == pytest.approx([20, 20], abs=1)


def test_a_frame_is_laid_around_the_middle() -> None:
    framed_to = framed(torch.arange(1.0, 5.0).reshape(4, 1), (2, 3), 0.0)
    assert framed_to.tolist() == [[0.0, 2.0, 0.0], [0.0, 3.0, 0.0]]

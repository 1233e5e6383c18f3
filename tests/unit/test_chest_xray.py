"""The chest radiograph model: what it reads, what it refuses, and that its weights know what they should."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from cds.domain.finding import Findings, Presence
from cds.domain.imaging import ImageRef, Projections
from cds.errors import ConfigurationError, NotEvaluable, NotFound
from models import chest_xray, registry
from models.direct import Direct
from models.radiograph import SIDE, framed, squared
from models.task import Refused, Task

MANIFEST = registry.load()["chest_xray"]
_FOLDER = Path(os.environ.get("CDS_REFERENCE_DIR", "")) / "images" / "nih_chest_xray"
real = pytest.mark.skipif(
    "CDS_REFERENCE_DIR" not in os.environ or not _FOLDER.is_dir(),
    reason="CDS_REFERENCE_DIR names no folder with images/nih_chest_xray",
)
Pixels = NDArray[np.generic]


@pytest.fixture(scope="module")
def model() -> Direct:
    torch.set_num_threads(1)
    return Direct(MANIFEST, chest_xray)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(tmp_path, lambda: False)


@pytest.fixture
def image_of(tmp_path: Path) -> Callable[..., ImageRef]:
    """Pixels as the image of a study, written to disk."""

    def make(pixels: Pixels, *, uid: str = "1.2.3", view: str = "PA", modality: str = "DX") -> ImageRef:
        path = tmp_path / f"{uid}.npy"
        np.save(path, pixels[np.newaxis])
        return ImageRef(
            str(path), pixels.dtype.name, (1, *pixels.shape), "MONOCHROME2", None, "", uid, "1.2", modality, view
        )

    return make


def radiographs(label: str, count: int) -> list[Pixels]:
    """The first images of the data set that have this label."""
    with (_FOLDER / "labels.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if label in row["finding_labels"].split("|")]
    return [np.asarray(Image.open(_FOLDER / "images" / name)) for name in names[:count]]


def disk(rows: int, columns: int, radius: float) -> NDArray[np.float64]:
    """A bright disk in the middle of a dark image whose values grow a little from left to right."""
    y, x = np.mgrid[:rows, :columns]
    inside = (y - rows / 2 + 0.5) ** 2 + (x - columns / 2 + 0.5) ** 2 < radius**2
    values: NDArray[np.float64] = np.where(inside, 200.0, 20.0) + x / columns
    return values


def run(model: Direct, task: Task, *images: ImageRef) -> Findings:
    return model.run(Projections(images), task)


@pytest.mark.parametrize("bits", [12, 16])
def test_the_depth_of_the_detector_does_not_change_what_the_network_sees(bits: int) -> None:
    eight = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    deep = eight.astype(np.uint16) * (2 ** (bits - 8)) + 7
    assert torch.allclose(squared(eight), squared(deep), atol=1e-5)


def test_a_larger_copy_of_an_image_looks_the_same() -> None:
    small = disk(256, 256, 60)
    large = np.kron(small, np.ones((4, 4)))
    difference = (squared(small) - squared(large)).abs()
    assert float(difference.mean()) < 0.01


@pytest.mark.parametrize(("rows", "columns"), [(512, 384), (300, 512)])
def test_an_oblong_image_is_padded_and_not_stretched(rows: int, columns: int) -> None:
    bright = squared(disk(rows, columns, 100.0))[0] > 0.5
    height = int(bright.any(dim=1).sum())
    width = int(bright.any(dim=0).sum())
    assert abs(height - width) <= 1
    assert height == pytest.approx(200.0 * SIDE / max(rows, columns), abs=2)
    top, left, *_ = framed(rows, columns)
    assert float(squared(disk(rows, columns, 100.0))[0][:top, :left].sum()) == 0.0


def test_a_few_very_bright_pixels_do_not_darken_the_rest() -> None:
    plain = np.random.default_rng(1).integers(500, 3000, (SIDE, SIDE)).astype(np.uint16)
    marked = plain.copy()
    marked[:8, :8] = 65535
    assert float((squared(plain) - squared(marked))[0, 16:].abs().mean()) < 0.01


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_or_saturated_image_is_refused(
    value: int, image_of: Callable[..., ImageRef], model: Direct, task: Task
) -> None:
    with pytest.raises(NotEvaluable, match="no contrast") as refusal:
        run(model, task, image_of(np.full((300, 300), value, dtype=np.uint8)))
    assert refusal.value.gate == "image quality"


@pytest.mark.parametrize(
    ("change", "gate", "words"),
    [
        (lambda image: replace(image, view="LL"), "view", "no frontal one"),
        (lambda image: replace(image, view=""), "view", "not stated"),
        (lambda image: replace(image, modality="MG"), "modality", "no digital or computed radiograph"),
        (lambda image: replace(image, shape=(2, 256, 256)), "image", "several frames"),
        (lambda image: replace(image, shape=(1, 256, 256, 3)), "image", "colour"),
        (lambda image: replace(image, shape=(1, 200, 400)), "size", "smaller than 256 by 256"),
    ],
    ids=["lateral", "view not stated", "mammogram", "frames", "colour", "small"],
)
def test_an_image_of_another_kind_is_refused_before_its_pixels_are_read(
    change: Callable[[ImageRef], ImageRef], gate: str, words: str, image_of: Callable[..., ImageRef], task: Task
) -> None:
    image = change(replace(image_of(np.zeros((256, 256), dtype=np.uint8)), path="nowhere.npy"))
    with pytest.raises(Refused, match=words) as refusal:
        chest_xray.prepare(MANIFEST, Projections((image,)), task)
    assert refusal.value.gate == gate


def test_a_file_that_is_gone_is_no_finding(task: Task, image_of: Callable[..., ImageRef]) -> None:
    image = replace(image_of(np.zeros((256, 256), dtype=np.uint8)), path="nowhere.npy")
    with pytest.raises(NotFound):
        chest_xray.prepare(MANIFEST, Projections((image,)), task)


def test_noise_and_a_disk_are_no_chest(image_of: Callable[..., ImageRef], model: Direct, task: Task) -> None:
    noise = np.random.default_rng(2).integers(0, 4096, (400, 400)).astype(np.uint16)
    for pixels in (noise, disk(400, 300, 80.0)):
        with pytest.raises(Refused) as refusal:
            run(model, task, image_of(pixels))
        assert refusal.value.gate == "image quality"


def test_weights_of_another_network_are_not_taken(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from models.weights import digest

    save_file({"members.0.head.weight": torch.zeros(2, 2)}, tmp_path / chest_xray.FILE)
    declared = replace(MANIFEST.weights[0], sha256=digest(tmp_path / chest_xray.FILE))
    manifest = replace(MANIFEST, folders=(tmp_path,), weights=(declared,))
    with pytest.raises(ConfigurationError, match="does not fit the network"):
        chest_xray.build(manifest, torch.device("cpu"))


def test_the_weights_are_a_few_megabytes_and_every_output_names_a_label_and_a_threshold() -> None:
    assert (Path(registry.SHIPPED) / "weights" / chest_xray.FILE).stat().st_size < 16e6
    for output in MANIFEST.outputs:
        assert set(output.labels) <= set(chest_xray.LABELS)
        assert 0.0 < MANIFEST.threshold(output.key) < 1.0


@real
def test_a_radiograph_gives_thirteen_findings_and_a_heat_map_for_each_that_is_present(
    image_of: Callable[..., ImageRef], model: Direct, task: Task
) -> None:
    pixels = np.pad(radiographs("Effusion", 1)[0], ((0, 0), (20, 20)))
    findings = run(model, task, image_of(pixels))
    assert [finding.key for finding in findings.findings] == [output.key for output in MANIFEST.outputs]
    present = [finding.key for finding in findings.findings if finding.presence is Presence.PRESENT]
    assert [heat.key for heat in findings.heat_maps] == present
    assert present
    for finding in findings.findings:
        assert finding.threshold is not None
        assert finding.confidence is not None
        assert 0.0 < finding.confidence < 1.0
        assert (finding.presence is Presence.PRESENT) == (finding.confidence >= finding.threshold.value)
        assert finding.key_sop_instance_uid == "1.2.3"
    for heat in findings.heat_maps:
        shown = np.load(heat.path)
        # 256 rows to 296 columns, on a grid of at most 256.
        assert shown.shape == heat.shape == (221, 256)
        assert shown.dtype == np.float32
        assert 0.0 <= shown.min() <= shown.max() <= 1.0
        assert shown.max() > 0.5


@real
def test_of_several_images_the_most_probable_counts_and_a_lateral_one_is_told(
    image_of: Callable[..., ImageRef], model: Direct, task: Task
) -> None:
    first, second = (image_of(pixels, uid=f"1.{i}") for i, pixels in enumerate(radiographs("Effusion", 2)))
    lateral = image_of(radiographs("Effusion", 1)[0], uid="1.9", view="LL")
    apart = [run(model, task, image).findings[0].confidence or 0.0 for image in (first, second)]
    both = run(model, task, first, lateral, second)
    assert both.findings[0].confidence == pytest.approx(max(apart), abs=1e-4)
    assert both.findings[0].key_sop_instance_uid == f"1.{int(np.argmax(apart))}"
    assert any("no frontal one" in limit for limit in both.limits)


@real
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda pixels: 255 - pixels, "inverted"),
        (np.rot90, "turned by 90"),
        (lambda pixels: np.rot90(pixels, 3), "turned by 90"),
        (lambda pixels: np.rot90(pixels, 2), "upside down"),
        (lambda pixels: np.kron(pixels[20:120, 20:120], np.ones((4, 4), dtype=np.uint8)), "part of the chest"),
    ],
    ids=["inverted", "turned left", "turned right", "upside down", "cropped"],
)
def test_a_spoiled_radiograph_is_refused_with_its_reason(
    spoil: Callable[[Pixels], Pixels], words: str, image_of: Callable[..., ImageRef], model: Direct, task: Task
) -> None:
    for pixels in radiographs("No Finding", 2):
        with pytest.raises(Refused, match=words):
            run(model, task, image_of(spoil(pixels)))


@real
def test_the_weights_tell_effusions_from_radiographs_without_finding(
    image_of: Callable[..., ImageRef], model: Direct, task: Task
) -> None:
    # These images were trained on: the test shows that the weights are read and scaled as they were trained.
    def chances(label: str) -> list[float]:
        images = [image_of(pixels, uid=f"{label}.{i}") for i, pixels in enumerate(radiographs(label, 16))]
        found = [run(model, task, image).findings[0].confidence for image in images]
        return [chance for chance in found if chance is not None]

    ill, well = chances("Effusion"), chances("No Finding")
    assert len(ill) == len(well) == 16
    assert stats.mannwhitneyu(ill, well).statistic / 256 > 0.9

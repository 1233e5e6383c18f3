"""Attenuation of liver and spleen of a torso whose densities are known, each gate of the model, and a real CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cds.domain.finding import Findings, Presence
from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models import ct_liver_spleen as model
from models.attributes import KEYS
from models.manifest import Manifest, read
from models.phantom_abdomen import Anatomy, Tissue, Torso, torso
from models.task import Refused
from tests.unit.torso_cases import NoNetwork, Voxels, stored, task, unenhanced_ct, value, volume_of

MANIFEST = read(Path(model.__file__).with_suffix(".toml"))
#: The tolerance that the manifest states, HU.
TOLERANCE = 3.0
ALL = {"liver_attenuation", "spleen_attenuation", "liver_spleen_difference", "liver_spleen_ratio"}


def run(volume: VolumeRef, folder: Path, manifest: Manifest = MANIFEST) -> Findings:
    work = task(folder)
    prepared = model.prepare(manifest, volume, work)
    return model.interpret(manifest, volume, prepared, model.infer(NoNetwork(), prepared, work), work)


def refusal(volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        run(volume, folder)
    return caught.value


@pytest.fixture(scope="module")
def coarse() -> Torso:
    return torso(layer_mm=(1.5, 2.0, 2.0)).between(-90.0, 110.0)


@pytest.fixture(scope="module")
def images(coarse: Torso) -> Voxels:
    return coarse.images()


@pytest.fixture(scope="module")
def measured(coarse: Torso, images: Voxels, tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, VolumeRef]:
    folder = tmp_path_factory.mktemp("liver")
    volume = stored(coarse, images, folder)
    return run(volume, folder), volume


@pytest.fixture(scope="module")
def empty(coarse: Torso, tmp_path_factory: pytest.TempPathFactory) -> VolumeRef:
    """For gates that look at the header alone; whoever opens it finds nothing."""
    return stored(coarse, np.zeros((30, 8, 8), dtype=np.int16), tmp_path_factory.mktemp("header"))


# --- accuracy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("liver", [-10.0, 95.0], ids=["fat", "iron"])
def test_known_organs_are_recovered(coarse: Torso, tmp_path: Path, liver: float) -> None:
    voxels = coarse.images({Tissue.LIVER: liver, Tissue.LIVER_VEIN: 40.0}, noise_hu=25.0, seed=3)
    findings = run(stored(coarse, voxels, tmp_path), tmp_path)
    assert value(findings, "liver_attenuation") == pytest.approx(liver, abs=TOLERANCE)
    assert value(findings, "spleen_attenuation") == pytest.approx(49.0, abs=TOLERANCE)
    assert value(findings, "liver_spleen_difference") == pytest.approx(liver - 49.0, abs=2.0 * TOLERANCE)
    assert value(findings, "liver_spleen_ratio") == pytest.approx(liver / 49.0, abs=0.1)
    notes = [one.note for one in findings.findings if one.key == "liver_attenuation"]
    assert ("Iron" in notes[0]) == (liver > 90.0)


def test_sections_of_5_mm_are_measured_as_well(tmp_path: Path) -> None:
    one = torso(layer_mm=(2.5, 2.0, 2.0)).between(-90.0, 110.0)
    findings = run(stored(one, one.images(), tmp_path, slice_thickness_mm="5.0"), tmp_path)
    assert value(findings, "liver_attenuation") == pytest.approx(58.0, abs=TOLERANCE)
    assert value(findings, "spleen_attenuation") == pytest.approx(49.0, abs=TOLERANCE)


def test_the_findings_say_what_was_measured_and_grade_nothing(measured: tuple[Findings, VolumeRef]) -> None:
    findings, _ = measured
    assert {one.key for one in findings.findings} == ALL
    for one in findings.findings:
        assert one.presence is Presence.MEASURED
        assert one.category is None
        assert one.key_slices
        assert one.body_site is not None
    sites = {one.key: one.body_site.code for one in findings.findings if one.body_site is not None}
    assert (sites["liver_attenuation"], sites["spleen_attenuation"]) == ("10200004", "78961009")
    gates = {gate.partition(":")[0] for gate in findings.findings[0].gates}
    assert gates >= {"contrast", "tube voltage", "kernel", "slice thickness", "coverage", "metal near the liver",
                     "contrast in the blood", "noise", "field of view at the liver"}  # fmt: skip


def test_the_mask_shows_the_regions(coarse: Torso, measured: tuple[Findings, VolumeRef]) -> None:
    mask = np.load(measured[0].masks[0].path)
    assert set(measured[0].masks[0].labels) == {1, 2}
    for layer in (0, 1):
        assert set(np.unique(coarse.labels[layer::2][mask == 1])) == {int(Tissue.LIVER)}
        assert set(np.unique(coarse.labels[layer::2][mask == 2])) == {int(Tissue.SPLEEN)}


def test_the_order_of_slices_rows_and_columns_does_not_matter(
    coarse: Torso, images: Voxels, measured: tuple[Findings, VolumeRef], tmp_path: Path
) -> None:
    affine = list(coarse.affine)
    for axis, (step, start) in enumerate([(8, 11), (5, 7), (2, 3)]):
        affine[start] += affine[step] * (images.shape[axis] - 1)
        affine[step] = -affine[step]
    flipped = run(replace(stored(coarse, np.flip(images), tmp_path), affine=tuple(affine)), tmp_path)
    assert [one.value for one in flipped.findings] == [one.value for one in measured[0].findings]
    assert (np.flip(np.load(flipped.masks[0].path)) == np.load(measured[0].masks[0].path)).all()


def test_without_a_spleen_the_liver_is_measured_alone(tmp_path: Path) -> None:
    one = torso(Anatomy(spleen=False), layer_mm=(1.5, 2.0, 2.0)).between(-90.0, 110.0)
    findings = run(stored(one, one.images(), tmp_path), tmp_path)
    assert {finding.key for finding in findings.findings} == {"liver_attenuation"}
    assert any("spleen is not measured" in limit for limit in findings.limits)


# --- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "gate", "words"),
    [
        (("contrast", "yes"), "contrast", "contrast medium was given"),
        (("kvp", "100"), "tube voltage", "only 120 kV"),
        (("kvp", ""), "tube voltage", "not stated"),
        (("kernel", "B70f"), "kernel", "sharp"),
        (("slice_thickness_mm", "6.0"), "slice thickness", "at most 5 mm"),
    ],
    ids=lambda one: "=".join(one) if isinstance(one, tuple) else "",
)
def test_an_acquisition_that_cannot_be_measured_is_refused(
    empty: VolumeRef, attribute: tuple[str, str], gate: str, words: str
) -> None:
    name, text = attribute
    attributes = {key: one for key, one in (empty.attributes | {name: text}).items() if one}
    refused = refusal(replace(empty, attributes=attributes), Path(empty.path).parent)
    assert refused.gate == gate
    assert words in str(refused)


def test_too_short_a_volume_is_refused(empty: VolumeRef) -> None:
    short = replace(empty, spacing_mm=(1.0, 2.0, 2.0))
    assert refusal(short, Path(empty.path).parent).gate == "coverage"


def test_contrast_medium_in_the_blood_is_refused_whatever_the_header_says(coarse: Torso, tmp_path: Path) -> None:
    """More of contrast medium in test_ct_unenhanced_safety.py."""
    refused = refusal(stored(coarse, coarse.images(enhanced=True), tmp_path, contrast="no"), tmp_path)
    assert isinstance(refused, Refused)
    assert any("although the header" in reason for reason in refused.reasons)


def test_a_body_that_the_images_cut_is_refused(coarse: Torso, images: Voxels, tmp_path: Path) -> None:
    assert refusal(stored(coarse, images[:, :, 28:], tmp_path), tmp_path).gate == "field of view at the liver"


def test_a_liver_that_differs_from_top_to_bottom_is_refused(coarse: Torso, images: Voxels, tmp_path: Path) -> None:
    voxels = images.copy()
    fading = np.rint(0.4 * coarse.spacing_mm[0] * np.arange(len(voxels))).astype(np.int16)[:, None, None]
    voxels -= np.where(coarse.labels[::2] == Tissue.LIVER, fading, 0).astype(np.int16)
    refused = refusal(stored(coarse, voxels, tmp_path), tmp_path)
    assert refused.gate == "liver regions agree"


def test_metal_near_the_liver_is_refused(coarse: Torso, images: Voxels, tmp_path: Path) -> None:
    voxels = images.copy()
    # Clips where the gall bladder was: z 5 mm, y -20 mm, x -40 mm.
    z, y, x = (round((at - start) / mm) for at, start, mm in zip(
        (5.0, -20.0, -40.0), (coarse.affine[11], coarse.affine[7], coarse.affine[3]), coarse.spacing_mm, strict=True,
    ))  # fmt: skip
    voxels[z : z + 2, y : y + 3, x : x + 3] = 3000
    assert refusal(stored(coarse, voxels, tmp_path), tmp_path).gate == "metal near the liver"


def test_noise_is_refused(coarse: Torso, tmp_path: Path) -> None:
    assert "nois" in str(refusal(stored(coarse, coarse.images(noise_hu=55.0), tmp_path), tmp_path))


def test_a_chest_without_enough_liver_is_refused(coarse: Torso, tmp_path: Path) -> None:
    part = coarse.between(45.0, 140.0)
    assert refusal(stored(part, part.images(), tmp_path), tmp_path).gate == "liver"


# --- real images -----------------------------------------------------------------------------------------------------


def test_a_real_ct_is_refused_for_its_grid_and_measured_without_that_gate(tmp_path: Path) -> None:
    voxels, spacing, affine = unenhanced_ct()
    volume = volume_of(voxels, spacing, affine, tmp_path, contrast="unknown")
    assert refusal(volume, tmp_path).gate == "pixel spacing"
    assert MANIFEST.inputs.ct is not None
    wide = replace(MANIFEST, inputs=replace(MANIFEST.inputs, ct=replace(MANIFEST.inputs.ct, max_pixel_spacing_mm=3.0)))
    findings = run(volume, tmp_path, wide)
    assert {one.key for one in findings.findings} == ALL
    assert 40.0 < value(findings, "liver_attenuation") < 55.0
    assert 28.0 < value(findings, "spleen_attenuation") < 50.0


def test_the_manifest_states_all_source_attributes() -> None:
    assert set(MANIFEST.source_attributes) == KEYS
    assert {output.key for output in MANIFEST.outputs} == ALL

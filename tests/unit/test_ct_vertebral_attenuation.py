"""Trabecular attenuation of a torso whose densities are known, each gate of the model, and two real CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.dicom.volume import LocalImages
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import SeriesSummary, VolumeRef
from cds.errors import NotEvaluable
from cds.limits import DicomLimits
from models import ct_vertebral_attenuation as model
from models.attributes import KEYS
from models.manifest import Manifest, read
from models.phantom_abdomen import Anatomy, Tissue, Torso, torso
from models.spine import find_spine
from models.straight import straighten
from models.task import Refused
from models.trabecular import measure
from models.unenhanced import blood
from models.upright import upright
from models.vertebrae import find_vertebrae
from tests.unit.torso_cases import NoNetwork, Voxels, real, stored, task, unenhanced_ct, value, volume_of

MANIFEST = read(Path(model.__file__).with_suffix(".toml"))
#: The tolerance that the manifest states, HU.
TOLERANCE = 3.0


def run(volume: VolumeRef, folder: Path, manifest: Manifest = MANIFEST) -> Findings:
    work = task(folder)
    prepared = model.prepare(manifest, volume, work)
    return model.interpret(manifest, volume, prepared, model.infer(NoNetwork(), prepared, work), work)


def refusal(volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        run(volume, folder)
    return caught.value


def only(findings: Findings) -> Finding:
    (one,) = findings.findings
    return one


def from_t10_to_l3(anatomy: Anatomy | None = None, layer_mm: tuple[float, float, float] = (1.5, 1.6, 1.6)) -> Torso:
    return torso(anatomy, layer_mm=layer_mm).between(-75.0, 100.0)


@pytest.fixture(scope="module")
def usual() -> Torso:
    return from_t10_to_l3()


@pytest.fixture(scope="module")
def images(usual: Torso) -> Voxels:
    return usual.images()


@pytest.fixture(scope="module")
def measured(usual: Torso, images: Voxels, tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, VolumeRef]:
    folder = tmp_path_factory.mktemp("vertebra")
    volume = stored(usual, images, folder)
    return run(volume, folder), volume


@pytest.fixture(scope="module")
def empty(usual: Torso, tmp_path_factory: pytest.TempPathFactory) -> VolumeRef:
    """For gates that look at the header alone; whoever opens it finds nothing."""
    return stored(usual, np.zeros((30, 8, 8), dtype=np.int16), tmp_path_factory.mktemp("header"))


# --- accuracy --------------------------------------------------------------------------------------------------------


def attenuation_by_level(one: Torso, voxels: Voxels) -> dict[str, float]:
    seen = voxels[::-1]
    spine = find_spine(seen, one.spacing_mm, lambda: None)
    line = straighten(seen, one.spacing_mm, spine)
    levels = find_vertebrae(seen, one.spacing_mm, spine, line, lambda: None)
    return {
        vertebra.name: measure(seen, one.spacing_mm, spine, line, vertebra, dense_hu=450.0).mean_hu
        for vertebra in levels.vertebrae
        if vertebra.name in {"T12", "L1", "L2"}
    }


@pytest.mark.parametrize(("hu", "noise"), [(60.0, 25.0), (220.0, 12.0)])
def test_known_bone_is_recovered_at_every_level(usual: Torso, hu: float, noise: float) -> None:
    # Veins are fat, cortex is dense: whoever takes them in is wrong.
    voxels = usual.images({Tissue.TRABECULAR: hu, Tissue.VEIN: -100.0, Tissue.CORTEX: 600.0}, noise_hu=noise, seed=11)
    found = attenuation_by_level(usual, voxels)
    assert set(found) == {"T12", "L1", "L2"}
    assert all(one == pytest.approx(hu, abs=TOLERANCE) for one in found.values())


@pytest.mark.parametrize("lordosis", [0.07, 0.35])
def test_a_tilted_spine_is_measured_as_well(lordosis: float) -> None:
    one = from_t10_to_l3(Anatomy(lordosis=lordosis), (1.5, 2.0, 2.0))
    found = attenuation_by_level(one, one.images({Tissue.TRABECULAR: 110.0}))
    assert found["L1"] == pytest.approx(110.0, abs=TOLERANCE)
    assert found["L2"] == pytest.approx(110.0, abs=TOLERANCE)


def test_sections_of_5_mm_are_measured_as_well(tmp_path: Path) -> None:
    one = torso(layer_mm=(2.5, 1.6, 1.6))
    volume = stored(one, one.images({Tissue.TRABECULAR: 110.0}), tmp_path, slice_thickness_mm="5.0")
    assert value(run(volume, tmp_path), "l1_attenuation") == pytest.approx(110.0, abs=TOLERANCE)


def test_the_finding_says_what_was_measured_and_where(measured: tuple[Findings, VolumeRef]) -> None:
    findings, volume = measured
    one = only(findings)
    assert one.key == "l1_attenuation"
    assert one.presence is Presence.MEASURED
    assert value(findings, "l1_attenuation") == pytest.approx(160.0, abs=TOLERANCE)
    assert one.body_site is not None
    assert (one.body_site.code, one.body_site.display) == ("66794005", "L1 vertebra")
    assert one.category is None
    assert "Measured in L1" in one.note
    assert "Standard deviation" in one.note
    gates = {gate.partition(":")[0] for gate in one.gates}
    assert gates >= {"contrast", "tube voltage", "kernel", "slice thickness", "level", "metal near the vertebra",
                     "contrast in the blood", "noise", "dense bone", "shape", "coverage"}  # fmt: skip
    # z = 0 is the middle of L1; its slice is a key slice, and it comes first.
    heights = [volume.affine[11] + volume.affine[8] * int(uid.rpartition(".")[2]) for uid in one.key_slices]
    assert abs(heights[0]) < 6.0
    assert max(abs(height) for height in heights) < 12.0
    assert one.key_sop_instance_uid == one.key_slices[0]


def test_the_mask_lies_in_trabecular_bone_alone(usual: Torso, measured: tuple[Findings, VolumeRef]) -> None:
    mask = np.load(measured[0].masks[0].path)
    assert mask.shape == measured[1].shape
    assert measured[0].masks[0].labels == {1: "trabecular bone, L1"}
    for layer in (0, 1):
        assert set(np.unique(usual.labels[layer::2][mask == 1])) == {int(Tissue.TRABECULAR)}


@pytest.mark.parametrize("flip", [(0,), (1, 2)], ids=["slices", "rows and columns"])
def test_the_order_of_slices_rows_and_columns_does_not_matter(
    usual: Torso, images: Voxels, measured: tuple[Findings, VolumeRef], tmp_path: Path, flip: tuple[int, ...]
) -> None:
    affine = list(usual.affine)
    for axis, (step, start) in enumerate([(8, 11), (5, 7), (2, 3)]):
        if axis in flip:
            affine[start] += affine[step] * (images.shape[axis] - 1)
            affine[step] = -affine[step]
    volume = replace(stored(usual, np.flip(images, flip), tmp_path), affine=tuple(affine))
    flipped = run(volume, tmp_path)
    assert value(flipped, "l1_attenuation") == value(measured[0], "l1_attenuation")
    assert only(flipped).note == only(measured[0]).note
    assert (np.flip(np.load(flipped.masks[0].path), flip) == np.load(measured[0].masks[0].path)).all()


# --- which vertebra --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anatomy", "reason"),
    [
        (Anatomy().changed("L1", height_mm=17.0), "lower than its neighbours"),
        (Anatomy(cement="L1"), "dense bone, cement or metal"),
    ],
    ids=["compressed", "cement"],
)
def test_a_neighbour_is_measured_where_l1_cannot_be(tmp_path: Path, anatomy: Anatomy, reason: str) -> None:
    one = from_t10_to_l3(anatomy)
    findings = run(stored(one, one.images({Tissue.TRABECULAR: 110.0}), tmp_path), tmp_path)
    assert only(findings).key == "t12_attenuation"
    assert value(findings, "t12_attenuation") == pytest.approx(110.0, abs=TOLERANCE)
    site = only(findings).body_site
    assert site is not None
    assert site.code == "23215003"
    assert "L1 was not measured" in only(findings).note
    assert reason in only(findings).note
    assert any("not L1" in limit for limit in findings.limits)


def test_a_dense_spot_in_the_middle_moves_the_region(usual: Torso, images: Voxels, tmp_path: Path) -> None:
    voxels = images.copy()
    z, y, x = (np.arange(size) for size in voxels.shape)
    height = usual.affine[11] + usual.spacing_mm[0] * z
    row = (25.0 + 150.0) / usual.spacing_mm[1]
    spot = ((height - 3.0) / 3.0)[:, None, None] ** 2 + ((y - row) / 3.0)[None, :, None] ** 2 + ((x - 125) / 3.0) ** 2
    voxels[spot < 1.0] = 900
    found = run(stored(usual, voxels, tmp_path), tmp_path)
    assert value(found, "l1_attenuation") == pytest.approx(160.0, abs=TOLERANCE)


def test_a_chest_gives_its_lowest_thoracic_vertebra_without_a_number(tmp_path: Path) -> None:
    part = torso().between(15.0, 140.0)
    findings = run(stored(part, part.images(), tmp_path), tmp_path)
    one = only(findings)
    assert one.key == "thoracic_attenuation"
    assert value(findings, "thoracic_attenuation") == pytest.approx(160.0, abs=TOLERANCE)
    assert one.body_site is not None
    assert one.body_site.display == "Thoracic spine"
    assert "no certain number" in one.note
    # T11, built at 59.5 mm, is the lowest whole one; T12 has no disc below it in these images.
    assert "z 60 mm" in one.note or "z 59 mm" in one.note


def test_lumbar_vertebrae_alone_are_refused(usual: Torso, tmp_path: Path) -> None:
    part = usual.between(-75.0, 15.0)
    refused = refusal(stored(part, part.images(), tmp_path), tmp_path)
    assert refused.gate == "level"
    assert "no vertebra with ribs" in str(refused)


def test_a_short_twelfth_rib_leaves_the_level_without_a_number(tmp_path: Path) -> None:
    one = torso(Anatomy().changed("T12", rib_mm=38.0))
    findings = run(stored(one, one.images(), tmp_path), tmp_path)
    assert only(findings).key == "thoracic_attenuation"
    assert "short rib" in only(findings).note


# --- gates of the header ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "gate", "words"),
    [
        (("contrast", "yes"), "contrast", "contrast medium was given"),
        (("contrast", "mixed"), "contrast", "differs between slices"),
        (("kvp", "100"), "tube voltage", "only 120 kV"),
        (("kvp", "140"), "tube voltage", "only 120 kV"),
        (("kvp", ""), "tube voltage", "not stated"),
        (("kernel", "B70f"), "kernel", "sharp"),
        (("kernel", ""), "kernel", "not stated"),
        (("slice_thickness_mm", "6.0"), "slice thickness", "at most 5 mm"),
        (("slice_thickness_mm", ""), "slice thickness", "not stated"),
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


def test_too_few_slices_and_too_wide_pixels_are_refused_together(usual: Torso, images: Voxels, tmp_path: Path) -> None:
    volume = replace(stored(usual, images[:12], tmp_path), spacing_mm=(3.0, 2.5, 2.5))
    with pytest.raises(Refused) as caught:
        run(volume, tmp_path)
    assert len(caught.value.reasons) == 3


def test_a_tilted_gantry_is_refused(usual: Torso, images: Voxels, tmp_path: Path) -> None:
    tilted = list(usual.affine)
    tilted[4] = 0.3
    assert refusal(replace(stored(usual, images, tmp_path), affine=tuple(tilted)), tmp_path).gate == "orientation"


# --- gates of the images ---------------------------------------------------------------------------------------------


def test_contrast_medium_in_the_blood_is_refused_whatever_the_header_says(usual: Torso, tmp_path: Path) -> None:
    """More of contrast medium in test_ct_unenhanced_safety.py."""
    refused = refusal(stored(usual, usual.images(enhanced=True), tmp_path, contrast="no"), tmp_path)
    assert refused.gate == "contrast in the blood"
    assert "although the header" in str(refused)


def test_unknown_contrast_is_asked_of_the_blood(usual: Torso, images: Voxels, tmp_path: Path) -> None:
    findings = run(stored(usual, images, tmp_path, contrast="unknown"), tmp_path)
    assert value(findings, "l1_attenuation") == pytest.approx(160.0, abs=TOLERANCE)
    assert any("not stated whether contrast" in limit for limit in findings.limits)


def test_unknown_contrast_without_an_aorta_is_refused(usual: Torso, images: Voxels, tmp_path: Path) -> None:
    voxels = images.copy()
    # The psoas muscles, as round as an aorta, stay.
    for layer in (0, 1):
        voxels[np.isin(usual.labels[layer::2], [Tissue.AORTA, Tissue.VENA_CAVA])] = -100
    refused = refusal(stored(usual, voxels, tmp_path, contrast="unknown"), tmp_path)
    assert refused.gate == "contrast in the blood"
    assert "not known whether contrast" in str(refused)


def test_metal_beside_the_vertebrae_is_refused(tmp_path: Path) -> None:
    one = from_t10_to_l3(Anatomy(rods=True))
    refused = refusal(stored(one, one.images(), tmp_path), tmp_path)
    assert refused.gate == "metal near the vertebra"
    assert "L1" in str(refused)


def test_noise_is_refused(usual: Torso, tmp_path: Path) -> None:
    assert "nois" in str(refusal(stored(usual, usual.images(noise_hu=60.0), tmp_path), tmp_path))


def test_a_trunk_without_bone_is_refused(usual: Torso, images: Voxels, tmp_path: Path) -> None:
    assert refusal(stored(usual, np.minimum(images, 100), tmp_path), tmp_path).gate == "spine"


# --- real images -----------------------------------------------------------------------------------------------------


def test_a_real_ct_with_contrast_medium_is_refused(tmp_path: Path) -> None:
    folder = real("example_ct_dicom")
    names = tuple(sorted(path.name for path in folder.iterdir()))
    series = SeriesSummary("1.2.3", "1.2", "CT", "PARTIALBODY", "", ("1.2.840.10008.5.1.4.1.1.2",), (), names)
    volume = LocalImages(folder, DicomLimits()).volume(series, tmp_path)
    refused = refusal(volume, tmp_path)
    assert isinstance(refused, Refused)
    assert any("contrast medium was given" in reason for reason in refused.reasons)
    # The images say so too, were the header silent.
    silent = replace(volume, attributes=volume.attributes | {"contrast": "unknown"})
    turned = upright(silent)
    spine = find_spine(turned.voxels, silent.spacing_mm, lambda: None)
    verdicts = blood(MANIFEST, turned, spine, (0, len(turned.voxels) - 1), lambda: None)
    assert any(gate == "contrast in the blood" and reason for gate, _, reason in verdicts)


def test_a_real_ct_on_a_coarse_grid_is_refused_and_its_l1_has_dense_bone(tmp_path: Path) -> None:
    voxels, spacing, affine = unenhanced_ct()
    volume = volume_of(voxels, spacing, affine, tmp_path, contrast="unknown")
    assert refusal(volume, tmp_path).gate == "pixel spacing"
    assert MANIFEST.inputs.ct is not None
    wide = replace(MANIFEST, inputs=replace(MANIFEST.inputs, ct=replace(MANIFEST.inputs.ct, max_pixel_spacing_mm=3.0)))
    with pytest.raises(Refused, match="L1: dense bone"):
        run(volume, tmp_path, wide)


# --- the manifest ----------------------------------------------------------------------------------------------------


def test_the_manifest_states_all_source_attributes_and_every_level() -> None:
    assert set(MANIFEST.source_attributes) == KEYS
    assert {output.key for output in MANIFEST.outputs} == {
        "l1_attenuation", "t12_attenuation", "l2_attenuation", "thoracic_attenuation",
    }  # fmt: skip
    assert len({output.body_site for output in MANIFEST.outputs}) == 4
    assert MANIFEST.inputs.ct is not None
    assert not MANIFEST.inputs.ct.unknown_kvp

"""The lung model against phantoms whose lungs are known, and each of its gates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cds.domain.coding import Quantity
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models import ct_lung_density, direct
from models.body import body_air
from models.image import Mask
from models.phantom import AIR_HU, AIRWAY, BOWEL, LOW_HU, TISSUE, Phantom, chest_phantom
from models.registry import load
from models.task import Cancelled, Refused, Task

MANIFEST = load()["ct_lung_density"]
ATTRIBUTES = {"kernel": "B30f", "contrast": "no", "slice_thickness_mm": "1.25", "kvp": "120"}
Voxels = np.ndarray[tuple[int, ...], np.dtype[np.int16]]


def stored(phantom: Phantom, folder: Path, hu: Voxels | None = None, **attributes: str) -> VolumeRef:
    voxels = phantom.hu if hu is None else hu
    path = folder / "volume.npy"
    np.save(path, voxels)
    slices, rows, columns = voxels.shape
    return VolumeRef(
        path=str(path),
        dtype=voxels.dtype.name,
        shape=(slices, rows, columns),
        spacing_mm=phantom.spacing_mm,
        affine=phantom.affine,
        series_instance_uid="1.2.3",
        modality="CT",
        orientation="axial",
        attributes=ATTRIBUTES | attributes,
        sop_instance_uids=tuple(f"1.2.3.{index}" for index in range(slices)),
    )


def run(volume: VolumeRef, folder: Path) -> Findings:
    return direct.run(MANIFEST, ct_lung_density, volume, Task(folder, lambda: False))


def finding(findings: Findings, key: str) -> Finding:
    return next(one for one in findings.findings if one.key == key)


def value(findings: Findings, key: str) -> float:
    quantity = finding(findings, key).value
    assert quantity is not None
    return quantity.value


def refusal(volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        run(volume, folder)
    return caught.value


def agrees(findings: Findings, phantom: Phantom) -> None:
    """The tolerances that the manifest states: 2 % of volume, 0.5 percentage points of low-attenuation area."""
    assert value(findings, "lung_volume") == pytest.approx(phantom.truth.lung_volume_ml, rel=0.02)
    assert value(findings, "laa_950") == pytest.approx(phantom.imaged.laa_950_percent, abs=0.5)
    assert value(findings, "perc15") == pytest.approx(phantom.imaged.perc15_hu, abs=2.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return chest_phantom()


@pytest.fixture(scope="module")
def coarse() -> Phantom:
    return chest_phantom(spacing_mm=(3.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def measured(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("measured")
    return run(stored(phantom, folder), folder)


# --- accuracy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spacing", "fraction"),
    [((2.0, 1.2, 1.2), 0.05), ((2.5, 1.5, 1.5), 0.0), ((2.5, 1.5, 1.5), 0.12), ((3.0, 2.0, 2.0), 0.3)],
)
def test_volume_and_low_attenuation_area_agree_with_the_formula(
    tmp_path: Path, spacing: tuple[float, float, float], fraction: float
) -> None:
    phantom = chest_phantom(spacing_mm=spacing, laa_fraction=fraction, noise_hu=15.0, pattern="core")
    findings = run(stored(phantom, tmp_path), tmp_path)
    assert value(findings, "lung_volume") == pytest.approx(phantom.ellipsoid_ml, rel=0.02)
    assert value(findings, "laa_950") == pytest.approx(100.0 * fraction, abs=0.5)


def test_a_fine_grid_of_unequal_spacings_is_measured_as_well(tmp_path: Path) -> None:
    phantom = chest_phantom(spacing_mm=(3.0, 0.8, 0.9), noise_hu=20.0, pattern="core")
    findings = run(stored(phantom, tmp_path), tmp_path)
    agrees(findings, phantom)
    assert value(findings, "laa_950") == pytest.approx(12.0, abs=0.5)


def test_thin_slices_are_measured_as_well(tmp_path: Path) -> None:
    phantom = chest_phantom(spacing_mm=(1.0, 1.6, 1.6), noise_hu=20.0, pattern="core")
    agrees(run(stored(phantom, tmp_path), tmp_path), phantom)


@pytest.mark.parametrize(("kernel", "noise_hu"), [("none", 0.0), ("smooth", 0.0), ("smooth", 30.0), ("sharp", 25.0)])
def test_the_count_is_right_whatever_the_images_look_like(tmp_path: Path, kernel: str, noise_hu: float) -> None:
    known = {"none": "none", "smooth": "smooth", "sharp": "sharp"}
    phantom = chest_phantom(kernel=known[kernel], noise_hu=noise_hu, seed=3)
    agrees(run(stored(phantom, tmp_path), tmp_path), phantom)


def test_lungs_that_touch_are_measured_together(tmp_path: Path) -> None:
    phantom = chest_phantom(spacing_mm=(3.0, 2.0, 2.0), touching=True)
    agrees(run(stored(phantom, tmp_path), tmp_path), phantom)


def test_lungs_of_which_half_is_destroyed_are_still_lungs(tmp_path: Path) -> None:
    phantom = chest_phantom(spacing_mm=(3.0, 2.0, 2.0), laa_fraction=0.6, noise_hu=15.0, pattern="core")
    agrees(run(stored(phantom, tmp_path), tmp_path), phantom)


@pytest.mark.parametrize("flip", [(0,), (1,), (2,), (0, 1, 2)])
def test_the_order_of_slices_rows_and_columns_does_not_matter(
    phantom: Phantom, measured: Findings, tmp_path: Path, flip: tuple[int, ...]
) -> None:
    volume = stored(phantom, tmp_path, np.flip(phantom.hu, flip))
    affine = [-step if index in {8, 5, 2} and (8, 5, 2).index(index) in flip else step
              for index, step in enumerate(volume.affine)]  # fmt: skip
    flipped = run(replace(volume, affine=tuple(affine)), tmp_path)
    for key in ("lung_volume", "laa_950", "perc15"):
        assert value(flipped, key) == value(measured, key)
    mask = np.load(flipped.masks[0].path)
    assert (np.flip(mask, flip) == np.load(measured.masks[0].path)).all()


def test_densities_in_fractions_are_measured(coarse: Phantom, tmp_path: Path) -> None:
    whole = run(stored(coarse, tmp_path), tmp_path)
    fractions = run(stored(coarse, tmp_path, coarse.hu.astype(np.float32)), tmp_path)
    assert value(fractions, "laa_950") == value(whole, "laa_950")


# --- what must not be counted ----------------------------------------------------------------------------------------


def lung_mask(findings: Findings) -> Mask:
    return np.asarray(np.load(findings.masks[0].path) == 1)


def laa_percent(phantom: Phantom, mask: Mask) -> float:
    return 100.0 * float((phantom.hu[mask] < LOW_HU).mean())


def test_the_trachea_and_main_bronchi_are_left_out(phantom: Phantom, measured: Findings) -> None:
    airway = phantom.labels == AIRWAY
    assert (lung_mask(measured) & airway).sum() < 0.06 * airway.sum()


def test_a_model_that_counted_the_airways_would_fail_these_tests(tmp_path: Path) -> None:
    phantom = chest_phantom(laa_fraction=0.0)
    findings = run(stored(phantom, tmp_path), tmp_path)
    with_airways = lung_mask(findings) | (phantom.labels == AIRWAY)
    assert abs(laa_percent(phantom, with_airways) - phantom.imaged.laa_950_percent) > 0.5


def test_bowel_gas_is_left_out(phantom: Phantom, measured: Findings) -> None:
    assert not (lung_mask(measured) & (phantom.labels == BOWEL)).any()


def test_a_model_that_counted_bowel_gas_would_fail_these_tests(phantom: Phantom, measured: Findings) -> None:
    with_bowel = lung_mask(measured) | (phantom.labels == BOWEL)
    assert with_bowel.sum() > 1.02 * phantom.lung.sum()
    assert abs(laa_percent(phantom, with_bowel) - phantom.imaged.laa_950_percent) > 0.5


def test_what_fills_the_table_is_not_in_the_body(phantom: Phantom) -> None:
    foam = (slice(None), slice(212, 224), slice(40, 216))
    assert (phantom.hu[foam] < -500).all()
    assert not body_air(phantom.hu, phantom.spacing_mm, -500.0, lambda: None).inside[foam].any()


def test_the_lung_found_is_the_lung_made(phantom: Phantom, measured: Findings) -> None:
    found, made = lung_mask(measured), phantom.lung
    assert 2.0 * (found & made).sum() / (found.sum() + made.sum()) > 0.99
    assert not (found & (phantom.labels == TISSUE)).sum() > 0.002 * made.sum()


# --- what is said ----------------------------------------------------------------------------------------------------


def test_the_findings_are_measurements_with_code_unit_site_and_series(measured: Findings) -> None:
    assert [one.key for one in measured.findings] == ["lung_volume", "laa_950", "perc15"]
    for one in measured.findings:
        assert one.presence is Presence.MEASURED
        assert isinstance(one.value, Quantity)
        assert one.threshold is None
        assert one.code.system == "urn:sightline:observation"
        assert one.body_site is not None
        assert one.body_site.code == "39607008"
        assert one.series_instance_uid == "1.2.3"
    assert [one.value.unit for one in measured.findings if one.value] == ["mL", "%", "[hnsf'U]"]


def test_every_gate_that_was_passed_is_listed_with_its_value(measured: Findings) -> None:
    gates = dict(gate.split(": ", 1) for gate in finding(measured, "laa_950").gates)
    assert gates["kernel"] == "B30f"
    assert gates["slice thickness"] == "1.25 mm"
    assert gates["noise"].endswith("HU in the trachea")
    assert {"modality", "orientation", "slices", "coverage", "slice spacing", "pixel spacing", "contrast",
            "tube voltage", "airway", "lung coverage", "field of view", "lung volume", "both lungs", "segmentation",
            "air calibration"} < set(gates)  # fmt: skip


def test_the_key_image_is_the_slice_with_most_low_attenuation(phantom: Phantom, measured: Findings) -> None:
    low = ((phantom.hu < LOW_HU) & lung_mask(measured)).sum(axis=(1, 2))
    assert finding(measured, "laa_950").key_sop_instance_uid == f"1.2.3.{int(np.argmax(low))}"
    assert finding(measured, "lung_volume").key_sop_instance_uid == ""


def test_the_mask_lies_on_the_grid_of_the_volume(phantom: Phantom, measured: Findings) -> None:
    mask = measured.masks[0]
    array = np.load(mask.path)
    assert array.dtype == np.uint8
    assert array.shape == mask.shape == phantom.hu.shape
    assert mask.labels == {1: "lung"}
    assert mask.series_instance_uid == "1.2.3"


def test_each_step_is_timed(measured: Findings) -> None:
    assert list(measured.timings_ms) == ["open", "lungs", "count", "mask"]
    assert all(duration >= 0.0 for duration in measured.timings_ms.values())


def test_what_is_not_known_is_said(coarse: Phantom, tmp_path: Path) -> None:
    volume = stored(coarse, tmp_path, contrast="unknown", kvp="", slice_thickness_mm="3")
    limits = " ".join(run(volume, tmp_path).limits)
    for words in ("inspiration", "contrast medium", "tube voltage", "3.0 mm thick", "Noise"):
        assert words in limits


# --- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "gate", "words"),
    [
        ({"modality": "MR"}, "modality", "not CT"),
        ({"orientation": "coronal"}, "orientation", "not axial"),
        ({"orientation": "oblique"}, "orientation", "not axial"),
        ({"shape": (39, 512, 512), "spacing_mm": (5.0, 1.0, 1.0)}, "slices", "39 slices are too few"),
        ({"shape": (1, 512, 512)}, "slices", "1 slices are too few"),
        ({"shape": (60, 512, 512), "spacing_mm": (1.0, 1.0, 1.0)}, "coverage", "cover 60 mm"),
        ({"spacing_mm": (5.0, 1.0, 1.0)}, "slice spacing", "5.00 mm apart"),
        ({"spacing_mm": (2.0, 2.5, 2.5)}, "pixel spacing", "2.50 mm wide"),
    ],
)
def test_a_volume_that_cannot_be_measured_is_refused_by_its_gate(
    tmp_path: Path, change: dict[str, object], gate: str, words: str
) -> None:
    base = VolumeRef("absent.npy", "int16", (120, 512, 512), (2.5, 0.8, 0.8), (0.0,) * 16, "1.2.3", "CT", "axial",
                     ATTRIBUTES)  # fmt: skip
    refused = refusal(replace(base, **change), tmp_path)
    assert refused.gate == gate
    assert words in str(refused)


@pytest.mark.parametrize(
    ("attribute", "text", "gate", "words"),
    [
        ("slice_thickness_mm", "5", "slice thickness", "5.00 mm thick"),
        ("slice_thickness_mm", "", "slice thickness", "not stated"),
        ("kernel", "B70f", "kernel", "kernel B70f is sharp"),
        ("kernel", "B45f", "kernel", "sharp"),
        ("kernel", "Bl57d\\3", "kernel", "sharp"),
        ("kernel", "Br59d", "kernel", "sharp"),
        ("kernel", "LUNG", "kernel", "sharp"),
        ("kernel", "BONEPLUS", "kernel", "sharp"),
        ("kernel", "YA", "kernel", "sharp"),
        ("kernel", "FC51", "kernel", "sharp"),
        ("kernel", "FC86", "kernel", "sharp"),
        ("kernel", "", "kernel", "not stated"),
        ("kernel", "Zyxwvut", "kernel", "not on the list"),
        ("contrast", "yes", "contrast", "contrast medium was given"),
        ("contrast", "", "contrast", "differs between slices"),
        ("kvp", "80", "tube voltage", "80 kV"),
    ],
)
def test_an_acquisition_that_cannot_be_measured_is_refused_by_its_gate(
    tmp_path: Path, attribute: str, text: str, gate: str, words: str
) -> None:
    base = VolumeRef("absent.npy", "int16", (120, 512, 512), (2.5, 0.8, 0.8), (0.0,) * 16, "1.2.3", "CT", "axial",
                     ATTRIBUTES | {attribute: text})  # fmt: skip
    refused = refusal(base, tmp_path)
    assert refused.gate == gate
    assert words in str(refused)
    assert "Zyxwvut" not in str(refused)


@pytest.mark.parametrize("kernel", ["B30f", "b31s", "Br38f\\3", "['Br40d', '3']", "I30f", "STANDARD", "B", "FC03"])
def test_smooth_kernels_are_accepted(coarse: Phantom, tmp_path: Path, kernel: str) -> None:
    task = Task(tmp_path, lambda: False)
    assert ct_lung_density.prepare(MANIFEST, stored(coarse, tmp_path, kernel=kernel), task).gates


def test_all_that_is_wrong_with_an_acquisition_is_said_at_once(tmp_path: Path) -> None:
    base = VolumeRef("absent.npy", "int16", (20, 512, 512), (3.0, 0.8, 0.8), (0.0,) * 16, "1.2.3", "CT", "axial",
                     ATTRIBUTES | {"contrast": "yes"})  # fmt: skip
    refused = refusal(base, tmp_path)
    assert isinstance(refused, Refused)
    assert refused.gate == "slices"
    assert len(refused.reasons) == 3


@pytest.mark.parametrize("kept", [slice(0, 84), slice(33, 100), slice(30, 92)])
def test_lungs_cut_at_the_apex_or_at_the_base_are_refused(coarse: Phantom, tmp_path: Path, kept: slice) -> None:
    refused = refusal(stored(coarse, tmp_path, coarse.hu[kept]), tmp_path)
    assert refused.gate in {"lung coverage", "airway"}
    assert "wholly covered" in str(refused) or "trachea" in str(refused)


@pytest.mark.parametrize(("cut_mm", "gate"), [(54, "field of view"), (75, "field of view"), (120, "airway")])
@pytest.mark.parametrize("side", ["left", "right"])
def test_lungs_cut_by_the_field_of_view_are_refused(
    coarse: Phantom, tmp_path: Path, cut_mm: int, gate: str, side: str
) -> None:
    columns = round(cut_mm / coarse.spacing_mm[2])
    cut = coarse.hu[:, :, columns:] if side == "right" else coarse.hu[:, :, :-columns]
    assert refusal(stored(coarse, tmp_path, cut), tmp_path).gate == gate


def test_a_field_of_view_that_is_a_circle_with_padding_outside_is_measured(coarse: Phantom, tmp_path: Path) -> None:
    rows, columns = (np.arange(192) - 95.5 for _ in range(2))
    padded = coarse.hu.copy()
    padded[:, rows[:, None] ** 2 + columns**2 > 95.5**2] = -2000
    agrees(run(stored(coarse, tmp_path, padded), tmp_path), coarse)


def test_one_lung_alone_is_refused(tmp_path: Path) -> None:
    phantom = chest_phantom(spacing_mm=(3.0, 2.0, 2.0), lungs="right")
    refused = refusal(stored(phantom, tmp_path), tmp_path)
    assert refused.gate in {"both lungs", "airway"}


def test_a_chest_without_air_is_refused(coarse: Phantom, tmp_path: Path) -> None:
    filled = coarse.hu.copy()
    filled[coarse.lung] = 30
    assert refusal(stored(coarse, tmp_path, filled), tmp_path).gate in {"lung", "lung volume", "airway"}


def test_a_chest_whose_trachea_is_filled_is_refused(coarse: Phantom, tmp_path: Path) -> None:
    filled = coarse.hu.copy()
    filled[coarse.labels == AIRWAY] = 30
    assert refusal(stored(coarse, tmp_path, filled), tmp_path).gate == "airway"


def test_lungs_too_small_for_an_adult_are_refused(coarse: Phantom, tmp_path: Path) -> None:
    small = replace(stored(coarse, tmp_path), spacing_mm=(2.0, 1.0, 1.0))
    assert refusal(small, tmp_path).gate in {"lung volume", "airway"}


def test_a_scan_whose_air_does_not_read_as_air_is_refused(coarse: Phantom, tmp_path: Path) -> None:
    shifted = np.where(coarse.hu < -500, coarse.hu + 60, coarse.hu).astype(np.int16)
    refused = refusal(stored(coarse, tmp_path, shifted), tmp_path)
    assert refused.gate == "air calibration"


def test_a_scan_that_is_too_noisy_is_refused(tmp_path: Path) -> None:
    noisy = chest_phantom(spacing_mm=(3.0, 2.0, 2.0), noise_hu=50.0)
    refused = refusal(stored(noisy, tmp_path), tmp_path)
    assert refused.gate == "noise"


def test_a_lung_that_stands_apart_in_the_chest_is_refused(coarse: Phantom, tmp_path: Path) -> None:
    """A third piece of aerated lung high in the chest: the two largest alone would be too little."""
    split = coarse.hu.copy()
    split[70:73, :, :96][coarse.lung[70:73, :, :96]] = 40
    refused = refusal(stored(coarse, tmp_path, split), tmp_path)
    assert refused.gate == "segmentation"


def test_an_empty_volume_is_refused(tmp_path: Path, coarse: Phantom) -> None:
    for filling in (AIR_HU, 40.0):
        empty = np.full(coarse.hu.shape, filling, dtype=np.int16)
        assert refusal(stored(coarse, tmp_path, empty), tmp_path).gate == "airway"


def test_work_that_is_no_longer_wanted_stops_between_slices(coarse: Phantom, tmp_path: Path) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 30

    with pytest.raises(Cancelled):
        ct_lung_density.prepare(MANIFEST, stored(coarse, tmp_path), Task(tmp_path, cancelled))
    assert asked == 31

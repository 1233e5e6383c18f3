"""The aorta model against a computed chest whose vessels are known, and each of its gates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cds.domain.finding import Findings, Presence
from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models import ct_aorta, direct
from models.phantom_thorax import Insert, Thorax, descending_centre, thorax_phantom
from models.registry import load
from models.task import Refused, Task
from tests.peers.dicom_peers import build
from tests.unit.thorax import finding, hand_scored, stored, value

MANIFEST = load()["ct_aorta"]
_Y, _X = descending_centre(-20.0, 28.0)
#: In the wall on the left; a bone spur beside the aorta that hangs together with the spine; the coronary artery.
WALL = Insert((-20.0, _Y, _X + 13.0), 2.5, 9.0, 450.0)
SPUR = Insert((10.0, 50.0, 12.0), 4.0, 9.0, 700.0)
CORONARY = Insert((-20.0, -70.0, 35.0), 3.0, 9.0, 450.0)


def run(volume: VolumeRef, folder: Path) -> Findings:
    return direct.run(MANIFEST, ct_aorta, volume, Task(folder, lambda: False))


def refusal(volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        run(volume, folder)
    return caught.value


def inside(thorax: Thorax, insert: Insert) -> NDArray[np.bool_]:
    axes = [o + s * np.arange(n) for o, s, n in zip(thorax.origin_mm, thorax.spacing_mm, thorax.hu.shape, strict=True)]
    z, y, x = insert.centre_mm
    across = (axes[1][:, None] - y) ** 2 + (axes[2] - x) ** 2 < insert.radius_mm**2
    return np.asarray(across & (np.abs(axes[0] - z) < insert.length_mm / 2.0)[:, None, None])


@pytest.fixture(scope="module")
def plain() -> Thorax:
    return thorax_phantom()


@pytest.fixture(scope="module")
def sharp() -> Thorax:
    return thorax_phantom(aorta_mm=28.0, inserts=(WALL, SPUR, CORONARY), blur=False, noise_hu=0.0)


@pytest.fixture(scope="module")
def measured(sharp: Thorax, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("measured")
    return run(stored(sharp, folder), folder)


def test_the_diameters_are_those_of_the_vessels(measured: Findings) -> None:
    assert value(measured, "descending_aorta_diameter") == pytest.approx(28.0, abs=1.0)
    assert value(measured, "descending_aorta_diameter_carina") == pytest.approx(28.0, abs=1.0)
    assert value(measured, "ascending_aorta_diameter") == pytest.approx(32.0, abs=1.5)
    assert all(one.key_slices for one in measured.findings)


def test_a_widening_is_found_with_its_slice(plain: Thorax, tmp_path: Path) -> None:
    wide = thorax_phantom(aorta_mm=29.0)
    hu = plain.hu.copy()
    at = plain.index((-40.0, 0.0, 0.0))[0]
    hu[at - 3 : at + 4] = wide.hu[at - 3 : at + 4]
    findings = run(stored(plain, tmp_path, hu), tmp_path)
    assert value(findings, "descending_aorta_diameter") == pytest.approx(29.0, abs=1.0)
    assert value(findings, "descending_aorta_diameter_carina") == pytest.approx(26.0, abs=1.0)
    (slice_,) = finding(findings, "descending_aorta_diameter").key_slices
    assert abs(int(slice_.rsplit(".", 1)[1]) - at) <= 3


def test_a_large_tilted_aorta_is_measured_across_its_axis(tmp_path: Path) -> None:
    thorax = thorax_phantom(aorta_mm=40.0, ascending_mm=42.0, tilt=(0.0, -0.4))
    findings = run(stored(thorax, tmp_path), tmp_path)
    assert value(findings, "descending_aorta_diameter") == pytest.approx(40.0, abs=1.0)
    assert "tilted by 2" in finding(findings, "descending_aorta_diameter").note
    assert value(findings, "ascending_aorta_diameter") == pytest.approx(42.0, abs=1.5)


def test_calcium_of_the_wall_is_scored_as_by_hand_and_a_bone_spur_is_not(sharp: Thorax, measured: Findings) -> None:
    wanted = hand_scored(sharp.hu, [inside(sharp, WALL)], sharp.spacing_mm)
    assert value(measured, "descending_aorta_calcium_score") == pytest.approx(wanted, abs=0.05)
    mask = np.load(measured.masks[0].path)
    assert ((mask == 3) == inside(sharp, WALL)).all()


def test_the_mask_shows_the_vessels_that_were_measured(sharp: Thorax, measured: Findings) -> None:
    mask = np.load(measured.masks[0].path)
    assert measured.masks[0].labels == {
        1: "descending aorta", 2: "ascending aorta", 3: "calcium of the descending aorta",
    }  # fmt: skip
    slices = np.flatnonzero((mask == 1).any(axis=(1, 2)))
    made = sharp.descending[slices[0] : slices[-1] + 1]
    found = np.isin(mask[slices[0] : slices[-1] + 1], (1, 3))
    assert 2.0 * (made & found).sum() / (made.sum() + found.sum()) > 0.95


@pytest.mark.parametrize(("kvp", "words"), [("100", "100 kV"), ("", "not stated")])
def test_at_another_voltage_diameters_are_measured_and_calcium_is_not(
    plain: Thorax, tmp_path: Path, kvp: str, words: str
) -> None:
    findings = run(stored(plain, tmp_path, kvp=kvp), tmp_path)
    assert value(findings, "descending_aorta_diameter") == pytest.approx(26.0, abs=1.0)
    for key in ("descending_aorta_calcium_score", "descending_aorta_calcium_volume"):
        one = finding(findings, key)
        assert (one.presence, one.value) == (Presence.NOT_EVALUATED, None)
        assert words in one.reason


def test_metal_beside_the_aorta_leaves_calcium_unscored(plain: Thorax, tmp_path: Path) -> None:
    hu = plain.hu.copy()
    z, y, x = plain.index((-20.0, _Y, _X))
    hu[z : z + 4, y + 5 : y + 7, x + 4 : x + 6] = 3000
    one = finding(run(stored(plain, tmp_path, hu), tmp_path), "descending_aorta_calcium_score")
    assert one.presence is Presence.NOT_EVALUATED
    assert "metal" in one.reason


def test_an_ascending_aorta_that_is_not_seen_apart_is_not_measured(plain: Thorax, tmp_path: Path) -> None:
    """Fluid around it: neither fat nor lung, so that it has no edge."""
    hu = plain.hu.copy()
    first, rows, columns = plain.index((-10.0, -80.0, -60.0))
    last, end, left = plain.index((60.0, 5.0, 20.0))
    part = hu[first:last, rows:end, columns:left]
    part[part > -500] = 40
    findings = run(stored(plain, tmp_path, hu), tmp_path)
    one = finding(findings, "ascending_aorta_diameter")
    assert (one.presence, one.value) == (Presence.NOT_EVALUATED, None)
    assert "ascending aorta" in one.reason
    assert value(findings, "descending_aorta_diameter") == pytest.approx(26.0, abs=1.0)


@pytest.mark.parametrize(
    ("attributes", "gate"),
    [
        ({"contrast": "yes"}, "contrast"),
        ({"kvp": "70"}, "tube voltage"),
        ({"kernel": "B70f"}, "kernel"),
        ({"slice_thickness_mm": "5"}, "slice thickness"),
    ],
)
def test_an_acquisition_that_is_not_fit_is_refused(
    plain: Thorax, tmp_path: Path, attributes: dict[str, str], gate: str
) -> None:
    assert refusal(stored(plain, tmp_path, plain.hu, **attributes), tmp_path).gate == gate


@pytest.mark.parametrize(
    ("more_hu", "noise_hu", "gate"),
    [(140, 0.0, "contrast in the blood"), (-28, 0.0, "blood"), (0, 50.0, "noise")],
    ids=["contrast", "calibration", "noise"],
)
def test_blood_that_does_not_read_as_blood_is_refused(
    plain: Thorax, tmp_path: Path, more_hu: int, noise_hu: float, gate: str
) -> None:
    noise = np.random.default_rng(3).normal(0.0, noise_hu, plain.hu.shape)
    hu = plain.hu + np.where(plain.descending, more_hu, 0) + noise
    volume = stored(plain, tmp_path, np.rint(hu).astype(np.int16), contrast="unknown")
    assert refusal(volume, tmp_path).gate == gate


def test_an_aorta_that_ends_early_is_refused(plain: Thorax, tmp_path: Path) -> None:
    hu = plain.hu.copy()
    below = plain.descending.copy()
    below[plain.index((0.0, 0.0, 0.0))[0] :] = False
    hu[below] = -850
    error = refusal(stored(plain, tmp_path, hu), tmp_path)
    assert error.gate == "descending aorta"
    assert "at least 60 mm" in str(error)


def test_no_aorta_is_made_up(plain: Thorax, tmp_path: Path) -> None:
    hu = plain.hu.copy()
    hu[plain.descending] = -850
    assert refusal(stored(plain, tmp_path, hu), tmp_path).gate == "descending aorta"


def test_a_real_ct_of_the_abdomen_with_contrast_medium_is_refused_with_its_reasons(
    reference_dir: Path, tmp_path: Path
) -> None:
    paths = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    error = refusal(build(paths, tmp_path), tmp_path)
    assert isinstance(error, Refused)
    assert error.reasons[-1] == "contrast medium was given"
    assert len(error.reasons) == 3

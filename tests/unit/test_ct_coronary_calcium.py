"""The coronary calcium model against a computed chest whose calcium is known, and each of its gates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cds.domain.finding import Findings, Presence
from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from models import ct_coronary_calcium, ct_gates, direct
from models.ct_coronary_calcium import category, why_no_number
from models.phantom_thorax import Insert, Thorax, descending_centre, thorax_phantom
from models.registry import load
from models.task import Cancelled, Refused, Task
from tests.peers.dicom_peers import build
from tests.unit.clinical import reference
from tests.unit.thorax import Voxels, finding, hand_scored, stored, value

MANIFEST = load()["ct_coronary_calcium"]
#: Where the left anterior descending and the right coronary artery run, and one that is too faint to count.
LAD = Insert((-20.0, -70.0, 35.0), 3.0, 9.0, 450.0)
RCA = Insert((-40.0, -40.0, -33.0), 2.5, 6.0, 220.0)
FAINT = Insert((-30.0, 15.0, 40.0), 3.0, 6.0, 100.0)
#: Calcium that is no coronary artery's: the wall of the descending aorta, the spine, the breastbone, above the heart.
_Y, _X = descending_centre(-20.0, 26.0)
ELSEWHERE = (
    Insert((-20.0, _Y - 13.0, _X), 2.0, 9.0, 600.0),
    Insert((-20.0, 47.0, 0.0), 3.0, 9.0, 900.0),
    Insert((-20.0, -97.0, 0.0), 4.0, 9.0, 900.0),
    Insert((85.0, -30.0, 0.0), 4.0, 9.0, 600.0),
)


def run(volume: VolumeRef, folder: Path) -> Findings:
    return direct.run(MANIFEST, ct_coronary_calcium, volume, Task(folder, lambda: False))


def refusal(volume: VolumeRef, folder: Path) -> NotEvaluable:
    with pytest.raises(NotEvaluable) as caught:
        run(volume, folder)
    return caught.value


def lesion(thorax: Thorax, insert: Insert) -> NDArray[np.bool_]:
    axes = [o + s * np.arange(n) for o, s, n in zip(thorax.origin_mm, thorax.spacing_mm, thorax.hu.shape, strict=True)]
    z, y, x = insert.centre_mm
    across = (axes[1][:, None] - y) ** 2 + (axes[2] - x) ** 2 < insert.radius_mm**2
    return np.asarray(across & (np.abs(axes[0] - z) < insert.length_mm / 2.0)[:, None, None])


@pytest.fixture(scope="module")
def sharp() -> Thorax:
    return thorax_phantom(inserts=(LAD, RCA, FAINT, *ELSEWHERE), blur=False, noise_hu=0.0)


@pytest.fixture(scope="module")
def plain() -> Thorax:
    return thorax_phantom()


@pytest.fixture(scope="module")
def clear(plain: Thorax, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """A chest without calcium, whose header says nothing of contrast medium."""
    folder = tmp_path_factory.mktemp("clear")
    return run(stored(plain, folder, contrast="unknown"), folder)


@pytest.fixture(scope="module")
def scored(sharp: Thorax, tmp_path_factory: pytest.TempPathFactory) -> Findings:
    folder = tmp_path_factory.mktemp("scored")
    return run(stored(sharp, folder), folder)


# --- the measurement -------------------------------------------------------------------------------------------------


def test_the_score_of_a_calcium_scan_is_the_one_counted_by_hand(sharp: Thorax, scored: Findings) -> None:
    wanted = hand_scored(sharp.hu, [lesion(sharp, LAD), lesion(sharp, RCA)], sharp.spacing_mm)
    assert wanted > 300.0
    assert value(scored, "coronary_calcium_score") == pytest.approx(wanted, abs=0.05)
    found = finding(scored, "coronary_calcium_score")
    assert found.presence is Presence.MEASURED
    assert found.category is not None
    assert found.category.code == "cac-drs-a3"


def test_calcium_of_aorta_spine_and_breastbone_and_faint_inserts_are_not_counted(
    sharp: Thorax, scored: Findings
) -> None:
    mask = np.load(scored.masks[0].path) == 1
    assert (mask == (lesion(sharp, LAD) | lesion(sharp, RCA))).all()


def test_a_model_that_counted_all_calcium_would_fail_these_tests(sharp: Thorax) -> None:
    everywhere = [lesion(sharp, one) for one in (LAD, RCA, *ELSEWHERE)]
    wanted = hand_scored(sharp.hu, everywhere[:2], sharp.spacing_mm)
    assert hand_scored(sharp.hu, everywhere, sharp.spacing_mm) > 1.5 * wanted


def test_the_slices_with_most_calcium_are_named_first(sharp: Thorax, scored: Findings) -> None:
    slices = [int(uid.rsplit(".", 1)[1]) for uid in finding(scored, "coronary_calcification").key_slices]
    lad = np.flatnonzero(lesion(sharp, LAD).any(axis=(1, 2))).tolist()
    rca = np.flatnonzero(lesion(sharp, RCA).any(axis=(1, 2))).tolist()
    assert sorted(slices[:3]) == lad
    assert sorted(slices[3:]) == rca


def test_images_with_blur_and_noise_stay_within_the_stated_tolerance(tmp_path: Path) -> None:
    inserts = (LAD, replace(RCA, hu=260.0))
    thorax = thorax_phantom(inserts=inserts, spacing_mm=(3.0, 1.4, 1.4))
    clean = thorax_phantom(inserts=inserts, spacing_mm=(3.0, 1.4, 1.4), blur=False, noise_hu=0.0)
    wanted = hand_scored(clean.hu, [lesion(clean, one) for one in inserts], clean.spacing_mm)
    assert value(run(stored(thorax, tmp_path), tmp_path), "coronary_calcium_score") == pytest.approx(wanted, rel=0.15)


def test_no_calcium_is_a_score_of_zero_and_not_detected(clear: Findings) -> None:
    assert value(clear, "coronary_calcium_score") == 0.0
    assert value(clear, "coronary_calcium_volume") == 0.0
    one = finding(clear, "coronary_calcification")
    assert (one.presence, one.key_slices) == (Presence.NOT_DETECTED, ())
    assert one.category is not None
    assert one.category.code == "cac-drs-a0"


def test_the_order_of_slices_rows_and_columns_does_not_matter(sharp: Thorax, scored: Findings, tmp_path: Path) -> None:
    volume = stored(sharp, tmp_path, np.flip(sharp.hu, (0, 1, 2)))
    affine = tuple(-step if index in {2, 5, 8} else step for index, step in enumerate(volume.affine))
    flipped = run(replace(volume, affine=affine), tmp_path)
    assert value(flipped, "coronary_calcium_score") == value(scored, "coronary_calcium_score")
    mask = np.load(flipped.masks[0].path)
    assert (np.flip(mask, (0, 1, 2)) == np.load(scored.masks[0].path)).all()


def test_thin_slices_are_averaged_to_three_millimetres(tmp_path: Path) -> None:
    thin = thorax_phantom(inserts=(LAD,), spacing_mm=(1.5, 2.0, 2.0), noise_hu=20.0)
    findings = run(stored(thin, tmp_path, slice_thickness_mm="1.5"), tmp_path)
    one = finding(findings, "coronary_calcification")
    assert any("averaged" in limit for limit in findings.limits)
    assert "1.50 mm thick" in one.note
    mask = np.load(findings.masks[0].path) == 1
    assert (mask & lesion(thin, LAD)).sum() > 0.7 * lesion(thin, LAD).sum()
    assert (mask & ~lesion(thin, LAD)).sum() < 0.5 * lesion(thin, LAD).sum()


# --- category or number ----------------------------------------------------------------------------------------------


def test_other_chest_ct_gets_a_category_and_no_number(sharp: Thorax, tmp_path: Path) -> None:
    findings = run(stored(sharp, tmp_path, cardiac_synchronization="NONE"), tmp_path)
    (one,) = findings.findings
    assert (one.key, one.presence, one.value) == ("coronary_calcification", Presence.PRESENT, None)
    assert one.category is not None
    assert one.category.code == "coronary-calcium-severe"
    assert "not synchronised" in one.note
    assert any("doi:10.4329/wjr.v6.i6.381" in limit for limit in findings.limits)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, ""),
        ({"cardiac_synchronization": "NONE"}, "not synchronised"),
        ({"cardiac_synchronization": ""}, "not known"),
        ({"slice_thickness_mm": "2"}, "2.00 mm thick"),
    ],
    ids=["a calcium scan", "not gated", "gating unknown", "thin sections"],
)
def test_why_an_acquisition_gets_no_number(
    plain: Thorax, tmp_path: Path, attributes: dict[str, str], words: str
) -> None:
    reason = why_no_number(MANIFEST, stored(plain, tmp_path, plain.hu[:1], **attributes))
    assert bool(reason) == bool(words)
    assert words in reason


@pytest.mark.parametrize(
    ("score", "index"), [(0.0, 0), (0.4, 1), (1.0, 1), (99.9, 1), (100.0, 2), (299.9, 2), (300.0, 3), (4000.0, 3)]
)
def test_the_classes_are_those_of_cac_drs(score: float, index: int) -> None:
    assert category(score, MANIFEST, exact=True).code == f"cac-drs-a{index}"
    name = ("none", "mild", "moderate", "severe")[index]
    assert category(score, MANIFEST, exact=False).code == f"coronary-calcium-{name}"


# --- the gates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "gate", "words"),
    [
        ({"contrast": "yes"}, "contrast", "contrast medium was given"),
        ({"contrast": ""}, "contrast", "differs"),
        ({"kvp": "100"}, "tube voltage", "only 120 kV"),
        ({"kvp": ""}, "tube voltage", "not stated"),
        ({"kernel": "B60f"}, "kernel", "sharp"),
        ({"kernel": "XYZ"}, "kernel", "not on the list"),
        ({"kernel": ""}, "kernel", "not stated"),
        ({"slice_thickness_mm": "5"}, "slice thickness", "at most 3 mm"),
        ({"slice_thickness_mm": ""}, "slice thickness", "not stated"),
    ],
)  # fmt: skip
def test_an_acquisition_that_is_not_fit_is_refused(
    plain: Thorax, tmp_path: Path, attributes: dict[str, str], gate: str, words: str
) -> None:
    error = refusal(stored(plain, tmp_path, plain.hu, **attributes), tmp_path)
    assert error.gate == gate
    assert words in str(error)


def test_all_refusals_of_the_header_are_told_together(plain: Thorax, tmp_path: Path) -> None:
    error = refusal(stored(plain, tmp_path, contrast="yes", kvp="80", kernel="LUNG"), tmp_path)
    assert isinstance(error, Refused)
    assert len(error.reasons) == 3


def test_contrast_in_the_blood_is_refused_whatever_the_header_says(plain: Thorax, tmp_path: Path) -> None:
    """More of contrast medium in test_ct_unenhanced_safety.py."""
    hu = plain.hu.copy()
    hu[plain.descending] += 140
    assert refusal(stored(plain, tmp_path, hu, contrast="no"), tmp_path).gate == "contrast in the blood"


def test_blood_without_contrast_medium_is_enough_where_the_header_is_silent(clear: Findings) -> None:
    assert any("does not say whether contrast medium" in limit for limit in clear.limits)


def test_noise_that_would_be_taken_for_calcium_is_refused(tmp_path: Path) -> None:
    assert refusal(stored(thorax_phantom(noise_hu=45.0), tmp_path), tmp_path).gate == "noise"


def with_metal(thorax: Thorax, place_mm: tuple[float, float, float]) -> Voxels:
    hu = thorax.hu.copy()
    z, y, x = thorax.index(place_mm)
    hu[z : z + 3, y : y + 2, x : x + 2] = 3000
    return hu


@pytest.mark.parametrize("place_mm", [(-40.0, -30.0, 20.0), (0.0, -97.0, 0.0)], ids=["lead", "wire of the breastbone"])
def test_metal_in_or_near_the_heart_is_refused(
    plain: Thorax, tmp_path: Path, place_mm: tuple[float, float, float]
) -> None:
    error = refusal(stored(plain, tmp_path, with_metal(plain, place_mm)), tmp_path)
    assert error.gate == "metal"
    assert "lead" in str(error)


def test_metal_far_from_the_heart_does_not_matter(plain: Thorax, tmp_path: Path) -> None:
    hu = with_metal(plain, (0.0, 0.0, -150.0))
    assert value(run(stored(plain, tmp_path, hu), tmp_path), "coronary_calcium_score") == 0.0


def test_a_heart_at_the_edge_of_the_images_is_refused(plain: Thorax, tmp_path: Path) -> None:
    first = plain.index((0.0, -74.0, 0.0))[1]
    assert refusal(stored(plain, tmp_path, plain.hu[:, first:]), tmp_path).gate == "field of view"


def test_a_heart_that_is_not_wholly_covered_is_refused(plain: Thorax, tmp_path: Path) -> None:
    first = plain.index((-60.0, 0.0, 0.0))[0]
    assert refusal(stored(plain, tmp_path, plain.hu[first:]), tmp_path).gate == "heart coverage"


def test_without_an_aorta_neither_contrast_nor_noise_can_be_judged(plain: Thorax, tmp_path: Path) -> None:
    hu = plain.hu.copy()
    hu[plain.descending] = -850
    error = refusal(stored(plain, tmp_path, hu), tmp_path)
    assert error.gate == "blood pool"
    assert "neither contrast medium nor noise" in str(error)


def test_an_oblique_volume_is_refused(plain: Thorax, tmp_path: Path) -> None:
    volume = stored(plain, tmp_path)
    tilted = list(volume.affine)
    tilted[4], tilted[8] = 1.0, 2.8
    assert refusal(replace(volume, affine=tuple(tilted)), tmp_path).gate == "orientation"


def test_a_real_ct_of_the_abdomen_with_contrast_medium_is_refused_with_its_reasons(
    reference_dir: Path, tmp_path: Path
) -> None:
    paths = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    error = refusal(build(paths, tmp_path), tmp_path)
    assert isinstance(error, Refused)
    assert error.reasons == (
        "20 slices are too few, at least 30 are needed",
        "the images cover 40 mm along the body, at least 90 mm are needed",
        "contrast medium was given",
    )


def test_a_cancelled_run_stops(plain: Thorax, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        direct.run(MANIFEST, ct_coronary_calcium, stored(plain, tmp_path), Task(tmp_path, lambda: True))


def test_the_thresholds_of_the_manifest_are_those_of_the_reference_vectors(reference_dir: Path) -> None:
    for vector in json.loads((reference(reference_dir) / "risk" / "vectors" / "cac_drs.json").read_text()):
        got = category(vector["inputs"]["agatston"], MANIFEST, exact=True).code
        assert got == f"cac-drs-{vector['expected']['cac_drs'].lower()}", vector["id"]


@pytest.mark.parametrize(
    ("said", "known"),
    [("PROSPECTIVE", "gated"), ("retrospective", "gated"), ("PACED", "gated"), ("NONE", "not gated"), ("", "unknown")],
)
def test_synchronisation_with_the_heart_is_what_the_header_says(
    plain: Thorax, tmp_path: Path, said: str, known: str
) -> None:
    assert ct_gates.cardiac_gating(stored(plain, tmp_path, cardiac_synchronization=said)) == known


def test_every_gate_that_was_passed_is_told(clear: Findings) -> None:
    """Every gate that was passed is told with its value."""
    one = finding(clear, "coronary_calcification")
    assert {gate.split(": ", 1)[0] for gate in one.gates} >= {
        "contrast", "tube voltage", "kernel", "slice thickness", "coverage", "cardiac gating", "contrast in the blood",
        "noise", "metal", "field of view", "heart",
    }  # fmt: skip

"""Whether blood holds contrast medium: two real CT of the upper abdomen, one with it, and computed chests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.aorta import ABDOMINAL, DESCENDING, find_vessel
from models.contrast import BloodPool, blood_gates, blood_pool, bright_gate
from models.phantom_thorax import thorax_phantom
from models.registry import load
from models.spine import find_spine
from models.upright import upright
from tests.peers.dicom_peers import build
from tests.unit.thorax import go_on
from tests.unit.torso_cases import unenhanced_ct

MANIFEST = load()["ct_coronary_calcium"]


def test_the_aorta_of_a_real_ct_with_contrast_medium_shows_it(reference_dir: Path, tmp_path: Path) -> None:
    paths = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    volume = build(paths, tmp_path)
    voxels = upright(volume).voxels
    spine = find_spine(voxels, volume.spacing_mm, go_on)
    levels = (0, len(voxels) - 1)
    pool = blood_pool(find_vessel(voxels, volume.spacing_mm, spine, ABDOMINAL, levels=levels, check=go_on))
    assert volume.attributes["contrast"] == "yes"
    assert 140.0 < pool.hu < 170.0
    assert blood_gates(MANIFEST, pool, "unknown")[0][2] == (
        f"the blood in the aorta reads {pool.hu:.0f} HU, more than 75 HU: contrast medium was given"
    )


def test_the_aorta_of_a_real_ct_without_contrast_medium_reads_as_blood() -> None:
    stored, spacing, affine = unenhanced_ct()
    # Rows run to the front and columns to the right there, slices rise.
    assert (affine[8] > 0.0, affine[5] < 0.0, affine[2] < 0.0) == (True, True, True)
    voxels = np.ascontiguousarray(stored[::-1, ::-1, ::-1])
    spine = find_spine(voxels, spacing, go_on)
    levels = (0, len(voxels) - 1)
    pool = blood_pool(find_vessel(voxels, spacing, spine, ABDOMINAL, levels=levels, check=go_on))
    assert 30.0 < pool.hu < 55.0
    assert not any(reason for _, _, reason in blood_gates(MANIFEST, pool, "unknown"))


def test_the_blood_of_a_computed_chest_reads_as_it_was_made() -> None:
    """One chest; its vessel is filled anew, so that the spine need be found but once."""
    thorax = thorax_phantom(blood_hu=38.0)
    spine = find_spine(thorax.hu[::-1], thorax.spacing_mm, go_on)
    for blood_hu in (38.0, 120.0, 300.0):
        hu = thorax.hu.copy()
        hu[thorax.descending] += np.int16(blood_hu - 38.0)
        vessel = find_vessel(hu[::-1], thorax.spacing_mm, spine, DESCENDING, levels=(35, 70), check=go_on)
        assert blood_pool(vessel).hu == pytest.approx(blood_hu, abs=2.0)


@pytest.mark.parametrize(
    ("hu", "noise", "gate"),
    [
        (40.0, 10.0, ""),
        (75.0, 23.0, ""),
        (76.0, 10.0, "contrast in the blood"),
        (19.0, 10.0, "blood"),
        (40.0, 24.0, "noise"),
    ],
)
def test_each_gate_of_the_blood_has_its_limit(hu: float, noise: float, gate: str) -> None:
    refused = [name for name, _, reason in blood_gates(MANIFEST, BloodPool(hu, noise, 20), "no") if reason]
    assert refused == ([gate] if gate else [])


def test_a_header_that_denies_contrast_medium_is_contradicted() -> None:
    ((_, _, reason), *_) = blood_gates(MANIFEST, BloodPool(180.0, 10.0, 20), "no")
    assert "although the header says that none was given" in reason


@pytest.mark.parametrize(("millilitres", "refused"), [(0.0, False), (0.9, False), (1.0, True)])
def test_a_bright_piece_counts_from_a_millilitre_on(millilitres: float, refused: bool) -> None:
    gate, _, reason = bright_gate(MANIFEST, millilitres, "between the lungs", "no")
    assert gate == "bright tissue"
    assert bool(reason) == refused
    assert not refused or "although the header says that none was given" in reason

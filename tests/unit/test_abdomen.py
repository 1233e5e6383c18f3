"""Liver and spleen of a torso whose organs are known, and of a real CT; how a volume is turned upright."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cds.errors import NotEvaluable
from models.abdomen import Organ, find_body, find_liver, find_spleen
from models.phantom_abdomen import Anatomy, Tissue, Torso, torso
from models.spine import find_spine
from models.upright import upright
from tests.unit.torso_cases import Triple, Voxels, stored, unenhanced_ct, volume_of


def nothing() -> None:
    return None


def organ(voxels: Voxels, spacing_mm: Triple, name: str) -> Organ:
    body = find_body(voxels, spacing_mm, find_spine(voxels, spacing_mm, nothing), nothing)
    find = {"liver": find_liver, "spleen": find_spleen}[name]
    return find(voxels, spacing_mm, body, nothing)


def tissues_in(one: Torso, found: Organ) -> set[int]:
    inside = found.inside[::-1]
    return {int(label) for layer in (0, 1) for label in np.unique(one.labels[layer::2][inside])}


@pytest.fixture(scope="module")
def coarse() -> Torso:
    return torso(layer_mm=(1.5, 2.0, 2.0)).between(-90.0, 110.0)


@pytest.fixture(scope="module")
def images(coarse: Torso) -> Voxels:
    voxels: Voxels = coarse.images()[::-1]
    return voxels


def test_every_region_of_the_liver_lies_in_liver_and_in_no_vessel(coarse: Torso, images: Voxels) -> None:
    found = organ(images, coarse.spacing_mm, "liver")
    assert len(found.samples) == 3
    assert tissues_in(coarse, found) == {int(Tissue.LIVER)}
    assert len({one.middle[0] for one in found.samples}) == 3


def test_every_region_of_the_spleen_lies_in_spleen(coarse: Torso, images: Voxels) -> None:
    assert tissues_in(coarse, organ(images, coarse.spacing_mm, "spleen")) == {int(Tissue.SPLEEN)}


@pytest.mark.parametrize("name", ["stomach", "kidney"])
def test_nothing_else_is_taken_for_a_spleen(name: str) -> None:
    one = torso(Anatomy(spleen=False), layer_mm=(1.5, 2.0, 2.0)).between(-90.0, 110.0)
    # The other organ reads as a spleen does.
    tissue = {"stomach": Tissue.STOMACH, "kidney": Tissue.KIDNEY}[name]
    voxels: Voxels = one.images({tissue: 50.0})[::-1]
    with pytest.raises(NotEvaluable, match="no spleen") as caught:
        organ(voxels, one.spacing_mm, "spleen")
    assert caught.value.gate == "spleen"


def test_an_effusion_beside_it_is_not_taken_for_liver() -> None:
    one = torso(Anatomy(effusion=True), layer_mm=(1.5, 2.0, 2.0)).between(-90.0, 110.0)
    voxels: Voxels = one.images()[::-1]
    assert tissues_in(one, organ(voxels, one.spacing_mm, "liver")) == {int(Tissue.LIVER)}


def test_a_chest_that_shows_the_top_of_the_liver_alone_has_too_little_of_it(coarse: Torso) -> None:
    part = coarse.between(45.0, 140.0)
    voxels: Voxels = part.images()[::-1]
    with pytest.raises(NotEvaluable, match="no liver"):
        organ(voxels, part.spacing_mm, "liver")


def test_a_body_that_the_images_cut_is_noticed(coarse: Torso, images: Voxels) -> None:
    assert organ(images, coarse.spacing_mm, "liver").cut_mm == 0.0
    # 25 mm of the right flank are outside of the field of view.
    assert organ(images[:, :, 28:], coarse.spacing_mm, "liver").cut_mm > 60.0


def test_liver_and_spleen_of_a_real_ct_are_where_a_person_sees_them() -> None:
    stored_voxels, spacing, _ = unenhanced_ct()
    voxels = stored_voxels[::-1, ::-1, ::-1]
    liver, spleen = (organ(voxels, spacing, name) for name in ("liver", "spleen"))
    middle = voxels.shape[2] / 2
    assert all(one.middle[2] < middle - 15 for one in liver.samples)
    assert all(one.middle[2] > middle + 20 and one.middle[1] > 55 for one in spleen.samples)
    assert 40.0 < liver.mean_hu < 55.0
    assert 28.0 < spleen.mean_hu < 50.0


# --- upright ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [(), (0,), (1,), (2,), (0, 1, 2)], ids=["no", "slices", "rows", "columns", "all"])
def test_a_volume_is_turned_to_the_same_patient(tmp_path: Path, flip: tuple[int, ...]) -> None:
    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    # Slices rise by 5 mm, rows go to the back by 2 mm, columns to the left by 3 mm, from (x, y, z) = (10, 20, 30).
    affine = [0.0, 0.0, 3.0, 10.0, 0.0, 2.0, 0.0, 20.0, 5.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0, 1.0]
    for axis, (step, start) in enumerate([(8, 11), (5, 7), (2, 3)]):
        if axis in flip:
            affine[start] += affine[step] * (voxels.shape[axis] - 1)
            affine[step] = -affine[step]
    turned = upright(volume_of(np.flip(voxels, flip), (5.0, 2.0, 3.0), tuple(affine), tmp_path))
    assert (turned.voxels == voxels[::-1]).all()
    assert turned.place_mm((0.0, 0.0, 0.0)) == (10.0, 20.0, 35.0)
    assert turned.place_mm((1.0, 2.0, 3.0)) == (19.0, 24.0, 30.0)
    assert turned.instance(0) == ("1.2.3.0" if 0 in flip else "1.2.3.1")
    assert (turned.as_stored(turned.voxels == 0) == (np.flip(voxels, flip) == 0)).all()


def test_slices_that_are_no_instances_have_no_name(coarse: Torso, tmp_path: Path) -> None:
    volume = replace(stored(coarse, np.zeros((3, 4, 4), dtype=np.int16), tmp_path), sop_instance_uids=("1.2",))
    assert upright(volume).instance(1) == ""


def test_slices_that_lean_are_refused(coarse: Torso, tmp_path: Path) -> None:
    volume = stored(coarse, np.zeros((3, 4, 4), dtype=np.int16), tmp_path)
    leaning = list(volume.affine)
    leaning[4] = 0.5
    with pytest.raises(NotEvaluable, match="tilted") as caught:
        upright(replace(volume, affine=tuple(leaning)))
    assert caught.value.gate == "orientation"

"""The spine of a computed torso whose spine is a formula, its vertebrae and their names, and a real spine."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cds.errors import NotEvaluable
from models.phantom_abdomen import Anatomy, Tissue, Torso, torso
from models.spine import find_spine
from models.straight import straighten
from models.vertebrae import NOTHING, PROCESS, RIB, SHORT, Levels, Vertebra, find_vertebrae, named
from tests.unit.torso_cases import Voxels, unenhanced_ct


def nothing() -> None:
    return None


def cranial_first(one: Torso, **images: float) -> Voxels:
    voxels: Voxels = one.images(**images)[::-1]
    return voxels


def levels_of(one: Torso, voxels: Voxels) -> Levels:
    spine = find_spine(voxels, one.spacing_mm, nothing)
    return find_vertebrae(voxels, one.spacing_mm, spine, straighten(voxels, one.spacing_mm, spine), nothing)


@pytest.fixture(scope="module")
def usual() -> Torso:
    return torso()


@pytest.fixture(scope="module")
def images(usual: Torso) -> Voxels:
    return cranial_first(usual)


@pytest.fixture(scope="module")
def levels(usual: Torso, images: Voxels) -> Levels:
    return levels_of(usual, images)


# --- the column ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lordosis", [0.0, 0.22, 0.35])
def test_canal_and_bodies_follow_the_curve_of_the_spine(lordosis: float) -> None:
    one = torso(Anatomy(lordosis=lordosis), layer_mm=(1.5, 2.0, 2.0))
    voxels = cranial_first(one)
    spine = find_spine(voxels, one.spacing_mm, nothing)
    z = one.affine[11] + one.spacing_mm[0] * np.arange(len(voxels))[::-1]
    # The phantom's formula, written again: the body's middle, and the canal 25 mm behind it.
    body = np.array([28.0 + 60.0 * lordosis * math.sin(height / 60.0) for height in z])
    found = spine.body * np.array(one.spacing_mm[1:]) + np.array([-150.0, -200.0])
    canal = spine.canal * np.array(one.spacing_mm[1:]) + np.array([-150.0, -200.0])
    assert np.abs(found[:, 0] - body).max() < 2.5
    assert np.abs(found[:, 1]).max() < 2.0
    assert np.abs(canal[:, 0] - body - 25.0).max() < 4.0
    assert np.abs(canal[:, 1]).max() < 3.0
    assert np.abs(spine.depth_mm - 32.0).max() < 5.0


def test_the_canal_is_found_in_bone_that_is_nearly_lost(usual: Torso) -> None:
    voxels: Voxels = usual.images({Tissue.TRABECULAR: 40.0, Tissue.CORTEX: 300.0}, noise_hu=25.0)[::-1]
    spine = find_spine(voxels, usual.spacing_mm, nothing)
    canal = np.rint(spine.canal).astype(int)
    labels = usual.labels[::-1][1::2]
    inside = [labels[index, row, column] == Tissue.CANAL for index, (row, column) in enumerate(canal)]
    assert np.mean(inside) > 0.85


def test_a_trunk_without_bone_has_no_spine(usual: Torso) -> None:
    soft = np.minimum(usual.images()[::-1], 100)
    with pytest.raises(NotEvaluable, match="spinal canal") as caught:
        find_spine(soft, usual.spacing_mm, nothing)
    assert caught.value.gate == "spine"


def test_images_of_nothing_have_no_spine() -> None:
    with pytest.raises(NotEvaluable, match="no body"):
        find_spine(np.full((20, 100, 100), -1000, dtype=np.int16), (3.0, 2.0, 2.0), nothing)


# --- vertebrae and their names ---------------------------------------------------------------------------------------


def test_every_whole_vertebra_is_found_with_its_name_and_height(usual: Torso, levels: Levels) -> None:
    made = {one.name: one for one in usual.anatomy.vertebrae}
    assert levels.doubt == ""
    assert [one.name for one in levels.vertebrae] == ["T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4"]
    for one in levels.vertebrae:
        assert one.height_mm == pytest.approx(made[one.name].height_mm, abs=3.0)


def test_neighbours_are_as_far_apart_as_they_were_made(usual: Torso, levels: Levels) -> None:
    made = {one.name: one.middle_mm for one in usual.anatomy.vertebrae}
    for upper, lower in pairwise(levels.vertebrae):
        # Along the curve, which is a little longer than its height.
        straight = made[upper.name] - made[lower.name]
        assert lower.middle_mm - upper.middle_mm == pytest.approx(straight * 1.02, abs=2.5)


def test_ribs_and_transverse_processes_are_told_apart(levels: Levels) -> None:
    sides = {one.name: (one.right, one.left) for one in levels.vertebrae}
    assert all(sides[name] == (RIB, RIB) for name in ("T9", "T10", "T11", "T12"))
    assert all(sides[name] == (PROCESS, PROCESS) for name in ("L1", "L2", "L3", "L4"))


def test_the_lumbar_spine_alone_has_no_names(usual: Torso) -> None:
    part = usual.between(-140.0, 15.0)
    found = levels_of(part, cranial_first(part))
    assert "no vertebra with ribs" in found.doubt
    assert {one.name for one in found.vertebrae} == {""}


def test_the_thoracic_spine_alone_has_no_names(usual: Torso) -> None:
    part = usual.between(15.0, 140.0)
    found = levels_of(part, cranial_first(part))
    assert "every vertebra in the images has ribs" in found.doubt
    assert all(one.has_ribs for one in found.vertebrae)


def test_l1_is_named_when_t12_is_cut_by_the_top_of_the_images(usual: Torso) -> None:
    part = usual.between(-60.0, 38.0)
    found = levels_of(part, cranial_first(part))
    assert [one.name for one in found.vertebrae] == ["L1", "L2"]


def test_a_rib_that_may_be_a_process_leaves_the_levels_open() -> None:
    one = torso(Anatomy().changed("T12", rib_mm=38.0), layer_mm=(1.5, 2.0, 2.0)).between(-75.0, 100.0)
    found = levels_of(one, cranial_first(one))
    assert "short rib" in found.doubt
    assert SHORT in {side for vertebra in found.vertebrae for side in (vertebra.right, vertebra.left)}


def test_ribs_on_one_side_alone_leave_the_levels_open() -> None:
    one = torso(Anatomy(left_ribs=False), layer_mm=(1.5, 2.0, 2.0)).between(-75.0, 100.0)
    assert "one side alone" in levels_of(one, cranial_first(one)).doubt


def test_a_lumbar_rib_shifts_the_names_as_the_limits_say() -> None:
    one = torso(Anatomy().changed("L1", rib_mm=130.0), layer_mm=(1.5, 2.0, 2.0)).between(-75.0, 100.0)
    names = [vertebra.name for vertebra in levels_of(one, cranial_first(one)).vertebrae]
    # T11, T12, L1 and L2 are whole; L1 has the last ribs, and counting from the ribs cannot know better.
    assert names == ["T10", "T11", "T12", "L1"]


def row(right: str, left: str) -> Vertebra:
    return Vertebra(0.0, 25.0, (25.0, 25.0, 25.0), right, left)


@pytest.mark.parametrize(
    ("rows", "above", "names"),
    [
        ([(RIB, RIB), (PROCESS, PROCESS)], [], ["T12", "L1"]),
        ([(PROCESS, NOTHING), (PROCESS, PROCESS)], [RIB, RIB], ["L1", "L2"]),
        ([(RIB, RIB), (RIB, RIB), (PROCESS, PROCESS), (RIB, RIB)], [], ["T11", "T12", "L1", "L2"]),
    ],
    ids=["from the last rib", "from a rib at a vertebra that is cut", "the sacrum's wings are no ribs"],
)
def test_names_are_counted_from_the_last_rib(rows: list[tuple[str, str]], above: list[str], names: list[str]) -> None:
    found = named([row(*one) for one in rows], above)
    assert [one.name for one in found.vertebrae] == names


@pytest.mark.parametrize(
    ("rows", "doubt"),
    [
        ([(RIB, RIB), (NOTHING, NOTHING)], "short rib"),
        ([(RIB, RIB), (SHORT, PROCESS)], "short rib"),
        ([(RIB, RIB), (RIB, PROCESS)], "one side"),
        ([(RIB, PROCESS), (PROCESS, PROCESS)], "one side"),
        ([(PROCESS, PROCESS), (RIB, RIB)], "no vertebra with ribs"),
        ([], "no vertebra with ribs"),
    ],
    ids=["nothing beside it", "a short rib", "the last on one side", "one side", "sacrum", "none"],
)
def test_what_is_not_certain_is_not_named(rows: list[tuple[str, str]], doubt: str) -> None:
    found = named([row(*one) for one in rows], [])
    assert doubt in found.doubt
    assert {one.name for one in found.vertebrae} <= {""}


@pytest.mark.parametrize("missed", [1, 2], ids=["above T12 and L1", "between L1 and L2"])
def test_a_disc_that_was_not_seen_leaves_t12_or_l1_without_a_name(missed: int) -> None:
    rows = [row(RIB, RIB), row(RIB, RIB), row(PROCESS, PROCESS)]
    rows[missed] = replace(rows[missed], whole=False)
    found = named(rows, [])
    assert "disc" in found.doubt
    assert {one.name for one in found.vertebrae} == {""}


def test_a_disc_that_was_not_seen_further_up_ends_the_count_there() -> None:
    rows = [row(RIB, RIB), replace(row(RIB, RIB), whole=False), row(RIB, RIB), row(PROCESS, PROCESS)]
    assert [one.name for one in named(rows, []).vertebrae] == ["", "", "T12", "L1"]


# --- a real spine ----------------------------------------------------------------------------------------------------


def test_a_real_spine_is_found_and_its_first_lumbar_vertebra_named() -> None:
    stored, spacing, affine = unenhanced_ct()
    assert affine[8] > 0 > affine[5]
    assert affine[2] < 0
    voxels = stored[::-1, ::-1, ::-1]
    spine = find_spine(voxels, spacing, nothing)
    assert spine.surrounded.min() > 0.9
    canal = np.array([voxels[index, round(row), round(column)] for index, (row, column) in enumerate(spine.canal)])
    assert np.median(canal) < 50
    body = np.array([voxels[index, round(row), round(column)] for index, (row, column) in enumerate(spine.body)])
    assert np.median(body) > 90
    found = find_vertebrae(voxels, spacing, spine, straighten(voxels, spacing, spine), nothing)
    assert [one.name for one in found.vertebrae] == ["L1"]
    assert 18.0 < found.vertebrae[0].height_mm < 27.0

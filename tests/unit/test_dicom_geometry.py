"""Geometry: millimetre for millimetre and voxel for voxel what SimpleITK's reader says, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dicom.frames import Frame
from adapters.dicom.geometry import places_of, same_grid, stack
from cds.domain.imaging import VolumeRef
from cds.errors import NotEvaluable
from tests.peers.dicom_peers import build, edited, noise, write_series

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
PLANES = {
    "axial": AXIAL,
    "coronal": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "feet first": (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    "prone": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
    "oblique": (0.8660254038, 0.0, -0.5, 0.17101007166, 0.93969262079, 0.29619813273),
}


def by_simpleitk(paths: Sequence[Path]) -> SimpleITK.Image:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(paths[0].parent)))
    return reader.Execute()


def assert_same(volume: VolumeRef, image: SimpleITK.Image) -> None:
    """Spacing, origin, direction, and every voxel at its place; SimpleITK counts columns first."""
    affine = np.array(volume.affine).reshape(4, 4)
    spacing = np.array(image.GetSpacing())
    direction = np.array(image.GetDirection()).reshape(3, 3)
    assert volume.spacing_mm == pytest.approx(tuple(spacing[::-1]), abs=1e-6)
    assert affine[:3, 3] == pytest.approx(image.GetOrigin(), abs=1e-6)
    assert (affine[:3, 2::-1] / spacing).ravel() == pytest.approx(direction.ravel(), abs=1e-6)
    voxels = np.load(volume.path)
    assert np.array_equal(voxels, SimpleITK.GetArrayFromImage(image))


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("spacing_mm", [(2.5, 0.7, 0.8), (0.5, 1.25, 0.3)])
@pytest.mark.parametrize("backwards", [False, True])
def test_every_plane_and_spacing_is_that_of_simpleitk(
    plane: str, spacing_mm: tuple[float, float, float], backwards: bool, tmp_path: Path
) -> None:
    hu = noise(5, 6, 7)
    paths = write_series(tmp_path / "s", hu, spacing_mm=spacing_mm, orientation=PLANES[plane], origin_mm=(-9.5, 3, 700))
    if backwards:
        for number, path in enumerate(paths):
            with edited(path) as dataset:
                dataset.InstanceNumber = 100 - number
                dataset.SpacingBetweenSlices = str(-spacing_mm[0])
        paths = paths[::-1]
    volume = build(paths, tmp_path)
    assert_same(volume, by_simpleitk(paths))
    assert np.array_equal(np.load(volume.path), hu)


def test_the_reference_series_is_that_of_simpleitk(reference_dir: Path, tmp_path: Path) -> None:
    paths = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    assert_same(build(paths[::2] + paths[1::2], tmp_path), by_simpleitk(paths))


def frame(position: tuple[float, float, float], orientation: tuple[float, ...] = AXIAL, **changes: Any) -> Frame:
    plain: dict[str, Any] = {
        "path": Path("x"), "index": 0, "sop_instance_uid": f"1.{position}", "rows": 4, "columns": 5,
        "position": position, "orientation": orientation, "pixel_spacing": (0.7, 0.8), "frame_of_reference": "1.2",
        "slope": 1.0, "intercept": 0.0, "attributes": {},
    }  # fmt: skip
    return Frame(**(plain | changes))


def line(*along: float) -> list[Frame]:
    return [frame((0.0, 0.0, z)) for z in along]


@pytest.mark.parametrize(
    ("along", "gate"),
    [
        ((0, 1, 2, 3.6, 4.6), "missing-slices"),
        ((0, 1, 2, 3, 3.5), "geometry"),
        ((0, 0.005), "too-few-slices"),
    ],
)
def test_positions_that_make_no_grid_are_refused(along: tuple[float, ...], gate: str) -> None:
    with pytest.raises(NotEvaluable) as refused:
        stack(line(*along))
    assert refused.value.gate == gate


def test_uneven_spacing_is_said() -> None:
    assert stack(line(0, 1, 2.2, 3.2)).warnings == ("slice spacing varies by 20%",)


@pytest.mark.parametrize("degrees", [1, 10, 30])
def test_a_tilted_gantry_is_refused_not_resampled(degrees: float) -> None:
    shift = float(np.tan(np.radians(degrees)))
    with pytest.raises(NotEvaluable) as refused:
        stack([frame((0.0, shift * z, float(z))) for z in range(10)])
    assert refused.value.gate == "gantry-tilt"


def test_half_a_degree_of_rounding_is_no_tilt() -> None:
    shift = float(np.tan(np.radians(0.3)))
    assert len(stack([frame((0.0, shift * z, float(z))) for z in range(10)]).places) == 10


@pytest.mark.parametrize(
    "changes",
    [
        {"pixel_spacing": (-0.7, 0.8)},
        {"pixel_spacing": (0.0, 0.8)},
        {"rows": 0},
        {"orientation": (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)},
        {"orientation": (2.0, 0.0, 0.0, 0.0, 1.0, 0.0)},
        {"orientation": (0.0,) * 6},
    ],
)
def test_a_plane_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    frames = [frame((0.0, 0.0, z), **changes) for z in (0.0, 1.0)]
    with pytest.raises(NotEvaluable) as refused:
        stack(frames)
    assert refused.value.gate == "geometry"
    assert len(places_of(frames)) == 1


def test_what_differs_only_by_rounding_is_one_grid() -> None:
    one = frame((0, 0, 0))
    assert same_grid(one, frame((0, 0, 9), (1.0, 0.0004, 0.0, 0.0, 1.0, 0.0), pixel_spacing=(0.70001, 0.8)))
    assert not same_grid(one, frame((0, 0, 9), (1.0, 0.01, 0.0, 0.0, 1.0, 0.0)))
    assert not same_grid(one, frame((0, 0, 9), pixel_spacing=(0.71, 0.8)))
    assert not same_grid(one, frame((0, 0, 9), frame_of_reference="1.3"))


@settings(max_examples=60)
@given(
    st.lists(st.floats(-1, 1), min_size=6, max_size=6),
    st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    st.lists(st.floats(-500, 500), min_size=2, max_size=12),
)
def test_any_numbers_make_a_grid_or_a_refusal(
    orientation: list[float], origin: tuple[float, float, float], along: list[float]
) -> None:
    frames = [frame((origin[0], origin[1], origin[2] + z), tuple(orientation)) for z in along]
    try:
        grid = stack(frames)
    except NotEvaluable:
        return
    assert sum(len(place) for place in grid.places) == len(frames)
    assert all(np.isfinite(grid.affine))

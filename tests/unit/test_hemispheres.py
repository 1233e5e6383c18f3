"""The plane between the halves of phantoms whose plane is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.hemispheres import Labels, Midplane, find_midplane

SHAPE = (90, 80, 70)
#: Label → distance from the plane, and place along and above it, mm; radius mm.
PAIRS = {7: (9.0, 5.0, -8.0, 6.0), 8: (12.0, -10.0, 10.0, 5.0), 14: (25.0, 12.0, 2.0, 6.0), 15: (22.0, 10.0, 14.0, 4.0)}


def phantom(tilt_degrees: float, offset: float = 0.0, turn_degrees: float = 0.0) -> tuple[Labels, np.ndarray]:
    """Balls on both sides of a plane through the middle (and `offset` beside it), and the truth of what is left."""
    tilt, turn = np.radians(tilt_degrees), np.radians(turn_degrees)
    normal = np.array([np.cos(tilt) * np.cos(turn), np.sin(tilt) * np.cos(turn), np.sin(turn)])
    along = np.array([-np.sin(tilt), np.cos(tilt), 0.0])
    above = np.cross(normal, along)
    middle = (np.array(SHAPE) - 1) / 2 + offset * normal
    places = np.stack(np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij"), axis=-1) - middle
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for label, (apart, front, up, radius) in PAIRS.items():
        for side in (-1.0, 1.0):
            centre = side * apart * normal + front * along + up * above
            labels[np.linalg.norm(places - centre, axis=-1) <= radius] = label
    return labels, places @ normal > 0


@pytest.mark.parametrize(("tilt", "offset", "turn"), [(0.0, 0.0, 0.0), (8.0, 5.0, 0.0), (-12.0, -6.0, 10.0)])
def test_the_plane_tells_left_from_right_as_the_phantom_was_made(tilt: float, offset: float, turn: float) -> None:
    labels, left = phantom(tilt, offset, turn)
    plane = find_midplane(labels, tuple(PAIRS))
    assert plane is not None
    inside = labels > 0
    assert (plane.left(SHAPE)[inside] == left[inside]).all()
    assert (plane.left(SHAPE) == left).mean() > 0.995
    assert plane.apart_mm < 0.5
    truth = np.degrees(np.arccos(np.cos(np.radians(tilt)) * np.cos(np.radians(turn))))
    assert plane.tilt_degrees == pytest.approx(truth, abs=0.5)


def test_a_structure_that_is_pushed_aside_shows_as_distance_from_the_plane() -> None:
    labels, _ = phantom(0.0)
    pushed = np.where(labels == 8, np.uint8(0), labels)
    pushed[6:][labels[:-6] == 8] = 8
    plane = find_midplane(pushed, tuple(PAIRS))
    assert plane is not None
    assert plane.apart_mm == pytest.approx(6.0, abs=0.7)


def test_a_structure_on_one_side_only_gives_no_plane() -> None:
    labels, left = phantom(0.0)
    assert find_midplane(np.where(left, labels, np.uint8(0)), tuple(PAIRS)) is None or _all_cut(labels, left)
    assert find_midplane(np.where(labels == 14, np.uint8(0), labels), tuple(PAIRS)) is None


def _all_cut(labels: Labels, left: np.ndarray) -> bool:
    """Half a head may be divided again, but never with the halves opposite each other."""
    plane = find_midplane(np.where(left, labels, np.uint8(0)), tuple(PAIRS))
    return plane is not None and plane.apart_mm > 4.0


def test_the_left_side_lies_beyond_the_offset_along_the_first_axis() -> None:
    left = Midplane((1.0, 0.0, 0.0), 1.5, 0.0, 0.0).left((4, 2, 2))
    assert left[:, 0, 0].tolist() == [False, False, True, True]

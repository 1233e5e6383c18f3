"""From positions in space to a regular grid, or the reason why there is none (PS3.3 C.7.6.2). Lengths in mm, LPS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from adapters.dicom.frames import Frame
from cds.errors import NotEvaluable

FloatArray = npt.NDArray[np.float64]

#: Direction cosines that differ less belong to one stack; scanners write them with five or six decimals.
_SAME_COSINE = 1e-3
_SAME_SPACING = 1e-4
_SAME_POSITION_MM = 0.01
#: A gap above this multiple of the median spacing means that a slice is missing.
_GAP = 1.5
#: Above this relative deviation from the median the spacing is worth a warning.
_UNEVEN = 0.1
#: tan 0.5°: with more, rows of neighbouring slices do not lie above each other (gantry tilt).
_SHEAR = math.tan(math.radians(0.5))
_SHIFT_PIXELS = 0.5
_ORTHOGONAL = 1e-2
_FEWEST = 2
_ON_AXIS = math.cos(math.radians(10))
_PLANES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames in order along the normal; each place holds one frame, or several that claim the same position."""

    places: tuple[tuple[Frame, ...], ...]
    spacing_mm: tuple[float, float, float]
    affine: tuple[float, ...]
    orientation: str
    warnings: tuple[str, ...]


def stack(frames: Sequence[Frame]) -> Stack:
    """Order frames of one grid along their normal; raise NotEvaluable where they are no evenly filled volume."""
    normal = _normal(frames[0])
    positions = np.array([frame.position for frame in frames], dtype=np.float64)
    along = positions @ normal
    places = _grouped(frames, along)
    if any(_apart(one, place[0]) for place in places for one in place[1:]):
        raise NotEvaluable("several images lie beside each other in one plane", gate="geometry")
    if len(places) < _FEWEST:
        raise NotEvaluable("a volume needs at least two slices", gate="too-few-slices")
    points = np.array([place[0].position for place in places], dtype=np.float64)
    warnings = _check_spacing(points @ normal)
    _check_alignment(points, normal, frames[0])
    step = (points[-1] - points[0]) / (len(places) - 1)
    first = frames[0]
    return Stack(
        places=places,
        spacing_mm=(float(np.linalg.norm(step)), *first.pixel_spacing),
        affine=_affine(points[0], step, first),
        orientation=_plane(normal),
        warnings=warnings,
    )


def same_grid(one: Frame, other: Frame) -> bool:
    """Same size, direction, spacing and frame of reference, as far as decimals tell."""
    return (
        (one.rows, one.columns, one.frame_of_reference) == (other.rows, other.columns, other.frame_of_reference)
        and _close(one.orientation, other.orientation, absolute=_SAME_COSINE)
        and _close(one.pixel_spacing, other.pixel_spacing, relative=_SAME_SPACING)
    )


def places_of(frames: Sequence[Frame]) -> tuple[tuple[Frame, ...], ...]:
    """Frames of one grid by their place along its normal, unchecked otherwise; all at one place without a normal."""
    try:
        normal = _normal(frames[0])
    except NotEvaluable:
        return (tuple(frames),)
    along = np.array([frame.position for frame in frames], dtype=np.float64) @ normal
    return _grouped(frames, along)


def _close(one: Sequence[float], other: Sequence[float], *, relative: float = 0.0, absolute: float = 0.0) -> bool:
    return all(math.isclose(a, b, rel_tol=relative, abs_tol=absolute) for a, b in zip(one, other, strict=True))


def _normal(frame: Frame) -> FloatArray:
    columns, rows = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    lengths = (float(np.linalg.norm(columns)), float(np.linalg.norm(rows)))
    if any(abs(length - 1) > _ORTHOGONAL for length in lengths) or abs(float(columns @ rows)) > _ORTHOGONAL:
        raise NotEvaluable("the image orientation is no pair of perpendicular directions", gate="geometry")
    if min(frame.pixel_spacing) <= 0 or min(frame.rows, frame.columns) < 1:
        raise NotEvaluable("the pixel spacing or the size of the images is not positive", gate="geometry")
    normal = np.cross(columns, rows)
    return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)


def _grouped(frames: Sequence[Frame], along: FloatArray) -> tuple[tuple[Frame, ...], ...]:
    places: list[list[Frame]] = []
    last = -math.inf
    for i in np.argsort(along, kind="stable"):
        if along[i] - last < _SAME_POSITION_MM:
            places[-1].append(frames[i])
        else:
            places.append([frames[i]])
            last = float(along[i])
    return tuple(tuple(place) for place in places)


def _apart(one: Frame, other: Frame) -> bool:
    return math.dist(one.position, other.position) > _SHIFT_PIXELS * min(one.pixel_spacing)


def _check_spacing(along: FloatArray) -> tuple[str, ...]:
    gaps = np.diff(along)
    usual = median(gaps.tolist())
    widest = int(np.argmax(gaps))
    if gaps[widest] > _GAP * usual:
        where = f"between {along[widest]:.1f} mm and {along[widest + 1]:.1f} mm along the slice normal"
        raise NotEvaluable(
            f"slices are missing {where}: {gaps[widest]:.2f} mm apart, usually {usual:.2f} mm", gate="missing-slices"
        )
    if float(gaps.min()) < usual / _GAP:
        raise NotEvaluable("the distance between slices varies too much for a volume", gate="geometry")
    uneven = float(np.abs(gaps - usual).max()) / usual
    return (f"slice spacing varies by {uneven:.0%}",) if uneven > _UNEVEN else ()


def _check_alignment(points: FloatArray, normal: FloatArray, frame: Frame) -> None:
    """All positions must lie on one line, and that line along the normal."""
    step = (points[-1] - points[0]) / (len(points) - 1)
    height = float(step @ normal)
    if float(np.linalg.norm(step - height * normal)) > _SHEAR * height:
        raise NotEvaluable("the slices are sheared against each other (gantry tilt)", gate="gantry-tilt")
    offset = points - points[0]
    share = (offset @ normal) / float(offset[-1] @ normal)
    residual = offset - share[:, np.newaxis] * offset[-1]
    if float(np.linalg.norm(residual, axis=1).max()) > _SHIFT_PIXELS * min(frame.pixel_spacing):
        raise NotEvaluable("some slices are shifted within their plane", gate="geometry")


def _affine(origin: FloatArray, step: FloatArray, frame: Frame) -> tuple[float, ...]:
    """(slice, row, column, 1) → LPS in mm, row-major (PS3.3 equation C.7.6.2.1-1 with the slice axis first)."""
    matrix = np.eye(4)
    matrix[:3, 0] = step
    matrix[:3, 1] = np.array(frame.orientation[3:]) * frame.pixel_spacing[0]
    matrix[:3, 2] = np.array(frame.orientation[:3]) * frame.pixel_spacing[1]
    matrix[:3, 3] = origin
    return tuple(float(x) for x in matrix.ravel())


def _plane(normal: FloatArray) -> str:
    axis = int(np.argmax(np.abs(normal)))
    return _PLANES[axis] if abs(float(normal[axis])) >= _ON_AXIS else "oblique"

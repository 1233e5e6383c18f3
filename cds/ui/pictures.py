"""One picture of an image: what its header says, how it is looked at, and in which order pictures are scrolled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Vector = tuple[float, ...]

#: Cosines of normals that differ less lie in one direction.
_SAME_DIRECTION = 1e-3
#: Slices closer than this lie at one place, mm.
_SAME_PLACE_MM = 1e-3
#: A component of a direction below this is not worth a letter.
_SMALL = 0.25
_AXES = (("L", "R"), ("P", "A"), ("H", "F"))
_OPPOSITE = str.maketrans("LRPAHF", "RLAPFH")


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown from black to white (PS3.3 C.11.2.1.2), of rescaled values; `function` as in (0028,1056)."""

    center: float
    width: float
    name: str = ""
    function: str = "LINEAR"


#: Customary display settings by modality, chosen by this project; a reader sees the numbers, and drags from there. No
#: measurement hangs on them. Hounsfield units; the values of other modalities have no common scale.
PRESETS: dict[str, tuple[Window, ...]] = {
    "CT": (
        Window(40, 400, "Soft tissue"),
        Window(-600, 1500, "Lung"),
        Window(50, 350, "Mediastinum"),
        Window(60, 160, "Liver"),
        Window(400, 1800, "Bone"),
        Window(40, 80, "Brain"),
        Window(35, 40, "Stroke"),
        Window(75, 215, "Subdural"),
        Window(300, 600, "Angiography"),
    ),
}

#: Body Part Examined → the preset that a reader wants first; everything else is seen as soft tissue.
_FIRST = {"HEAD": "Brain", "BRAIN": "Brain", "SKULL": "Brain", "LUNG": "Lung"}


@dataclass(frozen=True, slots=True)
class FrameSaid:
    """What the header says of one frame; `index` counts from 0 within its instance.

    `position` and `orientation` in patient coordinates (LPS, mm; PS3.3 C.7.6.2.1.1) or empty; `directions` are the
    letters of Patient Orientation (0020,0020) where there is no orientation in space. `spacing_mm` is between rows,
    then columns, where `spacing_source` says. `has_table` where a VOI LUT says how it is shown.
    """

    sop_instance_uid: str
    index: int
    rows: int
    columns: int
    number: int | None = None
    acquisition: int | None = None
    position: Vector = ()
    orientation: Vector = ()
    directions: tuple[str, ...] = ()
    spacing_mm: tuple[float, float] | None = None
    spacing_source: str = ""
    frame_of_reference: str = ""
    laterality: str = ""
    view: str = ""
    is_colour: bool = False
    is_lossy: bool = False
    windows: tuple[Window, ...] = ()
    has_table: bool = False
    time_ms: float | None = None
    transfer_syntax: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is looked at: a window, None for the image's own; as "png" or "jpeg"; `longest` side, 0 for all."""

    window: Window | None = None
    form: str = "png"
    longest: int = 0
    quality: int = 90

    @property
    def key(self) -> str:
        """Names the look in an ETag and a cache."""
        window = self.window
        shown = f"{window.center:g},{window.width:g},{window.function}" if window else "own"
        return f"{self.form}:{shown}:{self.longest}:{self.quality if self.form == 'jpeg' else ''}"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture for a browser."""

    body: bytes
    content_type: str


def normal(orientation: Vector) -> Vector:
    """The direction that slices of this orientation are stacked along; () without an orientation."""
    if len(orientation) != len(_AXES) * 2:
        return ()
    a, b = orientation[:3], orientation[3:]
    crossed = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    length = math.hypot(*crossed)
    return tuple(part / length for part in crossed) if length else ()


def along(said: FrameSaid) -> float | None:
    """Where a slice lies along its own normal, mm; None where it has no place in space."""
    direction = normal(said.orientation)
    if not direction or len(said.position) != len(direction):
        return None
    return sum(a * b for a, b in zip(said.position, direction, strict=True))


def in_order(frames: Sequence[FrameSaid]) -> tuple[tuple[FrameSaid, ...], bool]:
    """Frames as they are scrolled, and whether they are slices one behind the other.

    Along the normal where all lie in one direction at places of their own, from the end at which the instance numbers
    begin; else by acquisition, instance and frame number.
    """
    numbered = sorted(frames, key=_by_number)
    places = [along(one) for one in numbered]
    known = [place for place in places if place is not None]
    if len(known) < max(len(numbered), 2) or not _parallel(numbered) or _share_places(known):
        return tuple(numbered), False
    backwards = _falls(known)
    order = sorted(range(len(numbered)), key=lambda n: known[n], reverse=backwards)
    return tuple(numbered[n] for n in order), True


def _by_number(said: FrameSaid) -> tuple[bool, int, bool, int, str, int]:
    acquisition, number = said.acquisition, said.number
    return (
        acquisition is None,
        acquisition or 0,
        number is None,
        number or 0,
        said.sop_instance_uid,
        said.index,
    )


def _parallel(frames: Sequence[FrameSaid]) -> bool:
    first = normal(frames[0].orientation)
    return all(
        all(abs(a - b) < _SAME_DIRECTION for a, b in zip(first, normal(one.orientation), strict=True)) for one in frames
    )


def _share_places(places: Sequence[float]) -> bool:
    ordered = sorted(places)
    return any(after - before < _SAME_PLACE_MM for before, after in pairwise(ordered))


def _falls(places: Sequence[float]) -> bool:
    """Whether most steps by number go against the normal."""
    steps = [after - before for before, after in pairwise(places)]
    return sum(step < 0 for step in steps) * 2 > len(steps)


def letters(said: FrameSaid) -> tuple[str, str, str, str] | None:
    """What the left, right, top and bottom edges face: R, L, A, P, H(ead), F(oot); None where unknown."""
    if len(said.orientation) == len(_AXES) * 2:
        right, bottom = _facing(said.orientation[:3]), _facing(said.orientation[3:])
    elif len(said.directions) == len(("row", "column")) and all(said.directions):
        right, bottom = said.directions
    else:
        return None
    return right.translate(_OPPOSITE), right, bottom.translate(_OPPOSITE), bottom


def _facing(direction: Vector) -> str:
    """The letters of a direction, the largest component first."""
    ordered = sorted(range(len(_AXES)), key=lambda axis: -abs(direction[axis]))
    return "".join(_AXES[axis][direction[axis] < 0] for axis in ordered if abs(direction[axis]) > _SMALL)


def presets(modality: str, body_part: str = "") -> tuple[Window, ...]:
    """The presets of a modality, that of the body part (0018,0015) first."""
    first = _FIRST.get(body_part.upper(), "")
    return tuple(sorted(PRESETS.get(modality, ()), key=lambda one: one.name != first))


def windows(modality: str, body_part: str, frames: Sequence[FrameSaid]) -> tuple[Window, ...]:
    """What a viewer offers for a series: the own windows of its middle picture, then the presets."""
    if not frames or frames[0].is_colour:
        return ()
    middle = frames[len(frames) // 2]
    own = tuple(
        Window(one.center, one.width, f"Image: {one.name}" if one.name else "Image", one.function)
        for one in middle.windows
    )
    return own + presets(modality, body_part)

"""What the image viewer shows: studies as series of pictures, what models marked on them, and who may ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from cds.domain.imaging import Study
from cds.ui.dicomweb import DicomwebServices
from cds.ui.people import Person
from cds.ui.pictures import FrameSaid, Look, Rendered, Window


@dataclass(frozen=True, slots=True)
class SeriesListed:
    """A series of images as a list names it; `number` counts from 1 in its study and stands in addresses."""

    number: int
    modality: str
    description: str
    images: int
    laterality: str = ""
    view: str = ""


@dataclass(frozen=True, slots=True)
class StudyListed:
    """A study that somebody may look at, by its random public id; the newest first where several are listed."""

    public_id: str
    study_date: date | None
    description: str
    series: tuple[SeriesListed, ...]


@dataclass(frozen=True, slots=True)
class StudyImages:
    """A study's images, the earlier studies to be seen beside it, and the address of the site's own viewer, or ""."""

    study: Study
    listed: StudyListed
    priors: tuple[StudyListed, ...] = ()
    viewer_url: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A value of a mask, and what it stands for."""

    value: int
    name: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a model drew: a mask of `labels`, or ("heat") where on a projection it saw a finding.

    `number` stands in addresses. `findings` are the marks that it belongs to, empty for all of the model's.
    """

    number: int
    kind: str
    model: str
    name: str
    labels: tuple[Label, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding as the viewer lists it, with the pictures that show it best, counted from 1; none where unknown."""

    finding: str
    text: str
    presence: str
    model: str
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of a series, by its place there; `k` counts from 1 and stands in addresses."""

    k: int
    said: FrameSaid
    position_mm: float | None
    letters: tuple[str, str, str, str] | None


@dataclass(frozen=True, slots=True)
class SeriesImages:
    """A series in the order in which it is scrolled; `version` changes with everything that may change its pictures.

    `in_space` is True where the pictures are slices along one normal. `unread` says why images are not among them.
    """

    listed: SeriesListed
    version: str
    pictures: tuple[Shown, ...]
    windows: tuple[Window, ...]
    in_space: bool
    unread: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    overlays: tuple[Overlay, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A picture as an address names it; a `version` that is not the series' own is refused: `k` may mean another."""

    public_id: str
    series: int
    k: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class Picked:
    """A picture that was found for somebody, before anything is decoded; `etag` names its bytes, window apart."""

    path: str
    sha256: str
    index: int
    study: Study
    #: How it is shown where neither the viewer nor the image says it.
    default: Window | None
    #: Whether the address named the version that is there now: it means the same for ever.
    is_fixed: bool
    rows: int = 0
    columns: int = 0

    @property
    def etag(self) -> str:
        """Names the stored picture, whatever window it is shown in."""
        return f"{self.sha256[:32]}-{self.index}"


@dataclass(frozen=True, slots=True)
class Raw:
    """The stored values of a picture for a viewer that does the window itself.

    `body` is gzip of little-endian `dtype` (rows, columns); value · slope + intercept is what a window is told in.
    """

    body: bytes
    dtype: str
    rows: int
    columns: int
    slope: float
    intercept: float
    is_inverted: bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """An overlay on one picture: gzip of uint8 (rows, columns); labels of a mask, 0 to 255 of a heat map.

    `marked` pixels are not 0.
    """

    body: bytes
    rows: int
    columns: int
    marked: int


@dataclass(frozen=True, slots=True)
class ImageServices:
    """What the routes of the viewer use. What somebody may not see does not exist for them: NotFound.

    `patient` is our id of the study's patient, for the audit log.
    """

    #: (who, public id) → its images.
    study: Callable[[Person, str], StudyImages]
    #: (who, public id, number of the series) → its pictures.
    series: Callable[[Person, str, int], SeriesImages]
    #: Raises Conflict where the version is over.
    pick: Callable[[Person, Place], Picked]
    #: Raise NotEvaluable where it cannot be decoded, Unavailable.
    picture: Callable[[Picked, Look], Rendered]
    raw: Callable[[Picked], Raw]
    #: (who, place, number of the overlay) → what is drawn on it, None for nothing.
    overlay: Callable[[Person, Place, int], Drawn | None]
    #: (who, public id, series, overlay) → how many pixels it marks on which pictures.
    marked: Callable[[Person, str, int, int], dict[int, int]]
    #: Why a picture is none, and how large the others are → a tile that says so.
    tile: Callable[[str, int, int], Rendered]
    #: The study's patient, for the audit log; None where it is not known.
    patient: Callable[[Study], str | None]
    dicomweb: DicomwebServices

"""Which images show what a model found: the key image that it named, else the slice on which its mask is largest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from adapters.dicom.instance import read_instance
from adapters.dicom.own import nobody
from adapters.dicom.segmentation import IMAGE_TAGS, Slices, read_slices, voxels_of
from cds.domain.finding import Finding, Findings, Presence
from cds.domain.imaging import MaskRef
from cds.errors import InvalidInstance, NotEvaluable

#: So many per report: a radiologist is shown where to look, not the series again.
MOST = 5
_GATE = "key image"
#: What is shown: not what is absent, and not what was not evaluated.
_SHOWN = (Presence.PRESENT, Presence.MEASURED)

#: (file, frame counted from 0, most bytes) → the frame's values, see `frame_values`.
ReadFrame = Callable[[Path, int, int], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class KeySlice:
    """An image, or one frame of one, that shows findings of a model.

    `image` is its header, of nobody; `frame` counts from 0; `values` are after rescale and `mask` the labels on it,
    both (rows, columns).
    """

    outcome: Findings
    findings: tuple[Finding, ...]
    image: Dataset
    frame: int
    values: NDArray[np.float32]
    mask: NDArray[np.uint8] | None = None

    @property
    def frames(self) -> int:
        """How many frames the image has."""
        return int(self.image.get("NumberOfFrames") or 1)


@dataclass(frozen=True, slots=True)
class _Place:
    image: Dataset
    path: Path
    frame: int
    mask: NDArray[np.uint8] | None = None

    @property
    def key(self) -> tuple[str, int]:
        return str(self.image.SOPInstanceUID), self.frame


def wants_key_image(outcome: Findings) -> bool:
    """True where something was found, and there is a place to show it at."""
    shown = _shown(outcome)
    return bool(shown) and (bool(outcome.masks) or any(finding.key_sop_instance_uid for finding in shown))


class Stored:
    """The stored images of a study's series, each stack read once. `sources` finds the files of a series."""

    def __init__(self, sources: Callable[[str], Sequence[Path]], max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._sources = sources
        self._stacks: dict[tuple[str, str], Slices | NotEvaluable] = {}

    def slices(self, series: str, stack: str) -> Slices:
        """A stack of a series as its masks see it; raise NotEvaluable where it is no volume."""
        if (series, stack) not in self._stacks:
            try:
                self._stacks[series, stack] = read_slices(self._sources(series), stack, max_bytes=self.max_bytes)
            except NotEvaluable as error:
                self._stacks[series, stack] = error
        found = self._stacks[series, stack]
        if isinstance(found, NotEvaluable):
            raise found
        return found

    def image(self, series: str, sop_instance_uid: str) -> tuple[Dataset, Path]:
        """An image's header, of nobody, and its file; raise NotEvaluable where it is not here."""
        for path in self._sources(series):
            try:
                header = read_instance(path, IMAGE_TAGS, max_bytes=self.max_bytes).dataset
            except InvalidInstance:
                continue
            if str(header.get("SOPInstanceUID")) == sop_instance_uid:
                return nobody(header), path
        raise NotEvaluable("its image is not here any more", gate=_GATE)


def key_slices(outcome: Findings, stored: Stored, read: ReadFrame) -> tuple[list[KeySlice], list[str]]:
    """The places of an outcome's findings, several on one image together, and in words what cannot be shown."""
    found: dict[tuple[str, int], tuple[_Place, list[Finding]]] = {}
    notes: dict[str, None] = {}
    for finding in _shown(outcome):
        try:
            place = _place(outcome, finding, stored)
        except NotEvaluable as error:
            notes[_note(outcome, error)] = None
            continue
        if place is not None:
            found.setdefault(place.key, (place, []))[1].append(finding)
    made: list[KeySlice] = []
    for place, findings in list(found.values())[:MOST]:
        try:
            values = read(place.path, place.frame, stored.max_bytes)
            made.append(KeySlice(outcome, tuple(findings), place.image, place.frame, values, place.mask))
        except (NotEvaluable, InvalidInstance) as error:
            notes[_note(outcome, error)] = None
    return made, list(notes)


def _shown(outcome: Findings) -> list[Finding]:
    """What is present before what was measured."""
    return [finding for presence in _SHOWN for finding in outcome.findings if finding.presence is presence]


def _place(outcome: Findings, finding: Finding, stored: Stored) -> _Place | None:
    """On the mask where there is one, else on the named image; None where nothing says on which image it is."""
    series = finding.series_instance_uid or outcome.series_instance_uid
    masks = [mask for mask in outcome.masks if mask.series_instance_uid == series]
    key = finding.key_sop_instance_uid
    if masks:
        try:
            return _in_stacks(stored, masks, key)
        except NotEvaluable:
            if not key:
                raise
    return _Place(*stored.image(series, key), 0) if key else None


def _in_stacks(stored: Stored, masks: Sequence[MaskRef], key: str) -> _Place | None:
    """In the stack of the named image; else in the first whose masks are not empty."""
    found: list[_Place] = []
    for stack in dict.fromkeys(mask.stack for mask in masks):
        of_stack = [mask for mask in masks if mask.stack == stack]
        place = _in_stack(stored.slices(of_stack[0].series_instance_uid, stack), of_stack, key)
        if place is not None and place.key[0] == key:
            return place
        found += [place] if place is not None else []
    return found[0] if found else None


def _in_stack(slices: Slices, masks: Sequence[MaskRef], key: str) -> _Place | None:
    voxels = _together([voxels_of(mask, slices) for mask in masks])
    number = next((n for n in range(slices.shape[0]) if _image(slices, n).SOPInstanceUID == key), None)
    if number is None or len(slices.images) == 1:
        areas = np.count_nonzero(voxels, axis=(1, 2))
        number = int(areas.argmax())
        if not areas[number]:
            return None
    path = slices.paths[number if len(slices.images) > 1 else 0]
    return _Place(_image(slices, number), path, slices.frames[number], voxels[number])


def _together(masks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Labels of several masks of one series; where they overlap the first one stands."""
    voxels = masks[0]
    for mask in masks[1:]:
        voxels = np.where(voxels != 0, voxels, mask)
    return voxels


def _image(slices: Slices, number: int) -> Dataset:
    return slices.images[number] if len(slices.images) > 1 else slices.images[0]


def _note(outcome: Findings, why: Exception) -> str:
    return f"No key image of what {outcome.model} {outcome.version} found goes with this version: {why}."

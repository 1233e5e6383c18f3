"""Masks and heat maps of models, cut up for the pictures that they lie on. Runs in the decoding processes."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of
from adapters.dicom.geometry import stack
from adapters.dicom.instance import read_instance
from adapters.dicom.stacks import choose
from cds.errors import InvalidInstance, NotEvaluable
from cds.ui.images import Drawn

#: A picture of a series: SOP Instance UID, and frame from 0.
Picture = tuple[str, int]

_GATE = "overlay"
_LEVEL = 1
_MOST = 255


def mask_pictures(mask: Path, paths: tuple[Path, ...], stack_key: str, max_bytes: int) -> dict[Picture, Drawn]:
    """A mask by the pictures that it marks something on; the order is that of the volume that the model saw.

    Raise NotEvaluable where it is gone, or is not of the images that are here now.
    """
    places = _places(paths, stack_key, max_bytes)
    voxels = _loaded(mask)
    expected = (len(places), places[0].rows, places[0].columns)
    if voxels.dtype != np.uint8 or voxels.shape != expected:
        raise NotEvaluable("its mask does not fit the images that are here now", gate=_GATE)
    marked = np.flatnonzero(voxels.reshape(len(places), -1).any(axis=1)).tolist()
    return {(places[n].sop_instance_uid, places[n].index): _drawn(voxels[n]) for n in marked}


def heat_map(file: Path) -> Drawn:
    """A heat map in 255 steps, over the whole of its image; raise NotEvaluable where it is gone."""
    heat = _loaded(file)
    if heat.ndim != len(("rows", "columns")):
        raise NotEvaluable("its heat map is none", gate=_GATE)
    return _drawn(np.rint(np.nan_to_num(heat).clip(0, 1) * _MOST).astype(np.uint8))


def _places(paths: Sequence[Path], stack_key: str, max_bytes: int) -> list[Frame]:
    """The slices as `LocalImages.volume` orders them."""
    frames: list[Frame] = []
    for path in paths:
        try:
            found = frames_of(read_instance(path, FRAME_TAGS, max_bytes=max_bytes))
        except InvalidInstance as error:
            raise NotEvaluable("an image of the series cannot be read", gate=_GATE) from error
        frames += () if isinstance(found, str) else found
    if not frames:
        raise NotEvaluable("the images are not here any more", gate=_GATE)
    return [place[0] for place in stack(choose(frames, stack_key).frames).places]


def _loaded(file: Path) -> npt.NDArray[np.generic]:
    """As a model wrote it, or compressed once its report was made."""
    packed = file.with_name(f"{file.name}.gz")
    try:
        with gzip.open(packed) if packed.exists() else file.open("rb") as opened:
            return np.asarray(np.load(opened, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise NotEvaluable("what the model drew is not kept any more", gate=_GATE) from error


def _drawn(values: npt.NDArray[np.generic]) -> Drawn:
    rows, columns = values.shape
    body = gzip.compress(np.ascontiguousarray(values).tobytes(), _LEVEL, mtime=0)
    return Drawn(body, rows, columns, int(np.count_nonzero(values)))

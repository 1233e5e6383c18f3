"""One frame for a picture of it. Imports no more than decoding needs: it runs in the processes of the decoding pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from adapters.dicom.decode import stored_values
from adapters.dicom.frames import FRAME_TAGS, Frame, frames_of, require_size
from adapters.dicom.header import UNREADABLE
from adapters.dicom.instance import read_instance
from cds.errors import NotEvaluable

_GATE = "key image"


def frame_values(path: Path, frame: int, max_bytes: int) -> NDArray[np.float32]:
    """A frame after rescale (PS3.3 C.11.1.1.2), for a picture of it: decoding, so to be called in a pool of processes.

    Raise NotEvaluable where it is in colour or cannot be decoded, InvalidInstance where it is no image.
    """
    instance = read_instance(path, FRAME_TAGS, max_bytes=max_bytes)
    if instance.pixels is None:
        raise NotEvaluable("it is no image", gate=_GATE)
    require_size(instance.dataset, max_bytes)
    try:
        if int(instance.dataset.get("SamplesPerPixel") or 1) != 1:
            raise NotEvaluable("it is in colour", gate=_GATE)
        placed = [one for one in frames_of(instance) if isinstance(one, Frame) and one.index == frame]
        slope, intercept = _rescale(instance.dataset, placed[0] if placed else None)
        return (stored_values(instance, frame) * np.float32(slope) + np.float32(intercept)).astype(np.float32)
    except UNREADABLE as error:
        raise NotEvaluable("its header cannot be read", gate=_GATE) from error


def _rescale(header: Dataset, frame: Frame | None) -> tuple[float, float]:
    slope = frame.slope if frame is not None else header.get("RescaleSlope")
    intercept = frame.intercept if frame is not None else header.get("RescaleIntercept")
    return float(1 if slope in (None, "") else slope), float(intercept or 0)

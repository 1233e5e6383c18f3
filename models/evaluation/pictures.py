"""JPEG and PNG files of a data set as the projections that a DICOM image would have been."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cds.domain.imaging import ImageRef
from cds.errors import NotEvaluable

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
_DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
_SHALLOW = frozenset({"L", "LA", "1"})
_HIGHEST = 2**16 - 1


def read_picture(path: Path, scratch: Path, *, modality: str, view: str) -> ImageRef:
    """Write the grey values, 8 or 16 bit, dark to bright, as .npy; NotEvaluable (gate "decode") where it is no picture.

    A picture states no modality and no view: they are what the table of its data set says.
    """
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            values, is_coloured = _grey(picture)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError):
        raise NotEvaluable("the file is no JPEG or PNG picture that can be read", gate="decode") from None
    uid = _uid(path.name)
    target = scratch / f"{uid}.npy"
    np.save(target, values[np.newaxis], allow_pickle=False)
    return ImageRef(
        path=str(target),
        dtype=values.dtype.name,
        shape=(1, *values.shape),
        photometric="MONOCHROME2",
        pixel_spacing_mm=None,
        spacing_source="",
        sop_instance_uid=uid,
        series_instance_uid=uid,
        modality=modality,
        view=view,
        warnings=("a coloured picture was turned to grey",) if is_coloured else (),
    )


def _grey(picture: Image.Image) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], bool]:
    if picture.mode in _DEEP:
        deep = np.asarray(picture)
        if deep.min() < 0 or deep.max() > _HIGHEST:
            raise ValueError("want 16 bits")
        return deep.astype(np.uint16), False
    grey = np.asarray(picture.convert("L"), dtype=np.uint8)
    if picture.mode in _SHALLOW:
        return grey, False
    colours = np.asarray(picture.convert("RGB"))
    return grey, bool((colours.max(axis=2) != colours.min(axis=2)).any())


def _uid(name: str) -> str:
    """A UID derived from the name (PS3.5 annex B.2), the same whenever the file is read."""
    return f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], 'big')}"

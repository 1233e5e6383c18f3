"""What a model was given to look at, as small numbers: brightness, geometry and scanner. No pixel and no name leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cds.domain.imaging import ModelInput, Projections, VolumeRef
from cds.domain.quality import InputNumbers

#: Values that are looked at per file: percentiles of so many are exact to less than their own noise.
_SAMPLED = 100_000
_PERCENTILES = (5, 50, 95)
_LONGEST_TEXT = 64
#: Attributes that are numbers of the acquisition.
_ACQUISITION = ("kvp", "slice_thickness_mm", "repetition_time_ms", "echo_time_ms", "magnetic_field_t")


def input_numbers(given: ModelInput) -> InputNumbers:
    """The numbers of a volume or of projections; raise OSError and ValueError where a file cannot be read."""
    return _projections(given) if isinstance(given, Projections) else _volume(given)


def _volume(volume: VolumeRef) -> InputNumbers:
    slices, rows, columns = volume.shape
    found: dict[str, float] = {"slices": slices, "rows": rows, "columns": columns}
    found |= dict(zip(("spacing_slice_mm", "spacing_row_mm", "spacing_column_mm"), volume.spacing_mm, strict=True))
    return InputNumbers(
        {**found, **_intensity([volume.path]), **_acquisition(volume.attributes)}, _scanner(volume.attributes)
    )


def _projections(given: Projections) -> InputNumbers:
    first = given.images[0]
    found: dict[str, float] = {"images": len(given.images), "rows": first.shape[1], "columns": first.shape[2]}
    if first.pixel_spacing_mm is not None:
        found |= dict(zip(("spacing_row_mm", "spacing_column_mm"), first.pixel_spacing_mm, strict=True))
    paths = [image.path for image in given.images]
    return InputNumbers({**found, **_intensity(paths), **_acquisition(first.attributes)}, _scanner(first.attributes))


def _intensity(paths: Sequence[str]) -> dict[str, float]:
    values = np.concatenate([_sampled(path) for path in paths])
    if not values.size:
        return {}
    found = np.percentile(values, _PERCENTILES)
    return {f"intensity_p{part:02d}": float(value) for part, value in zip(_PERCENTILES, found, strict=True)}


def _sampled(path: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Evenly spread values: every so-maniest along each axis, so that a volume is not read as a whole."""
    whole = np.load(path, mmap_mode="r")
    step = max(1, round((whole.size / _SAMPLED) ** (1 / whole.ndim)))
    values = whole[tuple(slice(None, None, step) for _ in range(whole.ndim))].astype(np.float64).ravel()
    return np.asarray(values[np.isfinite(values)])


def _acquisition(attributes: Mapping[str, str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in _ACQUISITION:
        try:
            value = float(attributes.get(name, ""))
        except ValueError:
            continue
        if np.isfinite(value):
            found[name] = value
    return found


def _scanner(attributes: Mapping[str, str]) -> str:
    """Manufacturer and model name, as the equipment states them (PS3.3 C.7.5.1)."""
    words = " ".join(filter(None, (attributes.get("manufacturer", ""), attributes.get("model", "")))).split()
    return "".join(letter for letter in " ".join(words) if letter.isprintable())[:_LONGEST_TEXT]

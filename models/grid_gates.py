"""The gates of a volume's grid, whatever made it: each answers (gate, value, reason), reason "" where it is passed."""

from __future__ import annotations

from cds.domain.imaging import VolumeRef

#: What rounding in a header may add, mm.
_ROUNDING_MM = 0.01


def slices(volume: VolumeRef, least: int) -> tuple[str, str, str]:
    """At least so many slices."""
    count = volume.shape[0]
    reason = f"{count} slices are too few, at least {least} are needed"
    return "slices", str(count), reason if count < least else ""


def slice_spacing(volume: VolumeRef, most_mm: float) -> tuple[str, str, str]:
    """Slices at most so far apart."""
    spacing = volume.spacing_mm[0]
    reason = f"slices are {spacing:.2f} mm apart, at most {most_mm:g} mm are accepted"
    return "slice spacing", f"{spacing:.2f} mm", reason if spacing > most_mm + _ROUNDING_MM else ""


def pixel_spacing(volume: VolumeRef, most_mm: float) -> tuple[str, str, str]:
    """Pixels at most so wide."""
    spacing = max(volume.spacing_mm[1:])
    reason = f"pixels are {spacing:.2f} mm wide, at most {most_mm:g} mm are accepted"
    return "pixel spacing", f"{spacing:.2f} mm", reason if spacing > most_mm + _ROUNDING_MM else ""

"""What the headers of a series say together, and how old its patient was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import TypeVar

from cds.domain.imaging import InstanceHeader, SeriesSummary

T = TypeVar("T")

#: VR AS (PS3.5 table 6.2-1): three digits and the unit; how many of it are a year.
_AGE = re.compile(r"(\d{3})([DWMY])")
_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}


def summary(headers: Sequence[InstanceHeader], paths: Sequence[str]) -> SeriesSummary:
    """One series of its headers and files, in the same order; what all or some of them state, each value once."""
    first = headers[0]
    thicknesses = [h.slice_thickness_mm for h in headers if h.slice_thickness_mm is not None]
    return SeriesSummary(
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
        modality=first.modality,
        body_part=first.body_part,
        series_description=first.series_description,
        sop_class_uids=_each(h.sop_class_uid for h in headers),
        image_types=_each(h.image_type for h in headers),
        paths=tuple(paths),
        views=_stated(h.view_position for h in headers),
        protocols=_stated(h.protocol_name for h in headers),
        kernels=_stated(h.kernel for h in headers),
        contrasts=_each(h.contrast for h in headers),
        orientations=_stated(h.image_orientation for h in headers),
        slice_thickness_mm=max(thicknesses, default=None),
    )


def age_years(birth: date | None, at: date | None, stated: str = "") -> int | None:
    """Completed years at the study, by the dates, else by Patient's Age (0010,1010); None where neither says it."""
    if birth is not None and at is not None and birth <= at:
        return at.year - birth.year - ((at.month, at.day) < (birth.month, birth.day))
    found = _AGE.fullmatch(stated.strip())
    return int(int(found[1]) / _PER_YEAR[found[2]]) if found else None


def _each(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _stated(values: Iterable[T]) -> tuple[T, ...]:
    return _each(value for value in values if value)

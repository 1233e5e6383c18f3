"""Which instances a model reads and which series it tries, decided from headers and the manifest alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from cds.domain.imaging import InstanceHeader, SeriesSummary
from cds.domain.retrieval import RemoteSeries
from models.manifest import Manifest

#: Values of Image Type (0008,0008) of images that are no original cross-section (PS3.3 C.8.2.1.1.1).
_NOT_CROSS_SECTIONS = frozenset(
    {"LOCALIZER", "MPR", "REFORMATTED", "MIP", "MINIP", "MAX_IP", "MIN_IP", "CURVED", "VRT"}
)
_MADE_FROM_OTHERS = ("DERIVED", "SECONDARY")


def consumes(manifest: Manifest, header: InstanceHeader) -> bool:
    """True where an instance like this may be part of what the model reads."""
    return (
        _wrong_kind(manifest, header.modality, header.body_part) is None
        and header.sop_class_uid in manifest.inputs.sop_class_uids
        and _is_cross_section(header.image_type)
    )


def why_not(manifest: Manifest, series: SeriesSummary) -> str | None:
    """The reason why the model does not try this series, in words; None where it does."""
    reason = _wrong_kind(manifest, series.modality, series.body_part)
    if reason is not None:
        return reason
    if not any(uid in manifest.inputs.sop_class_uids for uid in series.sop_class_uids):
        return "its images are of a kind (SOP class) that the model does not read"
    if series.image_types and not any(_is_cross_section(image_type) for image_type in series.image_types):
        return "its images are localizers, reformats or projections"
    return None


def wants(manifest: Manifest, series: RemoteSeries, sop_class_uids: Collection[str]) -> bool:
    """True where a series that a PACS states may be one that the model reads: it is worth fetching."""
    return why_not_wanted(manifest, series, sop_class_uids) is None


def why_not_wanted(manifest: Manifest, series: RemoteSeries, sop_class_uids: Collection[str]) -> str | None:
    """The reason why the model needs nothing of a series that a PACS states; None where it may need it.

    A PACS that leaves out modality, body part or SOP classes excludes nothing by that: the images will say.
    """
    if series.modality and series.modality != manifest.inputs.modality:
        return f"it is not {manifest.inputs.modality}"
    if series.body_part and not names_body_part(manifest, series.body_part):
        return "its body part is not one that the model reads"
    if sop_class_uids and not set(sop_class_uids).intersection(manifest.inputs.sop_class_uids):
        return "its images are of a kind (SOP class) that the model does not read"
    return None


def names_body_part(manifest: Manifest, body_part: str) -> bool:
    """True for a body part (0018,0015) that the model reads, however it is written; "" is one where it says so."""
    return _plain(body_part) in {_plain(part) for part in manifest.inputs.body_parts}


def describes_body_part(manifest: Manifest, description: str) -> bool:
    """True where a free description, as a person typed it, has a word for a body part that the model reads."""
    words = {_plain(word) for word in re.split(r"[^\w]+|_", description) if word}
    parts = {_plain(part) for part in manifest.inputs.body_parts if part}
    return any(word == part for word in words for part in parts) or _plain(description) in parts


def choose(manifest: Manifest, series: Sequence[SeriesSummary]) -> list[SeriesSummary]:
    """The series worth trying: those with most images first, then by UID so that the order is always the same."""
    readable = [one for one in series if why_not(manifest, one) is None]
    return sorted(readable, key=lambda one: (-len(one.paths), one.series_instance_uid))


def _wrong_kind(manifest: Manifest, modality: str, body_part: str) -> str | None:
    if modality != manifest.inputs.modality:
        return f"it is not {manifest.inputs.modality}"
    if not names_body_part(manifest, body_part):
        return "its body part is not one that the model reads"
    return None


def _plain(body_part: str) -> str:
    return "".join(letter for letter in body_part.upper() if letter.isalnum())


def _is_cross_section(image_type: tuple[str, ...]) -> bool:
    values = tuple(value.strip().upper() for value in image_type)
    return values[:2] != _MADE_FROM_OTHERS and not _NOT_CROSS_SECTIONS.intersection(values)

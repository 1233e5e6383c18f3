"""Which instances a model reads and which series it tries, decided from headers, the order and the manifest alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from cds.domain.imaging import InstanceHeader, SeriesSummary
from cds.domain.inference import StudyFacts
from cds.domain.retrieval import RemoteSeries
from models import preference
from models.contrast_words import contrast_told
from models.manifest import Manifest

#: Values of Image Type (0008,0008) of images that are no original cross-section (PS3.3 C.8.2.1.1.1).
_NOT_CROSS_SECTIONS = frozenset(
    {"LOCALIZER", "MPR", "REFORMATTED", "MIP", "MINIP", "MAX_IP", "MIN_IP", "CURVED", "VRT"}
)
_MADE_FROM_OTHERS = ("DERIVED", "SECONDARY")
#: How the meaning of a view code says what (0018,5101) abbreviates.
_VIEW_NAMES = {"POSTEROANTERIOR": "PA", "ANTEROPOSTERIOR": "AP", "LATERAL": "LL", "LEFTLATERAL": "LL", "LAT": "LL"}
#: Gates of selection that the reader is told of: the study has images of the right kind, and may still not be measured.
TOLD = frozenset({"age", "contrast"})
_UNKNOWN = StudyFacts()


class Refusal(NamedTuple):
    """Why a model does not try a series: the rule, and the reason in words."""

    gate: str
    reason: str


def consumes(manifest: Manifest, header: InstanceHeader) -> bool:
    """True where an instance like this may be part of what the model reads, whatever its order will say."""
    texts = (header.series_description, header.protocol_name, header.study_description)
    return (
        header.modality in manifest.inputs.all_modalities
        and header.sop_class_uid in manifest.inputs.sop_class_uids
        and _body_part(manifest, header.body_part, texts, any_order=True) is None
        and _words(manifest, texts, any_order=True) is None
        and _image_types(manifest, (header.image_type,)) is None
        and _views(manifest, (header.view_position,) if header.view_position else ()) is None
    )


def why_not(manifest: Manifest, series: SeriesSummary, about: StudyFacts = _UNKNOWN) -> str | None:
    """The reason why the model does not try this series, in words; None where it does."""
    found = refusal(manifest, series, about)
    return found.reason if found else None


def refusal(manifest: Manifest, series: SeriesSummary, about: StudyFacts = _UNKNOWN) -> Refusal | None:
    """The first rule that keeps the model from a series, from the kind of image to the patient; None where none does.

    The age comes last: that a child is too young is told of series alone that the model would read of an adult.
    """
    texts = (series.series_description, *series.protocols, about.study_description)
    ordered = bool({coding.code for coding in about.procedures}.intersection(manifest.inputs.words.procedures))
    return (
        _kind(manifest, series)
        or _body_part(manifest, series.body_part, texts, any_order=ordered)
        or _words(manifest, texts, any_order=ordered)
        or _image_types(manifest, series.image_types)
        or _views(manifest, series.views)
        or _contrast(manifest, series)
        or _age(manifest, about)
    )


def cautions(manifest: Manifest, about: StudyFacts) -> tuple[str, ...]:
    """What the reader must know because it is not known: the age, where the model is made for some ages alone."""
    if about.age_years is not None or not _ages(manifest):
        return ()
    return (f"The patient's age is not known; the model is made for patients {_ages(manifest)}.",)


def wants(manifest: Manifest, series: RemoteSeries, sop_class_uids: Collection[str]) -> bool:
    """True where a series that a PACS states may be one that the model reads: it is worth fetching."""
    return why_not_wanted(manifest, series, sop_class_uids) is None


def why_not_wanted(manifest: Manifest, series: RemoteSeries, sop_class_uids: Collection[str]) -> str | None:
    """The reason why the model needs nothing of a series that a PACS states; None where it may need it.

    A PACS that leaves out modality, body part or SOP classes excludes nothing by that: the images will say.
    """
    if series.modality and series.modality not in manifest.inputs.all_modalities:
        return _not_modality(manifest)
    if series.body_part and not names_body_part(manifest, series.body_part):
        return "its body part is not one that the model reads"
    if sop_class_uids and not set(sop_class_uids).intersection(manifest.inputs.sop_class_uids):
        return "its images are of a kind (SOP class) that the model does not read"
    found = _words(manifest, (series.description,), any_order=True)
    return found.reason if found else None


def names_body_part(manifest: Manifest, body_part: str) -> bool:
    """True for a body part (0018,0015) that the model reads, however it is written; "" is one where it says so."""
    return _plain(body_part) in {_plain(part) for part in manifest.inputs.body_parts}


def describes_body_part(manifest: Manifest, description: str) -> bool:
    """True where a free description, as a person typed it, has a word for a body part that the model reads."""
    words = {_plain(word) for word in re.split(r"[^\w]+|_", description) if word}
    parts = {_plain(part) for part in manifest.inputs.body_parts if part}
    return any(word == part for word in words for part in parts) or _plain(description) in parts


def is_urgent(manifest: Manifest, about: StudyFacts) -> bool:
    """True where the order's reason has a word or code that makes the study urgent for this model."""
    told = (about.reason, *(coding.code for coding in about.reasons))
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in manifest.inputs.words.urgent for text in told)


def choose(manifest: Manifest, series: Sequence[SeriesSummary], about: StudyFacts = _UNKNOWN) -> list[SeriesSummary]:
    """The series worth trying, best first, see `preference`; for projections those that are looked at together.

    The order is the same in whatever order the series arrived.
    """
    readable = [one for one in series if refusal(manifest, one, about) is None]
    if manifest.inputs.projection is None:
        return sorted(readable, key=lambda one: preference.rank(manifest, one))
    return together(manifest, readable)


def together(manifest: Manifest, readable: Sequence[SeriesSummary]) -> list[SeriesSummary]:
    """Readable series of projections in the order of the manifest's views, until they have the most images allowed."""
    wanted = manifest.inputs.projection
    if wanted is None:
        return list(readable)
    order = [view_name(view) for view in wanted.views]

    def place(one: SeriesSummary) -> tuple[int, str]:
        places = [order.index(view) for view in map(view_name, one.views) if view in order]
        return min(places, default=len(order)), one.series_instance_uid

    chosen: list[SeriesSummary] = []
    images = 0
    for one in sorted(readable, key=place):
        if chosen and images + len(one.paths) > wanted.max_images:
            break
        chosen.append(one)
        images += len(one.paths)
    return chosen


def view_name(view: str) -> str:
    """A view as View Position (0018,5101) abbreviates it, "" where none is stated."""
    plain = _plain(view)
    return _VIEW_NAMES.get(plain, plain)


def _kind(manifest: Manifest, series: SeriesSummary) -> Refusal | None:
    if series.modality not in manifest.inputs.all_modalities:
        return Refusal("modality", _not_modality(manifest))
    if not any(uid in manifest.inputs.sop_class_uids for uid in series.sop_class_uids):
        return Refusal("sop-class", "its images are of a kind (SOP class) that the model does not read")
    return None


def _not_modality(manifest: Manifest) -> str:
    return f"it is not {' or '.join(manifest.inputs.all_modalities)}"


def _body_part(manifest: Manifest, body_part: str, texts: Sequence[str], *, any_order: bool) -> Refusal | None:
    """What names no part in a code may name it in words, or in the order's code."""
    ordered = any_order and bool(manifest.inputs.words.procedures)
    if names_body_part(manifest, body_part):
        return None
    if not body_part.strip() and (ordered or any(describes_body_part(manifest, text) for text in texts)):
        return None
    return Refusal("body-part", "its body part is not one that the model reads")


def _words(manifest: Manifest, texts: Sequence[str], *, any_order: bool) -> Refusal | None:
    """`texts`: the series' own description first, then what is said of the whole examination.

    A procedure code stands for the words that must be there; none makes up for one that must not.
    """
    words, own, told = manifest.inputs.words, texts[:1], [text for text in texts if text.strip()]
    banned = _matching(words.never, own)
    if not banned and not (_matching(words.only, own) or contrast_told(own[0]) == "no"):
        banned = _matching(words.never, told)
    if banned:
        return Refusal("words", f"its description has a word that excludes it ({banned})")
    ordered = any_order and bool(words.procedures)
    if words.only and told and not ordered and not _matching(words.only, told):
        return Refusal("words", "no description of it has a word that the model asks for")
    return None


def _matching(patterns: Sequence[str], texts: Sequence[str]) -> str:
    """The first pattern that is in a text: the manifest's own words, never those of the image."""
    return next((p for p in patterns for text in texts if re.search(p, text, re.IGNORECASE)), "")


def _image_types(manifest: Manifest, image_types: Sequence[tuple[str, ...]]) -> Refusal | None:
    if not image_types or any(_is_wanted(manifest, image_type) for image_type in image_types):
        return None
    if manifest.inputs.kind == "projection":
        return Refusal("image-type", "its images were made from others (Image Type DERIVED, SECONDARY)")
    return Refusal("image-type", "its images are localizers, reformats or projections")


def _is_wanted(manifest: Manifest, image_type: tuple[str, ...]) -> bool:
    values = tuple(value.strip().upper() for value in image_type)
    if values[:2] == _MADE_FROM_OTHERS:
        return False
    return manifest.inputs.kind == "projection" or not _NOT_CROSS_SECTIONS.intersection(values)


def _views(manifest: Manifest, views: Sequence[str]) -> Refusal | None:
    wanted = manifest.inputs.projection
    if wanted is None:
        return None
    accepted = {view_name(view) for view in wanted.views}
    if not views and "" not in accepted:
        return Refusal("view", "its view is not stated")
    if views and not accepted.intersection(map(view_name, views)):
        return Refusal("view", f"its view is none that the model reads ({', '.join(v for v in wanted.views if v)})")
    return None


def _contrast(manifest: Manifest, series: SeriesSummary) -> Refusal | None:
    """What the description says counts: where the header says nothing, the model's own gate sees no contrast."""
    wanted = manifest.inputs.ct or manifest.inputs.mr
    told = contrast_told(series.series_description)
    if wanted is None or told == "unknown" or told in wanted.contrast:
        return None
    given = "was given" if told == "yes" else "was not given"
    return Refusal("contrast", f"its description says that contrast medium {given}")


def _age(manifest: Manifest, about: StudyFacts) -> Refusal | None:
    age, low, high = about.age_years, manifest.inputs.min_age_years, manifest.inputs.max_age_years
    if age is None or ((low is None or age >= low) and (high is None or age <= high)):
        return None
    return Refusal("age", f"the patient's age is not one that the model is made for ({_ages(manifest)})")


def _ages(manifest: Manifest) -> str:
    low, high = manifest.inputs.min_age_years, manifest.inputs.max_age_years
    if low is not None and high is not None:
        return f"of {low} to {high} years"
    if low is not None:
        return f"of {low} years and older"
    return f"of at most {high} years" if high is not None else ""


def _plain(body_part: str) -> str:
    return "".join(letter for letter in body_part.upper() if letter.isalnum())

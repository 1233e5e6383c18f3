"""What a model reads, as its manifest states it: kind of image, body part, view, acquisition, patient, order."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.functional_validators import AfterValidator

STRICT = ConfigDict(extra="forbid", strict=True)


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


def _printable(text: str) -> str:
    if any(unicodedata.category(letter) == "Cc" and letter not in "\n\t" for letter in text):
        raise ValueError("has control characters")
    return text


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True), AfterValidator(_printable)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,64}$")]
Millimetres = Annotated[float, Field(gt=0)]
Pattern = Annotated[str, StringConstraints(min_length=1), AfterValidator(_compiles)]


@dataclass(frozen=True, slots=True)
class Kernels:
    """Convolution kernels (0018,1210) as regular expressions on the whole name: accepted, and known to be too sharp."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    smooth: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    sharp: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class CtAcquisition:
    """What a CT series must look like to be measured; lengths in mm, tube voltage in kV.

    Without `kernels` any kernel is taken. `unknown_kvp` says whether a series that states no tube voltage is.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    min_slices: Annotated[int, Field(ge=1)]
    min_coverage_mm: Millimetres
    max_slice_thickness_mm: Millimetres
    max_slice_spacing_mm: Millimetres
    max_pixel_spacing_mm: Millimetres
    min_kvp: Annotated[float, Field(gt=0)]
    max_kvp: Annotated[float, Field(gt=0)]
    contrast: Annotated[tuple[Literal["no", "yes", "unknown"], ...], Field(min_length=1)]
    kernels: Kernels | None = None
    unknown_kvp: bool = True


@dataclass(frozen=True, slots=True)
class MrAcquisition:
    """What an MR series must look like: weighting by its name or its times (ms), lengths in mm."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    weighting: Literal["T1", "T2", "FLAIR", "DWI", "any"]
    min_slices: Annotated[int, Field(ge=1)]
    min_coverage_mm: Millimetres
    max_slice_spacing_mm: Millimetres
    max_pixel_spacing_mm: Millimetres
    contrast: Annotated[tuple[Literal["no", "yes", "unknown"], ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Projections:
    """What a projection radiograph or mammogram must look like; `views` as in View Position (0018,5101)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    views: Annotated[tuple[str, ...], Field(min_length=1)]
    min_rows: Annotated[int, Field(ge=1)]
    min_columns: Annotated[int, Field(ge=1)]
    #: The most images of one study that are looked at.
    max_images: Annotated[int, Field(ge=1, le=64)] = 8


@dataclass(frozen=True, slots=True)
class Words:
    """Free texts and codes that decide beside the body part; each pattern is searched without regard to case.

    `only`: at least one of series description, protocol name and study description must match, where any is there.
    `never`: none of them may; but what is said of the whole examination (head and CTA of the neck) does not exclude a
    series whose own description matches `only`, or says that it is without contrast medium. `procedures`: codes of the
    order that stand for `only`, whatever the texts say.
    `urgent`: words or codes (ICD-10, SNOMED CT) in the order's reason that raise the study's priority.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    only: tuple[Pattern, ...] = ()
    never: tuple[Pattern, ...] = ()
    procedures: tuple[Text, ...] = ()
    urgent: tuple[Pattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """Which instances a model reads: SOP classes, body parts (0018,0015) and the acquisition.

    `kind` says whether it is given a volume or projections. `priors` is how many earlier studies of the same patient
    and body part it compares with, at most. Ages in completed years; None is no bound.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    modality: Text
    sop_class_uids: Annotated[tuple[Uid, ...], Field(min_length=1)]
    body_parts: Annotated[tuple[str, ...], Field(min_length=1)]
    orientation: str = ""
    kind: Literal["volume", "projection"] = "volume"
    modalities: tuple[Text, ...] = ()
    ct: CtAcquisition | None = None
    mr: MrAcquisition | None = None
    projection: Projections | None = None
    words: Words = Words()
    min_age_years: Annotated[int, Field(ge=0)] | None = None
    max_age_years: Annotated[int, Field(ge=0)] | None = None
    priors: Annotated[int, Field(ge=0, le=5)] = 0

    @property
    def all_modalities(self) -> tuple[str, ...]:
        """Modality (0008,0060) values that it reads: `modality`, and `modalities` beside it (CR beside DX)."""
        return tuple(dict.fromkeys((self.modality, *self.modalities)))

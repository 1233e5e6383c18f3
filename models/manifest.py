"""A model's manifest: what it is for, what it reads, what it puts out, where its limits lie. Read without torch."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.functional_validators import AfterValidator

from cds.domain.coding import Coding
from cds.errors import ConfigurationError

_STRICT = ConfigDict(extra="forbid", strict=True)


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,64}$")]
Millimetres = Annotated[float, Field(gt=0)]
Pattern = Annotated[str, StringConstraints(min_length=1), AfterValidator(_compiles)]


@dataclass(frozen=True, slots=True)
class Kernels:
    """Convolution kernels (0018,1210) as regular expressions on the whole name: accepted, and known to be too sharp."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    smooth: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    sharp: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class CtAcquisition:
    """What a CT series must look like to be measured; lengths in mm, tube voltage in kV."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    min_slices: Annotated[int, Field(ge=1)]
    min_coverage_mm: Millimetres
    max_slice_thickness_mm: Millimetres
    max_slice_spacing_mm: Millimetres
    max_pixel_spacing_mm: Millimetres
    min_kvp: Annotated[float, Field(gt=0)]
    max_kvp: Annotated[float, Field(gt=0)]
    contrast: Annotated[tuple[Literal["no", "yes", "unknown"], ...], Field(min_length=1)]
    kernels: Kernels


@dataclass(frozen=True, slots=True)
class Inputs:
    """Which instances a model reads: SOP classes, body parts (0018,0015) and, for CT, the acquisition.

    `priors` is how many earlier studies of the same patient and body part it compares with, at most.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    modality: Text
    sop_class_uids: Annotated[tuple[Uid, ...], Field(min_length=1)]
    body_parts: Annotated[tuple[str, ...], Field(min_length=1)]
    orientation: Text
    ct: CtAcquisition | None = None
    priors: Annotated[int, Field(ge=0, le=5)] = 0


@dataclass(frozen=True, slots=True)
class Output:
    """One finding of the model: its key in `Finding.key`, its code and its UCUM unit ("" where it has no value)."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    key: Text
    unit: str
    code: Coding


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number the model decides by, and how it was chosen: a source, or the statement that it is the project's own."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    name: Text
    value: float
    unit: Text
    chosen: Text


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is said about a model, in its `<id>.toml`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,63}$")]
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    title: Text
    intended_use: Text
    limits: Texts
    performance: Texts
    licence: Text
    source: Texts
    body_site: Coding
    inputs: Inputs
    outputs: Annotated[tuple[Output, ...], Field(min_length=1)]
    thresholds: tuple[Threshold, ...]

    def output(self, key: str) -> Output:
        """The output of that key; a model that asks for one its manifest lacks is wrongly installed."""
        for output in self.outputs:
            if output.key == key:
                return output
        raise ConfigurationError([f"{self.id}.toml: outputs has no entry with key {key}"])

    def threshold(self, name: str) -> float:
        """The value of that threshold; a model that asks for one its manifest lacks is wrongly installed."""
        for threshold in self.thresholds:
            if threshold.name == name:
                return threshold.value
        raise ConfigurationError([f"{self.id}.toml: thresholds has no entry with name {name}"])


_ADAPTER = TypeAdapter(Manifest)


def read(path: Path) -> Manifest:
    """Parse one manifest; raise ConfigurationError naming the file and every key that is unknown, missing or wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        manifest = _ADAPTER.validate_json(json.dumps(raw, default=_date_text))
    except OSError as error:
        raise ConfigurationError([f"{path.name}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path.name}: is no TOML: {error}"]) from None
    except ValidationError as error:
        raise ConfigurationError(
            [f"{path.name}: {_mistake(item['loc'], item['msg'])}" for item in error.errors()]
        ) from None
    twice = _twice([output.key for output in manifest.outputs]) + _twice([t.name for t in manifest.thresholds])
    if twice:
        raise ConfigurationError([f"{path.name}: {name} is there twice" for name in twice])
    return manifest


def _mistake(location: Sequence[str | int], text: str) -> str:
    return f"{'.'.join(str(part) for part in location)}: {text.removeprefix('Value error, ')}"


def _date_text(value: object) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise TypeError(f"a manifest holds no {type(value).__name__}")


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})

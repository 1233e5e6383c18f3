"""A model's manifest: what it is for, what it reads, what it puts out, where its limits lie. Read without torch."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from cds.domain.coding import Coding
from cds.errors import ConfigurationError
from models.attributes import KEYS
from models.declaration import Declaration
from models.inputs import STRICT, CtAcquisition, Inputs, Kernels, Text, Texts

__all__ = [
    "CtAcquisition",
    "Execution",
    "Inputs",
    "Kernels",
    "Manifest",
    "Output",
    "Performance",
    "Threshold",
    "Weights",
    "read",
]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
#: A file's name below the model's folder of weights: never a way out of it.
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


def _never(stated: bool) -> bool:
    if stated:
        raise ValueError("is the site's to say, in its settings")
    return stated


@dataclass(frozen=True, slots=True)
class StatedRepeatability:
    """By how much a measurement differs when nothing changed, see `cds.domain.longitudinal.Repeatability`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    source: Text
    absolute: Annotated[float, Field(ge=0)] = 0.0
    percent: Annotated[float, Field(ge=0)] = 0.0


@dataclass(frozen=True, slots=True)
class Output:
    """One finding of the model: its key in `Finding.key`, its code and its UCUM unit ("" where it has no value).

    `body_site` where it is not the model's, `repeatability` where a change can be told from none, `labels`: the
    labels of a dataset that count as positive when the model is evaluated.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    key: Text
    unit: str
    code: Coding
    body_site: Coding | None = None
    repeatability: StatedRepeatability | None = None
    labels: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number the model decides by, and how it was chosen: a source, or the statement that it is the project's own."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Text
    value: float
    unit: Text
    chosen: Text


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights: loaded only if it has this digest. `own`: trained by the project and in its repository."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    file: FileName
    sha256: Sha256
    format: Literal["safetensors", "state-dict", "pt2", "torchscript"]
    source: Text
    licence: Text
    own: bool = False


@dataclass(frozen=True, slots=True)
class Performance:
    """One measured figure, or a statement that there is none: on what, how many, between which bounds."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    statement: Text
    dataset: Text
    measure: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: Annotated[int, Field(ge=0)] | None = None
    output: str = ""

    def __str__(self) -> str:
        return self.statement


@dataclass(frozen=True, slots=True)
class Execution:
    """How the inference process runs the network.

    `half` is the type on a GPU where the model allows it ("no": float32); `memory_mb` what the network needs resident.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    network: Literal["code", "monai", "pt2", "torchscript"] = "code"
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 1
    half: Literal["no", "bf16", "fp16"] = "no"
    channels_last: bool = False
    memory_mb: Annotated[int, Field(ge=1)] = 64


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is said about a model, in its `<id>.toml`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{2,63}$")]
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    title: Text
    task: Literal["quantification", "segmentation", "classification", "detection"]
    intended_use: Text
    not_for: Texts
    limits: Texts
    performance: Annotated[tuple[Performance, ...], Field(min_length=1)]
    licence: Text
    source: Texts
    body_site: Coding
    inputs: Inputs
    outputs: Annotated[tuple[Output, ...], Field(min_length=1)]
    thresholds: tuple[Threshold, ...]
    runtime: Execution = Execution()
    weights: tuple[Weights, ...] = ()
    #: For a model without code: what to do before and after the network.
    declared: Declaration | None = None
    #: The 31 source attributes, by the keys of `models.attributes`; one that is left out is shown as not stated.
    source_attributes: Mapping[str, Text] = field(default_factory=dict)
    #: Where its files of weights may lie, first the nearest; the registry says so, never the manifest's text.
    folders: Annotated[tuple[Path, ...], Field(max_length=0)] = ()
    #: Whether the site lets TorchScript run, which is executable code; the registry says so, never the manifest's text.
    may_execute: Annotated[bool, AfterValidator(_never)] = False

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
    if mistakes := _contradictions(manifest):
        raise ConfigurationError([f"{path.name}: {text}" for text in mistakes])
    return manifest


def _contradictions(manifest: Manifest) -> list[str]:
    """What no single key shows: names that are there twice, an acquisition of another kind, unknown attributes."""
    names = (
        [output.key for output in manifest.outputs],
        [threshold.name for threshold in manifest.thresholds],
        [weights.file for weights in manifest.weights],
    )
    found = [f"{name} is there twice" for group in names for name in _twice(group)]
    found += [
        f"source_attributes.{key}: is none of the 31 source attributes"
        for key in sorted(set(manifest.source_attributes) - KEYS)
    ]
    inputs = manifest.inputs
    if (inputs.kind == "projection") != (inputs.projection is not None):
        found.append("inputs.projection: is there for a model that reads projections, and for no other")
    if inputs.kind == "volume" and not inputs.orientation:
        found.append("inputs.orientation: a model that reads a volume says which orientation")
    if (manifest.runtime.network == "code") != (manifest.declared is None):
        found.append("declared: is there for a model without code, and for no other")
    return found


def _mistake(location: Sequence[str | int], text: str) -> str:
    return f"{'.'.join(str(part) for part in location)}: {text.removeprefix('Value error, ')}"


def _date_text(value: object) -> str:
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise TypeError(f"a manifest holds no {type(value).__name__}")


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})

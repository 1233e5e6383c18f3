"""What a declaration cannot say by itself: whether it fits the outputs, thresholds, inputs and weights beside it."""

from __future__ import annotations

from collections.abc import Iterator

from models import architectures
from models.declaration import Declaration, Reading, Scale
from models.manifest import Manifest

_FORMATS = {"pt2": ("pt2",), "torchscript": ("torchscript",), "monai": ("safetensors", "state-dict")}
#: The patient's axes, each by its two names.
_AXES = ("RL", "AP", "IS")
#: The last percentile.
_HIGHEST = 100.0


def mistakes(manifest: Manifest) -> list[str]:
    """Every contradiction, as "key: what was wanted"; none for a model with code."""
    declared = manifest.declared
    if declared is None:
        return []
    return [
        *_kinds(manifest, declared),
        *_scale(declared.scale, declared.channels),
        *_readings(manifest, declared),
        *_network(manifest, declared),
    ]


def _kinds(manifest: Manifest, declared: Declaration) -> Iterator[str]:
    projection = declared.way == "projection-classification"
    if projection != (manifest.inputs.kind == "projection"):
        yield f"declared.way: {declared.way} does not go with inputs.kind {manifest.inputs.kind}"
    if projection != (declared.image is not None):
        yield "declared.image: is there for projections, and for nothing else"
    if projection == (declared.volume is not None):
        yield "declared.volume: is there for volumes, and for nothing else"
    if declared.volume and {axis for axis in _AXES if set(axis) & set(declared.volume.orientation)} != set(_AXES):
        yield "declared.volume.orientation: wants one letter each of R or L, A or P, I or S"
    if not projection and declared.channels != 1:
        yield "declared.channels: a volume has one channel"


def _scale(scale: Scale, channels: int) -> Iterator[str]:
    needs = scale.by in ("window", "percentile")
    if needs and (scale.low is None or scale.high is None or scale.low >= scale.high):
        yield f"declared.scale: {scale.by} wants low below high"
    if not needs and (scale.low, scale.high) != (None, None):
        yield f"declared.scale: {scale.by} has no low and high"
    if scale.by == "percentile" and not 0 <= (scale.low or 0.0) <= (scale.high or _HIGHEST) <= _HIGHEST:
        yield "declared.scale: percentiles lie between 0 and 100"
    if scale.to_low >= scale.to_high:
        yield "declared.scale: wants to_low below to_high"
    if any(len(part) not in (0, 1, channels) for part in (scale.mean, scale.std)) or bool(scale.mean) != bool(
        scale.std
    ):
        yield "declared.scale: mean and std are there together, one number for each channel or one for all"


def _readings(manifest: Manifest, declared: Declaration) -> Iterator[str]:
    outputs = {output.key: output for output in manifest.outputs}
    named = [reading.output for reading in declared.readings]
    for key in sorted(set(outputs) - set(named)):
        yield f"declared.readings: no channel is the output {key}"
    for key in sorted({key for key in named if named.count(key) > 1}):
        yield f"declared.readings: {key} is there twice"
    for reading in declared.readings:
        where = f"declared.readings: {reading.output}"
        if reading.output not in outputs:
            yield f"{where}: outputs has no entry with this key"
            continue
        if reading.channel >= declared.answers:
            yield f"{where}: channel {reading.channel} is none of the {declared.answers} answers"
        yield from (f"{where}: {text}" for text in _meaning(manifest, declared, reading, outputs[reading.output].unit))


def _meaning(manifest: Manifest, declared: Declaration, reading: Reading, unit: str) -> Iterator[str]:
    thresholds = {threshold.name for threshold in manifest.thresholds}
    for name in filter(None, (reading.threshold, reading.minimum)):
        if name not in thresholds:
            yield f"thresholds has no entry with name {name}"
    yield from _label(declared, reading, unit) if declared.segments else _probability(reading, unit)


def _probability(reading: Reading, unit: str) -> Iterator[str]:
    if not reading.threshold:
        yield "a classification wants the name of its threshold"
    if unit:
        yield f'a classification has no value: want the unit "", not {unit}'
    if reading.minimum or reading.largest:
        yield "minimum and largest are for segmentations"


def _label(declared: Declaration, reading: Reading, unit: str) -> Iterator[str]:
    if unit != "mL":
        yield f"a segmentation is measured in mL, not {unit or 'nothing'}"
    if (declared.activation == "softmax") == bool(reading.threshold):
        yield "with softmax the largest answer is the label, else a threshold is wanted"
    if declared.activation == "softmax" and reading.channel == 0:
        yield "with softmax channel 0 is what is no label"


def _network(manifest: Manifest, declared: Declaration) -> Iterator[str]:
    kind = manifest.runtime.network
    if (kind == "monai") != (declared.network is not None):
        yield "declared.network: is there for runtime.network monai, and for nothing else"
    if declared.network is not None:
        yield from architectures.mistakes(declared.network)
    if len(manifest.weights) != 1:
        yield f"weights: a model without code has one file, not {len(manifest.weights)}"
    for weights in manifest.weights:
        if weights.format not in _FORMATS[kind]:
            yield f"weights.format: {weights.format} does not go with {kind}: want {' or '.join(_FORMATS[kind])}"
    if kind in ("pt2", "torchscript") and manifest.runtime.half != "no":
        yield f"runtime.half: a {kind} file has the precision that it was saved with: want no"

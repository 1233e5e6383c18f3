"""What tells slices at the same place from each other: b-value, echo, phase of the heart, kernel, acquisition ...

The names are words for people: they stand in the label of a stack. A value is a number or short text, cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from adapters.dicom.private import PRIVATE_TAGS, b_value, image_component
from adapters.dicom.values import first_item, floats, one, text

_LONGEST = 32
#: 140 and 140.0 are the same number.
_TRAILING = re.compile(r"(?<=[0-9])\.0*$")
_UNUSUAL = re.compile(r"[^A-Za-z0-9 _.,+/-]")

#: Trait → keywords (PS3.6); the first that has a value counts. In the order in which a series is taken apart.
_KEYWORDS: dict[str, tuple[str, ...]] = {
    "stack": ("StackID",),
    "energy": ("MonoenergeticEnergyEquivalent", "KVP"),
    "kernel": ("ConvolutionKernel",),
    "inversion time": ("InversionTimes", "InversionTime"),
    "flip angle": ("FlipAngle",),
    "temporal position": ("TemporalPositionIndex", "TemporalPositionIdentifier", "TemporalPositionTimeOffset"),
    "cardiac phase": ("NominalPercentageOfCardiacPhase", "NominalCardiacTriggerDelayTime", "TriggerTime"),
    "respiratory phase": ("NominalPercentageOfRespiratoryPhase",),
    "acquisition": ("FrameAcquisitionNumber", "AcquisitionNumber"),
    "time": ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
}
_OTHERS = (
    "ImageType", "ComplexImageComponent", "EchoTime", "EchoNumbers", "EffectiveEchoTime", "DiffusionBValue",
    "DiffusionGradientOrientation", "DiffusionGradientDirectionSequence", "DiffusionDirectionality",
)  # fmt: skip
TRAIT_KEYWORDS = tuple(dict.fromkeys((*(k for several in _KEYWORDS.values() for k in several), *_OTHERS)))
#: What a scan has to find so that the traits can be read.
TRAIT_TAGS = PRIVATE_TAGS | {tag_for_keyword(keyword) or 0 for keyword in TRAIT_KEYWORDS}


def traits_of(view: Dataset) -> dict[str, str]:
    """The traits of one frame that have a value; `view` is flat, see the functional groups in `frames`."""
    present = view.keys()
    found: dict[str, str] = {}
    for name, read in _READERS.items():
        value = read(view)
        if value:
            found[name] = value
    for name, tags in _TAGS.items():
        value = next((clean for keyword, tag in tags if tag in present and (clean := _clean(text(view, keyword)))), "")
        if value:
            found[name] = value
    return {name: found[name] for name in ORDER if name in found}


def _image_type(view: Dataset) -> str:
    """Image Type (PS3.3 C.7.6.1.1.2) from its third value on: AXIAL, M, P, IN_PHASE, ADC, and the complex component."""
    values = text(view, "ImageType").upper().split("\\")[2:]
    component = text(view, "ComplexImageComponent").upper() or image_component(view)
    return _clean("/".join(filter(None, [*values, component])))


def _echo(view: Dataset) -> str:
    number, time = text(view, "EchoNumbers"), one(view, "EffectiveEchoTime")
    time = one(view, "EchoTime") if time is None else time
    milliseconds = "" if time is None else f"{time:g} ms"
    return _clean(" at ".join(filter(None, [number, milliseconds])))


def _b_value(view: Dataset) -> str:
    value = b_value(view)
    return "" if value is None else f"{value:g}"


def _direction(view: Dataset) -> str:
    gradient = first_item(view, "DiffusionGradientDirectionSequence") or view
    direction = floats(gradient, "DiffusionGradientOrientation", 3)
    if direction is not None:
        return ",".join(f"{part + 0.0:.4g}" for part in direction)
    return _clean(text(view, "DiffusionDirectionality"))


def _clean(value: str) -> str:
    """Labels stand in logs and on pages: a peer's text keeps letters, digits and a few signs."""
    return _TRAILING.sub("", _UNUSUAL.sub("_", value.replace("\\", "/"))[:_LONGEST].strip())


_READERS: dict[str, Callable[[Dataset], str]] = {
    "image type": _image_type,
    "echo": _echo,
    "b-value": _b_value,
    "direction": _direction,
}
_TAGS = {
    name: tuple((keyword, tag_for_keyword(keyword) or 0) for keyword in keywords)
    for name, keywords in _KEYWORDS.items()
}
#: The order in which a series is taken apart: what was meant first, what only happened (acquisition, time) last.
ORDER = (
    "stack", "image type", "echo", "b-value", "direction", "energy", "kernel", "inversion time", "flip angle",
    "temporal position", "cardiac phase", "respiratory phase", "acquisition", "time",
)  # fmt: skip

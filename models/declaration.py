"""What a model without code does before and after its network, in its manifest's `[declared]`.

One of four ways of work; everything a site must say stands in the manifest, and nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, StringConstraints

from models.inputs import STRICT, Millimetres, Text

#: A literal of a network's constructor: never an expression, never a name that is imported.
Scalar = bool | int | float | str
Row = list[Scalar | dict[str, Scalar]]
Literals = Scalar | dict[str, Scalar] | list[Scalar | dict[str, Scalar] | list[Scalar | Row]]
Size = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True, slots=True)
class Scale:
    """How pixel values become the network's numbers: `low` to `high` go to `to_low` to `to_high`, cut off outside.

    `by` says what the two are: values ("window": HU of a CT), percentiles of the image ("percentile"), its own smallest
    and largest value ("minmax": both are left out), or its mean and standard deviation ("zscore": likewise; nothing is
    cut off). Then `(value - mean) / std` by channel, where `mean` and `std` are there.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    by: Literal["window", "percentile", "minmax", "zscore"]
    low: float | None = None
    high: float | None = None
    to_low: float = 0.0
    to_high: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[Annotated[float, Field(gt=0)], ...] = ()


@dataclass(frozen=True, slots=True)
class ImageGrid:
    """The network's image: a projection is made to fit without distortion, the rest filled with the darkest value."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    rows: Size
    columns: Size
    fit: Literal["pad", "crop"] = "pad"


@dataclass(frozen=True, slots=True)
class VolumeGrid:
    """The network's volume: `orientation` names, by axis, where the index grows ("RAS": right, anterior, superior).

    `spacing_mm` and `size` follow its axes. A segmentation looks through windows of `size` that overlap by `overlap` of
    it; a classification sees one volume of `size`, cut or filled around the middle.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    orientation: Annotated[str, StringConstraints(pattern=r"^[RLAPSI]{3}$")]
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    size: tuple[Size, Size, Size]
    overlap: Annotated[float, Field(ge=0, le=0.875)] = 0.25
    blending: Literal["gaussian", "constant"] = "gaussian"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of MONAI by its name in the list of `models.monai_nets`, with literal arguments."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Text
    arguments: dict[str, Literals]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one channel of the network's answer means: the output (a key of `[[outputs]]`) that it is.

    `threshold` names the entry of `[[thresholds]]` from which a probability counts: as a finding that is present, or
    (a segmentation with `sigmoid`) as a voxel of the label. `minimum` names the volume in mL below which a connected
    part is left out; `largest` keeps the largest part alone.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    output: Text
    channel: Annotated[int, Field(ge=0, le=255)]
    threshold: str = ""
    minimum: str = ""
    largest: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """How pixels become the network's input, and its output findings.

    `channels` of the input (a projection is repeated for 3); `answers` is how many channels the network's first output
    has, and `activation` what makes probabilities of them ("none": it gives probabilities already).
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    way: Literal["projection-classification", "volume-classification", "volume-segmentation"]
    scale: Scale
    answers: Annotated[int, Field(ge=1, le=256)]
    activation: Literal["sigmoid", "softmax", "none"]
    readings: Annotated[tuple[Reading, ...], Field(min_length=1)]
    channels: Literal[1, 3] = 1
    image: ImageGrid | None = None
    volume: VolumeGrid | None = None
    network: Architecture | None = None

    @property
    def segments(self) -> bool:
        """True where the answer is a label for each voxel."""
        return self.way == "volume-segmentation"

"""What goes through the pipe between the worker and its inference process. Small values only: pixels go by path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cds.domain.finding import ModelOutcome
from cds.domain.imaging import VolumeRef

Kind = Literal["cancelled", "unavailable", "resources", "not-found", "configuration", "model"]


@dataclass(frozen=True, slots=True)
class Options:
    """How the inference process is to run: device wish, CPU threads (None: one per core), folder of the models."""

    device: str
    threads: int | None
    folder: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """Run one model on one volume; the number tells its answer, and its cancellation, from others."""

    number: int
    model_id: str
    volume: VolumeRef
    scratch: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The models are loaded and warm on this device."""

    device: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of request `number`."""

    number: int
    outcome: ModelOutcome


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no outcome (number 0: why the process could not start); the text holds nothing of an image."""

    number: int
    kind: Kind
    text: str

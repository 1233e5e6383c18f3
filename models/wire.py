"""What goes through the pipe between the worker and its inference process. Small values only: pixels go by path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cds.domain.finding import ModelOutcome
from cds.domain.imaging import ModelInput
from cds.domain.inference import Progress

Kind = Literal["cancelled", "unavailable", "resources", "not-found", "configuration", "model"]
#: What is counted of a network: batches and the items in them, how often it left the memory to another one, and how
#: too little memory was answered: by a smaller batch, by the CPU, or by a refusal.
What = Literal["batches", "items", "evicted", "smaller", "cpu", "refused"]


@dataclass(frozen=True, slots=True)
class Options:
    """How the inference process is to run.

    `device` is a wish; `threads` of the CPU (None: one per core); `folder` of models for tests, `models_dir` of the
    site's; `memory_mb` for resident networks (0: no bound); `in_work` requests at once (None: by the cores);
    `torchscript` whether the site lets TorchScript run.
    """

    device: str
    threads: int | None
    folder: str | None
    models_dir: str | None = None
    memory_mb: int = 0
    in_work: int | None = None
    torchscript: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Run one model on one input; the number tells its answer, and its cancellation, from others."""

    number: int
    model_id: str
    given: ModelInput
    scratch: str
    urgency: int = 10


@dataclass(frozen=True, slots=True)
class Ready:
    """The models are loaded and warm on this device."""

    device: str


@dataclass(frozen=True, slots=True)
class Started:
    """The turn of request `number` came: from now on it is worked on."""

    number: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far request `number` is."""

    number: int
    progress: Progress


@dataclass(frozen=True, slots=True)
class Count:
    """What happened in the process since it last told, by model, for the metrics of the worker."""

    what: What
    model: str
    device: str
    amount: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of request `number`, where its network ran ("": none did), how long each step took."""

    number: int
    outcome: ModelOutcome
    device: str = ""
    timings_ms: dict[str, float] = field(default_factory=dict)
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no outcome (number 0: why the process could not start); the text holds nothing of an image."""

    number: int
    kind: Kind
    text: str
    counts: tuple[Count, ...] = ()


Message = Started | Advanced | Answer | Failure

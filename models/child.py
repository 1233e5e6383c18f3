"""The inference process: loads the models once, answers one request after another, ends with its parent.

Only this process imports torch. A thread listens to the lifeline: numbers on it cancel requests; its end means that the
parent is gone, by whatever way, and the process ends at once. (PR_SET_PDEATHSIG would tie it to the one thread of the
parent that started it.)
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from cds.domain.finding import ModelOutcome, NotEvaluated
from cds.errors import ConfigurationError, NotEvaluable, NotFound, OutOfResources, SightlineError, Unavailable
from models.manifest import Manifest
from models.registry import load
from models.task import Cancelled, Refused, Task
from models.wire import Answer, Failure, Kind, Options, Ready, Request

Pipe: TypeAlias = "Connection[Any, Any]"

#: Errors whose texts are the project's own and go to the parent as they are; the narrower kind first.
_KINDS: dict[type[SightlineError], Kind] = {
    Cancelled: "cancelled",
    OutOfResources: "resources",
    Unavailable: "unavailable",
    NotFound: "not-found",
    ConfigurationError: "configuration",
}


@dataclass(frozen=True)
class _Loaded:
    """A model in memory: its manifest, its file and its network by device."""

    manifest: Manifest
    module: ModuleType
    networks: dict[str, Any]


class _Cancellations:
    """The numbers of the requests that are no longer wanted."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    def listen(self, lifeline: Pipe) -> None:
        try:
            while True:
                self._numbers.add(lifeline.recv())
        except (EOFError, OSError):
            os._exit(0)

    def has(self, number: int) -> bool:
        return number in self._numbers


def serve(requests: Pipe, lifeline: Pipe, options: Options) -> None:
    """Answer requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cancellations = _Cancellations()
    threading.Thread(target=cancellations.listen, args=(lifeline,), daemon=True).start()
    try:
        device, models = _start(options)
    except SightlineError as error:
        requests.send(Failure(0, "configuration", str(error)))
        return
    except Exception as error:  # noqa: BLE001 - a model that cannot be loaded stops the start, in words
        requests.send(Failure(0, "configuration", f"a model cannot be loaded: {_kind_and_place(error)}"))
        return
    requests.send(Ready(device))
    while True:
        try:
            request: Request = requests.recv()
        except EOFError:
            return
        requests.send(_answer(models, device, request, cancellations))


def _start(options: Options) -> tuple[str, dict[str, _Loaded]]:
    """Load every model and build its network on the device: the first request finds all of it warm."""
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = _device(options.device, cuda=torch.cuda.is_available())
    folder = Path(options.folder) if options.folder else None
    models = {id_: _Loaded(manifest, _module(id_, folder), {}) for id_, manifest in load(folder).items()}
    for model in models.values():
        _network(model, device)
    return device, models


def _device(wish: str, *, cuda: bool) -> str:
    if wish == "auto":
        return "cuda" if cuda else "cpu"
    if wish.startswith("cuda") and not cuda:
        raise ConfigurationError(["the device cuda is wanted, but torch finds none: set CDS_DEVICE to auto or cpu"])
    return wish


def _module(model_id: str, folder: Path | None) -> ModuleType:
    if folder is None:
        return importlib.import_module(f"models.{model_id}")
    spec = importlib.util.spec_from_file_location(f"site_model_{model_id}", folder / f"{model_id}.py")
    if spec is None or spec.loader is None:
        raise ConfigurationError([f"{model_id}.py cannot be imported"])
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _network(model: _Loaded, device: str) -> Any:
    import torch

    if device not in model.networks:
        model.networks[device] = model.module.build(model.manifest, torch.device(device))
    return model.networks[device]


def _answer(
    models: dict[str, _Loaded], device: str, request: Request, cancellations: _Cancellations
) -> Answer | Failure:
    model = models.get(request.model_id)
    if model is None:
        return Failure(request.number, "configuration", f"there is no model {request.model_id}")
    task = Task(Path(request.scratch), lambda: cancellations.has(request.number))
    try:
        return Answer(request.number, _run(model, device, request, task))
    except tuple(_KINDS) as error:
        kind = next(kind for known, kind in _KINDS.items() if isinstance(error, known))
        return Failure(request.number, kind, str(error))
    except Exception as error:  # noqa: BLE001 - the outermost loop: the request gets an answer, the process lives on
        return Failure(request.number, "model", f"{request.model_id} failed: {_kind_and_place(error)}")


def _run(model: _Loaded, device: str, request: Request, task: Task) -> ModelOutcome:
    try:
        return _on_device(model, device, request, task)
    except NotEvaluable as error:
        reasons = error.reasons if isinstance(error, Refused) else (str(error),)
        manifest, series = model.manifest, request.volume.series_instance_uid
        return NotEvaluated(manifest.id, manifest.version, reasons, error.gate, series)


def _on_device(model: _Loaded, device: str, request: Request, task: Task) -> ModelOutcome:
    """Prepare, infer, interpret; what the device has no memory for is done on the CPU."""
    import torch

    prepared = model.module.prepare(model.manifest, request.volume, task)
    try:
        raw = model.module.infer(_network(model, device), prepared, torch.device(device), task)
    except torch.OutOfMemoryError:
        if device == "cpu":
            raise OutOfResources("the inference process has too little memory for this volume") from None
        torch.cuda.empty_cache()
        raw = model.module.infer(_network(model, "cpu"), prepared, torch.device("cpu"), task)
    outcome: ModelOutcome = model.module.interpret(model.manifest, request.volume, prepared, raw, task)
    return outcome


def _kind_and_place(error: Exception) -> str:
    """The type of the error and the last place in the code it came from; never its text, which may quote the input."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"

"""The inside of the inference process: its models, its device, and one request from prepare to interpret."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from cds.domain.finding import UNUSABLE, Findings, ModelOutcome, NotEvaluated
from cds.domain.imaging import ModelInput
from cds.errors import ConfigurationError, NotEvaluable, OutOfResources
from models import registry
from models.compute import Compute
from models.ledger import Ledger
from models.manifest import Manifest
from models.requests import Waiting
from models.residents import Loaded, Residents
from models.scheduler import Lane, RequestNetwork
from models.task import ModelFailed, Refused, Task
from models.weights import NotInstalled
from models.wire import Answer, Options

#: Requests in work at once where nobody says how many, at least and at most: each holds the pixels of a study.
_IN_WORK = (4, 8)


@dataclass(frozen=True)
class Engine:
    """All models on one device. `run` may be called by many threads."""

    models: dict[str, Loaded]
    residents: Residents
    lane: Lane
    ledger: Ledger
    in_work: int

    @property
    def device(self) -> str:
        """The device's name."""
        return str(self.lane.compute.device)

    def start(self) -> None:
        """Build as many networks as fit, in the order of their ids, and run those that give an example.

        A model whose weights are not there, or are not those of its manifest, is passed over and not evaluated; raise
        what else its `build` raises.
        """
        self.lane.start()
        for model in self.models.values():
            if self.residents.fits(model) and not registry.missing(model.manifest):
                self._warm(model)

    def run(self, waiting: Waiting, task: Task) -> Answer:
        """One request's answer; raise what the model raises but for a refusal, which is an answer."""
        request, start = waiting.request, time.monotonic()
        model = self.models.get(request.model_id)
        if model is None:
            raise ConfigurationError([f"there is no model {request.model_id}"])
        network = RequestNetwork(self.lane, model, task, request.urgency, request.number)
        outcome = _outcome(self, model, network, request.given, task)
        waited_s = start - waiting.since + network.waited_s
        timings = {"queue": _ms(waited_s), **task.timings_ms, "device": _ms(network.device_s)}
        if isinstance(outcome, Findings):
            outcome = replace(outcome, timings_ms=timings)
        return Answer(request.number, outcome, task.device, timings, self.ledger.take())

    def _warm(self, model: Loaded) -> None:
        """In the thread that will run it: what is allocated per thread is there as well."""
        example: Callable[[Manifest], tuple[torch.Tensor, ...]] | None = getattr(model.module, "warm", None)
        network = RequestNetwork(self.lane, model, Task(Path(), lambda: False), urgency=0, number=0)
        try:
            if example is None:
                network.alone(lambda _network, _device: None)
            else:
                network(*example(model.manifest))
        except (NotInstalled, OutOfResources, ConfigurationError):
            return  # said to each request that wants it


def open_engine(options: Options) -> Engine:
    """Read the manifests and import the models; raise ConfigurationError with every mistake."""
    device = torch.device(_device(options.device, cuda=torch.cuda.is_available()))
    folder = Path(options.folder) if options.folder else None
    models_dir = Path(options.models_dir) if options.models_dir else None
    manifests = registry.load(folder, models_dir, torchscript=options.torchscript, broken={})
    models = {id_: Loaded(manifest, registry.module(manifest, folder)) for id_, manifest in sorted(manifests.items())}
    ledger = Ledger()
    residents = Residents(options.memory_mb, ledger)
    lane = Lane(Compute(device, residents, ledger), options.threads)
    least, most = _IN_WORK
    in_work = options.in_work or min(max(os.cpu_count() or least, least), most)
    return Engine(models, residents, lane, ledger, in_work)


def _device(wish: str, *, cuda: bool) -> str:
    if wish == "auto":
        return "cuda" if cuda else "cpu"
    if wish.startswith("cuda") and not cuda:
        raise ConfigurationError(["the device cuda is wanted, but torch finds none: set CDS_DEVICE to auto or cpu"])
    return wish


def _outcome(engine: Engine, model: Loaded, network: RequestNetwork, given: ModelInput, task: Task) -> ModelOutcome:
    try:
        return _worked(engine, model, network, given, task)
    except NotEvaluable as error:
        reasons = error.reasons if isinstance(error, Refused) else (str(error),)
        manifest = model.manifest
        return NotEvaluated(manifest.id, manifest.version, reasons, error.gate, given.series_instance_uid)
    except ConfigurationError:  # one damaged model harms no study: it says nothing, and people are told
        manifest = model.manifest
        reason = f"the model {manifest.id} cannot be used as it is installed here; cds models verify says why"
        return NotEvaluated(manifest.id, manifest.version, (reason,), UNUSABLE, given.series_instance_uid)


def _worked(engine: Engine, model: Loaded, network: RequestNetwork, given: ModelInput, task: Task) -> ModelOutcome:
    manifest, module = model.manifest, model.module
    if registry.missing(manifest):
        raise NotInstalled(manifest)
    with engine.lane.coming(model):
        prepared = module.prepare(manifest, given, task)
        with engine.residents.using(model):
            raw = module.infer(network, prepared, task)
    task.check()
    outcome: ModelOutcome = module.interpret(manifest, given, prepared, raw, task)
    keys = [finding.key for finding in outcome.findings] if isinstance(outcome, Findings) else []
    if len(set(keys)) < len(keys):  # a person's word on one would be taken for all of its name
        raise ModelFailed(f"{manifest.id} names two findings alike")
    return outcome


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 1)

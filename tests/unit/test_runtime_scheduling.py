"""The inside of the inference process: batches across requests, urgency, cancelling, short memory, residents."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from cds.domain.finding import Findings, ModelOutcome
from cds.domain.imaging import VolumeRef
from cds.errors import OutOfResources
from models.compute import Compute
from models.engine import Engine
from models.ledger import Ledger
from models.manifest import Execution, Manifest
from models.registry import load
from models.requests import Waiting
from models.residents import Loaded, Residents
from models.scheduler import Lane, RequestNetwork
from models.task import Cancelled, Task
from models.wire import Request

MANIFEST = load()["ct_lung_density"]
VOLUME = VolumeRef("absent.npy", "int16", (1, 1, 1), (1.0, 1.0, 1.0), (0.0,) * 16, "1.2.3", "CT", "axial")
CPU = torch.device("cpu")


class Doubles(torch.nn.Module):
    """Answers twice what it is given and notes what shared a batch; waits while it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[float]] = []
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.entered.set()
        assert self.go.wait(20)
        self.batches.append(x[:, 0].tolist())
        return 2.0 * x


@dataclass
class Given:
    """A model whose request `1.2.<n>` gives its network `items` items that hold n."""

    network: Callable[[], torch.nn.Module]
    items: int = 1
    builds: list[str] = field(default_factory=list)
    prepared: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def build(self, _manifest: Manifest, device: torch.device) -> torch.nn.Module:
        self.builds.append(str(device))
        return self.network()

    def prepare(self, _manifest: Manifest, given: VolumeRef, _task: Task) -> torch.Tensor:
        return torch.full((self.items, 3), float(given.series_instance_uid.rsplit(".", 1)[1]))

    def infer(self, network: RequestNetwork, prepared: torch.Tensor, task: Task) -> torch.Tensor:
        self.prepared.release()
        with task.step("infer"):
            return network(prepared)[0]

    def interpret(
        self, manifest: Manifest, given: VolumeRef, _prepared: torch.Tensor, raw: torch.Tensor, task: Task
    ) -> Findings:
        values = tuple(str(value) for value in raw[:, 0].tolist())
        return Findings(manifest.id, manifest.version, given.series_instance_uid, (), limits=values, device=task.device)


def named(name: str, **how: object) -> Manifest:
    return replace(MANIFEST, id=name, runtime=replace(Execution(), **how), weights=())


def engine_of(*models: Loaded, device: torch.device = CPU, budget_mb: int = 0) -> Engine:
    ledger = Ledger()
    residents = Residents(budget_mb, ledger)
    lane = Lane(Compute(device, residents, ledger), threads=1)
    engine = Engine({model.id: model for model in models}, residents, lane, ledger, 4)
    engine.start()
    return engine


@dataclass
class Desk:
    """Puts requests to an engine, each in a thread of its own."""

    engine: Engine
    pool: ThreadPoolExecutor
    scratch: Path
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def ask(self, name: str, number: int, *, urgency: int = 5, task: Task | None = None) -> Future[ModelOutcome]:
        request = Request(number, name, replace(VOLUME, series_instance_uid=f"1.2.{number}"), "", urgency)
        task = task or Task(self.scratch, lambda: False)
        waiting = Waiting(urgency, number, request, time.monotonic())
        return self.pool.submit(self._run, waiting, task)

    def _run(self, waiting: Waiting, task: Task) -> ModelOutcome:
        answer = self.engine.run(waiting, task)
        for count in answer.counts:
            self.counts[count.what, count.model] += count.amount
        return answer.outcome

    def queued(self, given: Given, name: str, number: int, **how: object) -> Future[ModelOutcome]:
        """Ask, and return once its items wait for the device."""
        before = len(self.engine.lane._jobs)
        asked = self.ask(name, number, **how)
        assert given.prepared.acquire(timeout=60)
        until = time.monotonic() + 20
        while len(self.engine.lane._jobs) == before and time.monotonic() < until:
            time.sleep(0.001)
        return asked


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=12) as threads:
        yield threads


def held(given: Given, desk: Desk, network: Doubles, name: str, number: int) -> Future[ModelOutcome]:
    """Ask, and return once the device is at work on it; it stays so until `network.go` is set."""
    network.go.clear()
    network.entered.clear()
    asked = desk.ask(name, number)
    assert given.prepared.acquire(timeout=60)
    assert network.entered.wait(20)
    return asked


def values(asked: Future[ModelOutcome]) -> tuple[str, ...]:
    outcome = asked.result(timeout=60)
    assert isinstance(outcome, Findings)
    return outcome.limits


def test_items_of_several_requests_share_a_batch_and_each_gets_its_own(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    network = Doubles()
    given = Given(lambda: network, items=2)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=8), given)), pool, tmp_path)
    first = held(given, desk, network, "model_a", 1)
    others = [desk.queued(given, "model_a", number) for number in (2, 3, 4, 5, 6)]
    network.go.set()
    assert values(first) == ("2.0", "2.0")
    assert [values(other) for other in others] == [(str(2.0 * number),) * 2 for number in (2, 3, 4, 5, 6)]
    assert network.batches == [[1, 1], [2, 2, 3, 3, 4, 4, 5, 5], [6, 6]]


def test_items_of_other_shapes_and_models_do_not_share_a_batch(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network, other = Doubles(), Doubles()
    wide = Given(lambda: network, items=2)
    wide.prepare = lambda _manifest, _given, _task: torch.full((2, 5), 9.0)
    given, second = Given(lambda: network), Given(lambda: other)
    manifest = named("model_a", max_batch=8)
    models = (Loaded(manifest, given), Loaded(named("model_b", max_batch=8), second))
    desk = Desk(engine_of(*models), pool, tmp_path)
    first = held(given, desk, network, "model_a", 1)
    asked = [desk.queued(given, "model_a", 2), desk.queued(second, "model_b", 3), desk.queued(given, "model_a", 4)]
    network.go.set()
    assert [values(one) for one in (first, *asked)] == [("2.0",), ("4.0",), ("6.0",), ("8.0",)]
    assert network.batches == [[1], [2, 4]]
    assert other.batches == [[3]]


def test_a_batch_answers_as_each_item_does_alone(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3)).eval()
    given = Given(lambda: network)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=16), given)), pool, tmp_path)
    alone = [values(desk.ask("model_a", number)) for number in range(1, 11)]
    together = [desk.ask("model_a", number) for number in range(1, 11)]
    for asked, wanted in zip(together, alone, strict=True):
        assert float(values(asked)[0]) == pytest.approx(float(wanted[0]), rel=1e-6)


def test_an_urgent_study_overtakes_between_batches(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network = Doubles()
    given = Given(lambda: network, items=3)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=1), given)), pool, tmp_path)
    routine = held(given, desk, network, "model_a", 1)
    later = desk.queued(given, "model_a", 2)
    urgent = desk.queued(given, "model_a", 3, urgency=1)
    network.go.set()
    assert [values(one) for one in (urgent, routine, later)] == [("6.0",) * 3, ("2.0",) * 3, ("4.0",) * 3]
    assert [batch[0] for batch in network.batches] == [1, 3, 3, 3, 1, 1, 2, 2, 2]


def test_a_batch_that_is_not_full_waits_a_moment_for_what_is_on_its_way(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    network = Doubles()
    given = Given(lambda: network)
    engine = engine_of(Loaded(named("model_a", max_batch=4), given))
    desk = Desk(engine, pool, tmp_path)

    def lasts() -> float:
        started = time.perf_counter()
        values(desk.ask("model_a", 1))
        return time.perf_counter() - started

    alone = min(lasts() for _ in range(30))
    with engine.lane.coming(engine.models["model_a"]):
        assert min(lasts() for _ in range(5)) >= 0.01
    assert alone < 0.01


def test_cancelled_work_stops_between_batches_and_others_go_on(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network = Doubles()
    given = Given(lambda: network, items=4)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=1), given)), pool, tmp_path)
    unwanted = threading.Event()
    network.go.clear()
    asked = desk.ask("model_a", 1, task=Task(tmp_path, unwanted.is_set))
    assert network.entered.wait(20)
    other = desk.queued(given, "model_a", 2)
    unwanted.set()
    network.go.set()
    with pytest.raises(Cancelled):
        asked.result(timeout=60)
    assert values(other) == ("4.0",) * 4
    assert [batch[0] for batch in network.batches] == [1, 2, 2, 2, 2]


def test_work_that_waits_for_the_device_is_cancelled_at_once(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network = Doubles()
    given = Given(lambda: network)
    desk = Desk(engine_of(Loaded(named("model_a"), given)), pool, tmp_path)
    first = held(given, desk, network, "model_a", 1)
    unwanted = threading.Event()
    asked = desk.queued(given, "model_a", 2, task=Task(tmp_path, unwanted.is_set))
    unwanted.set()
    with pytest.raises(Cancelled):
        asked.result(timeout=60)
    assert not first.done()
    network.go.set()
    assert values(first) == ("2.0",)
    assert network.batches == [[1]]


def test_an_item_that_breaks_the_network_fails_its_own_request_alone(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    class Picky(Doubles):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if (x == 13).any():
                raise ValueError("thirteen")
            return super().forward(x)

    network = Picky()
    given = Given(lambda: network)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=8), given)), pool, tmp_path)
    first = held(given, desk, network, "model_a", 1)
    asked = {number: desk.queued(given, "model_a", number) for number in (12, 13, 14)}
    network.go.set()
    assert values(first) == ("2.0",)
    assert values(asked[12]) == ("24.0",)
    assert values(asked[14]) == ("28.0",)
    with pytest.raises(ValueError, match="thirteen"):
        asked[13].result(timeout=60)


def test_a_network_that_answers_too_few_items_is_found_out(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    given = Given(lambda: torch.nn.Flatten(0), items=2)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=8), given)), pool, tmp_path)
    with pytest.raises(ValueError, match=r"answers \(6,\) for 2 items"):
        desk.ask("model_a", 1).result(timeout=60)


class Small(Doubles):
    """On a device that holds `most` items at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("1 GiB")
        return super().forward(x)


def test_too_little_memory_makes_batches_smaller_and_loses_nothing(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network = Small(3)
    given = Given(lambda: network, items=8)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=8), given)), pool, tmp_path)
    assert values(desk.ask("model_a", 1)) == ("2.0",) * 8
    assert [len(batch) for batch in network.batches] == [2, 2, 2, 2]
    assert values(desk.ask("model_a", 2)) == ("4.0",) * 8
    assert [len(batch) for batch in network.batches] == [2] * 8
    assert desk.counts == {("batches", "model_a"): 8, ("items", "model_a"): 16, ("smaller", "model_a"): 3}


def test_too_little_memory_for_one_item_on_the_cpu_is_out_of_resources(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    given = Given(lambda: Small(0), items=2)
    desk = Desk(engine_of(Loaded(named("model_a", max_batch=2), given)), pool, tmp_path)
    with pytest.raises(OutOfResources, match="too little memory"):
        desk.ask("model_a", 1).result(timeout=60)


def test_what_the_device_cannot_hold_is_computed_on_the_cpu(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    class Elsewhere(Doubles):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.device.type != "cpu":
                raise torch.OutOfMemoryError("1 GiB")
            return super().forward(x)

    network = Elsewhere()
    given = Given(lambda: network, items=5)
    engine = engine_of(Loaded(named("model_a", max_batch=4), given), device=torch.device("meta"))
    asked = Desk(engine, pool, tmp_path).ask("model_a", 7)
    assert values(asked) == ("14.0",) * 5
    outcome = asked.result()
    assert isinstance(outcome, Findings)
    assert outcome.device == "cpu"
    assert given.builds == ["meta", "cpu"]


def test_the_timings_tell_waiting_from_computing(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network = Doubles()
    given = Given(lambda: network)
    desk = Desk(engine_of(Loaded(named("model_a"), given)), pool, tmp_path)
    first = held(given, desk, network, "model_a", 1)
    second = desk.queued(given, "model_a", 2)
    time.sleep(0.1)
    network.go.set()
    waited, computed = (asked.result(timeout=60).timings_ms for asked in (second, first))
    assert list(waited) == ["queue", "infer", "device"]
    assert waited["queue"] >= 100.0 > waited["device"]
    assert computed["device"] >= 100.0 > computed["queue"]


def test_networks_fit_into_the_budget_and_the_least_used_leaves(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    given = {name: Given(Doubles) for name in ("model_a", "model_b", "model_c")}
    engine = engine_of(*(Loaded(named(name, memory_mb=40), one) for name, one in given.items()), budget_mb=100)
    desk = Desk(engine, pool, tmp_path)
    assert [len(one.builds) for one in given.values()] == [1, 1, 0]
    for name in ("model_b", "model_a", "model_c", "model_a", "model_b"):
        values(desk.ask(name, 1))
    assert {name: len(one.builds) for name, one in given.items()} == {"model_a": 1, "model_b": 2, "model_c": 1}
    evicted = {model: count for (what, model), count in desk.counts.items() if what == "evicted"}
    assert evicted == {"model_b": 1, "model_c": 1}


def test_a_network_in_use_is_not_evicted(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    network = Doubles()
    given, other = Given(lambda: network, items=2), Given(Doubles)
    models = (Loaded(named("model_a", memory_mb=60), given), Loaded(named("model_b", memory_mb=60), other))
    desk = Desk(engine_of(*models, budget_mb=100), pool, tmp_path)
    first = held(given, desk, network, "model_a", 1)
    urgent = desk.queued(other, "model_b", 2, urgency=1)
    network.go.set()
    assert values(urgent) == ("4.0",)
    assert values(first) == ("2.0",) * 2
    assert (given.builds, other.builds) == (["cpu"], ["cpu"])


def test_an_example_is_run_before_the_first_request() -> None:
    network = Doubles()
    given = Given(lambda: network)
    given.warm = lambda _manifest: (torch.zeros(1, 3),)
    engine_of(Loaded(named("model_a"), given))
    assert network.batches == [[0.0]]


def test_work_alone_that_calls_the_network_is_told_so_and_hangs_nobody(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    given = Given(Doubles)
    given.infer = lambda network, prepared, _task: network.alone(lambda _module, _device: network(prepared)[0])
    desk = Desk(engine_of(Loaded(named("model_a"), given)), pool, tmp_path)
    with pytest.raises(RuntimeError, match="uses the module that it is given"):
        desk.ask("model_a", 1).result(timeout=60)


def test_channels_that_lie_together_change_nothing_but_the_layout(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = torch.nn.Conv2d(3, 3, 3).eval()
    images = torch.rand(2, 3, 8, 8)
    wanted = network(images).detach()[:, :1, 0, 0]
    given = Given(lambda: network)
    given.infer = lambda network, _prepared, _task: network(images)[0][:, :, 0, 0]
    manifest = named("model_a", max_batch=2, channels_last=True)
    desk = Desk(engine_of(Loaded(manifest, given)), pool, tmp_path)
    got = [float(value) for value in values(desk.ask("model_a", 1))]
    assert got == pytest.approx(wanted[:, 0].tolist(), abs=1e-5)
    assert network.weight.is_contiguous(memory_format=torch.channels_last)

"""The inference runtime against the bare batched loop in the same run, its latency under load, its memory.

The networks have the project's architectures and random weights: what they compute is the same work.
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import models
from cds.domain.imaging import VolumeRef
from cds.domain.inference import RunWish
from models import registry
from models.manifest import Manifest
from models.runtime import Runtime

pytestmark = pytest.mark.bench

ROUNDS = 3
VOLUME = VolumeRef("absent.npy", "uint8", (1, 1, 1), (1.0, 1.0, 1.0), (0.0,) * 16, "1.2.3", "CT", "axial")
MANIFEST = (Path(models.__file__).parent / "ct_lung_density.toml").read_text()
HEAD = """
import os
import numpy as np, torch
from cds.domain.finding import Findings

def infer(network, prepared, task):
    return network(*prepared)[0]

def interpret(manifest, given, prepared, raw, task):
    (task.scratch / "pid").write_text(str(os.getpid()))
    return Findings(manifest.id, manifest.version, given.series_instance_uid, (), limits=(repr(float(raw.sum())),))
"""
CHEST = """
from models.efficientnet_lite import EfficientNetLite

def build(manifest, device):
    torch.manual_seed(7)
    return EfficientNetLite(14).to(device).eval()

def warm(manifest):
    return (torch.zeros(1, 3, 224, 224),)

def prepare(manifest, given, task):
    image = torch.from_numpy(np.load(given.path, mmap_mode="c")).float() / 127.5 - 1.0
    return (image.expand(1, 3, -1, -1),)
"""
BRAIN = """
from models.deepmedic import DeepMedic, Ensemble

def build(manifest, device):
    torch.manual_seed(7)
    return Ensemble([DeepMedic() for _ in range(2)]).to(device).eval()

def prepare(manifest, given, task):
    window = torch.from_numpy(np.load(given.path, mmap_mode="c")).float() / 100.0
    return window[None, None], torch.tensor([[0, 1]])
"""


@dataclass(frozen=True)
class Kind:
    """A model and what its studies look like."""

    name: str
    code: str
    shape: tuple[int, int, int]
    studies: int
    max_batch: int


CHEST_XRAY = Kind("model_chest", CHEST, (1, 224, 224), 96, 8)
HEAD_CT = Kind("model_brain", BRAIN, (95, 95, 95), 8, 1)
KINDS = pytest.mark.parametrize("kind", [CHEST_XRAY, HEAD_CT], ids=lambda kind: kind.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("models")
    for kind in (CHEST_XRAY, HEAD_CT):
        text = re.sub(r"\n\[runtime\][^[]*", "\n", MANIFEST).replace('id = "ct_lung_density"', f'id = "{kind.name}"')
        (where / f"{kind.name}.toml").write_text(f"{text}\n[runtime]\nmax_batch = {kind.max_batch}\n")
        (where / f"{kind.name}.py").write_text(HEAD + kind.code)
    return where


@pytest.fixture(scope="module", params=["cpu", "cuda"])
def runtime(request: pytest.FixtureRequest, folder: Path) -> Iterator[Runtime]:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")
    with Runtime(request.param, folder=folder, in_work=16) as running:
        running.start()
        yield running


def studies(kind: Kind, folder: Path) -> list[VolumeRef]:
    random = np.random.default_rng(1)
    found = []
    for number in range(kind.studies):
        path = folder / f"{number}.npy"
        np.save(path, random.integers(0, 255, kind.shape, dtype=np.uint8))
        found.append(replace(VOLUME, path=str(path), shape=kind.shape, series_instance_uid=f"1.2.{number}"))
    return found


def bare(
    network: torch.nn.Module, module: ModuleType, manifest: Manifest, given: list[VolumeRef], device: str
) -> list[float]:
    """The loop that one would write: read a batch, forward it, take the answer."""
    sums = []
    for at in range(0, len(given), manifest.runtime.max_batch):
        batch = [module.prepare(manifest, one, None) for one in given[at : at + manifest.runtime.max_batch]]
        with torch.no_grad():
            items = (torch.cat(parts).to(device) for parts in zip(*batch, strict=True))
            sums += network(*items).cpu().flatten(1).sum(1).tolist()
    return sums


def seconds(work: Callable[[], object], threads: int | None = None) -> tuple[float, float]:
    """How long it takes in a thread of its own, as the runtime's forwards run, and the CPU time of that thread."""

    def timed() -> tuple[float, float]:
        if threads is not None:
            torch.set_num_threads(threads)
        torch.get_num_threads()
        started, used = time.perf_counter(), time.thread_time()
        work()
        return time.perf_counter() - started, time.thread_time() - used

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(timed).result()


def through(runtime: Runtime, name: str, given: list[VolumeRef], scratch: Path) -> list[float]:
    with ThreadPoolExecutor(max_workers=24) as pool:
        outcomes = list(pool.map(lambda one: runtime.run(name, one, scratch), given))
    return [float(outcome.limits[0]) for outcome in outcomes]


@KINDS
def test_the_runtime_is_as_fast_as_the_bare_batched_loop(
    kind: Kind, runtime: Runtime, folder: Path, tmp_path: Path
) -> None:
    manifest = registry.load(folder)[kind.name]
    module = registry.module(manifest, folder)
    network = module.build(manifest, torch.device(runtime.device)).requires_grad_(False)
    given = studies(kind, tmp_path)
    first = given[: 2 * kind.max_batch]
    assert through(runtime, kind.name, first, tmp_path) == pytest.approx(
        bare(network, module, manifest, first, runtime.device), rel=1e-3
    )
    alone: list[float] = []
    served: list[float] = []
    cpu: list[tuple[float, float]] = []
    pid = int((tmp_path / "pid").read_text())
    for _ in range(ROUNDS):
        # With as many threads as the process has: on cores that others use too, fewer or more would say nothing.
        lasted, _ = seconds(lambda: bare(network, module, manifest, given, runtime.device), os.cpu_count() or 1)
        _, own = seconds(lambda: bare(network, module, manifest, given, runtime.device), 1)
        alone.append(lasted)
        before = _cpu_seconds(pid)
        served.append(seconds(lambda: through(runtime, kind.name, given, tmp_path))[0])
        cpu.append((own / kind.studies, (_cpu_seconds(pid) - before) / kind.studies))
    ratio = min(alone) / min(served)
    print(f"\n{kind.name} on {runtime.device}, best of {ROUNDS}: bare loop {kind.studies / min(alone):.2f} studies/s, "
          f"runtime {kind.studies / min(served):.2f}: {ratio:.3f}; CPU time of a study: bare on one thread "
          f"{min(cpu)[0]:.3f} s, process {min(used for _, used in cpu):.3f} s")  # fmt: skip
    assert ratio >= 0.95


def test_an_urgent_study_waits_for_little_more_than_the_batch_under_way(
    runtime: Runtime, folder: Path, tmp_path: Path
) -> None:
    """Routine load that never ends; urgent chest studies one after another, against the same ones on an idle device."""
    given = studies(CHEST_XRAY, tmp_path)
    idle = [_latency(runtime, one, tmp_path, urgency=1) for one in given[:40]]
    full = [_batch_latency(runtime, given, tmp_path) for _ in range(5)]
    with ThreadPoolExecutor(max_workers=24) as pool:
        routine = [
            pool.submit(_latency, runtime, given[number % len(given)], tmp_path, urgency=5) for number in range(480)
        ]
        time.sleep(1.0)
        loaded = []
        while not routine[-24].done() and len(loaded) < 40:
            loaded.append(_latency(runtime, given[0], tmp_path, urgency=1))
        waited = [one.result() for one in routine]
    p95 = [statistics.quantiles(latencies, n=20)[-1] for latencies in (idle, loaded, waited)]
    batch = statistics.median(full)
    print(f"\nurgent p95 on {runtime.device}: idle {p95[0] * 1e3:.0f} ms, under load {p95[1] * 1e3:.0f} ms "
          f"({len(loaded)} studies); routine p95 {p95[2] * 1e3:.0f} ms; a full batch {batch * 1e3:.0f} ms")  # fmt: skip
    assert len(loaded) >= 10
    assert p95[1] <= 2.0 * (p95[0] + batch)


def _latency(runtime: Runtime, one: VolumeRef, scratch: Path, *, urgency: int) -> float:
    started = time.perf_counter()
    runtime.run(CHEST_XRAY.name, one, scratch, RunWish(urgency=urgency))
    return time.perf_counter() - started


def _batch_latency(runtime: Runtime, given: list[VolumeRef], scratch: Path) -> float:
    """How long as many studies take together as share a batch."""
    started = time.perf_counter()
    through(runtime, CHEST_XRAY.name, given[: CHEST_XRAY.max_batch], scratch)
    return time.perf_counter() - started


def test_memory_is_flat_over_a_thousand_studies(runtime: Runtime, folder: Path, tmp_path: Path) -> None:
    given = studies(CHEST_XRAY, tmp_path)
    sizes = []
    for count in (100, 900):
        through(runtime, CHEST_XRAY.name, [given[number % len(given)] for number in range(count)], tmp_path)
        sizes.append(_resident_mb(int((tmp_path / "pid").read_text())))
    print(f"\nthe process on {runtime.device}: {sizes[0]:.0f} MB after 100 studies, {sizes[1]:.0f} MB after 1,000")
    assert sizes[1] <= 1.1 * sizes[0]


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

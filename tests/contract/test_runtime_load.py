"""The inference process under load: urgency, progress, weights that come later, what it counts, its end, its memory."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import models
from cds import metrics
from cds.domain.finding import UNUSABLE, Findings, ModelOutcome, NotEvaluated
from cds.domain.imaging import VolumeRef
from cds.domain.inference import Progress, RunWish
from cds.errors import Unavailable
from models.runtime import Runtime

MANIFEST = (Path(models.__file__).parent / "ct_lung_density.toml").read_text()
HEAD = """
import os, time, torch
from pathlib import Path
from cds.domain.finding import Findings

def build(manifest, device):
    return torch.nn.Identity()

def interpret(manifest, volume, prepared, raw, task):
    return Findings(manifest.id, manifest.version, volume.series_instance_uid, (), limits=(str(raw),))

def prepare(manifest, volume, task):
    (task.scratch / 'pid').write_text(str(os.getpid()))
    while (task.scratch / 'hold').exists():
        task.check()
        time.sleep(0.01)
"""
BEHAVIOURS = {
    "model_held": "def infer(network, prepared, task):\n    return float(network(torch.ones(2, 3))[0].sum())\n",
    "model_parts": (
        "def infer(network, prepared, task):\n    with task.step('parts'):\n"
        "        for part in range(500):\n            task.progress(part + 1, 500)\n            time.sleep(0.002)\n"
    ),
    "model_patient": (
        "def infer(network, prepared, task):\n"
        "    for _ in range(400):\n        task.check()\n        time.sleep(0.05)\n"
    ),
    "model_pixels": (
        "def prepare(manifest, volume, task):\n"
        "    import numpy as np\n"
        "    return torch.from_numpy(np.load(volume.path, mmap_mode='c').astype('float32'))\n"
        "def infer(network, prepared, task):\n    return float(network(prepared)[0].mean())\n"
    ),
}
WEIGHTS = b"these are no weights, but they have a digest"
VOLUME = VolumeRef("absent.npy", "int16", (1, 1, 1), (1.0, 1.0, 1.0), (0.0,) * 16, "1.2.3", "CT", "axial")


def manifest_of(name: str, more: str = "") -> str:
    return MANIFEST.replace('id = "ct_lung_density"', f'id = "{name}"') + more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("models")
    for name, behaviour in BEHAVIOURS.items():
        (where / f"{name}.toml").write_text(manifest_of(name))
        (where / f"{name}.py").write_text(HEAD + behaviour)
    return where


@pytest.fixture(scope="module")
def runtime(folder: Path) -> Iterator[Runtime]:
    with Runtime("cpu", threads=1, folder=folder, in_work=2) as running:
        running.start()
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=8) as threads:
        yield threads


def appears(path: Path) -> str:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.01)
    raise AssertionError(f"{path.name} did not appear")


def in_work(
    pool: ThreadPoolExecutor, runtime: Runtime, scratch: Path, name: str = "model_held"
) -> Future[ModelOutcome]:
    """A request that is in work and stays so until `hold` is removed from its folder."""
    scratch.mkdir()
    (scratch / "hold").touch()
    asked = pool.submit(runtime.run, name, VOLUME, scratch, RunWish(urgency=5))
    appears(scratch / "pid")
    return asked


def test_an_urgent_request_is_worked_on_while_all_threads_hold_routine_ones(
    runtime: Runtime, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    scratches = [tmp_path / str(number) for number in range(2)]
    routine = [in_work(pool, runtime, scratch) for scratch in scratches]
    (tmp_path / "later").mkdir()
    later = pool.submit(runtime.run, "model_held", VOLUME, tmp_path / "later", RunWish(urgency=5))
    outcome = runtime.run("model_held", VOLUME, tmp_path, RunWish(urgency=1))
    assert isinstance(outcome, Findings)
    assert outcome.limits == ("6.0",)
    assert not (tmp_path / "later" / "pid").exists()
    assert not any(one.done() for one in (*routine, later))
    for scratch in scratches:
        (scratch / "hold").unlink()
    assert all(isinstance(one.result(timeout=60), Findings) for one in (*routine, later))


def test_progress_is_heard_not_too_often_and_to_the_end(runtime: Runtime, tmp_path: Path) -> None:
    heard: list[Progress] = []
    started = time.monotonic()
    runtime.run("model_parts", VOLUME, tmp_path, RunWish(progress=heard.append))
    lasted = time.monotonic() - started
    assert heard[-1] == Progress("parts", 500, 500)
    assert [one.done for one in heard] == sorted({one.done for one in heard})
    assert 3 <= len(heard) <= 2 + lasted / 0.2


def test_who_fails_to_hear_progress_leaves_nothing_in_work(runtime: Runtime, tmp_path: Path) -> None:
    def broken(_progress: Progress) -> None:
        raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        runtime.run("model_parts", VOLUME, tmp_path, RunWish(progress=broken))
    assert isinstance(runtime.run("model_held", VOLUME, tmp_path), Findings)


def test_what_a_run_took_and_computed_is_measured_in_this_process(runtime: Runtime, tmp_path: Path) -> None:
    def sample(name: str) -> float:
        lines = [line for line in metrics.render().decode().splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'model="model_held"' in line)

    before = [sample(f"sightline_model_{what}_total") for what in ("batches", "items")]
    outcome = runtime.run("model_held", VOLUME, tmp_path)
    after = [sample(f"sightline_model_{what}_total") for what in ("batches", "items")]
    assert isinstance(outcome, Findings)
    assert list(outcome.timings_ms) == ["queue", "device"]
    assert after[1] - before[1] == 2
    assert after[0] - before[0] == 2  # one item is the largest batch of this model
    assert sample('sightline_model_seconds_count{device="cpu"') >= 2


def test_a_request_that_overruns_is_stopped_and_spares_the_others(
    folder: Path, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with Runtime("cpu", threads=1, folder=folder, run_limit_s=2.0) as short:
        scratch = tmp_path / "scratch"
        overran = in_work(pool, short, scratch, "model_patient")
        pid = (scratch / "pid").read_text()
        (scratch / "hold").unlink()
        with pytest.raises(Unavailable, match="too long and was stopped"):
            overran.result(timeout=60)
        short.run("model_held", VOLUME, tmp_path)
        assert (tmp_path / "pid").read_text() == pid


def test_a_process_that_is_killed_fails_what_is_in_work_and_what_waits_and_is_replaced(
    runtime: Runtime, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    asked = [in_work(pool, runtime, tmp_path / str(number)) for number in range(2)]
    (tmp_path / "later").mkdir()
    asked.append(pool.submit(runtime.run, "model_held", VOLUME, tmp_path / "later", RunWish(urgency=5)))
    pid = int((tmp_path / "0" / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    for one in asked:
        with pytest.raises(Unavailable, match="ended while it worked"):
            one.result(timeout=60)
    runtime.run("model_held", VOLUME, tmp_path)
    assert int((tmp_path / "pid").read_text()) != pid


@pytest.mark.parametrize("content", [WEIGHTS, b"others"], ids=["right", "wrong"])
def test_a_model_without_its_weights_is_not_evaluated_until_they_are_there(tmp_path: Path, content: bytes) -> None:
    folder, weights = tmp_path / "shipped", tmp_path / "site" / "model_absent"
    folder.mkdir()
    weights.mkdir(parents=True)
    declared = f'[[weights]]\nfile = "one.bin"\nsha256 = "{hashlib.sha256(WEIGHTS).hexdigest()}"\n'
    declared += 'format = "state-dict"\nsource = "The test."\nlicence = "None"\n'
    code = "from models.weights import path\ndef build(manifest, device):\n    path(manifest, 'one.bin')\n"
    code += "    return torch.nn.Identity()\n"
    (folder / "model_absent.toml").write_text(manifest_of("model_absent", declared))
    (folder / "model_absent.py").write_text(HEAD + BEHAVIOURS["model_held"] + code)
    (folder / "model_held.toml").write_text(manifest_of("model_held"))
    (folder / "model_held.py").write_text(HEAD + BEHAVIOURS["model_held"])
    with Runtime("cpu", threads=1, folder=folder, models_dir=tmp_path / "site") as runtime:
        outcome = runtime.run("model_absent", VOLUME, tmp_path)
        assert isinstance(outcome, NotEvaluated)
        assert outcome.gate == "weights"
        assert isinstance(runtime.run("model_held", VOLUME, tmp_path), Findings)
        (weights / "one.bin").write_bytes(content)
        if content == WEIGHTS:
            assert isinstance(runtime.run("model_absent", VOLUME, tmp_path), Findings)
        else:
            damaged = runtime.run("model_absent", VOLUME, tmp_path)
            assert isinstance(damaged, NotEvaluated)
            assert damaged.gate == UNUSABLE


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_memory_stays_flat_over_many_requests(runtime: Runtime, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    path = tmp_path / "volume.npy"
    np.save(path, np.ones((8, 256, 256), dtype=np.int16))
    volume = replace(VOLUME, path=str(path), shape=(8, 256, 256))
    runtime.run("model_held", volume, tmp_path)
    pid = int((tmp_path / "pid").read_text())
    sizes = []
    for count in (150, 300):
        list(pool.map(lambda _: runtime.run("model_pixels", volume, tmp_path), range(count)))
        sizes.append(resident_mb(pid))
    assert sizes[1] - sizes[0] < 60.0  # each request maps 1 MB and computes on 2 MB

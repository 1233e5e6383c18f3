"""The inference process: spawned, many requests at a time, cancelled, restarted, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

import models
from cds.domain.finding import UNUSABLE, Findings, NotEvaluated
from cds.domain.imaging import VolumeRef
from cds.domain.inference import RunWish
from cds.domain.model import FindingModel
from cds.errors import ConfigurationError, NotFound, OutOfResources, Unavailable
from models.phantom import Phantom, chest_phantom
from models.registry import load
from models.runtime import InstalledModel, Runtime
from models.task import Cancelled, ModelFailed

MANIFEST = (Path(models.__file__).parent / "ct_lung_density.toml").read_text()

#: Models that do one thing each, in the frame of a real one.
HEAD = """
import os, time, torch
from cds.domain.finding import Findings
from cds.errors import NotEvaluable, OutOfResources
from models.task import Refused

def build(manifest, device):
    return torch.nn.Identity()

def interpret(manifest, volume, prepared, measured, task):
    return Findings(manifest.id, manifest.version, volume.series_instance_uid, (), device=measured)

def infer(network, prepared, task):
    return network.alone(lambda _module, device: str(device))
"""
BEHAVIOURS = {
    "model_pid": "def prepare(manifest, volume, task):\n    (task.scratch / 'pid').write_text(str(os.getpid()))\n",
    "model_crash": "def prepare(manifest, volume, task):\n    os.kill(os.getpid(), 9)\n",
    "model_bug": "def prepare(manifest, volume, task):\n    raise ValueError('Zyxwvut^Patient')\n",
    "model_one_no": "def prepare(manifest, volume, task):\n    raise NotEvaluable('too dark', gate='light')\n",
    "model_many_no": "def prepare(manifest, volume, task):\n    raise Refused([('a', 'one'), ('b', 'two')])\n",
    "model_damaged": (
        "from cds.errors import ConfigurationError\n"
        "def prepare(manifest, volume, task):\n    pass\n"
        "def build(manifest, device):\n    raise ConfigurationError(['w.pt has another SHA-256'])\n"
    ),
    "model_twice": (
        "from cds.domain.finding import Finding, Presence\n"
        "def prepare(manifest, volume, task):\n    pass\n"
        "def interpret(manifest, volume, prepared, measured, task):\n"
        "    one = Finding('laa_950', manifest.outputs[0].code, Presence.PRESENT)\n"
        "    return Findings(manifest.id, manifest.version, volume.series_instance_uid, (one, one))\n"
    ),
    "model_full": "def prepare(manifest, volume, task):\n    raise OutOfResources('no room')\n",
    "model_memory": (
        "def prepare(manifest, volume, task):\n    pass\n"
        "class Short(torch.nn.Module):\n"
        "    def forward(self, x):\n        raise torch.OutOfMemoryError('1 GiB')\n"
        "def build(manifest, device):\n    return Short()\n"
        "def infer(network, prepared, task):\n    return network(torch.ones(3, 2))\n"
    ),
    "model_device_memory": (
        "def prepare(manifest, volume, task):\n    pass\n"
        "def work(_module, device):\n"
        "    if device.type != 'cpu':\n        raise torch.OutOfMemoryError('1 GiB')\n"
        "    return str(device)\n"
        "def infer(network, prepared, task):\n    return network.alone(work)\n"
    ),
    "model_slow": (
        "def prepare(manifest, volume, task):\n"
        "    (task.scratch / 'pid').write_text(str(os.getpid()))\n"
        "    for _ in range(600):\n        task.check()\n        time.sleep(0.05)\n"
    ),
    "model_deaf": (
        "def prepare(manifest, volume, task):\n"
        "    (task.scratch / 'pid').write_text(str(os.getpid()))\n    time.sleep(60)\n"
    ),
}

VOLUME = VolumeRef("absent.npy", "int16", (1, 1, 1), (1.0, 1.0, 1.0), (0.0,) * 16, "1.2.3", "CT", "axial")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("models")
    for name, behaviour in BEHAVIOURS.items():
        (where / f"{name}.toml").write_text(MANIFEST.replace('id = "ct_lung_density"', f'id = "{name}"'))
        (where / f"{name}.py").write_text(HEAD + behaviour)
    return where


@pytest.fixture(scope="module")
def runtime(folder: Path) -> Iterator[Runtime]:
    with Runtime("cpu", threads=1, folder=folder) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
def installed() -> Iterator[Runtime]:
    """The runtime with the installed models, as the worker has it."""
    with Runtime("cpu", threads=1) as running:
        running.start()
        yield running


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return chest_phantom(spacing_mm=(3.0, 2.0, 2.0))


def stored(phantom: Phantom, folder: Path) -> VolumeRef:
    path = folder / "volume.npy"
    np.save(path, phantom.hu)
    slices, rows, columns = phantom.hu.shape
    attributes = {"kernel": "B30f", "contrast": "no", "slice_thickness_mm": "3.0", "kvp": "120"}
    return VolumeRef(
        str(path),
        "int16",
        (slices, rows, columns),
        phantom.spacing_mm,
        phantom.affine,
        "1.2.3",
        "CT",
        "axial",
        attributes,
    )


def pid_of(runtime: Runtime, scratch: Path) -> int:
    runtime.run("model_pid", VOLUME, scratch)
    return int((scratch / "pid").read_text())


def appears(path: Path) -> str:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path.name} did not appear")


def is_running(pid: int) -> bool:
    """False for a zombie too: nobody may be there to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not is_running(pid):
            return True
        time.sleep(0.02)
    return False


def test_the_lung_model_measures_a_phantom_in_its_own_process(
    installed: Runtime, phantom: Phantom, tmp_path: Path
) -> None:
    model: FindingModel = InstalledModel(load()["ct_lung_density"], installed)
    outcome = model.run(stored(phantom, tmp_path), tmp_path, RunWish())
    assert isinstance(outcome, Findings)
    values = {finding.key: finding.value.value for finding in outcome.findings if finding.value}
    assert values["laa_950"] == pytest.approx(phantom.imaged.laa_950_percent, abs=0.5)
    assert values["lung_volume"] == pytest.approx(phantom.truth.lung_volume_ml, rel=0.02)
    assert outcome.device == "cpu"
    assert (model.id, model.version) == ("ct_lung_density", "1.0.0")


def test_a_refusal_of_the_lung_model_is_not_evaluated_with_its_gate(installed: Runtime, tmp_path: Path) -> None:
    outcome = installed.run("ct_lung_density", VOLUME, tmp_path)
    assert isinstance(outcome, NotEvaluated)
    assert outcome.gate == "slices"
    assert outcome.series_instance_uid == "1.2.3"


def test_a_volume_that_is_gone_is_not_found(installed: Runtime, phantom: Phantom, tmp_path: Path) -> None:
    gone = replace(stored(phantom, tmp_path), path=str(tmp_path / "gone.npy"))
    with pytest.raises(NotFound):
        installed.run("ct_lung_density", gone, tmp_path)


def test_the_device_has_a_name_once_the_process_runs(runtime: Runtime, folder: Path) -> None:
    assert runtime.device == "cpu"
    assert Runtime("cpu", folder=folder).device == ""


def test_every_gate_and_reason_of_a_refusal_arrives(runtime: Runtime, tmp_path: Path) -> None:
    one, many = (runtime.run(name, VOLUME, tmp_path) for name in ("model_one_no", "model_many_no"))
    assert isinstance(one, NotEvaluated)
    assert isinstance(many, NotEvaluated)
    assert (one.gate, one.reasons) == ("light", ("too dark",))
    assert (many.gate, many.reasons) == ("a", ("one", "two"))


def test_a_bug_in_a_model_names_its_kind_and_place_and_not_its_text(runtime: Runtime, tmp_path: Path) -> None:
    before = pid_of(runtime, tmp_path)
    with pytest.raises(ModelFailed, match=r"^model_bug failed: ValueError at model_bug\.py:\d+$"):
        runtime.run("model_bug", VOLUME, tmp_path)
    assert pid_of(runtime, tmp_path) == before


def test_a_model_that_names_two_findings_alike_is_wrong_and_its_answer_is_not_used(
    runtime: Runtime, tmp_path: Path
) -> None:
    with pytest.raises(ModelFailed, match="names two findings alike"):
        runtime.run("model_twice", VOLUME, tmp_path)


def test_a_damaged_model_is_not_evaluated_and_neither_stops_the_start_nor_harms_another(
    runtime: Runtime, tmp_path: Path
) -> None:
    outcome = runtime.run("model_damaged", VOLUME, tmp_path)
    assert isinstance(outcome, NotEvaluated)
    assert outcome.gate == UNUSABLE
    assert "cds models verify" in outcome.reasons[0]
    assert isinstance(runtime.run("model_pid", VOLUME, tmp_path), Findings)


def test_a_full_disk_is_answered_as_such(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(OutOfResources, match="no room"):
        runtime.run("model_full", VOLUME, tmp_path)


def test_too_little_memory_on_the_cpu_is_out_of_resources(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(OutOfResources):
        runtime.run("model_memory", VOLUME, tmp_path)


def test_too_little_memory_on_the_device_is_answered_by_the_cpu(folder: Path, tmp_path: Path) -> None:
    with Runtime("meta", threads=1, folder=folder) as elsewhere:
        elsewhere.start()
        assert elsewhere.device == "meta"
        outcome = elsewhere.run("model_device_memory", VOLUME, tmp_path)
    assert isinstance(outcome, Findings)
    assert outcome.device == "cpu"


def test_a_crash_is_retriable_and_the_next_request_finds_a_new_process(runtime: Runtime, tmp_path: Path) -> None:
    before = pid_of(runtime, tmp_path)
    with pytest.raises(Unavailable, match="ended while it worked"):
        runtime.run("model_crash", VOLUME, tmp_path)
    assert pid_of(runtime, tmp_path) != before


def test_a_process_that_was_killed_between_requests_is_replaced(runtime: Runtime, tmp_path: Path) -> None:
    before = pid_of(runtime, tmp_path)
    os.kill(before, signal.SIGKILL)
    while before in {one.pid for one in active_children()}:
        time.sleep(0.02)
    assert pid_of(runtime, tmp_path) != before


def test_a_running_request_is_cancelled_and_the_process_lives_on(runtime: Runtime, tmp_path: Path) -> None:
    before = pid_of(runtime, tmp_path)
    wanted = threading.Event()
    with ThreadPoolExecutor() as pool:
        running = pool.submit(runtime.run, "model_slow", VOLUME, tmp_path, RunWish(cancelled=wanted.is_set))
        appears(tmp_path / "pid")
        wanted.set()
        with pytest.raises(Cancelled):
            running.result(timeout=60)
    assert pid_of(runtime, tmp_path) == before


def test_a_request_that_waits_its_turn_can_be_cancelled(folder: Path, tmp_path: Path) -> None:
    first_done, second_done = threading.Event(), threading.Event()
    with Runtime("cpu", threads=1, folder=folder, in_work=1) as runtime, ThreadPoolExecutor() as pool:
        first = pool.submit(runtime.run, "model_slow", VOLUME, tmp_path, RunWish(cancelled=first_done.is_set))
        appears(tmp_path / "pid")
        (tmp_path / "second").mkdir()
        second = pool.submit(
            runtime.run, "model_pid", VOLUME, tmp_path / "second", RunWish(cancelled=second_done.is_set)
        )
        second_done.set()
        with pytest.raises(Cancelled):
            second.result(timeout=60)
        assert not (tmp_path / "second" / "pid").exists()
        assert not first.done()
        first_done.set()
        with pytest.raises(Cancelled):
            first.result(timeout=60)


def test_requests_of_several_threads_get_each_its_own_answer(runtime: Runtime, tmp_path: Path) -> None:
    volumes = [replace(VOLUME, series_instance_uid=f"1.2.{number}") for number in range(12)]
    with ThreadPoolExecutor(max_workers=6) as pool:
        outcomes = list(pool.map(lambda volume: runtime.run("model_pid", volume, tmp_path), volumes))
    assert [outcome.series_instance_uid for outcome in outcomes] == [v.series_instance_uid for v in volumes]


def test_a_model_that_takes_too_long_is_ended(folder: Path, tmp_path: Path) -> None:
    with Runtime("cpu", threads=1, folder=folder, run_limit_s=0.5) as short:
        with pytest.raises(Unavailable, match="too long"):
            short.run("model_deaf", VOLUME, tmp_path)
        assert ends(int((tmp_path / "pid").read_text()))


def test_a_model_that_is_not_installed_is_a_mistake_of_the_installation(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model"):
        runtime.run("model_absent", VOLUME, tmp_path)


def test_a_device_that_is_not_there_stops_the_start(folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so its absence cannot be seen")
    with Runtime("cuda", folder=folder) as absent, pytest.raises(ConfigurationError, match="cuda"):
        absent.start()


def test_a_model_that_cannot_be_loaded_stops_the_start_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "model_broken.toml").write_text(MANIFEST.replace('id = "ct_lung_density"', 'id = "model_broken"'))
    (tmp_path / "model_broken.py").write_text("import nonsense_that_nobody_has\n")
    with Runtime("cpu", folder=tmp_path) as broken:
        with pytest.raises(ConfigurationError, match=r"ModuleNotFoundError at model_broken\.py:1"):
            broken.start()
        assert broken.device == ""


def test_closing_ends_the_process_and_refuses_what_comes_after(folder: Path, tmp_path: Path) -> None:
    closing = Runtime("cpu", threads=1, folder=folder)
    pid = pid_of(closing, tmp_path)
    closing.close()
    assert not is_running(pid)
    with pytest.raises(Unavailable, match="shut down"):
        closing.run("model_pid", VOLUME, tmp_path)


def test_closing_ends_a_request_under_way(folder: Path, tmp_path: Path) -> None:
    closing = Runtime("cpu", threads=1, folder=folder)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(closing.run, "model_slow", VOLUME, tmp_path)
        appears(tmp_path / "pid")
        closing.close()
        with pytest.raises(Unavailable):
            running.result(timeout=60)


PARENT = """
import sys
from pathlib import Path
from cds.domain.imaging import VolumeRef
from models.runtime import Runtime

if __name__ == "__main__":
    folder, scratch, name = sys.argv[1:]
    volume = VolumeRef("absent.npy", "int16", (1, 1, 1), (1.0, 1.0, 1.0), (0.0,) * 16, "1.2.3", "CT", "axial")
    runtime = Runtime("cpu", threads=1, folder=Path(folder))  # kept: its process would end with it
    runtime.run(name, volume, Path(scratch))
    sys.stdin.read()
"""


@pytest.mark.parametrize("name", ["model_pid", "model_deaf"])
def test_the_process_ends_with_a_parent_that_was_killed_idle_or_at_work(
    folder: Path, tmp_path: Path, name: str
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    command = [sys.executable, str(script), str(folder), str(tmp_path), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
        pid = int(appears(tmp_path / "pid"))
        assert is_running(pid)
        parent.kill()
    assert ends(pid)

"""Metrics: shared by processes, and never a reason for the work to fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cds import metrics


def run(code: str, folder: Path | None, **variables: str) -> str:
    """In a process of its own, because prometheus_client decides at its import how it counts."""
    prelude = "from pathlib import Path\nfrom cds import metrics\n"
    prelude += f"metrics.prepare(Path({str(folder)!r}))\n" if folder else ""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS")}
    done = subprocess.run(
        [sys.executable, "-c", prelude + code], env=environment | variables, capture_output=True, text=True, check=True
    )
    return done.stdout


Metric = metrics.Counter | metrics.Histogram | metrics.Gauge
METRICS = [value for value in vars(metrics).values() if isinstance(value, Metric)]
SHOW = "print(metrics.render().decode())"


def test_what_several_processes_counted_is_added_up(tmp_path: Path) -> None:
    for _ in range(2):
        run("metrics.HL7_MESSAGES.inc(outcome='AA')", tmp_path)
    assert 'sightline_hl7_messages_total{outcome="AA"} 2.0' in run(SHOW, tmp_path)


def test_a_forked_process_counts_as_well(tmp_path: Path) -> None:
    code = "import os\nmetrics.WORK.inc(outcome='done')\n"
    code += "if os.fork() == 0:\n    metrics.WORK.inc(outcome='done'); os._exit(0)\nos.wait()\n"
    assert 'sightline_work_total{outcome="done"} 2.0' in run(code + SHOW, tmp_path)
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_one_process_alone_needs_no_folder() -> None:
    shown = run("metrics.HOOKS.inc(service='imaging-findings', client='ehr', outcome='cards')\n" + SHOW, None)
    assert 'sightline_hook_total{client="ehr",outcome="cards",service="imaging-findings"} 1.0' in shown


def test_a_duration_is_recorded_even_where_the_block_fails(tmp_path: Path) -> None:
    code = "try:\n    with metrics.STEP_SECONDS.time(step='infer'):\n        raise OSError\nexcept OSError:\n    pass\n"
    assert 'sightline_step_seconds_count{step="infer"} 1.0' in run(code + SHOW, tmp_path)


def test_of_what_several_processes_saw_the_newest_counts_and_nothing_is_added_up(tmp_path: Path) -> None:
    for count in (3, 2):
        run(f"metrics.HOLDS.set({count}, kind='quarantined'); metrics.FEEDS_SILENT.set({count - 1})", tmp_path)
    shown = run(SHOW, tmp_path)
    assert 'sightline_holds{kind="quarantined"} 2.0' in shown
    assert "sightline_feeds_silent 1.0" in shown
    assert "pid" not in shown


def test_where_the_disk_has_no_room_nothing_is_counted_and_nothing_fails(tmp_path: Path) -> None:
    code = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
    code += "metrics.HL7_MESSAGES.inc(outcome='AA')\nmetrics.HOOK_SECONDS.observe(1, service='s')\n"
    code += "metrics.HOLDS.set(1, kind='quarantined')\n"
    assert "sightline" not in run(code + SHOW, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_files_have_their_blocks_before_they_are_mapped(tmp_path: Path) -> None:
    run("metrics.HL7_MESSAGES.inc(outcome='AA')", tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_blocks * 512 >= file.stat().st_size > 0


def test_the_supervisor_forgets_what_an_earlier_run_counted(tmp_path: Path) -> None:
    run("metrics.HL7_MESSAGES.inc(outcome='AA')", tmp_path)
    run(f"metrics.prepare(Path({str(tmp_path)!r}), clear=True)", None)
    assert "sightline" not in run(SHOW, tmp_path)


def test_importing_the_metrics_does_not_import_the_library() -> None:
    assert run("import sys; print('prometheus_client' in sys.modules)", None) == "False\n"


@pytest.mark.parametrize("metric", METRICS)
def test_no_label_can_hold_a_patient(metric: Metric) -> None:
    closed = {"outcome", "step", "destination", "service", "route", "method", "status", "kind", "state"}
    closed |= {"source"}  # the name of a PACS or FHIR server in the settings
    closed |= {"client"}  # the name of an EHR in the settings
    closed |= {"pathway", "reason"}  # ids of pathways, codes of override reasons
    closed |= {"model", "device"}  # ids of manifests, names of torch devices
    assert set(metric.labels) <= closed
    assert metric.name.startswith("sightline_")


def test_threads_that_count_for_the_first_time_at_once_do_not_break_each_others_file(tmp_path: Path) -> None:
    code = (
        "import os, threading\n"
        "many, rounds, folder = 12, 40, os.environ['PROMETHEUS_MULTIPROC_DIR']\n"
        "seen = []\n"
        "def count():\n"
        "    for one in range(rounds):\n"
        "        start.wait()\n"
        "        assert metrics._reserve(f'kind{one}')\n"
        "        seen.append(Path(folder, f'kind{one}_{os.getpid()}.db').stat().st_size)\n"
        "start = threading.Barrier(many, timeout=10)\n"
        "threads = [threading.Thread(target=count) for _ in range(many)]\n"
        "[one.start() for one in threads], [one.join() for one in threads]\n"
        "print(len(seen), set(seen))\n"
    )
    assert run(code, tmp_path).split(maxsplit=1) == ["480", "{1048576}\n"]

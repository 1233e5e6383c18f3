"""The supervisor with real processes: small Python programs stand for the roles."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cds.errors import ConfigurationError
from cds.exclusive import Door, hold, holder, why_closed
from cds.settings import Settings, unknown_variables
from cds.supervisor import Patience, RoleSpec, Supervisor, standard_roles

QUICK = Patience(first_delay_s=0.02, longest_delay_s=0.05, tick_s=0.02)

#: Writes "name slot pid" on each start and "name drained" on SIGTERM; the rest is the role's own.
PRELUDE = """
import os, signal, subprocess, sys, time
from cds.lifeline import follow_lifeline, notify_ready
journal = open(os.environ["JOURNAL"], "a", buffering=1)
name = os.environ["SIGHTLINE_ROLE"]
def drain(*_):
    journal.write(f"{name} drained\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
follow_lifeline()
journal.write(f"{name} {os.environ['SIGHTLINE_SLOT']} {os.getpid()}\\n")
"""
SERVES = "notify_ready()\nwhile True: time.sleep(0.05)"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
HAS_A_HELPER = (
    "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "journal.write(f'helper 0 {helper.pid}\\n')\n" + SERVES
)

#: A supervisor as a program of its own, to be sent signals.
PROGRAM = """
import json, sys
from cds.errors import ConfigurationError
from cds.settings import load
from cds.supervisor import Patience, RoleSpec, Supervisor
roles = [RoleSpec(name, (sys.executable, "-c", code), {}, slot) for name, slot, code in json.loads(sys.argv[1])]
patience = Patience(first_delay_s=0.02, longest_delay_s=0.05, tick_s=0.02)
try:
    sys.exit(Supervisor(load(), roles, patience=patience).run())
except ConfigurationError as error:
    sys.exit(str(error))
"""


class Journal:
    """What the roles wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def pids(self, name: str) -> list[int]:
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [int(words[2]) for words in lines if words[0] == name and len(words) == 3]

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(condition: Callable[[], object], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """A zombie that waits for the init process has ended as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    journal = Journal(tmp_path / "journal")
    monkeypatch.setenv("JOURNAL", str(journal.path))
    return journal


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))  # so that it is put back afterwards
    return Settings(
        data_dir=tmp_path / "data",
        http_port=free_port(),
        ui_port=free_port(),
        hl7_port=free_port(),
        dicom_port=free_port(),
        drain_s=2,
    )


def role(name: str, code: str, slot: int = 0) -> RoleSpec:
    return RoleSpec(name, (sys.executable, "-c", PRELUDE + code), slot=slot)


@contextmanager
def running(supervisor: Supervisor) -> Iterator[list[int]]:
    """Runs it in a thread; the list holds the exit code once it has ended."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(supervisor.run()))
    thread.start()
    try:
        yield codes
    finally:
        supervisor.stop()
        thread.join()


@contextmanager
def program(settings: Settings, *roles: tuple[str, int, str]) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in its own process."""
    environment = os.environ | {
        "CDS_DATA_DIR": str(settings.data_dir),
        "CDS_HTTP_PORT": str(settings.http_port),
        "CDS_UI_PORT": str(settings.ui_port),
        "CDS_HL7_PORT": str(settings.hl7_port),
        "CDS_DICOM_PORT": str(settings.dicom_port),
        "CDS_DRAIN_S": str(settings.drain_s),
    }
    specs = json.dumps([(name, slot, PRELUDE + code) for name, slot, code in roles])
    command = [sys.executable, "-c", PROGRAM, specs]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_role_ended_by_kill_9_comes_back_under_its_name_and_slot(settings: Settings, journal: Journal) -> None:
    with running(Supervisor(settings, [role("worker-3", SERVES, slot=3)], patience=QUICK)):
        wait_until(lambda: journal.pids("worker-3"))
        os.kill(journal.pids("worker-3")[0], signal.SIGKILL)
        wait_until(lambda: len(journal.pids("worker-3")) == 2)
    starts = [line for line in journal.lines() if "drained" not in line]
    assert [line.split()[:2] for line in starts] == [["worker-3", "3"], ["worker-3", "3"]]


def test_what_a_crashed_role_left_behind_is_ended_before_its_restart(settings: Settings, journal: Journal) -> None:
    with running(Supervisor(settings, [role("web", HAS_A_HELPER)], patience=QUICK)):
        wait_until(lambda: journal.pids("helper"))
        helper = journal.pids("helper")[0]
        os.kill(journal.pids("web")[0], signal.SIGKILL)
        wait_until(lambda: len(journal.pids("web")) == 2)
        assert not is_alive(helper)


def test_a_role_that_cannot_stay_up_ends_the_server_which_says_who_and_why(
    settings: Settings, journal: Journal
) -> None:
    with program(settings, ("hl7", 0, SERVES), ("worker-0", 0, "sys.exit(7)")) as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 70
    assert "Sightline ends: its role worker-0 cannot stay up (last end: exit code 7)." in errors.splitlines()
    assert "hl7 drained" in journal.lines()
    assert len(journal.pids("worker-0")) == Patience().failures


def test_a_role_that_does_not_exist_ends_the_server(settings: Settings, tmp_path: Path) -> None:
    absent = RoleSpec("web", (str(tmp_path / "absent"),))
    assert Supervisor(settings, [absent], patience=QUICK).run() == 70


def test_a_role_that_dies_after_it_was_ready_is_given_more_patience(settings: Settings, journal: Journal) -> None:
    patience = Patience(first_delay_s=0.01, longest_delay_s=0.02, tick_s=0.01, failures=2, exits=4)
    supervisor = Supervisor(settings, [role("worker-0", "notify_ready(); sys.exit(1)")], patience=patience)
    assert supervisor.run() == 70
    assert len(journal.pids("worker-0")) == 4


def test_a_role_that_stays_up_long_enough_starts_with_a_clean_slate(settings: Settings, journal: Journal) -> None:
    patience = Patience(first_delay_s=0.01, tick_s=0.01, failures=2, exits=2, stable_s=0.0)
    with running(Supervisor(settings, [role("worker-0", "sys.exit(1)")], patience=patience)) as codes:
        wait_until(lambda: len(journal.pids("worker-0")) == 4)
        assert codes == []


def test_no_role_survives_a_supervisor_ended_by_kill_9(settings: Settings, journal: Journal) -> None:
    short = settings.model_copy(update={"drain_s": 1.0})
    with program(short, ("web", 0, HAS_A_HELPER), ("worker-0", 0, STUBBORN)) as process:
        wait_until(lambda: journal.pids("helper") and journal.pids("worker-0"))
        wait_until(lambda: holder(settings.data_dir))
        process.kill()
        killed_at = time.monotonic()
        roles = journal.pids("web") + journal.pids("worker-0")
        wait_until(lambda: not any(is_alive(pid) for pid in roles), timeout_s=3)
    assert "web drained" in journal.lines()
    assert time.monotonic() - killed_at < 3
    os.kill(journal.pids("helper")[0], signal.SIGKILL)


def test_the_folder_stays_locked_while_a_role_of_a_killed_server_drains(settings: Settings, journal: Journal) -> None:
    with program(settings, ("worker-0", 0, STUBBORN)) as process:
        wait_until(lambda: journal.pids("worker-0"))
        process.kill()
        process.wait()
        assert holder(settings.data_dir) == process.pid
        with pytest.raises(ConfigurationError, match=f"pid {process.pid}"), hold(settings.data_dir):
            pass
        with hold(settings.data_dir, patience_s=10):
            assert not is_alive(journal.pids("worker-0")[0])


def test_sigterm_lets_each_role_finish_and_ends_with_0(settings: Settings, journal: Journal) -> None:
    with program(settings, ("web", 0, SERVES), ("hl7", 0, SERVES)) as process:
        wait_until(lambda: journal.pids("web") and journal.pids("hl7"))
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert {"web drained", "hl7 drained"} <= set(journal.lines())


def test_a_role_that_ignores_sigterm_is_ended_after_the_drain(settings: Settings, journal: Journal) -> None:
    short = settings.model_copy(update={"drain_s": 0.5})
    with running(Supervisor(short, [role("worker-0", STUBBORN)], patience=QUICK)) as codes:
        wait_until(lambda: journal.pids("worker-0"))
    assert codes == [0]
    assert not is_alive(journal.pids("worker-0")[0])


def test_a_second_sigint_ends_all_at_once(settings: Settings, journal: Journal) -> None:
    long = settings.model_copy(update={"drain_s": 60.0})
    with program(long, ("worker-0", 0, STUBBORN)) as process:
        wait_until(lambda: journal.pids("worker-0"))
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 130
    assert not is_alive(journal.pids("worker-0")[0])


def test_ctrl_c_in_the_terminal_does_not_reach_the_roles(settings: Settings, journal: Journal) -> None:
    with running(Supervisor(settings, [role("web", SERVES)], patience=QUICK)):
        wait_until(lambda: journal.pids("web"))
        web = journal.pids("web")[0]
        assert os.getsid(web) == os.getpgid(web) == web


def test_a_second_server_on_the_same_folder_names_the_first(settings: Settings, journal: Journal) -> None:
    ports = {name: free_port() for name in ("http_port", "ui_port", "hl7_port", "dicom_port")}
    other = settings.model_copy(update=ports)
    with running(Supervisor(settings, [role("web", SERVES)], patience=QUICK)):
        wait_until(lambda: journal.pids("web"))
        with program(other, ("web", 0, SERVES)) as process:
            _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert f"another Sightline is using this data folder (pid {os.getpid()})" in errors
    assert len(journal.pids("web")) == 1


def test_taken_ports_are_all_named_with_their_variables_before_anything_starts(
    settings: Settings, journal: Journal
) -> None:
    with socket.socket() as web, socket.socket() as hl7:
        web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for listener, port in ((web, settings.http_port), (hl7, settings.hl7_port)):
            listener.bind(("127.0.0.1", port))
            listener.listen()
        with pytest.raises(ConfigurationError) as refused:
            Supervisor(settings, [role("web", SERVES)]).run()
    assert [mistake.split(" is in use")[0] for mistake in refused.value.mistakes] == [
        f"CDS_HTTP_PORT: port {settings.http_port} on 127.0.0.1",
        f"CDS_HL7_PORT: port {settings.hl7_port} on 127.0.0.1",
    ]
    assert journal.lines() == []


def test_a_port_that_was_just_left_is_free() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            listener.accept()[0].close()  # the server closes first, so its side stays in TIME_WAIT
            assert client.recv(1) == b""
    assert why_closed(Door("CDS_HTTP_PORT", "127.0.0.1", port)) == ""


def test_an_address_of_another_machine_is_refused_in_words() -> None:
    assert "this machine does not have that address" in why_closed(Door("CDS_HL7_PORT", "192.0.2.1", free_port()))


def test_everyone_is_told_once_when_all_roles_are_ready(settings: Settings, journal: Journal, tmp_path: Path) -> None:
    gate, told = tmp_path / "gate", list[float]()
    late = f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)\n" + SERVES
    roles = [role("web", SERVES), role("worker-0", late)]
    with running(Supervisor(settings, roles, on_ready=lambda: told.append(time.monotonic()), patience=QUICK)):
        wait_until(lambda: journal.pids("web") and journal.pids("worker-0"))
        time.sleep(0.2)
        assert told == []
        gate.touch()
        wait_until(lambda: told)
        os.kill(journal.pids("web")[0], signal.SIGKILL)
        wait_until(lambda: len(journal.pids("web")) == 2)
        time.sleep(0.2)
    assert len(told) == 1


def test_what_must_come_first_is_done_while_the_folder_is_held_and_nothing_runs(
    settings: Settings, journal: Journal
) -> None:
    seen = list[object]()
    first = lambda: seen.append((holder(settings.data_dir), journal.lines()))  # noqa: E731 - two values, one look
    with running(Supervisor(settings, [role("web", SERVES)], before_start=first, patience=QUICK)):
        wait_until(lambda: journal.pids("web"))
    assert seen == [(os.getpid(), [])]


def test_nothing_starts_where_what_must_come_first_fails(settings: Settings, journal: Journal) -> None:
    def fails() -> None:
        raise ConfigurationError(["the tables are newer than this program"])

    with pytest.raises(ConfigurationError, match="newer"):
        Supervisor(settings, [role("web", SERVES)], before_start=fails).run()
    assert journal.lines() == []
    assert holder(settings.data_dir) is None


def test_the_supervisors_own_variables_are_no_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIFELINE_FD", "READY_FD", "DRAIN_S", "ROLE", "SLOT"):
        monkeypatch.setenv(f"SIGHTLINE_{name}", "1")
    assert unknown_variables() == []


def test_the_server_has_one_role_for_each_wire_and_a_worker_for_each_slot(settings: Settings) -> None:
    roles = standard_roles(settings.model_copy(update={"workers": 2, "worker_slot": 4}), {"SITE": "x"})
    assert [(spec.name, spec.slot) for spec in roles] == [
        ("web", 0),
        ("ui", 0),
        ("worker-4", 4),
        ("worker-5", 5),
        ("hl7", 0),
        ("intake", 0),
        ("dicom", 0),
    ]
    assert all(spec.env["SITE"] == "x" for spec in roles)
    assert [spec.env.get("CDS_WORKER_SLOT") for spec in roles] == [None, None, "4", "5", None, None, None]

"""The drop folder over real files: complete files only, each once, never overwritten, and again after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.hl7.batch import read_batch
from adapters.hl7.folder import DropFolder
from adapters.hl7.load import Loader, file_ref
from cds import bootstrap, logs
from cds.bootstrap.hl7_load import watch_folder
from cds.clock import SystemClock
from cds.errors import SightlineError, Unavailable
from cds.settings import Settings
from cds.store.engine import open_messages
from cds.store.message_log import SqlMessageLog
from tests.contract import hl7_dropping
from tests.contract.hl7_wire import ThreadLog, order, wire

BHS = b"BHS|^~\\&|RIS|CLINIC|SIGHTLINE|CLINIC|20261101083000||||B-1\r"
NOBODY = 65534
#: No patient: refused.
WRONG = order(9).replace(b"4711", b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "drop"
    found.mkdir(mode=0o770)
    return found


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was logged so far, whatever level an earlier test asked for."""
    logs.configure("hl7", "info")
    return lambda: capsys.readouterr().err


@pytest.fixture
def log() -> ThreadLog:
    return ThreadLog()


def drop_folder(folder: Path, log: ThreadLog, settled_s: float = 0.0, max_bytes: int = 1 << 20) -> DropFolder:
    clock = SystemClock()
    return DropFolder(folder, Loader(log, clock, {}, max_bytes=max_bytes), clock, settled_s=settled_s)


def sweep(folder: Path, log: ThreadLog, max_bytes: int = 1 << 20) -> int:
    return drop_folder(folder, log, max_bytes=max_bytes).sweep(threading.Event())


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_file_is_loaded_and_kept_with_its_answers(folder: Path, log: ThreadLog) -> None:
    (folder / "a.hl7").write_bytes(order(1) + order(2))
    assert sweep(folder, log) == 1
    assert [message.raw for message in log.committed] == [order(1), order(2)]
    assert {message.peer for message in log.committed} == {f"file:{file_ref('a.hl7')}"}
    assert {message.answered for message in log.committed} == {"AA"}
    assert names(folder) == ["done/a.hl7", "done/a.hl7.ack"]
    assert (folder / "done/a.hl7").read_bytes() == order(1) + order(2)
    answers = (folder / "done/a.hl7.ack").read_bytes().split(b"\rMSA|")
    assert [answer[:8] for answer in answers[1:]] == [b"AA|MSG-1", b"AA|MSG-2"]


def test_a_batch_is_answered_by_a_batch(folder: Path, log: ThreadLog) -> None:
    (folder / "a.hl7").write_bytes(order(1) + BHS + order(2) + order(3) + b"BTS|2\r" + order(4))
    sweep(folder, log)
    answer = (folder / "done/a.hl7.ack").read_bytes()
    assert answer.count(b"MSA|AA|") == 4
    start, end = answer.index(b"BHS|"), answer.index(b"BTS|2\r") + 6
    batch = read_batch(answer[start:end])
    assert batch is not None
    assert batch.header is not None
    assert batch.header.field(12) == "B-1"
    assert b"MSG-1" in answer[:start]
    assert b"MSG-4" in answer[end:]


def test_nothing_of_a_file_with_a_wrong_count_is_loaded(folder: Path, log: ThreadLog) -> None:
    (folder / "a.hl7").write_bytes(BHS + order(1) + b"BTS|2\r")
    (folder / "b.hl7").write_bytes(order(2))
    assert sweep(folder, log) == 2
    assert [message.raw for message in log.committed] == [order(2)]
    assert (folder / "failed/a.hl7").read_bytes() == BHS + order(1) + b"BTS|2\r"
    assert "BTS-1" in (folder / "failed/a.hl7.error.txt").read_text()
    assert b"\rMSA|AR|B-1|" in (folder / "failed/a.hl7.ack").read_bytes()


def test_a_refused_message_makes_the_file_fail_and_says_which_it_was(folder: Path, log: ThreadLog) -> None:
    (folder / "a.hl7").write_bytes(order(1) + WRONG + order(2))
    sweep(folder, log)
    assert [bool(message.refusal) for message in log.committed] == [False, True, False]
    assert names(folder) == ["failed/a.hl7", "failed/a.hl7.ack", "failed/a.hl7.error.txt"]
    text = (folder / "failed/a.hl7.error.txt").read_text()
    assert "1 of 3 messages was refused, the others were loaded:\n" in text
    assert "message 2: " in text
    assert "Petra" not in text
    assert (folder / "failed/a.hl7.ack").read_bytes().count(b"MSA|AA") == 2


def test_a_file_of_refused_messages_alone_says_so(folder: Path, log: ThreadLog) -> None:
    (folder / "one.hl7").write_bytes(WRONG)
    (folder / "two.hl7").write_bytes(WRONG + WRONG.replace(b"MSG-", b"MSG-1"))
    sweep(folder, log)
    assert (folder / "failed/one.hl7.error.txt").read_text().startswith("the only message was refused:\nmessage 1: ")
    assert (folder / "failed/two.hl7.error.txt").read_text().startswith("all 2 messages were refused:\nmessage 1: ")


def test_a_message_over_the_cap_is_refused_and_the_others_are_loaded(folder: Path, log: ThreadLog) -> None:
    long = order(2) + b"NTE|1||" + b"x" * 5000 + b"\r"
    (folder / "a.hl7").write_bytes(order(1) + long + order(3))
    sweep(folder, log, max_bytes=2000)
    assert [message.raw for message in log.committed] == [order(1), order(3)]
    assert b"MSA|AR|MSG-2|" in (folder / "failed/a.hl7.ack").read_bytes()


def test_a_file_is_taken_only_once_nobody_writes_it_any_more(folder: Path, log: ThreadLog) -> None:
    watched = drop_folder(folder, log, settled_s=0.3)
    stopped = threading.Event()
    (folder / "a.hl7").write_bytes(order(1))
    began = time.monotonic()
    while time.monotonic() < began + 0.6:
        with (folder / "a.hl7").open("ab") as file:
            file.write(b"\r")
        assert watched.sweep(stopped) == 0
        time.sleep(0.05)
    until(lambda: watched.sweep(stopped) == 1)
    assert len(log.committed) == 1


@pytest.mark.parametrize("name", [".a.hl7", "a.hl7.tmp", "a.PART", "a.FilePart", "sub/a.hl7", "done/a.hl7"])
def test_unfinished_names_and_other_folders_are_left_alone(name: str, folder: Path, log: ThreadLog) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(order())
    assert sweep(folder, log) == 0
    assert names(folder) == [name]


def test_a_symbolic_link_is_not_followed_and_told_once(
    folder: Path, log: ThreadLog, tmp_path: Path, told: Callable[[], str]
) -> None:
    (tmp_path / "secret.hl7").write_bytes(order())
    (folder / "Petra Probe.hl7").symlink_to(tmp_path / "secret.hl7")
    watched = drop_folder(folder, log)
    assert watched.sweep(threading.Event()) + watched.sweep(threading.Event()) == 0
    assert log.committed == []
    lines = told()
    assert lines.count("a symbolic link in the HL7 folder is not followed") == 1
    assert "Petra" not in lines
    assert file_ref("Petra Probe.hl7") in lines


def test_an_empty_file_waits_for_its_content(folder: Path, log: ThreadLog) -> None:
    (folder / "a.hl7").touch()
    assert sweep(folder, log) == 0
    (folder / "a.hl7").write_bytes(order())
    assert sweep(folder, log) == 1


def test_the_same_name_again_overwrites_nothing(folder: Path, log: ThreadLog) -> None:
    for number in range(3):
        (folder / "a.hl7").write_bytes(order(number))
        assert sweep(folder, log) == 1
    found = [(folder / "done" / name).read_bytes() for name in ("a.hl7", "a.1.hl7", "a.2.hl7")]
    assert found == [order(0), order(1), order(2)]
    assert b"MSG-2" in (folder / "done/a.2.hl7.ack").read_bytes()
    (folder / "done/a.3.hl7").write_bytes(b"of somebody else")
    (folder / "a.hl7").write_bytes(order(4))
    sweep(folder, log)
    assert (folder / "done/a.3.hl7").read_bytes() == b"of somebody else"
    assert (folder / "done/a.4.hl7").read_bytes() == order(4)


def test_a_very_long_name_and_one_that_is_no_text_are_taken(folder: Path, log: ThreadLog) -> None:
    (folder / ("n" * 251 + ".hl7")).write_bytes(order(1))
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.hl7")).write_bytes(order(2))
    assert sweep(folder, log) == 2
    assert len(os.listdir(folder / "done")) == 4


def test_files_are_loaded_in_the_order_in_which_they_came(folder: Path, log: ThreadLog) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        (folder / name).write_bytes(order(number))
        os.utime(folder / name, (1000 + number, 1000 + number))
    sweep(folder, log)
    assert [message.raw for message in log.committed] == [order(0), order(1), order(2)]


def test_what_a_crash_left_is_loaded_first(folder: Path, log: ThreadLog) -> None:
    (folder / "working").mkdir()
    (folder / "working" / ("0" * 16 + "~left.hl7")).write_bytes(order(1))
    (folder / "new.hl7").write_bytes(order(2))
    os.utime(folder / "new.hl7", (1000, 1000))
    assert sweep(folder, log) == 2
    assert [message.raw for message in log.committed] == [order(1), order(2)]
    assert "done/left.hl7" in names(folder)


def test_while_the_inbox_cannot_be_written_files_wait_in_their_order(folder: Path, log: ThreadLog) -> None:
    log.error = Unavailable("the database is away")
    (folder / "a.hl7").write_bytes(order(1))
    (folder / "b.hl7").write_bytes(order(2))
    watched = drop_folder(folder, log)
    assert watched.sweep(threading.Event()) == 0
    log.error = None
    assert watched.sweep(threading.Event()) == 0, "it asks again at once"
    assert sweep(folder, log) == 2
    assert [message.raw for message in log.committed] == [order(1), order(2)]


def test_while_the_inbox_is_full_nothing_is_taken(folder: Path, log: ThreadLog) -> None:
    full = True
    clock = SystemClock()
    watched = DropFolder(folder, Loader(log, clock, {}, max_bytes=1 << 20), clock, settled_s=0, crowded=lambda: full)
    (folder / "a.hl7").write_bytes(order())
    assert watched.sweep(threading.Event()) == 0
    full = False
    assert watched.sweep(threading.Event()) == 1


def test_two_servers_on_one_folder_take_each_file_once(folder: Path, log: ThreadLog) -> None:
    for number in range(120):
        (folder / f"{number}.hl7").write_bytes(order(number))
    stopped = threading.Event()
    threads = [
        threading.Thread(target=drop_folder(folder, log).watch, args=(stopped,), kwargs={"every_s": 0.01})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(list((folder / "done").glob("*.hl7"))) == 120)
    stopped.set()
    for thread in threads:
        thread.join(10)
    assert sorted(message.raw for message in log.committed) == sorted(order(number) for number in range(120))
    assert os.listdir(folder / "working") == []


def test_a_file_that_another_server_loads_is_left_to_it(folder: Path, log: ThreadLog) -> None:
    log.open.clear()
    (folder / "a.hl7").write_bytes(order())
    first = threading.Thread(target=sweep, args=(folder, log))
    first.start()
    assert log.waiting.acquire(timeout=10)
    assert sweep(folder, log) == 0
    log.open.set()
    first.join(10)
    assert len(log.committed) == 1


def test_a_file_is_loaded_from_a_copy_where_it_is_large(folder: Path, log: ThreadLog) -> None:
    note = b"NTE|1||" + b"x" * 500_000 + b"\r"
    messages = [order(number) + note for number in range(40)]
    (folder / "a.hl7").write_bytes(b"".join(messages))
    assert sweep(folder, log) == 1
    assert [message.raw for message in log.committed] == messages
    assert names(folder) == ["done/a.hl7", "done/a.hl7.ack"]


def test_who_may_use_the_folder_may_read_the_answers(folder: Path, log: ThreadLog) -> None:
    folder.chmod(0o770)
    before = os.umask(0o077)
    try:
        (folder / "a.hl7").write_bytes(order())
        sweep(folder, log)
    finally:
        os.umask(before)
    assert (folder / "done").stat().st_mode & 0o777 == 0o770
    assert (folder / "done/a.hl7.ack").stat().st_mode & 0o777 == 0o660


@contextmanager
def somebody_else() -> Iterator[None]:
    """Without the rights of root, whom no file is closed to."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_fails_with_the_reason(log: ThreadLog) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        (folder / "a.hl7").write_bytes(order())
        (folder / "a.hl7").chmod(0)
        with somebody_else():
            assert sweep(folder, log) == 1
            assert "may not read" in (folder / "failed/a.hl7.error.txt").read_text()
    assert log.committed == []


def test_a_folder_that_is_not_there_is_told_once_and_used_when_it_is(
    tmp_path: Path, log: ThreadLog, told: Callable[[], str]
) -> None:
    folder, stopped = tmp_path / "later", threading.Event()
    thread = threading.Thread(target=drop_folder(folder, log).watch, args=(stopped,), kwargs={"every_s": 0.01})
    thread.start()
    time.sleep(0.2)
    folder.mkdir()
    (folder / "a.hl7").write_bytes(wire(order()))
    until(lambda: len(log.committed) == 1)
    stopped.set()
    thread.join(10)
    assert told().count("the HL7 folder cannot be used") == 1


def test_a_role_that_stops_leaves_the_file_for_the_next_start(folder: Path, log: ThreadLog) -> None:
    messages = [order(number) for number in range(1000)]
    (folder / "a.hl7").write_bytes(b"".join(messages))
    stopped = threading.Event()
    log.open.clear()
    thread = threading.Thread(target=drop_folder(folder, log).watch, args=(stopped,))
    thread.start()
    assert log.waiting.acquire(timeout=10)
    stopped.set()
    log.open.set()
    thread.join(10)
    assert 0 < len(log.committed) < 1000
    log.committed.clear()
    assert sweep(folder, log) == 1
    assert [message.raw for message in log.committed] == messages


def test_a_watcher_killed_while_it_loads_loads_everything_exactly_once(tmp_path: Path) -> None:
    folder, data_dir, count = tmp_path / "drop", tmp_path / "data", 2000
    folder.mkdir()
    bootstrap.upgrade(Settings(data_dir=data_dir))
    (folder / "a.hl7").write_bytes(b"".join(order(number) for number in range(count)))
    log = SqlMessageLog(open_messages(data_dir, ""))
    with _watching(folder, data_dir) as process:
        until(lambda: log.newest_id() >= 512)
        process.send_signal(signal.SIGKILL)
    assert not (folder / "done/a.hl7").exists()
    with _watching(folder, data_dir) as process:
        until((folder / "done/a.hl7").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    kept = [message.message.raw for message in log.after(0, 2 * count)]
    assert kept == [order(number) for number in range(count)]
    assert (folder / "done/a.hl7.ack").read_bytes().count(b"MSA|AA|") == count
    assert names(folder) == ["done/a.hl7", "done/a.hl7.ack"]


@contextmanager
def _watching(folder: Path, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "CDS_DATA_DIR": str(data_dir), "CDS_HL7_FOLDER": str(folder), "PYTHONPATH": root}
    process = subprocess.Popen(
        [sys.executable, hl7_dropping.__file__], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_site_without_a_folder_goes_on_without_one(tmp_path: Path) -> None:
    stopped = threading.Event()
    watch_folder(Settings(data_dir=tmp_path), stopped)
    assert not stopped.is_set()


def test_an_installation_whose_inbox_cannot_be_used_stops_the_role(tmp_path: Path) -> None:
    stopped = threading.Event()
    with pytest.raises(SightlineError):
        watch_folder(Settings(data_dir=tmp_path, hl7_folder=tmp_path), stopped)
    assert stopped.is_set()

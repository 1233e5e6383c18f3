"""`cds hl7 load`: the messages of files in the inbox, as if they had come over MLLP."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.hl7.layout import layout
from adapters.hl7.load import Loader, Outcome, Unlogged, acknowledged
from adapters.hl7.mapped import contents
from cds import bootstrap, logs
from cds.cli import app
from cds.clock import SystemClock
from cds.domain.message import LoggedMessage
from cds.errors import Unavailable
from cds.settings import Settings
from cds.store.engine import open_messages
from cds.store.heartbeats import Heartbeat
from cds.store.message_log import SqlMessageLog
from tests.contract.hl7_corpus import samples
from tests.contract.hl7_wire import Peer, ThreadLog, order, receiving, wire

BHS = b"BHS|^~\\&|RIS|CLINIC|SIGHTLINE|CLINIC|20261101083000||||B-1\r"
WRONG = order(9).replace(b"4711", b"")

Cds = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A fresh installation, that the environment names."""
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    found = Settings()
    bootstrap.upgrade(found)
    yield found
    logs.configure("", "info")  # the command logs errors alone


@pytest.fixture
def load(settings: Settings, tmp_path: Path) -> Cds:
    """Run `cds hl7 load` on files of these contents, named 1.hl7 and so on."""

    def run(*contents: bytes, options: tuple[str, ...] = ()) -> Result:
        files = [tmp_path / f"{number}.hl7" for number in range(1, len(contents) + 1)]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        return CliRunner().invoke(app, ["hl7", "load", *map(str, files), *options], catch_exceptions=False)

    return run


def kept(settings: Settings) -> list[LoggedMessage]:
    return list(SqlMessageLog(open_messages(settings.data_dir, "")).after(0, 10_000))


def test_messages_are_in_the_inbox_and_their_source_names_no_file(load: Cds, settings: Settings) -> None:
    result = load(order(1) + order(2), wire(order(3)))
    assert result.exit_code == 0, result.output
    found = [logged.message for logged in kept(settings)]
    assert [message.raw for message in found] == [order(1), order(2), order(3)]
    assert [message.answered for message in found] == ["AA", "AA", "AA"]
    assert all(re.fullmatch(r"file:[0-9a-f]{12}", message.peer) for message in found)
    assert "1.hl7: 2 messages, 2 new, 0 were there already, 0 refused" in result.output
    assert "2.hl7: 1 message, 1 new" in result.output


def test_what_is_there_already_is_recognised(load: Cds, settings: Settings) -> None:
    load(order(1))
    result = load(order(1) + order(2))
    assert result.exit_code == 0
    assert "1 new, 1 was there already, 0 refused" in result.output
    again = load(order(1))
    assert "1 message, 0 new, 1 was there already, 0 refused" in again.output
    assert "intake" not in again.output, "nothing waits to be applied"
    assert len(kept(settings)) == 2


def test_a_refused_message_is_kept_and_told_with_its_place(load: Cds, settings: Settings) -> None:
    result = load(order(1) + WRONG)
    assert result.exit_code == 1
    assert "1 new, 0 were there already, 1 refused" in result.output
    assert "message 2 (MSG-9): AE want" in result.output
    assert "Petra" not in result.output
    assert [bool(logged.message.refusal) for logged in kept(settings)] == [False, True]
    assert "0 new, 1 was there already, 1 refused" in load(order(1) + WRONG).output


def test_a_file_with_a_wrong_count_is_refused_whole_and_the_others_are_loaded(load: Cds, settings: Settings) -> None:
    result = load(BHS + order(1) + b"BTS|2\r", order(2))
    assert result.exit_code == 1
    assert "1.hl7: refused, nothing of it was loaded" in result.output
    assert "want in BTS-1 the number of messages in the batch, which is 1" in result.output
    assert [logged.message.raw for logged in kept(settings)] == [order(2)]


def test_a_trial_says_the_same_and_keeps_nothing(load: Cds, settings: Settings) -> None:
    result = load(order(1) + WRONG, options=("--dry-run",))
    assert result.exit_code == 1
    assert "1 would be accepted, 1 refused" in result.output
    assert kept(settings) == []
    assert bootstrap.stores(settings).audit.search() == []


def test_who_loaded_what_is_in_the_audit_log_without_the_name_of_the_file(load: Cds, settings: Settings) -> None:
    load(order(1), options=("--by", "Inge Engineer"))
    (event,) = bootstrap.stores(settings).audit.search()
    assert (event.actor, event.action) == ("Inge Engineer", "HL7 v2 file loaded")
    assert "1.hl7" not in " ".join(event.detail)
    assert "1 messages, 0 refused, 0 duplicates" in event.detail


def test_it_says_who_will_apply_them(load: Cds, settings: Settings) -> None:
    assert "No intake role is running" in load(order(1)).output
    heartbeat = Heartbeat(bootstrap.stores(settings).database, SystemClock(), "intake")
    heartbeat.start()
    try:
        assert "The intake role applies them" in load(order(2)).output
    finally:
        heartbeat.stop()


def test_groups_are_one_transaction_each_and_keep_the_order() -> None:
    log = Grouped()
    blocks = [order(number) if number % 10 else WRONG for number in range(600)]
    outcomes = _load(log, b"".join(blocks))
    assert log.groups == [256, 256, 88]
    assert [message.raw for message in log.committed] == blocks
    assert [outcome.number for outcome in outcomes] == list(range(1, 601))


def test_a_group_has_not_many_more_bytes_than_one_message_may_have() -> None:
    log = Grouped()
    block = order() + b"NTE|1||" + b"x" * 10_000 + b"\r"
    _load(log, block * 40, max_bytes=100_000)
    assert max(log.groups) == 10
    assert sum(log.groups) == 40


def test_what_was_committed_before_the_inbox_failed_stays() -> None:
    log = Grouped(last=256)
    with pytest.raises(Unavailable):
        _load(log, b"".join(order(number) for number in range(300)))
    assert len(log.committed) == 256


def test_the_file_is_treated_as_the_wire_treats_it(reference_dir: Path) -> None:
    """Every reference message once by a file and once by a socket: the log and the answers say the same."""
    blocks = [s.block for s in samples(reference_dir) if b"\x0b" not in s.block and b"\x1c" not in s.block][::3]
    by_file = ThreadLog()
    outcomes = _load(by_file, b"".join(map(wire, blocks)))
    with receiving() as (running, by_wire), Peer(running.port) as peer:
        for block, outcome in zip(blocks, outcomes, strict=True):
            peer.send(wire(block))
            if outcome.answer:
                assert peer.answer()[1][1] == outcome.code
    for filed, wired in zip(by_file.committed, by_wire.committed, strict=True):
        same = ("raw", "sha256", "control_id", "message_type", "answered", "refusal", "wants_result")
        assert [getattr(filed, name) for name in same] == [getattr(wired, name) for name in same]


def test_the_answers_to_a_file_are_in_the_order_of_its_messages() -> None:
    data = order(1) + BHS + order(2) + b"BTS|1\r" + order(3) + BHS + b"BTS|0\r" + order(4)
    found = layout(data)
    outcomes = Loader(ThreadLog(), SystemClock(), {}, max_bytes=1 << 20).load(data, found.spans, "a")
    answer = b"".join(acknowledged(found, outcomes, SystemClock()))
    assert [line[:3] for line in answer.split(b"\r") if line[:3] != b"MSH"] == [
        b"MSA", b"BHS", b"MSA", b"BTS", b"MSA", b"BHS", b"BTS", b"MSA", b""
    ]  # fmt: skip
    assert re.findall(rb"MSA\|AA\|MSG-(\d)", answer) == [b"1", b"2", b"3", b"4"]


def test_a_large_file_is_never_in_memory_whole(tmp_path: Path) -> None:
    file = tmp_path / "large.hl7"
    note = b"NTE|1||" + b"x" * 500_000 + b"\r"
    file.write_bytes(b"".join(order(number) + note for number in range(100)))
    loader = Loader(Unlogged(), SystemClock(), {}, max_bytes=1 << 20)
    tracemalloc.start()
    try:
        with file.open("rb") as opened, contents(opened, file.stat().st_size, tmp_path) as data:
            count = sum(not outcome.refusal for outcome in loader.load(data, layout(data).spans, file.name))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 100
    assert peak < file.stat().st_size / 4


class Grouped(ThreadLog):
    """A log that notes how many came together, and takes no more than `last`."""

    def __init__(self, last: int = 1_000_000) -> None:
        super().__init__()
        self.groups: list[int] = []
        self._last = last

    def append(self, messages: object) -> list[LoggedMessage]:
        """See ThreadLog."""
        assert isinstance(messages, list)
        if len(self.committed) + len(messages) > self._last:
            raise Unavailable("the disk is full")
        self.groups.append(len(messages))
        return super().append(messages)


def _load(log: ThreadLog, data: bytes, max_bytes: int = 1 << 20) -> list[Outcome]:
    return list(Loader(log, SystemClock(), {}, max_bytes=max_bytes).load(data, layout(data).spans, "a.hl7"))

"""Original and enhanced acknowledgment on real sockets: who is told what, when, and over which connection."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.hl7 import ack
from adapters.hl7.commit import GroupCommit
from adapters.hl7.receive import Receiver
from cds.clock import SystemClock
from cds.destinations import MllpDestination, Sender
from cds.domain.message import MessageState
from cds.errors import Unavailable
from cds.store.message_log import SqlMessageLog
from tests import databases
from tests.contract.hl7_wire import Peer, Served, fields, order, receiving, served, wire

_REPLY_TO = MllpDestination(host="127.0.0.1", port=9)


def _asking(accept: str, application: str, number: int = 1) -> bytes:
    """An order with MSH-15 and MSH-16."""
    return order(number).replace(b"|P|2.4\r", f"|P|2.5.1|||{accept}|{application}\r".encode())


def _refused(accept: str, application: str, number: int = 1) -> bytes:
    return _asking(accept, application, number).replace(b"PID|", b"ZZZ|")


class Results:
    """What became of messages, as the intake role would write it; it is asked from another thread."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[MessageState, str]] = {}
        self.asked = threading.Event()

    def __call__(self, ids: Collection[int]) -> Mapping[int, tuple[MessageState, str]]:
        """The port of Deferred."""
        self.asked.set()
        return {number: self.known[number] for number in ids if number in self.known}


@pytest.mark.parametrize(
    ("accept", "application", "good", "bad"),
    [
        ("", "", "AA", "AE"),
        ("AL", "NE", "CA", "CE"),
        ("SU", "NE", "CA", ""),
        ("ER", "NE", "", "CE"),
        ("NE", "AL", "AA", "AE"),
        ("NE", "ER", "", "AE"),
        ("NE", "SU", "AA", ""),
        ("NE", "NE", "", ""),
    ],
)
def test_good_and_bad_messages_are_answered_as_asked(accept: str, application: str, good: str, bad: str) -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(wire(_asking(accept, application)) + wire(_refused(accept, application, 2)) + wire(order(3)))
        said: list[tuple[str, str]] = []
        while not said or said[-1][1] != "MSG-3":
            msa = peer.answer()[1]
            said.append((msa[1], msa[2]))
        assert said == [(code, id_) for code, id_ in ((good, "MSG-1"), (bad, "MSG-2"), ("AA", "MSG-3")) if code]
        assert [message.answered for message in log.committed] == [good, bad, "AA"]
        assert [bool(message.refusal) for message in log.committed] == [False, True, False]


def test_a_refusal_in_enhanced_mode_names_place_and_condition() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(wire(_refused("AL", "AL")))
        _, msa, err = peer.answer()
        assert msa[1:3] == ["CE", "MSG-1"]
        assert (err[2], err[3][:3], err[4]) == ("PID^1^3", "101", "E")
        assert log.committed[0].wants_result == ""
        peer.send(wire(_asking("AL", "NE").replace(b"|2.5.1", b"|3.0")))
        assert peer.answer()[1][1] == "CR"


def test_a_site_may_say_how_a_sender_is_acknowledged() -> None:
    senders = {"RIS|CLINIC": Sender(acknowledgment="original"), "LAB|*": Sender(acknowledgment="enhanced")}
    with receiving(senders=senders) as (server, log), Peer(server.port) as peer:
        peer.send(wire(_asking("AL", "AL")))
        assert peer.answer()[1][1] == "AA"
        peer.send(wire(order(2).replace(b"|RIS|", b"|LAB|")))
        assert peer.answer()[1][1] == "CA"
        peer.send(wire(_refused("NE", "NE", 3).replace(b"|RIS|", b"|LAB|")))
        assert peer.answer()[1][1] == "CE"
        assert [message.wants_result for message in log.committed] == ["", "", ""]


def test_what_a_sender_waits_for_is_kept_with_its_message() -> None:
    senders = {"LAB|*": Sender(reply_to=_REPLY_TO)}
    with receiving(senders=senders) as (server, log), Peer(server.port) as peer:
        for number, (accept, application, sender) in enumerate(
            [("AL", "AL", b"RIS"), ("AL", "ER", b"LAB"), ("NE", "AL", b"RIS"), ("NE", "AL", b"LAB")], 1
        ):
            peer.send(wire(_asking(accept, application, number).replace(b"|RIS|", b"|" + sender + b"|")))
            peer.answer()
        assert [message.wants_result for message in log.committed] == ["AL", "ER", "", "ER"]


def test_an_acknowledgment_of_ours_is_kept_and_never_answered() -> None:
    block = b"MSH|^~\\&|EHR|SITE|SIGHTLINE|S|20261101||ACK^R01^ACK|%d|P|2.5.1|||%s|%s\rMSA|AA|9\r"
    senders = {"*|*": Sender(acknowledgment="enhanced")}
    with receiving() as (server, log), receiving(senders=senders) as (strict, _):
        for one in (server, strict):
            with Peer(one.port) as peer:
                peer.send(wire(block % (1, b"", b"")) + wire(block % (2, b"NE", b"AL")))
                peer.send(wire(b"MSH|^~\\&|||||||ACK\r"))
                assert peer.is_silent()
        assert [message.answered for message in log.committed] == ["", "", ""]
        with Peer(server.port) as peer:
            log.error = Unavailable("the log is locked")
            peer.send(wire(block % (4, b"", b"")))
            assert peer.is_silent()


def test_a_log_that_fails_is_told_even_to_a_sender_that_wants_no_answers() -> None:
    with receiving() as (server, log), Peer(server.port) as peer:
        log.error = Unavailable("the log is locked")
        for accept, application, code in (("NE", "NE", "AE"), ("SU", "SU", "CE"), ("AL", "NE", "CE"), ("", "", "AE")):
            peer.send(wire(_asking(accept, application)))
            _, msa, err = peer.answer()
            assert (msa[1], msa[2], err[3][:3]) == (code, "MSG-1", "207")
            assert msa[3].endswith("try again")
        assert log.committed == []


@contextlib.contextmanager
def _stored(folder: Path, senders: Mapping[str, Sender] | None = None) -> Iterator[tuple[Served, SqlMessageLog]]:
    """The door over the product's own log."""
    with databases.fresh(folder) as found:
        log = SqlMessageLog(found.messages)
        with served(Receiver(GroupCommit(log), SystemClock(), senders)) as server:
            yield server, log


def test_a_repeat_is_answered_as_it_was_then_and_kept_once(tmp_path: Path) -> None:
    with _stored(tmp_path) as (server, log), Peer(server.port) as peer:
        said = []
        for block in (order(1), _refused("", "", 2), _asking("AL", "NE", 3), _refused("AL", "NE", 4)) * 2:
            peer.send(wire(block))
            said.append(peer.answer()[1:])
        assert said[4:] == said[:4]
        assert [answer[0][1] for answer in said[:4]] == ["AA", "AE", "CA", "CE"]
        assert len(log.after(0, 100)) == 4


def test_a_repeat_is_answered_as_then_though_the_site_says_otherwise_now(tmp_path: Path) -> None:
    with databases.fresh(tmp_path) as found:
        log = SqlMessageLog(found.messages)
        for senders in ({}, {"RIS|CLINIC": Sender(acknowledgment="enhanced")}):
            with served(Receiver(GroupCommit(log), SystemClock(), senders)) as server, Peer(server.port) as peer:
                peer.send(wire(order()))
                assert peer.answer()[1][1] == "AA"


def test_the_same_number_with_other_bytes_is_a_message_of_its_own(tmp_path: Path) -> None:
    with _stored(tmp_path) as (server, log), Peer(server.port) as peer:
        for block in (order(1), order(1).replace(b"CT chest", b"CT head")):
            peer.send(wire(block))
            assert peer.answer()[1] == ["MSA", "AA", "MSG-1"]
        first, second = log.after(0, 100)
        assert not first.doubt
        assert second.doubt


def test_refused_messages_are_stored_byte_for_byte(tmp_path: Path) -> None:
    blocks = [b"", b"hello", b"\x00\xff\xfe", _refused("", ""), order().replace(b"|P|2.4", b"|P|9")]
    blocks += [b"MSH|^~\\&|" + b"x" * 9000, order().replace(b"|MSG-1|", b"|M\x1c1|"), order() + order(2)]
    with _stored(tmp_path) as (server, log), Peer(server.port) as peer:
        for block in blocks:
            peer.send(wire(block))
            assert peer.answer()[1][1] in ("AE", "AR")
        kept = [logged.message for logged in log.after(0, 100)]
    assert [message.raw for message in kept] == blocks
    assert all(message.refusal and message.answered in ("AE", "AR") for message in kept)


def test_the_result_comes_over_the_senders_own_connection() -> None:
    results = Results()
    with receiving(outcomes=results) as (server, _), Peer(server.port) as peer, Peer(server.port) as other:
        peer.send(wire(_asking("AL", "AL", 1)) + wire(_asking("AL", "ER", 2)) + wire(_asking("AL", "SU", 3)))
        assert [peer.answer()[1][1:3] for _ in range(3)] == [["CA", f"MSG-{number}"] for number in (1, 2, 3)]
        other.send(wire(order(4)))
        assert other.answer()[1][1] == "AA"
        assert results.asked.wait(5)
        assert peer.is_silent()
        results.known = {number: (MessageState.APPLIED, "") for number in (1, 2, 3)}
        told = [peer.answer(), peer.answer()]
        assert [one[1][1:3] for one in told] == [["AA", "MSG-1"], ["AA", "MSG-3"]]
        assert told[0][0][9] not in ("MSG-1", told[1][0][9])
        peer.send(wire(_asking("AL", "ER", 5)))
        assert peer.answer()[1][1] == "CA"
        results.known[5] = (MessageState.QUARANTINED, "want a patient with an authority")
        _, msa, err = peer.answer()
        assert msa[1:3] == ["AE", "MSG-5"]
        assert (err[3][:3], err[8]) == ("204", "want a patient with an authority")
        assert other.is_silent()


def test_a_result_for_somebody_who_left_is_forgotten() -> None:
    results = Results()
    with receiving(outcomes=results) as (server, _):
        with Peer(server.port) as peer:
            peer.send(wire(_asking("AL", "AL")))
            assert peer.answer()[1][1] == "CA"
            assert results.asked.wait(5)
        _wait(lambda: not server.server.in_work)
        with Peer(server.port) as next_one:
            results.known[1] = (MessageState.APPLIED, "")
            assert next_one.is_silent(0.6)
        results.asked.clear()
        assert not results.asked.wait(0.6)


def test_a_sender_with_an_address_of_its_own_gets_its_result_there_alone() -> None:
    results = Results()
    senders = {"RIS|*": Sender(reply_to=_REPLY_TO)}
    with receiving(senders=senders, outcomes=results) as (server, log), Peer(server.port) as peer:
        peer.send(wire(_asking("AL", "AL")))
        assert peer.answer()[1][1] == "CA"
        results.known[1] = (MessageState.APPLIED, "")
        assert peer.is_silent(0.6)
        assert not results.asked.is_set()
        message = log.committed[0]
    own = fields(ack.result(message, MessageState.APPLIED, "", None, datetime.now(UTC)))
    assert (own[0][14:16], own[1]) == (["AL", "NE"], ["MSA", "AA", "MSG-1"])
    assert own[0][9] != "MSG-1"


def test_a_batch_is_one_commit_and_one_answer() -> None:
    batch = b"BHS|^~\\&|RIS|CLINIC|S|S|2026||||B-1\r" + order(1) + _refused("", "", 2) + order(3) + b"BTS|3\r"
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(wire(batch) + wire(order(4)))
        answer = peer.answer()
        assert [segment[1:3] for segment in answer if segment[0] == "MSA"] == [
            ["AA", "MSG-1"],
            ["AE", "MSG-2"],
            ["AA", "MSG-3"],
        ]
        assert (answer[0][0], answer[-1][:2]) == ("BHS", ["BTS", "3"])
        assert peer.answer()[1][1:3] == ["AA", "MSG-4"]
        assert [message.control_id for message in log.committed] == ["MSG-1", "MSG-2", "MSG-3", "MSG-4"]
        assert log.commits == 2


def test_a_batch_may_be_answered_by_a_single_acknowledgment() -> None:
    batch = b"BHS|^~\\&|RIS|CLINIC|S|S|2026||||B-1\r" + order(1) + order(2) + b"BTS|2\r"
    senders = {"RIS|CLINIC": Sender(batch_acknowledgment="single")}
    with receiving(senders=senders) as (server, log), Peer(server.port) as peer:
        peer.send(wire(batch))
        answer = peer.answer()
        assert [segment[1] for segment in answer if segment[0] == "MSA"] == ["AA"]
        assert len(log.committed) == 2


def test_a_batch_whose_count_is_wrong_is_kept_whole_and_refused() -> None:
    batch = b"BHS|^~\\&|RIS|CLINIC|S|S|2026||||||B-1\r" + order(1) + b"BTS|2\r"
    with receiving() as (server, log), Peer(server.port) as peer:
        peer.send(wire(batch))
        msa = next(segment for segment in peer.answer() if segment[0] == "MSA")
        assert msa[1] in ("AE", "AR")
        (kept,) = log.committed
        assert (kept.raw, kept.message_type, kept.answered) == (batch, "", msa[1])
        assert kept.refusal


def test_fields_that_a_profile_fills_are_not_asked_for() -> None:
    senders = {"RIS|CLINIC": Sender(fields={"PID-3.1": "PID-2.1", "ORC-1": "=NW", "ORC-2": "ZOR-1"})}
    block = order().replace(b"PID|1||4711^^^CLINIC^MR", b"PID|1|4711|").replace(b"ORC|NW|P-1^HIS|F-1^RIS", b"ORC|?")
    block = block.replace(b"|P-1^HIS|F-1^RIS", b"||")
    with receiving(senders=senders) as (server, _), receiving() as (plain, _):
        for one, code in ((server, "AA"), (plain, "AE")):
            with Peer(one.port) as peer:
                peer.send(wire(block))
                assert peer.answer()[1][1] == code


def test_messages_of_many_connections_share_a_commit() -> None:
    with receiving() as (server, log), contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(server.port)) for _ in range(8)]
        log.open.clear()
        for number, peer in enumerate(peers):
            peer.send(wire(order(number)))
        _wait(lambda: server.server.in_work == 8)
        log.open.set()
        assert [peer.answer()[1][2] for peer in peers] == [f"MSG-{number}" for number in range(8)]
        assert log.commits <= 3


def _wait(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)

"""Batches and files: every message byte for byte, and nothing of a batch whose counts are wrong."""

from __future__ import annotations

import contextlib
import mmap
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.hl7 import ack
from adapters.hl7.batch import batch_answer, read_batch, read_file, refused_batch
from adapters.hl7.header import read_header
from adapters.hl7.layout import layout
from cds.errors import InvalidMessage
from tests.contract.hl7_corpus import samples
from tests.contract.hl7_wire import fields, order, wire

AT = datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
FHS = b"FHS|^~\\&|RIS|CLINIC|SIGHTLINE|CLINIC|20261101083000||||F-1\r"
BHS = b"BHS|^~\\&|RIS|CLINIC|SIGHTLINE|CLINIC|20261101083000||||B-%d\r"


def bhs(number: int = 1) -> bytes:
    return BHS.replace(b"%d", str(number).encode())


def refusal(block: bytes) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        read_batch(block)
    return caught.value


def test_what_begins_with_a_message_is_no_batch() -> None:
    assert read_batch(order()) is None
    assert read_batch(b"") is None
    assert read_batch(b"\r\nsomething else") is None


@pytest.mark.parametrize("lead", [b"", b"\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n  "])
def test_a_batch_in_a_file_gives_its_messages_and_its_control_ids(lead: bytes) -> None:
    block = lead + FHS + bhs(1) + order(1) + order(2) + b"BTS|2\r" + bhs(2) + order(3) + b"BTS|1\rFTS|2\r"
    batch = read_batch(block)
    assert batch is not None
    assert batch.messages == (order(1), order(2), order(3))
    assert batch.file is not None
    assert batch.file.field(11) == "F-1"
    assert [(part.header and part.header.field(11), part.count) for part in batch.parts] == [("B-1", 2), ("B-2", 1)]


@pytest.mark.parametrize(
    ("block", "count"),
    [
        (bhs() + order() + b"BTS\r", 1),
        (bhs() + order() + b"BTS|\r", 1),
        (bhs() + order() + b"BTS| 1 |a comment\r", 1),
        (bhs() + b"BTS|0\r", 0),
        (FHS + bhs() + b"BTS|0\rFTS|1\r", 0),
        (FHS + order() + order(2) + b"FTS|1\r", 2),
        (FHS + order() + b"FTS|0", 1),
        (FHS + order() + b"BTS|1\rFTS|1\r", 1),
        (FHS + b"FTS\r", 0),
        (bhs(1) + order(1) + b"BTS|1\r" + bhs(2) + order(2) + b"BTS|1\r", 2),
    ],
)
def test_counts_are_optional_and_so_are_most_headers(block: bytes, count: int) -> None:
    batch = read_batch(block)
    assert batch is not None
    assert len(batch.messages) == count


@pytest.mark.parametrize(
    ("block", "location", "condition"),
    [
        (bhs() + order() + b"BTS|2\r", "BTS^1^1", "100"),
        (bhs() + order() + b"BTS|0\r", "BTS^1^1", "100"),
        (bhs() + order() + b"BTS|one\r", "BTS^1^1", "102"),
        (bhs() + order() + b"BTS|-1\r", "BTS^1^1", "102"),
        (bhs(1) + order(1) + b"BTS|1\r" + bhs(2) + order(2) + b"BTS|7\r", "BTS^2^1", "100"),
        (bhs() + order(), "BTS^1", "100"),
        (FHS + bhs() + order() + b"FTS|1\r", "BTS^1", "100"),
        (FHS + bhs() + order() + b"BTS|1\r", "FTS^1", "100"),
        (FHS + bhs() + order() + b"BTS|1\rFTS|3\r", "FTS^1^1", "100"),
        (FHS + order() + b"FTS|x\r", "FTS^1^1", "102"),
        (bhs(1) + order(1) + bhs(2) + order(2) + b"BTS|1\r", "BTS^1", "100"),
        (bhs() + order() + b"BTS|1\rFTS|1\r", "FTS^1", "100"),
        (bhs() + order() + b"BTS|1\r" + order(2), "BTS^1", "100"),
        (FHS + order() + b"FTS|1\r" + FHS + order(2) + b"FTS|1\r", "FHS^1", "100"),
        (bhs() + b"PID|1||4711\r" + order() + b"BTS|1\r", "", "100"),
        (bhs() + order() + b"BTS|1\rPID|1||4711\r", "", "100"),
        (b"BHS|||RIS\r" + order() + b"BTS|1\r", "BHS^1^2", "102"),
    ],
)
def test_a_batch_that_is_not_what_its_sender_meant_is_refused(block: bytes, location: str, condition: str) -> None:
    error = refusal(block)
    assert (error.location, error.condition) == (location, condition)
    assert "4711" not in str(error)


def test_a_block_with_too_many_messages_is_refused_before_they_are_all_read() -> None:
    assert "10000" in str(refusal(bhs() + order() * 10_001 + b"BTS|10001\r"))
    assert "10000" in str(refusal((bhs() + b"BTS|0\r") * 10_001))


def test_the_header_may_have_other_delimiters_than_its_messages() -> None:
    block = bhs().replace(b"|", b"#") + order() + b"BTS|no trailer, its separator is another\rBTS#1\r"
    batch = read_batch(block)
    assert batch is not None
    assert batch.messages == (order() + b"BTS|no trailer, its separator is another\r",)


@pytest.mark.parametrize("text", [b"MSH-10 is wrong", b"MSH: see below", b"MSH", b"BHS|", b"FHS 12", b"MSH| is first"])
def test_a_line_of_free_text_that_begins_like_a_header_belongs_to_its_message(text: bytes) -> None:
    message = order() + b"OBX|1|TX|1||first\n" + text + b"\nlast\r"
    batch = read_batch(bhs() + message + order(2) + b"BTS|2\r")
    assert batch is not None
    assert batch.messages == (message, order(2))
    assert read_file(message + order(2)).messages == (message, order(2))


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_other_line_ends_are_kept_as_they_are(end: bytes) -> None:
    first, second = (order(number).replace(b"\r", end) for number in (1, 2))
    block = (
        b"".join(part.replace(b"\r", end) for part in (FHS, bhs())) + first + end + second + b"BTS|2" + end + b"FTS|1"
    )
    batch = read_batch(block)
    assert batch is not None
    assert batch.messages == (first, second)


def test_the_answer_to_a_batch_names_the_batches_that_it_answers() -> None:
    block = FHS + bhs(1) + order(1) + order(2) + b"BTS|2\r" + bhs(2).replace(b"|", b"#") + order(3) + b"BTS#1\rFTS|2\r"
    batch = read_batch(block)
    assert batch is not None
    answers = [ack.accept(read_header(message), AT) for message in batch.messages]
    answers[1] = b""  # its sender wanted none
    answer = batch_answer(batch, answers, AT, single=False)
    found = read_batch(answer)
    assert found is not None
    assert found.messages == (answers[0], answers[2])
    assert [part.count for part in found.parts] == [1, 1]
    assert found.file is not None
    assert found.file.field(12) == "F-1"
    assert [part.header and part.header.field(12) for part in found.parts] == ["B-1", "B-2"]
    assert found.file.fields[3:7] == ("SIGHTLINE", "CLINIC", "RIS", "CLINIC")
    assert answer.endswith(b"BTS#1\rFTS|2\r")


def test_one_answer_to_a_batch_takes_all_or_says_which_were_refused() -> None:
    batch = read_batch(bhs() + order(1) + order(2) + order(3) + b"BTS|3\r")
    assert batch is not None
    headers = [read_header(message) for message in batch.messages]
    taken = [ack.accept(header, AT) for header in headers]
    msh, msa = fields(batch_answer(batch, taken, AT, single=True))
    assert msh[2:6] == ["SIGHTLINE", "CLINIC", "RIS", "CLINIC"]
    assert msa == ["MSA", "AA", "B-1"]
    missing = InvalidMessage("want a patient", location="PID^1^3", condition="101", permanent=False)
    unsupported = InvalidMessage("want another version", location="MSH^1^12", condition="203")
    mixed = [taken[0], ack.reject(headers[1], missing, AT), ack.reject(headers[2], unsupported, AT)]
    msh, msa, *errors = fields(batch_answer(batch, mixed, AT, single=True))
    assert msa == ["MSA", "AR", "B-1", "message 2: want a patient"]
    assert [error[1].split("^")[:3] for error in errors] == [["MSH", "2", "10"], ["MSH", "3", "10"]]  # version 2.4
    only_ae = [taken[0], mixed[1], taken[2]]
    assert fields(batch_answer(batch, only_ae, AT, single=True))[1][1] == "AE"


def test_a_refused_batch_is_answered_once_under_its_own_control_id() -> None:
    block = bhs() + order() + b"BTS|2\r"
    _, msa, err = fields(refused_batch(block, refusal(block), AT))
    assert msa[:3] == ["MSA", "AR", "B-1"]
    assert err[2:4] == ["BTS^1^1", "100^Segment sequence error^HL70357"]
    assert fields(refused_batch(b"FHS|", refusal(b"FHS|\r"), AT))[1][:2] == ["MSA", "AR"]


@pytest.mark.parametrize(
    "data",
    [
        order(1) + order(2),
        b"\xef\xbb\xbf" + order(1) + b"\r\n\r\n\xef\xbb\xbf" + order(2) + b"\r\n\x1a",
        wire(order(1)) + wire(order(2)),
        b"\r\n" + wire(order(1)) + b"\n" + wire(order(2)).removesuffix(b"\r") + b"\n",
        FHS + bhs() + order(1) + order(2) + b"BTS|2\rFTS|1\r",
        bhs(1) + order(1) + b"BTS|1\r\n" + bhs(2) + order(2) + b"BTS|1\r\n",
        wire(bhs(1) + order(1) + b"BTS|1\r") + wire(order(2)),
        order(1) + wire(order(2)),
        order(1) + b"   \r\n" + bhs() + order(2) + b"BTS|1\r",
    ],
)
def test_a_file_gives_its_messages_however_they_are_stored(data: bytes) -> None:
    found = read_file(data)
    assert found.messages == (order(1), order(2))
    assert found.problems == ()


@pytest.mark.parametrize(
    ("data", "count", "problem"),
    [
        (b"", 0, "found none"),
        (b" \r\n", 0, "found none"),
        (b"# a comment\r" + order(), 1, "before the first message"),
        (wire(order(1)) + b"PID|1\r" + wire(order(2)), 2, "behind message 1"),
        (wire(order(1)) + b"\x0b" + order(2), 1, "FS CR behind message 2"),
        (b"\x0b" + order(1) + wire(order(2)), 1, "FS CR behind message 1"),
        (bhs() + order() + b"BTS|2\r", 1, "BTS-1"),
        (order() + b"BTS|1\r", 1, "BHS before BTS"),
        (order().decode().encode("utf-16"), 0, "UTF-16"),
        (order().decode().encode("utf-16-be"), 0, "UTF-16"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_and_nothing_raised(data: bytes, count: int, problem: str) -> None:
    found = read_file(data)
    assert len(found.messages) == count
    assert problem in found.problems[0]
    assert "4711" not in "".join(found.problems)


def test_a_frame_is_given_as_it_stands() -> None:
    odd = b"  \r" + order() + b"\r\r"
    assert read_file(wire(odd)).messages == (odd,)


def test_a_file_may_be_mapped_into_memory() -> None:
    data = FHS + bhs() + order(1) + order(2) + b"BTS|2\rFTS|1\r" + order(3)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert layout(mapped) == layout(data)


LINE = st.binary(max_size=30).map(lambda text: re.sub(rb"[\r\n\x0b\x1c\x1a]", b" ", text))
SEGMENT = LINE.map(lambda text: b"OBX|1|TX|X||" + text)
MESSAGE = st.lists(SEGMENT, max_size=4).map(lambda lines: b"\r".join([b"MSH|^~\\&|A|B", *lines]).rstrip() + b"\r")


@given(st.lists(st.lists(MESSAGE, max_size=4), min_size=1, max_size=3), st.booleans(), st.booleans())
def test_any_messages_put_into_a_batch_come_out_of_it(parts: list[list[bytes]], in_file: bool, framed: bool) -> None:
    batches = [bhs(n) + b"".join(part) + b"BTS|%d\r" % len(part) for n, part in enumerate(parts)]
    block = b"".join(batches)
    if in_file:
        block = FHS + block + b"FTS|%d\r" % len(parts)
    messages = tuple(message for part in parts for message in part)
    batch = read_batch(block)
    assert batch is not None
    assert batch.messages == messages
    found = read_file(wire(block) if framed else block)
    assert (found.messages, found.problems) == (messages, ())
    assert read_file(b"".join(messages)).messages == messages


@given(st.lists(MESSAGE, max_size=4), st.integers(0, 12))
def test_a_batch_of_another_count_is_never_taken(messages: list[bytes], said: int) -> None:
    block = bhs() + b"".join(messages) + b"BTS|%d\r" % said
    if said == len(messages):
        assert read_batch(block) is not None
    else:
        assert refusal(block).location == "BTS^1^1"
        assert read_file(block).problems


PIECE = st.sampled_from(
    [FHS, bhs(), order(), b"BTS|1\r", b"FTS|1\r", b"\x0b", b"\x1c\r", b"MSH", b"\r", b"\n", b" ", b"|"]
)


@given(st.lists(PIECE | st.binary(max_size=5), max_size=20))
def test_no_file_makes_the_reader_fail_or_give_what_is_not_in_it(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    found = layout(data)
    ends = [0, *(place for span in found.spans for place in span)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(data)
    assert found.spans or found.envelopes or found.problems
    with contextlib.suppress(InvalidMessage):
        read_batch(data)


@pytest.mark.parametrize(
    "piece",
    [b"\r \t", b"\rMSH|", b"FHS|\r", bhs() + b"BTS|0\r", b"\x0bMSH|^~\\&|\r", b"\rBTS|1", b"MSH|^~\\&|\r", b" "],
)
def test_reading_takes_time_in_proportion_to_the_bytes(piece: bytes) -> None:
    def seconds(data: bytes) -> float:
        taken = []
        for _ in range(3):
            start = time.process_time()
            read_file(bhs() + data)
            taken.append(time.process_time() - start)
        return min(taken)

    count = 20_000 // len(piece)
    assert seconds(piece * count * 8) < 40 * max(seconds(piece * count), 0.001)


#: What the reference holds of files that are no messages and no whole batches, and the words for it.
REFUSED = {
    "server_tests_test-hl7-batch-input.txt": "want BTS at the end of batch 1",
    "samples_003_ADT_A04.hl7": "want BHS before BTS",
    "samples_005_ADT_A04.hl7": "want BHS before BTS",
    "samples_010_noMSH.hl7": "want nothing but messages, found other text before the first message",
    "samples_011_ADT_A04.hl7": "want nothing but messages, found other text behind message 1",
    "samples_012_noMSH.hl7": "want BTS at the end of batch 1",
    "samples_013_ADT_A04.hl7": "want BHS before BTS",
    "samples_016_ADT_A04.hl7": "want BHS before BTS",
    "samples_017_ADT_A04.hl7": "want BHS before BTS",
    "samples_019_ADT_A04.hl7": "want FHS before FTS",
    "samples_024_ADT_A04.hl7": "want FHS before FTS",
    "samples_026_noMSH.hl7": "want nothing but messages, found other text before the first message",
    "samples_028_ADT_A04.hl7": "want nothing but messages, found other text behind message 1",
    "samples_030_ADT_A04.hl7": "want nothing but messages, found other text behind message 1",
    "samples_031_noMSH.hl7": "want nothing but messages, found other text before the first message",
}


def test_each_reference_file_with_a_batch_in_it_is_refused_for_a_stated_reason(reference_dir: Path) -> None:
    """The public samples are batches cut apart, so that none of them is whole."""
    found = {
        path.name: read_file(path.read_bytes()).problems[:1]
        for path in sorted((reference_dir / "reference" / "hl7").glob("*/*"))
        if path.suffix in (".hl7", ".txt") and re.search(rb"(?:\A|[\r\n])(?:FHS|BHS|BTS|FTS)\|", path.read_bytes())
    }
    assert found == {name: (problem,) for name, problem in REFUSED.items()}


def test_every_reference_message_is_found_in_its_file(reference_dir: Path) -> None:
    expected: dict[tuple[str, str], list[bytes]] = {}
    for sample in samples(reference_dir):
        expected.setdefault((sample.source, sample.file), []).append(sample.block)
    for (source, name), blocks in expected.items():
        found = read_file((reference_dir / "reference" / "hl7" / source / name).read_bytes())
        assert [message.strip(b"\x0b\x1c\r\n ") for message in found.messages] == blocks
        assert found.problems == () or name in REFUSED or source == "hapi"


def test_whole_batches_of_reference_messages_are_read(reference_dir: Path) -> None:
    blocks = [sample.block + b"\r" for sample in samples(reference_dir) if b"\x0b" not in sample.block]
    for start in range(0, len(blocks), 50):
        group = tuple(blocks[start : start + 50])
        batch = read_batch(FHS + bhs() + b"".join(group) + b"BTS|%d\rFTS|1\r" % len(group))
        assert batch is not None
        assert batch.messages == group

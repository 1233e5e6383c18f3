"""The framer: any fragmentation gives the same blocks, and the bytes cost linear time."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7.mllp import END, START, Framer, frame
from cds.errors import InvalidMessage

_CONTENT = st.binary(max_size=40).filter(lambda b: START not in b and END not in b and not b.endswith(b"\x1c"))
_GARBAGE = st.binary(max_size=10).filter(lambda b: START not in b)


def _feed(framer: Framer, stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    blocks: list[bytes] = []
    for begin, end in pairwise(edges):
        blocks += framer.feed(stream[begin:end])
    return blocks


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(_GARBAGE, _CONTENT), max_size=5), st.lists(st.integers(0, 500), max_size=12))
def test_any_fragmentation_gives_the_same_blocks(parts: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    framer = Framer(100)
    stream = b"".join(garbage + frame(content) for garbage, content in parts)
    assert _feed(framer, stream, cuts) == [content for _, content in parts]
    assert framer.skipped == sum(len(garbage) for garbage, _ in parts)
    assert not framer.in_frame


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"a", b"bb" * 4]), max_size=40), st.lists(st.integers(0, 99)))
def test_fragmentation_does_not_change_what_broken_streams_give(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)

    def outcome(cut_at: list[int]) -> tuple[list[bytes], bool]:
        framer = Framer(12)
        edges = [0, *sorted(cut % (len(stream) + 1) for cut in cut_at), len(stream)]
        blocks: list[bytes] = []
        try:
            for begin, end in pairwise(edges):
                data = stream[begin:end]
                while found := framer.feed(data):
                    blocks += found
                    data = b""
        except InvalidMessage:
            return blocks, True
        return blocks, False

    assert outcome(cuts) == outcome([]) == outcome(list(range(len(stream))))


def test_a_nested_start_begins_the_block_anew() -> None:
    framer = Framer(100)
    assert framer.feed(b"\x0blost\x0bkept\x1c\r") == [b"kept"]
    assert framer.skipped == 5


def test_fs_without_cr_is_content() -> None:
    framer = Framer(100)
    assert framer.feed(b"\x0ba\x1cb\x1c") == []
    assert framer.in_frame
    assert framer.feed(b"\r") == [b"a\x1cb"]


def test_a_block_of_the_most_bytes_passes_and_one_more_does_not() -> None:
    assert Framer(10).feed(frame(b"x" * 10)) == [b"x" * 10]
    with pytest.raises(InvalidMessage, match="longer than 10 bytes") as caught:
        Framer(10).feed(frame(b"x" * 11))
    assert caught.value.permanent
    assert caught.value.condition == "102"


def test_blocks_before_an_oversize_one_are_given_first() -> None:
    framer = Framer(10)
    assert framer.feed(frame(b"first") + START + b"MSH" + b"x" * 50) == [b"first"]
    assert framer.unfinished.startswith(b"MSHxx")
    with pytest.raises(InvalidMessage):
        framer.feed(b"")


@pytest.mark.parametrize("block", [b"a\x0bb", b"a\x1c\rb", b"a\x1c"])
def test_a_block_that_would_break_the_framing_is_refused(block: bytes) -> None:
    with pytest.raises(InvalidMessage):
        frame(block)


@pytest.mark.parametrize("content", [b"x" * 5_000_000, b"\x0b" * 5_000_000, b"\x1c" * 5_000_000])
def test_five_megabytes_take_less_than_300_ms(content: bytes) -> None:
    framer, stream = Framer(1 << 24), START + content + END
    began = time.process_time()
    blocks = [block for at in range(0, len(stream), 65536) for block in framer.feed(stream[at : at + 65536])]
    spent = time.process_time() - began
    assert len(blocks) == 1
    assert spent < 0.3


def test_single_bytes_cost_linear_time() -> None:
    def spent(size: int) -> float:
        framer, stream = Framer(1 << 24), START + b"x" * size + END
        began = time.process_time()
        assert [block for at in range(len(stream)) for block in framer.feed(stream[at : at + 1])] == [b"x" * size]
        return time.process_time() - began

    assert spent(400_000) < 20 * spent(50_000)

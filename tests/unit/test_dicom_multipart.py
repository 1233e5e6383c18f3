"""multipart/related bodies, however they are cut, and those that are none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.dicom.multipart import TruncatedBody, boundary_of, parts
from cds.errors import InvalidInstance

BOUNDARY = b"a-b'c"


@dataclass
class Kept:
    """A sink that keeps what it is given."""

    headers: Mapping[str, str]
    content: bytearray = field(default_factory=bytearray)
    closed: bool = False

    def write(self, data: bytes | memoryview, /) -> None:
        assert not self.closed
        self.content += data

    def close(self) -> None:
        self.closed = True


def body(contents: Iterable[bytes], eol: bytes = b"\r\n", head: bytes = b"Content-Type: application/dicom") -> bytes:
    """A multipart body as PS3.18 section 8.6 wants it."""
    begun = [b"--" + BOUNDARY + eol + (head + eol if head else b"") + eol + content + eol for content in contents]
    return b"".join(begun) + b"--" + BOUNDARY + b"--" + eol


def read(chunks: Iterable[bytes]) -> list[bytes]:
    found = list(parts(chunks, BOUNDARY, open_part=Kept))
    assert all(one.closed for one in found)
    return [bytes(one.content) for one in found]


def cut(whole: bytes, at: Sequence[int]) -> Iterator[bytes]:
    places = [0, *sorted(place % (len(whole) + 1) for place in at), len(whole)]
    for start, end in pairwise(places):
        yield whole[start:end]


#: Bytes that look like the beginning of a boundary more often than chance would have it.
contents = st.lists(st.sampled_from([b"\r", b"\n", b"--", b"-", BOUNDARY, BOUNDARY[:2], b" ", b"\r\n--a-b'", b"x"]))
odd = contents.map(b"".join).filter(lambda content: b"\n--" + BOUNDARY not in b"\n" + content)


@given(st.lists(odd, min_size=1, max_size=4), st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_any_cut_of_any_parts_gives_the_same_bytes(wanted: list[bytes], at: list[int], crlf: bool) -> None:
    whole = body(wanted, b"\r\n" if crlf else b"\n")
    assert read(cut(whole, at)) == wanted


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_a_body_of_single_bytes_gives_the_same_bytes(wanted: list[bytes]) -> None:
    whole = body(wanted)
    assert read(whole[i : i + 1] for i in range(len(whole))) == wanted


def test_what_only_begins_like_a_boundary_is_content() -> None:
    looks = [b"1\r\n--" + BOUNDARY + b"X2", b"\r\n--" + BOUNDARY + b"-3", b"--" + BOUNDARY + b" " * 300 + b"4"]
    whole = body(looks)
    for size in (1, 7, len(whole)):
        assert read(whole[i : i + size] for i in range(0, len(whole), size)) == looks


def test_headers_come_in_lower_case_and_unfolded() -> None:
    head = b"Content-TYPE: application/dicom;\r\n\ttransfer-syntax=*\r\nContent-Location:http://here/1"
    [part] = parts([body([b"x"], head=head)], BOUNDARY, open_part=Kept)
    assert part.headers == {"content-type": "application/dicom; transfer-syntax=*", "content-location": "http://here/1"}


def test_a_part_without_headers_is_read() -> None:
    assert read([body([b"x", b""], head=b"")]) == [b"x", b""]


def test_a_part_whose_empty_line_is_also_its_end_is_empty() -> None:
    whole = b"--a-b'c\r\nA: b\r\n\r\n--a-b'c\r\n\r\nx\r\n--a-b'c--"
    for size in (1, 2, 100):
        assert read(whole[i : i + size] for i in range(0, len(whole), size)) == [b"", b"x"]


def test_preamble_epilogue_and_padding_are_no_content() -> None:
    whole = b"for old readers\r\n\r\n" + body([b"x"]).replace(b"c\r\n", b"c \t\r\n", 1) + b"and after"
    assert read([whole]) == [b"x"]


def test_a_body_without_parts_has_none() -> None:
    assert read([b"--a-b'c--"]) == read([b"--a-b'c--\r\n"]) == []


def test_a_stated_length_that_is_wrong_does_no_harm() -> None:
    assert read([body([b"xyz", b"1"], head=b"Content-Length: 99999999")]) == [b"xyz", b"1"]


@pytest.mark.parametrize("left", [0, 3, 60, 80, 100])
def test_a_body_that_is_cut_off_gives_its_whole_parts_and_says_so(left: int) -> None:
    whole = body([b"first", b"second"])
    found: list[Kept] = []
    with pytest.raises(TruncatedBody, match="ended before its closing boundary"):
        found.extend(parts([whole[:left]], BOUNDARY, open_part=Kept))
    assert [bytes(part.content) for part in found] == ([b"first"] if left >= len(body([b"first"])) - 2 else [])


@pytest.mark.parametrize(
    "hostile",
    [
        b"x" * 10_000,
        b"x\n" * 50_000,
        b"--a-b'c\r\n" + b"A" * 10_000,
        b"--a-b'c\r\n" + b"A: b\r\n" * 10_000,
        b"--a-b'c\r\nno colon\r\n\r\nx\r\n--a-b'c--",
    ],
)
def test_a_body_without_boundary_or_end_of_headers_is_refused(hostile: bytes) -> None:
    with pytest.raises(InvalidInstance):
        read([hostile])


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related;boundary="a b:c";type="application/dicom"', b"a b:c"),
    ],
)
def test_a_boundary_is_read_with_and_without_quotes(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/dicom",
        "multipart/related",
        "multipart/form-data; boundary=x",
        'multipart/related; boundary=""',
        f"multipart/related; boundary={'x' * 71}",
        'multipart/related; boundary="a "',
        "multipart/related; boundary=a\r\nX-Other: b",
        "multipart/related; boundary=ä",
    ],
)
def test_a_content_type_without_a_good_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidInstance):
        boundary_of(content_type)


class Counted:
    """A sink that only counts."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.size = 0

    def write(self, data: bytes | memoryview, /) -> None:
        self.size += len(data)

    def close(self) -> None:
        """Nothing is open."""


def test_reading_does_not_copy_what_it_hands_on() -> None:
    part = bytes(range(256)) * 2048
    whole = body([part] * 100)
    chunks = [whole[i : i + 262144] for i in range(0, len(whole), 262144)]
    started = time.process_time()
    sizes = [one.size for one in parts(chunks, BOUNDARY, open_part=Counted)]
    spent_s = time.process_time() - started
    assert sizes == [len(part)] * 100
    print(f"{spent_s * 10:.3f} ms for a part of 0.5 MB")

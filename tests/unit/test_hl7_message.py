"""The lazy reader: delimiters from MSH, escapes decoded once at the leaf, character sets never replaced."""

from __future__ import annotations

import time

import pytest

from adapters.hl7.message import Message
from cds.errors import InvalidMessage

_MSH = b"MSH|^~\\&|A|B|C|D|20261101||ADT^A04|1|P|2.5"


def _with(line: bytes, charset: bytes = b"", header: bytes = _MSH) -> Message:
    return Message(header + b"||||||" + charset + b"\r" + line + b"\r")


@pytest.mark.parametrize("ending", [b"\r", b"\n", b"\r\n", b"\r\r", b"\n\n\r"])
def test_segments_may_end_in_any_line_break(ending: bytes) -> None:
    parsed = Message(_MSH + ending + b"PID|1" + ending + b"ZZ1|x" + ending)
    assert [segment.name for segment in parsed] == ["MSH", "PID", "ZZ1"]
    assert parsed.first("MSH").text(10) == "1"
    assert parsed.first("MSH").raw(1) == "|"


def test_a_byte_order_mark_and_blank_lines_before_msh_are_tolerated() -> None:
    assert Message(b"\xef\xbb\xbf\r\n" + _MSH + b"\rPID|1").first("PID").text(1) == "1"


def test_delimiters_come_from_the_message() -> None:
    parsed = Message(b"MSH#!@%*#A#B#C#D#20261101##ADT!A04#1#P#2.5\rPID###1!2*3@4#x%F%y")
    assert [value.text(1) for value in parsed.first("PID").values(3)] == ["1", "4"]
    assert parsed.first("PID").text(3, 2, 2) == "3"
    assert parsed.first("PID").text(4) == "x#y"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", r"a|b^c&d~e\f"),
        (r"one\.br\two\.sp2\three", "one\ntwo\nthree"),
        (r"\H\bold\N\ text", "bold text"),
        (r"\X4D5348\ and \X7C\ ", "MSH and |"),
        (r"C:\temp\F\x", r"C:\temp|x"),
        (r"lone \ backslash", r"lone \ backslash"),
        (r"\Zlocal\ \Xzz\ ", r"\Zlocal\ \Xzz" + "\\"),
        (r"\E\F\E\ ", "\\F\\"),
        (r"a\X00\b\X01\c\X1B\d\X09\e\X0A\f", "abcd\te\nf"),
        ("a\x01b\x1cc\x1fd", "abcd"),
    ],
)
def test_escapes_are_decoded_once(written: str, meant: str) -> None:
    assert _with(b"OBX|1|ST|||" + written.encode()).first("OBX").value(5).whole() == meant


def test_a_decoded_line_break_never_becomes_a_segment() -> None:
    parsed = _with(rb"OBX|1|ST|||x\X0D\PID|||EVIL")
    assert [segment.name for segment in parsed] == ["MSH", "OBX"]
    assert parsed.first("OBX").text(5) == "x\rPID"


@pytest.mark.parametrize(
    ("charset", "written", "guessed"),
    [
        (b"8859/1", "Müller".encode("latin-1"), False),
        (b"UNICODE UTF-8", "Müller".encode(), False),
        (b"", "Müller".encode(), True),
        (b"", "Müller".encode("cp1252"), True),
        (b"ASCII", "Müller".encode("cp1252"), True),
        (b"UNICODE UTF-8", "Müller".encode("cp1252"), True),
        (b"XYZ~8859/1", "Müller".encode("latin-1"), False),
    ],
)
def test_the_character_set_is_msh_18_else_a_flagged_guess(charset: bytes, written: bytes, guessed: bool) -> None:
    parsed = _with(b"PID|||1||" + written, charset)
    assert parsed.first("PID").text(5) == "Müller"
    assert bool(parsed.warnings) is guessed


def test_japanese_shifted_in_by_the_second_repetition_is_read() -> None:
    parsed = _with(b"PID|||1||" + "Yamada^山田".encode("iso2022_jp"), b"~ISO IR87")
    assert parsed.first("PID").text(5, 2) == "山田"


def test_hexadecimal_is_in_the_character_set_of_the_message() -> None:
    assert _with(rb"PID|||1||M\XFC\ller", b"8859/1").first("PID").text(5) == "Müller"
    assert _with(rb"PID|||1||M\XC3BC\ller", b"UNICODE UTF-8").first("PID").text(5) == "Müller"


def test_bytes_that_fit_no_character_set_are_refused_not_replaced() -> None:
    with pytest.raises(InvalidMessage, match="fit neither"):
        _with(b"PID|||1\x81\x8d||x")


def test_empty_says_nothing_and_two_quotes_delete() -> None:
    pid = _with(b'PID|||1||""||').first("PID")
    assert pid.value(5).deleted
    assert pid.text(5) == pid.text(6) == ""
    assert not pid.value(6).deleted
    assert pid.values(99) == []


def test_a_line_that_is_no_segment_belongs_to_the_text_before_it() -> None:
    parsed = Message(_MSH + b"\rOBX|1|TX|||first\nsecond line|||F\rOBX|2")
    assert parsed.first("OBX").text(5) == "first\nsecond line"
    assert parsed.first("OBX").text(8) == "F"
    assert len(parsed.warnings) == 1


def test_very_many_lines_of_a_text_are_read_in_time() -> None:
    lines = b"\r".join(b"line of some text %d" % number for number in range(200_000))
    began = time.process_time()
    parsed = Message(_MSH + b"\rOBX|1|TX|||first\r" + lines + b"\rOBX|2")
    joined = time.process_time() - began
    began = time.process_time()
    Message(_MSH + b"\r" + lines.replace(b"line of", b"NTE|1||") + b"\rOBX|2")
    assert joined < 5 * (time.process_time() - began)
    assert parsed.first("OBX").text(5).endswith("\nline of some text 199999")
    assert [segment.name for segment in parsed] == ["MSH", "OBX", "OBX"]


def test_a_line_that_is_no_segment_never_joins_an_identifier() -> None:
    parsed = Message(_MSH + b"\rPID|1||4711\nstray\rZ1|x|y\rPV1|1")
    assert parsed.first("PID").text(3) == "4711"
    assert [segment.name for segment in parsed] == ["MSH", "PID", "PV1"]
    assert parsed.warnings[0] == "a line that is no segment was left out"


def test_a_byte_order_mark_before_another_character_set_is_tolerated() -> None:
    block = b"\xef\xbb\xbf" + _MSH + b"||||||8859/1\rPID|1||||M\xfcller"
    assert Message(block).first("PID").text(5) == "Müller"


def test_a_doubled_escape_character_is_read_as_one() -> None:
    parsed = _with(b"PID|||1^^^A&B", header=_MSH.replace(b"^~\\&", b"^~\\\\&"))
    assert parsed.first("PID").text(3, 4, 2) == "B"


@pytest.mark.parametrize(
    "block", [b"", b"hello", b"MSH", b"MSH|", b"MSH||A", b"MSH |x", b"MSH|^^~\\|A", b"MSHA^~\\&A", b"PID|1\rMSH|^~\\&|"]
)
def test_what_is_not_hl7_is_refused(block: bytes) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Message(block)
    assert caught.value.permanent

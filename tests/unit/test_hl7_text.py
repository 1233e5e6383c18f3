"""Text of HL7 v2: no input breaks decoding, nothing is replaced, nobody is identified by a wrong character."""

from __future__ import annotations

import codecs
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7.delimiters import STANDARD, Delimiters, read_delimiters
from adapters.hl7.message import Message
from adapters.hl7.text import decode, identifies, unescape
from cds.character_sets import CHARACTER_SETS
from cds.errors import InvalidMessage

_CODECS = sorted(set(CHARACTER_SETS.values()))
_PIECES = st.sampled_from(
    ["\\", "\\X", "0D", "C3", "BC\\", "\\F\\", "\\.br\\", "\\C2841\\", "\\M3A4B\\", "\\E\\", "|", "^"]
)
_ESCAPED = st.lists(_PIECES | st.text(max_size=6), max_size=12).map("".join)
_FAST = settings(max_examples=200, derandomize=True, deadline=None)


def _block(field: str | bytes, charset: str = "", encoding: str = "^~\\&") -> bytes:
    raw = field if isinstance(field, bytes) else field.encode()
    return f"MSH|{encoding}|A|B|C|D|20261101||ADT^A04|1|P|2.7||||||{charset}\rOBX|1|ST|||".encode() + raw + b"\rZ99|end"


@pytest.mark.parametrize("name", sorted(CHARACTER_SETS))
def test_a_character_set_has_the_own_name_of_its_codec(name: str) -> None:
    assert codecs.lookup(CHARACTER_SETS[name]).name == CHARACTER_SETS[name]
    assert name == name.upper()


@_FAST
@given(_ESCAPED, st.sampled_from(_CODECS))
def test_whatever_is_escaped_is_decoded_without_an_error(text: str, codec: str) -> None:
    assert isinstance(unescape(text, STANDARD, codec), str)
    identifies(text, STANDARD, codec)


@_FAST
@given(_ESCAPED.filter(lambda text: "\r" not in text and "\n" not in text))
def test_what_is_decoded_never_becomes_a_segment_or_a_field(text: str) -> None:
    parsed = Message(_block(text.encode("utf-8", "ignore").replace(b"|", b""), "UNICODE UTF-8"))
    assert [segment.name for segment in parsed] == ["MSH", "OBX", "Z99"]
    assert parsed.first("OBX").text(6) == ""
    parsed.first("OBX").value(5).whole()


@_FAST
@given(st.lists(st.sampled_from(string.punctuation), min_size=6, max_size=6, unique=True), st.integers(2, 6))
def test_any_distinct_punctuation_delimits(marks: list[str], stated: int) -> None:
    field, encoding = marks[0], "".join(marks[1:stated])
    found = read_delimiters(field, encoding)
    assert (found.field, found.component) == (field, marks[1])
    given_marks = [found.component, found.repetition, found.escape, found.subcomponent, found.truncation]
    assert given_marks == [*encoding, *[""] * (5 - len(encoding))]
    head = field.join(["MSH", encoding, *"ABCD", "20261101", "", f"ADT{found.component}A04", "1", "P", "2.7"])
    parsed = Message(f"{head}\rOBX{field}x{found.component}y{field}z".encode())
    assert parsed.first("MSH").text(9, 2) == "A04"
    assert (parsed.first("OBX").text(1, 2), parsed.first("OBX").text(2)) == ("y", "z")


@_FAST
@given(st.binary(max_size=40), st.sampled_from([None, *_CODECS]), st.sampled_from([None, *_CODECS]))
def test_bytes_are_read_without_replacing_any_or_refused(raw: bytes, declared: str | None, default: str | None) -> None:
    try:
        text, used, guessed = decode(raw, declared, default)
    except InvalidMessage:
        return
    assert raw.decode(used, "strict") == text
    assert used in (declared, default, "utf-8", "cp1252")
    assert guessed or used == (declared or default) or raw.isascii()


@pytest.mark.parametrize(
    ("declared", "default", "raw", "read", "warned"),
    [
        ("8859/1", "", "Ä".encode("latin-1"), "iso8859-1", ""),
        ("", "8859/1", "Ä".encode("latin-1"), "iso8859-1", ""),
        ("", "GBK", "王".encode("gbk"), "gbk", ""),
        ("8859/1", "UNICODE UTF-8", "Ä".encode("latin-1"), "iso8859-1", ""),
        ("ASCII", "8859/1", "Ä".encode("latin-1"), "iso8859-1", "do not fit MSH-18"),
        ("8859/1", "", "“Ä”".encode("cp1252"), "iso8859-1", "are no characters of ISO 8859"),
        ("8859/1", "", "Straße".encode(), "iso8859-1", "are no characters of ISO 8859"),
        ("", "8859/15", "Straße".encode(), "iso8859-15", "are no characters of ISO 8859"),
        ("", "", "Ä".encode(), "utf-8", "was guessed: utf-8"),
        ("", "", "Ä".encode("latin-1"), "cp1252", "was guessed: cp1252"),
        ("", "", b"plain", "utf-8", ""),
        ("ASCII", "", b"plain", "ascii", ""),
        ("GB 18030-2000", "", "王".encode("gb18030"), "gb18030", ""),
        ("ISO IR14", "", "ｱ表".encode("shift_jis"), "shift_jis", ""),
        ("~ISO IR87", "", "山田".encode("iso2022_jp"), "iso2022_jp", ""),
        ("ISO IR14~ISO IR87", "", "山田".encode("iso2022_jp"), "iso2022_jp", ""),
        ("", "", "山田".encode("iso2022_jp"), "utf-8", "shift to another character set"),
        ("WINDOWS-1250", "", "Łódź".encode("cp1250"), "cp1250", ""),
    ],
)
def test_the_codec_is_msh_18_then_the_senders_then_a_flagged_guess(
    declared: str, default: str, raw: bytes, read: str, warned: str
) -> None:
    parsed = Message(_block(raw, declared), default)
    assert parsed.syntax.codec == read
    assert (warned in " ".join(parsed.warnings)) if warned else parsed.warnings == []
    if not warned:
        assert parsed.first("OBX").text(5) == raw.decode(read)


def test_msh_18_comes_before_the_senders_default() -> None:
    assert decode(b"\xb1", "iso8859-2", "iso8859-1") == ("\N{LATIN SMALL LETTER A WITH OGONEK}", "iso8859-2", False)


@pytest.mark.parametrize(("raw", "doubted"), [("Müller".encode(), True), ("Müller".encode("latin-1"), False)])
def test_a_character_set_that_utf_8_does_not_have_by_accident_is_a_doubt(raw: bytes, doubted: bool) -> None:
    block = _block(raw, "8859/1")
    assert any("UTF-8 as well" in warning for warning in Message(block).warnings) is doubted


def test_a_delimiter_inside_a_character_of_two_bytes_cuts_nothing() -> None:
    assert b"\\" in "表".encode("shift_jis")
    assert _read("表^x".encode("shift_jis"), "ISO IR14") == "表"


@pytest.mark.parametrize(
    ("written", "charset", "meant", "warned"),
    [
        (r"M\XC3\\XBC\ller", "UNICODE UTF-8", "Müller", ""),
        (r"M\XFC\ller", "8859/1", "Müller", ""),
        (r"M\XFC\ller", "UNICODE UTF-8", r"M\XFC\ller", "hexadecimal escape"),
        (r"\C2841\ \M3A4B\ \MCAFE20\.", "", r"\C2841\ \M3A4B\ \MCAFE20\.", "character set escape"),
        (r"C:\P\x", "", r"C:\P\x", ""),
        ("\ufffd", "UNICODE UTF-8", "\ufffd", "had been replaced"),
        ("a\x1fb\x07c", "UNICODE UTF-8", "abc", ""),
    ],
)
def test_what_cannot_be_decoded_stays_as_written_and_is_flagged(
    written: str, charset: str, meant: str, warned: str
) -> None:
    parsed = Message(_block(written, charset))
    assert parsed.first("OBX").value(5).whole() == meant
    assert (warned in " ".join(parsed.warnings)) if warned else parsed.warnings == []


def test_the_truncation_character_of_2_7_is_read() -> None:
    parsed = Message(_block(r"cut off#^a\P\b", encoding="^~\\&#"))
    assert parsed.first("OBX").text(5, 2) == "a#b"
    assert "cut off" in " ".join(parsed.warnings)
    assert Message(_block("a # b", encoding="^~\\&#")).warnings == []
    assert Message(_block("end#")).warnings == []


@pytest.mark.parametrize(
    "raw",
    [
        "47\x0111",
        "47\t11",
        "47\\.br\\11",
        "47\\X0D\\11",
        "47\ufffd11",
        "\\XFF\\4711",
        "\\C2841\\4711",
        "47\u008511",
        "47\u200b11",
        "\ufeff4711",
        "47\u202e11",
        "47\xad11",
        "47#",
    ],
)
def test_nobody_is_identified_by_a_character_that_was_not_meant(raw: str) -> None:
    delimiters = Delimiters(truncation="#")
    assert not identifies(raw, delimiters, "utf-8")
    assert identifies("47-11/A", delimiters, "utf-8")
    assert identifies("4\\F\\711 Ü", delimiters, "utf-8")


def _read(raw: bytes, charset: str) -> str:
    return Message(_block(raw, charset)).first("OBX").text(5)

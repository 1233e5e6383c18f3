"""The encoder: no text, however hostile, ends its field or starts a segment."""

from __future__ import annotations

import re

import hl7
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7.delimiters import STANDARD, Delimiters
from adapters.hl7.encode import Encoded, components, field, joined, message, repetitions, segment, subcomponents
from adapters.hl7.message import Message
from adapters.hl7.text import unescape

_HEADER = segment("MSH", {3: field("SIGHTLINE"), 12: field("2.5.1"), 18: field("UNICODE UTF-8")})
_ESCAPES = re.compile(r"\\([FSTRE]|\.br|X2222)\\")
#: What survives: everything but control characters, surrogates, and blanks at the ends.
_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60).map(lambda t: t.strip(" "))


def _read_back(part: Encoded) -> Message:
    return Message(message([_HEADER, part]))


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=80))
def test_no_text_makes_a_segment_or_a_field(text: str) -> None:
    parsed = _read_back(segment("OBX", {5: field(text), 11: field("P")}))
    assert [part.name for part in parsed] == ["MSH", "OBX"]
    assert parsed.first("OBX").text(11) == "P"
    assert len(parsed.first("OBX").values(5)) <= 1


@settings(derandomize=True, deadline=None)
@given(_TEXT)
def test_a_text_comes_back_as_it_was(text: str) -> None:
    assert _read_back(segment("OBX", {5: field(text)})).first("OBX").value(5).whole() == text


@settings(derandomize=True, deadline=None)
@given(st.lists(_TEXT, min_size=1, max_size=5))
def test_components_come_back_each_in_its_place(texts: list[str]) -> None:
    value = _read_back(segment("PID", {5: components(*texts)})).first("PID").value(5)
    assert [value.text(number) for number in range(1, len(texts) + 1)] == texts


@settings(derandomize=True, deadline=None)
@given(st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=3), min_size=1, max_size=3), st.text(max_size=20))
def test_no_text_makes_a_repetition_a_component_a_subcomponent_or_an_escape(rows: list[list[str]], text: str) -> None:
    """The delimiters that come out are those that were put in; every escape is one of ours."""
    encoded = repetitions(joined(*(subcomponents(t, "x") for t in row), Encoded("y")) for row in rows)
    assert encoded.count("~") == len(rows) - 1
    assert encoded.count("^") == sum(len(row) for row in rows)
    assert encoded.count("&") == sum(len(row) for row in rows)
    assert "|" not in encoded
    assert not set(_ESCAPES.sub("", field(text))) & set("|^~&\\\r\n")


@settings(derandomize=True, deadline=None, max_examples=60)
@given(_TEXT)
def test_python_hl7_reads_every_text_back(text: str) -> None:
    """As far as it is right: it takes a value of two quotes in hexadecimal for what it says."""
    parsed = hl7.parse(message([_HEADER, segment("OBX", {5: field(text), 11: field("P")})]).decode())
    obx = parsed.segment("OBX")
    assert [str(part[0]) for part in parsed] == ["MSH", "OBX"]
    assert parsed.unescape(str(obx[5]) if len(obx) > 5 else "") == text
    assert str(obx[11]) == "P"


@settings(derandomize=True, deadline=None, max_examples=40)
@given(_TEXT)
def test_hl7apy_reads_every_text_back(text: str) -> None:
    """As far as it is right: it leaves escape sequences as they are, so that they are decoded here."""
    block = message([_HEADER, segment("OBX", {2: field("TX"), 5: field(text), 11: field("P")})]).decode()
    peer = parse_message(block, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    assert [child.name for child in peer.children] == ["MSH", "OBX"]
    assert unescape(peer.obx.obx_5.to_er7(), STANDARD, "utf-8") == text
    assert peer.obx.obx_11.to_er7() == "P"


def test_the_escape_character_is_escaped_once() -> None:
    assert field("\\F\\|^&~") == "\\E\\F\\E\\\\F\\\\S\\\\T\\\\R\\"


def test_every_kind_of_line_break_becomes_a_formatting_command() -> None:
    assert field("a\r\nb\rc\nd\x85e\u2028f") == "a\\.br\\b\\.br\\c\\.br\\d\\.br\\e\\.br\\f"


def test_control_characters_and_lone_surrogates_cannot_be_sent() -> None:
    assert message([field("a\x0b\x1c\x00\x7fb\ud800")]) == b"ab?\r"


def test_a_text_of_two_quotes_does_not_mean_delete() -> None:
    value = _read_back(segment("PID", {5: field('""')})).first("PID").value(5)
    assert not value.deleted
    assert value.text() == '""'


def test_the_delimiters_of_another_sender_are_escaped_for_it() -> None:
    assert field("a#b!c", Delimiters("#", "!", "@", "%", "*")) == "a%F%b%S%c"
    assert field("a|b", Delimiters("|", "^", "", "", "")) == "a b"


def test_fields_stand_at_their_numbers() -> None:
    assert segment("OBR", {4: field("x"), 2: field("y"), 9: field("")}) == "OBR||y||x"
    assert segment("MSH", {3: field("A"), 9: components("ORU", "R01")}) == "MSH|^~\\&|A||||||ORU^R01"
    assert repetitions([field("a~b"), field("c")]) == "a\\R\\b~c"

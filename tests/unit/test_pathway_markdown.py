"""Text of a record in a card: shown as it is, never as markup, HTML or a link."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cds.pathways import markdown as md

#: Characters that mean something to Markdown or HTML, thick on the ground.
HOSTILE = st.text(
    alphabet=st.one_of(st.sampled_from(list("\\`*_{}[]()<>#+-.!|~&\"'=:/@\n\t 0123456789abwhtps")), st.characters()),
    max_size=60,
)


def tokens(markdown: str) -> list[Token]:
    """What a GFM parser makes of it, inline tokens included."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [inner for token in parser.parse(markdown) for inner in (token, *(token.children or []))]


def kinds(markdown: str) -> set[str]:
    """The kinds of tokens, without those of plain text."""
    return {token.type for token in tokens(markdown)} - {"inline", "text", "text_special"}


@settings(derandomize=True, deadline=None)
@given(HOSTILE)
def test_no_text_becomes_markup_html_or_a_link(text: str) -> None:
    escaped = md.escape(text)
    assert "\n" not in escaped
    assert kinds(f"before {escaped} after") == {"paragraph_open", "paragraph_close"}
    in_list = kinds(md.bullets([f"value: {escaped}"]))
    plain = {"bullet_list", "list_item", "paragraph"}
    assert in_list == {f"{kind}_{end}" for kind in plain for end in ("open", "close")}


@settings(derandomize=True, deadline=None)
@given(HOSTILE)
def test_no_text_starts_a_block(text: str) -> None:
    assert kinds(md.escape(text)) <= {"paragraph_open", "paragraph_close"}


@settings(derandomize=True, deadline=None)
@given(HOSTILE)
def test_no_address_survives_that_a_renderer_would_link(text: str) -> None:
    escaped = md.escape(text)
    assert "://" not in escaped
    assert "www." not in escaped.lower()
    assert "<" not in escaped
    assert ">" not in escaped


@pytest.mark.parametrize(
    "text",
    [
        "18.2 %",
        "HL7 LAB|HOSPITAL",
        "a < b & c > d",
        "2 * 3 = 6",
        "snake_case",
        "C:\\path",
        "1. first",
        "2) second",
        "- no",
        "# no",
        "+ no",
    ],
)
def test_the_reader_sees_the_text_as_it_was(text: str) -> None:
    assert "".join(token.content for token in tokens(md.escape(text)) if not token.children and token.content) == text


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/x",
        "HTTP://evil.example",
        "www.evil.example",
        "mailto:a@evil.example",
        "ftp://evil.example",
    ],
)
def test_addresses_are_parted_by_a_space(text: str) -> None:
    assert " " in md.escape(text)


def test_invisible_and_reordering_characters_are_dropped() -> None:
    assert md.escape("abc\u202edef\u200bghi\x00\u2066") == "abc def ghi"


def test_what_is_empty_leaves_no_trace() -> None:
    assert md.document("one", "", md.section("Two", ""), "three") == "one\n\nthree"

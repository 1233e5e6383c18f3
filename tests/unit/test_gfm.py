"""A card's Markdown becomes HTML in which nothing of the card can run, load or link elsewhere than to the web."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.render.gfm import html, is_web

#: CommonMark 0.31 and the tables and strikethrough of GFM 0.29.
ALLOWED = frozenset(
    ("a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
     "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul")
)  # fmt: skip


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_text_lists_and_tables_become_html() -> None:
    page = html("**Why**: 6 < 8 mm\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | ~~2~~ |\n")
    assert "<strong>Why</strong>: 6 &lt; 8 mm" in page
    assert "<li>one</li>" in page
    assert "<td><s>2</s></td>" in page


@pytest.mark.parametrize(
    "markdown",
    ["<script>alert(1)</script>", "a <img src=x onerror=alert(1)>", "<a href='javascript:alert(1)'>x</a>",
     "[x](javascript:alert(1))", "[x](data:text/html,x)", "[x](file:///etc/passwd)", "<javascript:alert(1)>",
     "![x](https://e.example/x.png)", "[x](JaVaScRiPt:alert(1))", "[x](&#106;avascript:alert(1))", "[x](//e.example)"],
)  # fmt: skip
def test_what_could_run_load_or_leave_is_text(markdown: str) -> None:
    found = Tags(html(markdown))
    assert found.tags <= {"p", "a"}
    assert all(link.startswith("https://") for link in found.links)


@given(st.text(max_size=200) | st.text(st.sampled_from("<>&\"'[]()!*_`~|\\\n -#:jhtpsavcri/"), max_size=80))
def test_no_text_makes_another_tag_or_attribute(markdown: str) -> None:
    found = Tags(html(markdown))
    assert found.tags <= ALLOWED
    assert found.attributes <= {"href", "title", "class", "start", "style"}
    assert all(re.match(r"(?i)https?:", link) for link in found.links)


@pytest.mark.parametrize(
    ("url", "web"), [("https://x", True), ("HTTP://x", True), ("ftp://x", False), ("http://[", False)]
)
def test_only_http_is_the_web(url: str, web: bool) -> None:
    assert is_web(url) is web

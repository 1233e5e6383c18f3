"""GitHub Flavored Markdown of a card as HTML for a page: no HTML of its own, no image, no link but http(s) ones."""

from __future__ import annotations

from urllib.parse import urlsplit

from markdown_it import MarkdownIt


def is_web(url: str) -> bool:
    """Whether a page may link to an address: other schemes run or open something."""
    try:
        return urlsplit(url).scheme.lower() in ("http", "https")
    except ValueError:
        return False


class _Reader(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # the library's name
        return is_web(url)


def _reader() -> MarkdownIt:
    """CommonMark with the tables and strikethrough of GFM; bare addresses stay text."""
    reader = _Reader("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    return reader.disable(["image", "html_block", "html_inline"])


_READER = _reader()


def html(markdown: str) -> str:
    """The HTML of a card's detail; whatever is markup of a page in it is shown as text."""
    return str(_READER.render(markdown))

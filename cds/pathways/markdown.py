"""GitHub Flavored Markdown for cards: what a record or a setting says is shown as text and never acts as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from cds.domain.recommendation import Source

#: GFM punctuation that starts or ends markup anywhere in a line (spec 0.29, section 6.1).
_ACTIVE = re.compile(r"([\\`*_\[\]|~])")
#: As entities, so that a reader who takes the text for HTML sees the same characters.
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
#: Bare addresses become links without any markup (section 6.9): a space parts them.
_AUTOLINK = re.compile(r"(?i)(\w[\w+.-]*:(?=//)|\b(?:mailto|xmpp):|\bwww(?=\.))")
#: What starts a block at the beginning of a line: a list, a rule, a heading's underline.
_BLOCK = re.compile(r"^([-+=#]|\d+(?=[.)](?:\s|$)))")
_TAG = re.compile("[&<>]")
#: Nothing in it is markup, a space other than U+0020 or invisible, and nothing at its beginning starts a block.
_HARMLESS = re.compile(
    r"(?![-+=# ]|\d+[.)])[^\x00-\x1f\x7f-\xa0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
    r"\\`*_\[\]|~&<>@]*"
)
_SPACE = re.compile(r"\s+")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def escape(text: str) -> str:
    """Text of a record as one line of plain text: no markup, no HTML, no link, no invisible or reordering character."""
    return text if _is_plain(text) else _escaped(text)


def _is_plain(text: str) -> bool:
    """True only where nothing is to be escaped, as in most sentences."""
    if _HARMLESS.fullmatch(text) is None or "  " in text or "//" in text or text[-1:] == " ":
        return False
    return (":" not in text and "www." not in text.lower()) or _AUTOLINK.search(text) is None


def _escaped(text: str) -> str:
    line = _SPACE.sub(" ", _UNSEEN.sub(" ", text)).strip()
    line = _AUTOLINK.sub(r"\1 ", line).replace("@", " @ ")
    line = _ACTIVE.sub(r"\\\1", _TAG.sub(lambda m: _HTML[m[0]], line))
    return _BLOCK.sub(lambda m: f"{m[1]}\\" if m[1].isdigit() else f"\\{m[1]}", line)


def bullets(lines: Iterable[str]) -> str:
    """A list; the lines must be escaped where they hold text of a record."""
    return "\n".join(f"- {line}" for line in lines)


def section(title: str, body: str) -> str:
    """A bold title and its body; empty where there is nothing to show."""
    return f"**{title}**\n\n{body}" if body else ""


def document(*sections: str) -> str:
    """The sections that are not empty, with a blank line between."""
    return "\n\n".join(part for part in sections if part)


def link(source: Source) -> str:
    """A source of our own, as a link."""
    return f"[{source.label}]({source.url})"


def day(effective: date | None) -> str:
    """A date as ISO 8601, or that there is none."""
    return effective.isoformat() if effective else "no date"

"""What needs no escaping is not looked through for it: the same text as if it were."""

from __future__ import annotations

import random

import pytest

from cds.pathways import markdown

PIECES = [
    *" \t-+=#1.)w.:/@*_&<a\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{GREATER-THAN OR EQUAL TO}",
    "www.", "WWW.", "http://", "mailto:", "ma\N{LATIN SMALL LETTER DOTLESS I}lto:", "XMPP:", "12.", "  ", "plain text",
]  # fmt: skip


@pytest.mark.parametrize("block", range(0, 0x10000, 0x1000))
def test_no_character_slips_through(block: int) -> None:
    for character in map(chr, range(block, block + 0x1000)):
        for text in (character, f"a{character}b", f"{character}a", f"a{character}", f"a {character} b"):
            assert markdown.escape(text) == markdown._escaped(text)


def test_no_mixture_of_what_acts_and_what_does_not_slips_through() -> None:
    chance = random.Random(17)
    for _ in range(20_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(0, 7)))
        assert markdown.escape(text) == markdown._escaped(text)


@pytest.mark.parametrize(
    "text", ["Repeat the CT in 12 months (by 2027-01-02)", "LAA-950 \N{GREATER-THAN OR EQUAL TO} 10 %", ""]
)
def test_sentences_of_guidelines_are_plain(text: str) -> None:
    assert markdown._is_plain(text)
    assert markdown.escape(text) == text

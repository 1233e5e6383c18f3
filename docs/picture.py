"""Draws docs/demo.svg from a real run: `.venv/bin/cds demo --exit | .venv/bin/python docs/picture.py`."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

_RULE = re.compile(r"─+ (?P<title>.+?) ─+")
_SHOWN = ("1  ", "2  ", "3  ")
_CARD = re.compile(r"(info|warning|critical): |  suggestion: ")


def main() -> None:
    """Keep the acts up to the report, and what the card says."""
    console = Console(record=True, width=112, file=io.StringIO())
    shown = False
    for line in sys.stdin.read().splitlines():
        if rule := _RULE.fullmatch(line):
            shown = rule["title"].startswith(_SHOWN)
            if shown:
                console.rule(f"[bold]{rule['title']}")
        elif shown or _CARD.match(line):
            console.print(Text(line))
    # No fonts from elsewhere: a reader's browser fetches nothing.
    drawn = re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", console.export_svg(title="make demo"), flags=re.DOTALL)
    Path(__file__).with_name("demo.svg").write_text(drawn)


main()

"""A report as a PDF for charts that keep documents, the same bytes for the same report.

It is drawn with the Helvetica that every reader has, in Windows-1252. A character that this font lacks is never
replaced by another: it stands as [U+XXXX], and a line says so.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from cds import __version__
from cds.domain import conclusion
from cds.domain.recommendation import Source
from cds.domain.report import Report
from cds.render.document import TITLE, Block, Cell, Heading, Notice, Paragraph, blocks

_FONT = "Helvetica"
_ENCODING = "cp1252"
_MISSING = "Characters that this document cannot draw stand as [U+number]; the message that it came with has them."
_TITLE_SIZE, _HEADING_SIZE = 14, 11
_GREY = 230
#: What fills most of a page even in the widest letters, and in lines of their own.
_CHARACTERS_PER_PERCENT, _MOST_LINES = 25, 20

Row = tuple[str, ...]


def render(report: Report, *, site_name: str, time_zone: str) -> bytes:
    """The report as its audience may see it; times are written in the site's zone."""
    page = _Page()
    page.set_creation_date(report.issued)
    page.set_producer(f"Sightline {__version__}")
    page.set_title(TITLE)
    page.core_fonts_encoding = _ENCODING
    page.add_page()
    for block in blocks(report, site_name=site_name, time_zone=time_zone):
        _draw(page, block)
    if page.refused:
        page.bold(_MISSING)
    return bytes(page.output())


def _draw(page: _Page, block: Block) -> None:
    if isinstance(block, Heading):
        page.heading(block.text, size=_TITLE_SIZE if block.top else _HEADING_SIZE)
    elif isinstance(block, Notice):
        page.bold(block.text)
    elif isinstance(block, Paragraph):
        page.text_lines("".join(_words(span) for span in block.spans))
    else:
        page.rows(block.head, [tuple(_words(cell) for cell in row) for row in block.rows], block.widths)


def _words(cell: Cell) -> str:
    return f"{cell.label}, {cell.url}" if isinstance(cell, Source) else cell


class _Page(FPDF):
    """The document; `refused` is true once a character could not be drawn."""

    refused = False

    def footer(self) -> None:
        """On every page, so that none is taken for a radiologist's."""
        self.set_y(-12)
        self.set_font(_FONT, size=8)
        self.cell(0, 5, f"{conclusion.DISCLAIMER} Page {self.page_no()}")

    def heading(self, text: str, *, size: int = _HEADING_SIZE) -> None:
        """A heading with room above it."""
        self.ln(2)
        self.set_font(_FONT, "B", size)
        self._lines(text)
        self.set_font(_FONT, size=9)

    def bold(self, text: str) -> None:
        """A line that nobody is to miss."""
        self.set_font(_FONT, "B", 9)
        self._lines(text)
        self.set_font(_FONT, size=9)

    def text_lines(self, *texts: str) -> None:
        """Paragraphs."""
        for text in texts:
            self._lines(text)

    def rows(self, head: Row, body: Sequence[Row], widths: tuple[int, ...]) -> None:
        """A table with a heading row; nothing where it has no rows. `widths` are percentages of the page."""
        if not body:
            return
        self.ln(2)
        style = FontFace(emphasis="BOLD", fill_color=_GREY)
        with self.table(col_widths=widths, headings_style=style, text_align="LEFT", line_height=5) as table:
            for row in (head, *body):
                cells = (_pieces(self._drawable(text), width) for text, width in zip(row, widths, strict=True))
                for pieces in zip_longest(*cells, fillvalue=""):
                    table.row(pieces)

    def _lines(self, text: str) -> None:
        self.multi_cell(0, 5, self._drawable(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _drawable(self, text: str) -> str:
        drawable = "".join(_drawable(character) for character in unicodedata.normalize("NFC", text))
        self.refused = self.refused or "[U+" in drawable
        return drawable


def _drawable(character: str) -> str:
    if character in "\n\t":
        return " " if character == "\t" else character
    try:
        character.encode(_ENCODING)
    except UnicodeEncodeError:
        return f"[U+{ord(character):04X}]"
    return character if character.isprintable() or character == "\N{NO-BREAK SPACE}" else ""


def _pieces(text: str, width: int) -> list[str]:
    """A text in pieces that a cell of this width (in percent) holds on one page: a row cannot go on on the next."""
    most = width * _CHARACTERS_PER_PERCENT
    if len(text) <= most and text.count("\n") < _MOST_LINES:
        return [text]
    return textwrap.wrap(text, most)

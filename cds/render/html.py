"""A report as one HTML page for charts that keep documents, the same bytes for the same report.

Nothing is loaded and nothing runs: no script, no style or image from elsewhere, and no link but the DOI of a source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from cds.domain import conclusion
from cds.domain.recommendation import Source
from cds.domain.report import Report
from cds.render.document import TITLE, Block, Cell, Heading, Notice, Paragraph, Table, blocks

_DOI = "https://doi.org/"
#: HTML has no place for these (HTML Living Standard, 3.2.5.1.5 text content).
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Readable without anything else: WCAG 2.2 AA contrast, tables with borders.
STYLE = (
    "body{font:1rem/1.45 system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem}"
    "body{color:#111;background:#fff}"
    "h1{font-size:1.4rem}h2{font-size:1.15rem;margin:1.4rem 0 .3rem}"
    "table{border-collapse:collapse;width:100%;margin:.8rem 0}caption{text-align:left;font-weight:bold}"
    "th,td{border:1px solid #767676;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#eee}.notice{border-left:.3rem solid #b00020;padding-left:.6rem;font-weight:bold}"
    "footer{margin-top:1.5rem;border-top:1px solid #767676;font-size:.9rem}"
)


def render(report: Report, *, site_name: str, time_zone: str) -> bytes:
    """The report as its audience may see it; times are written in the site's zone."""
    drawn = body(blocks(report, site_name=site_name, time_zone=time_zone))
    page = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{TITLE}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        drawn,
        "</main>",
        f"<footer><p>{words(conclusion.DISCLAIMER)}</p></footer>",
        "</body>",
        "</html>",
    )
    return ("\n".join(page) + "\n").encode()


def body(drawn: Iterable[Block]) -> str:
    """Blocks as they stand in a page."""
    return "\n".join(filter(None, map(_block, drawn)))


def words(text: str) -> str:
    """Text as text: escaped, without what HTML has no place for."""
    return escape(_CONTROL.sub("", text)).replace("\n", "<br>")


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        name = "h1" if block.top else "h2"
        return f"<{name}>{words(block.text)}</{name}>"
    if isinstance(block, Notice):
        return f'<p class="notice">{words(block.text)}</p>'
    if isinstance(block, Paragraph):
        text = "".join(_cell(span) for span in block.spans)
        return f"<p>{text}</p>" if text else ""
    return "\n".join(_table(block))


def _table(table: Table) -> Iterator[str]:
    yield "<table>"
    named = any(table.head[1:])
    if named:
        heads = "".join(f'<th scope="col">{words(head)}</th>' for head in table.head)
        yield f"<thead><tr>{heads}</tr></thead>"
    else:
        yield f"<caption>{words(table.head[0])}</caption>"
    yield "<tbody>"
    for first, *rest in table.rows:
        cells = "".join(f'<td dir="auto">{_cell(cell)}</td>' for cell in rest)
        yield f'<tr><th scope="row" dir="auto">{_cell(first)}</th>{cells}</tr>'
    yield "</tbody>"
    yield "</table>"


def _cell(cell: Cell) -> str:
    if not isinstance(cell, Source):
        return words(cell)
    label, url = words(cell.label), words(cell.url)
    if not cell.url.startswith(_DOI):
        return f"{label}, {url}"
    return f'{label}, <a href="{url}" rel="noopener noreferrer">{url}</a>'

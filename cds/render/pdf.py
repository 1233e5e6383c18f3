"""A report as a PDF for charts that keep documents, the same bytes for the same report.

It is drawn with the Helvetica that every reader has, in Windows-1252. A character that this font lacks is never
replaced by another: it stands as [U+XXXX], and a line says so.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from zoneinfo import ZoneInfo

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

from cds import __version__
from cds.domain import conclusion
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.ids import report_number
from cds.domain.matching import MatchState
from cds.domain.opinion import remarks
from cds.domain.recommendation import Advice, CouldNotTell, Recommendation
from cds.domain.report import Report

_FONT = "Helvetica"
_ENCODING = "cp1252"
_MISSING = "Characters that this document cannot draw stand as [U+number]; the message that it came with has them."
_WORDS = {
    Presence.PRESENT: "detected",
    Presence.NOT_DETECTED: "not detected; does not exclude",
    Presence.MEASURED: "measured",
    Presence.NOT_EVALUATED: "not evaluated",
}
_GREY = 230
#: What fills most of a page even in the widest letters, and in lines of their own.
_CHARACTERS_PER_PERCENT, _MOST_LINES = 25, 20

Row = tuple[str, ...]


def render(report: Report, *, site_name: str, time_zone: str) -> bytes:
    """The report as its audience may see it; times are written in the site's zone."""
    page = _Page()
    page.set_creation_date(report.issued)
    page.set_producer(f"Sightline {__version__}")
    page.set_title("AI analysis of imaging study")
    page.core_fonts_encoding = _ENCODING
    page.add_page()
    page.heading(f"AI analysis of imaging study - {site_name}", size=14)
    if report.test:
        page.bold("TEST: made from test messages, not a result of a patient.")
    page.bold(conclusion.DISCLAIMER)
    page.text_lines("Research software, not a cleared medical device. Advice for a clinician.")
    page.rows(("Patient and study", ""), list(_about(report, ZoneInfo(time_zone))), (30, 70))
    for text in (*conclusion.unattached(report), *conclusion.incomplete(report)):
        page.bold(text)
    _findings(page, report)
    _guidance(page, report)
    page.text_lines(*conclusion.withheld(report))
    page.text_lines(*_closing(report))
    if page.refused:
        page.bold(_MISSING)
    return bytes(page.output())


class _Page(FPDF):
    """The document; `refused` is true once a character could not be drawn."""

    refused = False

    def footer(self) -> None:
        """On every page, so that none is taken for a radiologist's."""
        self.set_y(-12)
        self.set_font(_FONT, size=8)
        self.cell(0, 5, f"{conclusion.DISCLAIMER} Page {self.page_no()}")

    def heading(self, text: str, *, size: int = 11) -> None:
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


def _about(report: Report, zone: ZoneInfo) -> Iterator[Row]:
    patient, study = report.patient, report.study
    if patient is not None:
        yield "Name", f"{patient.name.family}, {patient.name.given}".strip(", ") or "not known"
        numbers = (identifier.as_sent() for identifier in patient.identifiers)
        yield "Numbers", "; ".join(f"{number.value} ({number.assigner})" for number in numbers)
        yield "Birth date, sex", f"{patient.birth_date or 'not known'}, {patient.sex.value}"
    if report.match.state is MatchState.MATCHED:  # an order that was cancelled is not named
        accession = (report.order.accession if report.order else None) or study.accession
        sent = accession.as_sent() if accession else None
        yield "Accession number", f"{sent.value} ({sent.assigner})" if sent else "none"
    made = study.started_at.astimezone(zone).isoformat(" ", "minutes") if study.started_at else study.study_date
    yield "Images made", str(made or "not known")
    yield "Study", f"{study.description} {study.study_instance_uid}".strip()
    yield "Report", f"SL-{report_number(study, report.episode)}, version {report.version}, preliminary"
    yield "Issued", report.issued.astimezone(zone).isoformat(" ", "minutes")


def _findings(page: _Page, report: Report) -> None:
    measured: list[Row] = []
    refused: list[Row] = []
    for outcome in report.outcomes:
        name = f"{outcome.model} {outcome.version}"
        if isinstance(outcome, NotEvaluated):
            refused.append(("the study", name, "; ".join(outcome.reasons) or "no reason given"))
            continue
        for finding in outcome.findings:
            if finding.presence is Presence.NOT_EVALUATED:
                refused.append((_title(finding), name, finding.reason or "no reason given"))
            else:
                measured.append(_row(finding, name))
    page.rows(("Finding", "Result", "Value", "Threshold", "By"), measured, (34, 22, 14, 12, 18))
    page.rows(("Not evaluated", "By", "Why"), refused, (34, 24, 42))
    page.text_lines(*_remarks(report))


def _row(finding: Finding, name: str) -> Row:
    value, threshold = (conclusion.amount(q) if q else "" for q in (finding.value, finding.threshold))
    return _title(finding), _WORDS[finding.presence], value, threshold, name


def _title(finding: Finding) -> str:
    site = f" ({finding.body_site.display or finding.body_site.code})" if finding.body_site else ""
    return f"{finding.code.display or finding.code.code}{site}"


def _remarks(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        if isinstance(outcome, Findings):
            for finding in outcome.findings:
                said = remarks(report, outcome.model, outcome.version, finding.key, conclusion.amount)
                yield from (f"{_title(finding)}: {remark.text}" for remark in said)
            name = f"{outcome.model} {outcome.version}"
            yield from (f"Limit of {name}: {limit.rstrip('.')}." for limit in outcome.limits)


def _guidance(page: _Page, report: Report) -> None:
    for said in conclusion.guidance(report):
        if isinstance(said, Advice):
            page.heading(said.title)
            page.text_lines(*filter(None, (said.summary, *_used(said))))
            rows = [_recommended(item) for item in said.recommendations]
            page.rows(("Recommendation", "When", "Why", "Source"), rows, (22, 16, 34, 28))
        elif isinstance(said, CouldNotTell):
            page.heading(said.title)
            page.text_lines(f"Not evaluated: {said.reason}.", *(f"Missing: {name}." for name in said.missing))
            page.text_lines(*(f"How to get it: {how}." for how in said.how_to_get))


def _used(advice: Advice) -> Iterator[str]:
    yield from (f"Used: {conclusion.input_text(item)}." for item in advice.inputs)
    for risk in advice.risks:
        source = f"Source: {risk.source.label}, {risk.source.url}"
        said = f"{risk.value}, {risk.outcome}" if risk.value is not None else f"not evaluated, {risk.outcome}"
        yield f"{risk.title}: {said}. {source}"
        yield from (f"Missing for {risk.title}: {name}." for name in risk.missing)
    yield from (f"Not known: {name}." for name in advice.missing)


def _recommended(item: Recommendation) -> Row:
    days = [f"{word} {day.isoformat()}" for word, day in (("from", item.not_before), ("by", item.by)) if day]
    when = f"{' '.join(days)} ({item.priority.value})".strip()
    return item.action, when, item.reason, f"{item.source.label}, {item.source.url}"


def _closing(report: Report) -> Iterator[str]:
    yield ""
    if report.replaces is not None:
        yield f"This is version {report.version}; it replaces version {report.replaces}."
    if report.final_report is not None:
        day = (report.final_report.issued or report.final_report.received_at).date()
        yield f"A radiology report of {day.isoformat()} was known."
    yield f"Made by Sightline {__version__}."

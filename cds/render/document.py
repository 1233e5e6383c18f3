"""What a report says as a document, whatever draws it: headings, notices, paragraphs and tables, in reading order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cds import __version__
from cds.domain import conclusion
from cds.domain.finding import Finding, Findings, NotEvaluated, Presence
from cds.domain.ids import report_number
from cds.domain.matching import MatchState
from cds.domain.opinion import remarks
from cds.domain.recommendation import Advice, CouldNotTell, InputUsed, Recommendation, Source
from cds.domain.report import Report
from cds.domain.wording import details

TITLE = "AI analysis of imaging study"

_WORDS = {
    Presence.PRESENT: "detected",
    Presence.NOT_DETECTED: "not detected; does not exclude",
    Presence.MEASURED: "measured",
    Presence.NOT_EVALUATED: "not evaluated",
}

#: Words, or a source that may become a link.
Span = str | Source
Cell = str | Source


@dataclass(frozen=True, slots=True)
class Heading:
    """A section begins; `top` is the title of the document."""

    text: str
    top: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A line that nobody is to miss."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`widths` are percentages of the page. A second heading that is empty: the first column names the rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[int, ...]


Block = Heading | Notice | Paragraph | Table


def blocks(report: Report, *, site_name: str, time_zone: str) -> tuple[Block, ...]:
    """The report as its audience may see it; times are written in the site's zone. No table is without rows."""
    found = _blocks(report, site_name, ZoneInfo(time_zone))
    return tuple(block for block in found if not isinstance(block, Table) or block.rows)


def _blocks(report: Report, site_name: str, zone: ZoneInfo) -> Iterator[Block]:
    yield Heading(f"{TITLE} - {site_name}", top=True)
    if report.test:
        yield Notice("TEST: made from test messages, not a result of a patient.")
    yield Notice(conclusion.DISCLAIMER)
    yield _text("Research software, not a cleared medical device. Advice for a clinician.")
    yield _text("Labelled as what an artificial intelligence asserted (AIAST).")
    yield Table(("Patient and study", ""), tuple(_about(report, zone)), (30, 70))
    yield from (Notice(text) for text in (*conclusion.unattached(report), *conclusion.incomplete(report)))
    yield Heading("Findings")
    yield from _findings(report)
    yield from _guidance(report)
    yield from (_text(text) for text in (*conclusion.withheld(report), "", *_closing(report)))


def _text(*spans: Span) -> Paragraph:
    return Paragraph(spans)


def _about(report: Report, zone: ZoneInfo) -> Iterator[tuple[Cell, ...]]:
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


def _findings(report: Report) -> Iterator[Block]:
    measured: list[tuple[Cell, ...]] = []
    refused: list[tuple[Cell, ...]] = []
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
    yield Table(("Finding", "Result", "Value", "Threshold", "By"), tuple(measured), (34, 22, 14, 12, 18))
    yield Table(("Not evaluated", "By", "Why"), tuple(refused), (34, 24, 42))
    yield from (_text(text) for text in _remarks(report))


def _row(finding: Finding, name: str) -> tuple[Cell, ...]:
    value, threshold = (conclusion.amount(q) if q else "" for q in (finding.value, finding.threshold))
    sure = finding.confidence if finding.presence is Presence.PRESENT else None
    certainty = f", certainty {sure * 100:.4g} %" if sure is not None else ""
    return _title(finding), f"{_WORDS[finding.presence]}{certainty}", value, threshold, name


def _title(finding: Finding) -> str:
    site = finding.body_site.display or finding.body_site.code if finding.body_site else ""
    where = ", ".join(filter(None, (site, finding.laterality)))
    return f"{finding.code.display or finding.code.code}{f' ({where})' if where else ''}"


def _remarks(report: Report) -> Iterator[str]:
    for outcome in report.outcomes:
        if isinstance(outcome, Findings):
            for finding in outcome.findings:
                yield from (f"{_title(finding)}: {detail}" for detail in details(finding))
                said = remarks(report, outcome.model, outcome.version, finding.key, conclusion.amount)
                yield from (f"{_title(finding)}: {remark.text}" for remark in said)
            name = f"{outcome.model} {outcome.version}"
            yield from (f"Limit of {name}: {limit.rstrip('.')}." for limit in outcome.limits)


def _guidance(report: Report) -> Iterator[Block]:
    for said in conclusion.guidance(report):
        if isinstance(said, Advice):
            yield Heading(said.title)
            yield from ((_text(said.summary),) if said.summary else ())
            yield from _used(said)
            rows = tuple(_recommended(item) for item in said.recommendations)
            yield Table(("Recommendation", "When", "Why", "Source"), rows, (22, 16, 34, 28))
            yield from map(_text, said.contradictions)
            yield from (_text(f"Remark: {note}") for note in said.notes)
            changes = dict.fromkeys(told for item in said.recommendations for told in item.would_change)
            yield from (_text(f"What would change it: {told}") for told in changes)
        elif isinstance(said, CouldNotTell):
            yield Heading(said.title)
            yield _text(f"Not evaluated: {said.reason}.")
            yield from (_text(f"Missing: {name}.") for name in said.missing)
            yield from (_text(f"How to get it: {how}.") for how in said.how_to_get)


def _used(advice: Advice) -> Iterator[Block]:
    yield from (_text(f"Used: {conclusion.input_text(item)}.") for item in _inputs(advice))
    for risk in advice.risks:
        said = f"{risk.value}, {risk.outcome}" if risk.value is not None else f"not evaluated, {risk.outcome}"
        yield _text(f"{risk.title}: {said}. Source: ", risk.source)
        yield from (_text(f"Missing for {risk.title}: {name}.") for name in risk.missing)
    yield from (_text(f"Not known: {name}.") for name in advice.missing)


def _inputs(advice: Advice) -> tuple[InputUsed, ...]:
    """What the pathway and its scores rest on, each once."""
    return tuple(dict.fromkeys([*advice.inputs, *(item for risk in advice.risks for item in risk.inputs)]))


def _recommended(item: Recommendation) -> tuple[Cell, ...]:
    days = [f"{word} {day.isoformat()}" for word, day in (("from", item.not_before), ("by", item.by)) if day]
    return item.action, f"{' '.join(days)} ({conclusion.urgency(item)})".strip(), item.reason, item.source


def _closing(report: Report) -> Iterator[str]:
    if report.replaces is not None:
        yield f"This is version {report.version}; it replaces version {report.replaces}."
    if report.final_report is not None:
        day = (report.final_report.issued or report.final_report.received_at).date()
        yield f"A radiology report of {day.isoformat()} was known."
    yield f"Made by Sightline {__version__}."

"""A report in plain words, the same on every wire: what was measured, what was not and why, what is recommended.

FHIR has it as DiagnosticReport.conclusion, HL7 v2 as an observation, the document as its summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from cds.domain.finding import Finding, Findings, ModelOutcome, NotEvaluated, Presence
from cds.domain.matching import MatchState
from cds.domain.opinion import remarks
from cds.domain.recommendation import Advice, CouldNotTell, InputUsed, PathwayOutcome, Recommendation
from cds.domain.report import Audience, Report
from cds.domain.wording import amount, details, unit_name

__all__ = [
    "absence",
    "amount",
    "guidance",
    "horizon_end",
    "incomplete",
    "input_text",
    "text",
    "unattached",
    "unit_name",
    "urgency",
    "withheld",
]

DISCLAIMER = "AI output, preliminary, advisory; not a radiology report."
#: How a release names the audience that a reason is about.
_REFERRAL = f"{Audience.REFERRAL.value}: "
_DAYS_PER_YEAR = 365.25


def text(report: Report) -> str:
    """The whole conclusion, one statement per line."""
    return "\n".join(_lines(report))


def absence(finding: Finding, model: str, version: str) -> str:
    """SAFETY section 6: a negative names its model and threshold, and excludes nothing."""
    at = f" at threshold {amount(finding.threshold)}" if finding.threshold else ""
    return f"not detected by {model} {version}{at}; does not exclude"


def guidance(report: Report) -> tuple[PathwayOutcome, ...]:
    """What the guidelines say, where the release lets referral advice out; the findings do not wait (SAFETY 4)."""
    return report.decision.outcomes if report.decision.release.allows(Audience.REFERRAL) else ()


def input_text(item: InputUsed) -> str:
    """A value as the reader sees it: name, value, date, source."""
    when = item.effective.isoformat() if item.effective else "no date"
    return f"{item.name}: {item.value} ({when}, {item.source})"


def urgency(step: Recommendation) -> str:
    """How urgent a step is: its priority, and the ACR category where somebody has to be told."""
    return step.priority.value if step.acr_category is None else f"{step.priority.value}, ACR {step.acr_category}"


def horizon_end(years: float, start: date) -> date:
    """The last day that a risk over so many years speaks of."""
    return start + timedelta(days=round(years * _DAYS_PER_YEAR))


def _lines(report: Report) -> Iterator[str]:
    yield DISCLAIMER
    if report.version > 1:
        yield f"Version {report.version}, replaces version {report.replaces or report.version - 1}."
    yield from unattached(report)
    yield from incomplete(report)
    for outcome in report.outcomes:
        yield from _of_model(outcome, report)
    for said in guidance(report):
        if isinstance(said, Advice):
            yield from _of_advice(said)
        elif isinstance(said, CouldNotTell):
            yield f"Could not be told: {said.title}: {_with(said.reason, said.missing)}."
    yield from withheld(report)


def unattached(report: Report) -> Iterator[str]:
    """Why it belongs to no order, or to nobody; nothing where it does."""
    if report.match.state is not MatchState.MATCHED:
        to = "an order" if report.match.state is MatchState.DETACHED else "a patient"
        yield f"Not attached to {to}: {'; '.join(report.match.reasons)}."


def incomplete(report: Report) -> Iterator[str]:
    """That the images are not known to be all, and why; nothing where they are."""
    if report.study.incomplete:
        yield f"Made from incomplete images: {report.study.incomplete.rstrip('.')}."


def withheld(report: Report) -> Iterator[str]:
    """Why guidelines are silent; whether one would have something to say is not told, as it may not be."""
    release = report.decision.release
    reasons = [reason.removeprefix(_REFERRAL) for reason in release.withheld if reason.startswith(_REFERRAL)]
    if reasons and not release.allows(Audience.REFERRAL):
        yield f"No recommendation is given yet: {'; '.join(reasons)}."


def _of_model(outcome: ModelOutcome, report: Report) -> Iterator[str]:
    name = f"{outcome.model} {outcome.version}"
    if isinstance(outcome, NotEvaluated):
        yield f"Not evaluated by {name}: {'; '.join(outcome.reasons)}."
        return
    for finding in outcome.findings:
        title = finding.code.display or finding.code.code
        yield f"{title}: {_said(finding, outcome)}."
        yield from (f"{title}: {detail}" for detail in details(finding))
        for remark in remarks(report, outcome.model, outcome.version, finding.key, amount):
            yield f"{title}: {remark.text}"
    for limit in outcome.limits:
        yield f"Limit of {name}: {limit.rstrip('.')}."


def _said(finding: Finding, outcome: Findings) -> str:
    name = f"{outcome.model} {outcome.version}"
    value = amount(finding.value) if finding.value else ""
    if finding.presence is Presence.NOT_EVALUATED:
        return f"not evaluated by {name}: {finding.reason}"
    if finding.presence is Presence.NOT_DETECTED:
        return " ".join(filter(None, (value, absence(finding, outcome.model, outcome.version))))
    word = "detected" if finding.presence is Presence.PRESENT else "measured"
    threshold = f", threshold {amount(finding.threshold)}" if finding.threshold else ""
    return f"{value}, {word} by {name}{threshold}".removeprefix(", ")


def _of_advice(advice: Advice) -> Iterator[str]:
    yield f"{advice.title}: {advice.summary}"
    for recommendation in advice.recommendations:
        yield f"Recommendation: {_recommended(recommendation)}"
    yield from (f"{advice.title}: {told}" for told in advice.contradictions)
    if advice.missing:
        yield f"Not known for {advice.title}: {', '.join(advice.missing)}."


def _recommended(item: Recommendation) -> str:
    day = item.not_before.isoformat() if item.not_before else ""
    when = [f"not before {day}"] if day and day not in item.action else []
    when += [f"by {item.by.isoformat()}"] if item.by else []
    when += [urgency(item)] if item.acr_category else []
    timing = f" ({', '.join(when)})" if when else ""
    return f"{item.action}{timing}: {item.reason} Source: {item.source.label}."


def _with(reason: str, missing: tuple[str, ...]) -> str:
    return f"{reason} (missing: {', '.join(missing)})" if missing else reason

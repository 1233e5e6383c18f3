"""How a radiology report and coded findings stand to each other: agreement, discordance, or not comparable.

Codes are compared where the report states them; its text where it is English that can be read with certainty. Nothing
is guessed: silence is no negative, and a reason never quotes the report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cds.agreement.terms import Term, loaded, same
from cds.agreement.text import Reading, Said, read
from cds.domain.finding import Finding, Findings, ModelOutcome, Presence
from cds.domain.verification import Agreement, Comparison, FinalReport

_CONTRADICTORY = "the report contradicts itself about it"
_SILENT = "the report's text does not mention it"
_NO_TERM = "no verified code or phrase is known by which a report would state it"
_NO_LIMIT = "a measurement says neither present nor absent, and the report states no value of it"
_PRESENCES = (Presence.PRESENT, Presence.NOT_DETECTED)


@dataclass(frozen=True, slots=True)
class _Stated:
    """What the report says of a finding; `presence` is None where it says nothing that can be compared."""

    presence: Presence | None
    reason: str


def compare(report: FinalReport, outcomes: Iterable[ModelOutcome]) -> tuple[Comparison, ...]:
    """Each finding against the report, once; a model that could not evaluate has said nothing to compare."""
    return tuple(
        _comparison(report, f"{outcome.model}.{finding.key}", finding)
        for outcome in outcomes
        if isinstance(outcome, Findings)
        for finding in outcome.findings
        if finding.presence is not Presence.NOT_EVALUATED
    )


def _comparison(report: FinalReport, name: str, finding: Finding) -> Comparison:
    ours = _presence(finding)
    if ours is None:
        return Comparison(name, Agreement.NOT_COMPARABLE, _NO_LIMIT)
    stated = _stated(report, finding)
    if stated.presence is None:
        return Comparison(name, Agreement.NOT_COMPARABLE, stated.reason)
    return Comparison(name, Agreement.AGREES if stated.presence is ours else Agreement.DISCORDANT, stated.reason)


def _presence(finding: Finding) -> Presence | None:
    """Whether the finding is there; of a measurement, whether it reaches its own threshold, where it has one."""
    if finding.presence in _PRESENCES:
        return finding.presence
    value, threshold = finding.value, finding.threshold
    if value is None or threshold is None or value.unit != threshold.unit:
        return None
    return Presence.PRESENT if value.value >= threshold.value else Presence.NOT_DETECTED


def _stated(report: FinalReport, finding: Finding) -> _Stated:
    term = next((term for term in loaded() if term.means(finding.code)), None)
    coded = _coded(report, finding, term)
    reading = read(report.text, term) if term else Reading(None)
    if len(coded) > 1 or reading.contradictory:
        return _Stated(None, _CONTRADICTORY)
    worded = {Said.PRESENT: Presence.PRESENT, Said.ABSENT: Presence.NOT_DETECTED}.get(reading.said or Said.UNREAD)
    if coded:
        (presence,) = coded
        if worded is not None and worded is not presence:
            return _Stated(None, _CONTRADICTORY)
        there = "there" if presence is Presence.PRESENT else "not there"
        return _Stated(presence, f"the report states by code that it is {there}")
    if reading.said is None:
        return _Stated(None, _SILENT if term else _NO_TERM)
    return _Stated(worded, reading.said.value)


def _coded(report: FinalReport, finding: Finding, term: Term | None) -> set[Presence]:
    """What the report states by a code that means the finding."""
    return {
        stated.presence
        for stated in report.stated
        if stated.presence in _PRESENCES and (same(stated.code, finding.code) or (term and term.means(stated.code)))
    }

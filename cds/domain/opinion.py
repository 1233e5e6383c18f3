"""What a radiologist and the radiology report say of a finding, in words that are the same on every wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cds.domain.coding import Quantity
from cds.domain.report import Report
from cds.domain.verification import Agreement, Comparison, FinalReport, Verdict, Verification

_AGREEMENTS = {
    Agreement.AGREES: "Agrees with",
    Agreement.DISCORDANT: "Contradicted by",
    Agreement.NOT_COMPARABLE: "Not comparable with",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about a finding; `by` and `at` are who said it and when, where that was a person."""

    text: str
    by: str = ""
    at: datetime | None = None


def remarks(report: Report, model: str, version: str, key: str, amount: Callable[[Quantity], str]) -> Iterator[Remark]:
    """What was said of one finding of one model version. `amount` writes a quantity as the wire's readers know it."""
    for verification in verifications(report, model, version, key):
        text = _verified(verification, amount)
        yield Remark(text, verification.by, verification.at)
    for comparison in report.decision.comparisons:
        if comparison.finding == f"{model}.{key}":
            yield Remark(_compared(comparison, report.final_report))


def verifications(report: Report, model: str, version: str, key: str) -> tuple[Verification, ...]:
    """The verifications of one finding of one model version: what another version found, nobody has verified."""
    return tuple(
        v for v in report.verifications if (v.finding.model, v.finding.version, v.finding.key) == (model, version, key)
    )


def _verified(said: Verification, amount: Callable[[Quantity], str]) -> str:
    value = f" to {amount(said.corrected)}" if said.verdict is Verdict.CORRECTED and said.corrected else ""
    when = said.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"A {said.role} ({said.by}) {said.verdict.value} this finding on {when}{value}{_because(said.reason)}"


def _compared(comparison: Comparison, report: FinalReport | None) -> str:
    day = f" of {(report.issued or report.received_at).date().isoformat()}" if report else ""
    because = "." if comparison.agreement is Agreement.AGREES else _because(comparison.reason)
    return f"{_AGREEMENTS[comparison.agreement]} the radiologist's report{day}{because}"


def _because(reason: str) -> str:
    return f": {reason.rstrip('.')}." if reason else "."

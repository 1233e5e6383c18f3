"""What the model said of each row of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from cds.domain.finding import Finding, ModelOutcome, NotEvaluated, Presence
from models.evaluation.table import Row

#: So many rows are under way at once: the runtime puts them into common batches.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Scored:
    """One row with the model's answer by output: probability, whether it was called, value; or why there is none."""

    row: Row
    scores: Mapping[str, float] = field(default_factory=dict)
    called: Mapping[str, bool] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    gate: str = ""
    reasons: tuple[str, ...] = ()
    device: str = ""

    @property
    def refused(self) -> bool:
        """True where the model did not evaluate the image."""
        return bool(self.reasons)


def score(
    rows: Sequence[Row], examine: Callable[[Row], ModelOutcome], told: Callable[[int, int], None]
) -> list[Scored]:
    """Examine every row, several at once, in their order; `told` hears how many are done. Errors of a run end it."""
    found: list[Scored] = []
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers: Iterator[ModelOutcome] = threads.map(examine, rows)
        try:
            for row, outcome in zip(rows, answers, strict=True):
                found.append(scored(row, outcome))
                told(len(found), len(rows))
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
    return found


def scored(row: Row, outcome: ModelOutcome) -> Scored:
    """The answer of the production path, read as a score; several findings of one output count by the surest."""
    if isinstance(outcome, NotEvaluated):
        return Scored(row, gate=outcome.gate, reasons=outcome.reasons)
    known = [finding for finding in outcome.findings if finding.presence is not Presence.NOT_EVALUATED]
    return Scored(
        row,
        scores={k: max(c for f in of if (c := f.confidence) is not None) for k, of in _by_key(known, "confidence")},
        called={k: any(f.presence is Presence.PRESENT for f in of) for k, of in _by_key(known, "confidence")},
        thresholds={k: f.threshold.value for k, of in _by_key(known, "threshold") for f in of[:1] if f.threshold},
        values={k: _total(of) for k, of in _by_key(known, "value")},
        device=outcome.device,
    )


def _by_key(findings: Sequence[Finding], needed: str) -> Iterator[tuple[str, list[Finding]]]:
    """Findings that have what is needed, by their output."""
    having = [finding for finding in findings if getattr(finding, needed) is not None]
    for key in dict.fromkeys(finding.key for finding in having):
        yield key, [finding for finding in having if finding.key == key]


def _total(findings: Sequence[Finding]) -> float:
    """The value of an output: the finding of the whole where there is one, else the sum of its lesions."""
    whole = [finding for finding in findings if not finding.tracking_id] or findings
    return sum(finding.value.value for finding in whole if finding.value)

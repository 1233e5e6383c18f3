"""What belongs to a finding beside its value, in the reader's words: side, class, caution, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from cds.domain.coding import Quantity
from cds.domain.finding import Change, Finding, Presence

#: What people call a UCUM unit, where that differs from its code.
_UNIT_NAMES = {"[hnsf'U]": "HU", "{score}": "points"}


def unit_name(unit: str) -> str:
    """A UCUM unit in the reader's words."""
    return _UNIT_NAMES.get(unit, unit)


def amount(value: Quantity) -> str:
    """A quantity for the reader, six significant digits at most."""
    unit = unit_name(value.unit)
    return value.digits if unit in ("", "1") else f"{value.digits} {unit}"


def details(finding: Finding) -> Iterator[str]:
    """Sentences that every wire tells with the finding; none of what was not evaluated."""
    if finding.presence is Presence.NOT_EVALUATED:
        return
    if finding.laterality:
        yield f"Side: {finding.laterality}."
    if finding.category is not None:
        yield f"Category: {finding.category.display or finding.category.code}."
    if finding.note:
        yield f"{finding.note.rstrip('.')}."
    if finding.change is not None:
        yield changed(finding.change)


def changed(change: Change) -> str:
    """How the finding was before, what became of it, and whether that is more than the measurement's own error."""
    unit = change.prior.unit
    parts = [f"{_signed(change.absolute, unit)}{_percent(change)} since {change.prior_date.isoformat()}"]
    parts.append(f"then {amount(change.prior)}")
    if change.per_year is not None:
        parts.append(f"{_signed(change.per_year, unit)} per year")
    if change.doubling_days is not None:
        parts.append(f"doubling time {change.doubling_days:.0f} days")
    return f"Change: {', '.join(parts)}; {_certainty(change)}."


def _certainty(change: Change) -> str:
    if change.beyond_error is None:
        reason = change.note or "the error of the measurement is not stated"
        return f"not known to be beyond the error of the measurement ({reason})"
    beyond = "beyond" if change.beyond_error else "within"
    return f"{beyond} the error of the measurement ({change.error})"


def _percent(change: Change) -> str:
    return f" ({change.percent:+.0f} %)" if change.percent is not None else ""


def _signed(value: float, unit: str) -> str:
    said = amount(Quantity(abs(round(value, 6)), unit))
    return f"{'-' if value < 0 else '+'}{said}"

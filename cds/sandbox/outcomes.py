"""What a person does with a card, as feedback and as changes of the chart (CDS Hooks 2.0, "Feedback")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cds.sandbox.chart import Chart, Json, objects

#: CDS Hooks 2.0, "Suggestion": the order of a transaction.
_ORDER = {"delete": 0, "create": 1, "update": 2}


@dataclass(frozen=True, slots=True)
class Override:
    """Why a card is overridden; each may be missing."""

    reason: Mapping[str, object] | None = None
    comment: str = ""


def accepted(card: str, suggestions: Sequence[str], at: datetime) -> Json:
    """The feedback of suggestions that were accepted."""
    return _feedback(card, "accepted", at, {"acceptedSuggestions": [{"id": one} for one in suggestions]})


def overridden(card: str, why: Override, at: datetime) -> Json:
    """The feedback of a card that was overridden."""
    said: Json = ({"reason": dict(why.reason)} if why.reason else {}) | (
        {"userComment": why.comment} if why.comment else {}
    )
    return _feedback(card, "overridden", at, {"overrideReason": said} if said else {})


def apply(suggestion: Mapping[str, object], chart: Chart) -> Iterator[str]:
    """Do to the chart what a suggestion says, and tell it."""
    for action in sorted(
        objects(suggestion.get("actions")), key=lambda one: _ORDER.get(str(one.get("type")), len(_ORDER))
    ):
        resource = action.get("resource")
        if action.get("type") == "delete":
            reference = str(action.get("resourceId", ""))
            yield f"{'deleted' if chart.remove(reference) else 'not in the chart, so not deleted:'} {reference}"
        elif isinstance(resource, dict):
            yield f"{action.get('type')}d {chart.add(resource)}"


def _feedback(card: str, outcome: str, at: datetime, more: Json) -> Json:
    when = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"feedback": [{"card": card, "outcome": outcome, "outcomeTimestamp": when, **more}]}

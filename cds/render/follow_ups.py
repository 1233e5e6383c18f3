"""Follow-ups as text and JSON for a terminal: study, recommendation, when it is due, where it stands. No patient."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date

from cds.domain.follow_up import FollowUp, FollowUpState

_NOTHING = "No follow-up waits."
#: States in which somebody still has something to do.
_WAITING = (FollowUpState.OPEN, FollowUpState.ACCEPTED)


def as_text(follow_ups: Sequence[FollowUp], today: date) -> str:
    """One follow-up after the other, each with the name that the other commands take."""
    return "\n".join(line for one in follow_ups for line in _lines(one, today)) or _NOTHING


def as_json(follow_ups: Sequence[FollowUp], today: date) -> str:
    """The follow-ups as a JSON array, times in UTC."""
    return json.dumps([_row(one, today) for one in follow_ups], indent=2, ensure_ascii=False)


def _lines(told: FollowUp, today: date) -> Iterator[str]:
    by = f" by {told.by}" if told.by else ""
    yield f"study {told.study_instance_uid}  {told.pathway}.{told.recommendation}: {told.action}"
    yield f"  {told.state.value}{by}, {_due(told, today)}"
    if told.reason:
        yield f"  {told.reason}"


def _due(told: FollowUp, today: date) -> str:
    if told.due is None:
        return "no date"
    late = _days_late(told, today)
    return f"due {told.due}" + (f", {late} day{'' if late == 1 else 's'} overdue" if late else "")


def _days_late(told: FollowUp, today: date) -> int:
    """0 where it is not due, or nobody has anything to do any more."""
    if told.due is None or told.state not in _WAITING:
        return 0
    return max((today - told.due).days, 0)


def _row(told: FollowUp, today: date) -> dict[str, object]:
    return {
        "study": told.study_instance_uid,
        "recommendation": f"{told.pathway}.{told.recommendation}",
        "action": told.action,
        "due": told.due.isoformat() if told.due else None,
        "days_overdue": _days_late(told, today),
        "state": told.state.value,
        "by": told.by,
        "reason": told.reason,
        "created_at": told.created_at.isoformat(),
        "updated_at": told.updated_at.isoformat(),
    }

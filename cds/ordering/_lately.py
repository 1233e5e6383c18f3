"""What an order and a record say of these days: reasons of the order, requests that still count, dates that cannot be.

What is dated in the future was not done or measured yet, and a reason of the order is news that the record may lack.
"""

from __future__ import annotations

from datetime import date

from cds.codes import ValueSet
from cds.domain.coding import Coding
from cds.ordering._order import within_days
from cds.pathways._facts import Missing
from cds.pathways._guards import asked_already, requested
from cds.pathways._reasoning import Reasoning


def by_order(found: Reasoning, value_set: ValueSet) -> bool:
    """Whether the order's reasons name something; then it is a value of today that the decision rests on."""
    reasons = found.case.order.reasons if found.case.order else ()
    title = found.say(value_set.title)
    named = sorted(f"{one.display or title} ({one.code})" for one in reasons if value_set.contains(one))
    if named:
        found.measured(title, ", ".join(named), found.say("the order"), found.case.today)
    return bool(named)


def undated(found: Reasoning, title: str, day: date | None) -> bool:
    """Whether something has no date, or one that lies in the future: then when it was is missing."""
    if day is not None and day <= found.case.today:
        return False
    why = found.say("it has no date") if day is None else found.say("its date lies in the future")
    found.missing.append(Missing(title, why, found.say("look when it was")))
    return True


def ordered_lately(found: Reasoning, action: Coding, days: int) -> bool:
    """Whether a test was ordered in the last days; an older request is told, and does not silence."""
    request = requested(found.case, action)
    day = request.effective if request else None
    if request is None or day is None:
        return False
    if day <= found.case.today and within_days(day, found.case.today, days):
        return bool(asked_already(found, action))
    text = "{title}: a request of {day} ({source}) is not of the last {days} days: look whether it was done."
    title = found.say(action.display or action.code)
    found.note(found.say(text, title=title, day=day, source=request.source, days=days))
    return False

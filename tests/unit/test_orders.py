"""What a message does to an order that is known, row by row (SAFETY section 3)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cds.domain.coding import Coding
from cds.domain.identity import Identifier
from cds.domain.order import OrderChange, OrderStatus, Priority, ServiceRequest, merge_order, queue_priority

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
KNOWN = ServiceRequest(
    Identifier("P1", "EHR"),
    None,
    Identifier("A1", "RIS"),
    Identifier("1", "HOSP"),
    OrderStatus.ACTIVE,
    procedure=Coding("l", "CT"),
    reason_text="cough",
    changed_at=NOW,
)
CANCELLED = replace(KNOWN, status=OrderStatus.REVOKED)
STAT = replace(KNOWN, priority=Priority.STAT)
CHANGED = replace(KNOWN, priority=Priority.STAT, changed_at=LATER)

ROWS = {
    "the same again": (KNOWN, KNOWN, "NW", KNOWN),
    "a change": (KNOWN, CHANGED, "XO", CHANGED),
    "a change older than what is known": (KNOWN, replace(CHANGED, changed_at=EARLIER), "XO", KNOWN),
    "a cancel": (KNOWN, replace(CANCELLED, changed_at=LATER), "CA", replace(CANCELLED, changed_at=LATER)),
    "a late new order after its cancel": (CANCELLED, replace(KNOWN, changed_at=LATER), "NW", CANCELLED),
    "empty fields change nothing": (
        KNOWN,
        ServiceRequest(KNOWN.placer_order_number, None, None, KNOWN.patient, OrderStatus.ACTIVE, changed_at=LATER),
        "XO",
        KNOWN,
    ),
    "a status without a priority keeps the priority": (
        replace(KNOWN, priority=Priority.STAT),
        replace(KNOWN, changed_at=LATER),
        "SC",
        replace(KNOWN, priority=Priority.STAT),
    ),
    "a filler number that comes later": (
        KNOWN,
        replace(KNOWN, filler_order_number=Identifier("F1", "RIS"), changed_at=LATER),
        "SC",
        replace(KNOWN, filler_order_number=Identifier("F1", "RIS"), changed_at=LATER),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_message_changes_an_order_as_the_table_says(row: str) -> None:
    before, said, control, wanted = ROWS[row]
    after, reason = merge_order(before, OrderChange(said, control))
    assert after == wanted
    assert reason


def test_the_most_urgent_living_order_sets_the_queues_priority() -> None:
    stat = replace(KNOWN, priority=Priority.STAT)
    assert queue_priority([KNOWN, stat]) == 1
    assert queue_priority([KNOWN, replace(stat, status=OrderStatus.REVOKED)]) == queue_priority([]) == 10

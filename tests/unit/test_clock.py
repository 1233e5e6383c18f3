"""The machine's clock as a port."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cds.clock import SystemClock
from cds.ports import Clock


def test_the_moment_is_utc() -> None:
    clock: Clock = SystemClock("Asia/Tokyo")
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_day_is_the_sites() -> None:
    """26 hours lie between these two zones, so their days always differ."""
    assert SystemClock("Pacific/Kiritimati").today() > SystemClock("Etc/GMT+12").today()

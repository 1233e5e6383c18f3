"""The real clock, as the port `Clock` wants it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock, with the site's IANA time zone for the day."""

    time_zone: str = "UTC"

    def now(self) -> datetime:
        """The current moment, timezone-aware, UTC."""
        return datetime.now(UTC)

    def today(self) -> date:
        """The current day at the site."""
        return datetime.now(ZoneInfo(self.time_zone)).date()

"""Dates and numbers as half-open ranges of floats, by the precision that they are written with (R4 search.html)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from cds.errors import InvalidResource

Range = tuple[float, float]

#: Seconds before and after everything: the open end of a Period.
OPEN = 1e12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(?P<time>T\d\d:\d\d(?P<second>:\d\d(?P<fraction>\.\d{1,9})?)?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_WANTED = "want a date that exists: YYYY, YYYY-MM, YYYY-MM-DD, or with Thh:mm, seconds and offset"


def is_day(text: str) -> bool:
    """True for a date without a time of day: a year, a month or a day of the calendar."""
    return "T" not in text


def moment(text: str, zone: tzinfo) -> Range:
    """The seconds since 1970 from which up to and without which a date or dateTime lasts.

    `zone` is for one that comes without an offset. Raise InvalidResource for what is none.
    """
    match = _MOMENT.fullmatch(text)
    if match is None or (match["zone"] and not match["time"]):
        raise InvalidResource(_WANTED)
    try:
        start, end = _ends(match)
        offset = datetime.fromisoformat(f"2000-01-01T00:00{match['zone']}").tzinfo if match["zone"] else zone
        return _seconds(start.replace(tzinfo=offset)), _seconds(end.replace(tzinfo=offset))
    except (ValueError, OverflowError):
        raise InvalidResource(_WANTED) from None


def wall_clock(text: str, zone: tzinfo) -> Range:
    """As `moment`, but what the clock of the zone shows then, as if it were UTC: what days without offset are held to.

    A day has no offset of its own, and is the same day wherever it is read.
    """
    match = _MOMENT.fullmatch(text)
    if match is None or not match["zone"]:
        return moment(text, UTC)
    low, high = moment(text, zone)
    return _shown(low, zone), _shown(high, zone)


def number(text: str) -> tuple[float, float, float]:
    """A decimal and the range that its last digit leaves open (R4 search.html#number); InvalidResource for none."""
    if not _NUMBER.fullmatch(text):
        raise InvalidResource("want a number")
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    half = Decimal((0, (5,), int(exponent) - 1))
    found = float(value), float(value - half), float(value + half)
    if not all(map(math.isfinite, found)):
        raise InvalidResource("want a number")
    return found


def _ends(match: re.Match[str]) -> tuple[datetime, datetime]:
    """The first moment of what is written, and that of what follows it, without offset."""
    year, month = int(match["year"]), int(match["month"] or 1)
    if not match["month"]:
        return datetime(year, 1, 1), datetime(year + 1, 1, 1)
    if not match["day"]:
        return datetime(year, month, 1), datetime(year + month // 12, month % 12 + 1, 1)
    start = datetime.fromisoformat(f"{match['year']}-{match['month']}-{match['day']}{match['time'] or ''}")
    return start, start + _width(match)


def _width(match: re.Match[str]) -> timedelta:
    if match["fraction"]:
        return max(timedelta(seconds=10 ** (1 - len(match["fraction"]))), timedelta(microseconds=1))
    if match["second"]:
        return timedelta(seconds=1)
    return timedelta(minutes=1) if match["time"] else timedelta(days=1)


def _seconds(moment: datetime) -> float:
    return (moment - _EPOCH) / timedelta(seconds=1)


def _shown(seconds: float, zone: tzinfo) -> float:
    try:
        return _seconds((_EPOCH + timedelta(seconds=seconds)).astimezone(zone).replace(tzinfo=UTC))
    except OverflowError:
        raise InvalidResource(_WANTED) from None

"""HL7 v2 dates and times (DT, TS, DTM) to aware Python values; the site's zone holds where no offset is given."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo

_PATTERN = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?)?)?)?)?(?P<offset>[+-]\d{4})?"
)


def moment(text: str, zone: tzinfo) -> datetime:
    """The moment of a timestamp of at least a day, missing time as midnight; ValueError where it is none."""
    found = _PATTERN.fullmatch(text.strip())
    if found is None or found["day"] is None:
        raise ValueError("want YYYYMMDD[HHMM[SS[.S]]][+/-ZZZZ]")
    year, month, day, hour, minute, second = (
        int(found[name] or 0) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    microsecond = int((found["fraction"] or "0").ljust(6, "0"))
    offset = found["offset"] if found["hour"] else None
    return datetime(year, month, day, hour, minute, second, microsecond, tzinfo=_offset(offset) or zone)


def day(text: str, zone: tzinfo) -> date:
    """The day of a timestamp, at the site where it has a time with an offset; ValueError where it is none."""
    when = moment(text, zone)
    return when.date() if when.tzinfo is zone else when.astimezone(zone).date()


def written(when: datetime, zone: tzinfo) -> str:
    """A moment as DTM in the site's zone with its offset."""
    return when.astimezone(zone).strftime("%Y%m%d%H%M%S%z")


def _offset(text: str | None) -> timezone | None:
    if not text:
        return None
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))

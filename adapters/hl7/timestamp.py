"""HL7 v2 dates and times (DT, TS, DTM) to aware Python values; the site's zone holds where no offset is given."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo

#: Year, month, day, hour, minute, second, fraction, offset.
_PATTERN = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)


def moment(text: str, zone: tzinfo) -> datetime:
    """The moment of a timestamp of at least a day, missing time as midnight; ValueError where it is none."""
    found = _PATTERN.fullmatch(text.strip())
    if found is None or found[3] is None:
        raise ValueError("want YYYYMMDD[HHMM[SS[.S]]][+/-ZZZZ]")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    microsecond = int(fraction.ljust(6, "0")) if fraction else 0
    where = _offset(offset) if offset and hour else zone
    return datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond, tzinfo=where
    )


def day(text: str, zone: tzinfo) -> date:
    """The day of a timestamp, at the site where it has a time with an offset; ValueError where it is none."""
    when = moment(text, zone)
    return when.date() if when.tzinfo is zone else when.astimezone(zone).date()


def written(when: datetime, zone: tzinfo) -> str:
    """A moment as DTM in the site's zone with its offset."""
    return when.astimezone(zone).strftime("%Y%m%d%H%M%S%z")


def _offset(text: str) -> timezone:
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))

"""The primitive types of R4 (datatypes.html#primitive) in JSON: whether a value is one."""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime

#: XML, the other form of the same resource, cannot carry these.
_CONTROL = re.compile(r"[\x00-\x08\x0B\x0C\x0E-\x1F]")
_CODE = re.compile(r"[^\s]+(?:\s[^\s]+)*")
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_URI = re.compile(r"\S+")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DAY = re.compile(r"\d{4}(?:-\d\d(?:-\d\d)?)?")
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?")
_ZONE = re.compile(r"Z|[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)")
_MIME = re.compile(r"[A-Za-z0-9!#$&^_.+\-]+/[A-Za-z0-9!#$&^_.+\-]+(?:\s?;\s?[A-Za-z0-9!#$&^_.+\-]+=\"?[^\s\"]+\"?)*")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_DIV = re.compile(r'<div xmlns="http://www\.w3\.org/1999/xhtml"[^>]*>.*\S.*</div>', re.DOTALL)
_LEAST, _MOST = -(2**31), 2**31 - 1
#: R4 limits a string to 1 MB.
_LONGEST = 1024 * 1024


def is_absolute(uri: str) -> bool:
    """True for an absolute URI, of the form that its scheme wants where that is urn:oid: or urn:uuid:."""
    return is_uri(uri) and _ABSOLUTE.fullmatch(uri) is not None


def is_id(value: object) -> bool:
    """R4 id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_uri(value: object) -> bool:
    """R4 uri, url and canonical: not empty, no space, and an OID or UUID where it says so."""
    if not isinstance(value, str) or not _URI.fullmatch(value):
        return False
    if value.startswith("urn:oid:"):
        return _OID.fullmatch(value) is not None
    return not value.startswith("urn:uuid:") or _UUID.fullmatch(value) is not None


def is_mime(value: object) -> bool:
    """BCP 13, the value set mimetypes."""
    return isinstance(value, str) and _MIME.fullmatch(value) is not None


def is_language(value: object) -> bool:
    """BCP 47."""
    return isinstance(value, str) and _LANGUAGE.fullmatch(value) is not None


def is_moment(value: object) -> bool:
    """R4 instant: to the second at least, with its offset."""
    if not isinstance(value, str) or value[10:11] != "T" or not _is_full_day(value[:10]):
        return False
    clock, zone = (value[11:-1], "Z") if value.endswith("Z") else (value[11:-6], value[-6:])
    return _CLOCK.fullmatch(clock) is not None and _ZONE.fullmatch(zone) is not None


def moment(value: str) -> datetime | None:
    """The moment of an instant or of a dateTime to the second; None for a day alone."""
    if not is_moment(value):
        return None
    return datetime.fromisoformat(value.replace(":60", ":59", 1) if ":60" in value[16:20] else value)


def _is_full_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_day(value: object) -> bool:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return False
    return _is_full_day((value + "-01-01")[:10])


def _is_date_time(value: object) -> bool:
    return _is_day(value) or is_moment(value)


def _is_time(value: object) -> bool:
    return isinstance(value, str) and _CLOCK.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not value or value.isspace():
        return False
    return len(value) <= _LONGEST and _CONTROL.search(value) is None


def _is_code(value: object) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _is_base64(value: object) -> bool:
    """In groups of four; between these may be space."""
    if not isinstance(value, str) or not value.isascii():
        return False
    groups = value.split()
    if any(len(group) % 4 for group in groups):
        return False
    try:
        return bool(binascii.a2b_base64("".join(groups), strict_mode=True))
    except binascii.Error:
        return False


def _is_decimal(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST


def _is_unsigned(value: object) -> bool:
    return _is_integer(value) and isinstance(value, int) and value >= 0


def _is_positive(value: object) -> bool:
    return _is_integer(value) and isinstance(value, int) and value > 0


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_oid(value: object) -> bool:
    return isinstance(value, str) and _OID.fullmatch(value) is not None


def _is_uuid(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_div(value: object) -> bool:
    return isinstance(value, str) and _DIV.fullmatch(value) is not None


#: Every primitive type by its name in R4.
PRIMITIVES: Mapping[str, Callable[[object], bool]] = {
    "base64Binary": _is_base64,
    "boolean": _is_boolean,
    "canonical": is_uri,
    "code": _is_code,
    "date": _is_day,
    "dateTime": _is_date_time,
    "decimal": _is_decimal,
    "id": is_id,
    "instant": is_moment,
    "integer": _is_integer,
    "markdown": _is_text,
    "oid": _is_oid,
    "positiveInt": _is_positive,
    "string": _is_text,
    "time": _is_time,
    "unsignedInt": _is_unsigned,
    "uri": is_uri,
    "url": is_uri,
    "uuid": _is_uuid,
    "xhtml": _is_div,
}

"""Attributes of a data set in DICOM JSON (PS3.18 annex F) as servers write them: missing, with a wrong VR, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from adapters.dicom.header import check_uid
from cds.errors import InvalidInstance, PeerFailed

Item = Mapping[str, object]

_LONGEST_TEXT = 1024
_DAY = re.compile(r"([0-9]{4})[-.]?([0-9]{2})[-.]?([0-9]{2})")
_WHOLE = re.compile(r"[0-9]{1,9}(\.0*)?")


def texts(item: Item, tag: str) -> list[str]:
    """The values of an attribute, cleaned; numbers as text, objects and empty values left out."""
    found = _values(item, tag)
    scalars = (_clean(str(one)) for one in found if isinstance(one, str | int | float) and not isinstance(one, bool))
    return [one for one in scalars if one]


def text(item: Item, tag: str) -> str:
    """The first value of an attribute, "" where there is none."""
    return next(iter(texts(item, tag)), "")


def uid(item: Item, tag: str) -> str:
    """A UID that must be there; raise PeerFailed where it is not, or is none."""
    found = text(item, tag)
    try:
        check_uid(found)
    except InvalidInstance:
        raise PeerFailed("the DICOMweb server answers with an entry that has no valid UID") from None
    return found


def number(item: Item, tag: str) -> int | None:
    """A whole number, None where there is none."""
    found = text(item, tag)
    return int(found.partition(".")[0]) if _WHOLE.fullmatch(found) else None


def day(item: Item, tag: str) -> date | None:
    """VR DA, and its form before 1993, 1999.12.31; None where there is none."""
    match = _DAY.fullmatch(text(item, tag))
    if match is None:
        return None
    try:
        return datetime.strptime("".join(match.groups()), "%Y%m%d").date()
    except ValueError:
        return None


def items(item: Item, tag: str) -> Sequence[Item]:
    """The items of a sequence."""
    return [one for one in _values(item, tag) if isinstance(one, dict)]


def _values(item: Item, tag: str) -> list[object]:
    attribute = item.get(tag) or item.get(tag.lower())
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else [values]


def _clean(found: str) -> str:
    return "".join(one if one.isprintable() else " " for one in found[:_LONGEST_TEXT]).strip()

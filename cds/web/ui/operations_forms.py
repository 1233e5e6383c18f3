"""What the forms of operations bring: read once, refused in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from flask import request
from werkzeug.datastructures import MultiDict

from cds.errors import InvalidInput
from cds.ui.operations import MOST_PAGES

Chosen = TypeVar("Chosen", bound=StrEnum)

LONGEST_REASON = 500
LONGEST_TEXT = 128


def reason() -> str:
    """Why somebody does it; raise InvalidInput without one."""
    given = " ".join(request.form.get("reason", "").split())
    if not given or len(given) > LONGEST_REASON or not given.isprintable():
        raise InvalidInput(f"Say why, in at most {LONGEST_REASON} characters that name no patient.")
    return given


def text(name: str, given: MultiDict[str, str]) -> str:
    """A short text without spaces around it; "" where there is none."""
    value = given.get(name, "").strip()
    if len(value) > LONGEST_TEXT or not value.isprintable():
        raise InvalidInput(f"{name}: want at most {LONGEST_TEXT} characters that can be printed")
    return value


def one_of(name: str, choices: type[Chosen], given: MultiDict[str, str]) -> Chosen | None:
    """One of the values of an enumeration; None where nothing was chosen."""
    value = given.get(name, "")
    if not value:
        return None
    try:
        return choices(value)
    except ValueError:
        raise InvalidInput(f"{name}: want one of {', '.join(choices)}") from None


def page_number(given: MultiDict[str, str]) -> int:
    """Which page of a list, from 1."""
    value = given.get("page", "1")
    if not value.isdecimal() or not 1 <= int(value) <= MOST_PAGES:
        raise InvalidInput(f"page: want a number from 1 to {MOST_PAGES}; narrow the search for what lies further back")
    return int(value)


def moment(name: str, zone: ZoneInfo, given: MultiDict[str, str], *, whole_day: bool = False) -> datetime | None:
    """A day or a moment as a browser's input has it, in the site's zone; with `whole_day` a day ends at its end."""
    value = given.get(name, "").strip()
    if not value:
        return None
    try:
        found = datetime.fromisoformat(value)
        there = found if found.tzinfo is not None else found.replace(tzinfo=zone)
        ends = whole_day and len(value) == len("2026-11-22")
        return (there + timedelta(days=1) if ends else there).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{name}: want a day such as 2026-11-22, or 2026-11-22T14:05") from None

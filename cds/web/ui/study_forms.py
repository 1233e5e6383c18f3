"""What the forms of the study page bring: read once, refused in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

from flask import request

from cds.domain.verification import Verdict
from cds.errors import InvalidInput
from cds.ui.second_reader import Given
from cds.ui.study import VerdictGiven

LONGEST, _LONGEST_NUMBER = 500, 9
_PART = "part-"


def verdict() -> VerdictGiven:
    """A radiologist's word on a finding."""
    try:
        said = Verdict(_text("verdict"))
    except ValueError:
        raise InvalidInput("want verdict: confirmed, corrected or rejected") from None
    return VerdictGiven(
        finding=_text("finding"),
        version=_text("version"),
        image_revision=_whole("image_revision"),
        verdict=said,
        reason=_optional("reason"),
        value=_number("value") if said is Verdict.CORRECTED else None,
    )


def reading() -> Given:
    """An own reading, or a third person's decision."""
    parts = {name.removeprefix(_PART): _optional(name) for name in request.form if name.startswith(_PART)}
    corrects = _whole("corrects") if "corrects" in request.form else None
    return Given(_text("model"), _whole("image_revision"), parts, _optional("reason"), corrects)


def result() -> tuple[bool, str]:
    """Whether there was a malignancy, and by what it is known."""
    said = _text("malignant")
    if said not in ("yes", "no"):
        raise InvalidInput("want malignant: yes or no")
    return said == "yes", _text("source")


def day(given: Mapping[str, str], name: str, default: date) -> date:
    """A day of a query."""
    try:
        return date.fromisoformat(given[name]) if given.get(name) else default
    except ValueError:
        raise InvalidInput(f"{name}: want a day as 2026-11-22") from None


def _text(name: str) -> str:
    if not (value := _optional(name)):
        raise InvalidInput(f"want {name}")
    return value


def _optional(name: str) -> str:
    value = " ".join(request.form.get(name, "").split())
    if len(value) > LONGEST or not value.isprintable():
        raise InvalidInput(f"{name}: want at most {LONGEST} characters that can be printed")
    return value


def _whole(name: str) -> int:
    value = _text(name)
    if not (value.isascii() and value.isdigit()) or len(value) > _LONGEST_NUMBER:
        raise InvalidInput(f"{name}: want a whole number")
    return int(value)


def _number(name: str) -> float:
    """A number as people write it, with a point or a comma."""
    try:
        value = float(_text(name).replace(",", "."))
    except ValueError:
        raise InvalidInput(f"{name}: want a number") from None
    if not math.isfinite(value):
        raise InvalidInput(f"{name}: want a number")
    return value

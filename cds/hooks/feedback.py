"""What a client says became of cards (CDS Hooks 2.0, Feedback), as values.

A mistake names the member and what was wanted, never what came: a comment is a clinician's words about a patient.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from cds.domain.coding import Coding
from cds.domain.hook import Feedback, Outcome
from cds.errors import InvalidResource

#: Of one request; a client that has more to say sends it in parts.
_MOST: Final = 200
_MOST_SUGGESTIONS: Final = 100
_LONGEST_NAME: Final = 256
_LONGEST_COMMENT: Final = 4000
_OUTCOMES: Final = ", ".join(outcome.value for outcome in Outcome)
#: RFC 3339 section 5.6, date-time.
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_WANTED_TIME: Final = "want an RFC 3339 time with its offset, such as 2026-11-01T08:30:00Z"
_LEAP_SECOND: Final = "60"

_Object = Mapping[object, object]


def read(body: Mapping[str, object]) -> tuple[Feedback, ...]:
    """Each feedback of a request; raise InvalidResource. Members that the standard does not name are ignored."""
    items = body.get("feedback")
    if not isinstance(items, list):
        raise InvalidResource("feedback: want an array of objects")
    if len(items) > _MOST:
        raise InvalidResource(f"feedback: want at most {_MOST} at once")
    return tuple(_one(item, f"feedback[{place}]") for place, item in enumerate(items))


def _one(item: object, path: str) -> Feedback:
    said = _object(item, path)
    card = _name(said.get("card"), f"{path}.card")
    outcome = _outcome(said.get("outcome"), f"{path}.outcome")
    at = _time(said.get("outcomeTimestamp"), f"{path}.outcomeTimestamp")
    if outcome is Outcome.ACCEPTED:
        return Feedback(card, outcome, at, _accepted(said.get("acceptedSuggestions"), f"{path}.acceptedSuggestions"))
    reason, comment = _why(said.get("overrideReason"), f"{path}.overrideReason")
    return Feedback(card, outcome, at, reason=reason, comment=comment)


def _outcome(value: object, path: str) -> Outcome:
    if not isinstance(value, str) or value not in tuple(Outcome):
        raise InvalidResource(f"{path}: want one of {_OUTCOMES}")
    return Outcome(value)


def _accepted(value: object, path: str) -> tuple[str, ...]:
    """The uuids of what was accepted; a card without suggestions has none."""
    if not isinstance(value, list):
        raise InvalidResource(f"{path}: want an array of objects where the outcome is accepted")
    if len(value) > _MOST_SUGGESTIONS:
        raise InvalidResource(f"{path}: want at most {_MOST_SUGGESTIONS}")
    places = [f"{path}[{place}]" for place in range(len(value))]
    return tuple(_name(_object(one, at).get("id"), f"{at}.id") for one, at in zip(value, places, strict=True))


def _why(value: object, path: str) -> tuple[Coding | None, str]:
    """Nobody has to give a reason, nor to say it as a code."""
    if value is None:
        return None, ""
    why = _object(value, path)
    comment, reason = why.get("userComment"), why.get("reason")
    if comment is not None and not isinstance(comment, str):
        raise InvalidResource(f"{path}.userComment: want a text")
    coded = None if reason is None else _coding(reason, f"{path}.reason")
    return coded, (comment or "")[:_LONGEST_COMMENT]


def _coding(value: object, path: str) -> Coding:
    coding = _object(value, path)
    system, code, display = (coding.get(name) for name in ("system", "code", "display"))
    return Coding(
        "" if system is None else _name(system, f"{path}.system"),
        _name(code, f"{path}.code"),
        "" if display is None else _name(display, f"{path}.display"),
    )


def _time(value: object, path: str) -> datetime:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidResource(f"{path}: {_WANTED_TIME}")
    day, time, second, fraction, offset = found.groups()
    second = "59" if second == _LEAP_SECOND else second  # which a datetime cannot have
    try:
        return datetime.fromisoformat(f"{day}T{time}{second}{(fraction or '')[:7]}{offset.upper()}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidResource(f"{path}: {_WANTED_TIME}") from None


def _object(value: object, path: str) -> _Object:
    if not isinstance(value, dict):
        raise InvalidResource(f"{path}: want an object")
    return value


def _name(value: object, path: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise InvalidResource(f"{path}: want a text of 1 to {_LONGEST_NAME} characters")
    return value

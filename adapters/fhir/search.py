"""FHIR search parameters, the few that are supported, read strictly: what is not understood is refused, not ignored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo

from cds.domain.resource import ResourceQuery
from cds.errors import InvalidResource

#: What each type that Sightline emits can be searched by; Provenance has no identifier in R4.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "DiagnosticReport": ("patient", "identifier", "_lastUpdated"),
    "Observation": ("patient", "_lastUpdated"),
    "Device": ("identifier", "_lastUpdated"),
    "Provenance": ("patient", "_lastUpdated"),
    "RiskAssessment": ("patient", "_lastUpdated"),
    "Patient": ("identifier", "_lastUpdated"),
}
#: More are not given on one page, however many are asked for.
LARGEST_PAGE = 200
DEFAULT_PAGE = 50

_CONTROLS = ("_count", "_after", "_format")
_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_MOMENT = re.compile(
    r"(?P<prefix>[a-z]{2})?(?P<date>\d{4}-\d\d-\d\d)"
    r"(?P<time>T\d\d:\d\d(?P<second>:\d\d(?P<fraction>\.\d{1,6})?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_SPECIAL = re.compile(r"(?<!\\)[|,$]")

Bounds = tuple[tuple[str, datetime], ...]

#: A prefix over the half-open interval that the text stands for (R4 search.html#prefix).
_COMPARE: Mapping[str, Callable[[datetime, datetime], Bounds]] = {
    "eq": lambda start, end: (("ge", start), ("lt", end)),
    "ge": lambda start, _: (("ge", start),),
    "gt": lambda _, end: (("ge", end),),
    "lt": lambda start, _: (("lt", start),),
    "le": lambda _, end: (("lt", end),),
}


def parse(resource_type: str, parameters: Iterable[tuple[str, str]], zone: tzinfo = UTC) -> ResourceQuery:
    """Read a query; raise InvalidResource, saying what is supported. `zone` is for times that come without one.

    Comma lists (OR) are not supported. _lastUpdated may repeat (AND); dates are turned into half-open moments.
    """
    given = _grouped(resource_type, parameters)
    _check_format(_single(given, "_format"))
    patient = _single(given, "patient")
    identifier = _single(given, "identifier")
    return ResourceQuery(
        type=resource_type,
        patient_id=None if patient is None else _patient_id(patient),
        identifier=None if identifier is None else _token(identifier),
        last_updated=tuple(bound for text in given.get("_lastUpdated", ()) for bound in _bounds(text, zone)),
        count=_count(_single(given, "_count")),
        after=_single(given, "_after"),
    )


def _grouped(resource_type: str, parameters: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    supported = PARAMETERS[resource_type] + _CONTROLS
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        if name not in supported:
            raise InvalidResource(f"{resource_type} can be searched by {', '.join(supported)}, and nothing else")
        if not value:
            raise InvalidResource(f"the search parameter {name} wants a value")
        given.setdefault(name, []).append(value)
    return given


def _single(given: Mapping[str, list[str]], name: str) -> str | None:
    values = given.get(name, [])
    if len(values) > 1:
        raise InvalidResource(f"the search parameter {name} may be given once")
    return values[0] if values else None


def _check_format(name: str | None) -> None:
    if name is not None and name.partition(";")[0].strip() not in _FORMATS:
        raise InvalidResource("_format wants json")


def _patient_id(text: str) -> str:
    found = text.removeprefix("Patient/")
    if not _ID.fullmatch(found):
        raise InvalidResource("patient wants the logical id of one Patient of this server")
    return found


def _token(text: str) -> tuple[str | None, str]:
    """R4 search.html#token: "value" in any system, "system|value", "|value" without a system (as "")."""
    specials = [match.group() for match in _SPECIAL.finditer(text)]
    if any(special != "|" for special in specials) or len(specials) > 1:
        raise InvalidResource("identifier wants one token: value, system|value or |value")
    system, value = re.split(r"(?<!\\)\|", text) if specials else (None, text)
    if not value:
        raise InvalidResource("identifier wants a value after the system")
    return (None if system is None else _unescaped(system)), _unescaped(value)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,$|\\])", r"\1", text)


def _count(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidResource(f"_count wants a whole number, of which {LARGEST_PAGE} at most are given on a page")
    return min(int(text), LARGEST_PAGE)


def _bounds(text: str, zone: tzinfo) -> Bounds:
    match = _MOMENT.fullmatch(text)
    prefix = (match["prefix"] or "eq") if match else ""
    if match is None or prefix not in _COMPARE:
        raise InvalidResource("_lastUpdated wants eq, lt, gt, ge or le and a date or instant")
    try:
        start = _start(match, zone)
        return _COMPARE[prefix](start.astimezone(UTC), (start + _width(match)).astimezone(UTC))
    except (ValueError, OverflowError):
        raise InvalidResource("_lastUpdated wants a date that exists") from None


def _start(match: re.Match[str], zone: tzinfo) -> datetime:
    start = datetime.fromisoformat(match["date"] + (match["time"] or ""))
    return start.replace(tzinfo=zone) if start.tzinfo is None else start


def _width(match: re.Match[str]) -> timedelta:
    """A date stands for its whole day, a time for its minute, second or fraction (R4 search.html#date)."""
    if match["fraction"]:
        return timedelta(seconds=10 ** (1 - len(match["fraction"])))
    if match["second"]:
        return timedelta(seconds=1)
    return timedelta(minutes=1) if match["time"] else timedelta(days=1)

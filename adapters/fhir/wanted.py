"""Values of search parameters as the domain compares them (R4 search.html, search parameter types)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import cast, get_args

from adapters.fhir import ranges
from adapters.fhir.extraction import DAY
from adapters.fhir.parameters import Parameter
from cds.domain.search import Prefix, Wanted
from cds.errors import InvalidResource

#: R4 datatypes.html#id.
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
#: What Sightline gives as ids: random or a hash, they say nothing of a person.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_PREFIXES = frozenset(get_args(Prefix))
_PREFIXED = re.compile(r"[a-z]{2}(?=[0-9+-])")
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,40}")
_SPECIAL = re.compile(r"(?<!\\)((?:\\\\)*)([|,$])")
_ESCAPED = re.compile(r"\\([,$|\\])")
_ELSEWHERE = re.compile(r"(https?://|urn:)\S{1,500}")
#: ap: so much of a number, or of the time between now and a date (R4 search.html#prefix recommends it).
_ABOUT = 0.1


@dataclass(frozen=True, slots=True)
class Context:
    """What values are read by: the address of our FHIR API, the zone of times without an offset, and now (for ap)."""

    base_url: str
    zone: tzinfo
    now: datetime


def tokens(name: str, texts: Sequence[str]) -> tuple[Wanted, ...]:
    """R4 search.html#token: code, system|code, |code without a system, system| with any code of it."""
    return tuple(_token(name, text) for text in texts)


def ids(texts: Sequence[str]) -> tuple[Wanted, ...]:
    """Logical ids of this server."""
    if not all(ID.fullmatch(text) for text in texts):
        raise InvalidResource("_id wants logical ids")
    return tuple(Wanted(value=text) for text in texts)


def uris(texts: Sequence[str]) -> tuple[Wanted, ...]:
    """R4 search.html#uri: the whole URI, compared exactly."""
    return tuple(Wanted(value=unescaped(text)) for text in texts)


def strings(texts: Sequence[str]) -> tuple[Wanted, ...]:
    """R4 search.html#string: as written; how it is compared is the modifier's."""
    return tuple(Wanted(value=unescaped(text)) for text in texts)


def references(parameter: Parameter, texts: Sequence[str], only: str, context: Context) -> tuple[Wanted, ...]:
    """R4 search.html#reference: an id of this server, Type/id, or a URL. `only` is the type of a modifier."""
    return tuple(wanted for text in texts for wanted in _reference(parameter, unescaped(text), only, context))


def dates(parameter: Parameter, texts: Sequence[str], context: Context) -> tuple[Wanted, ...]:
    """R4 search.html#date. A parameter that holds days as well as moments is asked for both: days have no offset."""
    return tuple(wanted for text in texts for wanted in _date(parameter, text, context))


def numbers(name: str, texts: Sequence[str]) -> tuple[Wanted, ...]:
    """R4 search.html#number."""
    return tuple(_number(name, text) for text in texts)


def quantities(name: str, texts: Sequence[str]) -> tuple[Wanted, ...]:
    """R4 search.html#quantity: number, number|system|code, or number||code with the unit's code or its name."""
    return tuple(_quantity(name, text) for text in texts)


def split(text: str) -> list[str]:
    r"""The values of a list: at every comma that no backslash escapes (R4 search.html#escaping)."""
    return _parts(text, ",")


def unescaped(text: str) -> str:
    r"""Without the backslashes that escape , | $ and \."""
    return _ESCAPED.sub(r"\1", text)


def _parts(text: str, separator: str) -> list[str]:
    cuts = [match.end(2) for match in _SPECIAL.finditer(text) if match[2] == separator]
    starts, ends = [0, *cuts], [*(cut - 1 for cut in cuts), len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _has(text: str, special: str) -> bool:
    return any(match[2] == special for match in _SPECIAL.finditer(text))


def _token(name: str, text: str) -> Wanted:
    first, *more = _parts(text, "|")
    system, value = (first, more[0]) if more else (None, first)
    if len(more) > 1 or _has(text, "$") or not (system or value):
        raise InvalidResource(f"{name} wants code, system|code, |code or system|")
    return Wanted(value=unescaped(value) or None, system=None if system is None else unescaped(system))


def _reference(parameter: Parameter, text: str, only: str, context: Context) -> list[Wanted]:
    own = text.removeprefix(f"{context.base_url}/")
    kind, slash, resource_id = own.rpartition("/")
    if slash and _TYPE.fullmatch(kind) and ID.fullmatch(resource_id) and only in ("", kind):
        return [Wanted(value=own, system="")]
    if not slash and ID.fullmatch(own) and (only or parameter.targets):
        return [Wanted(value=f"{target}/{own}", system="") for target in ([only] if only else parameter.targets)]
    if _ELSEWHERE.fullmatch(own) and not only and own == text:
        return [Wanted(value=own, system="")]
    forms = ["id"] if only or parameter.targets else []
    raise InvalidResource(f"{parameter.name} wants {', '.join([*forms, 'Type/id'])} or a URL, without a version")


def _date(parameter: Parameter, text: str, context: Context) -> list[Wanted]:
    prefix, rest = _prefixed(parameter.name, text)
    try:
        asked = []
        if not parameter.moments_alone:
            asked.append((DAY, ranges.wall_clock(rest, context.zone)))
        if not parameter.days_alone:
            asked.append(("", ranges.moment(rest, context.zone)))
    except InvalidResource as error:
        raise InvalidResource(f"{parameter.name}: {error}") from None
    # Where all are of one kind, there is nothing to tell apart.
    mixed = len(asked) > 1
    return [_over(prefix, ends, context, system if mixed else None) for system, ends in asked]


def _over(prefix: Prefix, ends: ranges.Range, context: Context, system: str | None) -> Wanted:
    low, high = ends
    if prefix == "ap":
        gap = _ABOUT * abs(context.now.timestamp() - (low + high) / 2)
        low, high = low - gap, high + gap
    return Wanted(system=system, prefix=prefix, low=low, high=high)


def _number(name: str, text: str) -> Wanted:
    """With the range that the last digit leaves open; ap widens it."""
    prefix, rest = _prefixed(name, text)
    try:
        exact, low, high = ranges.number(rest)
    except InvalidResource as error:
        raise InvalidResource(f"{name}: {error}") from None
    if prefix == "ap":
        low, high = exact - abs(exact) * _ABOUT, exact + abs(exact) * _ABOUT
    return Wanted(prefix=prefix, low=low, high=high)


def _quantity(name: str, text: str) -> Wanted:
    parts = _parts(text, "|")
    if len(parts) not in (1, 3):
        raise InvalidResource(f"{name} wants number, number|system|code or number||unit")
    number = _number(name, parts[0])
    system, code = (unescaped(part) or None for part in (parts[1:] if parts[1:] else ("", "")))
    return Wanted(value=code, system=system, prefix=number.prefix, low=number.low, high=number.high)


def _prefixed(name: str, text: str) -> tuple[Prefix, str]:
    match = _PREFIXED.match(text)
    if match is None:
        return "eq", text
    if match[0] not in _PREFIXES:
        raise InvalidResource(f"{name} wants one of the prefixes {', '.join(sorted(_PREFIXES))}, or none")
    return cast("Prefix", match[0]), text[match.end() :]

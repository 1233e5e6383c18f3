"""What the elements of a resource can be found by, read by their R4 data types (R4 search.html, table of types)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import cast

from adapters.fhir import ranges
from cds.domain.search import IndexEntry, Kind

Json = Mapping[str, object]

#: `IndexEntry.system` of dates that are days without an offset; those of moments have none.
DAY = "day"


@dataclass(frozen=True, slots=True)
class Element:
    """Where a search parameter looks: the path below the resource, and the R4 data type that stands there.

    `system` is the code system that a `code` has by its required binding.
    """

    path: str
    data_type: str
    system: str = ""


def entries(resource: Json, element: Element, param: str, kind: Kind) -> Iterator[IndexEntry]:
    """What one element of a resource is found by under a parameter.

    An element that is there and says nothing that could be compared, a text alone, is an entry without a value: it is
    not missing.
    """
    plain = IndexEntry(param, kind)
    for value in _found(resource, element.path.split(".") if element.path else []):
        read = list(_READERS[element.data_type](value, element, plain))
        yield from read
        if not read and isinstance(value, Mapping) and value.keys() - {"id", "extension"}:
            yield plain


def _found(value: object, path: list[str]) -> Iterator[object]:
    """The values at the end of a path, repeating elements one by one."""
    if isinstance(value, list):
        for member in value:
            yield from _found(member, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _found(value[path[0]], path[1:])


Reader = Callable[[object, Element, IndexEntry], Iterator[IndexEntry]]


def _code(value: object, element: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    yield replace(plain, value=str(value), system=element.system)


def _boolean(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    yield replace(plain, value="true" if value is True else "false")


def _coding(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    coding = cast("Mapping[str, str]", value)
    if "code" in coding:
        yield replace(plain, value=coding["code"], system=coding.get("system", ""))


def _concept(value: object, element: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    for coding in cast("list[object]", cast("Json", value).get("coding", [])):
        yield from _coding(coding, element, plain)


def _identifier(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    identifier = cast("Mapping[str, str]", value)
    if "value" in identifier:
        yield replace(plain, value=identifier["value"], system=identifier.get("system", ""))


def _reference(value: object, element: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    """Type/id without a version, and the token of the identifier: either may stand alone (R4 references.html)."""
    reference = cast("Mapping[str, str]", value)
    literal = reference.get("reference", "").partition("/_history/")[0]
    if literal:
        yield replace(plain, value=literal)
    if "identifier" in reference:
        yield from _identifier(reference["identifier"], element, plain)


def _date(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    text = cast("str", value)
    low, high = ranges.moment(text, UTC)
    yield replace(plain, system=DAY if ranges.is_day(text) else "", low=low, high=high)


def _period(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    """An end that is not given is open (R4 datatypes.html#Period)."""
    period = cast("Mapping[str, str]", value)
    given = [period[name] for name in ("start", "end") if name in period]
    if given:
        low = ranges.moment(period["start"], UTC)[0] if "start" in period else -ranges.OPEN
        high = ranges.moment(period["end"], UTC)[1] if "end" in period else ranges.OPEN
        yield replace(plain, system=DAY if all(map(ranges.is_day, given)) else "", low=low, high=high)


def _string(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    yield replace(plain, value=cast("str", value))


def _human_name(value: object, element: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    """Every part of a name by itself (R4 SearchParameter Patient.name)."""
    for part in ("family", "given", "prefix", "suffix", "text"):
        for text in _found(value, [part]):
            yield from _string(text, element, plain)


def _decimal(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    _exact, low, high = ranges.number(str(value))
    yield replace(plain, low=low, high=high)


def _quantity(value: object, element: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    """By the code of its unit, and by the unit as people write it where that differs (R4 search.html#quantity)."""
    quantity = cast("Mapping[str, str]", value)
    if "value" not in quantity:
        return
    code, unit = quantity.get("code", ""), quantity.get("unit", "")
    for bare in _decimal(quantity["value"], element, plain):
        yield replace(bare, value=code, system=quantity.get("system", ""))
        if unit not in ("", code):
            yield replace(bare, value=unit)


def _deceased(value: object, _: Element, plain: IndexEntry) -> Iterator[IndexEntry]:
    """Of the whole Patient: `deceased.exists() and deceased != false` (R4 SearchParameter Patient.deceased)."""
    patient = cast("Json", value)
    dead = patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient
    yield replace(plain, value="true" if dead else "false")


_READERS: Mapping[str, Reader] = {
    "code": _code,
    "boolean": _boolean,
    "Coding": _coding,
    "CodeableConcept": _concept,
    "Identifier": _identifier,
    "uri": _string,
    "Reference": _reference,
    "date": _date,
    "dateTime": _date,
    "instant": _date,
    "Period": _period,
    "string": _string,
    "HumanName": _human_name,
    "decimal": _decimal,
    "Quantity": _quantity,
    "Patient": _deceased,
}

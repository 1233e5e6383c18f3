"""What of a search shapes the answer: page, order, includes, totals, parts of resources (R4 search.html#return)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from adapters.fhir.criteria import UnknownParameter, indexed_as, parameter_of
from adapters.fhir.parameters import PARAMETERS
from adapters.fhir.subset import Shape, Summary
from cds.domain.search import Include, Sort, Total
from cds.errors import InvalidResource

Given = Mapping[str, Sequence[str]]

#: More are not given on one page, however many are asked for.
LARGEST_PAGE = 200
DEFAULT_PAGE = 50

INCLUDES = ("_include", "_include:iterate", "_revinclude", "_revinclude:iterate")
#: What is of the answer's bytes and not of its content.
OF_THE_BYTES = ("_format", "_pretty")
CONTROLS = ("_count", "_sort", "_total", "_summary", "_elements", *INCLUDES, *OF_THE_BYTES)

_ELEMENTS = re.compile(r"[a-z][A-Za-z]{0,40}(,[a-z][A-Za-z]{0,40}){0,40}")
_PARTS = ("true", "text", "data")
_SUMMARIES = (*_PARTS, "count", "false")
#: An estimate is the accurate number here (R4 search.html#total).
_TOTALS: Mapping[str, Total] = {"none": "none", "accurate": "accurate", "estimate": "accurate"}


def single(given: Given, name: str) -> str | None:
    """The value of what may be given once; raise InvalidResource where it is given twice."""
    values = given.get(name, ())
    if len(values) > 1:
        raise InvalidResource(f"{name} may be given once")
    return values[0] if values else None


def page_size(given: Given) -> int:
    """How many matches a page may have; 0 where only their number is wanted."""
    text = single(given, "_count")
    if single(given, "_summary") == "count":
        return 0
    if text is None:
        return DEFAULT_PAGE
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidResource(f"_count wants a whole number, of which {LARGEST_PAGE} at most are given on a page")
    return min(int(text), LARGEST_PAGE)


def total(given: Given) -> Total:
    """Whether the number of all matches is wanted."""
    text = single(given, "_total") or "none"
    if text not in _TOTALS:
        raise InvalidResource(f"_total wants {', '.join(_TOTALS)}")
    return _TOTALS[text]


def sort(resource_type: str, given: Given) -> Sort:
    """One key: what changed last, the id or a date (R4 search.html#sort)."""
    text = single(given, "_sort")
    if text is None:
        return Sort()
    descending, name = text.startswith("-"), text.removeprefix("-")
    dates = sortable(resource_type)
    if name not in dates:
        raise InvalidResource(f"_sort wants one of {', '.join(dates)}, with - before it for the newest first")
    return Sort(name, descending)


def sortable(resource_type: str) -> tuple[str, ...]:
    """What a type can be sorted by."""
    return ("_id", *(one.name for one in PARAMETERS[resource_type].values() if one.type == "date"))


def includes(resource_type: str, given: Given) -> Iterator[Include]:
    """Every _include and _revinclude."""
    for name in INCLUDES:
        for text in given.get(name, ()):
            yield _include(resource_type, name, text)


def shape(given: Given) -> Shape:
    """What of each match is wanted."""
    summary, elements = single(given, "_summary"), single(given, "_elements")
    if summary is not None and summary not in _SUMMARIES:
        raise InvalidResource(f"_summary wants {', '.join(_SUMMARIES)}")
    if elements is not None and not _ELEMENTS.fullmatch(elements):
        raise InvalidResource("_elements wants names of elements with commas between them")
    if summary == "text" and any(given.get(name) for name in INCLUDES):
        raise InvalidResource("_summary=text does not go with _include and _revinclude")
    if elements and summary not in (None, "false"):
        raise InvalidResource("want _summary or _elements")
    part = cast("Summary", summary) if summary in _PARTS else None
    return Shape(part, frozenset(elements.split(",")) if elements else frozenset())


def _include(resource_type: str, name: str, text: str) -> Include:
    """R4 search.html#include: Type:parameter, or Type:parameter:Type of what it names."""
    reverse, iterate = name.startswith("_rev"), name.endswith(":iterate")
    source, _, rest = text.partition(":")
    param, _, target = rest.partition(":")
    reaches = _reached(name, source, param, target)
    if not iterate and resource_type not in (reaches if reverse else (source,)):
        raise InvalidResource(f"{name} starts at what is searched: {name}:iterate goes on from what came along")
    parameter = parameter_of(source, param)
    return Include(source, indexed_as(parameter), target, reverse, iterate)


def _reached(name: str, source: str, param: str, target: str) -> tuple[str, ...]:
    """The types that the references lead to."""
    wants = f"{name} wants Type:parameter or Type:parameter:Type, a reference between types that are here"
    if source not in PARAMETERS:
        raise InvalidResource(wants)
    try:
        parameter = parameter_of(source, param)
    except UnknownParameter:
        raise InvalidResource(wants) from None
    reaches = tuple(one for one in parameter.targets if target in ("", one))
    if parameter.type != "reference" or parameter.of_patient or not reaches:
        raise InvalidResource(wants)
    return reaches

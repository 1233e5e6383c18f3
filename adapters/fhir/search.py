"""A FHIR search read strictly: what is not understood is refused, unless the client asks for leniency (R4 search.html).

Every supported parameter stands in `adapters.fhir.parameters`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from adapters.fhir import controls, ranges, sealing
from adapters.fhir.controls import CONTROLS, LARGEST_PAGE, OF_THE_BYTES
from adapters.fhir.criteria import MOST_VALUES, Read, UnknownParameter, read
from adapters.fhir.parameters import PARAMETERS
from adapters.fhir.subset import Shape
from adapters.fhir.wanted import ID, Context, split
from cds.domain.search import Criterion, ResourceQuery
from cds.errors import InvalidResource

#: What the web needs of the search, and gets here alone.
__all__ = [
    "ID",
    "LARGEST_PAGE",
    "PARAMETERS",
    "Context",
    "Continuation",
    "Pair",
    "Search",
    "Shape",
    "instant",
    "page_size",
    "parse",
    "shape_of",
]

Pair = tuple[str, str]

#: More criteria and includes would make one search as dear as many.
MOST_PARAMETERS = 50
#: A date or a number is looked for in several places of the index: it is as dear as so many codes.
_RANGE_COSTS = 10


@dataclass(frozen=True, slots=True)
class Search:
    """A search as it was understood.

    `understood` is what counted of what was given; `linked` what of it a link may repeat. `left_out` is how many
    parameters a lenient search ignored. `chained` are the types that chains ask.
    """

    query: ResourceQuery
    shape: Shape
    understood: tuple[Pair, ...]
    linked: tuple[Pair, ...]
    left_out: int = 0
    chained: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Continuation:
    """A search, history or operation at `path`, with its parameters, and where it goes on; `begun` is its first now."""

    path: str
    pairs: tuple[Pair, ...]
    after: str
    begun: datetime

    def seal(self, key: bytes, now: datetime) -> str:
        """As one opaque text for a link; raise InvalidResource where it is too long for one."""
        value = {"path": self.path, "pairs": self.pairs, "after": self.after, "begun": self.begun.isoformat()}
        return sealing.seal(value, key, now)

    @classmethod
    def unseal(cls, token: str, path: str, key: bytes, now: datetime) -> Continuation:
        """Raise InvalidResource where it is none of ours, too old, or of another address."""
        value = sealing.unseal(token, key, now)
        if value["path"] != path:
            raise InvalidResource("_page is of another address")
        pairs = tuple((name, text) for name, text in cast("list[list[str]]", value["pairs"]))
        return cls(path, pairs, cast("str", value["after"]), datetime.fromisoformat(cast("str", value["begun"])))


@dataclass(slots=True)
class _Sorted:
    """The parameters of a search: those that shape the answer, what the others mean, and how many were left out."""

    controls: dict[str, list[str]] = field(default_factory=dict)
    filters: list[tuple[Pair, Read]] = field(default_factory=list)
    understood: list[Pair] = field(default_factory=list)
    left_out: int = 0


def parse(
    resource_type: str,
    parameters: Iterable[Pair],
    context: Context,
    *,
    lenient: bool = False,
    after: str | None = None,
) -> Search:
    """Read a search; raise InvalidResource, saying what is supported and never what was given.

    `lenient` leaves out parameters that are not known (Prefer: handling=lenient); a modifier or a value that is not
    understood is refused all the same (R4 search.html#modifiers).
    """
    given = _sorted(resource_type, parameters, context, lenient=lenient)
    query = ResourceQuery(
        type=resource_type,
        criteria=tuple(found.criterion for _, found in given.filters if found.criterion is not None),
        includes=tuple(controls.includes(resource_type, given.controls)),
        sort=controls.sort(resource_type, given.controls),
        count=controls.page_size(given.controls),
        total=controls.total(given.controls),
        after=after,
        compartment=_compartment(given),
    )
    private = {pair for pair, found in given.filters if found.private}
    return Search(
        query,
        controls.shape(given.controls),
        understood=tuple(given.understood),
        linked=tuple(pair for pair in given.understood if pair not in private),
        left_out=given.left_out,
        chained=frozenset(found.chained for _, found in given.filters if found.chained),
    )


def shape_of(parameters: Iterable[Pair]) -> Shape:
    """What of a resource a read asks for (R4 http.html#read): _summary and _elements, and no other parameter."""
    given: dict[str, list[str]] = {}
    for name, text in parameters:
        if name not in ("_summary", "_elements", *OF_THE_BYTES):
            raise InvalidResource("a read takes _summary, _elements, _format and _pretty, and nothing else")
        given.setdefault(name, []).append(text)
    if given.get("_summary") == ["count"]:
        raise InvalidResource("_summary=count is for searches")
    return controls.shape(given)


def page_size(text: str | None) -> int:
    """_count of a history or an operation, at least one."""
    return max(1, controls.page_size({"_count": [text]} if text is not None else {}))


def instant(name: str, text: str, context: Context) -> datetime:
    """A moment, such as _since; the first one where it is less precise. Raise InvalidResource."""
    try:
        low, _ = ranges.moment(text, context.zone)
        return datetime.fromtimestamp(low, UTC)
    except (InvalidResource, OverflowError, ValueError):
        raise InvalidResource(f"{name} wants a moment") from None


def _sorted(resource_type: str, parameters: Iterable[Pair], context: Context, *, lenient: bool) -> _Sorted:
    given = _Sorted()
    for name, text in parameters:
        if name in CONTROLS:
            given.controls.setdefault(name, []).append(text)
        else:
            try:
                given.filters.append(((name, text), read(resource_type, name, text, context)))
            except UnknownParameter:
                if not lenient:
                    raise
                given.left_out += 1
                continue
        if name not in OF_THE_BYTES:
            given.understood.append((name, text))
    if len(given.understood) > MOST_PARAMETERS:
        raise InvalidResource(f"a search wants {MOST_PARAMETERS} parameters at most")
    if sum(_cost(text, found.criterion) for (_, text), found in given.filters) > MOST_VALUES:
        raise InvalidResource(
            f"a search wants {MOST_VALUES} values at most in all, where a date or a number counts as {_RANGE_COSTS}"
        )
    return given


def _cost(text: str, criterion: Criterion | None) -> int:
    asked = criterion.chain[1] if criterion and criterion.chain else criterion
    each = _RANGE_COSTS if asked and asked.any_of and asked.kind in ("date", "quantity") else 1
    return each * len(split(text))


def _compartment(given: _Sorted) -> str | None:
    named = {found.compartment for _, found in given.filters} - {None}
    if len(named) > 1:
        raise InvalidResource("patient wants one Patient here")
    return named.pop() if named else None

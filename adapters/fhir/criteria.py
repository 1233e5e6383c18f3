"""Search parameters with their modifiers, chains and lists, read strictly (R4 search.html)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from adapters.fhir import wanted
from adapters.fhir.parameters import OF_THE_RESOURCE, PARAMETERS, Parameter, SearchType
from adapters.fhir.wanted import Context
from cds.domain.search import Criterion, Modifier, Wanted
from cds.errors import InvalidResource

#: What each type of parameter may be modified by, beside the types of a reference (R4 search.html#modifiers).
MODIFIERS: Mapping[SearchType, tuple[str, ...]] = {
    "token": ("missing", "not"),
    "reference": ("missing", "identifier"),
    "date": ("missing",),
    "string": ("missing", "exact", "contains"),
    "quantity": ("missing",),
    "number": ("missing",),
    "uri": ("missing",),
}
#: More alternatives would make one search as dear as many, and SQLite takes 499 in one condition.
MOST_VALUES = 400

_COMPARING = frozenset(get_args(Modifier))


class UnknownParameter(InvalidResource):
    """There is no such parameter here; a lenient search leaves it out (R4 search.html#errors)."""


@dataclass(frozen=True, slots=True)
class Read:
    """A criterion as it was understood. `private` where a link may not repeat it.

    `compartment` stands instead of a criterion where only the store knows whose a resource is: one Patient's id.
    `chained` is the type that a chain asks.
    """

    criterion: Criterion | None
    private: bool
    compartment: str | None = None
    chained: str = ""


def read(resource_type: str, name: str, text: str, context: Context) -> Read:
    """One parameter of a search; raise UnknownParameter, or InvalidResource with what was wanted, never the value."""
    own, dot, rest = name.partition(".")
    param, _, modifier = own.partition(":")
    parameter = parameter_of(resource_type, param)
    if not text:
        raise InvalidResource(f"{parameter.name} wants a value")
    if dot:
        return _chained(parameter, modifier, rest, text, context)
    if parameter.name in OF_THE_RESOURCE and modifier:
        raise InvalidResource(f"{parameter.name} has no modifiers")
    if modifier == "missing":
        return _missing(parameter, text)
    texts = wanted.split(text)
    if len(texts) > MOST_VALUES or not all(texts):
        raise InvalidResource(f"{parameter.name} wants values with commas between them, {MOST_VALUES} at most")
    if parameter.of_patient:
        return _of_patient(parameter, modifier, texts, context)
    return _read(parameter, modifier, texts, context)


def parameter_of(resource_type: str, name: str) -> Parameter:
    """A parameter of a type; UnknownParameter names those that there are."""
    table = PARAMETERS[resource_type]
    if name == "_has":
        raise InvalidResource("_has is not supported: chain from the other side, or use _revinclude")
    if name not in table:
        raise UnknownParameter(f"{resource_type} can be searched by {', '.join(table)}, and nothing else")
    return table[name]


def indexed_as(parameter: Parameter) -> str:
    """The parameter under which the store has its values."""
    return parameter.same_as or parameter.name


def _read(parameter: Parameter, modifier: str, texts: Sequence[str], context: Context) -> Read:
    of_type = modifier in parameter.targets
    if modifier and not of_type and modifier not in MODIFIERS[parameter.type]:
        known = (*MODIFIERS[parameter.type], *parameter.targets)
        raise InvalidResource(f"{parameter.name} can be modified by {', '.join(known)}, and nothing else")
    comparing = cast("Modifier", modifier if modifier in _COMPARING else "")
    read = _VALUES["token" if modifier == "identifier" else parameter.type]
    any_of = read(parameter, texts, modifier if of_type else "", context)
    criterion = Criterion(indexed_as(parameter), parameter.kind, any_of, comparing)
    named = parameter.type == "reference" or parameter.name == "_id"
    private = parameter.private or modifier == "identifier" or (named and not _ours(any_of))
    return Read(criterion, private)


def _missing(parameter: Parameter, text: str) -> Read:
    if parameter.of_patient:
        raise InvalidResource(f"{parameter.name} is never missing")
    if text not in ("true", "false"):
        raise InvalidResource(f"{parameter.name}:missing wants true or false")
    return Read(Criterion(indexed_as(parameter), parameter.kind, missing=text == "true"), private=False)


def _chained(parameter: Parameter, only: str, rest: str, text: str, context: Context) -> Read:
    """One step (R4 search.html#chaining): `rest` is asked of what the reference names."""
    if parameter.type != "reference" or parameter.of_patient or "." in rest:
        raise InvalidResource("a chain wants one reference, a dot and a parameter: subject:Patient.identifier")
    if only and only not in parameter.targets:
        raise InvalidResource(f"{parameter.name} can be chained to {', '.join(parameter.targets) or 'nothing'}")
    named = rest.partition(":")[0]
    targets = [one for one in ([only] if only else parameter.targets) if named in PARAMETERS[one]]
    if len(targets) != 1:
        wants = f"one of {', '.join(parameter.targets)} with such a parameter" if parameter.targets else "no chain"
        raise InvalidResource(f"{parameter.name} wants {wants}")
    found = read(targets[0], rest, text, context)
    if found.criterion is None:
        raise InvalidResource(f"{parameter.name} cannot be chained to whose a resource is")
    criterion = Criterion(indexed_as(parameter), "reference", chain=(targets[0], found.criterion))
    private = found.private or targets[0] == "Patient"
    return replace(found, criterion=criterion, private=private, chained=targets[0])


def _of_patient(parameter: Parameter, modifier: str, texts: Sequence[str], context: Context) -> Read:
    """Whose a resource is, where none of its elements says so: one Patient, by the store."""
    if modifier not in ("", "Patient") or len(texts) != 1:
        raise InvalidResource(f"{parameter.name} wants one Patient here")
    [asked] = wanted.references(parameter, texts, modifier, context)
    kind, _, patient = (asked.value or "").rpartition("/")
    if kind != "Patient":
        raise InvalidResource(f"{parameter.name} wants one Patient here")
    return Read(None, not _ours((asked,)), compartment=patient)


def _ours(any_of: Sequence[Wanted]) -> bool:
    """True where all look like ids that Sightline gives, which say nothing of a person."""
    return all(wanted.UUID.fullmatch((one.value or "").rpartition("/")[2]) for one in any_of)


def _tokens(name: str, texts: Sequence[str]) -> tuple[Wanted, ...]:
    return wanted.ids(texts) if name == "_id" else wanted.tokens(name, texts)


Values = Callable[[Parameter, Sequence[str], str, Context], tuple[Wanted, ...]]
_VALUES: Mapping[SearchType, Values] = {
    "token": lambda parameter, texts, _only, _context: _tokens(parameter.name, texts),
    "uri": lambda parameter, texts, _only, _context: wanted.uris(texts),
    "string": lambda parameter, texts, _only, _context: wanted.strings(texts),
    "reference": wanted.references,
    "date": lambda parameter, texts, _only, context: wanted.dates(parameter, texts, context),
    "number": lambda parameter, texts, _only, _context: wanted.numbers(parameter.name, texts),
    "quantity": lambda parameter, texts, _only, _context: wanted.quantities(parameter.name, texts),
}

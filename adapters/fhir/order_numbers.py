"""The numbers of an order as FHIR writes them: identifiers typed ACSN, PLAC and FILL (HL7 table 0203)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from adapters.fhir import systems
from adapters.fhir.tolerant import codings, known_by, text
from cds.domain.coding import Coding
from cds.domain.identity import Identifier

Resource = Mapping[str, object]

_PLACER = Coding(systems.IDENTIFIER_TYPE, "PLAC", "Placer Identifier")
_FILLER = Coding(systems.IDENTIFIER_TYPE, "FILL", "Filler Identifier")


@dataclass(frozen=True, slots=True)
class OrderNumbers:
    """Whichever of the three are there."""

    accession: Identifier | None = None
    placer: Identifier | None = None
    filler: Identifier | None = None

    def __bool__(self) -> bool:
        return any((self.accession, self.placer, self.filler))


def order_numbers(
    listed: Iterable[Resource], identifier_systems: Mapping[str, str], accession_issuer: str
) -> OrderNumbers:
    """The first of each type. `accession_issuer` is the issuer of accession numbers that come without a system."""
    identifiers = list(listed)
    return OrderNumbers(
        accession(identifiers, identifier_systems, accession_issuer),
        next(_typed(identifiers, _PLACER, identifier_systems), None),
        next(_typed(identifiers, _FILLER, identifier_systems), None),
    )


def accession(
    listed: Iterable[Resource], identifier_systems: Mapping[str, str], accession_issuer: str
) -> Identifier | None:
    """The accession number with its issuer; None where there is none, or its issuer is not known."""
    for identifier in listed:
        if not _is(identifier, systems.ACCESSION):
            continue
        system, value = text(identifier.get("system")), known_by(identifier.get("value"))
        issuer = identifier_systems.get(system, "") if system else accession_issuer
        if system.startswith(systems.ACCESSION_PREFIX):
            issuer = known_by(unquote(system.removeprefix(systems.ACCESSION_PREFIX)))
        if value and issuer:
            return Identifier(value, issuer)
    return None


def _typed(listed: Iterable[Resource], wanted: Coding, identifier_systems: Mapping[str, str]) -> Iterator[Identifier]:
    for identifier in listed:
        system, value = text(identifier.get("system")), known_by(identifier.get("value"))
        assigner = identifier_systems.get(system, "")
        if system.startswith(systems.AUTHORITY_PREFIX):
            assigner = known_by(unquote(system.removeprefix(systems.AUTHORITY_PREFIX)))
        if _is(identifier, wanted) and value and assigner:
            yield Identifier(value, assigner)


def _is(identifier: Resource, wanted: Coding) -> bool:
    return any(code.same(wanted) for code in codings(identifier.get("type")))

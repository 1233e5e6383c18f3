"""How the resources of one type get to one server, as its CapabilityStatement lets us."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.fhir.abilities import Abilities
from cds.domain.resource import WITHDRAWABLE


@dataclass(frozen=True, slots=True)
class Way:
    """What a server does with one type. `own`: it has them under our ids; `finds`: by our identifiers."""

    finds: bool
    reads: bool
    own: bool
    updates: bool
    conditional_update: bool
    conditional_create: bool
    versions: bool


def way_to(abilities: Abilities, resource_type: str, param: str, *, own_ids: bool) -> Way | None:
    """The way of one type whose copies are found by `param`; None where the server does not take it.

    A condition is trusted only where the server says that it searches by its parameter: one that ignores it would
    change whatever it finds. Without a way to find a copy again a repeat would make a second; what can be withdrawn
    goes only where it can be changed.
    """
    finds = abilities.searches(resource_type, param)
    updates, creates = abilities.can(resource_type, "update"), abilities.can(resource_type, "create")
    conditional_update = finds and abilities.conditional_update(resource_type)
    own = updates and (own_ids or (abilities.update_create(resource_type) and not conditional_update))
    if not (own or conditional_update or (finds and creates)) or (resource_type in WITHDRAWABLE and not updates):
        return None
    return Way(
        finds=finds,
        reads=abilities.can(resource_type, "read"),
        own=own,
        updates=updates,
        conditional_update=conditional_update,
        conditional_create=finds and abilities.conditional_create(resource_type),
        versions=abilities.versioned_update(resource_type),
    )

"""What another FHIR server can do, as its CapabilityStatement says (R4 http.html#capabilities)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.fhir.tolerant import items, obj, text

_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


@dataclass(frozen=True, slots=True)
class OfType:
    """What it can do with one type of resource."""

    interactions: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    versioning: str = ""
    conditional_create: bool = False
    conditional_update: bool = False
    update_create: bool = False


_NOTHING = OfType()


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a CapabilityStatement says the server can do. What it does not say, it cannot."""

    fhir_version: str = ""
    software: str = ""
    #: Interactions of the whole system: transaction, batch, search-system, history-system.
    interactions: frozenset[str] = frozenset()
    #: Search parameters and operations of every type.
    parameters: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    types: Mapping[str, OfType] = field(default_factory=dict)
    #: Where tokens come from, by the oauth-uris extension of SMART; "" where it does not say.
    token_url: str = ""

    @property
    def transaction(self) -> bool:
        """It takes transaction Bundles: all or nothing."""
        return "transaction" in self.interactions

    @property
    def batch(self) -> bool:
        """It takes batch Bundles, each entry on its own."""
        return "batch" in self.interactions

    def can(self, resource_type: str, interaction: str) -> bool:
        """Whether it has an interaction with a type: read, vread, create, update, patch, delete, search-type, …"""
        return interaction in self._of(resource_type).interactions

    def conditional_create(self, resource_type: str) -> bool:
        """It creates only what it has not yet (If-None-Exist)."""
        return self.can(resource_type, "create") and self._of(resource_type).conditional_create

    def conditional_update(self, resource_type: str) -> bool:
        """It updates by search instead of id."""
        return self.can(resource_type, "update") and self._of(resource_type).conditional_update

    def update_create(self, resource_type: str) -> bool:
        """It lets clients choose ids."""
        return self.can(resource_type, "update") and self._of(resource_type).update_create

    def versioned_update(self, resource_type: str) -> bool:
        """It wants If-Match with every update."""
        return self._of(resource_type).versioning == "versioned-update"

    def searches(self, resource_type: str, parameter: str) -> bool:
        """Whether a type can be searched by a parameter, its own or one of all types."""
        known = self._of(resource_type).parameters | self.parameters
        return self.can(resource_type, "search-type") and parameter in known

    def operates(self, operation: str, resource_type: str = "") -> bool:
        """Whether it has an operation (named without $) on a type, or on the system."""
        name = operation.removeprefix("$")
        return name in self.operations or name in self._of(resource_type).operations

    def _of(self, resource_type: str) -> OfType:
        return self.types.get(resource_type, _NOTHING)


def read(statement: Mapping[str, object]) -> Abilities:
    """Read tolerantly: what has another shape than R4 says is as good as not said."""
    servers = [rest for rest in items(statement.get("rest")) if text(rest.get("mode")) in ("server", "")]
    rest = servers[0] if servers else {}
    software = obj(statement.get("software"))
    return Abilities(
        fhir_version=text(statement.get("fhirVersion")),
        software=" ".join(filter(None, (text(software.get("name")), text(software.get("version"))))),
        interactions=_names(rest, "interaction", "code"),
        parameters=_names(rest, "searchParam", "name"),
        operations=_operations(rest),
        types={text(one.get("type")): _of_type(one) for one in items(rest.get("resource")) if text(one.get("type"))},
        token_url=_token_url(obj(rest.get("security"))),
    )


def _of_type(resource: Mapping[str, object]) -> OfType:
    return OfType(
        interactions=_names(resource, "interaction", "code"),
        parameters=_names(resource, "searchParam", "name"),
        operations=_operations(resource),
        versioning=text(resource.get("versioning")),
        conditional_create=resource.get("conditionalCreate") is True,
        conditional_update=resource.get("conditionalUpdate") is True,
        update_create=resource.get("updateCreate") is True,
    )


def _names(element: Mapping[str, object], member: str, name: str) -> frozenset[str]:
    return frozenset(filter(None, (text(one.get(name)) for one in items(element.get(member)))))


def _operations(element: Mapping[str, object]) -> frozenset[str]:
    return frozenset(name.removeprefix("$") for name in _names(element, "operation", "name"))


def _token_url(security: Mapping[str, object]) -> str:
    """The extension of SMART before it had a document of its own; many servers have it still."""
    uris = [one for one in items(security.get("extension")) if text(one.get("url")) == _OAUTH_URIS]
    named = [one for uri in uris for one in items(uri.get("extension")) if text(one.get("url")) == "token"]
    return next(filter(None, (text(one.get("valueUri")) for one in named)), "")

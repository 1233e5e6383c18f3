"""CDS Hooks 2.0: discovery and service calls, as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cds.codes import ValueSet
from cds.errors import NotFound
from cds.hooks import imaging_findings, request
from cds.hooks.service import CardsShown, HookContext, Json, Service

__all__ = ["CardsShown", "HookContext", "Json", "Service", "call", "discovery", "services"]


def services(asks: Sequence[ValueSet] | None = None) -> tuple[Service, ...]:
    """Every service of this server; `asks` are the value sets that clients are asked for, see `HookContext.asks`."""
    return (imaging_findings.service(asks),)


def discovery(offered: Sequence[Service] | None = None) -> Json:
    """The document behind GET /cds-services."""
    return {"services": [service.discovery() for service in (services() if offered is None else offered)]}


def call(service_id: str, body: Mapping[str, object], context: HookContext) -> Json:
    """Answer a service call; raise NotFound, InvalidResource (400) or PreconditionFailed (412)."""
    service = next((service for service in services() if service.id == service_id), None)
    if service is None:
        raise NotFound("there is no such CDS service; see /cds-services")
    return {"cards": service.respond(request.read(body, hook=service.hook), context)}

"""CDS Hooks 2.0: discovery and service calls, as plain dicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cds.codes import ValueSet
from cds.domain.hook import HookCall, Reader
from cds.errors import NotFound
from cds.hooks import (
    discharge_check,
    fatigue,
    imaging_findings,
    lay_reader,
    order_advice,
    order_routing,
    prefetch,
    request,
)
from cds.hooks.answer import finished
from cds.hooks.request import HookRequest
from cds.hooks.service import CallLog, Forgetful, HookContext, Json, Service

__all__ = ["CallLog", "Forgetful", "HookContext", "Json", "Service", "call", "discovery", "services"]

#: One file per service.
_SERVICES = (imaging_findings, order_advice, order_routing, discharge_check)
_NOTHING_ASKED: Mapping[str, Sequence[ValueSet]] = {}


def services(asks: Mapping[str, Sequence[ValueSet]] = _NOTHING_ASKED) -> tuple[Service, ...]:
    """Every service of this server; `asks` are the value sets that clients are asked for, see `HookContext.asks`."""
    return tuple(found for one in _SERVICES for found in one.services(asks.get(one.ID)))


def discovery(offered: Sequence[Service] | None = None) -> Json:
    """The document behind GET /cds-services."""
    return {"services": [service.discovery() for service in (services() if offered is None else offered)]}


def call(
    service_id: str,
    body: Mapping[str, object],
    context: HookContext,
    *,
    client: str = "",
    offered: Sequence[Service] | None = None,
) -> Json:
    """Answer a service call of a client; raise NotFound, InvalidResource (400), PreconditionFailed (412).

    NothingEvaluated (500) where no guideline could be evaluated: an empty list would read as nothing found.
    `offered` are the services of the context, where they are at hand.
    """
    known = services(context.asks) if offered is None else offered
    found = {service.hook: service for service in known if service.id == service_id}
    if not found:
        raise NotFound("there is no such CDS service; see /cds-services")
    asked = request.read(body, hooks=found.keys())
    answer = lay_reader.answer(asked, context) or found[asked.hook].respond(asked, context)
    reader = _reader(asked, client)
    kept, held_back = fatigue.choose(answer.cards, reader, context, answer.whose)
    bodies, shown = finished(kept)
    now = context.clock.now()
    said = HookCall(
        service_id, asked.hook, asked.hook_instance, now, reader, answer.whose, shown, held_back, answer.studies
    )
    context.log.keep(said)
    actions: Json = {"systemActions": list(answer.system_actions)} if answer.system_actions else {}
    return {"cards": bodies} | actions


def _reader(asked: HookRequest, client: str) -> Reader:
    return Reader(client, asked.user_id, prefetch.roles(asked.prefetch))

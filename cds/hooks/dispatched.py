"""The orders of an order-dispatch call: which they are, and the resources that say them.

Version 1.0 names one (`order`, with its `task`), 1.1 several (`dispatchedOrders`, `fulfillmentTasks`); an example of
the latter writes `fulfillment-tasks`. An order is taken from what the call brought (contained in a task, or anywhere in
its prefetch) and is else fetched with its token. The template serves 1.0 alone: 1.1 names orders in an array, and a
token stands for a primitive value of the context (CDS Hooks 2.0, prefetch tokens).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cds.errors import InvalidResource
from cds.hooks import order_judging
from cds.hooks.order_judging import REFERENCE, Ordered
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext

#: The template of the one order that version 1.0 names.
QUERY: Mapping[str, str] = MappingProxyType({"order": "{{context.order}}"})
_TYPE = "ServiceRequest"
_TASKS = ("task", "fulfillmentTasks", "fulfillment-tasks")
_WANTED = "want references such as ServiceRequest/123"


@dataclass(frozen=True, slots=True)
class Dispatched:
    """The imaging orders of the call's patient, those of another one, and references of what could not be had."""

    orders: tuple[Ordered, ...] = ()
    strange: tuple[Ordered, ...] = ()
    unseen: tuple[str, ...] = ()


def read(request: HookRequest, context: HookContext) -> Dispatched:
    """What was dispatched; raise InvalidResource where the call names no order. What is no ServiceRequest is left out.

    What does not come is not waited for again: the other orders are then not fetched either.
    """
    brought = {order_judging.reference(one): one for one in _brought(request)}
    found: list[Ordered] = []
    unseen: list[str] = []
    for name in _references(request):
        resource = brought.get(name)
        if resource is None and not unseen:
            resource = _fetched(name, request, context)
        if resource is None:
            unseen.append(name)
        else:
            found += [Ordered(one, resource, name) for one in context.read_dispatched((resource,))]
    imaging = [one for one in found if one.is_imaging]
    strange = [one for one in imaging if order_judging.names_another(one.resource, request.patient_id)]
    return Dispatched(tuple(one for one in imaging if one not in strange), tuple(strange), tuple(unseen))


def _references(request: HookRequest) -> list[str]:
    """Each order of the call that may be imaging, once, relative to the client's server."""
    context = request.context
    name = "dispatchedOrders" if "dispatchedOrders" in context else "order"
    stated = context.get(name)
    several = stated if isinstance(stated, list) else [stated]
    if not several or not all(isinstance(one, str) and one for one in several):
        raise InvalidResource(f"context.{name}: {_WANTED}")
    local = [str(one).removeprefix(f"{request.fhir_server}/").split("/_history/")[0] for one in several]
    return list(dict.fromkeys(one for one in local if one.rpartition("/")[0].endswith(_TYPE)))


def _fetched(name: str, request: HookRequest, context: HookContext) -> Mapping[str, object] | None:
    """The order at the client's server; None where it cannot be had, or is another one than was asked for."""
    if request.access is None or not REFERENCE.fullmatch(name):
        return None
    resource = context.fetch_resource(request.access, name)
    return resource if resource is not None and order_judging.reference(resource) == name else None


def _brought(request: HookRequest) -> Iterator[Mapping[str, object]]:
    """Every resource that came with the call, the tasks' own last: they say it as it was dispatched."""
    for value in request.prefetch.values():
        yield from _with_entries(value)
    for name in _TASKS:
        stated = request.context.get(name)
        for task in _objects(stated if isinstance(stated, list) else [stated]):
            yield from _objects(task.get("contained"))


def _with_entries(value: object) -> Iterator[Mapping[str, object]]:
    for one in _objects([value]):
        yield one
        yield from _objects([entry.get("resource") for entry in _objects(one.get("entry"))])


def _objects(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []

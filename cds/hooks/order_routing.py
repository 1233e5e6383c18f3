"""`imaging-order-routing` on order-dispatch: what who performs an imaging order should know."""

from __future__ import annotations

from collections.abc import Sequence

from cds.codes import ValueSet
from cds.hooks import prefetch
from cds.hooks.answer import Answer
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext, Service

ID = "imaging-order-routing"


def services(asks: Sequence[ValueSet] | None = None) -> tuple[Service, ...]:
    """The service as it is discovered and called, once for each hook."""
    return (
        Service(
            id=ID,
            hook="order-dispatch",
            title="",
            description="",
            usage_requirements=prefetch.USAGE,
            version="1.0.0",
            prefetch=prefetch.queries(asks),
            respond=respond,
        ),
    )


def respond(request: HookRequest, context: HookContext) -> Answer:
    """Not written yet."""
    raise NotImplementedError

"""Answers of every kind that the services give, over a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.contract.hook_site import (
    ADVICE,
    DISCHARGE,
    FINDINGS,
    LAUNCHING,
    NAMES,
    ROUTING,
    HookSite,
    chart,
    drafts,
    order,
)

Json = dict[str, Any]

PLAIN_ABDOMEN = ("24799-9", "XR Abdomen")
#: A dispatch of an order that did not come with it.
UNREADABLE = {"order": "ServiceRequest/1", "performer": "Organization/1"}
_PREGNANT = {"reasonCode": [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "Z33"}]}]}


@dataclass(frozen=True)
class Answered:
    """One call and what it was answered."""

    service: str
    request: Json
    response: Json

    @property
    def cards(self) -> list[Json]:
        """Its cards."""
        found: list[Json] = self.response["cards"]
        return found


def answers(site: HookSite) -> list[Answered]:
    """Every service with every patient, and what makes the rarer kinds of card."""
    calls = [*_every_patient(site), *_orders(site), *_odd(site)]
    return [Answered(service, body, site.answer(service, body)) for service, body in calls]


def _every_patient(site: HookSite) -> Iterator[tuple[str, Json]]:
    for name in NAMES:
        yield FINDINGS, site.body(FINDINGS, name)
        yield DISCHARGE, site.body(DISCHARGE, name)
        whose = chart(name).patient["id"]
        yield ADVICE, site.body(ADVICE, name, context=drafts(order(whose)))
        yield ROUTING, site.body(ROUTING, name, context=dispatched(whose))


def dispatched(whose: str, **members: object) -> Json:
    """An order-dispatch context (1.0) whose task contains the order."""
    task = {"resourceType": "Task", "contained": [order(whose, status="active", id="signed", **members)]}
    return {"order": "ServiceRequest/signed", "performer": "Organization/imaging", "task": task}


def replaced(site: HookSite, hook: str = "order-sign") -> Json:
    """A call about an order in whose place another one is suggested."""
    whose = chart("09-breast").patient["id"]
    asked = order(whose, PLAIN_ABDOMEN, encounter={"reference": "Encounter/7"}, **_PREGNANT)
    return site.body(ADVICE, "09-breast", hook=hook, context=drafts(asked))


def _orders(site: HookSite) -> Iterator[tuple[str, Json]]:
    whose = chart("03-lung-nodule").patient["id"]
    long = order(whose, code={"coding": order(whose)["code"]["coding"], "text": "CT thorax " * 60})
    yield ADVICE, replaced(site)
    yield ADVICE, replaced(site, "order-select")
    yield ADVICE, site.body(ADVICE, "03-lung-nodule", context=drafts(long))
    yield ADVICE, site.body(ADVICE, "03-lung-nodule", context=drafts(order("somebody-else")))
    yield ROUTING, site.body(ROUTING, "03-lung-nodule", context=UNREADABLE)


def _odd(site: HookSite) -> Iterator[tuple[str, Json]]:
    """A patient whom nobody can map, one who asks about themselves, and an EHR that can launch the study page."""
    for service in (FINDINGS, DISCHARGE):
        stranger = {"resourceType": "Patient", "id": "p2"}
        yield service, site.body(service, prefetch={"patient": stranger})
        yield service, site.body(service, fhirServer=LAUNCHING)
        yield service, site.body(service, context={"userId": "Patient/p2"})

"""`imaging-order-advice` on order-select and order-sign: what speaks for or against an imaging order not yet signed.

No images are needed: a patient whom Sightline does not know is judged by the record of the call. An answer at
order-sign takes the place of that at order-select, for both have one id (CDS Hooks 2.0, "Update stale guidance").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cds.codes import ValueSet
from cds.domain.ehr import EhrData
from cds.domain.recommendation import Advice, Indicator, PathwayOutcome
from cds.hooks import order_cards, order_judging, prefetch
from cds.hooks.answer import Answer, Card, digest
from cds.hooks.asked import Asked
from cds.hooks.order_drafts import noted
from cds.hooks.order_judging import Ordered
from cds.hooks.parts import Json
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext, Service

ID = "imaging-order-advice"
SELECT, SIGN = "order-select", "order-sign"
_INDICATORS = (Indicator.CRITICAL, Indicator.WARNING, Indicator.INFO)


@dataclass(frozen=True, slots=True)
class _Said:
    """One order, and what the checks say to it."""

    ordered: Ordered
    outcomes: tuple[PathwayOutcome, ...]


def services(asks: Sequence[ValueSet] | None = None) -> tuple[Service, ...]:
    """The service as it is discovered and called, once for each hook."""
    wanted = prefetch.queries(order_judging.checks_ask(asks))
    return tuple(
        Service(
            id=ID,
            hook=hook,
            title="Imaging order advice",
            description="Whether an imaging order fits its reason and this patient: a better test or none, contrast "
            "medium, kidneys, pregnancy, and exams that were done already.",
            usage_requirements=prefetch.USAGE,
            version="1.0.0",
            prefetch=wanted,
            respond=respond,
        )
        for hook in (SELECT, SIGN)
    )


def respond(request: HookRequest, context: HookContext) -> Answer:
    """The cards of one call; raise NothingEvaluated where every check broke. Orders that are not imaging get none."""
    orders = order_judging.drafts(request, context)
    if not orders:
        return Answer(whose=order_judging.whose(request))
    strange = [one for one in orders if order_judging.names_another(one.resource, request.patient_id)]
    own = [one for one in orders if one not in strange]
    asked = order_judging.asked_for(request, context, ID)
    told = (order_cards.another_patient(asked.site, asked.whose, strange),) if strange else ()
    if not own:
        return Answer(told, whose=asked.whose)
    said = _judged(asked, asked.ehr(), own)
    return Answer((*told, *_cards(asked, said)), tuple(_acts(asked, said)), whose=asked.whose)


def _judged(asked: Asked, ehr: EhrData, orders: Iterable[Ordered]) -> list[_Said]:
    said = [_Said(one, order_judging.judged(asked, ehr, one.order)) for one in orders]
    order_judging.not_all_failed([outcome for one in said for outcome in one.outcomes])
    return said


def _cards(asked: Asked, said: Sequence[_Said]) -> Iterator[Card]:
    """What is in doubt, the advices, the most urgent first, and what broke."""
    if asked.doubt and asked.patient.identifiers:
        yield order_cards.unidentified(asked)
    yield from sorted(_advices(asked, said), key=lambda card: _INDICATORS.index(card.about.indicator))
    broken = [(one.ordered, found) for one in said if (found := order_judging.failed(one.outcomes))]
    if broken:
        untold = [outcome for _, found in broken for outcome in found]
        yield order_cards.could_not_tell(asked, [ordered for ordered, _ in broken], untold)


def _advices(asked: Asked, said: Sequence[_Said]) -> Iterator[Card]:
    """A card for each advice; what is said alike to several orders stands once, unless it takes an order's place."""
    alike: dict[tuple[object, ...], list[tuple[Ordered, Advice]]] = {}
    for number, one in enumerate(said):
        for advice in order_judging.advices(one.outcomes):
            instead = any(step.instead for step in advice.recommendations)
            same = (advice.pathway, digest(advice), number if instead else None)
            alike.setdefault(same, []).append((one.ordered, advice))
    for (first, advice), *more in alike.values():
        yield order_cards.advice(asked, first, advice, [ordered for ordered, _ in more])


def _acts(asked: Asked, said: Iterable[_Said]) -> Iterator[Json]:
    """Notes on orders that are being signed, where the site lets this service act and nothing contradicts who it is."""
    if asked.request.hook != SIGN or ID not in asked.context.acts or asked.doubt:
        return
    for one in said:
        action = noted(one.ordered, order_judging.advices(one.outcomes), asked.site)
        if action is not None:
            yield action

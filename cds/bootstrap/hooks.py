"""CDS Hooks, wired: what the services are given."""

from __future__ import annotations

from collections.abc import Mapping

from cds import hooks as services
from cds import release
from cds.bootstrap import Stores
from cds.bootstrap.advising import for_cards
from cds.bootstrap.ehr import sources, with_ehr
from cds.bootstrap.failures import failures, with_failures_told
from cds.bootstrap.hook_discharge import with_outstanding
from cds.bootstrap.hook_doors import prove
from cds.bootstrap.hook_memory import CallMemory, memory, memory_over, taken
from cds.bootstrap.hook_orders import with_orders
from cds.bootstrap.hook_views import Views, again
from cds.errors import NotFound
from cds.hooks import HookContext
from cds.ports import CardLog, Clock
from cds.services import HookServices, Json
from cds.settings import Settings


def hooks(settings: Settings, held: Stores, clock: Clock) -> HookServices:
    """What the routes below /cds-services may use."""
    kept = memory(settings, held.database, clock)
    context = hook_context(settings, held, clock, kept.cards)
    context = with_ehr(context, settings, clock, sources(settings, clock, orders=True))
    context = with_outstanding(with_orders(context, settings, held.switches), held.database)
    context = with_failures_told(context, failures(settings, held.database, clock))
    offered = services.services(context.asks)
    document, ids = services.discovery(offered), {service.id for service in offered}

    def call(service: str, request: Mapping[str, object], client: str) -> Json:
        with held.database.looking():  # one connection for all that is read
            return services.call(service, request, context, client=client, offered=offered)

    def feedback(service: str, said: Mapping[str, object], client: str) -> Json:
        if service not in ids:
            raise NotFound("there is no such CDS service; see /cds-services")
        return taken(kept.cards, clock, service, client, said)

    return HookServices(
        discovery=lambda: document,
        call=call,
        feedback=feedback,
        prove=prove(settings, kept.tokens.fresh),
    )


def hook_context(settings: Settings, held: Stores, clock: Clock, cards: CardLog | None = None) -> HookContext:
    """What CDS Hooks services are given; what they show is remembered in `cards`, else beside all the rest."""
    from adapters.fhir.read import read_patient, read_statements

    remembered = again(held)
    views = Views(settings, held, remembered)
    return HookContext(
        reports=held.reports,
        record=held.record,
        read_patient=lambda resource: read_patient(resource, settings.identifier_systems),
        read_statements=lambda prefetch: read_statements(prefetch, clock.today()),
        evaluate=for_cards(settings, held.switches),
        view=views.view,
        withheld=views.withheld,
        clock=clock,
        public_url=settings.public_url,
        site_name=settings.site_name,
        pages_url=settings.ui_address,
        log=CallMemory(cards or memory_over(held.database, clock).cards, settings, clock),
        fatigue=settings.fatigue,
        launches=frozenset(settings.smart_apps),
        acts=frozenset(settings.system_actions),
        where=lambda report: release.site(settings, report.study),
        most_steps=settings.most_steps,
        again=remembered,
    )

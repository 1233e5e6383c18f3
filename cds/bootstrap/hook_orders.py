"""The hooks about imaging orders, wired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cds import exam_codes, ordering, release
from cds.bootstrap.advising import orderable
from cds.bootstrap.explaining import exams
from cds.domain.identity import Patient
from cds.domain.recommendation import Case, PathwayOutcome
from cds.domain.report import Audience
from cds.hooks import HookContext
from cds.hooks.request import FhirAccess
from cds.ports import Switches
from cds.settings import Settings

#: The order of a dispatch is asked for once, before anything else.
_WITHIN_S = 1.0


def with_orders(context: HookContext, settings: Settings, switches: Switches) -> HookContext:
    """A hook context that reads imaging orders and judges them with the checks that may speak now."""
    from adapters.fhir.caller import Call, Caller
    from adapters.fhir.draft_order import read_draft_orders, read_orders

    own, installed = exams(settings), tuple(ordering.load())
    servers = [*settings.fhir_sources.values(), *settings.fhir_destinations.values()]
    caller = Caller({server.url: server.tls for server in servers}, context.clock, within_s=_WITHIN_S)

    def home(patient: Patient) -> str:
        return settings.site_of(*(one.assigner for one in patient.identifiers))

    def judge(case: Case, whose: Patient) -> tuple[PathwayOutcome, ...]:
        where = home(whose)
        at_site = replace(case, site=settings.options_of(where), language=settings.language_of(where))
        names = release.pathways(settings, switches, installed, where)
        heard = [name for name in names if settings.hears(name, Audience.REFERRAL)]
        return orderable(ordering.evaluate(at_site, heard), settings.orderables)

    def fetch_resource(access: FhirAccess, reference: str) -> Mapping[str, object] | None:
        allowed = access.allows(reference.partition("/")[0])
        return caller.resource(Call(access.server, access.token, ""), reference) if allowed else None

    return replace(
        context,
        read_orders=lambda said: read_draft_orders(said, own),
        read_dispatched=lambda resources: read_orders(resources, own),
        exam_of=lambda codes: exam_codes.exam(codes, own),
        judge=judge,
        fetch_resource=fetch_resource,
        home=home,
    )

"""CDS Hooks, wired: what the services are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cds import hooks as services
from cds import logs, release
from cds.bootstrap import Stores
from cds.bootstrap.advising import for_cards
from cds.bootstrap.ehr import sources, with_ehr
from cds.bootstrap.hook_discharge import with_outstanding
from cds.bootstrap.hook_orders import with_orders
from cds.domain.audit import Seen
from cds.domain.hook import CardHistory, HookCall, Reader
from cds.domain.imaging import Study
from cds.domain.matching import MatchState
from cds.domain.report import Audience, Report
from cds.errors import NotFound, Unavailable
from cds.hooks import HookContext
from cds.ports import Clock
from cds.services import HookServices, Json
from cds.settings import Settings

log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Log:
    """Remembers calls; a clinician's answer does not wait for our tables."""

    held: Stores
    clock: Clock

    def history(self, reader: Reader, whose: str) -> CardHistory:
        """See `cds.hooks.CallLog`."""
        return CardHistory()

    def keep(self, call: HookCall) -> None:
        """See `cds.hooks.CallLog`."""
        for one in call.studies:
            seen = Seen(call.reader.user, one.patient_id) if one.cards and call.reader.user else None
            outcome = f"{one.cards} shown by {call.service}"
            try:
                self.held.reports.shown(one.study_instance_uid, call.at, outcome, one.quiet, seen=seen)
            except Unavailable as error:
                log.warning("a shown card is not on the timeline", service=call.service, error=type(error).__name__)


def hooks(settings: Settings, held: Stores, clock: Clock) -> HookServices:
    """What the routes below /cds-services may use."""
    context = with_ehr(hook_context(settings, held, clock), settings, clock, sources(settings, clock))
    context = with_outstanding(with_orders(context, settings, held.switches), settings, held.database)
    offered = services.discovery(services.services(context.asks))

    def call(service: str, request: Mapping[str, object], client: str) -> Json:
        return services.call(service, request, context, client=client)

    def feedback(service: str, said: Mapping[str, object], client: str) -> Json:
        raise NotFound("there is no feedback yet")

    return HookServices(discovery=lambda: offered, call=call, feedback=feedback)


def _anothers(study: Study, report: Report) -> str:
    """Why a report is not its patient's any more, before the next version says so; empty where it is."""
    if study.patient is None or report.patient is None:
        return ""
    known = {identifier.as_sent() for identifier in report.patient.known_as}
    return "" if study.patient in known else "the images name another patient now"


def hook_context(settings: Settings, held: Stores, clock: Clock) -> HookContext:
    """What CDS Hooks services are given."""
    from adapters.fhir.read import read_patient, read_statements

    def now(report: Report) -> Report:
        """The report with what people said until now: a verification counts before the next version is there."""
        said = held.opinions.verifications(report.study.study_instance_uid, report.work.revision.image)
        study = held.studies.study(report.study.study_instance_uid)
        doubt = study.contradiction or ("" if study.decided else _anothers(study, report))
        match = replace(report.match, state=MatchState.HELD, reasons=(doubt,)) if doubt else report.match
        return replace(report, verifications=said, match=match)

    return HookContext(
        reports=held.reports,
        record=held.record,
        read_patient=lambda resource: read_patient(resource, settings.identifier_systems),
        read_statements=lambda prefetch: read_statements(prefetch, clock.today()),
        evaluate=for_cards(settings, held.switches),
        view=lambda report: release.view(settings, held.switches, now(report), Audience.REFERRAL),
        withheld=lambda report: release.decide(settings, held.switches, now(report)).withheld,
        clock=clock,
        public_url=settings.public_url,
        site_name=settings.site_name,
        log=_Log(held, clock),
        fatigue=settings.fatigue,
        launches=frozenset(settings.smart_apps),
        acts=frozenset(settings.system_actions),
        where=lambda report: release.site(settings, report.study),
        most_steps=settings.most_steps,
    )

"""The one place that builds concrete things and wires them; only the CLI and the demo import it (DESIGN section 1).

Heavy libraries are imported where they are used: the web process never loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cds import logs, release
from cds.bootstrap.advising import for_cards
from cds.bootstrap.installed import manifests
from cds.bootstrap.instances import compare, discard
from cds.clock import SystemClock
from cds.domain.audit import Seen
from cds.domain.imaging import Study
from cds.domain.matching import MatchState
from cds.domain.report import Audience, Mode, Report
from cds.domain.story import Story
from cds.errors import ConfigurationError, Unavailable
from cds.hooks import CardsShown, HookContext
from cds.ports import Clock
from cds.services import Services
from cds.settings import Settings
from cds.store import schema
from cds.store.audit import AuditStore
from cds.store.criticals import CriticalStore
from cds.store.deliveries import DeliveryStore
from cds.store.engine import Database, open_app, open_messages
from cds.store.holds import open_holds
from cds.store.opinions import OpinionStore
from cds.store.record import RecordStore
from cds.store.reports import SqlReportStore
from cds.store.resources import SqlResourceStore
from cds.store.studies import StudyStore
from cds.store.switches import SwitchStore
from cds.store.why import why as why_query
from cds.store.works import WorkStore

log = logs.get_logger(__name__)

#: What a hook's answer waits at most for a lock to note on the timeline that a card was shown.
_HOOK_PATIENCE_MS = 250


@dataclass(frozen=True, slots=True)
class Stores:
    """The application's tables behind their ports."""

    database: Database
    studies: StudyStore
    record: RecordStore
    works: WorkStore
    reports: SqlReportStore
    resources: SqlResourceStore
    deliveries: DeliveryStore
    switches: SwitchStore
    opinions: OpinionStore
    criticals: CriticalStore
    audit: AuditStore


def stores(settings: Settings, *, durable: bool = False, patience_ms: int = 30_000) -> Stores:
    """Open the application's tables; raise ConfigurationError where they are not at the newest revision.

    `durable` for roles that acknowledge what they commit; `patience_ms` is how long a write waits for others.
    """
    from adapters.fhir.parameters import EDITION

    if not settings.database_url and not (settings.data_dir / "app.sqlite").exists():
        raise ConfigurationError(
            [f"CDS_DATA_DIR: {settings.data_dir} has no tables yet: run cds serve or cds db upgrade"]
        )
    database = open_app(settings.data_dir, settings.database_url, durable=durable, patience_ms=patience_ms)
    schema.check(database, "app")
    switches = SwitchStore(database)
    return Stores(
        database=database,
        studies=StudyStore(
            database,
            assigning_authority=settings.assigning_authority,
            accession_issuer=settings.accession_issuer,
            time_zone=settings.time_zone,
            same_pixels=compare(settings),
            discard=discard(settings),
        ),
        record=RecordStore(database),
        works=WorkStore(database),
        reports=SqlReportStore(database),
        resources=SqlResourceStore(database, lambda: switches.hidden() | _silent(settings), EDITION),
        deliveries=DeliveryStore(database),
        switches=switches,
        opinions=OpinionStore(database),
        criticals=CriticalStore(database),
        audit=AuditStore(database),
    )


def _silent(settings: Settings) -> frozenset[str]:
    """What speaks at no site of this installation now: what rests on it is not served."""
    where = ("", *settings.sites)
    models = {
        f"model:{m}" for m in manifests(settings) if all(settings.model_mode(m, s) is not Mode.ADVISORY for s in where)
    }
    return frozenset(models)


def upgrade(settings: Settings) -> None:
    """Create or upgrade all tables."""
    for branch, database in (
        ("app", open_app(settings.data_dir, settings.database_url)),
        ("inbox", open_messages(settings.data_dir, settings.database_url)),
    ):
        schema.upgrade(database, branch)
        database.dispose()


def why(settings: Settings, asked: str) -> Story:
    """The story of an accession number, a Study Instance UID or a patient identifier."""
    return why_query(stores(settings).database, asked)


def services(settings: Settings) -> Services:
    """What the web role's routes may use; called once in every web process."""
    from adapters.fhir import bundle, outcome
    from cds import hooks
    from cds.bootstrap import fhir_doors
    from cds.bootstrap.critical import acknowledge, acknowledge_communication
    from cds.bootstrap.dicom_stow import stow
    from cds.bootstrap.ehr import SPEAKING, asks, sources, with_ehr
    from cds.bootstrap.fhir_events import notifications
    from cds.bootstrap.pushed import bundle_taker, taker
    from cds.bootstrap.readiness import probes
    from cds.bootstrap.watch import banner

    held, clock = stores(settings, patience_ms=_HOOK_PATIENCE_MS), SystemClock(settings.time_zone)
    acting = stores(settings, durable=True)  # who acts waits for a lock; a hook's answer does not
    context = with_ehr(hook_context(settings, held, clock), settings, clock, sources(settings, clock))
    return Services(
        settings=settings,
        clock=clock,
        resources=held.resources,
        discovery=lambda: hooks.discovery(hooks.services(asks(settings, SPEAKING))),
        call_service=lambda service, request: hooks.call(service, request, context),
        capability=fhir_doors.capability(settings),
        searchset=bundle.searchset,
        outcome=outcome.operation_outcome,
        probes=lambda: probes(settings, held),
        holds=lambda: open_holds(held.database),
        banner=banner(settings, held.database, clock),
        critical=acting.criticals.by_token,
        acknowledge_critical=acknowledge(acting.criticals, clock),
        acknowledge_communication=acknowledge_communication(acting.criticals, clock),
        take=taker(settings, acting.database, clock),
        take_bundle=bundle_taker(settings, acting.database, clock),
        notified=notifications(settings, acting.database, clock),
        store_instances=stow(settings, acting),
        token=_token(settings),
        access=fhir_doors.access(settings),
        jwks=fhir_doors.jwks(settings),
        seal_key=fhir_doors.seal_key(held.database),
    )


def _token(settings: Settings) -> str | None:
    return settings.http_token_file.read_text().strip() if settings.http_token_file else None


def _anothers(study: Study, report: Report) -> str:
    """Why a report is not its patient's any more, before the next version says so; empty where it is."""
    if study.patient is None or report.patient is None:
        return ""
    known = {identifier.as_sent() for identifier in report.patient.known_as}
    return "" if study.patient in known else "the images name another patient now"


def hook_context(settings: Settings, held: Stores, clock: Clock) -> HookContext:
    """What CDS Hooks services are given."""
    from adapters.fhir.read import read_patient, read_statements

    def shown(cards: CardsShown) -> None:
        if cards.study_instance_uid is None:
            return
        seen = Seen(cards.by, cards.patient_id) if cards.cards and cards.by else None
        outcome = f"{cards.cards} shown by {cards.service}"
        try:
            held.reports.shown(cards.study_instance_uid, clock.now(), outcome, cards.suppressed, seen=seen)
        except Unavailable as error:  # a clinician's answer does not wait for our timeline
            log.warning("a shown card is not on the timeline", service=cards.service, error=type(error).__name__)

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
        on_shown=shown,
        most_steps=settings.most_steps,
    )

"""The one place that builds concrete things and wires them; only the CLI and the demo import it (DESIGN section 1).

Heavy libraries are imported where they are used: the web process never loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from cds.bootstrap.installed import manifests
from cds.bootstrap.instances import compare, discard
from cds.clock import SystemClock
from cds.domain.report import Mode
from cds.domain.story import Story
from cds.errors import ConfigurationError
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

#: What a hook's answer waits at most for a lock to remember what it showed.
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
    from cds.bootstrap import fhir_doors
    from cds.bootstrap.critical import acknowledge, acknowledge_communication
    from cds.bootstrap.dicom_stow import stow
    from cds.bootstrap.fhir_events import notifications
    from cds.bootstrap.hooks import hooks
    from cds.bootstrap.pushed import bundle_taker, taker
    from cds.bootstrap.readiness import probes
    from cds.bootstrap.watch import banner

    held, clock = stores(settings, patience_ms=_HOOK_PATIENCE_MS), SystemClock(settings.time_zone)
    acting = stores(settings, durable=True)  # who acts waits for a lock; a hook's answer does not
    return Services(
        settings=settings,
        clock=clock,
        resources=held.resources,
        hooks=hooks(settings, held, clock),
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

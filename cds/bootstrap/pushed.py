"""What others push to /fhir: radiologists' reports and imaging studies, singly and in Bundles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cds.bootstrap.fhir_events import news_reader
from cds.bootstrap.findings import filer
from cds.domain.fhir_news import Outcome, Reason
from cds.errors import SightlineError
from cds.ports import Clock
from cds.services import Json
from cds.settings import Settings
from cds.store.engine import Database
from cds.store.fhir_events import PushedStore

if TYPE_CHECKING:
    from adapters.fhir.pushed import Pushed

SOURCE = "FHIR push"
_NEW = frozenset({Outcome.ANNOUNCED, Outcome.HELD, Outcome.WITHDRAWN})


def taker(settings: Settings, database: Database, clock: Clock) -> Callable[[Json], bool]:
    """Files a DiagnosticReport, announces an ImagingStudy; False where it says nothing new."""
    file, reader, store = filer(settings, database, clock), news_reader(settings, SOURCE), PushedStore(database)

    def take(resource: Json) -> bool:
        if resource.get("resourceType") == "DiagnosticReport":
            return file(resource)
        news = reader.studies.read(resource, _nothing_else)
        return store.take([news], clock.now())[0] in _NEW

    return take


def bundle_taker(settings: Settings, database: Database, clock: Clock) -> Callable[[Json], Json]:
    """Takes a transaction as a whole, a batch entry by entry; answers the response Bundle."""
    from adapters.fhir.pushed import read_bundle, response

    reader, store = news_reader(settings, SOURCE), PushedStore(database)

    def take(bundle: Json) -> Json:
        now = clock.now()
        pushed = read_bundle(reader, bundle, now)
        if not pushed.is_transaction:
            return response(pushed, _one_by_one(store, pushed, clock))
        became = store.take(pushed.news, now, places=pushed.places)
        return response(pushed, became)

    return take


def _one_by_one(store: PushedStore, pushed: Pushed, clock: Clock) -> list[Outcome | Reason | SightlineError]:
    became: list[Outcome | Reason | SightlineError] = []
    for news in pushed.news:
        try:
            became += store.take([news], clock.now())
        except SightlineError as error:
            became.append(error)
    return became


def _nothing_else(_reference: str) -> Mapping[str, object]:
    """A resource that comes alone refers to nothing that could be had."""
    return {}

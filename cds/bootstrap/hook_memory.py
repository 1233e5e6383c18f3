"""What is remembered of CDS Hooks, wired: cards, feedback, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cds import logs, metrics
from cds.domain.hook import CardHistory, FeedbackTaken, HookCall, Reader
from cds.errors import Unavailable
from cds.hooks import feedback, parts
from cds.ports import CardLog, Clock
from cds.services import Json
from cds.settings import Settings
from cds.store.card_log import SqlCardLog
from cds.store.engine import Database, open_app
from cds.store.grouped import GroupWriter
from cds.store.hook_tokens import TokenLog

log = logs.get_logger(__name__)

#: How long a group waits for other processes; who waits for the group waits less, and it is written all the same.
_LOCK_PATIENCE_MS = 5_000


@dataclass(frozen=True, slots=True)
class HookMemory:
    """Cards and tokens of this process, written over connections of their own: reading never waits for them."""

    cards: SqlCardLog
    tokens: TokenLog


def memory(settings: Settings, database: Database, clock: Clock) -> HookMemory:
    """What is kept is read from `database`; the thread that writes begins with the first call."""
    own = open_app(settings.data_dir, settings.database_url, patience_ms=_LOCK_PATIENCE_MS)
    durable = open_app(settings.data_dir, settings.database_url, durable=True)
    return _memory(database, GroupWriter(own), durable, clock, settings.data_dir / "shown")


def memory_over(database: Database, clock: Clock) -> HookMemory:
    """As `memory`, with one database for all of it."""
    return _memory(database, GroupWriter(database), database, clock)


def _memory(
    database: Database, writer: GroupWriter, durable: Database, clock: Clock, folder: Path | None = None
) -> HookMemory:
    offered = {*parts.FINDING_REASONS, *parts.ORDER_REASONS}
    return HookMemory(SqlCardLog(database, writer, durable, offered, folder), TokenLog(writer, clock))


@dataclass(frozen=True, slots=True)
class CallMemory:
    """Implements `cds.hooks.CallLog`; a clinician's answer does not wait for our tables."""

    cards: CardLog
    settings: Settings
    clock: Clock

    def history(self, reader: Reader, whose: str) -> CardHistory:
        """See the port. Where it cannot be read everything is shown."""
        since = self.clock.now() - timedelta(hours=self.settings.fatigue.info_again_h)
        midnight = datetime.combine(self.clock.today(), time.min, ZoneInfo(self.settings.time_zone))
        try:
            return self.cards.history(reader, whose, since=since, midnight=midnight)
        except Unavailable as error:
            log.warning("what was shown before could not be read", error=type(error).__name__)
            return CardHistory()

    def keep(self, call: HookCall) -> None:
        """See the port. A card that is not remembered is shown all the same: feedback will not find it."""
        _count(call)
        try:
            self.cards.keep(call)
        except Unavailable as error:
            log.warning("shown cards are not remembered", service=call.service, error=type(error).__name__)


def taken(cards: CardLog, clock: Clock, service: str, client: str, body: Mapping[str, object]) -> Json:
    """What became of a feedback, as an OperationOutcome; raise InvalidResource and Unavailable."""
    from adapters.fhir.outcome import informational

    found = cards.feedback(service, client, feedback.read(body), clock.now())
    if found.unknown:
        log.warning("feedback about cards that this client was not shown", service=service, cards=found.unknown)
    if found.remarks:
        log.warning("what was accepted is not tracked as a follow-up", service=service, remarks=len(found.remarks))
    return informational(f"{found.recorded} recorded, {found.repeated} known already", _warnings(found))


def _warnings(found: FeedbackTaken) -> tuple[str, ...]:
    unknown = f"{found.unknown} about cards that this service did not show to this client"
    return (unknown, *found.remarks) if found.unknown else found.remarks


def _count(call: HookCall) -> None:
    for card in call.shown:
        if card.about.pathway:
            metrics.CARDS.inc(service=call.service, pathway=card.about.pathway, kind=card.about.indicator.value)
    for held in call.suppressed:
        metrics.CARDS_HELD_BACK.inc(service=call.service, pathway=held.about.pathway, reason=held.why.value)

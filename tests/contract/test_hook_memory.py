"""What CDS Hooks remembers, wired: over a real database, and where there is none to be had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cds.bootstrap import stores
from cds.bootstrap.hook_memory import CallMemory, memory, memory_over, taken
from cds.bootstrap.hook_stats import counted
from cds.bootstrap.hooks import hooks
from cds.domain.hook import CardHistory, Feedback, FeedbackTaken, HookCall, Reader
from cds.domain.hook_stats import CardCount
from cds.errors import InvalidResource, NotFound, Unavailable
from cds.hook_peers import Fatigue
from cds.hooks.parts import AI_FINDING_WRONG
from cds.settings import Settings
from tests.contract.card_log_contract import ABOUT, ANN, SERVICE, call, card
from tests.databases import Databases, fresh

#: Just after midnight of 4 November in Berlin.
NOW = datetime(2026, 11, 3, 23, 10, tzinfo=UTC)


class Clock:
    """A clock that stands, in Berlin."""

    def now(self) -> datetime:
        return NOW

    def today(self) -> date:
        return date(2026, 11, 4)


class Broken:
    """A log whose database cannot be used."""

    def history(self, reader: Reader, whose: str, *, since: datetime, midnight: datetime) -> CardHistory:
        raise Unavailable("gone")

    def keep(self, call: HookCall) -> None:
        raise Unavailable("gone")

    def feedback(self, service: str, client: str, said: Sequence[Feedback], now: datetime) -> FeedbackTaken:
        raise Unavailable("gone")


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """Two fresh files."""
    with fresh(tmp_path) as databases:
        yield databases


def settings(databases: Databases, again_h: float = 0) -> Settings:
    """A site in Berlin."""
    fatigue = Fatigue(info_again_h=again_h)
    return Settings(data_dir=databases.data_dir, assigning_authority="HOSP", time_zone="Europe/Berlin", fatigue=fatigue)


def test_a_day_begins_at_the_site_s_midnight_and_what_was_shown_counts_for_the_site_s_hours(
    databases: Databases,
) -> None:
    cards = memory_over(databases.app, Clock()).cards
    for minutes, key in ((5, "today"), (15, "yesterday"), (200, "long ago")):
        cards.keep(call(card(replace(ABOUT, key=key)), at=NOW - timedelta(minutes=minutes)))
    found = CallMemory(cards, settings(databases, again_h=1), Clock()).history(ANN, "anna")
    assert found.today == {"today"}
    assert {key for key, _ in found.seen} == {"today", "yesterday"}
    assert CallMemory(cards, settings(databases), Clock()).history(ANN, "anna").seen == {}


def test_a_clinician_is_answered_without_our_tables(databases: Databases) -> None:
    broken = CallMemory(Broken(), settings(databases), Clock())
    assert broken.history(ANN, "anna") == CardHistory()
    broken.keep(call(card()))


def test_feedback_that_cannot_be_kept_is_not_confirmed() -> None:
    with pytest.raises(Unavailable):
        taken(Broken(), Clock(), SERVICE, "epic", {"feedback": []})


def test_a_feedback_is_answered_with_what_became_of_it(databases: Databases) -> None:
    cards = memory_over(databases.app, Clock()).cards
    shown = card(models_of_nothing="refer")
    cards.keep(call(shown))
    reason = {"system": AI_FINDING_WRONG.system, "code": AI_FINDING_WRONG.code}
    at = "2026-11-03T15:00:00Z"
    said = {"card": shown.uuid, "outcome": "overridden", "overrideReason": {"reason": reason}, "outcomeTimestamp": at}
    body = {"feedback": [said, said, said | {"card": "another"}]}
    answer = taken(cards, Clock(), SERVICE, "epic", body)
    assert answer["resourceType"] == "OperationOutcome"
    issues = answer["issue"]
    assert isinstance(issues, list)
    told = [(one["severity"], one["details"]["text"]) for one in issues]
    assert told == [
        ("information", "1 recorded, 1 known already"),
        ("warning", "1 about cards that this service did not show to this client"),
    ]
    assert counted(settings(databases), NOW - timedelta(days=1)) == [
        CardCount(SERVICE, "p", ("m 1.0",), "north", 1, overridden={"ai-finding-wrong": 1})
    ]


def test_a_feedback_that_cannot_be_read_is_refused(databases: Databases) -> None:
    cards = memory_over(databases.app, Clock()).cards
    with pytest.raises(InvalidResource):
        taken(cards, Clock(), SERVICE, "epic", {"feedback": "x"})


def test_cards_tokens_and_feedback_have_connections_of_their_own(
    databases: Databases,
) -> None:
    kept = memory(settings(databases), databases.app, Clock())
    shown = card()
    with databases.app.reading() as session:  # who reads keeps nobody from writing
        session.connection().exec_driver_sql("SELECT count(*) FROM hook_call").all()
        kept.cards.keep(call(shown))
        assert kept.tokens.fresh("issuer", "1", NOW)()
    said = {"card": shown.uuid, "outcome": "accepted", "acceptedSuggestions": [], "outcomeTimestamp": NOW.isoformat()}
    taken(kept.cards, Clock(), SERVICE, "epic", {"feedback": [said]})
    assert kept.cards.stats(NOW - timedelta(days=1))[0].accepted == 1


def test_a_service_that_is_not_there_takes_no_feedback(databases: Databases) -> None:
    site = settings(databases)
    offered = hooks(site, stores(site), Clock())
    with pytest.raises(NotFound):
        offered.feedback("no-such-service", {"feedback": []}, "")
    assert offered.feedback(SERVICE, {"feedback": []}, "")["resourceType"] == "OperationOutcome"

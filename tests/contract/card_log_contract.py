"""What is promised of cards and tokens that are remembered, on every database; a subclass gives `databases`.

As a program it writes to a database until it is killed, or uses tokens, beside another one that does the same.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cds.domain.audit import AuditEvent
from cds.domain.card_names import beginning, card_names
from cds.domain.coding import Coding
from cds.domain.hook import (
    About,
    CardHistory,
    Feedback,
    FeedbackTaken,
    HeldBack,
    HookCall,
    Outcome,
    PastAnswer,
    Reader,
    ShownCard,
    StudyNote,
    Suppressed,
)
from cds.domain.hook_stats import CardCount
from cds.domain.recommendation import Indicator
from cds.domain.report import TimelineEvent
from cds.store import card_calls, timeline
from cds.store.audit import AuditStore
from cds.store.card_log import SqlCardLog
from cds.store.card_rows import CardRows
from cds.store.engine import Database, open_app
from cds.store.grouped import GroupWriter, Kind
from cds.store.hook_tokens import TokenLog
from cds.store.tables import AppBase, PatientRow
from tests.contract.acceptances_contract import CALL, REFER, Site
from tests.databases import Databases

NOW = datetime(2026, 11, 3, 14, 30, tzinfo=UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0)
ANN = Reader("epic", "Practitioner/ann", ("urn:roles|gp",))
BEN = Reader("epic", "Practitioner/ben")
ABOUT = About("1.2/1/p", "d1", "p", study_instance_uid="1.2", site="north", models=("m 1.0",))
KNOWN = Coding("urn:reasons", "known", "Known")
SERVICE = "imaging-findings"
TABLES = AppBase.metadata.tables


class Standing:
    """A clock that stands."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        """The port."""
        return self._now

    def today(self) -> date:
        """The port."""
        return self._now.date()


def card(about: About = ABOUT, **suggestions: str) -> ShownCard:
    """A card as it went out."""
    return ShownCard(str(uuid.uuid4()), about, suggestions)


def _broken_off(database: Database, kind_rows: CardRows) -> None:
    """Write a call that is never committed."""
    with database.inserting() as cursor:
        kind_rows.write(cursor, [kind_rows.of(call(card()))])
        raise OSError("the disk is gone")


def _named(about: About, *recommendations: str) -> tuple[ShownCard, ShownCard]:
    """Two cards of one response, the second with suggestions."""
    names = card_names()
    first = ShownCard(next(names), replace(about, pathway="q"))
    return first, ShownCard(next(names), about, {next(names): one for one in recommendations})


def call(*shown: ShownCard, reader: Reader = ANN, **more: Any) -> HookCall:
    """A call for patient anna."""
    return replace(HookCall(SERVICE, "patient-view", "instance", NOW, reader, "anna", shown), **more)


def log_over(database: Database) -> SqlCardLog:
    """A log that writes and reads one database."""
    return SqlCardLog(database, GroupWriter(database), database, (KNOWN,))


def overridden(shown: ShownCard, reason: Coding | None = KNOWN, *, hours: int = 1) -> Feedback:
    """A reader has a reason, and writes a comment."""
    at = NOW + timedelta(hours=hours)
    return Feedback(shown.uuid, Outcome.OVERRIDDEN, at, reason=reason, comment="Quentina said so")


def accepted(shown: ShownCard, *names: str) -> Feedback:
    """A reader accepts suggestions by their uuids."""
    return Feedback(shown.uuid, Outcome.ACCEPTED, NOW + timedelta(hours=1), names)


def taken(log: SqlCardLog, *said: Feedback, service: str = SERVICE, client: str = "epic") -> FeedbackTaken:
    """What becomes of feedback that is heard two hours later."""
    return log.feedback(service, client, said, NOW + timedelta(hours=2))


def past(log: SqlCardLog, reader: Reader = ANN, whose: str = "anna", *, since: datetime = MIDNIGHT) -> CardHistory:
    """What is known when the reader opens the patient again."""
    return log.history(reader, whose, since=since, midnight=MIDNIGHT)


def rows(database: Database, table: str, *columns: str) -> list[tuple[object, ...]]:
    """Some columns of a table, in an order of their own."""
    with database.reading() as session:
        found = session.connection().execute(sa.select(*(TABLES[table].c[name] for name in columns))).all()
    return sorted((tuple(row) for row in found), key=repr)


def lines(database: Database, *studies: str) -> Sequence[TimelineEvent]:
    """The timeline of studies."""
    with database.reading() as session:
        return timeline.read(session, studies=studies, orders=())


def seen(database: Database) -> Sequence[AuditEvent]:
    """The audit log."""
    return AuditStore(database).search()


def merge(database: Database, prior: str, survivor: str | None) -> None:
    """One patient lives on as another one, or does not any more."""
    with database.writing() as session:
        for one in filter(None, (prior, survivor)):
            if session.get(PatientRow, one) is None:
                session.add(PatientRow(id=one, updated_at=NOW))
        session.flush()
        session.get_one(PatientRow, prior).merged_into = survivor


class CardLogContract:
    """Every promise of `cds.ports.CardLog` and of the log of tokens."""

    @pytest.fixture
    def database(self, databases: Databases) -> Database:
        """The application's tables."""
        return databases.app

    @pytest.fixture
    def log(self, database: Database) -> SqlCardLog:
        """The log of cards."""
        return log_over(database)

    # --- what is kept

    def test_a_call_is_on_the_timeline_with_what_was_held_back_and_why(
        self, database: Database, log: SqlCardLog
    ) -> None:
        held = Suppressed(replace(ABOUT, pathway="q"), HeldBack.SNOOZED)
        note = StudyNote("1.2", "anna", 3, ("r: too old",))
        log.keep(call(card(), suppressed=(held,), studies=(note,)))
        told = ("r: too old", "q: held back (snoozed)")
        outcome = "2 shown by imaging-findings"
        assert lines(database, "1.2") == [TimelineEvent(NOW, "card", outcome, "1.2", detail=told)]
        assert seen(database) == [AuditEvent(NOW, "Practitioner/ann", "card shown", "1.2", "anna", (outcome,))]
        [_, held_back] = log.stats(NOW)
        assert (held_back.pathway, held_back.suppressed, held_back.models) == ("q", {"snoozed": 1}, ("m 1.0",))

    def test_who_saw_nothing_is_not_in_the_audit_log(self, database: Database, log: SqlCardLog) -> None:
        quiet = StudyNote("1.2", "anna", 0, ("not released",))
        held = StudyNote("1.3", "anna", 1)
        suppressed = Suppressed(replace(ABOUT, study_instance_uid="1.3"), HeldBack.ROLE)
        log.keep(call(suppressed=(suppressed,), studies=(quiet, held)))
        assert seen(database) == []
        told = [*lines(database, "1.2"), *lines(database, "1.3")]
        assert [line.outcome for line in told] == ["0 shown by imaging-findings"] * 2

    def test_where_the_hook_names_no_user_the_ehr_saw_it(self, database: Database, log: SqlCardLog) -> None:
        shown = card()
        log.keep(call(shown, reader=Reader("epic"), studies=(StudyNote("1.2", "anna", 1),)))
        assert [event.actor for event in seen(database)] == ["epic"]
        assert past(log, Reader("epic")) == CardHistory()
        assert taken(log, overridden(shown)).recorded == 1

    def test_what_is_said_again_is_written_once_and_counted_twice(self, database: Database, log: SqlCardLog) -> None:
        note = StudyNote("1.2", "anna", 1, ("r: too old",))
        of_no_study = replace(ABOUT, study_instance_uid=None)  # what is accepted of it begins no follow-up
        first, second = (_named(of_no_study, "refer", "call") for _ in range(2))
        log.keep(call(*first, studies=(note,)))
        log.keep(call(*second, reader=BEN, at=NOW + timedelta(minutes=1), studies=(note,)))
        assert len(rows(database, "hook_content", "id")) == 1
        assert len(rows(database, "hook_call", "id")) == 2
        assert [(one.at, one.actor) for one in seen(database)] == [
            (NOW, "Practitioner/ann"),
            (NOW + timedelta(minutes=1), "Practitioner/ben"),
        ]
        assert taken(log, accepted(second[1], *second[1].suggestions)).recorded == 1
        assert [(one.reader, one.accepted) for one in past(log).answers] == [(BEN, ("refer", "call"))]
        assert [(one.pathway, one.shown, one.accepted) for one in log.stats(NOW)] == [("p", 2, 1), ("q", 2, 0)]

    def test_what_could_not_be_committed_is_written_with_what_says_the_same(self, database: Database) -> None:
        kind_rows = CardRows(database.reader.dialect)
        with pytest.raises(OSError, match="disk"):
            _broken_off(database, kind_rows)
        log = log_over(database)
        again = call(card())
        with database.inserting() as cursor:
            kind_rows.write(cursor, [kind_rows.of(again)])
        assert taken(log, overridden(again.shown[0])).recorded == 1

    def test_who_was_shown_a_study_is_found_by_it_and_by_its_patient(self, database: Database, log: SqlCardLog) -> None:
        for minutes, (study, patient) in enumerate((("1.2", "anna"), ("1.3", "anna"), ("1.4", "berta"))):
            about = replace(ABOUT, study_instance_uid=study)
            note = StudyNote(study, patient, 1)
            log.keep(call(card(about), at=NOW + timedelta(minutes=minutes), studies=(note,)))
        with database.reading() as session:
            assert [one.study_instance_uid for one in card_calls.seen(session, studies={"1.4"})] == ["1.4"]
            of_anna = card_calls.seen(session, studies=(), patients={"anna"})
            assert [one.study_instance_uid for one in of_anna] == ["1.2", "1.3"]
            assert card_calls.was_shown(session, "1.3", ["berta", "anna"])
            assert not card_calls.was_shown(session, "1.3", ["berta"])
            assert not card_calls.was_shown(session, "1.9", ["anna"])
        audit = AuditStore(database)
        audit.write(AuditEvent(NOW + timedelta(seconds=90), "ops", "switch off"))
        told = [one.study_instance_uid or one.action for one in audit.search()]
        assert told == ["1.2", "1.3", "switch off", "1.4"]
        assert [one.study_instance_uid or one.action for one in audit.search(limit=2)] == ["switch off", "1.4"]
        assert [one.action for one in audit.search(since=NOW + timedelta(seconds=70), limit=1)] == ["card shown"]
        assert [one.at for one in audit.search(study_uid="1.3", since=NOW)] == [NOW + timedelta(minutes=1)]
        assert audit.search(study_uid="1.3", since=NOW + timedelta(hours=1)) == []
        assert [one.action for one in audit.seen_by("1.2")] == ["card shown"]

    def test_hostile_texts_are_kept_and_their_cards_found(self, log: SqlCardLog) -> None:
        reader = Reader("epic", "Practitioner/\0\ud800é" + "x" * 10_000, ("urn:r|" + "y" * 10_000,) * 100)
        shown = card(replace(ABOUT, key="\0" + "k" * 5_000))
        log.keep(call(shown, reader=reader, whose="/Patient/\0\udfff" + "z" * 10_000, instance="\0\ud800"))
        said = replace(overridden(shown, Coding("\0", "\ud800", "\0")), comment="\0\ud800")
        assert taken(log, said).recorded == 1
        found = past(log, reader, "/Patient/\0\udfff" + "z" * 10_000)
        assert len(found.answers) == len(found.today) == len(found.seen) == 1
        other = replace(reader, user=reader.user + "x")
        assert past(log, other).seen == {}

    # --- history

    def test_a_reader_was_shown_what_this_reader_was_shown(self, log: SqlCardLog) -> None:
        log.keep(call(card()))
        log.keep(call(card(replace(ABOUT, key="k2", digest="d2")), at=NOW + timedelta(minutes=1)))
        log.keep(call(card(replace(ABOUT, key="k3")), reader=BEN))
        log.keep(call(card(replace(ABOUT, key="k4")), reader=replace(ANN, client="other")))
        log.keep(call(card(replace(ABOUT, key="k5")), whose="berta"))
        found = past(log)
        assert found.seen == {(ABOUT.key, "d1"): NOW, ("k2", "d2"): NOW + timedelta(minutes=1)}
        assert found.today == {ABOUT.key, "k2", "k5"}
        assert past(log, since=NOW + timedelta(seconds=1)).seen == {("k2", "d2"): NOW + timedelta(minutes=1)}

    def test_a_day_counts_no_critical_cards_and_none_that_give_no_advice(self, log: SqlCardLog) -> None:
        critical = card(replace(ABOUT, key="c", indicator=Indicator.CRITICAL))
        log.keep(call(critical, card(replace(ABOUT, key="t", pathway=""))))
        log.keep(call(card(replace(ABOUT, key="old")), at=MIDNIGHT - timedelta(seconds=1)))
        found = past(log)
        assert found.today == frozenset()
        assert found.seen == {("c", "d1"): NOW}

    def test_a_card_that_is_shown_again_was_shown_when_it_was_shown_last(self, log: SqlCardLog) -> None:
        for hours in (0, 1, 2):
            log.keep(call(card(), at=NOW + timedelta(hours=hours)))
        assert past(log).seen == {(ABOUT.key, "d1"): NOW + timedelta(hours=2)}

    def test_everybody_s_answers_of_this_patient_are_known_however_old(self, log: SqlCardLog) -> None:
        two = card(replace(ABOUT, study_instance_uid=None), s1="refer")  # what is accepted of it begins no follow-up
        one, others = card(), card()
        log.keep(call(one, two))
        log.keep(call(others, whose="berta"))
        taken(log, overridden(one), accepted(two, "s1"), overridden(others))
        found = past(log, BEN, since=NOW + timedelta(days=900)).answers
        assert found == (
            PastAnswer(ABOUT.key, "d1", Outcome.OVERRIDDEN, NOW + timedelta(hours=1), ANN, (), KNOWN),
            PastAnswer(ABOUT.key, "d1", Outcome.ACCEPTED, NOW + timedelta(hours=1), ANN, ("refer",), None),
        )

    @pytest.mark.parametrize("asked", ["anna", "berta", "clara"])
    def test_a_merged_patient_s_cards_are_those_of_all_who_are_one(
        self, database: Database, log: SqlCardLog, asked: str
    ) -> None:
        merge(database, "anna", "berta")
        merge(database, "berta", "clara")
        merge(database, "dora", None)
        for place, whose in enumerate(("anna", "berta", "clara", "dora")):
            shown = card(replace(ABOUT, key=f"k{place}"))
            log.keep(call(shown, whose=whose))
            taken(log, overridden(shown))
        found = past(log, whose=asked)
        assert {one.key for one in found.answers} == {key for key, _ in found.seen} == {"k0", "k1", "k2"}
        merge(database, "anna", None)
        assert {one.key for one in past(log, whose="anna").answers} == {"k0"}

    def test_patients_who_were_merged_in_a_circle_are_read_all_the_same(
        self, database: Database, log: SqlCardLog
    ) -> None:
        merge(database, "anna", "berta")
        merge(database, "berta", "anna")
        log.keep(call(card(), whose="berta"))
        assert past(log).seen == {(ABOUT.key, "d1"): NOW}

    # --- feedback

    def test_feedback_that_is_said_again_is_recorded_once(self, database: Database, log: SqlCardLog) -> None:
        shown = card()
        log.keep(call(shown))
        assert taken(log, overridden(shown), overridden(shown)) == FeedbackTaken(recorded=1, repeated=1)
        same = replace(overridden(shown), card=shown.uuid.upper())
        assert taken(log, same) == FeedbackTaken(repeated=1)
        assert taken(log, overridden(shown, hours=2)) == FeedbackTaken(recorded=1)
        assert len(rows(database, "hook_answer", "id")) == 2

    def test_the_same_feedback_from_many_at_once_is_recorded_once(self, database: Database, log: SqlCardLog) -> None:
        shown = [card() for _ in range(5)]
        log.keep(call(*shown))
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: taken(log, *map(overridden, shown)), range(8)))
        assert sum(one.recorded for one in found) == 5
        assert sum(one.repeated for one in found) == 35
        assert len(rows(database, "hook_answer", "id")) == 5

    def test_a_card_of_another_client_or_service_is_not_known(self, database: Database, log: SqlCardLog) -> None:
        shown = card()
        log.keep(call(shown))
        assert taken(log, overridden(shown), client="other") == FeedbackTaken(unknown=1)
        assert taken(log, overridden(shown), service="imaging-order-advice") == FeedbackTaken(unknown=1)
        assert taken(log, replace(overridden(shown), card="\0\ud800")) == FeedbackTaken(unknown=1)
        assert rows(database, "hook_answer", "id") == []

    def test_the_timeline_and_the_audit_log_tell_the_reason_and_not_the_comment(
        self, database: Database, log: SqlCardLog
    ) -> None:
        one, two, three = card(), card(replace(ABOUT, pathway="q")), card(replace(ABOUT, pathway="r"))
        log.keep(call(one, two, three))
        strange = Coding("urn:theirs", "Quentina", "Quentina")
        taken(log, overridden(one), overridden(two, strange), overridden(three, None))
        told = [(row[0], str(row[1])) for row in rows(database, "timeline", "step", "detail")]
        assert [detail.split('"')[1:4:2] for _, detail in told] == [["p", "known"], ["q", "other"], ["r", "none"]]
        heard = rows(database, "audit", "actor", "action", "patient_id", "detail")
        assert {row[:3] for row in heard} == {("Practitioner/ann", "card overridden", "anna")}
        assert "Quentina" not in repr((told, heard))

    def test_a_client_s_own_reference_is_not_in_the_audit_log(self, database: Database, log: SqlCardLog) -> None:
        shown = card(replace(ABOUT, study_instance_uid=None))
        log.keep(call(shown, whose="https://ehr.example/Patient/4711"))
        taken(log, overridden(shown))
        assert rows(database, "audit", "patient_id") == [(None,)]
        assert rows(database, "timeline", "step") == []

    def test_what_is_accepted_becomes_a_follow_up_that_is_tracked(self, databases: Databases, log: SqlCardLog) -> None:
        site = Site(databases)
        site.report(site.anna, REFER, CALL)
        shown = card(s1="refer", s2="call")
        log.keep(call(shown))
        before = site.match_revision()
        assert taken(log, accepted(shown, "S1")) == FeedbackTaken(recorded=1)
        assert sorted(site.states()) == [("call", "open"), ("refer", "accepted")]
        [refer] = [one for one in site.all() if one.recommendation == "refer"]
        assert refer.by == "Practitioner/ann"
        [said] = site.acceptances.of_study("1.2", 1)
        assert (said.role, said.at) == ("gp", NOW + timedelta(hours=1))
        assert site.match_revision() == before + 1
        assert taken(log, accepted(shown, "s1")) == FeedbackTaken(repeated=1)
        assert site.match_revision() == before + 1

    def test_an_override_leaves_the_follow_up_open(self, databases: Databases, log: SqlCardLog) -> None:
        site = Site(databases)
        site.report(site.anna, REFER)
        shown = card(s1="refer")
        log.keep(call(shown))
        assert taken(log, overridden(shown)).recorded == 1
        assert site.states() == [("refer", "open")]

    def test_what_cannot_be_followed_up_is_recorded_with_a_remark(self, databases: Databases, log: SqlCardLog) -> None:
        site = Site(databases)
        site.report(site.anna, REFER)
        shown = card(s1="refer", s2="gone")
        log.keep(call(shown))
        site.report(site.anna)  # recommends nothing any more: the follow-up is closed
        found = taken(log, accepted(shown, "s1", "s2", "theirs"))
        assert (found.recorded, len(found.remarks)) == (1, 3)
        assert "none of the card's" in found.remarks[0]
        assert "p.refer: the follow-up is closed" in found.remarks[1]
        assert "p.gone: want a follow-up of this study" in found.remarks[2]
        assert past(log).answers[0].accepted == (), "what was not tracked is offered again"

    def test_a_step_that_only_the_card_recommended_is_tracked_as_it_was_shown(
        self, databases: Databases, log: SqlCardLog
    ) -> None:
        site = Site(databases)
        site.report(site.anna, CALL)
        shown = replace(card(s1="refer"), steps=(REFER,))
        log.keep(call(shown))
        assert taken(log, accepted(shown, "s1")) == FeedbackTaken(recorded=1)
        [refer] = [one for one in site.all() if one.recommendation == "refer"]
        assert (refer.state.value, refer.action, refer.due) == ("accepted", REFER.action, REFER.by)
        assert [one.about for one in site.acceptances.of_study("1.2", 1)] == [REFER]

    def test_an_accept_of_what_the_card_did_not_suggest_is_no_answer(self, log: SqlCardLog) -> None:
        shown = card(s1="refer")
        log.keep(call(shown))
        found = taken(log, accepted(shown, "theirs"))
        assert (found.recorded, found.unknown, len(found.remarks)) == (0, 1, 1)
        assert past(log).answers == ()

    def test_what_is_about_no_study_has_no_follow_up(self, log: SqlCardLog) -> None:
        shown = card(replace(ABOUT, study_instance_uid=None), s1="instead")
        log.keep(call(shown))
        assert taken(log, accepted(shown, "s1")) == FeedbackTaken(recorded=1)
        assert past(log).answers[0].accepted == ("instead",)

    # --- counts

    def test_cards_are_counted_by_what_came_of_them(self, log: SqlCardLog) -> None:
        newer = replace(ABOUT, models=("m 1.1",), indicator=Indicator.CRITICAL)
        shown = [card(), card(), card(), card(), card(newer)]
        held = (Suppressed(ABOUT, HeldBack.CAP), Suppressed(ABOUT, HeldBack.CAP), Suppressed(newer, HeldBack.SEEN))
        log.keep(call(*shown, suppressed=held))
        log.keep(call(card(), at=NOW - timedelta(days=1)))
        taken(log, accepted(shown[0]), overridden(shown[1]), overridden(shown[2], None))
        assert log.stats(NOW) == [
            CardCount(
                *(SERVICE, "p", ("m 1.0",), "north", 4),
                accepted=1,
                overridden={"known": 1, "none": 1},
                unanswered=1,
                suppressed={"daily-cap": 2},
            ),
            CardCount(SERVICE, "p", ("m 1.1",), "north", 1, critical=1, unanswered=1, suppressed={"seen": 1}),
        ]

    def test_a_card_counts_by_its_newest_answer(self, log: SqlCardLog) -> None:
        shown = card()
        log.keep(call(shown))
        taken(log, overridden(shown, hours=3), accepted(shown))
        [count] = log.stats(NOW)
        assert (count.accepted, count.overridden, count.unanswered) == (0, {"known": 1}, 0)

    # --- tokens

    def test_a_token_is_new_once_for_each_issuer(self, database: Database) -> None:
        tokens = TokenLog(GroupWriter(database), Standing())
        until = NOW + timedelta(minutes=5)
        asked = [tokens.fresh("https://a.example", "1", until) for _ in range(20)]
        assert [one() for one in asked] == [True] + [False] * 19
        assert tokens.fresh("https://b.example", "1", until)()
        assert not TokenLog(GroupWriter(database), Standing()).fresh("https://a.example", "1", until)()
        assert tokens.fresh("https://a.example", "\0\ud800" * 5_000, until)()

    def test_a_token_is_not_kept_for_longer_than_it_counts(self, database: Database) -> None:
        first = TokenLog(GroupWriter(database), Standing())
        assert first.fresh("a", "old", NOW + timedelta(minutes=1))()
        assert first.fresh("a", "young", NOW + timedelta(hours=3))()
        later = TokenLog(GroupWriter(database), Standing(NOW + timedelta(hours=1)))
        assert later.fresh("a", "new", NOW + timedelta(hours=3))()
        assert len(rows(database, "hook_token", "jti")) == 2
        assert not later.fresh("a", "young", NOW + timedelta(hours=3))()

    def test_the_claim_itself_is_not_stored(self, database: Database) -> None:
        TokenLog(GroupWriter(database), Standing()).fresh("a", "secret-claim", NOW)()
        assert "secret-claim" not in repr(rows(database, "hook_token", "issuer", "jti"))

    def test_of_two_processes_one_alone_may_use_a_token(self, databases: Databases) -> None:
        processes = [_program(databases, "tokens", stdin=subprocess.PIPE) for _ in range(2)]
        for one in processes:
            assert one.stdout
            assert one.stdout.readline() == "ready\n"
        for one in processes:
            assert one.stdin
            one.stdin.write("go\n")
            one.stdin.flush()
        told = [one.communicate(timeout=60)[0].split() for one in processes]
        assert [len(one) for one in told] == [200, 200]
        assert all({mine, other} == {"new", "used"} for mine, other in zip(*told, strict=True))

    def test_processes_that_show_the_same_to_the_same_readers_do_not_block_each_other(
        self, databases: Databases
    ) -> None:
        processes = [_program(databases, "same") for _ in range(3)]
        assert [one.communicate(timeout=60)[0] for one in processes] == ["done\n"] * 3

    def test_nothing_that_was_acknowledged_is_lost_with_its_process(
        self, databases: Databases, database: Database
    ) -> None:
        process = _program(databases, "cards")
        assert process.stdout
        acknowledged = [process.stdout.readline().strip() for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line for line in process.communicate(timeout=60)[0].split("\n")[:-1] if line]
        kept = {str(row[0]) for row in rows(database, "hook_call", "id")}
        assert set(map(beginning, acknowledged)) <= kept
        log = log_over(database)
        said = [Feedback(one, Outcome.OVERRIDDEN, NOW) for one in acknowledged[:50]]
        assert taken(log, *said).recorded == 50


def _program(databases: Databases, what: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.contract.card_log_contract", what, str(databases.data_dir), databases.url]
    return subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, text=True)


def _cards(database: Database) -> Iterable[str]:
    """Calls without an end, from several threads, each said when it is acknowledged."""
    log = log_over(database)

    def one(_: int) -> str:
        shown = card()
        log.keep(call(shown))
        return shown.uuid

    with ThreadPoolExecutor(4) as pool:
        while True:
            yield from pool.map(one, range(8))


def _same(database: Database) -> Iterable[str]:
    """The same advices again and again, each time in another order; what cannot be committed ends the process."""
    writer = GroupWriter(database)
    rows = CardRows(database.reader.dialect)
    kind = Kind("cards", rows.write)
    for number in range(30):
        keys = [str((place * 7 + number * 5) % 31) for place in range(31)]
        readers = (ANN, BEN)[:: 1 if number % 2 else -1]
        calls = [call(*(card(replace(ABOUT, key=key)) for key in keys), reader=one) for one in readers]
        for one in [writer.give(kind, rows.of(one)) for one in calls]:
            one.result(30)
    yield "done"


def _tokens(database: Database) -> Iterable[str]:
    """The same tokens in every process."""
    tokens = TokenLog(GroupWriter(database), Standing())
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(200):
        yield "new" if tokens.fresh("issuer", str(number), NOW)() else "used"


if __name__ == "__main__":
    opened = open_app(Path(sys.argv[2]), sys.argv[3])
    for said in {"cards": _cards, "same": _same, "tokens": _tokens}[sys.argv[1]](opened):
        print(said, flush=True)

"""What the store promises of FHIR servers' news: kept at once, taken once, asked for from where it was read to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlmodel import select

from cds.domain.event import StudyEvent, StudyEventKind
from cds.domain.fhir_news import Found, ImagesGone, ImagesThere, Nothing, Outcome, Reason, Reported
from cds.domain.hold import Hold
from cds.domain.identity import Identifier
from cds.domain.notification import Notification, NotificationType, Told, look
from cds.domain.retrieval import Retrieval
from cds.domain.subscription import Notice, NoticeKind, Subscription, SubscriptionState
from cds.domain.verification import FinalReport
from cds.errors import Conflict, InsufficientData, InvalidInput, NotFound, Unauthorized
from cds.store.decisions import DecisionStore, Said
from cds.store.fhir_events import FhirEventStore
from cds.store.fhir_feeds import FeedStore
from cds.store.fhir_subscriptions import SubscriptionStore, subscriptions
from cds.store.holds import open_holds
from cds.store.retrievals import RetrievalStore
from cds.store.safety_tables import FinalReportRow
from cds.store.tables import StudyEventRow
from tests.contract.identity_contract import Feed
from tests.databases import Databases

T = TypeVar("T")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
CT, REPORT = "ImagingStudy", "DiagnosticReport"


def found(number: int = 1, version: str = "1", *, at: datetime | None = NOW, kind: str = CT) -> Found:
    """A version of a resource."""
    return Found(kind, f"r{number}", version, at, b"{}")


def there(uid: str = "1.2.3", instances: int = 10) -> ImagesThere:
    """Images that can be fetched."""
    event = StudyEvent(
        StudyEventKind.IMAGES_AVAILABLE, "FHIR ehr", study_instance_uid=uid, series=((f"{uid}.1", instances),)
    )
    return ImagesThere(event)


def reported(*whose: str, status: str = "final") -> Reported:
    """A radiologist's report under accession number A1."""
    patients = tuple(Identifier(one, "HOSP") for one in whose)
    return Reported(
        FinalReport(Identifier("A1", "RIS"), patients[0], status, NOW, "FHIR DiagnosticReport", NOW), patients
    )


def at_once(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """All at the same time."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return [one.result() for one in [pool.submit(job) for job in jobs]]


class NewsStoreContract:
    """Subclasses give `databases`."""

    @pytest.fixture
    def databases(self, tmp_path: Path) -> Iterator[Databases]:
        """A fresh pair of databases."""
        raise NotImplementedError

    @pytest.fixture
    def feeds(self, databases: Databases) -> FeedStore:
        return FeedStore(databases.app)

    @pytest.fixture
    def news(self, databases: Databases) -> FhirEventStore:
        return FhirEventStore(databases.app)

    @pytest.fixture
    def kept(self, databases: Databases) -> SubscriptionStore:
        return SubscriptionStore(databases.app)

    @pytest.fixture
    def people(self, databases: Databases) -> Feed:
        """Anna (P1) with her order A1, and Bea (P2)."""
        feed = Feed(databases)
        feed.register("P1")
        feed.register("P2")
        feed.order("P1", "A1")
        return feed

    def wait_for(self, feeds: FeedStore, news: FhirEventStore, *versions: Found, now: datetime = NOW) -> list[Notice]:
        """A page with these came; answers what waits."""
        feeds.page("ehr", versions, resource_type=CT, up_to=None, now=now)
        return list(news.due("ehr", now))

    def events(self, databases: Databases) -> int:
        with databases.app.reading() as session:
            return len(session.exec(select(StudyEventRow)).all())

    def holds(self, databases: Databases) -> Sequence[Hold]:
        return open_holds(databases.app)

    def decide(self, databases: Databases, hold: Hold, action: str) -> Hold:
        def nothing(message_id: int) -> tuple[object, object]:
            raise NotFound("there is no message")

        decisions = DecisionStore(databases.app, nothing, lambda path: None)
        return decisions.resolve(hold.id, Said(action, "Dr Roe", NOW + 10 * MINUTE))

    # --- feeds

    def test_a_new_feed_is_read_from_its_first_look(self, feeds: FeedStore) -> None:
        assert feeds.begin("ehr", CT, NOW, first=NOW - MINUTE) == NOW - MINUTE
        assert feeds.begin("ehr", CT, NOW + MINUTE, first=NOW) == NOW - MINUTE
        assert feeds.begin("ehr", REPORT, NOW, first=NOW) == NOW

    def test_the_cursor_moves_on_and_never_back(self, feeds: FeedStore) -> None:
        feeds.begin("ehr", CT, NOW, first=NOW)
        for minutes in (5, 3, None):
            up_to = NOW + minutes * MINUTE if minutes else None
            feeds.page("ehr", [], resource_type=CT, up_to=up_to, now=NOW + MINUTE)
        [feed] = feeds.of("ehr")
        assert feed.read_up_to == NOW + 5 * MINUTE

    def test_failures_are_counted_until_an_answer(self, feeds: FeedStore) -> None:
        feeds.begin("ehr", CT, NOW, first=NOW)
        for _ in range(3):
            feeds.failed("ehr", CT, "it does not answer")
        [feed] = feeds.of("ehr")
        assert (feed.failures, feed.error, feed.answered_at) == (3, "it does not answer", None)
        feeds.answered("ehr", CT, up_to=NOW, forget_before=NOW, now=NOW + MINUTE)
        [feed] = feeds.of("ehr")
        assert (feed.failures, feed.error, feed.answered_at) == (0, "", NOW + MINUTE)

    def test_one_of_many_workers_listens(self, databases: Databases) -> None:
        workers = [FeedStore(databases.app) for _ in range(4)]
        claimed = at_once([lambda w=w: w.claim("ehr", NOW, NOW + MINUTE) for w in workers])
        assert claimed.count(True) == 1
        holder, others = workers[claimed.index(True)], [w for w, has in zip(workers, claimed, strict=True) if not has]
        others[0].release("ehr")
        others[0].keep("ehr", NOW + 9 * MINUTE)
        assert not others[1].claim("ehr", NOW, NOW + MINUTE), "only who holds it lets it go"
        assert others[1].claim("other", NOW, NOW + MINUTE)
        holder.keep("ehr", NOW + 5 * MINUTE)
        assert not others[1].claim("ehr", NOW + 2 * MINUTE, NOW + 3 * MINUTE)
        assert others[1].claim("ehr", NOW + 5 * MINUTE, NOW + 6 * MINUTE), "who died does not hold it for ever"
        holder.release("ehr")
        assert not others[0].claim("ehr", NOW + 5 * MINUTE, NOW + 6 * MINUTE), "what was lost is not let go"

    # --- what is kept of a page

    def test_what_waits_or_was_taken_is_not_kept_again(self, feeds: FeedStore, news: FhirEventStore) -> None:
        [notice] = self.wait_for(feeds, news, found())
        assert self.wait_for(feeds, news, found()) == [notice]
        assert news.take("ehr", found(), there(), notice, NOW) is Outcome.ANNOUNCED
        assert self.wait_for(feeds, news, found(), found(1, "2")) != []
        assert [one.reference for one in news.due("ehr", NOW)] == ["ImagingStudy/r1/_history/2"]

    def test_two_pages_at_the_same_time_keep_each_version_once(
        self, databases: Databases, news: FhirEventStore
    ) -> None:
        page = [found(number) for number in range(20)]
        stores = [FeedStore(databases.app) for _ in range(3)]
        kept = at_once([lambda s=s: s.page("ehr", page, resource_type=CT, up_to=None, now=NOW) for s in stores])
        assert sum(kept) == 20
        assert len(news.due("ehr", NOW)) == 20

    def test_the_same_id_at_another_server_is_another_resource(self, feeds: FeedStore, news: FhirEventStore) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.take("ehr", found(), there(), notice, NOW)
        assert not news.taken("vna", found())
        assert feeds.page("vna", [found()], resource_type=CT, up_to=None, now=NOW) == 1

    def test_what_was_taken_long_ago_is_forgotten(self, feeds: FeedStore, news: FhirEventStore) -> None:
        for one in (found(1), found(2, at=NOW + 5 * MINUTE), found(3, at=None)):
            [notice] = self.wait_for(feeds, news, one)
            news.take("ehr", one, there(one.id), notice, NOW)
        feeds.answered("ehr", CT, up_to=None, forget_before=NOW + MINUTE, now=NOW + 9 * MINUTE)
        taken = [news.taken("ehr", one) for one in (found(1), found(2, at=NOW + 5 * MINUTE), found(3, at=None))]
        assert taken == [False, True, True]

    # --- the queue

    def test_notices_wait_in_their_order_and_until_their_time(self, feeds: FeedStore, news: FhirEventStore) -> None:
        first, second, third = self.wait_for(feeds, news, found(1), found(2), found(3))
        news.later(first, NOW + MINUTE, all_of_server=False)
        assert [one.id for one in news.due("ehr", NOW)] == [second.id, third.id]
        assert [one.attempts for one in news.due("ehr", NOW + MINUTE)] == [1, 0, 0]
        news.later(second, NOW + 5 * MINUTE, all_of_server=True)
        assert news.due("ehr", NOW + 4 * MINUTE) == []
        assert [one.id for one in news.due("ehr", NOW + 5 * MINUTE)] == [first.id, second.id, third.id]

    def test_one_is_replaced_by_others_once(self, feeds: FeedStore, news: FhirEventStore) -> None:
        [notice] = self.wait_for(feeds, news, found())
        others = [replace(notice, reference=f"{CT}/x{number}") for number in (1, 2)]
        news.instead(notice, others, NOW)
        news.instead(notice, others, NOW)
        assert [one.reference for one in news.due("ehr", NOW)] == [f"{CT}/x1", f"{CT}/x2"]

    # --- what is taken

    def test_a_version_is_taken_once_however_many_workers_try(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        stores = [FhirEventStore(databases.app) for _ in range(4)]
        became = at_once([lambda s=s: s.take("ehr", found(), there(), notice, NOW) for s in stores])
        assert sorted(became) == ["announced", "taken-before", "taken-before", "taken-before"]
        assert self.events(databases) == 1
        assert news.due("ehr", NOW) == []

    def test_a_later_version_that_was_read_for_a_notice_that_another_worker_ended_is_taken(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.take("ehr", found(), there(instances=10), notice, NOW)
        newer = found(1, "2", at=NOW + MINUTE)
        assert news.take("ehr", newer, there(instances=20), notice, NOW) is Outcome.ANNOUNCED
        assert self.events(databases) == 2

    def test_an_older_version_after_a_newer_one_changes_nothing(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        old, new = found(1, "1"), found(1, "2", at=NOW + MINUTE)
        earlier, later = self.wait_for(feeds, news, old, new)
        assert news.take("ehr", new, there(instances=20), later, NOW) is Outcome.ANNOUNCED
        assert news.taken("ehr", old)
        assert news.take("ehr", old, there(instances=10), earlier, NOW) is Outcome.TAKEN_BEFORE
        assert self.events(databases) == 1

    def test_versions_of_one_instant_are_both_taken(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        one, two = self.wait_for(feeds, news, found(1, "1"), found(1, "2"))
        news.take("ehr", found(1, "1"), there(instances=10), one, NOW)
        assert news.take("ehr", found(1, "2"), there(instances=20), two, NOW) is Outcome.ANNOUNCED

    def test_a_version_without_a_time_comes_after_every_other(self, feeds: FeedStore, news: FhirEventStore) -> None:
        one, two = self.wait_for(feeds, news, found(1, "1", at=None), found(1, "2"))
        news.take("ehr", found(1, "1", at=None), there(), one, NOW)
        assert news.take("ehr", found(1, "2"), there(instances=20), two, NOW) is Outcome.ANNOUNCED

    def test_where_a_wire_said_that_images_are_is_known_to_their_retrieval(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        event = replace(there().event, endpoint="https://archive.example/dicom-web")
        news.take("ehr", found(), ImagesThere(event), notice, NOW)
        retrievals = RetrievalStore(databases.app)
        retrievals.announce(NOW)
        [retrieval] = retrievals.pending()
        assert retrieval.announced == "FHIR ehr"
        assert retrievals.patient_of(retrieval).endpoints == {"https://archive.example/dicom-web"}
        assert retrievals.patient_of(Retrieval("1.2.4")).endpoints == frozenset()

    def test_what_only_says_that_there_is_news_keeps_waiting(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        bare = replace(notice, reference=f"{CT}/r1", body=b"")
        news.instead(notice, (bare, notice), NOW)
        _, whole = news.due("ehr", NOW)
        news.take("ehr", found(), there(), whole, NOW)
        assert [one.reference for one in news.due("ehr", NOW)] == [f"{CT}/r1"]

    def test_every_outcome_is_said_and_ends_the_notice(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore, people: Feed
    ) -> None:
        said = [
            (there(), Outcome.ANNOUNCED),
            (there(), Outcome.KNOWN),
            (ImagesGone("1.2.3", "cancelled", "FHIR ehr"), Outcome.WITHDRAWN),
            (Nothing(Reason.NOT_CONSUMED), Reason.NOT_CONSUMED),
            (reported("P1"), Outcome.FILED),
            (reported("P1"), Outcome.KNOWN),
        ]
        for number, (one, outcome) in enumerate(said):
            [notice] = self.wait_for(feeds, news, found(number))
            assert news.take("ehr", found(number), one, notice, NOW) is outcome
            assert news.due("ehr", NOW) == []

    def test_a_report_of_nobody_or_of_two_is_not_taken_and_nothing_of_it_is_written(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore, people: Feed
    ) -> None:
        [notice] = self.wait_for(feeds, news, found(kind=REPORT))
        with pytest.raises(InsufficientData):
            news.take("ehr", found(kind=REPORT), reported("P9"), notice, NOW)
        with pytest.raises(Conflict):
            news.take("ehr", found(kind=REPORT), reported("P1", "P2"), notice, NOW)
        assert not news.taken("ehr", found(kind=REPORT))
        assert [one.id for one in news.due("ehr", NOW)] == [notice.id]
        with databases.app.reading() as session:
            assert session.exec(select(FinalReportRow)).all() == []

    # --- what a person is asked

    def test_what_is_held_waits_for_a_person_and_not_for_a_worker(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.hold(notice, "ehr: want something else", NOW)
        news.hold(notice, "ehr: want something else", NOW)
        [hold] = self.holds(databases)
        assert (hold.kind.value, hold.reason, hold.about) == (
            "notice-failed",
            "ehr: want something else",
            f"notice-{notice.id}",
        )
        assert [action.value for action in hold.actions] == ["run-again", "give-up"]
        assert news.due("ehr", NOW + timedelta(days=1)) == []
        assert self.wait_for(feeds, news, found()) == [], "a look does not bring it back"
        assert news.counts() == {("ehr", CT): (0, 1)}

    def test_run_again_tries_it_anew_and_may_end_at_a_person_again(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.hold(notice, "first", NOW)
        self.decide(databases, self.holds(databases)[0], "run-again")
        assert self.holds(databases) == []
        [again] = news.due("ehr", NOW + 10 * MINUTE)
        assert (again.id, again.attempts) == (notice.id, 0)
        news.hold(again, "second", NOW + 11 * MINUTE)
        assert [hold.reason for hold in self.holds(databases)] == ["second"]

    def test_give_up_ends_it_and_a_look_does_not_bring_it_back(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.hold(notice, "broken", NOW)
        assert self.decide(databases, self.holds(databases)[0], "give-up").resolution == "give-up, by Dr Roe"
        assert news.waiting() == []
        assert self.wait_for(feeds, news, found()) == []
        assert self.wait_for(feeds, news, found(1, "2", at=NOW - MINUTE)) != [], "a newer version is another matter"

    def test_another_action_is_refused(self, databases: Databases, feeds: FeedStore, news: FhirEventStore) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.hold(notice, "broken", NOW)
        with pytest.raises(InvalidInput, match="run-again, give-up"):
            self.decide(databases, self.holds(databases)[0], "apply")

    def test_what_was_taken_meanwhile_cannot_be_run_again(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.hold(notice, "broken", NOW)
        news.done([notice.id])
        with pytest.raises(NotFound, match="worked off already"):
            self.decide(databases, self.holds(databases)[0], "run-again")

    def test_a_newer_version_ends_the_question(
        self, databases: Databases, feeds: FeedStore, news: FhirEventStore
    ) -> None:
        [notice] = self.wait_for(feeds, news, found())
        news.hold(notice, "broken", NOW)
        newer = found(1, "2", at=NOW + MINUTE)
        [next_one] = self.wait_for(feeds, news, newer)
        news.take("ehr", newer, there(), next_one, NOW)
        assert self.holds(databases) == []
        assert news.waiting() == []

    # --- subscriptions

    def made(self, kept: SubscriptionStore) -> Subscription:
        """An active one with the secret "first"."""
        one = kept.want("ehr", CT, "topic", NOW)
        kept.secret(one.id, "first", renewing=False)
        changed = kept.change(
            one.id, lambda s: replace(s, state=SubscriptionState.ACTIVE, remote_id="s1", heard_at=NOW), NOW
        )
        assert changed is not None
        return changed

    def events_of(self, *numbers: int) -> Notification:
        told = tuple(Told(number, f"{CT}/r{number}") for number in numbers)
        return Notification(NotificationType.EVENTS, "s1", SubscriptionState.ACTIVE, max(numbers), told)

    def test_there_is_one_for_each_type_of_a_server(self, databases: Databases, kept: SubscriptionStore) -> None:
        stores = [SubscriptionStore(databases.app) for _ in range(4)]
        ids = {one.id for one in at_once([lambda s=s: s.want("ehr", CT, "topic", NOW) for s in stores])}
        assert len(ids) == 1
        assert kept.want("ehr", REPORT, "topic", NOW).id not in ids
        assert kept.want("vna", CT, "topic", NOW).id not in ids
        assert [(one.server, one.resource_type) for one in subscriptions(databases.app)] == [
            ("ehr", REPORT),
            ("ehr", CT),
            ("vna", CT),
        ]

    def test_a_secret_opens_its_own_subscription_alone(self, kept: SubscriptionStore) -> None:
        one = self.made(kept)
        assert kept.authorized(one.id, "first") == one
        for subscription_id, secret in ((one.id, "second"), (one.id, ""), ("other", "first")):
            with pytest.raises(Unauthorized):
                kept.authorized(subscription_id, secret)
        bare = kept.want("vna", CT, "topic", NOW)
        for guess in ("", "none"):
            with pytest.raises(Unauthorized):
                kept.authorized(bare.id, guess)

    def test_the_former_secret_is_accepted_until_the_new_one_is_shown(self, kept: SubscriptionStore) -> None:
        one = self.made(kept)
        kept.secret(one.id, "second", renewing=True)
        kept.receive(one.id, "first", self.events_of(1), NOW)
        kept.receive(one.id, "second", self.events_of(2), NOW)
        with pytest.raises(Unauthorized):
            kept.receive(one.id, "first", self.events_of(3), NOW)

    def test_a_renewal_that_never_got_there_leaves_the_secret_that_the_server_has(
        self, kept: SubscriptionStore
    ) -> None:
        one = self.made(kept)
        for secret in ("second", "third", "fourth"):
            kept.secret(one.id, secret, renewing=True)
        kept.receive(one.id, "first", self.events_of(1), NOW)
        kept.receive(one.id, "fourth", self.events_of(2), NOW)

    def test_a_notification_is_kept_whole_or_not_at_all(self, kept: SubscriptionStore, news: FhirEventStore) -> None:
        one = self.made(kept)
        with pytest.raises(Unauthorized):
            kept.receive(one.id, "wrong", self.events_of(1, 4), NOW)
        assert news.due("ehr", NOW) == []
        assert kept.of("ehr")[0].last_event == 0
        kept.receive(one.id, "first", self.events_of(1, 4), NOW)
        assert [(n.kind, n.first, n.last) for n in news.due("ehr", NOW)] == [
            (NoticeKind.EVENTS, 2, 3),
            (NoticeKind.RESOURCE, 0, 0),
            (NoticeKind.RESOURCE, 0, 0),
        ]

    def test_the_same_event_from_many_connections_at_once_is_one(
        self, databases: Databases, kept: SubscriptionStore, news: FhirEventStore
    ) -> None:
        one = self.made(kept)
        stores = [SubscriptionStore(databases.app) for _ in range(4)]
        at_once([lambda s=s: s.receive(one.id, "first", self.events_of(1), NOW) for s in stores])
        assert len(news.due("ehr", NOW)) == 1

    def test_looks_are_answered_together_as_far_as_they_were_there(
        self, kept: SubscriptionStore, news: FhirEventStore
    ) -> None:
        one = self.made(kept)
        for _ in range(3):
            kept.receive(one.id, "first", Notification(NotificationType.PING), NOW)
        before = news.looks("ehr", CT)
        kept.receive(one.id, "first", Notification(NotificationType.PING), NOW)
        news.done(before)
        assert len(news.due("ehr", NOW)) == 1

    def test_another_in_its_place_has_another_address_and_begins_anew(self, kept: SubscriptionStore) -> None:
        one = self.made(kept)
        kept.change(one.id, lambda s: replace(s, failures=3, last_event=9), NOW)
        fresh = kept.begin_again(one.id, NOW)
        assert (fresh.state, fresh.remote_id, fresh.last_event) == (SubscriptionState.WANTED, "", 0)
        assert (fresh.failures, fresh.resource_type, fresh.kind) == (3, CT, "topic")
        assert fresh.id != one.id
        assert [other.id for other in kept.of("ehr")] == [fresh.id]
        with pytest.raises(Unauthorized):
            kept.authorized(one.id, "first")
        with pytest.raises(NotFound):
            kept.begin_again(one.id, NOW)

    def test_what_is_forgotten_is_not_changed_any_more(self, kept: SubscriptionStore, news: FhirEventStore) -> None:
        one = self.made(kept)
        kept.forget(one.id)
        kept.forget(one.id)
        assert kept.change(one.id, lambda s: s, NOW, (look(one),)) is None
        kept.tell(one.id, self.events_of(1), NOW)
        kept.secret(one.id, "other", renewing=True)
        assert (kept.of("ehr"), news.due("ehr", NOW)) == ([], [])

"""Polling a FHIR server: everything once, whatever the server, its clock and its pages do."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from cds.bootstrap.fhir_events import listening
from cds.domain.fhir_news import Found, News, Page
from cds.errors import Unavailable
from cds.listening.listening import listen
from cds.listening.parts import Server
from cds.settings import Settings
from cds.store.engine import open_app
from cds.store.fhir_tables import SeenResourceRow
from tests.contract.fhir_wire import Asked, Reply, outcome
from tests.contract.news_peer import NOON, Ehr, ehr
from tests.contract.news_process import listening_process
from tests.contract.news_site import SYSTEMS, MovingClock, Site, study
from tests.databases import fresh


@pytest.fixture
def peer() -> Iterator[Ehr]:
    with ehr() as server:
        yield server


@pytest.fixture
def site(peer: Ehr, tmp_path: Path) -> Iterator[Site]:
    """One that polls, and has looked once."""
    source = {"url": peer.url, "events": "poll", "resources": ["ImagingStudy"], "timeout_s": 2}
    settings = Settings(
        data_dir=tmp_path, fhir_sources={"ehr": source}, identifier_systems=SYSTEMS, accession_issuer="RIS"
    )
    with fresh(tmp_path) as databases, Site(databases, peer, MovingClock(), settings) as one:
        one.look()
        yield one


def test_a_study_that_is_available_is_announced_once(site: Site, peer: Ehr) -> None:
    peer.put(study())
    site.look(after=60, times=5)
    assert site.uids == ["1.2.840.1"]
    [event] = site.announced
    assert event.source == "FHIR ehr"
    assert event.series == (("1.2.840.1.1", 100),)
    assert site.waiting == []


def test_the_archive_of_a_new_server_is_not_imported(peer: Ehr, tmp_path: Path) -> None:
    peer.put(study(1), at=NOON - timedelta(days=3))
    peer.put(study(2), at=NOON - timedelta(minutes=1))
    settings = Settings(
        data_dir=tmp_path, fhir_sources={"ehr": {"url": peer.url, "resources": ["ImagingStudy"], "overlap_s": 300}}
    )
    with fresh(tmp_path) as databases, Site(databases, peer, MovingClock(), settings) as one:
        one.look()
        assert one.uids == ["1.2.840.2"]


def test_the_cursor_is_the_servers_time_of_the_last_change(site: Site, peer: Ehr) -> None:
    peer.put(study(), at=NOON + timedelta(minutes=30))
    site.look(after=3600)
    assert site.feed().read_up_to == NOON + timedelta(minutes=30)


def test_a_change_of_next_year_does_not_hide_what_comes_before_it(site: Site, peer: Ehr) -> None:
    peer.put(study(1), at=NOON + timedelta(days=365))
    site.look(after=60)
    peer.put(study(2), at=NOON + timedelta(minutes=2))
    site.look(after=60)
    assert site.uids == ["1.2.840.1", "1.2.840.2"]
    assert site.feed().read_up_to == NOON + timedelta(minutes=2)


def test_a_server_whose_clock_is_ahead_is_read_like_any_other(site: Site, peer: Ehr) -> None:
    for number in range(1, 4):
        peer.put(study(number), at=site.clock.at + timedelta(hours=1))
        site.look(after=60)
    assert len(site.uids) == 3


def test_what_is_committed_late_under_an_earlier_time_is_found_within_the_overlap(site: Site, peer: Ehr) -> None:
    peer.put(study(1), at=NOON + timedelta(minutes=10))
    site.look(after=660)
    peer.put(study(2), at=NOON + timedelta(minutes=6))
    site.look(after=60)
    assert site.uids == ["1.2.840.1", "1.2.840.2"]


def test_many_that_changed_in_one_instant_are_all_read(site: Site, peer: Ehr) -> None:
    peer.page_size = 3
    for number in range(1, 12):
        peer.put(study(number), at=NOON + timedelta(minutes=1))
    site.look(after=61, times=2)
    assert len(site.uids) == 11


def test_pages_that_shift_while_they_are_read_lose_nothing(site: Site, peer: Ehr) -> None:
    peer.page_size = 3
    for number in range(1, 13):
        peer.put(study(number))
    changing = iter(range(1, 4))

    def touch() -> None:
        """Somebody changes one of the first page: what stood behind it moves forward by one place."""
        number = next(changing, 0)
        if number:
            peer.put(study(number, description="a change that says nothing new"))

    peer.meanwhile = touch
    site.clock.at += timedelta(hours=2)
    site.look()
    assert len(site.uids) == 12


def test_a_server_that_answers_the_newest_first_is_read_to_the_end(site: Site, peer: Ehr) -> None:
    peer.sorts, peer.page_size = False, 2
    for number in range(1, 8):
        peer.put(study(number))
    site.look(after=61)
    assert len(site.uids) == 7
    assert site.feed().read_up_to == NOON + timedelta(seconds=7)


def test_a_server_that_shows_the_first_page_alone_is_read_to_the_end(site: Site, peer: Ehr) -> None:
    peer.next_links, peer.page_size = False, 3
    for number in range(1, 12):
        peer.put(study(number))
    site.look(after=61)
    assert len(site.uids) == 11
    assert site.feed().failures == 0


def test_what_a_server_does_not_show_in_any_way_is_said(site: Site, peer: Ehr) -> None:
    peer.next_links, peer.page_size = False, 3
    for number in range(1, 12):
        peer.put(study(number), at=NOON + timedelta(minutes=1))
    site.look(after=61)
    assert len(site.uids) == 3
    assert site.feed().error == "the server found more than it shows, and names no next page"


def test_half_a_look_moves_the_cursor_no_further_than_what_was_kept(site: Site, peer: Ehr) -> None:
    peer.page_size = 3
    for number in range(1, 10):
        peer.put(study(number), at=NOON + timedelta(minutes=10 * number))

    def fails_late(asked: Asked) -> Reply | None:
        later = dict([*asked.query, *(asked.form if asked.method == "POST" else [])])
        since = later.get("_lastUpdated", "")
        return Reply(500, outcome("exception")) if "offset" in later and "12:30" in since else None

    peer.fault = fails_late
    site.look(after=7200)
    feed = site.feed()
    assert feed.failures == 1
    assert "could not take it: 500" in feed.error
    assert feed.read_up_to == NOON + timedelta(minutes=30)
    taken = site.uids
    assert 3 <= len(taken) < 9
    peer.fault = lambda asked: None
    site.look(after=300)
    assert len(site.uids) == 9
    assert site.feed().failures == 0


def test_a_server_that_is_down_for_an_hour_loses_nothing(site: Site, peer: Ehr) -> None:
    peer.put(study(1))
    site.look(after=60)
    peer.fault = lambda asked: Reply(gone=True)
    for minute in range(60):
        peer.put(study(10 + minute))
        site.look(after=60)
    looked = peer.wire.asked if peer.wire else []
    assert len(looked) < 200, "it was asked less and less often"
    assert site.feed().failures > 3
    peer.fault = lambda asked: None
    site.look(after=600)
    assert len(site.uids) == 61
    assert site.holds == []


def test_busy_and_failing_answers_are_waited_for(site: Site, peer: Ehr) -> None:
    peer.put(study())
    for status in (429, 503, 500, 401):
        peer.fault = lambda asked, status=status: Reply(status, outcome("throttled"))
        site.look(after=600)
        assert site.uids == []
    peer.fault = lambda asked: None
    site.look(after=600)
    assert site.uids == ["1.2.840.1"]


def test_half_an_answer_is_no_answer(site: Site, peer: Ehr) -> None:
    peer.put(study())
    peer.fault = lambda asked: Reply(body={"resourceType": "Bundle", "type": "searchset", "entry": []}, cut=True)
    site.look(after=60)
    assert site.feed().failures == 1
    peer.fault = lambda asked: None
    site.look(after=60)
    assert site.uids == ["1.2.840.1"]


def test_a_server_that_ignores_the_time_is_not_imported_and_said_to_be_no_source(site: Site, peer: Ehr) -> None:
    peer.knows_last_updated = False
    peer.put(study(1), at=NOON - timedelta(days=400))
    site.look(after=60)
    assert site.uids == []
    assert "does not know _lastUpdated" in site.feed().error


def test_a_server_that_refuses_to_sort_or_to_narrow_is_read_without(site: Site, peer: Ehr) -> None:
    peer.put(study())

    def strict(asked: Asked) -> Reply | None:
        names = dict([*asked.query, *(asked.form if asked.method == "POST" else [])])
        return Reply(400, outcome("not-supported")) if "_sort" in names else None

    peer.fault = strict
    site.look(after=60)
    assert site.uids == ["1.2.840.1"]


def test_a_change_that_no_model_consumes_makes_no_second_event(site: Site, peer: Ehr) -> None:
    peer.put(study(description="CT chest"))
    site.look(after=60)
    peer.put(study(description="CT chest, read"))
    key_image = {"uid": "1.2.840.1.99", "modality": {"code": "SR"}, "numberOfInstances": 1}
    peer.put(study(series=[*study()["series"], key_image]))
    site.look(after=60)
    assert len(site.announced) == 1
    assert site.seen == ["ImagingStudy/is1/1", "ImagingStudy/is1/3"]


def test_more_images_of_a_series_that_a_model_consumes_are_another_event(site: Site, peer: Ehr) -> None:
    peer.put(study())
    site.look(after=60)
    peer.put(study(series=[{**study()["series"][0], "numberOfInstances": 120}]))
    site.look(after=60)
    assert [event.series[0][1] for event in site.announced] == [100, 120]


def test_what_no_model_consumes_is_no_event(site: Site, peer: Ehr) -> None:
    peer.put(study(series=[{"uid": "1.2.3", "modality": {"code": "XA"}, "numberOfInstances": 1}]))
    peer.put(study(2, status="registered"))
    site.look(after=60)
    assert site.announced == []
    assert len(site.seen) == 2


def test_a_study_that_was_entered_in_error_is_on_the_timeline_and_runs_nothing(site: Site, peer: Ehr) -> None:
    peer.put(study(status="entered-in-error"))
    site.look(after=60, times=3)
    assert site.announced == []
    assert site.timeline == ["exam: images withdrawn (entered-in-error) by FHIR ehr"]


def test_a_resource_that_cannot_be_read_is_held_and_does_not_stop_the_others(site: Site, peer: Ehr) -> None:
    peer.put(study(1, status="bogus"))
    peer.put(study(2))
    site.look(after=60, times=3)
    assert site.uids == ["1.2.840.2"]
    [hold] = site.holds
    assert hold.kind.value == "notice-failed"
    assert hold.reason == "ehr, ImagingStudy: ImagingStudy.status wants a code of imagingstudy-status"
    assert site.feed().read_up_to == NOON + timedelta(seconds=2)


def test_a_newer_version_ends_what_a_person_was_asked_about_an_earlier_one(site: Site, peer: Ehr) -> None:
    peer.put(study(1, status="bogus"))
    site.look(after=60)
    assert len(site.holds) == 1
    peer.put(study(1))
    site.look(after=60)
    assert site.holds == []
    assert site.waiting == []
    assert site.uids == ["1.2.840.1"]


@dataclass(frozen=True)
class Breaking:
    """A server whose reading breaks at one resource, as a bug of ours would."""

    server: Server

    @property
    def name(self) -> str:
        return self.server.name

    def changed(self, resource_type: str, since: datetime) -> Iterator[Page]:
        return self.server.changed(resource_type, since)

    def came(self, body: bytes) -> Found:
        return self.server.came(body)

    def current(self, reference: str) -> Found:
        return self.server.current(reference)

    def news(self, found: Found, received_at: datetime) -> News:
        if found.id == "is1":
            raise ZeroDivisionError("Quentina Unmistakable")
        return self.server.news(found, received_at)


def test_one_that_breaks_our_code_is_held_and_holds_up_no_other(site: Site, peer: Ehr) -> None:
    site.line = replace(site.line, server=Breaking(site.line.server))
    peer.put(study(1))
    peer.put(study(2))
    site.look(after=60, times=2)
    assert site.uids == ["1.2.840.2"]
    [hold] = site.holds
    assert hold.reason == "ehr, ImagingStudy: reading it broke with ZeroDivisionError; see the log"


def test_two_workers_do_not_listen_at_the_same_time(site: Site, peer: Ehr) -> None:
    peer.put(study())
    now = site.clock.at + timedelta(seconds=60)
    assert site.line.feeds.claim("ehr", now, now + timedelta(minutes=1))
    other = site.another_worker()
    assert not other.feeds.claim("ehr", now, now + timedelta(minutes=1))
    site.line.feeds.release("ehr")
    assert other.feeds.claim("ehr", now, now + timedelta(minutes=1))


def test_the_claim_of_a_worker_that_died_ends_by_itself(site: Site, peer: Ehr) -> None:
    peer.put(study())
    now = site.clock.at
    assert site.another_worker().feeds.claim("ehr", now, now + site.line.lease)
    site.look(after=59)
    assert site.uids == []
    site.look(after=60)
    assert site.uids == ["1.2.840.1"]


def test_our_own_tables_that_are_busy_are_an_error_of_the_timer_and_lose_nothing(site: Site, peer: Ehr) -> None:
    peer.put(study())
    impatient = open_app(site.settings.data_dir, "", patience_ms=50)
    other = listening(site.settings, impatient, site.clock, "ehr", site.clients[0])
    site.clock.at += timedelta(seconds=60)
    with site.databases.app.writing() as session:
        session.exec(select(SeenResourceRow)).all()  # somebody else writes, and takes long
        with pytest.raises(Unavailable):
            listen(other)
    impatient.dispose()
    site.look()
    assert site.uids == ["1.2.840.1"]


@pytest.mark.parametrize("path", ["ImagingStudy", "Endpoint/e1"])
def test_a_worker_that_is_killed_in_the_middle_takes_each_study_once(site: Site, peer: Ehr, path: str) -> None:
    """Killed while it reads the second page, and while what was kept waits for what it refers to."""
    peer.page_size = 2
    for number in range(1, 6):
        peer.put(study(number, endpoint=[{"reference": "Endpoint/e1"}]))
    asked = iter(range(100))

    with listening_process(site, at=timedelta(seconds=60)) as process:

        def kill(request: Asked) -> Reply | None:
            is_it = request.path.startswith(f"/fhir/{path}") and (path != "ImagingStudy" or next(asked) > 0)
            if not is_it or process.poll() is not None:
                return None
            process.kill()
            process.wait(10)
            return Reply(gone=True)

        peer.fault = kill
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.wait(60) == -signal.SIGKILL
    peer.fault = lambda asked: None
    site.look(after=120, times=2)
    assert site.uids == [f"1.2.840.{number}" for number in range(1, 6)]
    assert len(site.announced) == 5

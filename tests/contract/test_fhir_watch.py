"""A FHIR server that cannot be read or does not notify is seen: alarm, banner, `cds feeds` and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds import metrics
from cds.bootstrap import watch
from cds.commands.feeds import app, fhir_lines
from cds.listening.polling import try_poll
from cds.settings import Settings
from tests.contract.fhir_wire import Reply
from tests.contract.news_peer import Ehr, ehr
from tests.contract.news_site import TOPICS, MovingClock, Site, study
from tests.databases import fresh


@pytest.fixture
def peer() -> Iterator[Ehr]:
    with ehr() as server:
        yield server


@pytest.fixture
def site(peer: Ehr, tmp_path: Path) -> Iterator[Site]:
    source = {"url": peer.url, "resources": ["ImagingStudy"], "topics": TOPICS, "timeout_s": 2}
    settings = Settings(data_dir=tmp_path, fhir_sources={"ehr": source}, expected_roles=(), stuck_after_minutes=15)
    with fresh(tmp_path) as databases, Site(databases, peer, MovingClock(), settings) as one:
        one.look()
        yield one


def banner(site: Site) -> tuple[str, ...]:
    return watch.banner(site.settings, site.databases.app, site.clock)()


def feeds(site: Site) -> list[str]:
    standing = watch.fhir_feeds(site.settings, site.databases.app)
    return list(fhir_lines(standing, site.clock.at, site.clock.at.tzinfo))


def counted(name: str, **labels: str) -> float:
    """A metric as it stands; 0 where it was never counted."""
    wanted = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    found = re.search(rf"^{name}{{{re.escape(wanted)}}} (\S+)$", metrics.render().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_server_that_answers_is_no_alarm_however_little_happens_there(site: Site) -> None:
    for _ in range(5):
        site.look(after=3600)
    assert banner(site) == ()
    [line] = feeds(site)
    assert line.startswith("ok      FHIR ehr ImagingStudy: last answer 2026-11-20 17:02, 0 s ago, read up to ")
    assert line.endswith("; polled every 60 s")


def test_a_server_that_is_away_for_long_is_an_alarm_until_it_answers(site: Site, peer: Ehr) -> None:
    peer.fault = lambda asked: Reply(gone=True)
    site.look(after=600)
    assert banner(site) == ()
    assert feeds(site)[0].startswith("FAILING")
    site.look(after=600)
    [text] = banner(site)
    assert text.startswith("FHIR ehr: ImagingStudy could not be read for 20 min (the FHIR server ehr does not answer")
    peer.fault = lambda asked: None
    site.look(after=600)
    assert banner(site) == ()


def test_a_server_that_was_never_reached_is_an_alarm_too(peer: Ehr, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, fhir_sources={"ehr": {"url": peer.url, "timeout_s": 2}}, expected_roles=())
    peer.fault = lambda asked: Reply(503)
    with fresh(tmp_path) as databases, Site(databases, peer, MovingClock(), settings) as one:
        for _ in range(6):
            one.look(after=300)
        [text] = banner(one)
        assert "ImagingStudy could not be read" in text
        assert "DiagnosticReport could not be read" in text
        assert "has not answered yet" in feeds(one)[0]


def test_a_subscription_that_does_not_work_for_long_is_an_alarm_and_its_polling_is_said(site: Site, peer: Ehr) -> None:
    site.reconfigured(events="topic", notify_url="http://127.0.0.1:9")  # nobody hears there
    for _ in range(5):
        site.look(after=300)
    [text] = banner(site)
    assert "the Subscription for ImagingStudy does not work for " in text
    [line] = feeds(site)
    assert line.startswith("SILENT  FHIR ehr ImagingStudy: ")
    assert "Subscription " in line
    assert line.endswith("; polled every 60 s meanwhile")


def test_a_server_without_subscriptions_is_no_alarm_and_is_said_to_be_polled(site: Site, peer: Ehr) -> None:
    peer.can_subscribe = False
    site.reconfigured(events="topic")
    for _ in range(5):
        site.look(after=600)
    assert banner(site) == ()
    assert (
        "the server does not let us create Subscriptions: it is polled; polled every 60 s meanwhile" in feeds(site)[0]
    )


def test_a_server_that_is_not_configured_any_more_is_no_alarm(site: Site, peer: Ehr) -> None:
    peer.fault = lambda asked: Reply(gone=True)
    site.look(after=3600)
    assert banner(site) != ()
    site.settings = site.settings.model_copy(update={"fhir_sources": {}})
    assert banner(site) == ()
    assert feeds(site) == []


def test_what_waits_and_what_is_held_is_counted_and_listed(
    site: Site, peer: Ehr, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer.put(study(1, status="bogus"))
    site.look(after=60)
    peer.put(study(2))
    try_poll(site.line, "ImagingStudy")  # the page is kept, and nothing is worked off
    assert feeds(site)[0].endswith("; waiting: 1, held: 1")
    watch.watch(site.settings, site.databases.app)(site.clock.at)
    assert counted("sightline_fhir_waiting", source="ehr") == 2
    monkeypatch.setenv("CDS_DATA_DIR", str(site.settings.data_dir))
    listed = CliRunner().invoke(app, ["notices"]).output.splitlines()
    assert [line[:7] for line in listed] == ["HELD   ", "waiting"]
    assert "notice-1 ehr ImagingStudy/is1/_history/1, since 2026-11-20 12:03, attempts: 1" in listed[0]


def test_what_is_held_is_counted_at_the_type_that_it_is_of(site: Site, peer: Ehr) -> None:
    site.reconfigured(resources=("ImagingStudy", "DiagnosticReport"))
    peer.put(study(1, status="bogus"))
    site.look(after=60)
    studies, reports = feeds(site)
    assert studies.startswith("ok      FHIR ehr ImagingStudy: ")
    assert studies.endswith("; waiting: 0, held: 1")
    assert reports.startswith("ok      FHIR ehr DiagnosticReport: ")
    assert "held" not in reports


def test_looks_and_outcomes_are_counted_by_server(site: Site, peer: Ehr) -> None:
    before = counted("sightline_fhir_events_total", outcome="announced", source="ehr")
    failed = counted("sightline_fhir_polls_total", outcome="failed", source="ehr")
    peer.put(study())
    site.look(after=60)
    peer.fault = lambda asked: Reply(500)
    site.look(after=60)
    assert counted("sightline_fhir_events_total", outcome="announced", source="ehr") == before + 1
    assert counted("sightline_fhir_polls_total", outcome="failed", source="ehr") == failed + 1

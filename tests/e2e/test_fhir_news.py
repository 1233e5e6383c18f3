"""A whole Sightline that a FHIR server notifies: whatever is killed on the way, each study is announced once."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from cds.store.engine import open_app
from cds.store.tables import StudyEventRow
from tests.contract.news_peer import Ehr, ehr
from tests.contract.news_site import TOPICS, study
from tests.e2e.site import Site, children, site, stop, until, wait_until_ready

#: Whole servers, started and killed: it takes long.
pytestmark = pytest.mark.peers

#: At least so many come while roles die.
STUDIES = 20


@pytest.fixture
def peer() -> Iterator[Ehr]:
    with ehr() as server:
        server.now = datetime.now(UTC)
        yield server


@pytest.fixture
def listening(peer: Ehr, tmp_path: Path) -> Iterator[Site]:
    """A server that listens to it by a topic subscription, and is ready."""
    one = site(tmp_path)
    source = {
        "url": peer.url, "events": "topic", "topics": TOPICS, "resources": ["ImagingStudy"], "poll_interval_s": 2,
        "heartbeat_s": 4, "notify_url": one.url, "ehr_data": False, "timeout_s": 2,
    }  # fmt: skip
    one.environment["CDS_FHIR_SOURCES"] = json.dumps({"ehr": source})
    one.server = one.start()
    try:
        wait_until_ready(one)
        until(lambda: [s for s in peer.subscriptions.values() if s["status"] == "active"], 30, "a Subscription")
        yield one
    finally:
        stop(one.server)


def announced(one: Site) -> list[str]:
    """The studies that were announced, as often as they were."""
    database = open_app(one.data_dir, "")
    try:
        with database.reading() as session:
            return sorted(filter(None, session.exec(select(StudyEventRow.study_uid)).all()))
    finally:
        database.dispose()


def pid_of(one: Site, role: str) -> int | None:
    """The process of a role; None between its end and the next."""
    assert one.server is not None
    with suppress(IndexError):  # the dead have no command line until somebody waits for them
        return children(one.server).get(role)
    return None


def test_a_notified_study_is_announced_within_seconds(listening: Site, peer: Ehr) -> None:
    peer.put(study(), at=datetime.now(UTC))
    until(lambda: announced(listening) == ["1.2.840.1"], 15, "the study to be announced")
    assert "images announced" in listening.cds("why", "1.2.840.1").stdout
    assert "FHIR ehr ImagingStudy" in listening.cds("feeds").stdout


def test_whatever_is_killed_each_study_is_announced_once(listening: Site, peer: Ehr) -> None:
    """The hospital goes on while web and worker die; a server that could not deliver says error and is asked again."""
    enough, numbers = threading.Event(), itertools.count(1)

    def work() -> None:
        while not enough.wait(0.1):
            peer.put(study(next(numbers)), at=datetime.now(UTC))

    hospital = threading.Thread(target=work)
    hospital.start()
    try:
        for role in ("worker", "web", "worker", "web"):
            pid = until(lambda name=role: pid_of(listening, name), 30, f"{role} to be there again")
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)
    finally:
        enough.set()
        hospital.join()
    wanted = sorted(f"1.2.840.{number}" for number in range(1, next(numbers)))
    assert len(wanted) > STUDIES
    until(lambda: set(announced(listening)) >= set(wanted), 150, "all studies to be announced")
    assert announced(listening) == wanted
    assert len([sent for sent in peer.sent if sent.status == 0]) > 0, "the door was never shut"

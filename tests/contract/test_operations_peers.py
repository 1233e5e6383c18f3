"""Peers are asked beside the page: over real sockets, with what `cds check` asks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cds.bootstrap.ui_operations_peers import peer_checks, peer_desk
from cds.checks import Check
from cds.errors import NotFound, Unavailable
from cds.settings import Settings
from cds.ui.operations import PeerDesk
from cds.ui.operations_values import PeerAnswer
from tests.databases import Databases, fresh

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class Standing:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW

    def today(self) -> date:
        return NOW.date()


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """Two fresh files."""
    with fresh(tmp_path) as databases:
        yield databases


@contextmanager
def listening() -> Iterator[int]:
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def answered(desk: PeerDesk, wanted: int = 1) -> dict[str, PeerAnswer]:
    """The answers, once so many have come."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = {one.name: one for one in desk.answers()}
        if sum(one.answered_at is not None for one in found.values()) >= wanted:
            return found
        time.sleep(0.01)
    raise AssertionError("no peer answered within ten seconds")


def desk_of(databases: Databases, **checks: Callable[[], Check]) -> PeerDesk:
    return peer_desk(Settings(data_dir=databases.data_dir), databases.app, Standing(), checks)


def test_a_destination_that_listens_is_fine_and_one_that_does_not_says_how_to_mend_it(databases: Databases) -> None:
    with listening() as port, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings = Settings(
            data_dir=databases.data_dir,
            oru_destinations={
                "ehr": {"host": "127.0.0.1", "port": port},
                "ris": {"host": "127.0.0.1", "port": closed.getsockname()[1]},
            },
        )
        desk = peer_desk(settings, databases.app, Standing())
        assert {one.name: one.state(NOW) for one in desk.answers()} == {
            "HL7 destination ehr": "not asked",
            "HL7 destination ris": "not asked",
        }
        assert desk.ask("", "ada") == 2
        found = answered(desk, 2)
    assert found["HL7 destination ehr"].state(NOW) == "fine"
    assert found["HL7 destination ehr"].how_to_fix == ""
    assert found["HL7 destination ris"].state(NOW) == "fails"
    assert "correct CDS_ORU_DESTINATIONS" in found["HL7 destination ris"].how_to_fix


def test_asking_does_not_wait_for_a_peer_that_is_silent(databases: Databases) -> None:
    silent = threading.Event()

    def wait() -> Check:
        silent.wait(10)
        return Check("slow", True, "at last")

    desk = desk_of(databases, slow=wait)
    assert desk.ask("slow", "ada") == 1
    assert [one.state(NOW) for one in desk.answers()] == ["asking"]
    assert desk.ask("slow", "ben") == 0, "it is being asked already"
    silent.set()
    assert answered(desk)["slow"].detail == "at last"


def test_one_peer_is_asked_alone_and_an_unknown_one_is_not_found(databases: Databases) -> None:
    desk = desk_of(databases, one=lambda: Check("one", True, "1"), two=lambda: Check("two", True, "2"))
    assert desk.ask("two", "ada") == 1
    found = answered(desk)
    assert (found["one"].asked_at, found["two"].detail) == (None, "2")
    with pytest.raises(NotFound, match="no peer of this name"):
        desk.ask("three", "ada")


def test_a_check_that_breaks_is_an_answer_too(databases: Databases) -> None:
    def broken() -> Check:
        raise Unavailable("the database is away")

    found = answered_of(desk_of(databases, peer=broken))
    assert (found.ok, found.detail) == (False, "the check itself failed: Unavailable")


def answered_of(desk: PeerDesk) -> PeerAnswer:
    desk.ask("", "ada")
    (found,) = answered(desk).values()
    return found


def test_what_works_and_should_not_stay_so_warns(databases: Databases) -> None:
    found = answered_of(desk_of(databases, peer=lambda: Check("p", True, "unencrypted", "use TLS", warns=True)))
    assert (found.state(NOW), found.how_to_fix) == ("warns", "use TLS")


def test_every_configured_peer_can_be_asked(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("{}")
    fhir = {"url": "http://127.0.0.1:9/fhir"}
    node = {"host": "127.0.0.1", "port": 9, "ae_title": "PACS"}
    settings = Settings(
        oru_destinations={"ehr": {"host": "127.0.0.1", "port": 9}},
        fhir_sources={"epic": fhir},
        fhir_destinations={"hapi": fhir},
        critical_routes={"desk": {"recipient": "desk", "channel": "fhir", "fhir": fhir}},
        critical_route="desk",
        pacs_sources={"main": {"retrieve": "c-get", "node": node}},
        pacs_destinations={"archive": node},
        priority_destinations={"list": {"message": "ORM^O01", "hl7": {"host": "127.0.0.1", "port": 9}}},
        ui_oidc={"issuer": "http://127.0.0.1:9/oidc", "client_id": "us", "roles": {"eng": ["engineer"]}},
        hook_clients={"epic": {"issuer": "https://epic.example", "jwks_file": keys}},
    )
    assert list(peer_checks(settings)) == [
        "HL7 destination ehr", "PACS main", "PACS destination archive", "worklist list", "FHIR source epic",
        "FHIR destination hapi", "critical route desk", "OpenID Connect provider", "EHR epic",
    ]  # fmt: skip

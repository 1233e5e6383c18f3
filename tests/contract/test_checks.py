"""What `cds check` says, against real folders, listeners and certificates."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cds import checks
from cds.checks import Check
from cds.destinations import Hl7Door, ListenerTls, MllpDestination
from cds.exclusive import Door, hold
from cds.settings import Settings


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def free_port() -> int:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return int(closed.getsockname()[1])


def test_a_folder_that_can_be_written_is_fine_and_left_empty(tmp_path: Path) -> None:
    assert checks.data_folder(tmp_path / "data").ok
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_that_cannot_be_written_says_which_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = checks.data_folder(tmp_path / "file" / "data")
    assert not check.ok
    assert "CDS_DATA_DIR" in check.how_to_fix


def test_too_little_room_is_a_failure(tmp_path: Path) -> None:
    assert checks.free_space(tmp_path, 1).ok
    assert not checks.free_space(tmp_path, 2**62).ok
    assert not checks.free_space(tmp_path / "absent", 1).ok


@pytest.mark.parametrize(("kind", "ok"), [("ext4", True), ("nfs4", False), ("cifs", False), ("fuse.sshfs", False)])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str, ok: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/vda / ext4 rw 0 0\nserver:/x /mnt/with\\040space {kind} rw 0 0\n/dev/vdb /mnt ext4 rw 0 0\n"
    )
    assert checks.file_system(Path("/mnt/with space/data"), mounts).ok is ok
    assert checks.file_system(Path("/mnt/with"), mounts).ok


def test_the_file_system_of_this_machine_is_known(tmp_path: Path) -> None:
    assert "unknown" not in checks.file_system(tmp_path).detail


@pytest.mark.parametrize(
    ("version", "ok"), [("3.40.1", False), ("3.51.2", False), ("3.51.3", True), ("3.53.4", True), ("4.0.0", True)]
)
def test_a_sqlite_with_the_wal_reset_bug_is_refused(version: str, ok: bool) -> None:
    assert checks.sqlite(version).ok is ok


def test_the_sqlite_in_use_is_new_enough() -> None:
    assert checks.sqlite(checks.sqlite_version()).ok


def test_a_port_is_free_or_ours_or_in_the_way(tmp_path: Path, listener: socket.socket) -> None:
    taken = Door("CDS_HL7_PORT", "127.0.0.1", listener.getsockname()[1])
    assert checks.port(Door("CDS_HTTP_PORT", "127.0.0.1", free_port()), tmp_path).ok
    blocked = checks.port(taken, tmp_path)
    assert not blocked.ok
    assert blocked.detail.startswith("CDS_HL7_PORT")
    with hold(tmp_path):
        ours = checks.port(taken, tmp_path)
    assert ours.ok
    assert "running Sightline" in ours.detail


def test_the_three_packages_come_from_one_place() -> None:
    assert checks.packages().ok


def test_a_package_of_the_same_name_from_elsewhere_is_explained() -> None:
    origins = {"cds": "/a/cds/__init__.py", "adapters": "/site-packages/adapters/__init__.py"}
    check = checks.packages(lambda name: origins.get(name, "/a/models/__init__.py"))
    assert not check.ok
    assert "adapters from /site-packages" in check.detail


def test_an_absent_package_is_a_failure() -> None:
    assert not checks.packages(lambda name: None if name == "models" else f"/a/{name}/__init__.py").ok


def test_a_clock_that_was_never_set_is_found() -> None:
    assert checks.clock("Europe/Berlin").ok
    assert not checks.clock("UTC", now=datetime(1970, 1, 1, tzinfo=UTC)).ok


def test_two_clocks_may_differ_by_less_than_five_seconds() -> None:
    now = datetime.now(UTC)
    assert checks.clocks_agree(now + timedelta(seconds=4), now, whose="PostgreSQL").ok
    assert not checks.clocks_agree(now - timedelta(seconds=6), now, whose="PostgreSQL").ok


def test_a_destination_is_reached_or_named(listener: socket.socket) -> None:
    there = MllpDestination(host="127.0.0.1", port=listener.getsockname()[1])
    assert checks.peer("EHR", there).ok
    check = checks.peer("EHR", MllpDestination(host="127.0.0.1", port=free_port()))
    assert not check.ok
    assert check.name == "destination EHR"
    assert "CDS_ORU_DESTINATIONS" in check.how_to_fix


def test_tls_files_that_are_no_certificates_are_found(tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    file.write_text("no certificate")
    table = ListenerTls(certificate_file=file, key_file=file)
    listener = Hl7Door(port=free_port(), tls=table)
    found = checks.tls(Settings(data_dir=tmp_path, hl7_tls=table, hl7_listeners={"wards": listener}))
    assert [(check.name, check.ok) for check in found] == [("CDS_HL7_TLS", False), ("CDS_HL7_LISTENERS wards", False)]


def test_a_misspelled_variable_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_HTPP_PORT", "1")
    check = checks.variables()
    assert not check.ok
    assert "CDS_HTPP_PORT" in check.detail


def test_all_checks_are_run_and_the_callers_own_come_last(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        http_port=free_port(),
        ui_port=free_port(),
        hl7_port=free_port(),
        dicom_port=free_port(),
        oru_destinations={"EHR": MllpDestination(host="127.0.0.1", port=free_port())},
    )
    done = checks.run_checks(settings, [lambda: Check("database", True, "answers")])
    names = [check.name for check in done]
    assert names[:2] == ["packages", "variables"]
    assert names[-2:] == ["destination EHR", "database"]
    assert [check.name for check in done if not check.ok and check.name != "file system"] == ["destination EHR"]
    assert all(check.ok or check.how_to_fix for check in done)


def test_a_server_that_answers_everybody_or_nobody_warns(tmp_path: Path) -> None:
    everybody, nobody = checks.hook_callers(Settings(insecure=True)), checks.hook_callers(Settings())
    assert everybody.ok
    assert nobody.ok
    assert everybody.warns
    assert nobody.warns
    assert "CDS_INSECURE" in everybody.detail
    assert "CDS_HOOK_CLIENTS" in nobody.how_to_fix
    (tmp_path / "file").write_text("x")
    client = {"issuer": "https://ehr.example", "jwks_file": tmp_path / "file"}
    proven = checks.hook_callers(Settings(hook_clients={"north": client}))
    assert (proven.ok, proven.warns) == (True, False)
    assert "north" in proven.detail
    assert not checks.hook_callers(Settings(http_token_file=tmp_path / "file")).warns


def test_a_door_behind_a_proxy_without_a_token_is_warned_of(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    assert not checks.http_door(Settings()).warns
    assert checks.http_door(Settings(base_url="https://cds.example")).warns
    assert not checks.http_door(Settings(base_url="https://cds.example", http_token_file=token)).warns

"""`cds dicom send` and `cds dicom echo` against a C-STORE SCP on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification
from typer.testing import CliRunner, Result

from adapters.dicom.phantom import write_ct_series
from cds.cli import app
from cds.errors import InvalidInput
from tests.e2e.site import free_port


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["dicom", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    identity = {"patient_id": "1", "issuer": "H", "patient_name": "A^B", "accession_number": "2"}
    return write_ct_series(
        np.zeros((5, 8, 8), np.int16),
        (1, 1, 1),
        tmp_path / "series",
        birth_date=date(1960, 1, 1),
        sex="F",
        accession_issuer="H",
        study_date=date(2026, 1, 1),
        **identity,
    )


@contextmanager
def pacs(hangs_up_on: Callable[[str], bool]) -> Iterator[tuple[str, list[str]]]:
    """A peer that ends the association in the middle of some instances, and what it stored."""
    stored: list[str] = []

    def store(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if hangs_up_on(uid):
            event.assoc.abort()
        else:
            stored.append(uid)
        return 0x0000

    peer = AE(ae_title="PACS")
    peer.add_supported_context(CTImageStorage)
    peer.add_supported_context(Verification)
    server = peer.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield f"PACS@127.0.0.1:{server.server_address[1]}", stored
    finally:
        server.shutdown()


def test_a_file_on_which_the_peer_hangs_up_stops_no_other(files: list[Path]) -> None:
    bad = str(dcmread(files[1], stop_before_pixels=True).SOPInstanceUID)
    with pacs(bad.__eq__) as (peer, stored):
        said = run("send", files[0].parent, "--to", peer)
    assert said.exit_code == 1
    assert said.stdout.splitlines() == [f"{files[1]}: no answer", f"4 of 5 stored at {peer}"]
    assert len(stored) == 4


def test_a_peer_that_hangs_up_on_everything_is_left_alone_after_some_tries(files: list[Path]) -> None:
    with pacs(lambda uid: True) as (peer, _):
        said = run("send", *files, "--to", peer)
    assert said.exit_code == 1
    assert f"{files[4]}: the association ended" in said.stdout
    assert f"0 of 5 stored at {peer}" in said.stdout


def test_all_that_is_stored_is_counted(files: list[Path]) -> None:
    with pacs(lambda uid: False) as (peer, _):
        said = run("send", *files, "--to", peer)
    assert (said.exit_code, said.stdout) == (0, f"5 of 5 stored at {peer}\n")


def test_a_peer_that_answers_an_echo_is_told_with_the_time_it_took() -> None:
    with pacs(lambda uid: False) as (peer, _):
        said = run("echo", peer)
    assert said.exit_code == 0
    assert said.stdout.startswith(f"{peer} answers in ")


@pytest.mark.parametrize("peer", ["AN_AE_TITLE_THAT_IS_TOO_LONG@127.0.0.1:104", "PACS@127.0.0.1:70000"])
def test_a_peer_that_cannot_be_is_told_what_is_wanted(peer: str, files: list[Path]) -> None:
    said = run("send", files[0], "--to", peer)
    assert isinstance(said.exception, InvalidInput)
    assert "1 to 16 characters and a port of 1 to 65535" in str(said.exception)


def test_a_peer_that_nobody_runs_is_an_error(files: list[Path]) -> None:
    assert run("send", files[0], "--to", f"PACS@127.0.0.1:{free_port()}").exit_code == 1

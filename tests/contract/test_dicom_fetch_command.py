"""`cds dicom fetch` over a real DICOMweb server and a data folder of its own, without a running server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from cds.bootstrap import stores, upgrade
from cds.bootstrap.dicom_fetch import advice
from cds.commands import dicom_fetch
from cds.errors import ConfigurationError, NotFound, PeerRefused, SightlineError, Unavailable
from cds.settings import Settings, load
from tests.contract.dicomweb_archive import Held
from tests.contract.dicomweb_peer import Reply, serving
from tests.peers.dicom_peers import edited, write_series

app = typer.Typer()


@app.callback()
def _group() -> None:
    """As below `cds dicom`."""


dicom_fetch.mount(app)


@contextmanager
def site(folder: Path, monkeypatch: pytest.MonkeyPatch, held: Held) -> Iterator[None]:
    """The settings of a site whose PACS `archive` is a server of the test's own."""
    with serving(held.answer) as peer:
        source = {"retrieve": "wado-rs", "dicomweb": {"url": peer.url}, "timeout_s": 5}
        monkeypatch.setenv("CDS_DATA_DIR", str(folder / "data"))
        monkeypatch.setenv("CDS_MINIMUM_FREE_BYTES", "0")
        monkeypatch.setenv("CDS_PACS_SOURCES", json.dumps({"archive": source}))
        upgrade(load())
        yield


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fetch", *arguments])


def error_of(result: Result) -> SightlineError:
    assert isinstance(result.exception, SightlineError), result.output
    return result.exception


@pytest.fixture
def pacs(tmp_path: Path) -> Held:
    """A chest CT."""
    return Held(write_series(tmp_path / "ct", body_part="CHEST"))


def uids(held: Held) -> tuple[str, str]:
    with edited(held.paths[0]) as dataset:
        return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)


def known(study: str) -> int:
    held = stores(load())
    try:
        return len(held.studies.known(study))
    finally:
        held.database.dispose()


def test_a_study_is_fetched_and_what_came_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pacs: Held) -> None:
    study, _ = uids(pacs)
    with site(tmp_path, monkeypatch, pacs):
        result = run("--study", study, "--from", "archive")
        assert result.exit_code == 0, result.output
        assert f"{len(pacs.paths)} came" in result.output
        assert f"{len(pacs.paths)} instances came from archive" in result.output
        assert known(study) == len(pacs.paths)
        again = run("--study", study, "--from", "archive")
        assert again.exit_code == 0
        assert f"0 came, {len(pacs.paths)} were here" in again.output


def test_what_a_crashed_transfer_left_half_written_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pacs: Held
) -> None:
    left = tmp_path / "data" / "instances" / "0a" / "0a00.fetch.part"
    other = left.with_name("0a00.worker-0.part")
    left.parent.mkdir(parents=True)
    for file in (left, other):
        file.write_bytes(b"half")
    with site(tmp_path, monkeypatch, pacs):
        assert run("--study", uids(pacs)[0], "--from", "archive").exit_code == 0
    assert not left.exists()
    assert other.exists()


def test_what_no_model_reads_is_left_out_unless_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pacs: Held
) -> None:
    study, series = uids(pacs)
    for path in pacs.paths:
        with edited(path) as dataset:
            dataset.BodyPartExamined = "KNEE"
    with site(tmp_path, monkeypatch, pacs):
        result = run("--study", study, "--from", "archive")
        assert result.exit_code == 0, result.output
        assert "left out: " in result.output
        assert "ct_lung_density: its body part is not one that the model reads" in result.output
        assert known(study) == 0
        assert run("--study", study, "--from", "archive", "--series", series).exit_code == 0
        assert known(study) == len(pacs.paths)
        assert run("--study", study, "--from", "archive", "--all").exit_code == 0


def test_a_transfer_that_breaks_off_is_told_and_the_next_call_brings_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pacs: Held
) -> None:
    study, _ = uids(pacs)
    pacs.cut = sum(path.stat().st_size for path in pacs.paths[:4])
    with site(tmp_path, monkeypatch, pacs):
        result = run("--study", study, "--from", "archive")
        assert result.exit_code == 1
        assert "are missing" in result.output
        assert "not all that was wanted is here" in result.output
        assert 0 < known(study) < len(pacs.paths)
        assert run("--study", study, "--from", "archive").exit_code == 0
        assert known(study) == len(pacs.paths)


def test_an_instance_that_is_refused_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pacs: Held
) -> None:
    study, _ = uids(pacs)
    with edited(pacs.paths[2]) as dataset:
        dataset.PixelData = dataset.PixelData[:4]
    with site(tmp_path, monkeypatch, pacs):
        result = run("--study", study, "--from", "archive")
    assert result.exit_code == 1
    assert "1 are missing" in result.output
    assert "want as much pixel data as rows, columns and bits state" in result.output


def test_what_the_pacs_does_not_have_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pacs: Held) -> None:
    study, _ = uids(pacs)
    with site(tmp_path, monkeypatch, pacs):
        assert isinstance(error_of(run("--study", "1.2.3.4", "--from", "archive")), NotFound)
        assert isinstance(error_of(run("--study", study, "--from", "archive", "--series", "1.2.9")), NotFound)
        assert isinstance(error_of(run("--study", study, "--from", "elsewhere")), ConfigurationError)
        assert "../etc" not in str(error_of(run("--study", "../etc", "--from", "archive")))


@pytest.mark.parametrize(("status", "kind"), [(401, PeerRefused), (503, Unavailable)])
def test_a_pacs_that_cannot_be_asked_is_an_error(
    status: int, kind: type[SightlineError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Held):
        def answer(self, request: object) -> Reply:
            return Reply(status)

    with site(tmp_path, monkeypatch, Broken()):
        assert isinstance(error_of(run("--study", "1.2.3", "--from", "archive")), kind)


def test_what_did_not_come_over_c_move_is_looked_for_at_the_own_listener(tmp_path: Path) -> None:
    node = {"host": "127.0.0.1", "port": 104, "ae_title": "PACS"}
    mover = {"retrieve": "c-move", "node": node, "move_destination": "CDS"}
    sources = {"mover": mover, "getter": {"retrieve": "c-get", "node": node}}
    settings = Settings(data_dir=tmp_path, pacs_sources=sources)
    [said] = advice(settings, "mover")
    assert "as CDS, port 11112" in said
    assert not list(advice(settings, "getter"))

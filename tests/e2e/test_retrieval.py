"""A worker process by itself fetches what is wanted from a DICOMweb server, killed in the middle or not."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from adapters.dicom.phantom import write_ct_series
from cds.domain.retrieval import Purpose, Retrieval, RetrievalState
from cds.store.engine import open_app
from cds.store.retrievals import RetrievalStore
from models.phantom import chest_phantom
from tests.contract.dicomweb_archive import Held
from tests.contract.dicomweb_peer import serving
from tests.e2e import dying_server
from tests.e2e.site import Person, Site, identity, site, stop, until


@pytest.mark.peers
def test_a_worker_that_is_killed_while_it_fetches_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    paths = images(tmp_path / "ct")
    held = Held(paths)
    held.cut = sum(path.stat().st_size for path in paths[:10])
    with serving(held.answer) as peer:
        source = {"retrieve": "wado-rs", "dicomweb": {"url": peer.url}, "timeout_s": 5}
        one = site(
            tmp_path / "site",
            CDS_PACS_SOURCES=json.dumps({"archive": source}),
            CDS_COUNT_INTERVAL_S="0.5",
            PYTHONPATH=str(Path(__file__).parents[2]),
        )
        assert one.cds("db", "upgrade").returncode == 0
        wanted = want(one, study_of(paths[0]))
        (one.data_dir / "kill-fetch").touch()
        dying = one.start(sys.executable, dying_server.__file__, "worker")
        until(lambda: dying.poll() is not None, 60, "the worker to die after a transfer")
        assert dying.returncode == -signal.SIGKILL
        again = one.start(sys.executable, dying_server.__file__, "worker")
        try:
            ended = until(lambda: end_of(one, wanted), 60, f"the retrieval to end; the log is {one.log}")
        finally:
            stop(again)
    assert (ended.state, ended.source) == (RetrievalState.DONE, "archive")
    assert "30 instances: archive stated the same counts twice, and all of it is here" in ended.reason
    [study] = one.why(study_of(paths[0]))["studies"]
    assert study["instances"] == len(paths)


def images(folder: Path) -> list[Path]:
    """A chest phantom of 30 coarse slices."""
    phantom = chest_phantom(spacing_mm=(10.0, 4.0, 4.0))
    return write_ct_series(phantom.hu, phantom.spacing_mm, folder, **asdict(identity(Person())))


def study_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)


def want(one: Site, study_uid: str) -> str:
    """What an announcement does."""
    database = open_app(one.data_dir, "")
    try:
        made = RetrievalStore(database).want(
            study_uid, purpose=Purpose.STUDY, announced="the test", event="1", now=datetime.now(UTC)
        )
    finally:
        database.dispose()
    assert made is not None
    return made.id


def end_of(one: Site, wanted: str) -> Retrieval | None:
    database = open_app(one.data_dir, "")
    try:
        found = RetrievalStore(database).retrieval(wanted)
    finally:
        database.dispose()
    return found if found.state in (RetrievalState.DONE, RetrievalState.FAILED) else None

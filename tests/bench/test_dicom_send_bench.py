"""How fast a series is sent to Orthanc, as a ratio to pynetdicom as it comes, in one run to one server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from adapters.dicom.sender import echo, send
from cds.errors import Unavailable
from cds.imaging_peers import DicomNode
from tests.e2e.site import free_port, stop, until
from tests.peers.dicom_peers import noise, write_series
from tests.pynetdicom_requestor import attentive

pytestmark = [
    pytest.mark.bench,
    pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed: make test-peers installs it"),
]


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[DicomNode]:
    """An Orthanc as its package installs it: with Nagle's algorithm, and writing to disk; it overwrites what it has."""
    node = DicomNode(host="127.0.0.1", port=free_port(), ae_title="ORTHANC")
    configuration = {
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "HttpServerEnabled": False,
        "DicomPort": node.port,
        "DicomAet": node.ae_title,
        "OverwriteInstances": True,
        "Plugins": [],
    }
    file = tmp_path / "orthanc.json"
    file.write_text(json.dumps(configuration))
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(file)], stdout=log, stderr=log, env=environment)
    try:
        until(lambda: _answers(node), 30, "Orthanc to answer")
        yield node
    finally:
        stop(process)


def _answers(node: DicomNode) -> bool:
    try:
        echo(node, timeout_s=1)
    except Unavailable:
        time.sleep(0.1)
        return False
    return True


def by_pynetdicom(paths: Sequence[Path], node: DicomNode) -> list[int]:
    entity = AE()
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = attentive(entity.associate(node.host, node.port, ae_title=node.ae_title))
    statuses = [int(association.send_c_store(pydicom.dcmread(path)).Status) for path in paths]
    association.release()
    return statuses


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def test_sending_to_orthanc_is_at_least_five_times_as_fast_as_pynetdicom(orthanc: DicomNode, tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", noise(200, 512, 512))
    statuses: list[int | None] = []
    ours = seconds(lambda: statuses.extend(result.status for result in send(paths, orthanc, timeout_s=30)))
    theirs = seconds(lambda: statuses.extend(by_pynetdicom(paths, orthanc)))
    print(f"C-STORE to Orthanc: {theirs / ours:.1f} times as fast")
    assert statuses == [0] * 400
    assert theirs >= 5 * ours

"""dcmtk's tools against the receiver: another implementation of the wire and of the file format."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from adapters.dicom.phantom import Identity
from adapters.dicom.receiver import Receiver
from adapters.dicom.restamp import restamp
from adapters.dicom.sender import echo, send
from cds.errors import Unavailable
from cds.imaging_peers import DicomNode
from tests.e2e.site import free_port, stop, until
from tests.peers.dicom_peers import (
    AE_TITLE,
    STORY,
    MemoryIndex,
    build,
    edited,
    files_below,
    noise,
    receiving,
    write_series,
)

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("storescu") is None, reason="dcmtk's storescu is not installed (make test-peers)"),
]

#: Without it dcmtk waits 40 ms per instance for Nagle's algorithm.
NO_DELAY = os.environ | {"TCP_NODELAY": "1"}


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [tool, *map(str, arguments)]
    return subprocess.run(command, env=NO_DELAY, capture_output=True, text=True, timeout=60, check=False)


def peer(receiver: Receiver, called_ae: str = AE_TITLE) -> list[str]:
    return ["-aet", "DCMTK", "-aec", called_ae, "127.0.0.1", str(receiver.port)]


def test_echoscu_is_answered(tmp_path: Path) -> None:
    with receiving(tmp_path, MemoryIndex()) as receiver:
        assert run("echoscu", *peer(receiver)).returncode == 0
        rejected = run("echoscu", *peer(receiver, "SOMEONE"))
    assert rejected.returncode != 0
    assert "Called AE Title Not Recognized" in rejected.stdout + rejected.stderr


def test_storescu_sends_a_series_that_is_the_same_volume(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")
    index = MemoryIndex()
    with receiving(tmp_path / "data", index) as receiver:
        sent = run("storescu", *peer(receiver), *paths)
        assert sent.returncode == 0, sent.stderr
        assert run("storescu", *peer(receiver), *paths).returncode == 0
    assert index.outcomes == ["new"] * len(paths) + ["duplicate"] * len(paths)
    stored = [tmp_path / "data" / instance.path for instance in index.instances]
    assert np.array_equal(np.load(build(stored, tmp_path).path), noise())


def test_storescu_sends_rle_images_as_they_are(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", noise(3, 64, 64))
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    index = MemoryIndex()
    with receiving(tmp_path / "data", index) as receiver:
        assert run("storescu", "-xr", *peer(receiver), *paths).returncode == 0
    assert {instance.header.transfer_syntax_uid for instance in index.instances} == {str(RLELossless)}
    stored = [tmp_path / "data" / instance.path for instance in index.instances]
    assert np.array_equal(np.load(build(stored, tmp_path).path), noise(3, 64, 64))


def test_storescu_sends_a_real_series_in_jpeg_2000(reference_dir: Path, tmp_path: Path) -> None:
    source = sorted((reference_dir / "images" / "totalseg_ct_dicom" / "example_ct_dicom").iterdir())
    copies = restamp(source, tmp_path / "copies", Identity(**STORY))
    index = MemoryIndex()
    with receiving(tmp_path / "data", index) as receiver:
        assert run("storescu", "-xv", *peer(receiver), *copies).returncode == 0
    assert {instance.header.transfer_syntax_uid for instance in index.instances} == {str(JPEG2000Lossless)}
    stored = [tmp_path / "data" / instance.path for instance in index.instances]
    ours = np.load(build(stored, tmp_path / "one").path)
    assert np.array_equal(ours, np.load(build(source, tmp_path / "other").path))


def test_a_full_disk_reaches_storescu_as_out_of_resources(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")[:1]
    with receiving(tmp_path / "data", MemoryIndex(), minimum_free_bytes=1 << 60) as receiver:
        refused = run("storescu", "-v", *peer(receiver), *paths)
    assert "OutOfResources" in refused.stdout + refused.stderr


def test_dcmtk_reads_what_was_stored_and_what_was_generated(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")
    index = MemoryIndex()
    with receiving(tmp_path / "data", index) as receiver:
        run("storescu", *peer(receiver), *paths)
    for path in (*paths, *files_below(tmp_path / "data")):
        dumped = run("dcmdump", "-q", path)
        assert (dumped.returncode, dumped.stderr) == (0, "")
        assert "W:" not in run("dcmdump", path).stderr


def test_storescp_gets_from_us_what_the_file_holds(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series", noise(3, 64, 64))
    with edited(paths[0]) as dataset:
        dataset.compress(RLELossless, generate_instance_uid=False)
    folder, port = tmp_path / "got", free_port()
    folder.mkdir()
    server = subprocess.Popen(["storescp", "+xa", "-od", str(folder), "-aet", "STORESCP", str(port)], env=NO_DELAY)
    try:
        node = DicomNode(host="127.0.0.1", port=port, ae_title="STORESCP")
        until(lambda: _echoes(node), 10, "storescp to answer")
        results = send(paths, node, timeout_s=10)
    finally:
        stop(server)
    assert [result.status for result in results] == [0, 0, 0]
    got = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, folder.iterdir())}
    assert all(got[dataset.SOPInstanceUID] == dataset for dataset in map(pydicom.dcmread, paths))
    syntaxes = [got[dataset.SOPInstanceUID].file_meta.TransferSyntaxUID for dataset in map(pydicom.dcmread, paths)]
    assert syntaxes == [RLELossless, ExplicitVRLittleEndian, ExplicitVRLittleEndian]


def _echoes(node: DicomNode) -> bool:
    try:
        echo(node, timeout_s=1)
    except Unavailable:
        return False
    return True

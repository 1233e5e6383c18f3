"""Files of instances: whole or absent, under random names, and never on a disk without room."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian

from adapters.dicom.files import InstanceFiles, StoredFile
from cds.errors import OutOfResources, Unavailable
from tests.peers.dicom_peers import element, files_below

DATASET = element(0x00080018, b"UI", b"1.2.3\0") + element(0x00100020, b"LO", b"1234")


def write(files: InstanceFiles, dataset: bytes = DATASET) -> StoredFile:
    return files.write(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        dataset=dataset,
    )


def test_a_file_is_a_dicom_file_with_the_bytes_as_received(tmp_path: Path) -> None:
    stored = write(InstanceFiles(tmp_path, 0))
    data = (tmp_path / stored.path).read_bytes()
    assert data[:132] == bytes(128) + b"DICM"
    assert data.endswith(DATASET)
    assert (stored.sha256, stored.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert pydicom.dcmread(tmp_path / stored.path).PatientID == "1234"


def test_names_are_random_private_and_no_dicom_names(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    one, other = write(files), write(files)
    assert one.path != other.path
    folder, shard, name = one.path.split("/")
    assert (folder, name[:2], name[32:]) == ("instances", shard, ".bin")
    assert stat.S_IMODE((tmp_path / one.path).stat().st_mode) == 0o600


def test_less_free_space_than_wanted_is_out_of_resources_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources):
        write(InstanceFiles(tmp_path, 1 << 60))
    assert files_below(tmp_path) == []


def test_a_full_disk_is_out_of_resources_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the file's size makes the kernel refuse the write half-way, as a full disk does."""
    script = f"""
import resource
from pathlib import Path
from adapters.dicom.files import InstanceFiles
from cds.errors import OutOfResources
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    InstanceFiles(Path({str(tmp_path)!r}), 0).write(
        sop_class_uid="1.2", sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.840.10008.1.2", dataset=bytes(200_000))
except OutOfResources:
    raise SystemExit(7)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 7
    assert files_below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "instances").write_text("a file where the folder should be")
    with pytest.raises(Unavailable) as refused:
        write(InstanceFiles(tmp_path, 0))
    assert not isinstance(refused.value, OutOfResources)


def test_removing_twice_is_once(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    stored = write(files)
    files.remove(stored.path)
    files.remove(stored.path)
    assert files_below(tmp_path) == []


def test_what_a_crash_left_half_written_is_removed_at_the_start(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    kept = write(files)
    (tmp_path / kept.path).with_suffix(".part").write_bytes(b"half")
    assert files.discard_partial() == 1
    assert files_below(tmp_path) == [tmp_path / kept.path]

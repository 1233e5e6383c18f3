"""Files of instances: whole or absent, under random names, and never on a disk without room."""

from __future__ import annotations

import gc
import stat
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from adapters.dicom.files import IMPLEMENTATION_CLASS_UID, InstanceFiles, Partial, file_head
from cds.errors import OutOfResources, Unavailable
from tests.peers.dicom_peers import element, files_below

DATASET = element(0x00080018, b"UI", b"1.2.3\0") + element(0x00100020, b"LO", b"1234")
HEAD = file_head(str(CTImageStorage), "1.2.3", str(ExplicitVRLittleEndian))


def write(files: InstanceFiles, dataset: bytes = DATASET) -> str:
    """The path of a published file."""
    partial = written(files, dataset)
    files.publish([partial])
    return partial.path


def written(files: InstanceFiles, dataset: bytes = DATASET) -> Partial:
    partial = files.create()
    partial.write(HEAD)
    partial.write(dataset)
    return partial


def test_a_file_is_a_dicom_file_with_the_bytes_as_received(tmp_path: Path) -> None:
    path = tmp_path / write(InstanceFiles(tmp_path, 0))
    data = path.read_bytes()
    assert data[:132] == bytes(128) + b"DICM"
    assert data.endswith(DATASET)
    read = pydicom.dcmread(path)
    assert read.PatientID == "1234"
    meta = read.file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CTImageStorage, "1.2.3")
    assert (meta.TransferSyntaxUID, meta.ImplementationClassUID) == (ExplicitVRLittleEndian, IMPLEMENTATION_CLASS_UID)
    assert meta.FileMetaInformationGroupLength == len(HEAD) - 132 - 12


def test_names_are_random_private_and_no_dicom_names(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    one, other = write(files), write(files)
    assert one != other
    folder, shard, name = one.split("/")
    assert (folder, name[:2], name[32:]) == ("instances", shard, ".bin")
    assert stat.S_IMODE((tmp_path / one).stat().st_mode) == 0o600


def test_files_are_published_together_and_what_is_written_beside_is_waited_for(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    partials = [files.create() for _ in range(40)]
    for number, partial in enumerate(partials):
        files.save(partial, HEAD, DATASET * 1000, named=bool(number % 2))
    files.publish(partials)
    assert files_below(tmp_path) == sorted(tmp_path / partial.path for partial in partials)
    assert {len(file.read_bytes()) for file in files_below(tmp_path)} == {len(HEAD) + 1000 * len(DATASET)}


def test_less_free_space_than_wanted_is_out_of_resources_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources):
        write(InstanceFiles(tmp_path, 1 << 60))
    gc.collect()
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("beside", [False, True])
def test_a_full_disk_is_out_of_resources_and_leaves_nothing(beside: bool, tmp_path: Path) -> None:
    """A limit on the file's size makes the kernel refuse the write half-way, as a full disk does."""
    script = f"""
import resource
from pathlib import Path
from adapters.dicom.files import InstanceFiles
from cds.errors import OutOfResources
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
files = InstanceFiles(Path({str(tmp_path)!r}), 0)
whole, broken = files.create(), files.create()
whole.write(bytes(1000))
try:
    if {beside}:
        files.save(broken, bytes(200_000), named=True)
    else:
        broken.write(bytes(200_000))
    files.publish([whole, broken])
except OutOfResources:
    whole.discard()
    broken.discard()
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
    path = write(files)
    files.remove(path)
    files.remove(path)
    assert files_below(tmp_path) == []


def test_a_file_that_is_discarded_or_forgotten_is_gone_and_a_published_one_stays(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    discarded, kept = written(files), written(files)
    discarded.discard()
    files.publish([kept])
    kept.discard()
    written(files)
    gc.collect()
    assert files_below(tmp_path) == [tmp_path / kept.path]


def test_what_a_crash_left_half_written_is_removed_at_the_start(tmp_path: Path) -> None:
    files = InstanceFiles(tmp_path, 0)
    kept = tmp_path / write(files)
    kept.with_suffix(".part").write_bytes(b"half")
    kept.with_suffix(".dicom.part").write_bytes(b"half")
    assert files.discard_partial() == 2
    assert files_below(tmp_path) == [kept]


def test_what_another_role_or_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    one, other, worker = (InstanceFiles(tmp_path, 0, owner) for owner in ("web", "web", "worker-0"))
    under_way, elsewhere = written(one), written(worker)
    under_way.file.with_name(f"{'0' * 32}.web.part").write_bytes(b"of a process that is gone")
    assert other.discard_partial() == 1
    one.publish([under_way])
    worker.publish([elsewhere])
    assert files_below(tmp_path) == sorted([tmp_path / under_way.path, tmp_path / elsewhere.path])


def test_a_file_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from adapters.dicom.files import InstanceFiles
partial = InstanceFiles(Path({str(tmp_path)!r}), 0, "web").create()
partial.write(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode < 0
    assert len(files_below(tmp_path)) == 1
    assert InstanceFiles(tmp_path, 0, "web").discard_partial() == 1
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("owner", ["", "../x", "Web", "a.b", "x" * 33])
def test_an_owner_that_could_be_mistaken_is_refused(owner: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="owner"):
        InstanceFiles(tmp_path, 0, owner)

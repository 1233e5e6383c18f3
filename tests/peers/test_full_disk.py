"""A data folder on a disk that fills up under a running server, and is freed again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cds.errors import Unavailable
from tests.e2e.site import Person, order, series, serving, site, smoking

pytestmark = pytest.mark.peers


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 MB; only root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"this machine does not let root mount a tmpfs: {done.stderr.decode().strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_full_disk_refuses_what_it_cannot_keep_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    person = Person(accession_number="ACC-F")
    paths = series(tmp_path / "ct", person)
    with serving(site(small_disk)) as one:
        assert one.hl7(smoking("1", person)).code == "AA"
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)
        padding = b"NTE|1||" + b"x" * 200_000 + b"\r"
        with pytest.raises(Unavailable, match="AE"):
            one.hl7(order("2", person) + padding)
        refused = one.store(paths[:3])
        assert {result.status for result in refused} == {0xA700}
        assert not list((one.data_dir / "instances").rglob("*.part*"))
        ballast.unlink()
        assert one.hl7(order("2", person)).code == "AA"
        assert all(result.stored for result in one.store(paths))
        story = one.wait_for_report("ACC-F")
        assert story["studies"][0]["instances"] == len(paths)
        assert len(one.cards(person)) == 1

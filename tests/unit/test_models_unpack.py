"""An archive is unpacked into its folder or not at all: no way out of it, no links, no bombs."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from cds.errors import InvalidInput
from models.unpack import files, is_archive, unpack


def zipped(path: Path, members: dict[str, bytes], mode: int = stat.S_IFREG | 0o600) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def refused(archive: Path, into: Path, **limits: int) -> str:
    with pytest.raises(InvalidInput) as caught:
        unpack(archive, into, **limits)
    return str(caught.value)


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    folder = tmp_path / "inside"
    folder.mkdir()
    return folder


def test_the_files_of_an_archive_arrive_below_the_folder(tmp_path: Path, inside: Path) -> None:
    unpack(zipped(tmp_path / "a.zip", {"m.toml": b"1", "models/model.pt": b"2"}), inside)
    unpack(tarred(tmp_path / "b.tar.gz", member("d", tarfile.DIRTYPE), member("d/w.bin", size=3)), inside)
    assert [path.relative_to(inside).as_posix() for path in files(inside)] == ["m.toml", "d/w.bin", "models/model.pt"]
    assert (inside / "d/w.bin").read_bytes() == b"xxx"


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", "c:/out", "a\\..\\out", "\\out"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, inside: Path, name: str) -> None:
    assert refused(zipped(tmp_path / "a.zip", {name: b"1"}), inside) == "the archive names a file outside of its folder"
    assert "outside" in refused(tarred(tmp_path / "a.tar.gz", member(name)), inside)
    assert files(tmp_path) == [tmp_path / "a.tar.gz", tmp_path / "a.zip"]


def test_links_and_devices_are_refused(tmp_path: Path, inside: Path) -> None:
    assert "a link" in refused(zipped(tmp_path / "a.zip", {"l": b"/etc/passwd"}, stat.S_IFLNK | 0o777), inside)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        assert "a link, a device" in refused(tarred(tmp_path / "a.tgz", member("l", kind, link="/etc/passwd")), inside)
    assert files(inside) == []


def test_what_is_larger_unpacked_than_the_limit_is_not_unpacked(tmp_path: Path, inside: Path) -> None:
    bomb = zipped(tmp_path / "a.zip", {"a": bytes(5_000_000), "b": bytes(5_000_000)})
    assert bomb.stat().st_size < 20_000
    assert refused(bomb, inside, max_bytes=6_000_000) == "the archive is larger unpacked than the limit"


def test_a_name_that_is_there_twice_and_a_damaged_archive_are_refused(tmp_path: Path, inside: Path) -> None:
    assert "a file twice" in refused(tarred(tmp_path / "a.tar", member("x"), member("x")), inside)
    for name in ("b.zip", "b.tar.gz"):
        (tmp_path / name).write_bytes(b"neither")
        assert "cannot be read" in refused(tmp_path / name, inside)


def test_files_of_torch_are_no_archives() -> None:
    assert [is_archive(Path(name)) for name in ("a.ZIP", "a.tar.gz", "a.tgz", "model.pt", "m.pt2")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_links_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("/etc/hostname")
    assert files(tmp_path) == [tmp_path / "real"]

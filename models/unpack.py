"""Opens what somebody hands in as a model: a folder, an archive or a single file, without trusting any of it.

Nothing is written outside of the given folder: names that lead out of it, links and devices are refused, and what is
larger unpacked than the limit is not unpacked.
"""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from cds.errors import InvalidInput, OutOfResources

#: What an archive may hold at most, unpacked.
MAX_BYTES = 4 * 1024**3
MAX_FILES = 10_000
_PART = 1024 * 1024
_ZIP = (".zip",)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: Path) -> bool:
    """True by its name; .pt and .pt2 files are archives of torch and stay whole."""
    return path.name.lower().endswith((*_ZIP, *_TAR))


def files(folder: Path) -> list[Path]:
    """The regular files of a folder and below, in order, without links; InvalidInput where there are too many."""
    found: list[Path] = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [path for name in sorted(names) if (path := Path(where, name)).is_file() and not path.is_symlink()]
        if len(found) > MAX_FILES:
            raise InvalidInput(f"the folder holds more than {MAX_FILES} files")
    return found


def unpack(archive: Path, into: Path, max_bytes: int = MAX_BYTES) -> None:
    """Write the files of a zip or tar below `into`; raise InvalidInput with the reason why it is refused."""
    left = max_bytes
    try:
        for number, (name, content) in enumerate(_members(archive)):
            if number >= MAX_FILES:
                raise InvalidInput(f"the archive holds more than {MAX_FILES} files")
            with content:
                left -= _write(content, into / _inside(name), left)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError, ValueError):
        raise InvalidInput("the archive cannot be read: it is damaged, encrypted or of another kind") from None
    except FileExistsError:
        raise InvalidInput("the archive names a file twice") from None
    except OSError as error:
        raise OutOfResources(f"the archive cannot be unpacked: {error.strerror or 'it is damaged'}") from None


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.name.lower().endswith(_ZIP):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                if stat.S_ISLNK(info.external_attr >> 16):
                    raise InvalidInput("the archive holds a link")
                if not info.is_dir():
                    yield info.filename, opened.open(info)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise InvalidInput("the archive holds a link, a device or something else that is no file")
            yield member.name, content


def _inside(name: str) -> Path:
    """The path below the folder; InvalidInput for one that may lead out of it."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith(("/", "\\")) or any(part == ".." or ":" in part or "\\" in part for part in parts):
        raise InvalidInput("the archive names a file outside of its folder")
    return Path(*parts)


def _write(content: IO[bytes], path: Path, left: int) -> int:
    """Copy at most `left` bytes; how many there were. Sizes that an archive states are not believed."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = 0
    with path.open("xb") as out:
        while part := content.read(_PART):
            written += len(part)
            if written > left:
                raise InvalidInput("the archive is larger unpacked than the limit")
            out.write(part)
    return written

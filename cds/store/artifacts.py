"""Scratch folders of works: volumes and masks. Implements `cds.ports.ArtifactStore`."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

_COMPRESSED = ".gz"
#: What a later version of the report sends again, or shows.
_KEPT = (".mask.npy", ".heatmap.npy")


class ScratchFolders:
    """Folders below `scratch/`, named by a hash of the work's id."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / "scratch"

    def scratch(self, work_id: str) -> Path:
        """See the port."""
        folder = self._folder(work_id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def discard(self, work_id: str) -> None:
        """See the port. Masks and heat maps stay, compressed."""
        folder = self._folder(work_id)
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            if file.name.endswith(_KEPT):
                _compress(file)
            elif not file.name.endswith(tuple(name + _COMPRESSED for name in _KEPT)):
                file.unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty: it has masks
            folder.rmdir()

    def remove(self, work_id: str) -> None:
        """See the port."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder(work_id))

    def _folder(self, work_id: str) -> Path:
        return self._root / hashlib.sha256(work_id.encode()).hexdigest()[:32]


def _compress(file: Path) -> None:
    """A mask of zeros and ones shrinks to a few hundredths; whole or not at all."""
    half = file.with_name(file.name + ".new")
    with file.open("rb") as plain, gzip.open(half, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed)
    half.rename(file.with_name(file.name + _COMPRESSED))
    file.unlink()

"""Scratch folders of works: volumes and masks. Implements `cds.ports.ArtifactStore`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path


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
        """See the port."""
        shutil.rmtree(self._folder(work_id), ignore_errors=True)

    def _folder(self, work_id: str) -> Path:
        return self._root / hashlib.sha256(work_id.encode()).hexdigest()[:32]

"""What a model is made of, as one number: the digest that its Device and its card carry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from models.manifest import Manifest
from models.registry import is_own

_BYTES = 1024 * 1024


def sha256(model_id: str, folder: Path | None = None) -> str:
    """SHA-256, in hexadecimal, over the model's own files: `<id>.*` and everything in `<id>/`, names and content.

    Manifest and code of the model are in it, and by the digests that the manifest states its weights, wherever they
    lie; helpers that it shares with others are not.
    """
    where = folder or Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(_files(where, model_id), key=lambda found: found.relative_to(where).as_posix()):
        name = path.relative_to(where).as_posix().encode()
        digest.update(b"%d %s %d\n" % (len(name), name, path.stat().st_size))
        with path.open("rb") as content:
            while part := content.read(_BYTES):
                digest.update(part)
    return digest.hexdigest()


def of(manifest: Manifest, models_dir: Path | None = None) -> str:
    """The digest of a model of this installation, shipped or the site's own."""
    own = models_dir is not None and is_own(manifest, models_dir)
    return sha256(manifest.id, models_dir / manifest.id if models_dir is not None and own else None)


def _files(where: Path, model_id: str) -> Iterator[Path]:
    yield from (path for path in where.glob(f"{model_id}.*") if path.is_file())
    inside = (where / model_id).rglob("*")
    yield from (path for path in inside if path.is_file() and "__pycache__" not in path.parts)

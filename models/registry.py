"""The installed models: found by listing the folder. A bad manifest or a missing file stops the start, loudly."""

from __future__ import annotations

from pathlib import Path

from cds.errors import ConfigurationError
from models.manifest import Manifest, read


def load(folder: Path | None = None) -> dict[str, Manifest]:
    """Every `<id>.toml` of the folder by its id; raise ConfigurationError with all mistakes of all manifests."""
    where = folder or Path(__file__).parent
    found: dict[str, Manifest] = {}
    mistakes: list[str] = []
    for path in sorted(where.glob("*.toml")):
        try:
            manifest = read(path)
        except ConfigurationError as error:
            mistakes += error.mistakes
            continue
        mistakes += _mistakes(path, manifest, found)
        found[manifest.id] = manifest
    if mistakes:
        raise ConfigurationError(mistakes)
    return found


def _mistakes(path: Path, manifest: Manifest, found: dict[str, Manifest]) -> list[str]:
    mistakes: list[str] = []
    if manifest.id in found:
        mistakes.append(f"{path.name}: id: {manifest.id} is the id of another manifest too")
    if manifest.id != path.stem:
        mistakes.append(f"{path.name}: id: is {manifest.id}, want {path.stem} as the file is named")
    elif not path.with_suffix(".py").is_file():
        mistakes.append(f"{path.name}: id: {manifest.id}.py is missing beside it")
    return mistakes

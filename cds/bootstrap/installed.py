"""The models of this installation, as its settings say where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds.domain.report import Mode
from cds.settings import Settings

if TYPE_CHECKING:
    from models.manifest import Manifest
    from models.runtime import Runtime


def manifests(settings: Settings) -> dict[str, Manifest]:
    """Every model by its id, shipped or the site's own; ConfigurationError with the mistakes of all manifests."""
    from models.registry import load

    return load(models_dir=settings.models_folder, torchscript=settings.allow_torchscript)


def used(settings: Settings) -> list[Manifest]:
    """Those that are not off everywhere."""
    where = ("", *settings.sites)
    return [
        one
        for one in manifests(settings).values()
        if any(settings.model_mode(one.id, site) is not Mode.OFF for site in where)
    ]


def runtime(settings: Settings, *, device: str | None = None, start_limit_s: float = 600.0) -> Runtime:
    """The inference process that runs them; it is not started."""
    from models.runtime import Runtime

    return Runtime(
        device or settings.device,
        models_dir=settings.models_folder,
        memory_mb=settings.model_memory_mb,
        torchscript=settings.allow_torchscript,
        start_limit_s=start_limit_s,
    )

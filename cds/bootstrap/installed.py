"""The models of this installation, as its settings say where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cds.domain.report import Mode
from cds.errors import ConfigurationError
from cds.settings import Settings

if TYPE_CHECKING:
    from models.manifest import Manifest
    from models.runtime import Runtime


def manifests(settings: Settings) -> dict[str, Manifest]:
    """Every model by its id, shipped or the site's own, but those of the site whose manifest is wrong (`broken`)."""
    return _read(settings)[0]


def broken(settings: Settings) -> dict[str, list[str]]:
    """The mistakes in the manifests of the site's own models, by folder; those models are not there for anybody."""
    return _read(settings)[1]


def damaged(settings: Settings) -> list[str]:
    """Files of weights that do not have the digest of their manifest, of models that are not off everywhere."""
    from models import registry
    from models.weights import path

    found: list[str] = []
    for one in used(settings):
        for file in one.weights if not registry.missing(one) else ():
            try:
                path(one, file.file)
            except ConfigurationError as error:
                found += [f"{one.id}: {mistake}" for mistake in error.mistakes]
    return found


def _read(settings: Settings) -> tuple[dict[str, Manifest], dict[str, list[str]]]:
    from models.registry import load

    wrong: dict[str, list[str]] = {}
    found = load(models_dir=settings.models_folder, torchscript=settings.allow_torchscript, broken=wrong)
    return found, wrong


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

"""The models of an installation: those that are shipped, and a site's own. A mistake in a manifest stops the start.

A site's own model is a folder `<models_dir>/<id>/` with `<id>.toml` and its weights, and never with code. Weights of
a shipped model lie in `models/weights/` where the project trained them, else in `<models_dir>/<id>/`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from cds.errors import ConfigurationError
from models import declared_check
from models.manifest import Manifest, read

SHIPPED = Path(__file__).parent


def load(
    folder: Path | None = None,
    models_dir: Path | None = None,
    *,
    torchscript: bool = False,
    broken: dict[str, list[str]] | None = None,
) -> dict[str, Manifest]:
    """Every model by its id, its folders of weights filled in; ConfigurationError with all mistakes of all manifests.

    `folder` holds shipped models (`<id>.toml` beside `<id>.py`), `models_dir` the site's; `torchscript` says whether
    the site lets TorchScript run, which is executable code. Where `broken` is given, the mistakes of a site's model go
    there under its folder's name, and the others are loaded: one of them stops no server.
    """
    shipped = folder or SHIPPED
    models: dict[str, Manifest] = {}
    mistakes: list[str] = []
    for path, own in (*_shipped(shipped), *_of_site(models_dir)):
        try:
            manifest = read(path)
            wrong = _mistakes(path, manifest, own=own, models=models)
        except ConfigurationError as error:
            wrong = error.mistakes
        if wrong and own and broken is not None:
            broken[path.stem] = wrong
            continue
        mistakes += wrong
        if wrong:
            continue
        models[manifest.id] = replace(
            manifest, folders=_folders(manifest.id, shipped, models_dir, own=own), may_execute=torchscript
        )
    if mistakes:
        raise ConfigurationError(mistakes)
    return models


def load_one(path: Path) -> Manifest:
    """The manifest of a model without code that lies in a folder of its own; ConfigurationError with its mistakes."""
    manifest = read(path)
    if mistakes := _mistakes(path, manifest, own=True, models={}):
        raise ConfigurationError(mistakes)
    return replace(manifest, folders=(path.parent,))


def found(manifest: Manifest, file: str) -> Path | None:
    """Where a file of weights lies; None where it is in none of the model's folders."""
    return next((where / file for where in manifest.folders if (where / file).is_file()), None)


def missing(manifest: Manifest) -> tuple[str, ...]:
    """The files of weights that are not here: while there are any, the model is not installed."""
    return tuple(weights.file for weights in manifest.weights if found(manifest, weights.file) is None)


def is_own(manifest: Manifest, models_dir: Path) -> bool:
    """True for a model that the site brought: its manifest lies in the site's folder."""
    return (models_dir / manifest.id / f"{manifest.id}.toml").is_file()


def module(manifest: Manifest, folder: Path | None = None) -> ModuleType:
    """The code of a model: its own file among the shipped ones, or what runs models without code."""
    if manifest.runtime.network != "code":
        return importlib.import_module("models.declared")
    if folder is None:
        return importlib.import_module(f"models.{manifest.id}")
    spec = importlib.util.spec_from_file_location(f"site_model_{manifest.id}", folder / f"{manifest.id}.py")
    if spec is None or spec.loader is None:
        raise ConfigurationError([f"{manifest.id}.py cannot be imported"])
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def _shipped(folder: Path) -> Iterator[tuple[Path, bool]]:
    yield from ((path, False) for path in sorted(folder.glob("*.toml")))


def _of_site(models_dir: Path | None) -> Iterator[tuple[Path, bool]]:
    """The manifests of the site's own models; a folder without one holds weights of a shipped model."""
    if models_dir is None or not models_dir.is_dir():
        return
    for folder in sorted(models_dir.iterdir()):
        path = folder / f"{folder.name}.toml"
        if not folder.name.startswith(".") and path.is_file():
            yield path, True


def _folders(model_id: str, shipped: Path, models_dir: Path | None, *, own: bool) -> tuple[Path, ...]:
    """Where a model's weights are looked for; a site's own model never finds those of another one."""
    of_site = (models_dir / model_id,) if models_dir is not None else ()
    return of_site if own else (shipped / "weights", *of_site)


def _mistakes(path: Path, manifest: Manifest, *, own: bool, models: Mapping[str, Manifest]) -> list[str]:
    mistakes: list[str] = []
    if manifest.id in models:
        mistakes.append(f"{path.name}: id: {manifest.id} is the id of another manifest too")
    if manifest.id != path.stem:
        mistakes.append(f"{path.name}: id: is {manifest.id}, want {path.stem} as the file is named")
    elif manifest.runtime.network == "code":
        mistakes += _code_mistakes(path, manifest, own=own)
    return mistakes + [f"{path.name}: {text}" for text in declared_check.mistakes(manifest)]


def _code_mistakes(path: Path, manifest: Manifest, *, own: bool) -> list[str]:
    if own:
        return [f"{path.name}: runtime.network: is code; a site's own model has none, want pt2, monai or torchscript"]
    if not path.with_suffix(".py").is_file():
        return [f"{path.name}: id: {manifest.id}.py is missing beside it"]
    return []

"""Puts a model into the site's folder: all of it, checked, or nothing.

What is handed in is a folder, an archive or a file: either a site's own model (a manifest and the file of weights that
it names, wherever that lies), or weights of a shipped model, found by their digests. Only these files are copied. They
are checked, and the model is loaded in a process of its own, before they take their place by a rename.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cds.errors import ConfigurationError, Conflict, InvalidInput, OutOfResources
from models import registry, trial, unpack
from models.manifest import Manifest, Weights, read
from models.weights import digest

#: Folders that are being filled or emptied; the registry passes over what begins with a dot.
_STAGE, _OLD = ".installing-", ".replaced-"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What was handed in, checked and lying ready in `stage`: `files` by their names in the model's folder.

    `own` for a site's own model, with `before` the version that it replaces ("" for none); `missing` are weights of a
    shipped model that are still wanted.
    """

    manifest: Manifest
    own: bool
    stage: Path
    files: tuple[str, ...]
    before: str = ""
    missing: tuple[str, ...] = ()


def _approved(_manifest: Manifest) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Terms:
    """Where models lie, and what is allowed: another version in place of the installed one, TorchScript.

    `approve` may still refuse a model that would be complete, by an error of its own, before it is tried.
    """

    models_dir: Path
    replacing: bool = False
    torchscript: bool = False
    approve: Callable[[Manifest], None] = _approved

    def installed(self) -> dict[str, Manifest]:
        """Every model of the installation."""
        return registry.load(models_dir=self.models_dir, torchscript=self.torchscript)


@contextmanager
def candidate(source: Path, terms: Terms) -> Iterator[Candidate]:
    """Check what lies at `source` and try the model; what is not placed meanwhile is removed at the end.

    Raise InvalidInput where it is no model, ConfigurationError with the mistakes of its manifest or of the trial,
    Conflict where another version is installed and `replacing` is not wanted.
    """
    if not (source.is_file() or source.is_dir()):
        raise InvalidInput(f"{source.name} is neither a folder nor a file")
    with stage(terms.models_dir) as folder:
        given, ready = source, folder / "ready"
        ready.mkdir(mode=0o700)
        if source.is_file() and unpack.is_archive(source):
            given = folder / "given"
            given.mkdir(mode=0o700)
            unpack.unpack(source, given)
        found = unpack.files(given) if given.is_dir() else [given]
        manifests = _manifests(given)
        yield _own(manifests, found, ready, terms) if manifests else _of_shipped(found, ready, terms)


@contextmanager
def stage(models_dir: Path) -> Iterator[Path]:
    """A folder beside the models' own, so that a rename moves what lies in it; it is removed at the end."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _recover(models_dir)
        folder = Path(tempfile.mkdtemp(prefix=_STAGE, dir=models_dir))
    except OSError as error:
        raise OutOfResources(f"the folder of models cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(ready: Candidate, models_dir: Path) -> Path:
    """Move what was checked to where the registry finds it; raise OutOfResources where that cannot be done."""
    target = models_dir / ready.manifest.id
    try:
        if ready.own:
            _exchange(ready.stage, target, models_dir / f"{_OLD}{ready.manifest.id}")
        else:
            target.mkdir(exist_ok=True, mode=0o700)
            for name in ready.files:
                (ready.stage / name).replace(target / name)
            _sync(target)
        _sync(models_dir)
    except OSError as error:
        raise OutOfResources(f"the model cannot be put into its folder: {error.strerror}") from None
    return target


def _manifests(given: Path) -> list[Path]:
    """Manifests at the top, or in the one folder at the top, as archives have it."""
    if not given.is_dir():
        return []
    inside = [path for path in sorted(given.iterdir()) if not path.name.startswith(".")]
    folders = [path for path in inside if path.is_dir()]
    for where in (given, *(folders if len(inside) == len(folders) == 1 else ())):
        if found := sorted(path for path in where.glob("*.toml") if path.is_file() and not path.is_symlink()):
            return found
    return []


def _own(manifests: list[Path], found: list[Path], ready: Path, terms: Terms) -> Candidate:
    """A site's own model: its manifest and the files that the manifest names, by their digests."""
    if len(manifests) > 1:
        raise InvalidInput(f"there are {len(manifests)} manifests, want one: {', '.join(p.name for p in manifests)}")
    manifest = read(manifests[0])
    path = ready / f"{manifest.id}.toml"
    _copy(manifests[0], path)
    staged = replace(registry.load_one(path), may_execute=terms.torchscript)
    before = _before(staged, manifests[0], terms)
    digests = _digests(found)
    if mistakes := [text for weights in staged.weights if (text := _lacking(weights, digests))]:
        raise ConfigurationError([f"{path.name}: {text}" for text in mistakes])
    for weights in staged.weights:
        _taken(digests[weights.sha256], ready / weights.file, weights)
    terms.approve(staged)
    trial.run(staged)
    return Candidate(staged, True, ready, (path.name, *(w.file for w in staged.weights)), before)


def _of_shipped(found: list[Path], ready: Path, terms: Terms) -> Candidate:
    """Weights of a shipped model: of the one to which most of the files belong."""
    digests = _digests(found)
    shipped = [one for one in terms.installed().values() if not registry.is_own(one, terms.models_dir)]
    fitting = {one.id: [w for w in one.weights if w.sha256 in digests and not w.own] for one in shipped}
    manifest = max(shipped, key=lambda one: len(fitting[one.id]), default=None)
    if manifest is None or not fitting[manifest.id]:
        raise InvalidInput(_no_model(shipped, digests))
    for weights in fitting[manifest.id]:
        _taken(digests[weights.sha256], ready / weights.file, weights)
    staged = replace(manifest, folders=(ready, *manifest.folders))
    missing = registry.missing(staged)
    if not missing:
        terms.approve(staged)
        trial.run(staged)
    return Candidate(staged, False, ready, tuple(w.file for w in fitting[manifest.id]), "", missing)


def _before(staged: Manifest, source: Path, terms: Terms) -> str:
    """The installed version, "" where there is none; raise where it may not be replaced by this one."""
    before = terms.installed().get(staged.id)
    if before is None:
        return ""
    if not registry.is_own(before, terms.models_dir):
        raise ConfigurationError([f"{staged.id}.toml: id: is the id of a shipped model; choose another"])
    if before.version == staged.version:
        same = digest(source) == digest(terms.models_dir / staged.id / f"{staged.id}.toml")
        what = (
            "is installed already" if same else "is installed with another manifest: a changed model has a new version"
        )
        raise Conflict(f"{staged.id} {staged.version} {what}")
    if not terms.replacing:
        raise Conflict(f"{staged.id} {before.version} is installed; --replace puts {staged.version} in its place")
    return before.version


def _lacking(weights: Weights, digests: Mapping[str, Path]) -> str:
    """Why a file of weights is not among those that were handed in; "" where it is."""
    if weights.sha256 in digests:
        return ""
    named = next((sha256 for sha256, path in digests.items() if path.name == weights.file), None)
    if named is not None:
        return f"weights: {weights.file} has the SHA-256 {named}, want {weights.sha256}"
    return f"weights: no file has the SHA-256 of {weights.file}, {weights.sha256}"


def _no_model(shipped: list[Manifest], digests: Mapping[str, Path]) -> str:
    """What could be installed instead: a conversion that is wanted first, else the weights that are not here."""
    for manifest in shipped:
        for weights in manifest.weights:
            if any(sha256 in weights.source for sha256 in digests):
                return f"{manifest.id} needs these files in another form: {weights.source}; then install {weights.file}"
    wanting = [f"{one.id} ({', '.join(registry.missing(one))})" for one in shipped if registry.missing(one)]
    there = f"; weights are missing of {'; '.join(wanting)}" if wanting else ""
    return f"there is no manifest (<id>.toml), and no file has the digest of a shipped model's weights{there}"


def _digests(found: list[Path]) -> dict[str, Path]:
    try:
        return {digest(path): path for path in found}
    except OSError as error:
        raise InvalidInput(f"what was handed in cannot be read: {error.strerror}") from None


def _taken(source: Path, target: Path, weights: Weights) -> None:
    """Copy a file whose digest was found, and look again at what was copied."""
    _copy(source, target)
    if digest(target) != weights.sha256:
        raise Conflict(f"{weights.file} changed while it was copied")


def _copy(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as read_from, target.open("xb") as write_to:
            shutil.copyfileobj(read_from, write_to)
            write_to.flush()
            os.fsync(write_to.fileno())
    except OSError as error:
        raise OutOfResources(f"{target.name} cannot be copied: {error.strerror}") from None


def _exchange(ready: Path, target: Path, old: Path) -> None:
    """The new folder in the place of the old one, which comes back where that fails."""
    _sync(ready)
    if target.exists():
        target.rename(old)
    try:
        ready.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _recover(models_dir: Path) -> None:
    """A replacement that was interrupted between its two renames: the old model comes back."""
    for old in models_dir.glob(f"{_OLD}*"):
        target = models_dir / old.name.removeprefix(_OLD)
        if target.exists():
            shutil.rmtree(old)
        else:
            old.rename(target)


def _sync(folder: Path) -> None:
    """Names in a folder are on disk (POSIX: fsync of the folder)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

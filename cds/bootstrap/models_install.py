"""Installing and verifying models: what a person decides, over the site's folder, its modes and its audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cds.bootstrap.installed import manifests
from cds.domain.audit import AuditEvent
from cds.domain.report import Mode
from cds.errors import ConfigurationError, Conflict, InvalidInput, NotEvaluable, NotFound, SightlineError
from cds.settings import Settings

if TYPE_CHECKING:
    from models.install import Candidate
    from models.manifest import Manifest

INSTALLED, REPLACED, WEIGHTS, FAILED = (
    "model installed",
    "model replaced",
    "model weights installed",
    "model not installed",
)


@dataclass(frozen=True, slots=True)
class Done:
    """What was installed: the model, its files, the version before, what is still missing, its modes by site."""

    model: str
    version: str
    files: tuple[str, ...]
    before: str
    missing: tuple[str, ...]
    modes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verified:
    """One model: whether all is as its manifest says, and what is not."""

    model: str
    version: str
    installed: bool
    fingerprint: str
    mistakes: tuple[str, ...]


def known(settings: Settings, model: str) -> Manifest:
    """The manifest of that id; raise NotFound with those that there are."""
    found = manifests(settings)
    if model not in found:
        raise NotFound(f"there is no model {model}; there are: {', '.join(sorted(found))}")
    return found[model]


def install(
    settings: Settings, source: str, *, by: str, replacing: bool = False, yes: bool = False, sha256: str = ""
) -> Done:
    """Check and try what lies at a path or address, put it in place, and write who did it into the audit log.

    Raise as `models.install.candidate`; Conflict where the model would speak to people at once and `yes` is not given.
    """
    from cds.bootstrap.people import desk
    from models import install as installing

    opened = desk(settings)
    approve = partial(_in_shadow, settings, yes=yes)
    terms = installing.Terms(settings.models_folder, replacing, settings.allow_torchscript, approve)
    with _local(settings, source) as given:
        _agrees(given, sha256)
        with installing.candidate(given, terms) as ready:
            at = opened.clock.now()
            opened.audit.write(AuditEvent(at, by, _action(ready), detail=_detail(ready)))
            try:
                installing.place(ready, settings.models_folder)
            except SightlineError as error:
                failed = (*_detail(ready)[:1], str(error))
                opened.audit.write(AuditEvent(opened.clock.now(), by, FAILED, detail=failed))
                raise
            one = ready.manifest
            return Done(one.id, one.version, ready.files, ready.before, ready.missing, modes(settings, one.id))


def verify(settings: Settings, model: str = "") -> Iterator[Verified]:
    """Each model in turn: the digests of its weights, its fingerprint, and whether it loads and answers."""
    chosen = [known(settings, model)] if model else list(manifests(settings).values())
    for manifest in chosen:
        yield _verified(settings, manifest)


def modes(settings: Settings, model: str) -> dict[str, str]:
    """The model's mode at the installation ("") and at each of its sites."""
    return {site: settings.model_mode(model, site).value for site in ("", *settings.sites)}


def fingerprint(settings: Settings, manifest: Manifest) -> str:
    """The digest of the model's own files, wherever it lies."""
    from models.fingerprint import of

    return of(manifest, settings.models_folder)


def _verified(settings: Settings, manifest: Manifest) -> Verified:
    from models import trial, weights
    from models.registry import found

    mistakes: list[str] = []
    there = [one for one in manifest.weights if found(manifest, one.file) is not None]
    for one in there:
        try:
            weights.path(manifest, one.file)
        except ConfigurationError as error:
            mistakes += error.mistakes
    complete = len(there) == len(manifest.weights)
    if complete and not mistakes:
        try:
            trial.run(manifest)
        except ConfigurationError as error:
            mistakes += error.mistakes
        except NotEvaluable as error:
            mistakes.append(str(error))
    return Verified(manifest.id, manifest.version, complete, fingerprint(settings, manifest), tuple(mistakes))


@contextmanager
def _local(settings: Settings, source: str) -> Iterator[Path]:
    """A path as it is, an address once it is fetched."""
    from cds.bootstrap import models_fetch
    from models.install import stage

    if not models_fetch.is_address(source):
        yield Path(source)
        return
    with stage(settings.models_folder) as folder:
        yield models_fetch.fetch(source, folder)


def _agrees(given: Path, sha256: str) -> None:
    from models.weights import digest

    if not sha256:
        return
    if not given.is_file():
        raise InvalidInput("a digest is compared for a file, not for a folder")
    if (got := digest(given)) != sha256.lower():
        raise InvalidInput(f"the file has the SHA-256 {got}, want {sha256.lower()}")


def _in_shadow(settings: Settings, one: Manifest, *, yes: bool) -> None:
    """A new or changed model starts in shadow; advisory at once takes a person's word (SAFETY section 4)."""
    speaking = [site or "this installation" for site, mode in modes(settings, one.id).items() if mode == Mode.ADVISORY]
    if speaking and not yes:
        raise Conflict(
            f"{one.id} {one.version} would be advisory at once at {', '.join(speaking)}: set its mode to shadow in "
            "CDS_MODEL_MODES first, or say --yes"
        )


def _action(ready: Candidate) -> str:
    if not ready.own:
        return WEIGHTS
    return REPLACED if ready.before else INSTALLED


def _detail(ready: Candidate) -> tuple[str, ...]:
    one = ready.manifest
    digests = {weights.file: weights.sha256 for weights in one.weights}
    named = tuple(f"{file} {digests[file]}" for file in ready.files if file in digests)
    before = (f"in place of {ready.before}",) if ready.before else ()
    return (f"{one.id} {one.version}", *before, *named)

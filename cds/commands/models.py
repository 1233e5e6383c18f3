"""`cds models`: what is installed, what it is for, whether it is as it was; and how a model comes in."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cds.commands.common import EXIT_FAILED, By, actor, settings

app = typer.Typer(no_args_is_help=True, help="Models: what is installed, what it says of itself, how one comes in.")

_Model = Annotated[str, typer.Argument(metavar="MODEL", help="the model's id, see cds models list")]
_Json = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command("list")
def list_models(as_json: _Json = False) -> None:
    """List the models: version, mode at this site, whether they are installed, and what is missing."""
    from cds.bootstrap.installed import broken, manifests
    from models.registry import missing

    site = settings()
    found = [(one, site.model_mode(one.id).value, missing(one)) for one in manifests(site).values()]
    if as_json:
        rows = [
            {
                "id": one.id,
                "version": one.version,
                "mode": mode,
                "installed": not lacks,
                "missing": list(lacks),
                "title": one.title,
            }
            for one, mode, lacks in found
        ]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for one, mode, lacks in found:
        typer.echo(f"{one.id} {one.version}  {mode}  {'not installed' if lacks else 'installed'}  {one.title}")
        sources = {weights.source for weights in one.weights if weights.file in lacks}
        if lacks:
            typer.echo(f"      missing: {', '.join(lacks)}")
        for source in sorted(sources):
            typer.echo(f"      from: {source}")
    for name, mistakes in broken(site).items():
        typer.echo(f"{name}  not usable: its manifest in {site.models_folder / name} has mistakes")
        for mistake in mistakes:
            typer.echo(f"      {mistake}")


@app.command("show")
def show(model: _Model, as_json: _Json = False) -> None:
    """Show everything that is known of a model: its card, its modes, its files and their digests."""
    from cds.bootstrap.models_install import fingerprint, known, modes
    from models import card, registry

    site = settings()
    manifest = known(site, model)
    lacks = registry.missing(manifest)
    if as_json:
        told = {
            **card.facts(manifest),
            "modes": modes(site, model),
            "installed": not lacks,
            "missing": list(lacks),
            "own": registry.is_own(manifest, site.models_folder),
            "fingerprint": fingerprint(site, manifest),
        }
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for name, mode in modes(site, model).items():
        typer.echo(f"mode{f' at {name}' if name else ''}: {mode}")
    typer.echo(f"not installed, missing: {', '.join(lacks)}" if lacks else "installed")
    typer.echo(f"fingerprint of its files: {fingerprint(site, manifest)}")
    typer.echo("")
    typer.echo(card.markdown(manifest), nl=False)


@app.command("card")
def print_card(model: _Model) -> None:
    """Print the model's card as Markdown, with the 31 source attributes."""
    from cds.bootstrap.models_install import known
    from models import card

    typer.echo(card.markdown(known(settings(), model)), nl=False)


@app.command("verify")
def verify(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="one model alone")] = "", as_json: _Json = False
) -> None:
    """Compare all weights with their digests and let each model load and answer; exit code 1 where one does not.

    A model whose weights are not installed is said to be so; with its name given, that is a failure too.
    """
    from cds.bootstrap import models_install

    failed, rows = False, []
    for one in models_install.verify(settings(), model):
        failed = failed or bool(one.mistakes) or (bool(model) and not one.installed)
        row = {"id": one.model, "version": one.version, "installed": one.installed, "fingerprint": one.fingerprint}
        rows.append({**row, "mistakes": list(one.mistakes)})
        if not as_json:
            state = "FAIL" if one.mistakes else "ok  " if one.installed else "not installed"
            typer.echo(f"{state}  {one.model} {one.version}  {one.fingerprint}")
            for mistake in one.mistakes:
                typer.echo(f"      → {mistake}")
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command("install")
def install(
    source: Annotated[
        str, typer.Argument(metavar="PATH-or-URL", help="a folder, archive or file, or an https address")
    ],
    replacing: Annotated[bool, typer.Option("--replace", help="put it in the place of another version")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="also where it would be advisory at once")] = False,
    sha256: Annotated[str, typer.Option("--sha256", help="the digest that the file must have")] = "",
    by: By = "",
) -> None:
    """Install a site's own model (a manifest and its weights), or weights of a shipped one, found by their digests.

    Nothing of what is handed in is run but the network itself, in a process of its own. It starts in shadow.
    """
    from cds.bootstrap import models_install

    done = models_install.install(settings(), source, by=actor(by), replacing=replacing, yes=yes, sha256=sha256)
    typer.echo(f"{done.model} {done.version}: {', '.join(done.files)} installed{_instead(done.before)}.")
    if done.missing:
        typer.echo(f"Not complete yet, missing: {', '.join(done.missing)}")
    for name, mode in done.modes.items():
        typer.echo(f"Its mode{f' at {name}' if name else ''} is {mode}.")
    typer.echo("Workers load it when they start again.")


def _instead(before: str) -> str:
    return f" in place of {before}" if before else ""

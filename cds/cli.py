"""The program `cds`. Commands import what they need when they run, so that `cds --help` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cds.commands import (
    audit,
    critical,
    deliveries,
    dicom,
    feeds,
    findings,
    follow_ups,
    hl7,
    holds,
    hooks,
    identity,
    models,
    models_run,
    pathways,
    quality,
    replay,
    risk,
    studies,
    switches,
    users,
)
from cds.commands.common import EXIT_FAILED, EXIT_MISCONFIGURED
from cds.commands.common import settings as _settings
from cds.errors import ConfigurationError, SightlineError
from cds.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Sightline: decision support for medical imaging.")
db = typer.Typer(no_args_is_help=True, help="The tables.")
models_run.mount(models.app)
for name, group in (
    ("critical", critical),
    ("deliveries", deliveries),
    ("dicom", dicom),
    ("feeds", feeds),
    ("findings", findings),
    ("follow-ups", follow_ups),
    ("hl7", hl7),
    ("holds", holds),
    ("hooks", hooks),
    ("identity", identity),
    ("models", models),
    ("pathways", pathways),
    ("quality", quality),
    ("risk", risk),
    ("studies", studies),
    ("users", users),
):
    app.add_typer(group.app, name=name)
for commands in (audit, replay, switches):
    commands.mount(app)
app.add_typer(db, name="db")


@app.command()
def serve() -> None:
    """Run all roles: web, ui, worker, hl7, intake and dicom, restarted when they fail."""
    from cds.bootstrap import roles

    raise typer.Exit(roles.serve(_settings()))


@app.command()
def web() -> None:
    """Run the web role: CDS Hooks, FHIR, health and metrics."""
    _role("run_web")


@app.command()
def ui() -> None:
    """Run the ui role: the pages for people."""
    _role("run_ui")


@app.command()
def worker() -> None:
    """Run one worker: the pipeline and the models."""
    _role("run_worker")


@app.command()
def intake() -> None:
    """Run the intake role: committed HL7 v2 messages are applied in their order."""
    _role("run_intake")


@app.command()
def check() -> None:
    """Say whether everything that is configured can be reached and written; exit code 1 where not."""
    from cds.bootstrap import readiness

    checks = readiness.checks(_settings())
    for one in checks:
        told = ("WARN" if one.warns else "ok  ") if one.ok else "FAIL"
        typer.echo(f"{told}  {one.name}: {one.detail}")
        if told != "ok  " and one.how_to_fix:
            typer.echo(f"      → {one.how_to_fix}")
    if not all(one.ok for one in checks):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def why(
    number: Annotated[str, typer.Argument(help="accession number, Study Instance UID or patient identifier")],
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Tell the story of a study: order, match, models, gates, decisions, deliveries, cards, with reasons and times."""
    from cds import bootstrap
    from cds.render import why as telling

    settings = _settings()
    story = bootstrap.why(settings, number)
    typer.echo(telling.as_json(story) if as_json else telling.as_text(story, settings.time_zone))
    if not story.found:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def demo(
    study: Annotated[Path | None, typer.Option(help="a folder of your own DICOM files")] = None,
    leave: Annotated[bool, typer.Option("--exit", help="end by itself, with 0 only if all happened")] = False,
) -> None:
    """Play one patient's story over the real wires and show what comes back."""
    from cds.demo.play import run

    raise typer.Exit(run(study=study, leave=leave))


@db.command("upgrade")
def db_upgrade() -> None:
    """Create the tables, or bring them to the newest revision."""
    from cds import bootstrap

    bootstrap.upgrade(_settings())


def _role(name: str) -> None:
    from cds.bootstrap import roles

    run: Callable[[Settings], None] = getattr(roles, name)
    run(_settings())


def main() -> None:
    """Run the program; errors are told in words, never as a traceback of values."""
    os.umask(0o077)  # what Sightline writes is for its own user alone
    try:
        app()
    except ConfigurationError as error:
        _say("The configuration has mistakes:", *error.mistakes)
        sys.exit(EXIT_MISCONFIGURED)
    except SightlineError as error:
        _say(str(error))
        sys.exit(EXIT_FAILED)


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)

"""`cds hl7 profile`: what a sender's profile changes in its messages, and what all profiles change."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from cds.commands.common import EXIT_FAILED, settings

profile = typer.Typer(no_args_is_help=True, help="What the profiles of senders (CDS_SENDERS) change.")

_Sender = Annotated[str, typer.Argument(metavar="SENDER", help="MSH-3|MSH-4, as in CDS_SENDERS or as sent")]
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="messages, framed or not")]


@profile.command("test")
def show_effect(
    sender: _Sender,
    file: _File,
    of_all: Annotated[bool, typer.Option("--all", help="take the profile for messages of other senders too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Show what a profile changes in messages of a file, and what is understood without and with it.

    Nothing is stored. Exit code 1 where a message cannot be read with the profile, none is of the sender, or the file
    is broken.
    """
    from cds import logs
    from cds.bootstrap.hl7_profile import effect
    from cds.render import hl7_profile as shown

    logs.configure("hl7-profile", "ERROR")  # doubts are told below
    found = effect(settings(), sender, file.read_bytes(), of_all=of_all)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    typer.echo(shown.as_json(found) if as_json else shown.as_text(found))
    if not (found.readable and found.effects):
        raise typer.Exit(EXIT_FAILED)


@profile.command("list")
def list_profiles() -> None:
    """List the senders of CDS_SENDERS and what their profiles change."""
    from cds.bootstrap.hl7_profile import summaries
    from cds.render import hl7_profile as shown

    typer.echo(shown.table(summaries(settings())))


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(profile, name="profile")

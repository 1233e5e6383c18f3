"""`cds hl7 inspect`: what Sightline understood of messages, and every doubt."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from cds.commands.common import EXIT_FAILED
from cds.errors import ConfigurationError
from cds.settings import load

_Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="files; - is standard input")]


def inspect(files: _Files, as_json: Annotated[bool, typer.Option("--json", help="as one JSON array")] = False) -> None:
    """Show what is understood of the messages of files, and every doubt; exit code 1 unless each can be taken.

    A file may hold MLLP frames, batches (FHS, BHS) or messages one after the other. Neither a configuration nor a
    database is needed; where there is a configuration, its senders, authorities and time zone hold. Nothing is stored.

    JSON: an object for each order group (ORC, OBR), or for a message without one; several steps (IPC) under one OBR
    are one object each where their accession numbers or studies differ. What is absent is "". Doubts are in problems.
    """
    from cds import logs
    from cds.bootstrap.hl7_inspect import inspect_files
    from cds.render import hl7_inspect as shown

    logs.configure("hl7-inspect", "ERROR")  # doubts are told below
    contents = [("standard input" if file == "-" else file, _content(file)) for file in files]
    try:
        found = inspect_files(contents, load())
    except ConfigurationError as error:
        for line in ("The configuration has mistakes, so that it is not used here:", *error.mistakes):
            typer.echo(line, err=True)
        found = inspect_files(contents)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    typer.echo(shown.as_json(found) if as_json else shown.as_text(found))
    if not all(file.taken for file in found):
        raise typer.Exit(EXIT_FAILED)


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="FILE") from error


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inspect)

"""`cds dicom inspect`: what Sightline understands of DICOM files, and every doubt."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from cds.commands.common import EXIT_FAILED
from cds.errors import ConfigurationError
from cds.settings import Settings, load

_Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="files, or folders of them")]


def inspect(files: _Files, as_json: Annotated[bool, typer.Option("--json", help="as one JSON array")] = False) -> None:
    """Show what is understood of DICOM files, one verdict each; exit code 1 where a file cannot be opened.

    A verdict is "image" (decoded), "not-an-image" (a report, a plan, a DICOMDIR ...), "refused" (DICOM that is not
    taken: cut off, too large, a bomb, not decodable) or "unreadable" (no DICOM). Pixels are decoded in a process of its
    own with the limits of the settings, or their defaults without a configuration. Nothing is stored or sent.

    JSON: an object for each file, all keys always there. dtype, minimum, maximum, mean and pixel_sha256 (C order,
    little endian) are of the stored values of all frames, of RGB in colour. Doubts are in problems.
    """
    from cds import logs
    from cds.bootstrap.dicom_inspect import inspect_files
    from cds.render import dicom_inspect as shown

    logs.configure("dicom-inspect", "ERROR")  # doubts are told below
    found = inspect_files(files, _configured())
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if not found.files and not as_json:
        typer.echo("want at least one file: the folders are empty", err=True)
        raise typer.Exit(EXIT_FAILED)
    typer.echo(shown.as_json(found.files) if as_json else shown.as_text(found.files))
    if not found.all_opened:
        raise typer.Exit(EXIT_FAILED)


def _configured() -> Settings | None:
    try:
        return load()
    except ConfigurationError as error:
        for line in ("The configuration has mistakes, so that it is not used here:", *error.mistakes):
            typer.echo(line, err=True)
        return None


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(inspect)

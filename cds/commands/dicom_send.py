"""`cds dicom send` and `cds dicom echo`: instances to a peer, and whether it answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from cds.commands.common import EXIT_FAILED

_TO = "a PACS of the settings by its name, or AE_TITLE@HOST:PORT"
_To = Annotated[str, typer.Option("--to", metavar="PEER", help=_TO)]
_Calling = Annotated[str, typer.Option("--calling", metavar="AE_TITLE", help="what we call ourselves there")]
_Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="seconds for each answer")]
_Files = Annotated[list[Path], typer.Argument(metavar="FILE...", exists=True, help="DICOM files, or folders of them")]


def send(files: _Files, *, to: _To, calling: _Calling = "", timeout_s: _Timeout = 30.0) -> None:
    """Send DICOM files as they are by C-STORE; exit code 1 unless the peer stored each.

    A folder is searched for files; DICOMDIR and what is no DICOM file is left out there. Nothing is decoded or changed,
    so the peer must take each file's own transfer syntax.
    """
    from cds import logs
    from cds.bootstrap import dicom_send

    logs.configure("dicom-send", "ERROR")
    results = dicom_send.send(files, to, calling=calling, timeout_s=timeout_s)
    for result in results:
        if not result.stored:
            typer.echo(f"{result.path}: {result.said}")
    stored = sum(result.stored for result in results)
    typer.echo(f"{stored} of {len(results)} stored at {to}")
    for said, count in sorted(Counter(r.said for r in results if r.stored and r.said).items()):
        typer.echo(f"{count} with a warning: {said}")
    if stored < len(results) or not results:
        raise typer.Exit(EXIT_FAILED)


def echo(
    peer: Annotated[str, typer.Argument(metavar="PEER", help=_TO)], calling: _Calling = "", timeout_s: _Timeout = 10.0
) -> None:
    """C-ECHO: whether a peer answers, in how long; exit code 1 where it does not, and why."""
    from cds import logs
    from cds.bootstrap import dicom_send

    logs.configure("dicom-echo", "ERROR")
    typer.echo(f"{peer} answers in {dicom_send.echo(peer, calling=calling, timeout_s=timeout_s) * 1000:.0f} ms")


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(send)
    app.command()(echo)

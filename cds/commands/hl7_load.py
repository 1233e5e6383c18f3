"""`cds hl7`: messages of files into the inbox, and messages to a peer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from cds.commands.common import EXIT_FAILED, By, actor, settings

_HIGHEST_PORT = 65535
_REPEAT = "send all of it so often; from the second time on MSH-10 ends in -2, -3 and so on, or it would be a repeat"
_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>\d{1,5})")
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="a file of messages")]
_Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="files of messages or batches")]


def load(
    files: _Files,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be refused")] = False,
    by: By = "",
) -> None:
    """Put the messages of files into the inbox, as if they had come over MLLP; exit code 1 if any is refused.

    A file may hold MLLP frames, batches (FHS, BHS) or messages one after the other, up to 1 GiB. One whose counts are
    wrong is refused as a whole. What is in the inbox already is recognised.
    """
    from cds import logs
    from cds.bootstrap import hl7_load
    from cds.render.hl7_load import file_lines, intake_line

    site = settings()
    logs.configure("hl7-load", "ERROR")  # what is refused is told below
    ok, new = True, 0
    for loaded in hl7_load.load_files(site, files, dry_run=dry_run, by=actor(by)):
        typer.echo("\n".join(file_lines(loaded, dry_run=dry_run)))
        ok, new = ok and loaded.ok, new + loaded.new
    if new and not dry_run:
        typer.echo(intake_line(alive=hl7_load.intake_is_alive(site)))
    if not ok:
        raise typer.Exit(EXIT_FAILED)


def send(
    file: _File,
    *,
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="the peer; [::1]:2575 for an IPv6 address")],
    tls_ca: Annotated[
        Path | None,
        typer.Option("--tls-ca", exists=True, dir_okay=False, help="use TLS; the CA of the peer's certificate"),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", exists=True, dir_okay=False, help="use TLS; our own certificate")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", exists=True, dir_okay=False, help="its key")] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="seconds for each answer")] = 30.0,
    batch: Annotated[bool, typer.Option("--batch", help="send each batch of the file as one block")] = False,
    repeat: Annotated[int, typer.Option("--repeat", min=1, max=1_000_000, help=_REPEAT)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """Send the messages of a file over one MLLP connection, in order, and show every answer.

    Exit code 1 unless each is taken (AA or CA).
    """
    from cds.bootstrap import hl7_load
    from cds.render.hl7_load import Sent, sent_json, sent_line

    host, port = address(to)
    tls = hl7_load.tls_context(tls_ca, tls_cert, tls_key)
    blocks, problems = hl7_load.read_blocks(file, batch=batch)
    for problem in problems:
        typer.echo(f"{file.name}: {problem}", err=True)
    ok, told = not problems, list[Sent]()
    for sent in hl7_load.send_blocks(blocks, host, port, timeout_s=timeout_s, tls=tls, repeat=repeat):
        ok = ok and sent.ok
        if as_json:
            told.append(sent)
        else:
            typer.echo(sent_line(sent))
    if as_json:
        typer.echo(sent_json(told))
    if not ok:
        raise typer.Exit(EXIT_FAILED)


def address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT."""
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or not 1 <= int(found["port"]) <= _HIGHEST_PORT:
        raise typer.BadParameter("want HOST:PORT, such as ris.example.org:2575", param_hint="--to")
    return found["six"] or found["host"], int(found["port"])


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(load)
    app.command()(send)

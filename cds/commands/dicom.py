"""`cds dicom`: the DICOM role itself, and what a PACS administrator does with instances and peers."""

from __future__ import annotations

import typer

from cds.commands import dicom_fetch, dicom_inspect, dicom_send
from cds.commands.common import settings

_HELP = "Run the DICOM role (C-STORE, C-ECHO, notifications in), or look at and move instances."

app = typer.Typer(invoke_without_command=True, help=_HELP)
for commands in (dicom_inspect, dicom_fetch, dicom_send):
    commands.mount(app)


@app.callback()
def dicom(context: typer.Context) -> None:
    """Without a command: run the DICOM role."""
    if context.invoked_subcommand is None:
        from cds.bootstrap import roles

        roles.run_dicom(settings())

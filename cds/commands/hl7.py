"""`cds hl7`: the HL7 v2 role itself, and what an interface engineer does with messages."""

from __future__ import annotations

import typer

from cds.commands import hl7_inspect, hl7_load, hl7_log, hl7_profile
from cds.commands.common import settings

app = typer.Typer(invoke_without_command=True, help="Run the HL7 v2 role (MLLP in), or look at and move messages.")
for commands in (hl7_inspect, hl7_load, hl7_log, hl7_profile):
    commands.mount(app)


@app.callback()
def hl7(context: typer.Context) -> None:
    """Without a command: run the HL7 v2 role, MLLP in."""
    if context.invoked_subcommand is None:
        from cds.bootstrap import roles

        roles.run_hl7(settings())

"""`cds studies`: whose the images are, where a person knows better."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.commands.common import By, actor, settings

app = typer.Typer(no_args_is_help=True, help="Whose the images of a study are.")

Study = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID or accession number")]
Reason = Annotated[str, typer.Option("--reason", help="why, in words that name no patient")]


@app.command("wrong-patient")
def wrong_patient(
    study: Study,
    reason: Annotated[str, typer.Option("--reason", help="why, in words that name no patient; told where retracted")],
    by: By = "",
) -> None:
    """The images are of another patient: nobody sees the result any more, it is taken back, and a person decides."""
    from cds.bootstrap.people import desk
    from cds.store.decisions import Said

    opened = desk(settings())
    seen = opened.decisions.wrong_patient(study, Said("wrong-patient", actor(by), opened.clock.now(), reason=reason))
    typer.echo("Stopped. What was sent is taken back; cds holds list shows what has to be decided.")
    for event in seen:
        typer.echo(f"seen by {event.actor}: {event.action}, {event.at:%Y-%m-%d %H:%M} UTC")


@app.command()
def attach(
    study: Study,
    order: Annotated[str, typer.Argument(metavar="ORDER", help="accession number or id of an open order")],
    reason: Reason = "",
    by: By = "",
) -> None:
    """The images belong to this order, whatever they state themselves."""
    from cds.bootstrap.people import desk
    from cds.store.decisions import Said

    opened = desk(settings())
    opened.decisions.attach(study, order, Said("attach", actor(by), opened.clock.now(), reason=reason))
    typer.echo("Attached: the study is matched and decided again.")

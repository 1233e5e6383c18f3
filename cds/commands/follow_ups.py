"""`cds follow-ups`: what reports recommend to primary care, and what a person does with it. Nothing here orders."""

from __future__ import annotations

from typing import Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.domain.follow_up import Answer

app = typer.Typer(no_args_is_help=True, help="The follow-ups that reports recommend: list, accept, decline, complete.")

Study = Annotated[str, typer.Argument(metavar="STUDY", help="accession number or Study Instance UID")]
Name = Annotated[
    str, typer.Argument(metavar="RECOMMENDATION", help="<pathway>.<recommendation>, as cds follow-ups list shows it")
]
Role = Annotated[str, typer.Option("--role", help="the role of the person, such as physician")]
Reason = Annotated[str, typer.Option("--reason", help="why; no names of patients")]
Overrule = Annotated[bool, typer.Option("--overrule", help="also where another person has answered otherwise")]


@app.command("list")
def show(
    study: Annotated[str, typer.Option("--study", help="all of one study: accession number or UID")] = "",
    overdue: Annotated[bool, typer.Option("--overdue", help="what is past its day and not done")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
) -> None:
    """List the follow-ups that are open or accepted and not done, those that are due first."""
    from cds.bootstrap import follow_ups
    from cds.clock import SystemClock
    from cds.render import follow_ups as telling

    site = settings()
    clock = SystemClock(site.time_zone)
    found = follow_ups.listed(site, clock, asked=study, overdue=overdue)
    typer.echo(telling.as_json(found, clock.today()) if as_json else telling.as_text(found, clock.today()))


@app.command()
def accept(
    study: Study, name: Name, role: Role, *, by: By = "", reason: Reason = "", overrule: Overrule = False
) -> None:
    """A person accepts a recommendation: the next version of the report carries the draft of an order."""
    _answer(study, name, Answer.ACCEPTED, by=by, role=role, reason=reason, overrule=overrule)


@app.command()
def decline(
    study: Study, name: Name, role: Role, *, by: By = "", reason: Reason = "", overrule: Overrule = False
) -> None:
    """A person declines a recommendation, also one that was accepted: its draft of an order is revoked."""
    _answer(study, name, Answer.DECLINED, by=by, role=role, reason=reason, overrule=overrule)


@app.command()
def complete(
    study: Study, name: Name, role: Role, *, by: By = "", reason: Reason = "", overrule: Overrule = False
) -> None:
    """A person says that what was recommended is done."""
    _answer(study, name, Answer.COMPLETED, by=by, role=role, reason=reason, overrule=overrule)


def _answer(study: str, name: str, answer: Answer, *, by: str, role: str, reason: str, overrule: bool) -> None:
    from cds.bootstrap import follow_ups
    from cds.clock import SystemClock

    site = settings()
    said = follow_ups.Answered(name, answer, actor(by), role, reason, overrule)
    new = follow_ups.answer(site, study, said, SystemClock(site.time_zone))
    typer.echo(f"{name}: {answer.value}" if new else f"{name}: {answer.value} before, nothing changed")

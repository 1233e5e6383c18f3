"""`cds follow-ups`: what reports recommend to primary care, and what a person does with it. Nothing here orders."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.domain.follow_up import Answer

if TYPE_CHECKING:
    from cds.bootstrap.follow_up_care import Coordinator

app = typer.Typer(no_args_is_help=True, help="The follow-ups that reports recommend: what waits, and what people do.")

Study = Annotated[str, typer.Argument(metavar="STUDY", help="accession number or Study Instance UID")]
Name = Annotated[
    str, typer.Argument(metavar="RECOMMENDATION", help="<pathway>.<recommendation>, as cds follow-ups list shows it")
]
Role = Annotated[str, typer.Option("--role", help="the role of the person, such as physician")]
Proposal = Annotated[int, typer.Argument(metavar="NUMBER", help="as cds follow-ups proposals shows it")]
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


@app.command()
def reopen(study: Study, name: Name, role: Role, *, by: By = "", reason: Reason = "") -> None:
    """A person opens a follow-up again: what had been accepted is accepted, and what closed it closes it no more."""
    desk, one = _desk(study, name)
    desk.reopen(one, actor(by), role, reason)
    typer.echo(f"{name}: waits again")


@app.command()
def reschedule(
    study: Study,
    name: Name,
    to: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="the day that it is due on")],
    *,
    by: By = "",
    reason: Reason = "",
) -> None:
    """A person moves the day of a follow-up, with a reason; its reminders begin anew."""
    desk, one = _desk(study, name)
    desk.reschedule(one, to.date(), actor(by), reason)
    typer.echo(f"{name}: due {to.date()}")


@app.command()
def assign(
    study: Study,
    name: Name,
    owner: Annotated[str, typer.Option("--owner", help="a person or a queue; empty: the default owner")],
    *,
    by: By = "",
    reason: Reason = "",
) -> None:
    """A person makes somebody the owner of a follow-up."""
    desk, one = _desk(study, name)
    desk.assign(one, owner, actor(by), reason)
    typer.echo(f"{name}: owned by {owner or 'the default owner'}")


@app.command()
def proposals() -> None:
    """List the results that may be what a follow-up asked for: a person confirms or refuses each."""
    from cds.bootstrap import follow_ups
    from cds.clock import SystemClock

    site = settings()
    found = follow_ups.proposals(site, SystemClock(site.time_zone))
    for one in found:
        told = one.follow_up
        typer.echo(f"study {told.study_instance_uid}  {told.pathway}.{told.recommendation}: {told.action}")
        for match in one.proposals:
            typer.echo(f"  {match.id}  {match.said}")
    if not found:
        typer.echo("No result waits to be looked at.")


@app.command()
def confirm(proposal: Proposal, role: Role, *, by: By = "") -> None:
    """A person says that a result is what was asked for: the follow-up is done."""
    _decide(proposal, True, role, by)


@app.command()
def refuse(proposal: Proposal, role: Role, *, by: By = "") -> None:
    """A person says that a result is something else: the follow-up stays as it is."""
    _decide(proposal, False, role, by)


def _decide(proposal: int, is_it: bool, role: str, by: str) -> None:
    from cds.bootstrap import follow_ups
    from cds.clock import SystemClock

    site = settings()
    follow_ups.desk(site, SystemClock(site.time_zone)).decide(proposal, is_it, actor(by), role)
    typer.echo(f"{proposal}: {'confirmed, the follow-up is done' if is_it else 'refused'}")


def _desk(study: str, name: str) -> tuple[Coordinator, str]:
    """Who changes a follow-up, and its id."""
    from cds.bootstrap import follow_ups
    from cds.clock import SystemClock

    site = settings()
    return follow_ups.desk(site, SystemClock(site.time_zone)), follow_ups.named(site, study, name)


def _answer(study: str, name: str, answer: Answer, *, by: str, role: str, reason: str, overrule: bool) -> None:
    from cds.bootstrap import follow_ups
    from cds.clock import SystemClock

    site = settings()
    said = follow_ups.Answered(name, answer, actor(by), role, reason, overrule)
    new = follow_ups.answer(site, study, said, SystemClock(site.time_zone))
    typer.echo(f"{name}: {answer.value}" if new else f"{name}: {answer.value} before, nothing changed")

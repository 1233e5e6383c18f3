"""`cds disable`, `cds enable`, `cds switches`: a model, a pathway or a destination off for everybody at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from cds.commands.common import By, actor, settings
from cds.domain.switch import Switch, SwitchKind

_DECIDED = "{} reports are decided again."

Kind = Annotated[SwitchKind, typer.Argument(metavar="KIND", help="model, pathway or destination")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="as cds models list, cds why and the settings name it")]


def disable(
    kind: Kind,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="why, in words that name no patient")],
    by: By = "",
) -> None:
    """Switch a model, a pathway or a destination off, at once and for everybody."""
    from cds.bootstrap.people import desk

    opened = desk(settings())
    now = opened.clock.now()
    opened.switches.disable(kind, opened.known(kind, name), by=actor(by), reason=reason, now=now)
    typer.echo(f"{kind.value} {name} is off.")
    again = opened.switches.decide_again(kind, name, f"{kind.value} {name} was switched off", now)
    if kind is not SwitchKind.DESTINATION:
        typer.echo(_DECIDED.format(again))


def enable(
    kind: Kind,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="why, in words that name no patient")] = "",
    by: By = "",
) -> None:
    """Switch it on again; what waited for a destination is sent, results of a model or pathway come back."""
    from cds.bootstrap.people import desk

    opened = desk(settings())
    now = opened.clock.now()
    opened.switches.enable(kind, name, by=actor(by), reason=reason, now=now)
    typer.echo(f"{kind.value} {name} is on.")
    again = opened.switches.decide_again(kind, name, f"{kind.value} {name} was switched on", now)
    if kind is not SwitchKind.DESTINATION:
        typer.echo(_DECIDED.format(again))


def switches(as_json: Annotated[bool, typer.Option("--json", help="as JSON")] = False) -> None:
    """List what is switched off, by whom, since when and why."""
    from cds.bootstrap.people import desk

    off = desk(settings()).switches.all()
    typer.echo(_json(off) if as_json else _text(off))


def mount(app: typer.Typer) -> None:
    """Three commands of the program itself, without a group: in need nobody should have to search."""
    for command in (disable, enable, switches):
        app.command()(command)


def _json(off: Sequence[Switch]) -> str:
    rows = [{"kind": s.kind.value, "name": s.name, "by": s.by, "at": s.at.isoformat(), "reason": s.reason} for s in off]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _text(off: Sequence[Switch]) -> str:
    lines = [f"{s.kind.value} {s.name} is off since {s.at:%Y-%m-%d %H:%M} UTC, by {s.by}: {s.reason}" for s in off]
    return "\n".join(lines) or "Nothing is switched off."

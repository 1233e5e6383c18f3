"""`cds pathways`: what is installed, what a pathway declares, and what the pathways say to a patient, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cds.commands.common import settings

if TYPE_CHECKING:
    from cds.pathways.declaration import Pathway
    from cds.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Clinical pathways: list, show, explain.")

AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]
File = typer.Option(exists=True, dir_okay=False)


@app.command("list")
def show_all() -> None:
    """List the installed pathways, and the checks of an order: mode at this site, version, review date."""
    from cds import ordering, pathways

    site = settings()
    for one in (*pathways.load().values(), *ordering.load().values()):
        reviewed = one.reviewed.isoformat() if one.reviewed else "not reviewed"
        typer.echo(f"{one.id:28} {site.pathway_mode(one.id).value:9} {one.version:8} {reviewed:12} {one.title}")


@app.command()
def show(pathway: Annotated[str, typer.Argument(metavar="ID", help="as cds pathways list names it")]) -> None:
    """Show a pathway: its rules with their sources, what it reads and asks, its options with their bounds."""
    from cds import ordering, pathways
    from cds.errors import NotFound

    installed = {**pathways.load(), **ordering.load()}
    if pathway not in installed:
        raise NotFound(f"no pathway {pathway!r}: want one of {', '.join(sorted(installed))}")
    typer.echo("\n".join(lines(installed[pathway], settings())))


@app.command()
def languages() -> None:
    """List the languages that recommendations and cards can be in."""
    from cds.pathways.language import languages as known

    typer.echo("\n".join(known()))


@app.command()
def explain(
    patient: Annotated[Path, typer.Option(help="a FHIR R4 Bundle with one Patient", exists=True, dir_okay=False)],
    findings: Annotated[Path, typer.Option(help="as docs/pathways/README.md says", exists=True, dir_okay=False)],
    pathway: Annotated[list[str] | None, typer.Option(help="only this one; may be given again")] = None,
    option: Annotated[list[str] | None, typer.Option(help="over the site's, e.g. emphysema.laa_950_percent=10")] = None,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="what a clinician would see")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what this site's pathways decide for a patient and findings, rule by rule: nothing is stored or sent."""
    from cds.bootstrap.explaining import explain as explained
    from cds.pathways import load
    from cds.render import pathways as rendering

    found = explained(patient, findings, tuple(pathway or ()), dict(map(_option, option or ())), settings())
    for remark in found.remarks:
        typer.echo(f"Note: {remark}", err=True)
    if as_json:
        typer.echo(rendering.as_json(found.outcomes))
    elif markdown:
        typer.echo(rendering.as_markdown(found.outcomes))
    else:
        typer.echo(rendering.as_table(found.outcomes, load()))


@app.command()
def order(
    patient: Annotated[Path, typer.Option(help="a FHIR R4 Bundle with one Patient", exists=True, dir_okay=False)],
    draft: Annotated[
        Path, typer.Option("--order", help="a draft ServiceRequest, or a Bundle of them", exists=True, dir_okay=False)
    ],
    searched: Annotated[str, typer.Option(help="where was looked for what the Bundle lacks; unsaid: nowhere")] = "",
    today: Annotated[datetime | None, typer.Option(help="the day of the decision", formats=["%Y-%m-%d"])] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what the checks before an imaging order is signed come to, rule by rule: nothing is stored or sent."""
    from cds.bootstrap.case_files import Record
    from cds.bootstrap.explaining import explain_orders
    from cds.clock import SystemClock
    from cds.ordering import load
    from cds.render import pathways as rendering

    site = settings()
    day = today.date() if today else SystemClock(site.time_zone).today()
    found, others = explain_orders(site, patient, draft, Record(day, searched))
    if others:
        typer.echo(f"Note: {others} resources are no imaging order of status draft and were left out", err=True)
    for one in found:
        if as_json:
            typer.echo(rendering.as_json(one.outcomes))
        else:
            typer.echo(f"{rendering.order_line(one.order)}\n\n{rendering.as_table(one.outcomes, load())}")


def lines(one: Pathway, site: Settings) -> Iterator[str]:
    """What a pathway declares, and what this site made of it."""
    from cds.action_codes import name_of

    reviewed = one.reviewed.isoformat() if one.reviewed else "not reviewed"
    yield f"{one.id} {one.version}: {one.title}"
    yield f"  source: {one.source.label}, {one.source.url}"
    yield f"  reviewed {reviewed}; owner: {one.owner}; mode here: {site.pathway_mode(one.id).value}"
    yield from _listed("rules", (f"{rule.says} [{rule.key}]" for rule in one.rules))
    yield from _listed("reads", (f"{code.display or code.code} ({code.system}|{code.code})" for code in one.reads))
    yield from _listed("asks the record for", (f"{value_set.title} ({value_set.kind})" for value_set in one.asks))
    yield from _listed("needs", (need.value for need in one.needs))
    yield from _listed("scores", iter(one.scores))
    yield from _listed("may suggest", (_suggested(name_of(code), code.display, site) for code in one.suggests))
    yield from _listed("options", (_told(one, number, site) for number in range(len(one.options))))
    yield from _listed("limits", iter(one.limits))


def _suggested(name: str, display: str, site: Settings) -> str:
    own = site.orderables.get(name)
    return f"{display} [{name}], ordered here as {own.code if own else 'text: CDS_ORDERABLES has no code for it'}"


def _told(one: Pathway, number: int, site: Settings) -> str:
    option = one.options[number]
    name = f"{one.id}.{option.name}"
    bounds = f", {option.low:g} to {option.high:g} {option.unit}" if option.low is not None else ""
    bounds += f", one of {', '.join(option.choices)}" if option.choices else ""
    here = site.options_of().get(name, option.default)
    wrong = f" ({option.mistake(here)})" if here is not None and option.mistake(here) else ""
    return f"{name}: {option.title}{bounds.rstrip()}; here {here if here is not None else 'not set'}{wrong}"


def _listed(title: str, rows: Iterator[str]) -> Iterator[str]:
    found = [f"    {row}" for row in rows]
    yield from [f"  {title}", *found] if found else []


def _option(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise typer.BadParameter(f"want <pathway>.<option>=<value>, got {name!r}")
    return name.strip(), value.strip()

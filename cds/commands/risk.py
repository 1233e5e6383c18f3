"""`cds risk`: published scores: what there is, what one wants, what it says to inputs, and whether vectors agree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cds.risk import Answer, Input, Score

app = typer.Typer(no_args_is_help=True, help="Published risk scores and rules: list, show, run, check.")

AsJson = Annotated[bool, typer.Option("--json", help="as JSON")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="as cds risk list names it")]


@app.command("list")
def show_all(*, as_json: AsJson = False) -> None:
    """List the scores: outcome, horizon, source."""
    from cds.risk import load

    scores = load().values()
    if as_json:
        typer.echo(json.dumps([_declared(score) for score in scores], indent=2, ensure_ascii=False))
        return
    for score in scores:
        typer.echo(f"{score.id:26} {score.title}: {score.outcome}{_horizon(score)}")


@app.command()
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Show a score: inputs with units and ranges, outputs, population, source, licence."""
    score = _score(name)
    typer.echo(json.dumps(_declared(score), indent=2, ensure_ascii=False) if as_json else "\n".join(_lines(score)))


@app.command()
def run(
    name: Name,
    inputs: Annotated[Path, typer.Argument(metavar="INPUT.json", exists=True, dir_okay=False)],
    *,
    short: Annotated[
        bool,
        typer.Option("--short", help="what the file does not mention is absent or normal, where the score says so"),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a score on a JSON object of inputs; exit code 1 where it cannot be evaluated, with what is missing."""
    from cds.risk import NotScored

    score, given = _score(name), _object(inputs)
    if unknown := score.unknown_names(given):
        names = ", ".join(one.name for one in score.inputs)
        raise typer.BadParameter(f"{score.id} has no input {', '.join(unknown)}: want {names}")
    answer = score(score.described(given) if short else given)
    typer.echo(json.dumps(asdict(answer), indent=2, ensure_ascii=False) if as_json else _said(score, answer))
    if isinstance(answer, NotScored):
        raise typer.Exit(1)


@app.command()
def check(
    vectors: Annotated[list[Path], typer.Argument(metavar="VECTORS.json…", exists=True, dir_okay=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Run scores against vectors of inputs and expected outputs; exit code 1 on any mismatch."""
    from cds.risk.check import check as check_vectors

    report = check_vectors(vectors)
    if as_json:
        typer.echo(json.dumps(asdict(report) | {"ok": report.ok}, indent=2, ensure_ascii=False))
    else:
        for mismatch in report.mismatches:
            typer.echo(f"{mismatch.vector}: {mismatch.output} is {mismatch.got}, want {mismatch.expected}")
        for name in report.not_installed:
            typer.echo(f"{name}: no score of this name is installed; a file is named after its score")
        for name, why in report.unverified:
            typer.echo(f"{name}: checked here, used nowhere: {why}")
        for vector, name in report.ignored:
            typer.echo(f"{vector}: input {name} is none of the score's and was not used")
        typer.echo(f"{report.vectors} vectors, {len(report.mismatches)} mismatches")
    if not report.ok:
        raise typer.Exit(1)


def _score(name: str) -> Score:
    from cds.errors import NotFound
    from cds.risk import load

    scores = load(unverified=True)
    if name not in scores:
        raise NotFound(f"no score {name!r}: cds risk list shows those that there are")
    if scores[name].unverified:
        raise NotFound(f"{name} is used nowhere, its source was not verified: {scores[name].unverified}")
    return scores[name]


def _object(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path.name}: want JSON: {error}") from None
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{path.name}: want an object of inputs by name")
    return found


def _said(score: Score, answer: Answer) -> str:
    from cds.risk import Scored

    if isinstance(answer, Scored):
        units = {one.name: one.unit for one in score.outputs}
        return "\n".join(
            f"{name}: {json.dumps(value)} {units.get(name, '')}".rstrip() for name, value in answer.outputs.items()
        )
    missing = [f"missing: {score.title_of(name)} ({name})" for name in answer.missing]
    return "\n".join(["not evaluated", *missing, *(f"out of range: {reason}" for reason in answer.reasons)])


def _lines(score: Score) -> Iterator[str]:
    yield f"{score.id}: {score.title}"
    yield f"  outcome: {score.outcome}{_horizon(score)}"
    yield f"  population: {score.population}"
    yield from (f"  source: {one.label}, {one.url}" for one in (score.source, *score.further))
    yield "  inputs"
    yield from (f"    {_input(one)}" for one in score.inputs)
    yield "  outputs"
    yield from (f"    {one.name}: {one.title}{f' ({one.unit})' if one.unit else ''}" for one in score.outputs)
    yield from (f"  note: {note}" for note in score.notes)
    if score.licence:
        yield f"  licence: {score.licence}"


def _input(one: Input) -> str:
    sign = "below " if one.high_open else ""
    kind = f"{one.low:g} to {sign}{one.high:g} {one.unit}".strip() if one.kind == "number" else one.kind
    wanted = f"one of {', '.join(one.choices)}" if one.choices else kind
    needed = "" if one.needed else "; decided without it where that is possible"
    also = f" (also {', '.join(one.aliases)})" if one.aliases else ""
    return f"{one.name}{also}: {one.title}, {wanted}{needed}"


def _horizon(score: Score) -> str:
    years = score.horizon_years
    if not years:
        return ""
    if years < 1:
        return f", {years * 365.25:.0f} days"
    return f", {years:g} year{'s' if years > 1 else ''}"


def _declared(score: Score) -> dict[str, object]:
    names = ("id", "title", "population", "outcome", "horizon_years", "notes", "licence")
    sources = [asdict(one) for one in (score.source, *score.further)]
    ends = {"outputs": [asdict(one) for one in score.outputs], "inputs": [_bounded(one) for one in score.inputs]}
    return {name: getattr(score, name) for name in names} | {"sources": sources} | ends


def _bounded(one: Input) -> dict[str, object]:
    """JSON has no infinity: a bound that there is not is left out."""
    infinite = {"low": float("-inf"), "high": float("inf")}
    return {name: value for name, value in asdict(one).items() if name not in infinite or value != infinite[name]}

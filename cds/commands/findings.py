"""`cds findings`: what the models saw in a study, and what a radiologist says of it. Nothing here signs a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from cds.commands.common import By, actor, settings
from cds.domain.finding import Finding, Findings
from cds.domain.verification import Verdict

if TYPE_CHECKING:
    from cds.store.opinions import StudyFindings

app = typer.Typer(no_args_is_help=True, help="The findings of a study: list, confirm, reject, correct.")

Name = Annotated[str, typer.Argument(metavar="FINDING", help="<model>.<finding>, as cds findings list shows it")]
Study = Annotated[str, typer.Option("--study", help="accession number or Study Instance UID")]
Role = Annotated[str, typer.Option("--role", help="the role of the person: radiologist")]
Reason = Annotated[str, typer.Option("--reason", help="why; no names of patients")]


@app.command("list")
def show(study: Annotated[str, typer.Argument(help="accession number or Study Instance UID")]) -> None:
    """List the findings of a study's current images with their verification and how the final report compares."""
    from cds.bootstrap import findings

    site = settings()
    typer.echo("\n".join(lines(findings.listed(site, study), ZoneInfo(site.time_zone))))


@app.command()
def confirm(finding: Name, study: Study, role: Role, by: By = "", reason: Reason = "") -> None:
    """A radiologist says that a finding is right."""
    _verify(finding, study, Verdict.CONFIRMED, by=by, role=role, reason=reason)


@app.command()
def reject(finding: Name, study: Study, role: Role, by: By = "", reason: Reason = "") -> None:
    """A radiologist says that a finding is wrong: it is shown to nobody else, and nothing rests on it."""
    _verify(finding, study, Verdict.REJECTED, by=by, role=role, reason=reason)


@app.command()
def correct(
    finding: Name,
    study: Study,
    role: Role,
    *,
    value: Annotated[float, typer.Option("--value", help="the right value, in the unit of the finding")],
    by: By = "",
    reason: Reason = "",
) -> None:
    """A radiologist says what the value of a finding should be."""
    _verify(finding, study, Verdict.CORRECTED, by=by, role=role, reason=reason, value=value)


def lines(study: StudyFindings, zone: ZoneInfo) -> Iterator[str]:
    """The study, then each finding with what was said of it."""
    version = f"report version {study.report.version}" if study.report else "not reported yet"
    yield f"study {study.study_instance_uid}, image revision {study.image_revision}, {version}"
    said = {verification.finding.name: verification for verification in study.verifications}
    comparisons = study.report.decision.comparisons if study.report else ()
    compared = {comparison.finding: comparison for comparison in comparisons}
    for outcome in study.outcomes:
        if not isinstance(outcome, Findings):
            yield f"{outcome.model} {outcome.version}: not evaluated: {'; '.join(outcome.reasons)}"
            continue
        for finding in outcome.findings:
            name = f"{outcome.model}.{finding.key}"
            yield f"{name}: {_seen(finding)} ({outcome.model} {outcome.version})"
            if verdict := said.get(name):
                value = f" to {verdict.corrected.value:g} {verdict.corrected.unit}" if verdict.corrected else ""
                at = verdict.at.astimezone(zone)
                yield f"  {verdict.verdict.value}{value} by {verdict.by} ({verdict.role}), {at:%Y-%m-%d %H:%M}"
            if comparison := compared.get(name):
                yield f"  final report: {comparison.agreement.value}: {comparison.reason}"


def _seen(finding: Finding) -> str:
    value = f" {finding.value.value:g} {finding.value.unit}" if finding.value else ""
    return f"{finding.code.display or finding.key} {finding.presence.value}{value}"


def _verify(
    finding: str, study: str, verdict: Verdict, *, by: str, role: str, reason: str, value: float | None = None
) -> None:
    from cds.bootstrap import findings
    from cds.clock import SystemClock

    site = settings()
    said = findings.Spoken(finding, verdict, actor(by), role, reason, value)
    new = findings.verify(site, study, said, SystemClock(site.time_zone))
    typer.echo(f"{finding}: {verdict.value}" if new else f"{finding}: {verdict.value} before, nothing changed")

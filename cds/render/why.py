"""The story of a study as text and JSON, for `cds why` (SAFETY section 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from cds.domain.finding import Finding, Findings, ModelOutcome
from cds.domain.order import ServiceRequest
from cds.domain.recommendation import Advice, PathwayOutcome
from cds.domain.report import Report, TimelineEvent
from cds.domain.story import HoldTold, Story, StudyTold


def as_json(story: Story) -> str:
    """The whole story as JSON; times in UTC."""
    return TypeAdapter(Story).dump_json(story, indent=2).decode()


def as_text(story: Story, time_zone: str) -> str:
    """The story for a terminal; times in the site's zone."""
    if not story.found:
        return "Nothing here has that accession number, Study Instance UID or patient identifier."
    return "\n".join(_lines(story, ZoneInfo(time_zone)))


def holds(waiting: Sequence[HoldTold], time_zone: str) -> str:
    """What waits for a person, oldest first."""
    if not waiting:
        return "Nothing waits for a person."
    zone = ZoneInfo(time_zone)
    return "\n".join(
        f"{hold.created_at.astimezone(zone):%Y-%m-%d %H:%M}  {hold.kind}  {hold.about}\n    {hold.reason}"
        + (f"\n    file {hold.path}" if hold.path else "")
        for hold in waiting
    )


def timeline(events: tuple[TimelineEvent, ...], zone: ZoneInfo) -> Iterator[str]:
    """One line per event: when, how long after the first, what, and why."""
    for event in events:
        after = (event.at - events[0].at).total_seconds()
        clock = event.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        yield f"  {clock}  +{after:7.3f} s  {event.step}: {event.outcome}"
        yield from (f"{'':40}{line}" for line in event.detail if line)


def _lines(story: Story, zone: ZoneInfo) -> Iterator[str]:
    for order in story.orders:
        yield _order(order, zone)
    for study in story.studies:
        yield from _study(study)
    yield "Timeline"
    yield from timeline(story.events, zone)


def _order(order: ServiceRequest, zone: ZoneInfo) -> str:
    numbers = [
        f"{name} {number.value} ({number.assigner})"
        for name, number in (
            ("accession", order.accession),
            ("placer", order.placer_order_number),
            ("filler", order.filler_order_number),
        )
        if number
    ]
    urgency = f", {order.priority.value}" if order.priority else ""
    when = order.requested_at.astimezone(zone).strftime(" requested %Y-%m-%d %H:%M") if order.requested_at else ""
    return f"Order {', '.join(numbers)}: {order.status.value}{urgency}{when}"


def _study(told: StudyTold) -> Iterator[str]:
    numbers = f"image revision {told.image_revision}, match revision {told.match_revision}"
    yield f"Study {told.study_instance_uid}: {told.instances} instances, {numbers}, analysis run {told.analysis_run}"
    if told.report is None:
        yield "  no report yet"
    else:
        yield from _report(told.report)
    for delivery in told.deliveries:
        answer = f": {delivery.acknowledgment}" if delivery.acknowledgment else ""
        yield f"  delivery to {delivery.destination}: {delivery.state} after {delivery.attempts} attempts{answer}"
    for hold in told.holds:
        yield f"  HELD ({hold.kind}): {hold.reason}"


def _report(report: Report) -> Iterator[str]:
    replaced = f", replaces version {report.replaces}" if report.replaces else ""
    yield f"  report version {report.version}, preliminary{replaced}"
    yield f"  match: {report.match.state.value} ({'; '.join(report.match.reasons)})"
    for outcome in report.outcomes:
        yield from _outcome(outcome)
    for said in report.decision.outcomes:
        yield _pathway(said)
    released = ", ".join(sorted(a.value for a in report.decision.release.audiences)) or "nobody"
    yield f"  released to: {released}"
    yield from (f"  withheld: {reason}" for reason in report.decision.release.withheld)


def _outcome(outcome: ModelOutcome) -> Iterator[str]:
    name = f"  model {outcome.model} {outcome.version}"
    if not isinstance(outcome, Findings):
        yield f"{name}: not evaluated: {'; '.join(outcome.reasons)}"
        return
    yield f"{name} on {outcome.device}, series {outcome.series_instance_uid}"
    for finding in outcome.findings:
        yield f"    {_finding(finding)}"
    yield from (f"    gate passed: {gate}" for gate in dict.fromkeys(g for f in outcome.findings for g in f.gates))


def _finding(finding: Finding) -> str:
    value = f" {finding.value.value:.4g} {finding.value.unit}" if finding.value else ""
    return f"{finding.code.display}: {finding.presence.value}{value}"


def _pathway(said: PathwayOutcome) -> str:
    if isinstance(said, Advice):
        actions = "; ".join(r.action for r in said.recommendations) or "no next step"
        return f"  pathway {said.pathway}: {said.summary} → {actions}"
    return f"  pathway {said.pathway}: {said.kind}: {said.reason}"

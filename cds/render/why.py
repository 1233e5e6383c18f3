"""The story of a study as text and JSON, for `cds why` (SAFETY section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from cds.domain.audit import AuditEvent
from cds.domain.critical import CriticalResult
from cds.domain.finding import Finding, Findings, ModelOutcome
from cds.domain.hold import Hold
from cds.domain.identity import AppliedIdentity
from cds.domain.order import ServiceRequest
from cds.domain.recommendation import Advice, PathwayOutcome
from cds.domain.report import DeliveryKind, Report, TimelineEvent
from cds.domain.retrieval import Retrieval, StatedSeries
from cds.domain.story import FollowUpTold, PatientTold, Story, StudyTold


def as_json(story: Story) -> str:
    """The whole story as JSON; times in UTC."""
    return TypeAdapter(Story).dump_json(story, indent=2).decode()


def as_text(story: Story, time_zone: str) -> str:
    """The story for a terminal; times in the site's zone."""
    if not story.found:
        return "Nothing here has that accession number, Study Instance UID or patient identifier."
    return "\n".join(_lines(story, ZoneInfo(time_zone)))


def timeline(events: tuple[TimelineEvent, ...], zone: ZoneInfo) -> Iterator[str]:
    """One line per event: when, how long after the first, what, and why."""
    for event in events:
        after = (event.at - events[0].at).total_seconds()
        clock = event.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        yield f"  {clock}  +{after:7.3f} s  {event.step}: {event.outcome}"
        yield from (f"{'':40}{line}" for line in event.detail if line)


def _lines(story: Story, zone: ZoneInfo) -> Iterator[str]:
    for patient in story.known:
        other = bool(story.patients) and patient.id not in story.patients
        yield from _patient(patient, other=other, zone=zone)
    yield from _section("Who is who", (_identity(change, zone) for change in story.identity))
    for order in story.orders:
        yield _order(order, zone)
    for study in story.studies:
        yield from _study(study, zone)
    yield from _section("Who saw or did something", (_seen(event, zone) for event in story.seen))
    yield "Timeline"
    yield from timeline(story.events, zone)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = [f"  {line}" for line in lines]
    yield from [title, *found] if found else []


def _at(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def _patient(told: PatientTold, *, other: bool, zone: ZoneInfo) -> Iterator[str]:
    since = f"known since {_at(told.known_since, zone)}" if told.known_since else "known"
    heard = f"{told.statements} statements from {', '.join(told.sources)}" if told.sources else "no statements"
    test = " (test)" if told.test else ""
    yield f"Patient {told.id}{test}{', somebody else than asked for' if other else ''}: {since}, {heard}"
    if told.merged_into:
        yield f"  lives on as patient {told.merged_into}"
    if told.deleted:
        yield f"  the record does not hold any more: {told.deleted}"
    if told.deceased:
        yield "  is recorded as deceased"


def _identity(change: AppliedIdentity, zone: ZoneInfo) -> str:
    who = f"{change.prior_id} → {change.survivor_id}" if change.prior_id else change.survivor_id
    message = f", message {change.message_id} of the inbox" if change.message_id is not None else ""
    undone = f"; undone {_at(change.undone_at, zone)} by {change.undone_by}" if change.undone_at else ""
    trigger = f" ({change.trigger})" if change.trigger else ""
    return f"{_at(change.at, zone)}  #{change.id} {change.event.value}{trigger}: {who}, by {change.by}{message}{undone}"


def _seen(event: AuditEvent, zone: ZoneInfo) -> str:
    about = f" (study {event.study_instance_uid})" if event.study_instance_uid else ""
    detail = f": {'; '.join(event.detail)}" if event.detail else ""
    return f"{_at(event.at, zone)}  {event.actor}: {event.action}{about}{detail}"


def _order(order: ServiceRequest, zone: ZoneInfo) -> str:
    numbers = [
        f"{name} {number.as_sent().value} ({number.as_sent().assigner})"
        for name, number in (
            ("accession", order.accession),
            ("placer", order.placer_order_number),
            ("filler", order.filler_order_number),
        )
        if number
    ]
    urgency = f", {order.priority.value}" if order.priority else ""
    when = f" requested {_at(order.requested_at, zone)}" if order.requested_at else ""
    scheduled = f", scheduled for {_at(order.scheduled_at, zone)}" if order.scheduled_at else ""
    test = "Test order" if order.test else "Order"
    return f"{test} {', '.join(numbers)}: {order.status.value}{urgency}{when}{scheduled}"


def _study(told: StudyTold, zone: ZoneInfo) -> Iterator[str]:
    numbers = f"image revision {told.image_revision}, match revision {told.match_revision}"
    yield f"Study {told.study_instance_uid}: {told.instances} instances, {numbers}, analysis run {told.analysis_run}"
    yield from (f"  {line}" for line in _images(told))
    if told.report is None:
        yield "  no report yet"
    else:
        yield from _report(told.report)
    yield from (f"  {line}" for line in _people(told, zone))
    for critical in told.criticals:
        yield from _critical(critical, zone)
    for follow_up in told.follow_ups:
        yield f"  {_follow_up(follow_up, zone)}"
    for delivery in told.deliveries:
        answer = f": {delivery.acknowledgment}" if delivery.acknowledgment else ""
        what = "delivery" if delivery.kind == DeliveryKind.REPORT.value else delivery.kind
        tried = f"{delivery.state} after {delivery.attempts} attempts, {_at(delivery.updated_at, zone)}"
        yield f"  {what} to {delivery.destination}: {tried}{answer}"
    yield from (f"  {_hold(hold, zone)}" for hold in told.holds)


def _images(told: StudyTold) -> Iterator[str]:
    """Whether they are all here, where they were fetched, and what they are compared with."""
    if told.revision_open:
        yield "images may still come"
    if told.incomplete:
        yield f"made from incomplete images: {told.incomplete}"
    if told.prior:
        yield "here only to be compared with: nothing runs on it"
    if told.retrieval:
        yield _retrieval(told.retrieval)
    yield from (_stated(one) for one in told.stated)
    yield from (f"compared with study {uid}" for uid in told.priors)
    yield from (f"a prior of study {uid}" for uid in told.prior_of)


def _retrieval(retrieval: Retrieval) -> str:
    source = f" from {retrieval.source}" if retrieval.source else ""
    announced = f", announced by {retrieval.announced}" if retrieval.announced else ""
    reason = f": {retrieval.reason}" if retrieval.reason else ""
    return f"retrieval{source}, run {retrieval.run}{announced}: {retrieval.state.value}{reason}"


def _stated(said: StatedSeries) -> str:
    series = said.series
    number = f"series {series.number}" if series.number is not None else "a series without number"
    count = "no count" if series.instances is None else f"{series.instances} images{', twice' if said.agreed else ''}"
    why = f" ({said.reason})" if said.reason else ""
    modality = f" ({series.modality})" if series.modality else ""
    return f"{said.source} states of {number}{modality}: {count}, {'wanted' if said.wanted else 'not wanted'}{why}"


def _people(told: StudyTold, zone: ZoneInfo) -> Iterator[str]:
    """What people said of findings and did with recommendations, and radiology reports: when, never their text."""
    for said in told.verifications:
        value = f" to {said.corrected.value:.4g} {said.corrected.unit}" if said.corrected else ""
        because = f": {said.reason}" if said.reason else ""
        yield (
            f"finding {said.finding.name} {said.verdict.value}{value} by {said.by} ({said.role}), "
            f"{_at(said.at, zone)}{because}"
        )
    for answer in told.acceptances:
        because = f": {answer.reason}" if answer.reason else ""
        by = f"{answer.by} ({answer.role}), {_at(answer.at, zone)}"
        yield f"recommendation {answer.name} {answer.answer.value} by {by}{because}"
    for final in told.final_reports:
        yield f"radiology report ({final.status}) from {final.source}, received {_at(final.received_at, zone)}"


def _critical(result: CriticalResult, zone: ZoneInfo) -> Iterator[str]:
    acknowledged = (
        f", acknowledged {_at(result.acknowledged_at, zone)} by {result.acknowledged_by}"
        if result.acknowledged_at
        else f", due {_at(result.due_at, zone)}"
    )
    category = f"category {result.category.value}, route {result.route}"
    yield f"  critical result {result.finding} ({category}): {result.state.value}{acknowledged}"
    for event in result.log:
        detail = f": {event.detail}" if event.detail else ""
        yield f"    {_at(event.at, zone)}  {event.what}{detail}"


def _follow_up(told: FollowUpTold, zone: ZoneInfo) -> str:
    due = f", due {told.due}" if told.due else ""
    reason = f": {told.reason}" if told.reason else ""
    return f"follow-up {told.action} ({told.pathway}){due}: {told.state} {_at(told.updated_at, zone)}{reason}"


def _hold(hold: Hold, zone: ZoneInfo) -> str:
    if hold.resolved_at is None:
        owner = f", taken by {hold.owner}" if hold.owner else ""
        return f"HELD {hold.id} ({hold.kind.value}) since {_at(hold.created_at, zone)}{owner}: {hold.reason}"
    over = f"{_at(hold.created_at, zone)} to {_at(hold.resolved_at, zone)}"
    return f"was held {hold.id} ({hold.kind.value}) {over}: {hold.reason}; {hold.resolution}"


def _report(report: Report) -> Iterator[str]:
    replaced = f", replaces version {report.replaces}" if report.replaces else ""
    whose = f", for patient {report.patient.id}" if report.patient else ""
    yield f"  report version {report.version}, preliminary{replaced}, episode {report.episode}{whose}"
    yield f"  match: {report.match.state.value} ({'; '.join(report.match.reasons)})"
    for outcome in report.outcomes:
        yield from _outcome(outcome)
    for said in report.decision.outcomes:
        yield _pathway(said)
    for compared in report.decision.comparisons:
        yield f"  radiology report on {compared.finding}: {compared.agreement.value}: {compared.reason}"
    released = ", ".join(sorted(a.value for a in report.decision.release.audiences)) or "nobody"
    yield f"  released to: {released}"
    for finding, audiences in sorted(report.decision.release.findings.items()):
        yield f"    {finding}: {', '.join(sorted(a.value for a in audiences)) or 'nobody'}"
    yield from (f"  withheld: {reason}" for reason in report.decision.release.withheld)


def _outcome(outcome: ModelOutcome) -> Iterator[str]:
    name = f"  model {outcome.model} {outcome.version}"
    if not isinstance(outcome, Findings):
        gate = f" (gate {outcome.gate})" if outcome.gate else ""
        yield f"{name}: not evaluated{gate}: {'; '.join(outcome.reasons)}"
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

"""The last step of a study, and of everything else that is sent: one attempt at one destination.

What may be told is looked at again before each attempt: a switch or a verdict reaches what still waits.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from cds import metrics, prioritising, release
from cds.domain.recommendation import Advice
from cds.domain.report import Audience, Delivery, DeliveryKind, DeliveryState, Report
from cds.domain.switch import SwitchKind
from cds.errors import PeerFailed, PeerRefused, Unavailable
from cds.line import Line
from cds.ports import Channel, ReportSink

#: A peer that answers AE this often (some ten minutes) gets the next report, and this one is held.
_PEER_FAILURES = 16


def deliver(line: Line, delivery_id: str) -> str:
    """Step 7, one attempt at one destination: sent, refused, withheld, paused or retry; or how it had ended before."""
    delivery = line.deliveries.delivery(delivery_id)
    if delivery.state is not DeliveryState.PENDING:
        return delivery.state.value
    now = line.clock.now()
    if ended := _before(line, delivery, now):
        return ended
    if not line.deliveries.begin(delivery_id, now):
        return line.deliveries.delivery(delivery_id).state.value
    outcome = _send(line, delivery)
    metrics.DELIVERIES.inc(destination=delivery.destination, outcome=outcome)
    return outcome


def _before(line: Line, delivery: Delivery, now: datetime) -> str:
    """What keeps a delivery from being sent now: paused, retry or withheld; empty where nothing does."""
    if line.switches.off(SwitchKind.DESTINATION, delivery.destination):
        return "paused"
    is_report = delivery.kind is DeliveryKind.REPORT
    if is_report and not line.works.is_current(line.works.work(delivery.work_id)):
        return "retry"  # the study is decided again: that version says what may be told
    if is_report and (reason := _not_to_be_told(line, delivery)):
        line.deliveries.withheld(delivery.id, reason, now)
        line.works.again(line.works.work(delivery.work_id), f"{delivery.destination}: {reason}", now)
        return "withheld"
    if delivery.kind is DeliveryKind.PRIORITY and (reason := prioritising.overtaken(line, delivery)):
        line.deliveries.withheld(delivery.id, reason, now)
        return "withheld"
    return ""


def _not_to_be_told(line: Line, delivery: Delivery) -> str:
    """Why the destination may not have what is in a waiting report any more; empty where it may."""
    told, sink = line.reports.of_work(delivery.work_id), line.sinks.get(delivery.destination)
    said = line.opinions.verifications(told.work.study_instance_uid, told.work.revision.image)
    if sink is None:
        return ""
    present = replace(told, verifications=said)
    now = release.view(line.settings, line.switches, present, sink.audience, production=sink.production, has=True)
    if now is None:
        return "; ".join(release.decide(line.settings, line.switches, present).withheld) or "it takes no such results"
    before = release.as_made(line.settings, told, sink.audience, production=sink.production)
    gone = (release.shown(before) - release.shown(now)) | (_said(before) - _said(now))
    return f"not released any more: {', '.join(sorted(gone))}" if gone else ""


def _said(report: Report) -> frozenset[str]:
    """The pathways whose advice a view contains."""
    if not report.decision.release.allows(Audience.REFERRAL):
        return frozenset()
    return frozenset(said.pathway for said in report.decision.outcomes if isinstance(said, Advice))


def _send(line: Line, delivery: Delivery) -> str:
    to: ReportSink | Channel | None = line.sinks.get(delivery.destination) or line.channels.get(delivery.destination)
    now = line.clock.now
    try:
        if to is None:
            raise Unavailable("this destination is not configured any more")
        acknowledgment = to.send(delivery.payload)
    except PeerRefused as error:
        line.deliveries.refused(delivery.id, str(error), now())
        return "refused"
    except Unavailable as error:
        attempts = line.deliveries.attempted(delivery.id, str(error), now())
        if isinstance(error, PeerFailed) and attempts >= _PEER_FAILURES:
            line.deliveries.refused(delivery.id, f"{error} (asked {attempts} times)", now())
            return "refused"
        return "retry"
    line.deliveries.sent(delivery.id, acknowledgment, now())
    return "sent"

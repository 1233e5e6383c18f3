"""The realm of test and training messages (MSH-11 T, D): everything that they say names nobody of production."""

from __future__ import annotations

from dataclasses import replace

from cds.domain.identity import Identifier, IdentityChange, Patient
from cds.domain.message import MessageContent
from cds.domain.order import OrderChange, ServiceRequest
from cds.domain.verification import FinalReport


def in_test(content: MessageContent) -> MessageContent:
    """The same content about the patients, orders and visits of the test realm."""
    return replace(
        content,
        patient=_patient(content.patient) if content.patient else None,
        orders=tuple(_change(change) for change in content.orders),
        identity=tuple(_identity(change) for change in content.identity),
        final_reports=tuple(_report(report) for report in content.final_reports),
        account=_moved(content.account),
        visit=_moved(content.visit),
        acknowledges="",  # what was sent to production is acknowledged from there alone
    )


def _moved(identifier: Identifier | None) -> Identifier | None:
    return identifier.in_test() if identifier else None


def _all(identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    return tuple(identifier.in_test() for identifier in identifiers)


def _patient(patient: Patient) -> Patient:
    return replace(patient, identifiers=_all(patient.identifiers))


def _change(change: OrderChange) -> OrderChange:
    return replace(change, order=_order(change.order))


def _order(order: ServiceRequest) -> ServiceRequest:
    return replace(
        order,
        placer_order_number=_moved(order.placer_order_number),
        filler_order_number=_moved(order.filler_order_number),
        accession=_moved(order.accession),
        patient=order.patient.in_test(),
        test=True,
    )


def _identity(change: IdentityChange) -> IdentityChange:
    return replace(
        change,
        survivor=_all(change.survivor),
        prior=_all(change.prior),
        account=_moved(change.account),
        visit=_moved(change.visit),
        into_account=_moved(change.into_account),
        into_visit=_moved(change.into_visit),
    )


def _report(report: FinalReport) -> FinalReport:
    return replace(report, accession=report.accession.in_test(), patient=report.patient.in_test())

"""`imaging-order-routing` on order-dispatch: what whoever performs an imaging order should know before the exam.

Versions 1.0 and 1.1 of the hook are answered. Orders that are not imaging, or do not stand any more, get no card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cds.codes import ValueSet
from cds.domain.critical import CriticalResult
from cds.domain.hook import StudyNote
from cds.domain.imaging_order import Exam
from cds.domain.recommendation import PathwayOutcome
from cds.domain.report import Report
from cds.hooks import dispatched, order_cards, order_judging, prefetch, routing_cards
from cds.hooks.answer import Answer, Card
from cds.hooks.asked import Asked
from cds.hooks.dispatched import Dispatched
from cds.hooks.order_judging import Ordered
from cds.hooks.parts import Site
from cds.hooks.request import HookRequest
from cds.hooks.routing_cards import Known, Prior
from cds.hooks.service import HookContext, Service
from cds.release import shown

ID = "imaging-order-routing"
_EVERYWHERE = "whole-body"


@dataclass(frozen=True, slots=True)
class _Store:
    """What is stored of the patient; nothing where it is in doubt who it is (SAFETY section 1)."""

    #: Each report, and as it may be shown now.
    reports: tuple[tuple[Report, Report | None], ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    #: The critical results, by id, of which the finding may be named.
    released: frozenset[str] = frozenset()


def services(asks: Sequence[ValueSet] | None = None) -> tuple[Service, ...]:
    """The service as it is discovered and called."""
    return (
        Service(
            id=ID,
            hook="order-dispatch",
            title="Imaging order for the performer",
            description="How urgent an imaging order is and why, earlier imaging of the region with what AI found, "
            "open critical results, and what to mind with contrast medium, kidneys and pregnancy.",
            usage_requirements=f"{prefetch.USAGE} An order that is neither prefetched nor in its task is fetched.",
            version="1.0.0",
            prefetch={**prefetch.queries(order_judging.checks_ask(asks)), **dispatched.QUERY},
            respond=respond,
        ),
    )


def respond(request: HookRequest, context: HookContext) -> Answer:
    """One card for each imaging order, and one for all that could not be read; raise NothingEvaluated."""
    found = dispatched.read(request, context)
    whose = order_judging.whose(request)
    if not (found.orders or found.strange):
        site = Site(context.site_name, context.public_url)
        return Answer(tuple(_unseen(site, whose, found)), whose=whose)
    asked = order_judging.asked_for(request, context, ID)
    told = [order_cards.another_patient(asked.site, asked.whose, found.strange)] if found.strange else []
    known = _looked(asked, found.orders)
    cards = (*told, *(routing_cards.routing(asked, one) for one in known), *_unseen(asked.site, asked.whose, found))
    return Answer(cards, (), _notes(asked, known), asked.whose)


def _unseen(site: Site, whose: str, found: Dispatched) -> Iterator[Card]:
    if found.unseen:
        yield routing_cards.unseen(site, whose, found.unseen)


def _looked(asked: Asked, orders: Sequence[Ordered]) -> list[Known]:
    if not orders:
        return []
    ehr, store = asked.ehr(), _stored(asked)
    judged = [(one, order_judging.judged(asked, ehr, one.order)) for one in orders]
    order_judging.not_all_failed([outcome for _, said in judged for outcome in said])
    return [_known(asked, store, one, said) for one, said in judged]


def _notes(asked: Asked, known: Sequence[Known]) -> tuple[StudyNote, ...]:
    """How many cards tell of each study: who saw a result of the wrong patient must be found (SAFETY section 3)."""
    owner = asked.whose if asked.owners else None
    whose = {one.study.study_instance_uid: one.patient.id if one.patient else owner for one in asked.reports}
    told = Counter(uid for one in known for uid in routing_cards.told_of(one))
    return tuple(StudyNote(uid, whose.get(uid, owner), cards) for uid, cards in told.items())


def _known(asked: Asked, store: _Store, ordered: Ordered, said: Sequence[PathwayOutcome]) -> Known:
    return Known(
        ordered,
        _priors(asked, store, ordered),
        store.critical,
        store.released,
        order_judging.advices(said),
        order_judging.failed(said),
        order_judging.undecided(said),
    )


def _stored(asked: Asked) -> _Store:
    if asked.doubt:
        return _Store()
    known = asked.context.reports.owners(asked.patient.identifiers)
    waiting = [one for patient_id in known for one in asked.context.outstanding(patient_id).critical if one.waiting]
    views = tuple((report, asked.context.view(report)) for report in asked.reports)
    names = {(seen.study.study_instance_uid, name) for _, seen in views if seen for name in shown(seen)}
    released = frozenset(one.id for one in waiting if (one.study_instance_uid, one.finding) in names)
    return _Store(views, tuple(waiting), released)


def _priors(asked: Asked, store: _Store, ordered: Ordered) -> tuple[Prior, ...]:
    """Earlier exams of the region that is ordered, and those of which nobody here knows the region."""
    region = ordered.order.exam.region if ordered.order.exam else None
    found: list[Prior] = []
    for report, seen in store.reports:
        exam = _exam(asked, report)
        same = _same(region, exam.region if exam else None)
        if same is not False:
            found.append(Prior(report, seen, same_region=same is True))
    return routing_cards.newest_first(found)


def _exam(asked: Asked, report: Report) -> Exam | None:
    procedure = report.order.procedure if report.order else None
    return asked.context.exam_of((procedure,)) if procedure else None


def _same(one: str | None, other: str | None) -> bool | None:
    """Whether two exams show the same region; None where nobody knows it of either."""
    if one is None or other is None:
        return None
    return one == other or _EVERYWHERE in (one, other)

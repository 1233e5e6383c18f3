"""`imaging-findings` on patient-view: what Sightline found on this patient's images, and what a guideline says to it.

Nothing is inferred here: stored findings are evaluated again with the stored record and what the client prefetched.
A patient who cannot be mapped gets a card that says so; one without a report gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from cds.codes import ValueSet
from cds.domain.hook import StudyNote
from cds.domain.recommendation import Indicator
from cds.hooks import cards, prefetch, studies
from cds.hooks.answer import Answer, Card
from cds.hooks.asked import Asked, ask
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext, Service
from cds.hooks.study_cards import StudyCards

ID = "imaging-findings"
#: How long whoever opens the patient is told that something they may have seen was taken back.
_WITHDRAWN_TOLD = timedelta(days=90)


def services(asks: Sequence[ValueSet] | None = None) -> tuple[Service, ...]:
    """The service as it is discovered and called; `asks` are the value sets that clients are asked for."""
    found = Service(
        id=ID,
        hook="patient-view",
        title="Imaging findings",
        description="Findings of AI models on this patient's images, with guideline steps as drafts to accept.",
        usage_requirements=prefetch.USAGE,
        version="2.0.0",
        prefetch=prefetch.queries(asks),
        respond=respond,
    )
    return (found,)


def respond(request: HookRequest, context: HookContext) -> Answer:
    """The cards of one patient-view call; raise NotEvaluatedAtAll where nothing could be evaluated."""
    digest = context.again.digest(request.prefetch)

    def made() -> tuple[Answer, bool]:
        return _answered(ask(request, context, context.asks.get(ID), digest))

    if not digest.value:
        return made()[0]
    now = context.clock.now()
    key = (ID, digest.value, request.patient_id, request.fhir_server, context.clock.today(), now.date(), now.hour)
    return context.again.unchanged(key, made)


def _answered(asked: Asked) -> tuple[Answer, bool]:
    """The answer, and whether the same call would get the same one."""
    if asked.doubt:
        return in_doubt(asked), asked.is_brought
    taken_back = withdrawn(asked)
    if not asked.reports:
        return Answer(taken_back, whose=asked.whose), asked.is_brought
    shown = studies.shown(asked, asked.reports, else_fail=not taken_back)
    told = sorted((card for one in shown for card in one.cards), key=_may_be_read_later)
    answer = Answer((*taken_back, *told), (), notes(shown), asked.whose)
    return answer, asked.is_brought and not any(one.untold for one in shown)


def _may_be_read_later(card: Card) -> bool:
    """A critical card stands before those of newer studies: a reader may see no more than the first few."""
    return card.about.indicator is not Indicator.CRITICAL


def in_doubt(asked: Asked) -> Answer:
    """One card that says so, whatever is stored; the timeline of each study tells why it was kept back."""
    told = (StudyCards(report, quiet=(asked.doubt,)) for report in asked.reports)
    return Answer((cards.unidentified(asked.site, asked.doubt),), (), notes(told), asked.whose)


def withdrawn(asked: Asked) -> tuple[Card, ...]:
    """A card for each study that somebody was shown as this patient's and that is not: whoever saw it must know."""
    since = asked.context.clock.now() - _WITHDRAWN_TOLD
    reports = asked.context.reports
    found = {
        one.study_instance_uid: one for i in asked.patient.identifiers for one in reports.withdrawn_of_patient(i, since)
    }
    return tuple(cards.withdrawn(asked.site, one) for one in found.values())


def notes(shown: Iterable[StudyCards]) -> tuple[StudyNote, ...]:
    """What is to be noted of each study."""
    return tuple(one.note for one in shown)

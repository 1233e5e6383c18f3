"""`imaging-discharge-check` on encounter-discharge: findings and follow-ups that are not arranged yet.

A patient leaves: what imaging found and nobody has decided on, what is due soon, what nobody has acknowledged, and what
has no result yet is told to whoever sends them home. No card says that nothing of it was found, and nothing else: what
could not be looked at is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from cds import release
from cds.codes import ValueSet
from cds.domain.critical import CriticalResult
from cds.domain.follow_up import FollowUp, FollowUpState
from cds.domain.hook import StudyNote
from cds.domain.outstanding import Outstanding
from cds.domain.recommendation import Advice, Indicator
from cds.domain.report import Report
from cds.errors import NothingEvaluated, Unavailable
from cds.hooks import discharge_cards, imaging_findings, prefetch, studies
from cds.hooks.answer import Answer, Card
from cds.hooks.asked import Asked, ask
from cds.hooks.discharge_cards import DueStep, Unacknowledged
from cds.hooks.request import HookRequest
from cds.hooks.service import HookContext, Service
from cds.hooks.study_cards import REPEATED, StudyCards
from cds.pathways.merging import merged

ID = "imaging-discharge-check"
#: What is due within it is told although somebody accepted it: transitions of care are judged by thirty days.
_SOON = timedelta(days=30)
_ANSWERED = frozenset({FollowUpState.ACCEPTED, FollowUpState.DECLINED, FollowUpState.COMPLETED})
_URGENCY = {Indicator.CRITICAL: 0, Indicator.WARNING: 1, Indicator.INFO: 2}
_UNREAD = "what is open for this patient in Sightline's own tables: they could not be read in time"
_UNEVALUATED = "what guidelines say to the findings: none could be evaluated; this was reported to the administrator"


def services(asks: Sequence[ValueSet] | None = None) -> tuple[Service, ...]:
    """The service as it is discovered and called; `asks` are the value sets that clients are asked for."""
    found = Service(
        id=ID,
        hook="encounter-discharge",
        title="Imaging discharge check",
        description="What imaging found and is not arranged before a patient leaves: guideline steps that nobody has "
        "decided on, follow-ups that are due, critical results that nobody has acknowledged, results still pending.",
        usage_requirements=prefetch.USAGE,
        version="1.0.0",
        prefetch=prefetch.queries(asks),
        respond=respond,
    )
    return (found,)


def respond(request: HookRequest, context: HookContext) -> Answer:
    """The cards of one discharge; raise NothingEvaluated where guidelines failed and nothing else is to be told."""
    asked = ask(request, context, context.asks.get(ID))
    if asked.doubt:
        return imaging_findings.in_doubt(asked)
    check = _looked(asked)
    told = (*check.criticals, *check.advised, *check.due, *discharge_cards.pending(asked.site, check.open.pending))
    taken_back = imaging_findings.withdrawn(asked)
    if check.failed is not None and not (told or taken_back):
        raise check.failed
    unseen = discharge_cards.unseen(asked.site, check.unseen)
    return Answer((*taken_back, *told, *unseen), (), _notes(check), asked.whose)


@dataclass(frozen=True, slots=True)
class _Check:
    """All that was found out for one call. `failed` where every guideline that had to speak broke."""

    asked: Asked
    seen: Mapping[str, Report]
    open: Outstanding
    studies: tuple[StudyCards, ...]
    unseen: tuple[str, ...]
    failed: NothingEvaluated | None

    @property
    def criticals(self) -> tuple[Card, ...]:
        """A card for each critical result that nobody has acknowledged. What is not released is not named."""
        found = [_unacknowledged(self.seen.get(one.study_instance_uid), one) for one in self.open.critical]
        return tuple(discharge_cards.unacknowledged(self.asked.site, one) for one in found)

    @property
    def advised(self) -> tuple[Card, ...]:
        """What guidelines say and is not arranged, the most urgent first; what tells of failures comes last."""
        every = [card for one in self.studies for card in one.cards]
        return tuple(sorted(every, key=lambda card: (not card.is_advice, _URGENCY[card.about.indicator])))

    @property
    def due(self) -> tuple[Card, ...]:
        """One card of the follow-ups that no card above offers."""
        return discharge_cards.follow_ups(self.asked.site, _due(self), self.asked.context.clock.today())


def _notes(check: _Check) -> tuple[StudyNote, ...]:
    """How many cards tell of each study: who saw a result of the wrong patient must be found (SAFETY section 3)."""
    notes = {one.study_instance_uid: one for one in imaging_findings.notes(check.studies)}
    due = {one.follow_up.study_instance_uid for one in _due(check)}
    for uid in (*(one.study_instance_uid for one in check.open.critical), *sorted(due)):
        before = notes.get(uid) or StudyNote(uid, check.asked.whose, 0)
        notes[uid] = replace(before, cards=before.cards + 1)
    return tuple(notes.values())


def _looked(asked: Asked) -> _Check:
    told, unseen = _outstanding(asked)
    failed: NothingEvaluated | None = None
    found: tuple[StudyCards, ...] = ()
    try:
        found = studies.shown(asked, asked.reports)
    except NothingEvaluated as error:
        failed, unseen = error, (*unseen, _UNEVALUATED)
    away = tuple(f"{name}: it did not answer" for name in asked.stated.away) if asked.reports else ()
    left = tuple(_unarranged(one, told.follow_ups) for one in found)
    return _Check(asked, _seen(asked, told), told, left, (*unseen, *away), failed)


def _outstanding(asked: Asked) -> tuple[Outstanding, tuple[str, ...]]:
    """What is open, and what of it could not be read: the findings are told all the same."""
    try:
        return asked.context.outstanding(asked.whose), ()
    except Unavailable:
        return Outstanding(), (_UNREAD,)


def _seen(asked: Asked, told: Outstanding) -> dict[str, Report]:
    """The reports as they may be shown now, of the studies that something is open of."""
    wanted = {one.study_instance_uid for one in told.follow_ups} | {one.study_instance_uid for one in told.critical}
    reports = {one.study.study_instance_uid: one for one in asked.reports}
    views = {uid: asked.context.view(reports[uid]) for uid in wanted & reports.keys()}
    return {uid: view for uid, view in views.items() if view is not None}


def _unacknowledged(seen: Report | None, result: CriticalResult) -> Unacknowledged:
    return Unacknowledged(result, seen, named=seen is not None and result.finding in release.shown(seen))


def _unarranged(study: StudyCards, follow_ups: Iterable[FollowUp]) -> StudyCards:
    """The cards of a study without the steps that somebody has decided on; a critical one stays unless they are done.

    What one person declined is still told to whoever sends the patient home (SAFETY section 5).
    """
    uid = study.report.study.study_instance_uid
    answered = {
        (one.pathway, one.recommendation): one
        for one in follow_ups
        if one.study_instance_uid == uid and one.state in _ANSWERED
    }
    kept, quiet = [], list(study.quiet)
    for card in study.cards:
        done = [answered[key] for one in card.suggestions if (key := (card.about.pathway, one.key)) in answered]
        open_steps = tuple(one for one in card.suggestions if (card.about.pathway, one.key) not in answered)
        critical = card.about.indicator is Indicator.CRITICAL
        silent = not critical or (done and all(one.state is not FollowUpState.DECLINED for one in done))
        if card.is_advice and not open_steps and silent:
            quiet.append(f"{card.about.pathway}: {'everything is arranged' if done else 'there is nothing to arrange'}")
        else:
            body = discharge_cards.with_answers(card.body, done)
            kept.append(replace(card, body=body, suggestions=open_steps))
    return replace(study, cards=tuple(kept), quiet=tuple(quiet))


def _due(check: _Check) -> tuple[DueStep, ...]:
    """Follow-ups that may be told, are not done, and that no card offers; those that are due first come first.

    What a newer study asks for as well is followed up there.
    """
    if any(who and who.deceased for who in (check.asked.patient, *(one.patient for one in check.asked.reports))):
        return ()
    offered = {
        (one.report.study.study_instance_uid, card.about.pathway, step.key)
        for one in check.studies
        for card in one.cards
        for step in card.suggestions
    }
    quiet = {one.report.study.study_instance_uid: one.quiet for one in check.studies}
    found = []
    for one in check.open.follow_ups:
        uid, seen = one.study_instance_uid, check.seen.get(one.study_instance_uid)
        if seen is None or (uid, one.pathway, one.recommendation) in offered or not _may_be_told(one, seen):
            continue
        now = _now(one, quiet.get(uid, ()))
        if now != REPEATED and _waits(one, check.asked.context.clock.today()):
            found.append(DueStep(one, seen, now))
    return tuple(found)


def _may_be_told(follow_up: FollowUp, seen: Report) -> bool:
    """Whether the report as it may be shown now still has the step, or what a person did with it.

    What several guidelines ask for is told once.
    """
    advices = [one for one in merged(seen.decision.outcomes) if isinstance(one, Advice)]
    steps = {step.key for one in advices if one.pathway == follow_up.pathway for step in one.recommendations}
    name = f"{follow_up.pathway}.{follow_up.recommendation}"
    return follow_up.recommendation in steps or any(one.name == name for one in seen.acceptances)


def _waits(follow_up: FollowUp, today: date) -> bool:
    """Whether somebody has to see to it now: nobody has decided, or it was accepted and is due soon."""
    if follow_up.state is FollowUpState.OPEN:
        return True
    accepted = follow_up.state is FollowUpState.ACCEPTED
    return accepted and follow_up.due is not None and follow_up.due <= today + _SOON


def _now(follow_up: FollowUp, quiet: Iterable[str]) -> str:
    """What the guideline says now, where that is no advice any more: the call may know what was done since."""
    lead = f"{follow_up.pathway}: "
    return next((one.removeprefix(lead) for one in quiet if one.startswith(lead)), "")
